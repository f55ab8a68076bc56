"""A particle filter for Gathering: walk, weigh, resample, move; and look twice where hardly anything fits."""

from typing import NamedTuple

import torch
from torch import Tensor

from benchmark.measures.posterior.clouds import Cloud, effective, minds_of, pooled, put, systematic, take
from benchmark.measures.posterior.moves import groups, move
from benchmark.measures.posterior.particles import Sight, advance, start
from benchmark.measures.posterior.rewalks import rewalk, ways_of_walking
from benchmark.measures.posterior.surprises import explain
from benchmark.tasks.gathering import Gathering
from benchmark.tasks.streams import bits, uniform

# Resample when fewer than this share of the particles would weigh as much if they weighed alike.
_WORN = 0.5
# What leaves a smaller share is a surprise. Where what explains it leaves fewer particles than a few, try on.
_SURPRISE, _FEW, _TRIES = 0.1, 30, 16
# How often particles are moved after a surprise.
_SWEEPS = 3
# Candidates per particle for where everybody starts.
_CANDIDATES = 32


class Filter(NamedTuple):
    """Filters of so many particles."""

    task: Gathering
    particles: int

    def start(self, sight: Sight, keys: Tensor, step: int) -> Cloud:
        """Begin with the observation of this step, for keys int64 ``[Q]``."""
        candidates = self.particles * _CANDIDATES
        draws = _draw(keys, step, "posterior-start", candidates, self.task.agents)
        draws = draws.view(len(keys), candidates, -1).transpose(1, 2).contiguous()
        cloud = self._moved(start(self.task, sight, draws, self.particles), keys, step, "posterior-start-move")
        paths = cloud.paths.new_full((step + 1, *cloud.paths.shape[1:]), 0)
        return cloud._replace(paths=paths + cloud.paths)

    def follow(self, before: Cloud, past: Sight, habits: Tensor, owner: Tensor, keys: Tensor) -> Cloud:
        """Go on by one step.

        Args:
            before: Q filters.
            past: what Q minds have seen, int32 ``[T, Q, N]``, now included.
            habits: float32 ``[Q, N, 5]``, the probabilities of what everybody has just done.
            owner: int64 ``[Q]``, whose mind it is.
            keys: int64 ``[Q]``.
        """
        sight, step = Sight(*(entry[-1] for entry in past)), len(past.agent) - 1
        draws = _draw(keys, step, "posterior-walk", self.particles, self.task.agents)
        cloud = advance(self.task, before, sight, habits.repeat_interleave(self.particles, 0), draws)
        share = effective(cloud.log_weight) / self.particles
        worn = (share < _WORN).nonzero()[:, 0]
        if not len(worn):
            return cloud
        put(cloud, self.resampled(minds_of(cloud, worn), keys[worn], step), worn)
        surprised = (share < _SURPRISE).nonzero()[:, 0]
        if len(surprised):
            some = minds_of(before, surprised)
            put(
                cloud,
                self._again(some, past.rows(surprised), habits[surprised], owner[surprised], keys[surprised]),
                surprised,
            )
        for number in range(_SWEEPS):
            some = worn if number == 0 else surprised
            if len(some):
                fresh = self._moved(minds_of(cloud, some), keys[some], step, f"posterior-move-{number}")
                fresh = self._rewalked(fresh, past.rows(some), owner[some], keys[some], number)
                put(cloud, fresh, some)
        return cloud

    def _rewalked(self, cloud: Cloud, past: Sight, owner: Tensor, keys: Tensor, number: int) -> Cloud:
        """Change everybody's walks in two of all ways, others at each step and time."""
        step = len(past.agent) - 1
        for agent in range(self.task.agents):
            ways = ways_of_walking(self.task.agents, agent)
            half = len(ways) // 2
            for way in (ways[(step + number) % half], ways[half + (step + number) % half]):
                draws = _draw(keys, step, f"posterior-rewalk-{number}-{agent}-{way.exchanges}", self.particles, 3)
                cloud = rewalk(self.task, cloud, past, agent, way, owner != agent, draws)
        return cloud

    def _again(self, before: Cloud, past: Sight, habits: Tensor, owner: Tensor, keys: Tensor) -> Cloud:
        """Shift the particles of the step before to what explains this one; where few fit, move and try again."""
        sight, step = Sight(*(entry[-1] for entry in past)), len(past.agent) - 1
        draws = _draw(keys, step, "posterior-guess", self.particles, 2 * self.task.agents + 3)
        found = pooled(explain(self.task, before, sight, habits, draws))
        result, minds = self.resampled(found, keys, step), torch.arange(len(keys), device=keys.device)
        for number in range(_TRIES):
            few = (effective(found.log_weight) < _FEW).nonzero()[:, 0]
            if not len(few):
                break
            past, sight, minds = past.rows(few), sight.rows(few), minds[few]
            habits, owner, keys = habits[few], owner[few], keys[few]
            before = self._moved(minds_of(before, few), keys, step, f"posterior-retry-{number}")
            if step > 1:
                until_then = Sight(*(entry[:-1] for entry in past))
                before = self._rewalked(before, until_then, owner, keys, _SWEEPS + number)
            draws = _draw(keys, step, f"posterior-retry-walk-{number}", self.particles, self.task.agents)
            tried = advance(self.task, before, sight, habits.repeat_interleave(self.particles, 0), draws)
            found = pooled([minds_of(found, few), tried])
            put(result, self.resampled(found, keys, step), minds)
        return result

    def resampled(self, cloud: Cloud, keys: Tensor, step: int) -> Cloud:
        """Resample P particles of each filter, which weigh alike; nothing at all if none is left."""
        best = cloud.log_weight.amax(1, keepdim=True)
        weights = (cloud.log_weight - best).exp().nan_to_num(0.0).double()
        offset = uniform(bits(keys, step, "posterior-resample", 1))[:, 0]
        chosen = systematic(weights, offset, self.particles)
        first = torch.arange(len(keys), device=keys.device)[:, None] * cloud.log_weight.shape[1]
        taken = take(cloud, (first + chosen).flatten(), len(keys))
        return taken._replace(log_weight=taken.log_weight.masked_fill(best == -torch.inf, -torch.inf))

    def _moved(self, cloud: Cloud, keys: Tensor, step: int, purpose: str) -> Cloud:
        for number, group in enumerate(groups(self.task.agents)):
            draws = _draw(keys, step, f"{purpose}-{number}", cloud.log_weight.shape[1], 3)
            cloud, _ = move(self.task, cloud, group, draws)
        return cloud


def _draw(keys: Tensor, step: int, purpose: str, particles: int, lanes: int) -> Tensor:
    """Return float32 ``[Q * particles, lanes]`` in [0, 1)."""
    return uniform(bits(keys, step, purpose, particles * lanes)).view(-1, lanes)
