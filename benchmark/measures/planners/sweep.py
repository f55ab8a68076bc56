"""Search by bent walks: from where each agent stands, which straight or once-bent walk uncovers most per move.

A searcher that looks ``radius`` cells to every side uncovers a new line of ``2 * radius + 1`` cells with each move.
What a walk along one axis and then the other uncovers is a sum of two differences of running sums, so that the walks
to all cells of the board are weighed at once.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

STAY = 4  # the number of that move in ``board.CROSS_MOVES``; before it come +x, -x, +y, -y

# Added to the length of every walk, so that of two walks with equal gain per move the longer one wins.
_EFFORT = 0.5


class Walks(NamedTuple):
    """The best bent walk of every agent; all entries ``[V, N]``."""

    rate: Tensor  # float32: gain per move; 0 if nothing can be gained
    action: Tensor  # int64: the first move; STAY if nothing can be gained
    target: Tensor  # int64: the cell where it ends
    vertical: Tensor  # bool: whether it goes along y first


def best_walks(
    weights: Tensor, agents: Tensor, radius: int, bonus: Tensor | None = None, blocked: Tensor | None = None
) -> Walks:
    """Return each agent's walk with the most gain per move.

    Args:
        weights: float32 ``[V, W, W]``, what uncovering each cell is worth; whole numbers, so that sums are exact.
        agents: int64 ``[V, N]``, cells ``x * W + y``; what they have in view must weigh nothing.
        radius: how far an agent sees to each side.
        bonus: float32 ``[V, W, W]``, what ending a walk on a cell is worth besides.
        blocked: bool ``[V, N, 4]``, first moves that are ruled out.
    """
    width = weights.shape[-1]
    place = torch.stack((agents // width, agents % width), -1)  # [V, N, 2]
    x_first = _gains(weights, place, radius)
    y_first = _gains(weights.transpose(1, 2), place.flip(-1), radius).transpose(2, 3)
    gains = torch.stack((x_first, y_first), 2)  # [V, N, 2, W, W]
    if bonus is not None:
        gains = gains + bonus[:, None, None]
    away = torch.arange(width, device=weights.device) - place[..., None]  # [V, N, 2, W]
    dx, dy = away[:, :, None, 0, :, None], away[:, :, None, 1, None, :]  # [V, N, 1, W, 1], [V, N, 1, 1, W]
    length = dx.abs() + dy.abs()
    rates = gains / (length + _EFFORT) * (length > 0)
    if blocked is not None:
        vertical = torch.tensor([False, True], device=weights.device)[:, None, None]
        first = _first_moves(dx, dy, vertical)
        rates = rates * ~blocked.gather(2, first.flatten(2)).view_as(first)
    rate, best = rates.flatten(2).max(2)
    vertical, target = best >= width**2, best % width**2
    first = _first_moves(target // width - place[..., 0], target % width - place[..., 1], vertical)
    return Walks(rate, first.masked_fill(rate <= 0, STAY), target, vertical)


def covered(walks: Walks, agents: Tensor, chosen: Tensor, width: int, radius: int) -> Tensor:
    """Return bool ``[V, W, W]``: the cells that agent ``chosen[v]`` has in view somewhere on its walk.

    Args:
        walks: of all agents.
        agents: int64 ``[V, N]`` cells.
        chosen: int64 ``[V]``.
        width: W.
        radius: how far an agent sees to each side.
    """
    entries = (agents, walks.target, walks.vertical)
    here, there, vertical = (entry.gather(1, chosen[:, None]) for entry in entries)  # [V, 1]
    x, y, to_x, to_y = here // width, here % width, there // width, there % width
    corner_x, corner_y = torch.where(vertical, x, to_x), torch.where(vertical, to_y, y)
    along_x = _between(x, to_x, radius, width)[:, :, None] & _between(corner_y, corner_y, radius, width)[:, None]
    along_y = _between(corner_x, corner_x, radius, width)[:, :, None] & _between(y, to_y, radius, width)[:, None]
    return along_x | along_y


def _between(start: Tensor, end: Tensor, radius: int, width: int) -> Tensor:
    """Return bool ``[V, W]``: the coordinates within ``radius`` of the way from one to another ``[V, 1]``."""
    axis = torch.arange(width, device=start.device)
    return (axis >= torch.minimum(start, end) - radius) & (axis <= torch.maximum(start, end) + radius)


def _gains(weights: Tensor, place: Tensor, radius: int) -> Tensor:
    """Return float32 ``[V, N, W, W]``: the gain of going along x and then along y, to every cell."""
    width = weights.shape[-1]
    x, y = place.unbind(-1)
    batch = torch.arange(len(weights), device=weights.device)[:, None]
    # The two legs uncover disjoint cells: the first one saw what the second one starts from.
    own_row = _strips(weights, 2, radius)[batch, :, y]  # [V, N, W]
    columns = _strips(weights, 1, radius)[:, None].expand(-1, place.shape[1], -1, -1)
    first = _uncovered(own_row, x, radius)
    return first[..., None] + _uncovered(columns, y[..., None].expand(-1, -1, width), radius)


def _strips(weights: Tensor, axis: int, radius: int) -> Tensor:
    """Return ``[V, W, W]``: the weight of the ``2 * radius + 1`` cells around each one along an axis."""
    padded = pad(weights, (radius, radius) if axis == 2 else (0, 0, radius, radius))
    return sum(padded.narrow(axis, shift, weights.shape[-1]) for shift in range(2 * radius + 1))  # type: ignore[return-value]


def _uncovered(line: Tensor, start: Tensor, radius: int) -> Tensor:
    """Return ``[..., W]``: what a straight walk from ``start`` to each place of a line uncovers.

    Args:
        line: float32 ``[..., W]``, the weight of each place.
        start: int64 ``[...]``.
        radius: how far an agent sees ahead.
    """
    width, index = line.shape[-1], start[..., None]
    axis = torch.arange(width, device=line.device)
    sums = pad(line.cumsum(-1), (1, 0))  # sums[k] is the weight of the first k places
    ahead, behind = sums[..., (axis + radius + 1).clamp(max=width)], sums[..., (axis - radius).clamp(min=0)]
    return torch.maximum(ahead - ahead.gather(-1, index), behind.gather(-1, index) - behind)


def _first_moves(dx: Tensor, dy: Tensor, vertical: Tensor) -> Tensor:
    """Return the number of the first move towards what lies ``(dx, dy)`` away."""
    along_x, along_y = torch.where(dx > 0, 0, 1), torch.where(dy > 0, 2, 3)
    return torch.where((dx == 0) | (vertical & (dy != 0)), along_y, along_x)
