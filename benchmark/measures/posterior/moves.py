"""Moves of Gathering's particles: whole paths of some agents are shifted to where they fit as well.

Resampling thins out where everybody started, which no later step brings back; moves do (Gilks & Berzuini, *Following a
moving target*, JRSS B 2001). And what two agents meet by is a shift: of the particles before, hardly any had them
meet there, but nearly all can be shifted so that they do.
"""

import math
from functools import lru_cache
from itertools import combinations, permutations

import torch
from torch import Tensor

from benchmark.measures.posterior.bitboards import shift, union
from benchmark.measures.posterior.particles import FOUND, GONE, SEEN, Cloud, Sight, advance, tables, ways
from benchmark.tasks.gathering import PATCH, Gathering


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
    boards, log_count, accept = _fitting(task, cloud, group, by)
    keep = uniform[:, 2] < accept
    boards = torch.where(keep[:, None, None, None], boards, cloud.maps[:, list(group)])
    log_count = torch.where(keep, log_count, cloud.log_count)
    return _shifted(cloud, group, by * keep[:, None], boards, log_count), accept


def shifts(cloud: Cloud, group: tuple[int, ...], width: int) -> tuple[Tensor, Tensor]:
    """Return the least and the largest shifts ``[M, 2]`` of a group that change nothing it has seen of walls."""
    low, high = cloud.low[:, list(group)].amin(1), cloud.high[:, list(group)].amax(1)
    free = (low > 0) & (high < width - 1)
    return (1 - low) * free, (width - 2 - high) * free


def _fitting(task: Gathering, cloud: Cloud, group: tuple[int, ...], by: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return a group's shifted maps, the joint ``log_count``, and the probability ``[M]`` to accept the shift.

    It is 0 where the group had to do with the others (they met, or saw of each other's resources that they had
    gone), and where it would have to: that keeps the moves reversible.
    """
    members = list(group)
    others = [agent for agent in range(task.agents) if agent not in group]
    shifted = shift(cloud.maps[:, members], by)
    if not others:
        return shifted, cloud.log_count, torch.ones_like(cloud.log_count)
    theirs, ours, moved = union(cloud.maps[:, others], 1), union(cloud.maps[:, members], 1), union(shifted, 1)
    log_count = ways(task, moved | theirs)
    refuse = _entangled(ours, theirs) | _entangled(moved, theirs) | _met(cloud.paths, members, others, by)
    ratio = (log_count - cloud.log_count).exp().clamp(max=1.0)
    return shifted, log_count, ratio.masked_fill(refuse | (cloud.log_count == -math.inf), 0.0)


def _shifted(cloud: Cloud, group: tuple[int, ...], by: Tensor, boards: Tensor, log_count: Tensor) -> Cloud:
    place, low, high = cloud.place.clone(), cloud.low.clone(), cloud.high.clone()
    maps, paths = cloud.maps.clone(), cloud.paths.clone()
    for agent, board in zip(group, boards.unbind(1), strict=True):
        for entry in (place, low, high):
            entry[:, agent] += by
        maps[:, agent] = board
        paths[:, agent] += by.T.to(torch.int8)
    return Cloud(place, low, high, maps, paths, log_count, cloud.log_weight)


def _entangled(ours: Tensor, theirs: Tensor) -> Tensor:
    """Return bool ``[M]``: whether a cell that both have seen was not the same, lasting thing to both."""
    both = ours[:, SEEN] & theirs[:, SEEN]
    return (both & ((ours[:, FOUND] ^ theirs[:, FOUND]) | ours[:, GONE] | theirs[:, GONE]) != 0).any(-1)


def _met(paths: Tensor, members: list[int], others: list[int], by: Tensor) -> Tensor:
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


def encounters(
    task: Gathering, cloud: Cloud, sight: Sight, habits: Tensor, uniform: Tensor
) -> tuple[list[Cloud], Tensor]:
    """Advance particles, shifting for each pair of agents that see each other one of them to where it must be.

    A move proposes that very shift once in as many times as there are shifts. Instead of drawing it, it is made and
    weighed by that; what the move would have left as it is keeps the rest of the weight. Groups count by how often
    their moves are accepted.

    Args:
        task: the task.
        cloud: Q filters of P particles.
        sight: of Q minds.
        habits: float32 ``[Q, N, 5]``.
        uniform: float32 ``[M, 2 * N + 4]`` in [0, 1).

    Returns:
        Weighted clouds which together are the next one, and bool ``[Q]``: whether they are worth anything.
    """
    agents, (minds, particles) = task.agents, cloud.log_weight.shape
    constants = tables(task, uniform.device)
    actions = uniform[:, :agents, None] >= habits.repeat_interleave(particles, 0).cumsum(-1)
    actions = actions.sum(-1).clamp(max=habits.shape[-1] - 1)
    told = torch.nn.functional.one_hot(actions, habits.shape[-1]).to(torch.float32)
    ahead = cloud.place + constants.moves[actions]
    ahead = torch.where(((ahead >= 0) & (ahead < task.width)).all(-1, keepdim=True), ahead, cloud.place)
    offsets = torch.tensor(PATCH, dtype=torch.int32, device=uniform.device)
    clouds, stays = [], torch.zeros_like(cloud.log_weight)
    for member, other in permutations(range(agents), 2):
        mutual = _mutual(sight.agent[:, member], sight.agent[:, other])  # [Q, 9]
        if not bool(mutual.any()):
            continue
        number = mutual.sum(1).repeat_interleave(particles)
        rank = (uniform[:, agents] * number).to(torch.int64)
        gap = (mutual.cumsum(1).repeat_interleave(particles, 0) <= rank[:, None]).sum(1).clamp(max=len(PATCH) - 1)
        to = ahead[:, other] - ahead[:, member] - offsets[gap]
        for group in groups(agents):
            if member not in group or other in group:
                continue
            _, usual = move(task, cloud, group, uniform[:, agents + 1 : agents + 4])
            share = usual.view(minds, particles).mean(1, keepdim=True) * mutual.any(1, keepdim=True)
            stays += share * (1.0 - usual.view(minds, particles))
            least, most = shifts(cloud, group, task.width)
            by = torch.maximum(torch.minimum(to, most), least)
            boards, log_count, accept = _fitting(task, cloud, group, by)
            accept = accept * (by == to).all(1) * number / (most - least + 1).prod(1)
            weight = cloud.log_weight + (accept.view(minds, particles) * share).log()
            guided = _shifted(cloud, group, by, boards, log_count)._replace(log_weight=weight)
            clouds.append(advance(task, guided, sight, told, uniform[:, :agents]))
    left = cloud._replace(log_weight=cloud.log_weight + stays.log())
    usual_habits = habits.repeat_interleave(particles, 0)
    clouds.append(advance(task, left, sight, usual_habits, uniform[:, agents + 4 :]))
    worth = torch.stack([part.log_weight.amax(1) for part in clouds]).amax(0) > -math.inf
    return clouds, worth


def _mutual(one: Tensor, other: Tensor) -> Tensor:
    """Return bool ``[Q, 9]``: the offsets at which the second of two agents may be, if they see each other."""
    bit = torch.arange(len(PATCH), dtype=torch.int32, device=one.device)
    return (one[:, None] >> bit & other[:, None] >> bit.flip(0) & 1).to(torch.bool)
