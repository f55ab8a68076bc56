"""Gathering: particles over everybody's walks, exact sums over what has not been seen.

No exact filter fits into a computer: everybody's walk is hidden, and what was seen along it is a map that matters for
ever. This one converges with the number of particles (see ``particles``); its error is measured in the tests.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from itertools import combinations
from typing import NamedTuple

import torch
from torch import Tensor

from benchmark.measures.posterior.bitboards import WIDEST, count, count_rows, inside, union, unpack
from benchmark.measures.posterior.filtering import Posterior, log_normalised
from benchmark.measures.posterior.particles import (
    Cloud,
    Sight,
    advance,
    look,
    move,
    start,
    systematic,
)
from benchmark.tasks.board import CROSS_MOVES
from benchmark.tasks.gathering import Gathering
from benchmark.tasks.streams import bits, uniform

PARTICLES = 1024
# Resample when fewer than this share of the particles would weigh as much if they weighed alike.
_WORN = 0.5
# What leaves a smaller share is a surprise, and tried again with moved particles so many times.
_SURPRISE, _TRIES = 0.05, 8
# Candidates per particle for where everybody starts.
_CANDIDATES = 32
# Particles laid end to end, to stay in the processor's cache.
_AT_ONCE = 32_768
# Particles that stand for all where whole boards are summed over.
_BOARDS = 64
# How many particles the even distribution over all shifts of an agent's path counts for.
_EVEN = 100


def posterior(task: Gathering, slip: float, particles: int = PARTICLES) -> "GatheringPosterior":
    """Return the filter with this many particles for each agent of each episode."""
    return GatheringPosterior(task, slip, particles)


class Knowledge(NamedTuple):
    """What each agent knows."""

    keys: Tensor  # int64 [B, N]
    clouds: tuple[Cloud, ...]  # of a few episodes each; empty before the first observation
    step: int
    lost: Tensor  # int64 [B, N]: how often no particle was left, and the filter began anew


class GatheringPosterior(Posterior):
    """What agent n believes who sees all patches and knows its own actions, while the others' are uniform."""

    task: Gathering

    def __init__(self, task: Gathering, slip: float, particles: int) -> None:
        super().__init__(task)
        if task.width > WIDEST:
            raise ValueError(f"exact_posterior: gathering's width={task.width} is above {WIDEST}, the widest allowed")
        self.slip = slip
        self.particles = particles

    def prior(self, keys: Tensor) -> Knowledge:
        """Know nothing."""
        own = bits(keys, 0, "posterior", self.task.agents)
        return Knowledge(own, (), 0, torch.zeros_like(own))

    def update(self, evidence: Knowledge, observations: Tensor, actions: Tensor | None) -> Knowledge:
        """Let the particles walk, and keep those that fit what is seen."""
        size = max(1, _AT_ONCE // (self.task.agents * self.particles))
        clouds, lost = [], []
        for number, keys in enumerate(evidence.keys.split(size)):
            rows = slice(number * size, number * size + len(keys))
            sight, keys = look(observations[rows].flatten(0, 1), self.task.agents), keys.flatten()
            if actions is None:
                cloud = self._start(sight, keys, evidence.step)
            else:
                habits = self._habits(actions[rows])
                cloud = self._follow(evidence.clouds[number], sight, habits, keys, evidence.step)
            gone = cloud.log_weight.amax(1) == -torch.inf
            if bool(gone.any()):
                fresh = self._start(sight.rows(gone), keys[gone], evidence.step)
                _replace(cloud, fresh, gone.nonzero()[:, 0])
            clouds.append(cloud)
            lost.append(gone.view(-1, self.task.agents))
        return Knowledge(evidence.keys, tuple(clouds), evidence.step + 1, evidence.lost + torch.cat(lost))

    def _start(self, sight: Sight, keys: Tensor, step: int) -> Cloud:
        candidates = self.particles * _CANDIDATES
        draws = _draw(keys, step, "posterior-start", candidates, self.task.agents)
        draws = draws.view(len(keys), candidates, -1).transpose(1, 2).contiguous()
        cloud = start(self.task, sight, draws, self.particles)
        paths = cloud.paths.new_full((step + 1, *cloud.paths.shape[1:]), 0)
        return cloud._replace(paths=paths + cloud.paths)

    def _habits(self, actions: Tensor) -> Tensor:
        """Return float32 ``[Q, N, 5]``: what each mind knows of everybody's actions ``[B, N]``."""
        own = torch.nn.functional.one_hot(actions, len(CROSS_MOVES)).to(torch.float32)
        own = (1.0 - self.slip) * own + self.slip / len(CROSS_MOVES)
        itself = torch.eye(actions.shape[1], dtype=torch.bool, device=actions.device)[..., None]
        return torch.where(itself, own[:, None], 1.0 / len(CROSS_MOVES)).flatten(0, 1)

    def _follow(self, before: Cloud, sight: Sight, habits: Tensor, keys: Tensor, step: int) -> Cloud:
        draws = _draw(keys, step, "posterior-walk", self.particles, self.task.agents)
        cloud = advance(self.task, before, sight, habits, draws)
        share = _effective(cloud.log_weight) / self.particles
        worn = (share < _WORN).nonzero()[:, 0]
        if not len(worn):
            return cloud
        weary = self._resampled(_minds(cloud, worn), keys[worn], step)
        _replace(cloud, weary, worn)
        surprised = (share < _SURPRISE).nonzero()[:, 0]
        if len(surprised):
            again = self._try_again(
                _minds(before, surprised), sight.rows(surprised), habits[surprised], keys[surprised], step
            )
            _replace(cloud, again, surprised)
        _replace(cloud, self._moved(_minds(cloud, worn), keys[worn], step, "posterior-move"), worn)
        return cloud

    def _try_again(self, before: Cloud, sight: Sight, habits: Tensor, keys: Tensor, step: int) -> Cloud:
        """Move the particles of the step before, advance them again, and resample from all tries together."""
        tries = []
        for number in range(_TRIES):
            before = self._moved(before, keys, step, f"posterior-retry-{number}")
            draws = _draw(keys, step, f"posterior-rewalk-{number}", self.particles, self.task.agents)
            tries.append(advance(self.task, before, sight, habits, draws))
        return self._resampled(_pooled(tries), keys, step)

    def _resampled(self, cloud: Cloud, keys: Tensor, step: int) -> Cloud:
        """Resample P particles of each filter, which weigh alike; nothing at all if none is left."""
        best = cloud.log_weight.amax(1, keepdim=True)
        weights = (cloud.log_weight - best).exp().nan_to_num(0.0).double()
        offset = uniform(bits(keys, step, "posterior-resample", 1))[:, 0]
        chosen = systematic(weights, offset, self.particles)
        first = torch.arange(len(keys), device=keys.device)[:, None] * cloud.log_weight.shape[1]
        taken = cloud.take((first + chosen).flatten(), len(keys))
        return taken._replace(log_weight=taken.log_weight.masked_fill(best == -torch.inf, -torch.inf))

    def _moved(self, cloud: Cloud, keys: Tensor, step: int, purpose: str) -> Cloud:
        for number, group in enumerate(_groups(self.task.agents)):
            draws = _draw(keys, step, f"{purpose}-{number}", cloud.log_weight.shape[1], 3)
            cloud = move(self.task, cloud, group, draws)
        return cloud

    def marginals(self, evidence: Knowledge) -> tuple[Tensor, ...]:
        """Return the posteriors of the sorted resources, then of the agents' places."""
        found = [torch.cat((_resources(self.task, cloud), _places(self.task, cloud)), 1) for cloud in evidence.clouds]
        beliefs = torch.cat(found).unflatten(0, (-1, self.task.agents)).unbind(2)
        split = self.task.resources
        # No agent is nowhere.
        return *map(log_normalised, beliefs[:split]), *(log_normalised(belief[..., :-1]) for belief in beliefs[split:])


@lru_cache(maxsize=8)
def _groups(agents: int) -> tuple[tuple[int, ...], ...]:
    """Return all groups of one or two agents and the whole team."""
    groups = {group for size in (1, 2, agents) for group in combinations(range(agents), size)}
    return tuple(sorted(groups, key=lambda group: (len(group), group)))


def _draw(keys: Tensor, step: int, purpose: str, particles: int, lanes: int) -> Tensor:
    """Return float32 ``[Q * particles, lanes]`` in [0, 1)."""
    return uniform(bits(keys, step, purpose, particles * lanes)).view(-1, lanes)


def _effective(log_weight: Tensor) -> Tensor:
    """Return how many particles that weigh alike would be worth as much, ``[Q, P] -> [Q]``; 0 if none is left."""
    weights = (log_weight - log_weight.amax(1, keepdim=True)).exp().nan_to_num(0.0)
    return weights.sum(1) ** 2 / (weights**2).sum(1).clamp(min=1e-12)


def _lanes(minds: Tensor, particles: int) -> Tensor:
    return (minds[:, None] * particles + torch.arange(particles, device=minds.device)).flatten()


def _minds(cloud: Cloud, minds: Tensor) -> Cloud:
    """Select filters, int64."""
    chosen = cloud.take(_lanes(minds, cloud.log_weight.shape[1]), len(minds))
    return chosen._replace(log_weight=cloud.log_weight[minds])


def _replace(cloud: Cloud, by: Cloud, minds: Tensor) -> None:
    """Put other filters in the place of some, in place."""
    rows = _lanes(minds, cloud.log_weight.shape[1])
    for entry, new in zip((*cloud[:4], cloud.log_count), (*by[:4], by.log_count), strict=True):
        entry.index_copy_(0, rows, new)
    cloud.paths.index_copy_(-1, rows, by.paths)
    cloud.log_weight.index_copy_(0, minds, by.log_weight)


def _pooled(clouds: list[Cloud]) -> Cloud:
    """Lay the particles of several clouds of the same Q filters end to end."""
    minds, particles = clouds[0].log_weight.shape
    log_weight = torch.cat([cloud.log_weight for cloud in clouds], 1)

    def joined(entries: list[Tensor]) -> Tensor:
        parts = [entry.unflatten(0, (minds, particles)) for entry in entries]
        return torch.cat(parts, 1).flatten(0, 1)

    first = [joined(list(entries)) for entries in zip(*(cloud[:4] for cloud in clouds), strict=True)]
    paths = torch.cat([cloud.paths.unflatten(-1, (minds, particles)) for cloud in clouds], -1).flatten(-2)
    return Cloud(*first, paths, joined([cloud.log_count for cloud in clouds]), log_weight)


def _weights(cloud: Cloud) -> Tensor:
    """Return normalised weights float32 ``[Q, P]``; even ones if none is left."""
    return cloud.log_weight.nan_to_num(neginf=-1e9).softmax(1)


def _places(task: Gathering, cloud: Cloud) -> Tensor:
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


def _resources(task: Gathering, cloud: Cloud) -> Tensor:
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
