"""Oracle under dropout: who may be blind must reckon with where everybody could have gone meanwhile.

Three products of one agent's walks by the other's count all that matters between two looks: the walks that have not
ended the episode; those among them on which the oracle was untouched until a step ago; and those on which it still is.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from benchmark.measures.posterior.filtering import log_normalised
from benchmark.measures.posterior.oracle_walks import WalkingPosterior
from benchmark.tasks.oracle import BOXES, Oracle


def posterior(task: Oracle, slip: float) -> "BlindOraclePosterior":
    """Return the exact filter; ``task.random_start`` says where a blind agent believes that all started."""
    return BlindOraclePosterior(task, slip)


class Knowledge(NamedTuple):
    """What each agent knows. Weights are joint with all that it has seen, up to a factor."""

    visited: Tensor  # float64 [B, N, boxes]: of the box, and of the oracle's having been visited by the latest look
    untouched: Tensor  # float64 [B, N, boxes]: of the box, and of the oracle's not having been visited by then
    # float64 [B, N, agents, boxes, 2, cells]: of where each agent went since then, and stands, without having ended the
    # episode; and also without having visited the oracle.
    walks: Tensor


class BlindOraclePosterior(WalkingPosterior):
    """Sums over all walks between two looks, and over when the oracle may have spoken to nobody.

    Exact if the others act uniformly at random, whoever slips.
    """

    def prior(self, keys: Tensor) -> Knowledge:
        """Know the rules, and where episodes start."""
        even = torch.ones(len(keys), self.task.agents, len(BOXES), dtype=torch.float64, device=keys.device)
        return Knowledge(torch.zeros_like(even), even, self.start(keys))

    def update(self, evidence: Knowledge, observations: Tensor, actions: Tensor | None) -> Knowledge:
        """Let everybody walk; who sees knows where that led, and whether the oracle has spoken just now."""
        walks, device = evidence.walks, observations.device
        before = walks[..., 1, :]  # where they stand if the oracle was untouched before this step
        if actions is not None:
            alive = self.walked(walks, actions)
            before = alive[..., 1, :]
            walks = torch.stack((alive[..., 0, :], before * ~self.oracle.to(device)), -2)
        blind = (observations == 0).all(-1)[..., None]  # [B, N, 1]
        cells = self.seeing.positions(observations)  # [B, N, agents]
        at = cells[..., None, None]

        def here(weights: Tensor) -> Tensor:  # [B, N, agents, boxes, cells] to [B, N, boxes]
            return weights.gather(-1, at.expand(*weights.shape[:-1], 1))[..., 0].prod(2)

        alive, fresh, still = here(walks[..., 0, :]), here(before), here(walks[..., 1, :])
        first = evidence.untouched * (fresh - still)
        hinted = self.seeing.hinted(observations)
        told = hinted.any(-1, keepdim=True)
        speaks = self.task.hint_probability
        earlier = evidence.visited * alive + evidence.untouched * (alive - fresh).clamp(min=0.0)
        visited = torch.where(told, first * hinted, earlier + (1.0 - speaks) * first)
        untouched = torch.where(told, 0.0, evidence.untouched * still)
        total = (visited + untouched).sum(-1, keepdim=True)
        # Nothing is left where the episode has just ended; nobody acts on that.
        keep = blind | (total == 0)
        total = torch.where(keep, 1.0, total)
        spot = torch.zeros_like(walks).scatter(-1, at[..., None].expand(*walks.shape[:-1], 1), 1.0)
        return Knowledge(
            torch.where(keep, evidence.visited, visited / total),
            torch.where(keep, evidence.untouched, untouched / total),
            torch.where(blind[..., None, None, None], walks, spot),
        )

    def marginals(self, evidence: Knowledge) -> tuple[Tensor, Tensor]:
        """Return the posterior of the box, and of the oracle's having been visited."""
        alive, still = evidence.walks.sum(-1).prod(2).unbind(-1)  # [B, N, boxes] each
        untouched = evidence.untouched * still
        visited = evidence.visited * alive + evidence.untouched * (alive - still).clamp(min=0.0)
        oracle = torch.stack((untouched.sum(-1), visited.sum(-1)), -1)
        return log_normalised(untouched + visited), log_normalised(oracle)
