"""Are beliefs less certain before an informative event than after it, as Belief-I2Q's authors say?

On the offline dataset's test episodes: the variance that an agent's belief has, step by step before and after the
oracle speaks (Oracle) or the exit comes into view (Escape Room); on HoneyComb, as a control, before and after an
informed agent stands on a goal, which tells the uninformed nothing, since in these data everybody walks at random.
The learned beliefs are those that Belief-I2Q was trained with, from the cache; beside them the exact posterior.

``python -m baselines.belief_variance --out docs/results-grid-worlds-variance.json`` writes the numbers of the tasks
whose learned belief is in the cache, and leaves those of other tasks as they are.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from baselines.belief_cache import cached_belief
from baselines.exact_belief import ExactBelief
from baselines.hidden import Hidden
from benchmark.episodes.datasets import dataset_for, load_dataset
from benchmark.episodes.rollout import Episodes
from benchmark.harness.record import atomic_write
from benchmark.measures.events import EVENTS, Event, around, observed
from benchmark.measures.posterior import exact_posterior
from benchmark.tasks.registry import make_task
from benchmark.tasks.task import Task

TASKS = ("oracle-v0", "oracle-strict-v0", "escape-room-v0", "honeycomb-n3-v0", "honeycomb-n5-v0", "honeycomb-v0")
WINDOW = 10
Facts = dict[str, Any]


def variances(task: Task, vectors: Tensor, variable: str) -> Tensor:
    """Return how uncertain beliefs ``[..., F]`` about a variable are: its two coordinates' mean variance in cells^2."""
    hidden = Hidden(task.hidden_variables)
    index = [entry.name for entry in task.hidden_variables].index(variable)
    start = hidden.dimensions + 2 * list(hidden.coordinates).index(index)
    return (vectors[..., start : start + 2] * hidden.scale).square().mean(-1)


def measure(task: Task, event: Event, episodes: Episodes, vectors: Tensor, window: int = WINDOW) -> Facts:
    """Measure the variance around an event; every mean comes with its standard error over episodes.

    Args:
        task: whose hidden variable is believed in.
        event: when.
        episodes: the histories.
        vectors: beliefs along them, float32 ``[B, T + 1, N, F]``.
        window: steps before and after.

    Returns:
        ``curve``, from ``-window`` to ``window - 1`` steps after; and over the episodes that have steps on both sides,
        ``before``, ``after`` (the event's own observation is the first of it) and their ``difference`` within episodes.
    """
    uncertain = variances(task, vectors, event.variable)
    aligned = around(uncertain, event.known(task, episodes), observed(episodes), window)
    before, after = (half.nanmean(1) for half in (aligned[:, :window], aligned[:, window:]))
    both = ~(before.isnan() | after.isnan())
    curve = [_summary(column[~column.isnan()]) for column in aligned.unbind(1)]
    pairs = {"before": before[both], "after": after[both], "difference": (before - after)[both]}
    return {"curve": curve} | {name: _summary(values) for name, values in pairs.items()}


def _summary(values: Tensor) -> list[float | int | None]:
    """Return mean, standard error and count; None where there is no number."""
    count = len(values)
    mean = round(float(values.mean()), 4) if count else None
    return [mean, round(float(values.std()) / count**0.5, 4) if count > 1 else None, count]


def task_facts(task_id: str) -> Facts | None:
    """Measure a task's learned and exact beliefs; None if the learned one has not been trained yet."""
    dataset_id = dataset_for(task_id)
    assert dataset_id is not None
    learned = cached_belief(task_id)
    if learned is None:
        return None
    task, (name, model) = make_task(task_id), learned
    episodes, event = load_dataset(dataset_id, "test"), EVENTS[type(task)]
    exact = ExactBelief(task, exact_posterior(task))
    vectors = {"learned": model.encode(episodes), "exact": exact.encode(episodes)}
    return {
        "event": event.name,
        "variable": event.variable,
        "dataset": dataset_id,
        "episodes": episodes.batch,
        "model": name,
        **{kind: measure(task, event, episodes, values) for kind, values in vectors.items()},
    }


def main() -> None:
    """Write the numbers, and say which tasks' beliefs are missing."""
    parser = argparse.ArgumentParser(description="Variance of beliefs before and after informative events")
    parser.add_argument("--out", type=Path, required=True, help="JSON file; tasks that it has and we have not are kept")
    chosen = parser.parse_args()
    tasks = json.loads(chosen.out.read_text())["tasks"] if chosen.out.exists() else {}
    for task_id in TASKS:
        with torch.no_grad():
            facts = task_facts(task_id)
        if facts is None:
            print(f"{task_id}: no learned belief in the cache; run belief-i2q on it first")
            continue
        tasks[task_id] = facts
        for name in ("learned", "exact"):
            print(f"{task_id}, {name}: before {facts[name]['before']}, after {facts[name]['after']}", flush=True)
    lines = ",\n".join(f'"{name}": {json.dumps(tasks[name])}' for name in TASKS if name in tasks)
    atomic_write(chosen.out, f'{{"window": {WINDOW}, "tasks": {{\n{lines}\n}}}}\n'.encode())


if __name__ == "__main__":
    main()
