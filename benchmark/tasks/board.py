"""Boards as neighbour tables: where each action leads from each cell. Square and hexagonal boards are one idea."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch
from torch import Tensor

Cell = tuple[int, int]
Offsets = tuple[Cell, ...]


@dataclass(frozen=True)
class Board:
    """A finite set of cells and a fixed list of moves.

    Attributes:
        cells: the coordinates of every cell, in index order.
        moves: the offset of each action; an action whose target is no cell leaves the mover where it is.
        absorbing: cells that no action leaves.
    """

    cells: tuple[Cell, ...]
    moves: Offsets
    absorbing: frozenset[Cell] = frozenset()

    @cached_property
    def index(self) -> dict[Cell, int]:
        """The number of each cell."""
        return {cell: number for number, cell in enumerate(self.cells)}

    @cached_property
    def _hash(self) -> int:
        return hash((self.cells, self.moves, self.absorbing))

    def __hash__(self) -> int:  # Boards key the table caches, and hashing 441 cells at every step would be felt.
        return self._hash

    def at(self, cell: Cell) -> int:
        """Return the number of a cell.

        Raises:
            ValueError: if the board has no such cell.
        """
        if cell not in self.index:
            raise ValueError(f"board: cell={cell} is not one of its {len(self.cells)} cells")
        return self.index[cell]

    def neighbours(self, device: torch.device | str = "cpu") -> Tensor:
        """Return int64 ``[cells, A]``: the cell each action leads to."""
        return _tables(self, torch.device(device))[0]

    def inside(self, device: torch.device | str = "cpu") -> Tensor:
        """Return bool ``[cells, A]``: whether the action's target is a cell of the board (absorbing or not)."""
        return _tables(self, torch.device(device))[1]

    def coordinates(self, device: torch.device | str = "cpu") -> Tensor:
        """Return int64 ``[cells, 2]``."""
        return _tables(self, torch.device(device))[2]

    def marked(self, chosen: Callable[[Cell], bool], device: torch.device | str = "cpu") -> Tensor:
        """Return bool ``[cells]``: the cells for which ``chosen`` holds."""
        return torch.tensor([chosen(cell) for cell in self.cells], device=device)

    def distances(self) -> Tensor:
        """Return int64 ``[cells, cells]``: the fewest moves from the first to the second cell (breadth first).

        Unreachable pairs hold the number of cells.
        """
        return _distances(self)


@lru_cache(maxsize=64)
def _tables(board: Board, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    targets = [[(x + dx, y + dy) for dx, dy in board.moves] for x, y in board.cells]
    inside = [[target in board.index for target in row] for row in targets]
    neighbours = [
        [board.index[target] if target in board.index and cell not in board.absorbing else here for target in row]
        for here, (cell, row) in enumerate(zip(board.cells, targets, strict=True))
    ]
    return (
        torch.tensor(neighbours, device=device),
        torch.tensor(inside, device=device),
        torch.tensor(board.cells, device=device),
    )


@lru_cache(maxsize=16)
def _distances(board: Board) -> Tensor:
    count = len(board.cells)
    neighbours = board.neighbours()
    steps = torch.full((count, count), count)
    steps.fill_diagonal_(0)
    reached = torch.eye(count, dtype=torch.bool)
    for distance in range(1, count):
        grown = reached.clone()
        for action in range(neighbours.shape[1]):
            # reached[start, cell] spreads along cell -> neighbours[cell, action].
            grown.index_put_(
                (torch.arange(count)[:, None].expand(count, count), neighbours[:, action].expand(count, count)),
                reached,
                accumulate=True,
            )
        if torch.equal(grown, reached):
            break
        steps[grown & ~reached] = distance
        reached = grown
    return steps


# The order of the released environments: N, E, NE, W, S, SW, SE, NW, stay.
KING_MOVES: Offsets = ((0, 1), (1, 0), (1, 1), (-1, 0), (0, -1), (-1, -1), (1, -1), (-1, 1), (0, 0))
CROSS_MOVES: Offsets = ((1, 0), (-1, 0), (0, 1), (0, -1), (0, 0))
HEX_MOVES: Offsets = ((0, -1), (0, 1), (-1, -1), (1, 0), (-1, 0), (1, 1), (0, 0))


@lru_cache(maxsize=64)
def square_board(width: int, height: int, moves: Offsets) -> Board:
    """Return a ``width`` x ``height`` board; cell ``(x, y)`` has number ``x * height + y``."""
    return Board(tuple((x, y) for x in range(width) for y in range(height)), moves)


def hex_norm(cell: Cell) -> int:
    """Return the distance of an axial cell from the centre: ``max(|i|, |j|, |i - j|)``."""
    i, j = cell
    return max(abs(i), abs(j), abs(i - j))


@lru_cache(maxsize=64)
def hex_board(radius: int, extra: Offsets) -> Board:
    """Return the hexagon of all axial cells with norm at most ``radius``, plus absorbing ``extra`` cells."""
    axis = range(-radius, radius + 1)
    field = tuple((i, j) for i in axis for j in axis if hex_norm((i, j)) <= radius)
    return Board(field + extra, HEX_MOVES, frozenset(extra))


def bounce(cells: Tensor, targets: Tensor) -> Tensor:
    """Return where agents end up when nobody enters a cell that another one heads for.

    All agents whose targets coincide remain where they were; an agent that stays heads for its own cell. Agents may
    swap cells. Nobody is moved a second time: an agent may enter the cell of another one that was held back.

    Args:
        cells: int64 ``[..., N]``, where the agents are.
        targets: int64 ``[..., N]``, where they want to be.

    Returns:
        int64 ``[..., N]``.
    """
    meets = torch.zeros_like(targets, dtype=torch.bool)
    for shift in range(1, targets.shape[-1]):
        meets |= targets == targets.roll(shift, -1)
    return torch.where(meets, cells, targets)
