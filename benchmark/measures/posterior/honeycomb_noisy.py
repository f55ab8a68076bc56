"""HoneyComb under noise: the informed read the special goal again and again; to the others nobody's steps speak."""

import torch
from torch import Tensor

from benchmark.measures.posterior.filtering import Posterior, log_normalised, through_noise
from benchmark.tasks.honeycomb import GOALS, SCALE, HoneyComb


def posterior(task: HoneyComb, slip: float, scale: float) -> "NoisyHoneyCombPosterior":
    """Return the exact filter for noise of a scale; it is the same under slip."""
    return NoisyHoneyCombPosterior(task, scale)


class NoisyHoneyCombPosterior(Posterior):
    """Weighs every goal by how likely it looks like all that was seen, if informed; else even for ever."""

    task: HoneyComb

    def __init__(self, task: HoneyComb, scale: float) -> None:
        super().__init__(task)
        self.scale, self.special = scale, task.observation_layout.slices["special"]

    def prior(self, keys: Tensor) -> Tensor:
        """Return float64 ``[B, N, goals]``: every goal may be the special one."""
        return torch.ones(len(keys), self.task.agents, len(GOALS), dtype=torch.float64, device=keys.device)

    def update(self, evidence: Tensor, observations: Tensor, actions: Tensor | None) -> Tensor:
        """Look once more; the first agents are the informed ones, and know it."""
        goals = observations.new_tensor(GOALS) / SCALE
        likely = through_noise(observations[..., None, self.special], goals, self.scale, -1.0, 1.0).prod(-1)
        told = torch.arange(self.task.agents, device=goals.device)[:, None] < self.task.informed
        weight = torch.where(told, evidence * likely, evidence)
        return weight / weight.sum(-1, keepdim=True)

    def marginals(self, evidence: Tensor) -> tuple[Tensor]:
        """Return the posterior of the special goal."""
        return (log_normalised(evidence),)
