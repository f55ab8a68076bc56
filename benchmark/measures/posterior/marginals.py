"""What Gathering's particles say about each hidden variable."""

import math
from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

from benchmark.measures.posterior.bitboards import count, count_rows, inside, union, unpack
from benchmark.measures.posterior.clouds import Cloud, systematic
from benchmark.tasks.gathering import Gathering

# Particles that stand for all where whole boards are summed over.
_BOARDS = 64
# How many particles the even distribution over all shifts of an agent's path counts for.
_EVEN = 100


def _weights(cloud: Cloud) -> Tensor:
    """Return normalised weights float32 ``[Q, P]``; even ones if none is left."""
    return cloud.log_weight.nan_to_num(neginf=-1e9).softmax(1)


def places(task: Gathering, cloud: Cloud) -> Tensor:
    """Return the agents' distributions over cells, and 0 for nowhere: float32 ``[Q, N, cells + 1]``.

    Where particles are few, they are helped by what they would be if each could shift an agent's path at will within
    the walls. With more of them that counts for less.
    """
    minds, particles = cloud.log_weight.shape
    agents, width = task.agents, task.width
    weights = _weights(cloud)
    spread = weights[..., None].expand(-1, -1, agents).transpose(1, 2)  # [Q, N, P]
    x, y = cloud.place.view(minds, particles, agents, 2).transpose(1, 2).to(torch.int64).unbind(-1)
    counted = torch.zeros(minds, agents, width**2, device=x.device).scatter_add_(2, x * width + y, spread)
    free = (cloud.low > 0) & (cloud.high < width - 1)
    least, most = cloud.place + (1 - cloud.low) * free, cloud.place + (width - 2 - cloud.high) * free
    share = spread / (most - least + 1).prod(-1).view(minds, particles, agents).transpose(1, 2)
    even = torch.zeros(minds, agents, (width + 1) ** 2, device=x.device)
    for column, sign_x in ((least[..., 0], 1), (most[..., 0] + 1, -1)):
        for row, sign_y in ((least[..., 1], 1), (most[..., 1] + 1, -1)):
            corner = (column * (width + 1) + row).view(minds, particles, agents).transpose(1, 2).to(torch.int64)
            even.scatter_add_(2, corner, share * sign_x * sign_y)
    even = even.unflatten(2, (width + 1, width + 1)).cumsum(2).cumsum(3)[..., :-1, :-1].flatten(2).clamp(min=0)
    many = (1.0 / (weights**2).sum(1))[:, None, None]
    mixed = (many * counted + _EVEN * even) / (many + _EVEN)
    return torch.nn.functional.pad(mixed, (0, 1))


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
