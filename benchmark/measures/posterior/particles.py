"""Particles for Gathering: where all agents have been, and with it what all have seen where.

A particle is one way how everybody may have walked. It fixes which cells have been seen, and what lay there; the
resources not yet seen then lie evenly on the other cells, which is summed over exactly. A filter is P weighted
particles; Q of them, one per mind, are laid end to end (M = Q * P).
"""

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from benchmark.measures.posterior.bitboards import WINDOW, around, count, count_rows, pack, stamp, union
from benchmark.measures.posterior.clouds import Cloud, systematic
from benchmark.tasks.board import CROSS_MOVES, bounce
from benchmark.tasks.gathering import AGENT, OUTSIDE, PATCH, RESOURCE, Gathering

SEEN, FOUND, GONE = range(3)
STAY = CROSS_MOVES.index((0, 0))
# How readily an agent beside another one is taken to have been held back.
_HELD_BACK = 0.1
# Only agents so near can hold each other back.
_NEAR = 2


class Sight(NamedTuple):
    """What Q minds see: windows int32 ``[Q, N]`` around the agents; or have seen, ``[T, Q, N]``."""

    outside: Tensor
    resource: Tensor
    agent: Tensor

    def rows(self, minds: Tensor) -> "Sight":
        """Select minds."""
        return Sight(*(entry[..., minds, :] for entry in self))

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
    shared = (_gaps(place) == 0).all(-1).sum((-1, -2)) > task.agents
    sound = _in_sight(place.flatten(0, 1), sight.repeat(place.shape[1])).view(place.shape[:2]) & ~shared
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
        habits: float32 ``[M, N, 5]``, the probabilities of everybody's actions.
        uniform: float32 ``[M, N]`` in [0, 1).
    """
    particles, width = cloud.log_weight.shape[1], task.width
    sight = sight.repeat(particles)
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
    """Return bool ``[M]``: whether agents at these places see each other as they do; nobody sees who is on its cell."""
    dx, dy = _gaps(place).unbind(-1)
    sees = (dx.abs() <= 1) & (dy.abs() <= 1) & ((dx != 0) | (dy != 0))
    windows = torch.where(sees, 1 << ((dx + 1) * 3 + dy + 1).clamp(0, 8), 0).to(torch.int32)
    return (union(windows, -1) == sight.agent).all(1)


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
