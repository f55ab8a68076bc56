"""Other moves of Gathering's particles: somebody may have walked another way and seen the same.

Where other agents have been, and so where they have seen what, is never told. Resampling leaves ever fewer versions of
how they came to where they are; these moves (Metropolis & Hastings) make new ones. Two steps of a path are exchanged;
or one is replaced, which shifts all that follows. Or what would be shifted stays, and the rest is shifted the other
way, along with others whom the agent met then.
"""

from functools import lru_cache
from itertools import combinations
from typing import NamedTuple

import torch
from torch import Tensor

from benchmark.measures.posterior.bitboards import WINDOW, shift, union
from benchmark.measures.posterior.moves import entangled, met, shifted, shifts
from benchmark.measures.posterior.particles import FOUND, GONE, SEEN, Cloud, Sight, tables, ways
from benchmark.tasks.gathering import PATCH, Gathering

# The bits of the cells that an agent may step onto, in the order of the moves; and of its own.
_BESIDE = tuple(PATCH.index(offset) for offset in ((1, 0), (-1, 0), (0, 1), (0, -1)))
_HERE = PATCH.index((0, 0))


class Way(NamedTuple):
    """A way of changing a walk."""

    exchanges: bool  # two steps, or else replaces one
    keeps: bool = False  # where the agent was after that step, or between the two, and shifts the rest of its path
    along: tuple[int, ...] = ()  # who is shifted with that


@lru_cache(maxsize=16)
def ways_of_walking(agents: int, agent: int) -> tuple[Way, ...]:
    """Return all ways in which an agent's walk is changed."""
    mates = [mate for mate in range(agents) if mate != agent]
    along = [group for size in range(len(mates) + 1) for group in combinations(mates, size)]
    return tuple(
        way
        for exchanges in (True, False)
        for way in (Way(exchanges), *(Way(exchanges, True, group) for group in along))
    )


def rewalk(task: Gathering, cloud: Cloud, past: Sight, agent: int, way: Way, others: Tensor, uniform: Tensor) -> Cloud:
    """Propose another walk of one agent.

    Args:
        task: the task.
        cloud: Q filters of P particles.
        past: what Q minds have seen so far, int32 ``[T, Q, N]``.
        agent: whose walk.
        way: in which way it is changed, and who is shifted with its first part.
        others: bool ``[Q]``: for which minds that is another agent, whose actions they do not know.
        uniform: float32 ``[M, 3]`` in [0, 1).
    """
    particles, length = cloud.log_weight.shape[1], len(cloud.paths)
    path = cloud.paths[:, agent].to(torch.int32)  # [T, 2, M]
    # What came last matters most.
    ago = torch.stack((uniform[:, 0] ** 2, uniform[:, 1]))
    times = length - 2 - (ago * (length - 1)).to(torch.int64)
    first, last = (times.amin(0), times.amax(0)) if way.exchanges else (times[0], torch.full_like(times[0], length - 1))
    step = _step(path, first)
    new_step = tables(task, path.device).moves[(uniform[:, 1] * 5).to(torch.int64)].T
    new_step = _step(path, last) if way.exchanges else new_step
    change, time = new_step - step, torch.arange(length, device=path.device)[:, None]
    after = ((time > first) & (time <= last))[:, None]
    walked = path - ~after * change if way.keeps else path + after * change

    outside, resource = (entry[:, :, agent].repeat_interleave(particles, 1) for entry in (past.outside, past.resource))
    width, group = task.width, list(way.along)
    cell = (walked[:, 0].clamp(-1, width) + 1) * (width + 2) + walked[:, 1].clamp(-1, width) + 1
    board, contradicts = _remember(walked, outside, resource, width)
    refuse = (tables(task, path.device).outside[cell] != outside).any(0) | contradicts
    refuse |= ~others.repeat_interleave(particles)
    by = -change.T
    if group:
        least, most = shifts(cloud, way.along, width)
        refuse |= ((by < least) | (by > most)).any(1)
        by = torch.maximum(torch.minimum(by, most), least)
    shifted_maps = cloud.maps.clone()
    shifted_maps[:, group] = shift(cloud.maps[:, group], by)
    shifted_maps[:, agent] = board
    rest = [mate for mate in range(task.agents) if mate != agent and mate not in group]
    for maps in (cloud.maps, shifted_maps):
        for some, more in (([agent], group), ([agent], rest), (group, rest)):
            if some and more:
                refuse |= entangled(union(maps[:, some], 1), union(maps[:, more], 1))
    for mate in group + rest:
        span = first, last
        if mate in rest and way.keeps:
            span = torch.full_like(first, -1), torch.full_like(first, length - 1) if way.exchanges else first
        relative = walked + change if mate in group else walked
        refuse |= _near(path, relative, cloud.paths[:, mate].to(torch.int32), *span)
    if group and rest:
        refuse |= met(cloud.paths, group, rest, by)
    log_count = ways(task, union(shifted_maps, 1))
    # Where walls stop more attempts, an agent is more likely to stay.
    odds = _odds(outside, first, new_step) / _odds(outside, first, step)
    if way.exchanges:
        odds = odds * _odds(outside, last, step) / _odds(outside, last, new_step)
    accept = (uniform[:, 2] < odds * (log_count - cloud.log_count).exp()) & ~refuse
    log_count = torch.where(accept, log_count, cloud.log_count)
    by, maps = by * accept[:, None], torch.where(accept[:, None, None, None], shifted_maps, cloud.maps)
    moved = shifted(cloud, way.along, by, maps[:, group], log_count)
    walked = torch.where(accept, walked, path)
    paths, place, low, high = moved.paths, moved.place, moved.low, moved.high
    paths[:, agent] = walked.to(torch.int8)
    place[:, agent], low[:, agent], high[:, agent] = walked[-1].T, walked.amin(0).T, walked.amax(0).T
    return moved._replace(maps=maps)


def _step(path: Tensor, time: Tensor) -> Tensor:
    """Return the steps int32 ``[2, M]`` made at these times ``[M]``."""
    index = time.expand(1, 2, -1)
    return (path.gather(0, index + 1) - path.gather(0, index))[0]


def _odds(outside: Tensor, time: Tensor, step: Tensor) -> Tensor:
    """Return how many actions lead to a step, float32 ``[M]``."""
    walls = outside.gather(0, time[None])[0]
    blocked = sum((walls >> bit & 1 for bit in _BESIDE), torch.zeros_like(walls))
    return torch.where((step == 0).all(0), 1 + blocked, 1).to(torch.float32)


def _near(path: Tensor, walked: Tensor, mate: Tensor, first: Tensor, last: Tensor) -> Tensor:
    """Return bool ``[M]``: whether, while the walks differ, the agent on either one saw or may have hit the mate."""
    time = torch.arange(len(path), device=path.device)[:, None]
    during, around = (time > first) & (time <= last), (time >= first) & (time <= last)
    near = torch.zeros_like(first, dtype=torch.bool)
    mate_still = (mate[1:] == mate[:-1]).all(1)
    for way in (path, walked):
        x, y = (way - mate).abs().unbind(1)
        still = (way[1:] == way[:-1]).all(1) & mate_still & around[:-1]
        near |= (during & (torch.maximum(x, y) <= 1)).any(0) | (still & (x + y == 2)[:-1]).any(0)
    return near


def _remember(path: Tensor, outside: Tensor, resource: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """Draw the map of one agent's walk; say where it contradicts itself, or somebody else must have taken something.

    Args:
        path: int32 ``[T, 2, M]``.
        outside: windows int32 ``[T, M]``.
        resource: the same.
        width: of the board.

    Returns:
        int32 ``[M, 3, W + 2]`` and bool ``[M]``.
    """
    rows = torch.arange(3, dtype=torch.int32, device=path.device)
    bits = 3 * rows
    boards = torch.zeros(path.shape[2], 3, width + 2, dtype=torch.int32, device=path.device)
    wrong = torch.zeros(path.shape[2], 3, dtype=torch.int32, device=path.device)
    for (x, y), beyond, lying in zip(path.clamp(0, width - 1), outside, resource, strict=True):
        index = (x[:, None] + rows).to(torch.int64)[:, None].expand(-1, 3, -1)
        column = y[:, None]
        see, lie, here = (
            (window >> bits & 7) << column for window in ((~beyond & WINDOW)[:, None], lying[:, None], 1 << _HERE)
        )
        before = boards.gather(2, index)
        seen, found, gone = before.unbind(1)
        left = found & ~gone
        vanished = see & ~lie & left
        wrong |= (lie & seen & ~left) | (vanished & ~here)
        boards.scatter_(2, index, before | torch.stack((see, lie, vanished), 1))
    assert (SEEN, FOUND, GONE) == (0, 1, 2)
    return boards, (wrong != 0).any(1)
