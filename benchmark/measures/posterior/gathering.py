"""Gathering: particles over everybody's walks, exact sums over what has not been seen.

No exact filter fits into a computer: everybody's walk is hidden, and what was seen along it is a map that matters for
ever. This one converges to the exact one with the number of particles (see ``particles``); the tests hold it to the
enumeration of small boards. It converges slowly where agents meet again after a while, which few particles foresee:
with too few, beliefs late in an episode are too sure. Then their entropy is below the exact posterior's, and their
negative log-likelihood above it, so that the two bracket the ceiling.

Others are taken to act uniformly at random. An agent's own actions are told, so that it may follow any policy; but
beside others who learn, this stays a filter for random ones: it misjudges how far they have come, not what they see.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from benchmark.measures.posterior.bitboards import WIDEST
from benchmark.measures.posterior.clouds import Cloud, put
from benchmark.measures.posterior.filtering import Posterior, log_normalised
from benchmark.measures.posterior.following import Filter
from benchmark.measures.posterior.marginals import SPREAD, places, resources
from benchmark.measures.posterior.particles import Sight, look
from benchmark.tasks.board import CROSS_MOVES
from benchmark.tasks.gathering import Gathering
from benchmark.tasks.streams import bits, uniform

PARTICLES = 512
# A filter that has lost its way is repeated once with so many times more.
_MORE = 8
# Particles laid end to end, to stay in the processor's cache.
_AT_ONCE = 32_768


def posterior(task: Gathering, slip: float, particles: int = PARTICLES) -> "GatheringPosterior":
    """Return the filter with this many particles for each agent of each episode."""
    return GatheringPosterior(task, slip, particles)


class Knowledge(NamedTuple):
    """What each agent knows."""

    keys: Tensor  # int64 [B, N]
    clouds: tuple[Cloud, ...]  # of a few of the B * N filters each; empty before the first observation
    lost: Tensor  # int64 [B, N]: how often no particle was left
    history: tuple[tuple[Sight, Tensor | None], ...]  # what all have seen, and what is known of everybody's actions


class GatheringPosterior(Posterior):
    """What agent n believes who sees all patches and knows its own actions, while the others' are uniform."""

    task: Gathering

    def __init__(self, task: Gathering, slip: float, particles: int) -> None:
        super().__init__(task)
        if task.width > WIDEST:
            raise ValueError(f"exact_posterior: gathering's width={task.width} is above {WIDEST}, the widest allowed")
        if task.view_radius != 1:
            raise ValueError(
                f"exact_posterior: gathering's view_radius={task.view_radius} must be 1, the only one known"
            )
        self.slip = slip
        self.filter = Filter(task, particles)
        self.at_once = max(1, _AT_ONCE // particles)

    def prior(self, keys: Tensor) -> Knowledge:
        """Know nothing."""
        own = bits(keys, 0, "posterior", self.task.agents)
        return Knowledge(own, (), torch.zeros_like(own), ())

    def update(self, evidence: Knowledge, observations: Tensor, actions: Tensor | None) -> Knowledge:
        """Let the particles walk, and keep those that fit what is seen."""
        sight = look(observations.flatten(0, 1), self.task.agents)
        habits = None if actions is None else self._habits(actions)
        evidence = evidence._replace(history=(*evidence.history, (sight, habits)))
        minds, step = torch.arange(evidence.keys.numel(), device=observations.device), len(evidence.history) - 1
        keys, seldom = evidence.keys.flatten(), evidence.lost.flatten() == 0
        clouds, lost = [], torch.zeros_like(seldom)
        for number, some in enumerate(minds.split(self.at_once)):
            if habits is None:
                cloud = self.filter.start(sight.rows(some), keys[some], step)
            else:
                past, owner = self._past(evidence, some), some % self.task.agents
                cloud = self.filter.follow(evidence.clouds[number], past, habits[some], owner, keys[some])
            gone = (cloud.log_weight.amax(1) == -torch.inf).nonzero()[:, 0]
            for mind in gone.tolist():
                # Once, think everything over with more particles. If not even those fit, begin anew.
                here = some[mind : mind + 1]
                again = self._replay(evidence, here) if bool(seldom[here]) else None
                if again is None or again.log_weight.amax() == -torch.inf:
                    again = self.filter.start(sight.rows(here), keys[here], step)
                put(cloud, again, torch.tensor([mind], device=some.device))
            lost[some[gone]] = True
            clouds.append(cloud)
        return evidence._replace(clouds=tuple(clouds), lost=evidence.lost + lost.view_as(evidence.lost))

    def _replay(self, evidence: Knowledge, mind: Tensor) -> Cloud:
        """Filter the whole history of one mind, int64 ``[1]``, with more particles; keep as many as usual."""
        keys = bits(evidence.keys.flatten()[mind], len(evidence.history), "posterior-replay", 1)[:, 0]
        many = self.filter._replace(particles=self.filter.particles * _MORE)
        cloud = many.start(evidence.history[0][0].rows(mind), keys, 0)
        past, owner = self._past(evidence, mind), mind % self.task.agents
        for step, (_, habits) in enumerate(evidence.history[1:], 1):
            assert habits is not None
            until_then = Sight(*(entry[: step + 1] for entry in past))
            cloud = many.follow(cloud, until_then, habits[mind], owner, keys)
            if cloud.log_weight.amax() == -torch.inf:
                break
        return self.filter.resampled(cloud, keys, len(evidence.history))

    def _past(self, evidence: Knowledge, minds: Tensor) -> Sight:
        rows = [sight.rows(minds) for sight, _ in evidence.history]
        return Sight(*(torch.stack(entries) for entries in zip(*rows, strict=True)))

    def _habits(self, actions: Tensor) -> Tensor:
        """Return float32 ``[Q, N, 5]``: what each mind knows of everybody's actions ``[B, N]``."""
        own = torch.nn.functional.one_hot(actions, len(CROSS_MOVES)).to(torch.float32)
        own = (1.0 - self.slip) * own + self.slip / len(CROSS_MOVES)
        itself = torch.eye(actions.shape[1], dtype=torch.bool, device=actions.device)[..., None]
        return torch.where(itself, own[:, None], 1.0 / len(CROSS_MOVES)).flatten(0, 1)

    def marginals(self, evidence: Knowledge) -> tuple[Tensor, ...]:
        """Return the posteriors of the sorted resources, then of the agents' places."""
        found, minds = [], evidence.keys.flatten()
        for cloud in evidence.clouds:
            keys, minds = minds[: len(cloud.log_weight)], minds[len(cloud.log_weight) :]
            draws = uniform(bits(keys, len(evidence.history), "posterior-places", 1 + 2 * SPREAD))
            found.append(torch.cat((resources(self.task, cloud), places(self.task, cloud, draws)), 1))
        beliefs = torch.cat(found).unflatten(0, (-1, self.task.agents)).unbind(2)
        split = self.task.resources
        # No agent is nowhere.
        return *map(log_normalised, beliefs[:split]), *(log_normalised(belief[..., :-1]) for belief in beliefs[split:])
