"""What Gathering's particles say about each hidden variable."""

import math
from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

from benchmark.measures.posterior.bitboards import count, count_rows, inside, union, unpack
from benchmark.measures.posterior.clouds import Cloud, systematic, take
from benchmark.measures.posterior.moves import fitting, groups, shifts
from benchmark.tasks.gathering import Gathering

# Particles that stand for all where whole boards are summed over.
_BOARDS = 64
# Particles that stand for all where moves are summed over, for how many these count, and the team among the groups.
SPREAD, _EVEN, _TEAM = 384, 4000, 0.05


def _weights(cloud: Cloud) -> Tensor:
    """Return normalised weights float32 ``[Q, P]``; even ones if none is left."""
    return cloud.log_weight.nan_to_num(neginf=-1e9).softmax(1)


def places(task: Gathering, cloud: Cloud, uniform: Tensor) -> Tensor:
    """Return the agents' distributions over cells, and 0 for nowhere: float32 ``[Q, N, cells + 1]``.

    Where particles are few, they are helped by what moves would make of them, as far as they are accepted: groups
    evenly spread over all shifts of their paths. With more particles that counts for less.

    Args:
        task: the task.
        cloud: Q filters of P particles.
        uniform: float32 ``[Q, 1 + 2 * SPREAD]`` in [0, 1).
    """
    width, weights = task.width, _weights(cloud)
    many = (1.0 / (weights**2).sum(1))[:, None]
    counts = [_spread(place, place, weights, width) for place in cloud.place.unbind(1)]
    chosen = systematic(weights.double(), uniform[:, 0], SPREAD)
    rows = (torch.arange(len(weights), device=chosen.device)[:, None] * weights.shape[1] + chosen).flatten()
    cloud = take(cloud, rows, len(weights))
    weights, uniform = torch.full_like(chosen, 1, dtype=torch.float32) / chosen.shape[1], uniform[:, 1:].reshape(-1, 2)
    evenly = torch.zeros(task.agents, len(weights), width**2, device=weights.device)
    shares = torch.zeros(task.agents, len(weights), 1, device=weights.device)
    for group in groups(task.agents):
        least, most = shifts(cloud, group, width)
        by = least + (uniform * (most - least + 1)).to(torch.int32)
        accept = fitting(task, cloud, group, by)[2].view_as(weights)
        # The team as a whole can always be shifted, but hardly ever far.
        share = (weights * accept).sum(1, keepdim=True) * (_TEAM if len(group) == task.agents else 1.0)
        for agent in group:
            place = cloud.place[:, agent]
            even = _spread(place + least, place + most, weights * accept, width)
            kept = _spread(place, place, weights * (1 - accept), width)
            evenly[agent] += share * (even + kept)
            shares[agent] += share
    beliefs = [
        (many * counted + _EVEN * even) / (many + _EVEN) for counted, even in zip(counts, evenly / shares, strict=True)
    ]
    return torch.nn.functional.pad(torch.stack(beliefs, 1), (0, 1))


def _spread(low: Tensor, high: Tensor, weights: Tensor, width: int) -> Tensor:
    """Spread weights ``[Q, P]`` evenly over rectangles from ``low`` to ``high`` ``[M, 2]``: float32 ``[Q, cells]``."""
    share = weights / (high - low + 1).prod(1).view_as(weights)
    corners = torch.zeros(len(weights), (width + 1) ** 2, device=weights.device)
    for column, sign_x in ((low[:, 0], 1), (high[:, 0] + 1, -1)):
        for row, sign_y in ((low[:, 1], 1), (high[:, 1] + 1, -1)):
            corner = (column * (width + 1) + row).to(torch.int64).view_as(weights)
            corners.scatter_add_(1, corner, share * sign_x * sign_y)
    return corners.unflatten(1, (width + 1, width + 1)).cumsum(1).cumsum(2)[:, :-1, :-1].flatten(1).clamp(min=0)


def resources(task: Gathering, cloud: Cloud) -> Tensor:
    """Return the distributions of the sorted remaining resources, float32 ``[Q, K, cells + 1]``.

    Of u unseen cells each is as likely as any other to hold one of the m resources that are missing. The k-th of all
    lies on a given cell if so many of the missing as it takes lie before it: a hypergeometric probability.
    """
    minds, particles = cloud.log_weight.shape
    weights = _weights(cloud)
    seen, found, gone = union(cloud.maps, 1).unbind(1)
    result = torch.zeros(minds, task.resources, task.width**2 + 1, device=seen.device)
    left = task.resources - count(gone).view(minds, particles)
    for rank in range(task.resources):
        result[:, rank, -1] = (weights * (left <= rank)).sum(1)
    _add_known(task, result, weights.flatten(), seen, found, found & ~gone)
    # What has not been seen differs little from particle to particle.
    offset = torch.full_like(weights[:, 0], 0.5)
    chosen = systematic(weights.double(), offset, min(_BOARDS, particles))
    chosen += torch.arange(minds, device=chosen.device)[:, None] * particles
    seen, found, gone = (board[chosen] for board in (seen, found, gone))
    unseen, known = ~unpack(seen), unpack(found & ~gone)
    before, known_before = (board.cumsum(-1) - board.to(torch.int64) for board in (unseen, known))
    missing = (task.resources - count(found))[..., None]
    ways = _choose(task, unseen.device)
    all_ways = ways(before[..., -1:] + unseen[..., -1:], missing)
    for rank in range(task.resources):
        first = rank - known_before
        beyond = before[..., -1:] + unseen[..., -1:].to(torch.int64) - 1 - before
        chance = ways(before, first) * ways(beyond, missing - 1 - first) / all_ways
        result[:, rank, :-1] += (chance * unseen).mean(1)
    return result


def _add_known(task: Gathering, result: Tensor, weights: Tensor, seen: Tensor, found: Tensor, left: Tensor) -> None:
    """Add, in place, the resources whose cells the particles know."""
    minds, resources, cells = result.shape
    unseen = ~seen & inside(task.width, seen.device)
    in_row, known_in_row = count_rows(unseen), count_rows(left)
    before, known_before = in_row.cumsum(1) - in_row, known_in_row.cumsum(1) - known_in_row
    ways, missing = _choose(task, seen.device), task.resources - count(found)
    entries = (left * (weights > 0)[:, None]).nonzero()
    rest = left[entries[:, 0], entries[:, 1]]
    while len(entries):
        particle, row = entries.unbind(1)
        below = (rest & -rest) - 1
        first = before[particle, row] + count_rows(unseen[particle, row] & below)
        rank = known_before[particle, row] + count_rows(left[particle, row] & below)
        total, lacking = in_row.sum(1)[particle], missing[particle]
        cell = (row - 1) * task.width + count_rows(below) - 1
        for number in range(resources):
            chance = ways(first, number - rank) * ways(total - first, lacking - number + rank) / ways(total, lacking)
            index = (particle // (len(weights) // minds) * resources + number) * cells + cell
            result.view(-1).index_add_(0, index, chance * weights[particle])
        rest = rest & (rest - 1)
        entries, rest = entries[rest != 0], rest[rest != 0]


@lru_cache(maxsize=8)
def _choose(task: Gathering, device: torch.device) -> Callable[[Tensor, Tensor], Tensor]:
    """Return a function of n and k: in how many ways k of n can be chosen, float32; none if k is out of range."""
    columns = range(-task.resources - 1, task.resources + 1)
    rows = [[math.comb(n, k) if k >= 0 else 0 for k in columns] for n in range(task.width**2 + 1)]
    table = torch.tensor([*rows, [0] * len(columns)], dtype=torch.float32, device=device).flatten()
    return lambda n, k: table[n * len(columns) + k.clamp(-task.resources - 1, task.resources) + task.resources + 1]
