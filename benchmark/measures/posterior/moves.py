"""Moves of Gathering's particles: whole paths of some agents are shifted to where they fit as well.

Resampling thins out where everybody started, which no later step brings back; moves do (Gilks & Berzuini, *Following a
moving target*, JRSS B 2001).
"""

import math
from functools import lru_cache
from itertools import combinations

import torch
from torch import Tensor

from benchmark.measures.posterior.bitboards import shift, union
from benchmark.measures.posterior.particles import FOUND, GONE, SEEN, Cloud, ways
from benchmark.tasks.gathering import Gathering


@lru_cache(maxsize=8)
def groups(agents: int) -> tuple[tuple[int, ...], ...]:
    """Return all groups of one or two agents and the whole team."""
    chosen = {group for size in {1, min(2, agents), agents} for group in combinations(range(agents), size)}
    return tuple(sorted(chosen, key=lambda group: (len(group), group)))


def move(task: Gathering, cloud: Cloud, group: tuple[int, ...], uniform: Tensor) -> tuple[Cloud, Tensor]:
    """Propose to shift the whole paths of a group of agents, and keep what fits as well (Metropolis & Hastings).

    Shifts are uniform among those that keep the group off the walls that it has not seen and at those that it has.

    Args:
        task: the task.
        cloud: Q filters of P particles; each keeps its weight.
        group: which agents.
        uniform: float32 ``[M, 3]`` in [0, 1).

    Returns:
        The cloud, and float32 ``[M]``: the probability with which each proposal was accepted.
    """
    least, most = shifts(cloud, group, task.width)
    by = least + (uniform[:, :2] * (most - least + 1)).to(torch.int32)
    boards, log_count, accept = fitting(task, cloud, group, by)
    keep = uniform[:, 2] < accept
    boards = torch.where(keep[:, None, None, None], boards, cloud.maps[:, list(group)])
    log_count = torch.where(keep, log_count, cloud.log_count)
    return shifted(cloud, group, by * keep[:, None], boards, log_count), accept


def shifts(cloud: Cloud, group: tuple[int, ...], width: int) -> tuple[Tensor, Tensor]:
    """Return the least and the largest shifts ``[M, 2]`` of a group that change nothing it has seen of walls."""
    low, high = cloud.low[:, list(group)].amin(1), cloud.high[:, list(group)].amax(1)
    free = (low > 0) & (high < width - 1)
    return (1 - low) * free, (width - 2 - high) * free


def fitting(task: Gathering, cloud: Cloud, group: tuple[int, ...], by: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return a group's shifted maps, the joint ``log_count``, and the probability ``[M]`` to accept the shift.

    It is 0 where the group had to do with the others (they met, or saw of each other's resources that they had
    gone), and where it would have to: that keeps the moves reversible.
    """
    members = list(group)
    others = [agent for agent in range(task.agents) if agent not in group]
    boards = shift(cloud.maps[:, members], by)
    if not others:
        return boards, cloud.log_count, torch.ones_like(cloud.log_count)
    theirs, ours, moved = union(cloud.maps[:, others], 1), union(cloud.maps[:, members], 1), union(boards, 1)
    log_count = ways(task, moved | theirs)
    refuse = entangled(ours, theirs) | entangled(moved, theirs) | met(cloud.paths, members, others, by)
    ratio = (log_count - cloud.log_count).exp().clamp(max=1.0)
    return boards, log_count, ratio.masked_fill(refuse | (cloud.log_count == -math.inf), 0.0)


def shifted(cloud: Cloud, group: tuple[int, ...], by: Tensor, boards: Tensor, log_count: Tensor) -> Cloud:
    """Shift a group by int32 ``[M, 2]``, given its shifted maps and the joint ``log_count``."""
    place, low, high = cloud.place.clone(), cloud.low.clone(), cloud.high.clone()
    maps, paths = cloud.maps.clone(), cloud.paths.clone()
    for agent, board in zip(group, boards.unbind(1), strict=True):
        for entry in (place, low, high):
            entry[:, agent] += by
        maps[:, agent] = board
        paths[:, agent] += by.T.to(torch.int8)
    return Cloud(place, low, high, maps, paths, log_count, cloud.log_weight)


def entangled(ours: Tensor, theirs: Tensor) -> Tensor:
    """Return bool ``[M]``: whether a cell that both have seen was not the same, lasting thing to both."""
    both = ours[:, SEEN] & theirs[:, SEEN]
    return (both & ((ours[:, FOUND] ^ theirs[:, FOUND]) | ours[:, GONE] | theirs[:, GONE]) != 0).any(-1)


def met(paths: Tensor, members: list[int], others: list[int], by: Tensor) -> Tensor:
    """Return bool ``[M]``: whether a member ever saw another agent or may have collided with it, shifted or not.

    Unseen, two collide only if they are two cells apart on a line and both stay where they are.
    """
    met = torch.zeros_like(by[:, 0], dtype=torch.bool)
    step = by.T.to(torch.int8)
    still = (paths[1:] == paths[:-1]).all(2)  # [T - 1, N, M]
    for member in members:
        for other in others:
            gap = paths[:, member] - paths[:, other]  # [T, 2, M]
            both_still = still[:, member] & still[:, other]
            for here in (gap, gap + step):
                x, y = here.abs().unbind(1)
                met |= (torch.maximum(x, y) <= 1).any(0) | ((x + y == 2)[:-1] & both_still).any(0)
    return met
