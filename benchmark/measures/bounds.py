"""What an episode can return at most and at least: no result lies outside.

The most is the optimum of whoever sees the full state, worked out for the very episodes of an evaluation, so that not
even luck exceeds it. Slip changes neither bound: whatever slips to an action could have been chosen.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from benchmark.measures.planners import escape_room, gathering
from benchmark.measures.references import reference
from benchmark.tasks import escape_room as escape_room_rules
from benchmark.tasks import gathering as gathering_rules
from benchmark.tasks import oracle as oracle_rules
from benchmark.tasks import organization as organization_rules
from benchmark.tasks.escape_room import EscapeRoom
from benchmark.tasks.gathering import Gathering
from benchmark.tasks.honeycomb import HoneyComb
from benchmark.tasks.oracle import Oracle
from benchmark.tasks.organization import Organization
from benchmark.tasks.registry import make_task
from benchmark.tasks.task import Task


def most(task_id: str, keys: Tensor) -> Tensor | None:
    """Return the largest return of each of these episodes, or an upper bound.

    Args:
        task_id: of a listed task, perturbed or not.
        keys: int64 ``[B]``.

    Returns:
        float64 ``[B]``; None for tasks whose bound is not known.
    """
    name = task_id.partition(":")[0]
    task = make_task(name)
    if isinstance(task, Gathering):
        return gathering.full_state_optimum(task, keys)
    if isinstance(task, EscapeRoom):
        return escape_room.full_state_optimum(task, keys)
    if isinstance(task, Oracle | HoneyComb | Organization):
        # Whatever box or goal is right, the optimum is the same; in Organization nothing that pays is random.
        return torch.full((len(keys),), reference(name).optimum, dtype=torch.float64)
    return None


def least(task_id: str) -> float | None:
    """Return a return that no episode of a listed task falls below; None for tasks whose bound is not known."""
    task = make_task(task_id.partition(":")[0])
    for kind, bound in _LEAST.items():
        if isinstance(task, kind):
            return bound(task)
    return None


def _organization(task: Organization) -> float:
    worst = (
        min(organization_rules.INDIVIDUAL_REWARD)
        + min(organization_rules.MAJORITY_REWARD)
        + organization_rules.BANKRUPTCY_REWARD
    )
    echoes = sum(task.history_bonus**step for step in range(task.horizon))
    return task.agents * task.horizon * worst * echoes


_LEAST: dict[type[Task], Callable[..., float]] = {
    Oracle: lambda task: task.horizon * oracle_rules.STEP_REWARD - task.wrong_box_penalty,
    Gathering: lambda task: task.agents * task.horizon * gathering_rules.MOVE_REWARD,
    EscapeRoom: lambda task: task.agents * task.horizon * escape_room_rules.WALL_REWARD,
    HoneyComb: lambda task: 0.0,
    Organization: _organization,
}
