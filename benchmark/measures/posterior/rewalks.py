"""Other moves of Gathering's particles: somebody may have walked another way and seen the same.

Where other agents have been, and so where they have seen what, is never told. Resampling leaves ever fewer versions of
how they came to where they are; these moves (Metropolis & Hastings) make new ones. Two steps of a path are exchanged,
or one is replaced, which shifts all that follows.
"""

import torch
from torch import Tensor

from benchmark.measures.posterior.bitboards import WINDOW, union
from benchmark.measures.posterior.moves import entangled
from benchmark.measures.posterior.particles import FOUND, GONE, SEEN, Cloud, Sight, tables, ways
from benchmark.tasks.gathering import PATCH, Gathering

# The bits of the cells that an agent may step onto, in the order of the moves; and of its own.
_BESIDE = tuple(PATCH.index(offset) for offset in ((1, 0), (-1, 0), (0, 1), (0, -1)))
_HERE = PATCH.index((0, 0))


def rewalk(
    task: Gathering, cloud: Cloud, past: Sight, agent: int, exchange: bool, others: Tensor, uniform: Tensor
) -> Cloud:
    """Propose another walk of one agent.

    Args:
        task: the task.
        cloud: Q filters of P particles.
        past: what Q minds have seen so far, int32 ``[T, Q, N]``.
        agent: whose walk.
        exchange: two steps, or else replace one.
        others: bool ``[Q]``: for which minds that is another agent, whose actions they do not know.
        uniform: float32 ``[M, 3]`` in [0, 1).
    """
    particles, length = cloud.log_weight.shape[1], len(cloud.paths)
    path = cloud.paths[:, agent].to(torch.int32)  # [T, 2, M]
    # What came last matters most.
    ago = torch.stack((uniform[:, 0] ** 2, uniform[:, 1]))
    times = length - 2 - (ago * (length - 1)).to(torch.int64)
    first, last = times.amin(0), times.amax(0)
    if exchange:
        step, other_step = _step(path, first), _step(path, last)
    else:
        first, last = times[0], torch.full_like(first, length - 1)
        step = _step(path, first)
        other_step = tables(task, path.device).moves[(uniform[:, 1] * 5).to(torch.int64)].T
    time = torch.arange(length, device=path.device)[:, None]
    changed = (time > first) & (time <= last)
    walked = path + changed[:, None] * (other_step - step)

    outside, resource = (entry[:, :, agent].repeat_interleave(particles, 1) for entry in (past.outside, past.resource))
    width = task.width
    cell = (walked[:, 0].clamp(-1, width) + 1) * (width + 2) + walked[:, 1].clamp(-1, width) + 1
    sound = (tables(task, path.device).outside[cell] == outside).all(0) & others.repeat_interleave(particles)
    board, contradicts = _remember(walked, outside, resource, width)
    rest = [mate for mate in range(task.agents) if mate != agent]
    refuse = ~sound | contradicts
    if rest:
        theirs = union(cloud.maps[:, rest], 1)
        refuse |= entangled(cloud.maps[:, agent], theirs) | entangled(board, theirs)
        log_count = ways(task, board | theirs)
    else:
        log_count = ways(task, board)
    for mate in rest:
        refuse |= _near(path, walked, cloud.paths[:, mate].to(torch.int32), first, last)
    # Where walls stop more attempts, an agent is more likely to stay.
    odds = _odds(outside, first, other_step) / _odds(outside, first, step)
    if exchange:
        odds = odds * _odds(outside, last, step) / _odds(outside, last, other_step)
    accept = (uniform[:, 2] < odds * (log_count - cloud.log_count).exp()) & ~refuse
    walked = torch.where(accept, walked, path)
    paths, maps = cloud.paths.clone(), cloud.maps.clone()
    paths[:, agent] = walked.to(torch.int8)
    maps[:, agent] = torch.where(accept[:, None, None], board, maps[:, agent])
    place, low, high = cloud.place.clone(), cloud.low.clone(), cloud.high.clone()
    place[:, agent], low[:, agent], high[:, agent] = walked[-1].T, walked.amin(0).T, walked.amax(0).T
    return Cloud(place, low, high, maps, paths, torch.where(accept, log_count, cloud.log_count), cloud.log_weight)


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
    shift = 3 * rows
    boards = torch.zeros(path.shape[2], 3, width + 2, dtype=torch.int32, device=path.device)
    wrong = torch.zeros(path.shape[2], 3, dtype=torch.int32, device=path.device)
    for (x, y), beyond, lying in zip(path.clamp(0, width - 1), outside, resource, strict=True):
        index = (x[:, None] + rows).to(torch.int64)[:, None].expand(-1, 3, -1)
        column = y[:, None]
        see, lie, here = (
            (window >> shift & 7) << column for window in ((~beyond & WINDOW)[:, None], lying[:, None], 1 << _HERE)
        )
        before = boards.gather(2, index)
        seen, found, gone = before.unbind(1)
        left = found & ~gone
        vanished = see & ~lie & left
        wrong |= (lie & seen & ~left) | (vanished & ~here)
        boards.scatter_(2, index, before | torch.stack((see, lie, vanished), 1))
    assert (SEEN, FOUND, GONE) == (0, 1, 2)
    return boards, (wrong != 0).any(1)
