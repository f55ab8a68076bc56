"""HoneyComb: the informed read the special goal off what they see; to the others nobody's steps say anything."""

from torch import Tensor

from benchmark.measures.posterior.filtering import Posterior, log_normalised
from benchmark.tasks.honeycomb import GOALS, SCALE, HoneyComb


def posterior(task: HoneyComb, slip: float) -> "HoneyCombPosterior":
    """Return the exact filter; it is the same under slip, since actions say nothing about the special goal."""
    return HoneyCombPosterior(task)


class HoneyCombPosterior(Posterior):
    """Certain if informed, else even for ever: random agents, informed or not, walk alike."""

    def __init__(self, task: HoneyComb) -> None:
        super().__init__(task)
        self.special = task.observation_layout.slices["special"]

    def prior(self, keys: Tensor) -> Tensor:
        """Return bool ``[B, N, goals]``: every goal may be the special one."""
        return keys.new_ones(len(keys), self.task.agents, len(GOALS)) > 0

    def update(self, evidence: Tensor, observations: Tensor, actions: Tensor | None) -> Tensor:
        """Read off the goal; the uninformed are shown the centre, which is none."""
        goals = observations.new_tensor(GOALS)
        shown = (observations[..., None, self.special] * SCALE).round()
        told = (shown == goals).all(-1)
        return evidence & (told | ~told.any(-1, keepdim=True))

    def marginals(self, evidence: Tensor) -> tuple[Tensor]:
        """Return the posterior of the special goal."""
        return (log_normalised(evidence.double()),)
