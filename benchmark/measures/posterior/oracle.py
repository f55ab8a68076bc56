"""Oracle: both agents see the same, and all boxes that have not been tried are as likely until the oracle speaks."""

from typing import NamedTuple

import torch
from torch import Tensor

from benchmark.measures.posterior.filtering import Posterior, log_normalised
from benchmark.tasks.board import Board
from benchmark.tasks.oracle import BOXES, PLACES, SIZE, Oracle, near
from benchmark.tasks.task import one_hot


def posterior(task: Oracle, slip: float) -> "OraclePosterior":
    """Return the exact filter; it is the same under slip and sticky actions, since positions are seen."""
    return OraclePosterior(task)


class Knowledge(NamedTuple):
    """What each agent knows."""

    possible: Tensor  # bool [B, N, boxes]: which boxes may be right
    visited: Tensor  # bool [B, N]: whether the oracle has been visited
    step: int


class OraclePosterior(Posterior):
    """Even among the boxes not seen to be wrong, and certain about the oracle.

    It is exact whatever the team does: all that agents act on is seen by both, so actions say nothing more.
    """

    def __init__(self, task: Oracle) -> None:
        super().__init__(task)
        self.layout = task.observation_layout.slices
        places = regions(task.board)
        self.in_box, self.in_oracle = places[: len(BOXES)], places[len(BOXES) :].any(0)
        self.boxes = torch.tensor(BOXES)

    def prior(self, keys: Tensor) -> Knowledge:
        """Know nothing."""
        possible = torch.ones(len(keys), 2, len(BOXES), dtype=torch.bool, device=keys.device)
        return Knowledge(possible, torch.zeros_like(possible[..., 0]), 0)

    def positions(self, observations: Tensor) -> Tensor:
        """Return int64 ``[B, N, 2]``: the cells of both agents, as each one sees them."""
        places = (observations[..., self.layout["positions"]] * (SIZE - 1)).round().to(torch.int64).unflatten(2, (2, 2))
        return places[..., 0] * SIZE + places[..., 1]

    def hinted(self, observations: Tensor) -> Tensor:
        """Return bool ``[B, N, boxes]``: the box that the oracle names in what each agent sees."""
        hint = (observations[..., None, self.layout["hint"]] * (SIZE - 1)).round().to(torch.int64)
        return (hint == self.boxes.to(observations.device)).all(-1)

    def update(self, evidence: Knowledge, observations: Tensor, actions: Tensor | None) -> Knowledge:
        """Listen to the oracle; whatever box was visited without ending the episode is wrong."""
        device, hinted = observations.device, self.hinted(observations)
        possible, visited = evidence.possible, evidence.visited | hinted.any(-1)
        if evidence.step > 0:  # Who starts in a place's region has not visited it yet.
            cells = self.positions(observations)
            possible = possible & ~self.in_box.to(device)[:, cells].any(-1).permute(1, 2, 0)
            visited = visited | self.in_oracle.to(device)[cells].any(-1)  # whether it spoke or not
        possible = torch.where(hinted.any(-1, keepdim=True), hinted, possible)
        # No box is left where the episode has just ended; nobody acts on that.
        possible = torch.where(possible.any(-1, keepdim=True), possible, evidence.possible)
        return Knowledge(possible, visited, evidence.step + 1)

    def marginals(self, evidence: Knowledge) -> tuple[Tensor, Tensor]:
        """Return the posterior of the box, and of the oracle's having been visited."""
        return log_normalised(evidence.possible.double()), one_hot(evidence.visited.to(torch.int64), 2).log()


def regions(board: Board) -> Tensor:
    """Return bool ``[places, cells]``: the region of each place, boxes first."""
    return torch.stack([board.marked(lambda cell, place=place: near(cell, place)) for place in PLACES])
