"""What a return is measured against: trivial, reference and optimum, frozen per task version.

``score = (return - trivial) / (reference - trivial)``, where

- *trivial* is the best policy that needs no observation: uniformly random, or any one action for ever;
- *reference* is the best known policy that uses only what agents observe;
- *optimum* is the best return of somebody who sees the whole state (exact, or an upper bound where so marked).

The numbers lie in ``references.json`` with the method, episodes, seed and 95% interval behind each. They were written
by ``python -m benchmark.measures.references``; the tests recompute them.
"""

import json
import sys
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
from benchmark.tasks.perturb import Transform
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
    details = _details(task_id)
    trivial, known, optimum = (details[kind]["value"] for kind in ("trivial", "reference", "optimum"))
    return Reference(trivial, known, optimum, details)


def _details(task_id: str) -> dict[str, Any]:
    return _frozen().get(task_id) or measure(task_id)


# The module with the planner and the optimum of each family.
_PLANNERS: dict[str, Any] = {
    "oracle": oracle,
    "gathering": gathering,
    "escape-room": escape_room,
    "honeycomb": honeycomb,
    "organization": organization,
}
# Families whose episodes differ, but for noise that decides nothing, only in one uniform draw: the hidden variables at
# the start. For a policy that does not randomise, one episode for each of their values gives the exact mean.
_FEW_CASES = ("oracle", "honeycomb", "organization")


def planner_for(task_id: str) -> Policy:
    """Return the reference policy of a task; it believes that actions obey and that sight is clear.

    Raises:
        ValueError: if the task's family has none, or the state is revealed.
    """
    name, changes = _split(task_id)
    if "reveal" in changes:
        raise ValueError(f"task_id={task_id!r}: no reference policy looks at what is revealed")
    kept = {key: value for key, value in changes.items() if key not in CONTROL + CLARITY}
    return _planners(task_id).planner(make_task(_join(name, kept)))


def _planners(task_id: str) -> Any:
    family = spec(task_id).family
    if family not in _PLANNERS:
        raise ValueError(f"task_id={task_id!r}: family {family!r} has no reference policy; allowed: {list(_PLANNERS)}")
    return _PLANNERS[family]


def measure(task_id: str, episodes: int = EPISODES) -> dict[str, Any]:
    """Compute a task's three references; where episodes are played, on those of namespace ``reference``, seed 0.

    Perturbed tasks have references of their own, so that a score asks about the algorithm and not about the harder
    world. Where actions may fail (slip, sticky), everything is measured there; the optimum is that of the obedient
    task, an upper bound, unless it can be computed. Where agents see less or more (dropout, noise, view, reveal), the
    references are those of the same task with its own sight: what is lost is part of what is asked.

    Raises:
        ValueError: if the task is unknown, or has no planner.
    """
    name, changes = _split(task_id)
    clear = {key: value for key, value in changes.items() if key not in SIGHT}
    if clear != changes:
        sight = "clear sight" if not {"view", "reveal"} & changes.keys() else "the task's own sight"
        entries = dict(_details(_join(name, clear)))
        return {kind: entry | {"method": f"{entry['method']}; with {sight}"} for kind, entry in entries.items()}
    obedient = {key: value for key, value in changes.items() if key not in CONTROL}
    task, planners = make_task(task_id), _planners(task_id)
    keys = episode_keys("reference", SEED, episodes)
    if spec(task_id).family == "oracle" and changes.keys() <= {"slip", "hint"} and changes:
        return _solved(make_task(_join(name, obedient)), float(changes.get("slip", 0.0)), task, keys)
    if obedient != changes:
        bound = _details(_join(name, obedient))["optimum"]
        player = planners.planner(make_task(_join(name, obedient)))
        return {
            "trivial": _trivial(task, planners, keys, keys),
            "reference": _entry(_play(task, player, keys), _one_line(planners.planner), False),
            "optimum": bound | {"method": f"{bound['method']}; with obedient actions (upper bound)"},
        }
    exact = spec(task_id).family in _FEW_CASES
    cases = _one_of_each(task, keys) if exact else keys
    optimum = planners.full_state_optimum(task) if exact else planners.full_state_optimum(task, keys)
    return {
        "trivial": _trivial(task, planners, keys, cases),
        "reference": _entry(_play(task, planners.planner(task), cases), _one_line(planners.planner), exact),
        "optimum": _entry(torch.as_tensor(optimum, dtype=torch.float64), _one_line(planners.full_state_optimum), exact),
    }


def cases(task_id: str, episodes: int = EPISODES, seed: int = SEED) -> tuple[Tensor, bool]:
    """Return the keys of the episodes on which a policy is measured, and whether these few are all there are."""
    task, keys = make_task(task_id), episode_keys("reference", seed, episodes)
    exact = spec(task_id).family in _FEW_CASES and not isinstance(task, Transform)
    return (_one_of_each(task, keys) if exact else keys), exact


def measure_policy(task_id: str, policy: Policy, method: str, episodes: int = EPISODES) -> dict[str, Any]:
    """Return what a policy earns, as the references are measured.

    Args:
        task_id: what is played.
        policy: who plays; where ``cases`` are all there are, it must not randomise.
        method: what the entry says of it.
        episodes: how many are played if need be.
    """
    keys, exact = cases(task_id, episodes)
    return _entry(_play(make_task(task_id), policy, keys), method, exact)


# Perturbations of what actions do; of how clearly, and of how much agents see.
CONTROL = ("slip", "sticky")
CLARITY = ("dropout", "noise")
SIGHT = (*CLARITY, "view", "reveal")


def _split(task_id: str) -> tuple[str, dict[str, str]]:
    name, _, suffix = task_id.partition(":")
    return name, dict(part.split("=", 1) for part in suffix.split(",") if part)


def _join(name: str, changes: Mapping[str, str]) -> str:
    return name + ":" * bool(changes) + ",".join(f"{key}={value}" for key, value in changes.items())


def _solved(inner: Any, slip: float, task: Task, keys: Tensor) -> dict[str, Any]:
    """Oracle's references where actions may slip and the oracle may be silent: solved exactly."""
    solved = {"reference": oracle.information_optimum, "optimum": oracle.full_state_optimum}
    entries = {
        kind: _entry(torch.tensor(method(inner, slip), dtype=torch.float64), _one_line(method), True)
        for kind, method in solved.items()
    }
    return {"trivial": _trivial(task, oracle, keys, keys)} | entries


def _one_of_each(task: Task, keys: Tensor) -> Tensor:
    """Return the key of the first episode with each combination of hidden values at the start."""
    _, which = torch.unique(task.hidden(task.initial_state(keys)), dim=0, return_inverse=True)
    return torch.stack([keys[which == case][0] for case in range(int(which.max()) + 1)])


def _trivial(task: Task, planners: Any, keys: Tensor, cases: Tensor) -> dict[str, Any]:
    exact = len(cases) < len(keys)
    candidates = []
    for action, name in enumerate(task.action_names):
        still = ConstantPolicy([action] * task.agents)
        candidates.append(_entry(_play(task, still, cases), f"every agent repeats {name!r}", exact))
    if hasattr(planners, "random_return") and not isinstance(task, Transform):
        value = torch.tensor(planners.random_return(task), dtype=torch.float64)
        uniform = _entry(value, "uniformly random actions: " + _one_line(planners.random_return), True)
    else:
        player = RandomPolicy(task.agents, len(task.action_names))
        # Large teams play fewer episodes: a hundred agents average over themselves.
        fewer = keys[: max(100, _MOST_AGENT_STEPS // (task.agents * task.horizon))]
        uniform = _entry(_play(task, player, fewer), "uniformly random actions", False)
    best = max([uniform, *candidates], key=lambda entry: entry["value"])
    return best | {"random": uniform["value"]}


_MOST_AGENT_STEPS = 8_000_000


def _play(task: Task, policy: Policy, keys: Tensor) -> Tensor:
    """Return the returns of all episodes, float64 ``[B]``, a few thousand at a time."""
    chunk = max(1, 200_000 // (task.agents * task.horizon))
    return torch.cat([rollout(task, policy, part).returns for part in keys.split(min(chunk, 4000))])


def _entry(returns: Tensor, method: str, exact: bool) -> dict[str, Any]:
    mean = _round(float(returns.mean()))
    if exact:
        return {"value": mean, "method": f"{method} (exact)", "episodes": None, "seed": None, "interval": [mean, mean]}
    half = 1.96 * float(returns.std()) / len(returns) ** 0.5
    interval = [_round(mean - half), _round(mean + half)]
    return {"value": mean, "method": method, "episodes": len(returns), "seed": SEED, "interval": interval}


def _one_line(function: Callable[..., Any]) -> str:
    return (function.__doc__ or function.__name__).strip().splitlines()[0].rstrip(".")


def _round(value: float) -> float:
    return float(f"{value:.7g}")


def main() -> None:
    """Measure the tasks named on the command line, or all listed ones, and freeze the numbers."""
    for task_id in sys.argv[1:] or task_ids():
        if spec(task_id).family in _PLANNERS:
            measured = measure(task_id)
            # Read again before each writing: somebody else may be freezing other tasks.
            frozen = {**(json.loads(FILE.read_text()) if FILE.exists() else {}), task_id: measured}
            FILE.write_text(json.dumps({name: frozen[name] for name in sorted(frozen)}, indent=1) + "\n")
            print(f"{task_id:32s} { {kind: entry['value'] for kind, entry in measured.items()} }", flush=True)


if __name__ == "__main__":
    main()
