"""Does this task need memory? What is known about it, frozen for every task in ``diagnoses.json``.

Three kinds of evidence, after Tessera et al. (arXiv 2602.20804), who found that policies depend on their history nearly
everywhere and need it in fewer than half of the scenarios:

- *Bounds*: the best known policy without memory (``planners.reactive``) against the most that anybody who remembers can
  return: exact where that can be computed, else the optimum of the full state. What lies between is the most that
  memory can be worth. It needs no learner, and no learner can refute it.
- *Learned*: one learner with its memory on, off, and shown the full state (``leaderboard.diagnosis`` adds it).
- *Probes* of the reference policy: what its actions depend on besides the observation (``probes``). They say how the
  task is played by who knows it, and take no part in the verdict: to depend on the past is not to need it.

``python -m benchmark.measures.diagnosis [TASK...]`` computes bounds and probes; the tests compute some again.
"""

import json
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import torch

from benchmark.episodes.rollout import rollout
from benchmark.measures.planners import oracle
from benchmark.measures.planners.reactive import Shadow, written_policy
from benchmark.measures.probes import Samples, codes, conditional_entropy, entropy, probe, samples
from benchmark.measures.references import cases, measure_policy, planner_for, reference
from benchmark.tasks.oracle import Oracle
from benchmark.tasks.perturb import Slip
from benchmark.tasks.registry import make_task, spec, task_ids
from benchmark.tasks.streams import episode_keys

FILE = Path(__file__).with_name("diagnoses.json")
COMMAND = "python -m benchmark.measures.diagnosis"
EPISODES = 2000
PROBED = 100
# What memory may be worth, in units of score, before a task is said to need it.
MARGIN = 0.05

Entry = dict[str, Any]


class Verdict(NamedTuple):
    """Whether a task needs memory.

    ``needed`` follows from one rule: *False* if the bounds leave at most ``MARGIN`` of the score to memory; else *True*
    if the learner gains more than ``MARGIN`` by its memory, with its whole 95 % interval; else None, undecided.
    """

    needed: bool | None
    at_most: float  # in score: what memory can be worth by the bounds
    learned: tuple[float, float, float] | None  # in score: what it was worth to the learner, with interval

    @property
    def word(self) -> str:
        """The verdict in words."""
        return {True: "needs memory", False: "needs no memory", None: "undecided"}[self.needed]


@lru_cache(maxsize=1)
def _frozen() -> dict[str, Entry]:
    return json.loads(FILE.read_text()) if FILE.exists() else {}


def diagnosis(task_id: str) -> Entry | None:
    """Return a task's frozen diagnosis, or None if it has none."""
    return _frozen().get(task_id)


def diagnosed() -> list[str]:
    """Return the tasks that have one."""
    return list(_frozen())


def verdict(task_id: str, entry: Entry) -> Verdict:
    """Apply the rule (see ``Verdict``) to a diagnosis."""
    scale = reference(task_id)
    low, _ = entry["without_memory"]["interval"]
    at_most = max(0.0, scale.score(entry["with_memory"]["value"]) - scale.score(low))
    learned = None
    if "learned" in entry:
        point, least, most = entry["learned"]["gap"]
        learned = (point, least, most)
    needed = False if at_most <= MARGIN else True if learned and learned[1] > MARGIN else None
    return Verdict(needed, at_most, learned)


def compute(task_id: str, episodes: int = EPISODES) -> Entry:
    """Work out a task's bounds and probe its reference policy.

    Args:
        task_id: listed or perturbed.
        episodes: how many are played wherever a few cases do not stand for all.

    Raises:
        ValueError: if the task is unknown, or has no reference policy.
    """
    task, planner = make_task(task_id), planner_for(task_id)
    policy = written_policy(task)
    if policy is not None:
        method = f"{type(policy).__name__}: {(type(policy).__doc__ or '').splitlines()[0].partition(': ')[2]}"
    else:
        # Organization's reports are noise to its planner: what the table is looked up by is what all see.
        looked_at = task.observation_layout.slices.get("public", slice(None))
        recorded = rollout(task, planner, cases(task_id, episodes, seed=1)[0])
        policy = Shadow(recorded, len(task.action_names), looked_at)
        method = f"the reference policy's actions, looked up by the observation ({policy.torn:.1%} of them differ)"
    entry = {
        "command": f"{COMMAND} {task_id}",
        "without_memory": measure_policy(task_id, policy, method, episodes),
        "with_memory": _most_with_memory(task_id),
    }
    if spec(task_id).family == "oracle":
        entry["never_told"] = _oracle_entry(task_id, told=False)
    taken = samples(rollout(task, planner, episode_keys("reference", 2, PROBED)))
    return entry | {"probes": _probes(taken)}


def _most_with_memory(task_id: str) -> Entry:
    """Return the most that a team which remembers what it has seen can return: exact, or a bound."""
    if spec(task_id).family == "oracle":
        return _oracle_entry(task_id, told=True)
    return dict(reference(task_id).details["optimum"])


def _oracle_entry(task_id: str, *, told: bool) -> Entry:
    """Return Oracle's exact optimum on observations, with the oracle as it is or silent for ever."""
    task, slip = make_task(task_id), 0.0
    if isinstance(task, Slip):
        task, slip = task.task, task.probability
    if not isinstance(task, Oracle):
        raise ValueError(f"diagnose: task_id={task_id!r}: its exact optimum is not known")
    silent = Oracle(task.random_start, task.wrong_box_penalty, 0.0)
    value = float(f"{oracle.information_optimum(task if told else silent, slip):.7g}")
    method = "by backward induction over positions and beliefs (exact)"
    what = "Exact optimum on observations" if told else "The same if the oracle never spoke"
    return {"value": value, "method": f"{what}, {method}", "episodes": None, "interval": [value, value]}


def _probes(taken: Samples) -> Entry:
    """Ask what the actions depend on, given the observation."""
    key = torch.tensor([0])
    seen = torch.bincount(taken.observation)
    found = {
        name: [round(number, 5) for number in probe(taken.action, given, taken.observation, taken.episode, key)]
        for name, given in taken.context.items()
    }
    return {
        "episodes": PROBED,
        "actions": len(taken.action),
        "entropy": round(entropy(codes(taken.action)), 5),
        "left_open": round(max(0.0, conditional_entropy(taken.action, taken.observation)), 5),
        "seen_again": round(float((seen[taken.observation] > 1).double().mean()), 5),
        "depend_on": found,
    }


def freeze(task_id: str, entry: Entry) -> None:
    """Write a task's diagnosis into the file, beside all others."""
    known = json.loads(FILE.read_text()) if FILE.exists() else {}
    known[task_id] = entry
    lines = (f'"{name}": {json.dumps(known[name])}' for name in sorted(known))
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    _frozen.cache_clear()


def main() -> None:
    """Diagnose the tasks named on the command line, or all listed ones; what learners said of them is kept."""
    for task_id in sys.argv[1:] or task_ids():
        learned = (diagnosis(task_id) or {}).get("learned")
        entry = compute(task_id) | ({"learned": learned} if learned else {})
        freeze(task_id, entry)
        print(f"{task_id:32s} {verdict(task_id, entry)}", flush=True)


if __name__ == "__main__":
    main()
