"""What a return is measured against: trivial, reference and optimum, frozen per task version.

``score = (return - trivial) / (reference - trivial)``, where

- *trivial* is the best policy that needs no observation: uniformly random, or any one action for ever;
- *reference* is the best known policy that uses only what agents observe;
- *optimum* is the best return of somebody who sees the whole state (exact, or an upper bound where so marked).

The numbers lie in ``references.json`` with the method, episodes, seed and 95% interval behind each. They were written
by ``python -m benchmark.measures.references``; the tests recompute them.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmark.episodes.policy import ConstantPolicy, Policy, RandomPolicy
from benchmark.episodes.rollout import rollout
from benchmark.measures.planners import escape_room, gathering, honeycomb, oracle, organization
from benchmark.tasks.registry import make_task, spec, task_ids
from benchmark.tasks.streams import episode_keys
from benchmark.tasks.task import Task

FILE = Path(__file__).with_name("references.json")
EPISODES = 20_000
SEED = 0


@dataclass(frozen=True)
class Reference:
    """The scale of one task; returns are undiscounted.

    Attributes:
        trivial: score 0.
        reference: score 1.
        optimum: of the full state.
        details: for each of the three: method, episodes, seed, interval.
    """

    trivial: float
    reference: float
    optimum: float
    details: Mapping[str, Any]

    def score(self, episode_return: float) -> float:
        """Return the normalised score of a return."""
        return (episode_return - self.trivial) / (self.reference - self.trivial)


@lru_cache(maxsize=1)
def _frozen() -> dict[str, Any]:
    return json.loads(FILE.read_text()) if FILE.exists() else {}


@lru_cache(maxsize=256)
def reference(task_id: str) -> Reference:
    """Return a task's references: the frozen ones, or computed now for a size that is not listed.

    Raises:
        ValueError: if the task is unknown, or has no planner to measure against.
    """
    details = _frozen().get(task_id) or measure(task_id)
    trivial, known, optimum = (details[kind]["value"] for kind in ("trivial", "reference", "optimum"))
    return Reference(trivial, known, optimum, details)


# The module with the planner and the optimum of each family.
_PLANNERS: dict[str, Any] = {
    "oracle": oracle,
    "gathering": gathering,
    "escape-room": escape_room,
    "honeycomb": honeycomb,
    "organization": organization,
}


def planner_for(task_id: str) -> Policy:
    """Return the reference policy of a task; of a perturbed one, that of the task itself.

    Raises:
        ValueError: if the task's family has none.
    """
    return _planners(task_id).planner(make_task(task_id.partition(":")[0]))


def _planners(task_id: str) -> Any:
    family = spec(task_id).family
    if family not in _PLANNERS:
        raise ValueError(f"task_id={task_id!r}: family {family!r} has no reference policy; allowed: {list(_PLANNERS)}")
    return _PLANNERS[family]


def measure(task_id: str, episodes: int = EPISODES) -> dict[str, Any]:
    """Compute a task's three references on the episodes of namespace ``reference``, seed 0."""
    if ":" in task_id:
        raise ValueError(f"task_id={task_id!r}: perturbed tasks have no references yet; score the task without ':'")
    task, planners = make_task(task_id), _planners(task_id)
    if task.agents > 100:
        episodes = min(episodes, 100)
    keys = episode_keys("reference", SEED, episodes)
    return {
        "trivial": _trivial(task, keys),
        "reference": _measured(_play(task, planner_for(task_id), keys), _one_line(planners.planner)),
        "optimum": _optimum(task, planners.full_state_optimum, keys),
    }


def _one_line(function: Callable[..., Any]) -> str:
    return (function.__doc__ or function.__name__).strip().splitlines()[0].rstrip(".")


def _play(task: Task, policy: Policy, keys: Tensor) -> Tensor:
    """Return the returns of all episodes, float64 ``[B]``, a few thousand at a time."""
    chunk = max(1, 200_000 // (task.agents * task.horizon))
    return torch.cat([rollout(task, policy, part).returns for part in keys.split(min(chunk, 4000))])


def _measured(returns: Tensor, method: str) -> dict[str, Any]:
    mean = float(returns.mean())
    # 1.96 standard errors: thousands of independent episodes.
    half = 1.96 * float(returns.std()) / len(returns) ** 0.5 if len(returns) > 1 else 0.0
    return {
        "value": _round(mean),
        "method": method,
        "episodes": len(returns),
        "seed": SEED,
        "interval": [_round(mean - half), _round(mean + half)],
    }


def _trivial(task: Task, keys: Tensor) -> dict[str, Any]:
    candidates: list[tuple[Policy, str]] = [
        (RandomPolicy(task.agents, len(task.action_names)), "uniformly random actions")
    ]
    for action, name in enumerate(task.action_names):
        candidates.append((ConstantPolicy([action] * task.agents), f"action {name!r} for ever"))
    measured = [_measured(_play(task, policy, keys), method) for policy, method in candidates]
    best = max(measured, key=lambda entry: entry["value"])
    return best | {"random": measured[0]["value"]}


def _optimum(task: Task, optimum: Callable[..., float | Tensor], keys: Tensor) -> dict[str, Any]:
    """Take the exact number where the planner module has one, else the mean over episodes."""
    value = optimum(task, keys) if optimum.__code__.co_argcount == 2 else optimum(task)
    if isinstance(value, Tensor):
        return _measured(value, _one_line(optimum))
    exact = _round(float(value))
    return {"value": exact, "method": _one_line(optimum), "episodes": None, "seed": None, "interval": [exact, exact]}


def _round(value: float) -> float:
    return float(f"{value:.7g}")


def main() -> None:
    """Measure every listed task and freeze the numbers."""
    frozen: dict[str, Any] = {}
    for task_id in task_ids():
        if spec(task_id).family in _PLANNERS:
            frozen[task_id] = measure(task_id)
            values = {kind: entry["value"] for kind, entry in frozen[task_id].items()}
            print(f"{task_id:32s} {values}", flush=True)
    FILE.write_text(json.dumps(frozen, indent=1) + "\n")


if __name__ == "__main__":
    main()
