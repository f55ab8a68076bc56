"""Gathering: particles over everybody's walks, exact sums over what has not been seen.

No exact filter fits into a computer: everybody's walk is hidden, and what was seen along it is a map that matters for
ever. This one converges to the exact one with the number of particles (see ``particles``); the tests hold it to the
enumeration of small boards.

Others are taken to act uniformly at random. An agent's own actions are told, so that it may follow any policy; but
beside others who learn, this stays a filter for random ones: it misjudges how far they have come, not what they see.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from benchmark.measures.posterior.bitboards import WIDEST
from benchmark.measures.posterior.clouds import Cloud, effective, minds_of, pooled, put, systematic, take
from benchmark.measures.posterior.filtering import Posterior, log_normalised
from benchmark.measures.posterior.marginals import SPREAD, places, resources
from benchmark.measures.posterior.moves import groups, move
from benchmark.measures.posterior.particles import Sight, advance, look, start
from benchmark.measures.posterior.surprises import explain
from benchmark.tasks.board import CROSS_MOVES
from benchmark.tasks.gathering import Gathering
from benchmark.tasks.streams import bits, uniform

PARTICLES = 1024
# Resample when fewer than this share of the particles would weigh as much if they weighed alike.
_WORN = 0.5
# What leaves a smaller share is a surprise. Where what explains it leaves fewer particles than a few, try on.
_SURPRISE, _FEW, _TRIES = 0.1, 10, 16
# Candidates per particle for where everybody starts.
_CANDIDATES = 32
# Particles laid end to end, to stay in the processor's cache.
_AT_ONCE = 32_768


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
                put(cloud, fresh, gone.nonzero()[:, 0])
            clouds.append(cloud)
            lost.append(gone.view(-1, self.task.agents))
        return Knowledge(evidence.keys, tuple(clouds), evidence.step + 1, evidence.lost + torch.cat(lost))

    def _start(self, sight: Sight, keys: Tensor, step: int) -> Cloud:
        candidates = self.particles * _CANDIDATES
        draws = _draw(keys, step, "posterior-start", candidates, self.task.agents)
        draws = draws.view(len(keys), candidates, -1).transpose(1, 2).contiguous()
        cloud = self._moved(start(self.task, sight, draws, self.particles), keys, step, "posterior-start-move")
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
        cloud = advance(self.task, before, sight, habits.repeat_interleave(self.particles, 0), draws)
        share = effective(cloud.log_weight) / self.particles
        worn = (share < _WORN).nonzero()[:, 0]
        if not len(worn):
            return cloud
        put(cloud, self._resampled(minds_of(cloud, worn), keys[worn], step), worn)
        surprised = (share < _SURPRISE).nonzero()[:, 0]
        if len(surprised):
            some = minds_of(before, surprised)
            put(cloud, self._again(some, sight.rows(surprised), habits[surprised], keys[surprised], step), surprised)
        put(cloud, self._moved(minds_of(cloud, worn), keys[worn], step, "posterior-move"), worn)
        return cloud

    def _again(self, before: Cloud, sight: Sight, habits: Tensor, keys: Tensor, step: int) -> Cloud:
        """Shift the particles of the step before to what explains this one; where few fit, move and try again."""
        draws = _draw(keys, step, "posterior-guess", self.particles, 2 * self.task.agents + 3)
        found = pooled(explain(self.task, before, sight, habits, draws))
        result, minds = self._resampled(found, keys, step), torch.arange(len(keys), device=keys.device)
        for number in range(_TRIES):
            few = (effective(found.log_weight) < _FEW).nonzero()[:, 0]
            if not len(few):
                break
            sight, habits, keys, minds = sight.rows(few), habits[few], keys[few], minds[few]
            before = self._moved(minds_of(before, few), keys, step, f"posterior-retry-{number}")
            draws = _draw(keys, step, f"posterior-rewalk-{number}", self.particles, self.task.agents)
            tried = advance(self.task, before, sight, habits.repeat_interleave(self.particles, 0), draws)
            found = pooled([minds_of(found, few), tried])
            put(result, self._resampled(found, keys, step), minds)
        return result

    def _resampled(self, cloud: Cloud, keys: Tensor, step: int) -> Cloud:
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

    def marginals(self, evidence: Knowledge) -> tuple[Tensor, ...]:
        """Return the posteriors of the sorted resources, then of the agents' places."""
        found, minds = [], evidence.keys.flatten()
        for cloud in evidence.clouds:
            keys, minds = minds[: len(cloud.log_weight)], minds[len(cloud.log_weight) :]
            draws = uniform(bits(keys, evidence.step, "posterior-places", 1 + 2 * SPREAD))
            found.append(torch.cat((resources(self.task, cloud), places(self.task, cloud, draws)), 1))
        beliefs = torch.cat(found).unflatten(0, (-1, self.task.agents)).unbind(2)
        split = self.task.resources
        # No agent is nowhere.
        return *map(log_normalised, beliefs[:split]), *(log_normalised(belief[..., :-1]) for belief in beliefs[split:])


def _draw(keys: Tensor, step: int, purpose: str, particles: int, lanes: int) -> Tensor:
    """Return float32 ``[Q * particles, lanes]`` in [0, 1)."""
    return uniform(bits(keys, step, purpose, particles * lanes)).view(-1, lanes)
