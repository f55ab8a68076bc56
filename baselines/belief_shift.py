"""How does a belief fare in a world that it was not learned in?

A belief learned from the offline data of one level of a stress is asked about held-out histories of every other level:
is it still right, and does it still know how often it is? Beside it the prior and, where it is known, the exact
posterior of the world that the histories come from. The learned beliefs are those that Belief-I2Q was trained with,
from the cache.

``python -m baselines.belief_shift --only slip --out docs/results-stress-belief-shift.json`` writes the numbers of the
levels whose learned belief is in the cache, and leaves those of other stresses as they are.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from baselines.belief import BeliefMemory, BeliefModel
from baselines.belief_cache import cached_belief
from benchmark.episodes.datasets import dataset_for, load_dataset
from benchmark.episodes.policy import BeliefPolicy
from benchmark.episodes.rollout import Episodes
from benchmark.harness.elsewhere import fits
from benchmark.harness.record import atomic_write
from benchmark.harness.stress import Stress, get_stresses
from benchmark.measures.beliefs import PriorBelief, measure
from benchmark.measures.posterior import exact_posterior
from benchmark.tasks.registry import make_task, random_start
from benchmark.tasks.task import Task

MEASURES = ("nll", "accuracy", "ece")
Facts = dict[str, Any]


class Asked:
    """A learned belief as a policy that only believes."""

    def __init__(self, model: BeliefModel) -> None:
        self.model = model

    def initial_memory(self, keys: Tensor) -> BeliefMemory:
        """Start every episode with nothing seen."""
        return self.model.initial_memory(keys)

    def act(self, observations: Tensor, memory: BeliefMemory) -> tuple[Tensor, BeliefMemory]:
        """Do the first thing."""
        return torch.zeros(observations.shape[:2], dtype=torch.int64), self.model.step(observations, memory)

    def with_actions(self, memory: BeliefMemory, actions: Tensor) -> BeliefMemory:
        """Remember the actions ``[B, N]`` that were really taken."""
        return self.model.with_actions(memory, actions)

    def belief(self, memory: BeliefMemory) -> tuple[Tensor, ...]:
        """Return log-probabilities ``[B, N, V]`` for every hidden variable."""
        return self.model.log_probabilities(memory)


def histories(task_id: str) -> Episodes:
    """Return the test episodes of a task's offline dataset."""
    dataset_id = dataset_for(task_id)
    assert dataset_id is not None
    return load_dataset(dataset_id, "test")


def scores(task: Task, policy: BeliefPolicy, test: Episodes) -> dict[str, float]:
    """Return the measures of one belief on the histories that all submissions' beliefs are scored on."""
    with torch.no_grad():
        (found,) = measure(task, policy, test, 1)
    return {name: found[name] for name in MEASURES}


def ladder(stress: Stress) -> Facts:
    """Ask every learned belief of a stress about every level's histories.

    Returns:
        ``task_id``; ``levels``; and lists over the levels of evaluation of ``prior``, ``posterior`` (null where no
        exact filter is known) and, by level of learning, ``learned``.
    """
    tasks = {level: make_task(task_id) for level, task_id in stress.levels}
    tests = {level: histories(task_id) for level, task_id in stress.levels}
    models = {f"{level:g}": (tasks[level], cached_belief(task_id)) for level, task_id in stress.levels}
    facts: Facts = {
        "task_id": stress.task_id,
        "levels": list(tasks),
        "prior": [scores(tasks[level], PriorBelief(tasks[level], test), test) for level, test in tests.items()],
        "posterior": [_exact(tasks[level], test) for level, test in tests.items()],
    }
    facts["learned"] = {
        name: [
            scores(tasks[level], Asked(found[1]), test) if fits(task, tasks[level]) else None
            for level, test in tests.items()
        ]
        for name, (task, found) in models.items()
        if found is not None
    }
    return facts


def _exact(task: Task, test: Episodes) -> dict[str, float] | None:
    try:
        return scores(task, exact_posterior(random_start(task)), test)
    except ValueError:  # no exact filter is known
        return None


def main() -> None:
    """Write the numbers, and say which levels' beliefs are missing."""
    parser = argparse.ArgumentParser(description="Beliefs in worlds that they were not learned in")
    parser.add_argument("--only", action="append", required=True, help="a stress; may be repeated")
    parser.add_argument("--family", default="oracle", help="of tasks")
    parser.add_argument("--out", type=Path, required=True, help="JSON file; stresses that it has besides are kept")
    chosen = parser.parse_args()
    found = json.loads(chosen.out.read_text()) if chosen.out.exists() else {}
    for stress in get_stresses(tuple(chosen.only), (chosen.family,)):
        facts = ladder(stress)
        lacking = [f"{level:g}" for level in facts["levels"] if f"{level:g}" not in facts["learned"]]
        told = f"no learned belief at {', '.join(lacking)}" if lacking else "a learned belief at every level"
        print(f"{stress.name} of {stress.task_id}: {told}", flush=True)
        found[f"{stress.name} of {stress.task_id}"] = facts
    lines = ",\n".join(f'"{name}": {json.dumps(found[name])}' for name in sorted(found))
    atomic_write(chosen.out, f"{{\n{lines}\n}}\n".encode())


if __name__ == "__main__":
    main()
