"""Oracle where agents do not see everybody's position: where each may have walked, given the box."""

from abc import ABC

import torch
from torch import Tensor

from benchmark.measures.posterior.filtering import Posterior
from benchmark.measures.posterior.oracle import OraclePosterior, regions
from benchmark.tasks.oracle import BOXES, SIZE, START, Oracle


class WalkingPosterior(Posterior, ABC):
    """Given the box the two agents walk independently, so that two tables of cells stand for all pairs of walks.

    What ties them together is the oracle, which speaks once, to whoever sees at that moment. So there are two tables
    for each agent: of the walks that have not ended the episode, and of those that besides have left the oracle alone.
    """

    task: Oracle

    def __init__(self, task: Oracle, slip: float) -> None:
        super().__init__(task)
        self.slip = slip
        self.seeing = OraclePosterior(task)
        places = regions(task.board)
        boxes, self.oracle = places[: len(BOXES)], places[len(BOXES) :].any(0)
        # Whoever goes there ends the episode, bool [boxes, cells]: on the right box, or on any that costs something.
        self.ending = boxes.any(0).expand_as(boxes) if task.wrong_box_penalty else boxes
        self.neighbours = task.board.neighbours()  # [cells, actions]
        cells, actions = self.neighbours.shape
        self.moves = torch.zeros(cells, cells, dtype=torch.float64)  # from, to: of a uniform action
        start = torch.arange(cells)[:, None].expand(-1, actions)
        self.moves.index_put_((start, self.neighbours), self.moves.new_tensor(1.0 / actions), accumulate=True)

    def start(self, keys: Tensor) -> Tensor:
        """Return where episodes start, float64 ``[B, N, agents, boxes, 2, cells]``."""
        agents, cells = self.task.agents, SIZE * SIZE
        start = torch.zeros(cells, dtype=torch.float64, device=keys.device)
        if self.task.random_start:
            start += 1.0 / cells
        else:
            start[self.task.board.at(START)] = 1.0
        return start.expand(len(keys), agents, agents, len(BOXES), 2, cells)

    def walked(self, walks: Tensor, actions: Tensor) -> Tensor:
        """Move ``[B, N, agents, boxes, 2, cells]`` and drop what ends the episode.

        Each agent ``n`` has moved as it chose but for slips, and knows of the others that they move uniformly.
        """
        device = walks.device
        moved = walks @ self.moves.to(device)
        to = self.neighbours.to(device)[:, actions].permute(1, 2, 0)[:, :, None, None]  # [B, N, 1, 1, cells]
        for agent in range(self.task.agents):
            own = walks[:, agent, agent]
            chosen = torch.zeros_like(own).scatter_add(-1, to[:, agent].expand_as(own), own)
            moved[:, agent, agent] = torch.lerp(chosen, moved[:, agent, agent], self.slip)
        return moved * ~self.ending.to(device)[:, None]
