"""Shortest ways over a board: how far a goal is from every cell, and which move comes next."""

import torch
from torch import Tensor

from benchmark.tasks.board import Board


def distances_to(board: Board, goals: Tensor, avoid: Tensor | None = None) -> Tensor:
    """Return the fewest moves from every cell to the nearest goal, int64 ``[cells]``.

    Args:
        board: where to walk.
        goals: bool ``[cells]``.
        avoid: bool ``[cells]``: cells that no way may enter; one may start there, and goals are always allowed.

    Returns:
        The distances; cells from which no goal can be reached hold the number of cells.
    """
    neighbours, never = board.neighbours(), len(board.cells)
    closed = torch.zeros_like(goals) if avoid is None else avoid & ~goals
    steps = torch.full((never,), never).masked_fill(goals, 0)
    while True:
        shorter = torch.minimum(steps, steps.masked_fill(closed, never)[neighbours].amin(1) + 1)
        if torch.equal(shorter, steps):
            return steps
        steps = shorter


def moves_to(board: Board, goals: Tensor, avoid: Tensor | None = None) -> Tensor:
    """Return the first move of a shortest way from every cell to the nearest goal, int64 ``[cells]``.

    Of several such moves it is the first in the board's order. On a goal the move leads to a goal, if there is one
    that does. Arguments as in ``distances_to``.
    """
    steps = distances_to(board, goals, avoid)
    closed = torch.zeros_like(goals) if avoid is None else avoid & ~goals
    return steps.masked_fill(closed, len(board.cells))[board.neighbours()].argmin(1)


def tour_lengths(starts: Tensor, goals: Tensor) -> Tensor:
    """Return the fewest moves on an open square grid from each start over every set of goals, in the best order.

    Held and Karp's recursion over sets and the goal visited last.

    Args:
        starts: int64 ``[B, N, 2]`` coordinates.
        goals: int64 ``[B, K, 2]`` coordinates.

    Returns:
        int64 ``[B, N, 2**K]``: bit k of the last index says whether goal k is in the set. Nobody returns.
    """
    count = goals.shape[1]
    between = (goals[:, :, None] - goals[:, None, :]).abs().sum(-1)  # [B, K, K]
    direct = (starts[:, :, None] - goals[:, None, :]).abs().sum(-1)  # [B, N, K]
    ending: dict[tuple[int, int], Tensor] = {}
    fewest = [torch.zeros_like(direct[..., 0])]
    for visited in range(1, 2**count):
        inside = [goal for goal in range(count) if visited >> goal & 1]
        for last in inside:
            before = visited - (1 << last)
            ways = [ending[before, goal] + between[:, None, goal, last] for goal in inside if goal != last]
            ending[visited, last] = torch.stack(ways).amin(0) if ways else direct[..., last]
        fewest.append(torch.stack([ending[visited, last] for last in inside]).amin(0))
    return torch.stack(fewest, 2)
