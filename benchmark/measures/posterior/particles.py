"""Particles for Gathering: where all agents have been, and with it what all have seen where.

A particle is one way how everybody may have walked. It fixes which cells have been seen, and what lay there; the
resources not yet seen then lie evenly on the other cells, which is summed over exactly. A filter is P weighted
particles; Q of them, one per mind, are laid end to end (M = Q * P).

Resampling thins out where everybody started, which no later step brings back. So *moves* follow: whole paths of some of
the agents are shifted to where they fit as well (Gilks & Berzuini, *Following a moving target*, JRSS B 2001). Before a
surprise (two agents meet, say) is believed, the particles of the step before are moved on and tried again.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from benchmark.measures.posterior.bitboards import WINDOW, around, count, count_rows, pack, shift, stamp, union
from benchmark.tasks.board import CROSS_MOVES, bounce
from benchmark.tasks.gathering import AGENT, OUTSIDE, PATCH, RESOURCE, Gathering

SEEN, FOUND, GONE = range(3)
STAY = CROSS_MOVES.index((0, 0))
# How readily an agent beside another one is taken to have been held back.
_HELD_BACK = 0.1
# Agents that never came so near each other cannot have met or held each other back.
_NEAR = 2


class Cloud(NamedTuple):
    """Q filters of P particles, M = Q * P."""

    place: Tensor  # int32 [M, N, 2]: where each agent is
    low: Tensor  # int32 [M, N, 2]: the least coordinates of its path
    high: Tensor  # int32 [M, N, 2]: the largest
    # int32 [M, N, 3, W + 2]: the cells each agent has seen, those where it knows of a resource, and of these those where
    # it has seen that it is gone.
    maps: Tensor
    paths: Tensor  # int8 [T, N, 2, M]: all places so far
    log_count: Tensor  # float32 [M]: logarithm of the number of ways in which the unseen resources may lie
    log_weight: Tensor  # float32 [Q, P]

    def take(self, rows: Tensor, minds: int) -> "Cloud":
        """Select particles int64 ``[minds * P]``; they weigh alike."""
        rest = (entry[rows] for entry in self[:4])
        weight = self.log_weight.new_zeros(minds, len(rows) // minds)
        return Cloud(*rest, self.paths[..., rows], self.log_count[rows], weight)


class Sight(NamedTuple):
    """What Q minds see: windows int32 ``[Q, N]`` around the agents."""

    outside: Tensor
    resource: Tensor
    agent: Tensor

    def rows(self, minds: Tensor) -> "Sight":
        """Select minds."""
        return Sight(*(entry[minds] for entry in self))

    def repeat(self, particles: int) -> "Sight":
        """Repeat for every particle: ``[M, N]``."""
        return Sight(*(entry.repeat_interleave(particles, 0) for entry in self))


def look(observations: Tensor, agents: int) -> Sight:
    """Read observations float32 ``[Q, 9 * N]``."""
    patches = observations.unflatten(1, (agents, len(PATCH)))
    return Sight(*(pack(patches == code) for code in (OUTSIDE, RESOURCE, AGENT)))


class Tables(NamedTuple):
    """Constants of a task."""

    outside: (
        Tensor  # int32 [(W + 2)**2]: the window of what lies outside around cell (x, y) at (x + 1, y + 1); -1 if itself
    )
    log_count: Tensor  # float32 [W**2 + 1, K + 10]: logarithm of (cells over resources), for -9 to K resources
    bits: Tensor  # int64 [512]: bits of a window
    moves: Tensor  # int32 [5, 2]


@lru_cache(maxsize=8)
def tables(task: Gathering, device: torch.device) -> Tables:
    """Return a task's constants."""
    inside = range(task.width)
    outside = [
        sum(1 << place for place, (dx, dy) in enumerate(PATCH) if x + dx not in inside or y + dy not in inside)
        if x in inside and y in inside
        else -1
        for x in range(-1, task.width + 1)
        for y in range(-1, task.width + 1)
    ]
    ways = [
        [
            math.log(math.comb(cells, left)) if 0 <= left <= cells else -math.inf
            for left in range(-9, task.resources + 1)
        ]
        for cells in range(task.width**2 + 1)
    ]
    return Tables(
        torch.tensor(outside, dtype=torch.int32, device=device),
        torch.tensor(ways, device=device),
        count_rows(torch.arange(512, device=device)),
        torch.tensor(CROSS_MOVES, dtype=torch.int32, device=device),
    )


def ways(task: Gathering, maps: Tensor) -> Tensor:
    """Return the logarithm ``[M]`` of how many ways the unseen resources may lie, for joint maps ``[M, 3, W + 2]``.

    It is minus infinity if more have been found than there are, or if all are gone: then the episode would have ended.
    """
    seen, found, gone = count(maps).unbind(1)
    index = (task.width**2 - seen) * (task.resources + 10) + (task.resources - found).clamp(min=-9) + 9
    known = tables(task, maps.device).log_count.flatten()[index]
    return known.masked_fill(gone >= task.resources, -math.inf)


def start(task: Gathering, sight: Sight, uniform: Tensor, particles: int) -> Cloud:
    """Draw from the posterior of the first observation.

    Args:
        task: the task.
        sight: of Q minds.
        uniform: float32 ``[Q, N, C]`` in [0, 1), for C candidates.
        particles: P.
    """
    device, width = uniform.device, task.width
    outside = tables(task, device).outside.view(width + 2, width + 2)[1:-1, 1:-1].flatten()
    fits = (outside == sight.outside[..., None]).to(torch.int32).cumsum(-1)  # [Q, N, cells]
    rank = (uniform * fits[..., -1:]).to(torch.int32) + 1
    cells = torch.searchsorted(fits, rank).clamp(max=width**2 - 1).transpose(1, 2)  # [Q, C, N]
    place = torch.stack((cells // width, cells % width), -1).to(torch.int32)
    sound = _in_sight(place.flatten(0, 1), sight.repeat(place.shape[1])).view(place.shape[:2])
    chosen = systematic(sound.to(torch.float64), torch.full_like(uniform[:, 0, 0], 0.5), particles)
    place = place.gather(1, chosen[..., None, None].expand(-1, -1, *place.shape[2:])).flatten(0, 1)
    nothing = torch.zeros(len(place), task.agents, 3, width + 2, dtype=torch.int32, device=device)
    maps, clash = _observe(nothing, place, sight.repeat(particles), width)
    log_count = ways(task, union(maps, 1))
    lost = clash | ~sound.any(1).repeat_interleave(particles)
    log_weight = log_count.masked_fill(lost, -math.inf).view(-1, particles)
    return Cloud(
        place, place.clone(), place.clone(), maps, place.permute(1, 2, 0).to(torch.int8)[None], log_count, log_weight
    )


def advance(task: Gathering, cloud: Cloud, sight: Sight, habits: Tensor, uniform: Tensor) -> Cloud:
    """Walk one step and weigh by what is seen then.

    Args:
        task: the task.
        cloud: Q filters of P particles.
        sight: of Q minds.
        habits: float32 ``[Q, N, 5]``, the probabilities of everybody's actions.
        uniform: float32 ``[M, N]`` in [0, 1).
    """
    particles, width = cloud.log_weight.shape[1], task.width
    sight, habits = sight.repeat(particles), habits.repeat_interleave(particles, 0)
    fit, leads = _fit(task, cloud, sight)
    # An action that leads nowhere leaves its agent where it is; so may another agent.
    held = fit[..., STAY:] * _near(cloud.place)[..., None] * _HELD_BACK
    chance = habits * (torch.where(leads, fit, fit[..., STAY:]) + held)
    total = chance.cumsum(-1)
    actions = (uniform[..., None] * total[..., -1:] >= total).sum(-1, keepdim=True).clamp(max=STAY)
    chosen = chance.gather(-1, actions)[..., 0]
    correction = (habits.gather(-1, actions)[..., 0] * total[..., -1] / chosen).log().sum(1)

    moves = tables(task, habits.device).moves[actions[..., 0]] * leads.gather(-1, actions)
    place, target = (entry[..., 0] * width + entry[..., 1] for entry in (cloud.place, cloud.place + moves))
    arrived = bounce(place, target)
    place = torch.stack((arrived // width, arrived % width), -1)
    executed = torch.where((arrived == target)[..., None] & leads.gather(-1, actions), actions, STAY)
    sound = (fit.gather(-1, executed)[..., 0] > 0).all(1) & (chosen > 0).all(1) & _in_sight(place, sight)
    maps, clash = _observe(cloud.maps, place, sight, width)
    log_count = ways(task, union(maps, 1))
    dead = ~sound | clash | (cloud.log_count == -math.inf)
    change = (correction + log_count - cloud.log_count).masked_fill(dead, -math.inf)
    paths = torch.cat((cloud.paths, place.permute(1, 2, 0).to(torch.int8)[None]))
    low, high = torch.minimum(cloud.low, place), torch.maximum(cloud.high, place)
    return Cloud(place, low, high, maps, paths, log_count, cloud.log_weight + change.view(-1, particles))


def _fit(task: Gathering, cloud: Cloud, sight: Sight) -> tuple[Tensor, Tensor]:
    """Return how probable each agent's sight is after each move ``[M, N, 5]``, and which moves lead anywhere."""
    constants, width = tables(task, cloud.place.device), task.width
    x, y = cloud.place.unbind(-1)
    seen, found, gone = union(cloud.maps, 1).unbind(1)
    known, left = around(seen, x, y), around(found & ~gone, x, y)
    steps = constants.moves[:, 0] * (width + 2) + constants.moves[:, 1]
    outside = constants.outside[((x + 1) * (width + 2) + y + 1)[..., None] + steps]
    resource = sight.resource[..., None]
    # Where agents stand there is no resource any more.
    stood = sight.agent[..., None] | 1 << PATCH.index((0, 0))
    fits = (outside == sight.outside[..., None]) & ((known & ~stood & (left ^ resource)) == 0)
    fresh = (~known & ~outside & WINDOW).to(torch.int64)
    cells, resources = count(seen), count(found)
    unseen = (task.width**2 - cells)[:, None, None] - constants.bits[fresh]
    missing = (task.resources - resources)[:, None, None] - constants.bits[fresh & resource]
    index = unseen * (task.resources + 10) + missing.clamp(min=-9) + 9
    log_ratio = constants.log_count.flatten()[index.clamp(min=0)] - cloud.log_count[:, None, None]
    return log_ratio.exp().masked_fill(~fits, 0.0), outside >= 0


def _gaps(place: Tensor) -> Tensor:
    """Return int32 ``[..., N, N, 2]``: how far the second agent is from the first."""
    return place[..., None, :, :] - place[..., :, None, :]


def _near(place: Tensor) -> Tensor:
    """Return bool ``[..., N]``: who is near anybody."""
    return (_gaps(place).abs() <= _NEAR).all(-1).sum(-1) > 1


def _in_sight(place: Tensor, sight: Sight) -> Tensor:
    """Return bool ``[M]``: whether agents at these places see each other as they do, and none share a cell."""
    dx, dy = _gaps(place).unbind(-1)
    sees = (dx.abs() <= 1) & (dy.abs() <= 1)
    bit = torch.where(sees, 1 << ((dx + 1) * 3 + dy + 1).clamp(0, 8), 0).to(torch.int32)
    itself = 1 << PATCH.index((0, 0))
    return (bit.sum(-1) == sight.agent + itself).all(1)


def _observe(maps: Tensor, place: Tensor, sight: Sight, width: int) -> tuple[Tensor, Tensor]:
    """Enter what is seen into maps; return them, and bool ``[M]`` where two agents see one cell differently."""
    x, y = place.to(torch.int32).unbind(-1)
    seen = stamp(~sight.outside & WINDOW, x, y, width)
    resource = stamp(sight.resource, x, y, width)
    vanished = seen & ~resource & union(maps[:, :, FOUND], 1)[:, None]
    now = torch.stack((seen, resource | vanished, vanished), 2)
    differs = torch.zeros_like(seen[:, 0])
    for agent in range(1, seen.shape[1]):
        for other in range(agent):
            differs = differs | (seen[:, agent] & seen[:, other] & (resource[:, agent] ^ resource[:, other]))
    return maps | now, (differs != 0).any(-1)


def systematic(weights: Tensor, offset: Tensor, size: int) -> Tensor:
    """Resample ``size`` of the last axis: indices int64 ``[Q, size]`` for weights float64 ``[Q, P]``.

    Args:
        weights: not normalised.
        offset: ``[Q]`` in [0, 1).
        size: how many.
    """
    total = weights.cumsum(-1)
    marks = (torch.arange(size, device=weights.device) + offset[:, None].double()) / size * total[:, -1:]
    return torch.searchsorted(total, marks, right=True).clamp(max=weights.shape[1] - 1)


def move(task: Gathering, cloud: Cloud, group: tuple[int, ...], uniform: Tensor) -> Cloud:
    """Propose to shift the whole paths of a group of agents, and keep what fits as well (Metropolis & Hastings).

    Shifts are uniform among those that keep the group off the walls that it has not seen and at those that it has.
    Particles in which the group had to do with the others (they were near, or saw of each other's resources that
    they had gone) stay as they are, and none becomes such: that keeps the move reversible.

    Args:
        task: the task.
        cloud: Q filters of P particles; each keeps its weight.
        group: which agents.
        uniform: float32 ``[M, 3]`` in [0, 1).
    """
    members, width = list(group), task.width
    low, high = cloud.low[:, members].amin(1), cloud.high[:, members].amax(1)
    free = (low > 0) & (high < width - 1)
    least, most = (1 - low) * free, (width - 2 - high) * free
    by = least + (uniform[:, :2] * (most - least + 1)).to(torch.int32)
    shifted = shift(cloud.maps[:, members], by)
    others = [agent for agent in range(task.agents) if agent not in group]
    log_count, accept = cloud.log_count, torch.ones_like(by[:, 0], dtype=torch.bool)
    if others:
        theirs, ours, moved = union(cloud.maps[:, others], 1), union(cloud.maps[:, members], 1), union(shifted, 1)
        log_count = ways(task, moved | theirs)
        accept = (uniform[:, 2] < (log_count - cloud.log_count).exp()) & ~_entangled(ours | theirs, ours, theirs)
        accept &= ~_entangled(moved | theirs, moved, theirs) & ~_met(cloud.paths, members, others, by)
    by = by * accept[:, None]
    place, low, high = cloud.place.clone(), cloud.low.clone(), cloud.high.clone()
    maps, paths = cloud.maps.clone(), cloud.paths.clone()
    for agent, board in zip(group, shifted.unbind(1), strict=True):
        for entry in (place, low, high):
            entry[:, agent] += by
        maps[:, agent] = torch.where(accept[:, None, None], board, maps[:, agent])
        paths[:, agent] += by.T.to(torch.int8)
    return Cloud(place, low, high, maps, paths, torch.where(accept, log_count, cloud.log_count), cloud.log_weight)


def _entangled(joint: Tensor, ours: Tensor, theirs: Tensor) -> Tensor:
    """Return bool ``[M]``: whether a cell that both have seen was not the same, lasting thing to both."""
    both = ours[:, SEEN] & theirs[:, SEEN]
    return (both & ((ours[:, FOUND] ^ theirs[:, FOUND]) | joint[:, GONE]) != 0).any(-1)


def _met(paths: Tensor, members: list[int], others: list[int], by: Tensor) -> Tensor:
    """Return bool ``[M]``: whether a member was ever near another agent, before or after the shift."""
    met = torch.zeros_like(by[:, 0], dtype=torch.bool)
    step = by.T.to(torch.int8)
    for member in members:
        for other in others:
            gap = paths[:, member] - paths[:, other]  # [T, 2, M]
            for here in (gap, gap + step):
                near = here.abs() <= _NEAR
                met |= (near[:, 0] & near[:, 1]).any(0)
    return met
