"""Oracle under noise: positions are blurred, but that the oracle speaks nobody can miss.

A hint lies so far from none (0.1 to 0.9, where no hint is -1) that noise of this scale cannot hide which it is. So
everybody knows when the oracle is visited for the first time: until then nobody was there, and at that moment somebody
was, which is every pair of walks less those on which both stayed away.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from benchmark.measures.posterior.filtering import log_normalised, through_noise
from benchmark.measures.posterior.oracle_walks import WalkingPosterior
from benchmark.tasks.oracle import BOXES, SIZE, Oracle
from benchmark.tasks.task import one_hot

# Below this scale no hint, -1 + noise, lies below every hint, 0.1 - noise.
HIDING = 0.55


def posterior(task: Oracle, slip: float, scale: float) -> "NoisyOraclePosterior":
    """Return the exact filter for noise of a scale (``perturb.Noise``)."""
    return NoisyOraclePosterior(task, slip, scale)


class Knowledge(NamedTuple):
    """What each agent knows. Weights are joint with all that it has seen, up to a factor."""

    weight: Tensor  # float64 [B, N, boxes]
    told: Tensor  # bool [B, N]: whether the oracle has spoken
    # float64 [B, N, agents, boxes, 2, cells]: of where each agent went and stands. Second: having left the oracle alone
    # until it spoke, and still then; first: until it spoke, that moment left open. Alike before it has spoken.
    walks: Tensor


class NoisyOraclePosterior(WalkingPosterior):
    """Sums over all walks that may look so.

    Exact if the others act uniformly at random, whoever slips.
    """

    def __init__(self, task: Oracle, slip: float, scale: float) -> None:
        super().__init__(task, slip)
        if scale >= HIDING or task.hint_probability < 1.0:
            raise ValueError(
                f"exact_posterior: no exact filter is known for Oracle with noise={scale} and "
                f"hint_probability={task.hint_probability}; allowed: noise below {HIDING}, hint_probability 1"
            )
        self.scale = scale
        self.places = torch.tensor(task.board.cells, dtype=torch.float32) / (SIZE - 1)  # [cells, 2]
        self.named = torch.tensor(BOXES, dtype=torch.float32) / (SIZE - 1)  # [boxes, 2]

    def prior(self, keys: Tensor) -> Knowledge:
        """Know the rules, and where episodes start."""
        even = torch.ones(len(keys), self.task.agents, len(BOXES), dtype=torch.float64, device=keys.device)
        return Knowledge(even, torch.zeros_like(even[..., 0], dtype=torch.bool), self.start(keys))

    def update(self, evidence: Knowledge, observations: Tensor, actions: Tensor | None) -> Knowledge:
        """Let everybody walk, and weigh where that led by what it looks like."""
        device, layout = observations.device, self.seeing.layout
        walks, told, weight = evidence.walks, evidence.told, evidence.weight
        if actions is not None:
            either, away = self.walked(walks, actions).unbind(-2)
            hint = observations[..., layout["hint"]]
            speaks = ~told & (hint > self.scale - 1.0 + _ROUNDING).any(-1)
            likely = through_noise(hint[..., None, :], self.named.to(device), self.scale, -1.0, 1.0).prod(-1)
            weight = torch.where(speaks[..., None], weight * likely, weight)
            before, untold = told[..., None, None, None], ~(told | speaks)[..., None, None, None]
            still = away * ~self.oracle.to(device)
            either = torch.where(before, either, torch.where(untold, still, away))
            walks = torch.stack((either, torch.where(before, away, still)), -2)
            told = told | speaks
        seen = observations[..., layout["positions"]].unflatten(-1, (self.task.agents, 1, 2))
        looks = through_noise(seen, self.places.to(device), self.scale / 2, 0.0, 1.0).prod(-1)  # [B, N, agents, cells]
        walks = walks * looks[..., None, None, :]
        mass = walks[..., 0, :].sum(-1)  # [B, N, agents, boxes]
        walks = walks / torch.where(mass > 0, mass, 1.0)[..., None, None]
        weight = weight * mass.prod(2)
        total = weight.sum(-1, keepdim=True)
        # Nothing is left where the episode has just ended; nobody acts on that.
        return Knowledge(torch.where(total > 0, weight / total, evidence.weight), told, walks)

    def marginals(self, evidence: Knowledge) -> tuple[Tensor, Tensor]:
        """Return the posterior of the box, and of the oracle's having been visited."""
        either, away = evidence.walks.sum(-1).prod(2).unbind(-1)  # [B, N, boxes] each
        pairs = torch.where(evidence.told[..., None], (either - away).clamp(min=0.0), either)
        return log_normalised(evidence.weight * pairs), one_hot(evidence.told.to(torch.int64), 2).log()


_ROUNDING = 1e-6
