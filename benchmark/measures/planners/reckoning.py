"""Dead reckoning: where the agents of Gathering are, to each other and on the board, from their patches alone.

Places are kept per axis in frames: each agent has its own until it meets another one, or sees a wall and with it the
frame of the board. A place is a start plus how far its agent has moved since.
"""

from itertools import combinations
from typing import NamedTuple

import torch
from torch import Tensor

from benchmark.tasks.gathering import AGENT, OUTSIDE, PATCH


class Bearings(NamedTuple):
    """What V minds know of the places of N agents; all entries int64 ``[V, N, 2]``."""

    moved: Tensor  # how far each agent has come from its start
    start: Tensor  # where its start lies in its frame
    frame: Tensor  # its frame on each axis: that of an agent (0 to N - 1), or the board (N)

    @property
    def place(self) -> Tensor:
        """Where each agent is in its frame."""
        return self.start + self.moved

    @property
    def localised(self) -> Tensor:
        """Whose place on the board is known, bool ``[V, N]``."""
        return (self.frame == self.frame.shape[1]).all(2)

    def numbers(self, offset: Tensor) -> Tensor:
        """Number the cells that lie ``offset`` ``[V, N, 2]`` away from the agents.

        Equal numbers ``[V, N]`` are one and the same cell; it may have others where that is not known.
        """
        x, y = (self.frame * 1024 + self.place + offset + 512).unbind(2)
        return x * 2**20 + y


def lost_bearings(minds: int, agents: int, device: torch.device) -> Bearings:
    """Return what is known at the start: nothing."""
    nowhere = torch.zeros(minds, agents, 2, dtype=torch.int64, device=device)
    return Bearings(nowhere, nowhere, torch.arange(agents, device=device)[:, None].expand_as(nowhere))


def take_bearings(bearings: Bearings, patches: Tensor, width: int) -> Bearings:
    """Learn from walls and from other agents in sight.

    Args:
        bearings: as known before.
        patches: ``[V, N, 9]``, what each agent sees now.
        width: side of the board.
    """
    return _meet(_at_walls(bearings, patches, width), patches)


def _at_walls(bearings: Bearings, patches: Tensor, width: int) -> Bearings:
    """Whoever sees a wall knows that coordinate, and so do all in its frame."""
    low = torch.stack((patches[..., 1], patches[..., 3]), 2) == OUTSIDE  # [V, N, 2]
    high = torch.stack((patches[..., 7], patches[..., 5]), 2) == OUTSIDE
    agents = patches.shape[1]
    number = torch.arange(agents, device=patches.device)[:, None]
    for agent in range(agents):
        frame, own = bearings.frame, slice(agent, agent + 1)
        # An agent already on the board corrects itself alone.
        follow = (low | high)[:, own] & (frame == frame[:, own]) & ((frame < agents) | (number == agent))
        shift = torch.where(low, 0, width - 1)[:, own] - bearings.place[:, own]
        start, frame = bearings.start + follow * shift, torch.where(follow, agents, frame)
        bearings = bearings._replace(start=start, frame=frame)
    return bearings


def _meet(bearings: Bearings, patches: Tensor) -> Bearings:
    """Two agents that see each other join their frames; the board's, or that of the higher number, prevails."""
    others = patches == AGENT
    count = others.sum(2)
    crowd = (count > 0).sum(1)
    offsets = torch.tensor(PATCH, device=patches.device)
    for one, two in combinations(range(patches.shape[1]), 2):
        mutual = others[:, one] & others[:, two].flip(1)
        # Is it each other that they see? Yes if nobody else sees anybody, or if one of three sees both others.
        sure = (crowd == 2) | ((crowd == 3) & (count[:, one] + count[:, two] > 2))
        met = ((mutual.sum(1) == 1) & sure)[:, None, None]  # [V, 1, 1]
        apart = offsets[mutual.to(torch.int64).argmax(1)]  # [V, 2]
        gap = (bearings.place[:, two] - bearings.place[:, one] - apart)[:, None]
        frame = bearings.frame
        first, second = frame[:, one, None], frame[:, two, None]
        joins_second = met & (frame == first) & (first < second)
        joins_first = met & (frame == second) & (second < first)
        frame = torch.where(joins_second, second, torch.where(joins_first, first, frame))
        bearings = bearings._replace(start=bearings.start + joins_second * gap - joins_first * gap, frame=frame)
    return bearings
