"""Maps as bit boards: row ``x`` of a square board is one integer, whose bit ``y + 1`` stands for cell ``(x, y)``.

A board of width W is int32 ``[..., W + 2]``: rows -1 and W, and bits -1 and W, lie outside and are never set. A window
is the 3 x 3 cells around a place as one number of nine bits, numbered like ``gathering.PATCH``.
"""

from functools import lru_cache

import torch
from torch import Tensor

WIDEST = 28  # of the boards whose rows fit
WINDOW = 511


def union(boards: Tensor, dim: int) -> Tensor:
    """Join boards along one axis."""
    parts = boards.unbind(dim)
    joined = parts[0]
    for part in parts[1:]:
        joined = joined | part
    return joined


def count(boards: Tensor) -> Tensor:
    """Count the cells that are set, int64 ``[..., W + 2] -> [...]``."""
    # Of each byte there are at most eight: thirty rows add up without overflow.
    return _add_bytes(_count_by_byte(boards).sum(-1))


def count_rows(boards: Tensor) -> Tensor:
    """Count the bits of every row, int32 of the same shape."""
    return _add_bytes(_count_by_byte(boards))


def _count_by_byte(rows: Tensor) -> Tensor:
    pairs = rows - (rows >> 1 & 0x55555555)
    nibbles = (pairs & 0x33333333) + (pairs >> 2 & 0x33333333)
    return nibbles + (nibbles >> 4) & 0x0F0F0F0F


def _add_bytes(counts: Tensor) -> Tensor:
    return (counts & 255) + (counts >> 8 & 255) + (counts >> 16 & 255) + (counts >> 24)


def pack(marks: Tensor) -> Tensor:
    """Pack bool ``[..., 9]`` into windows int32 ``[...]``."""
    return (marks.to(torch.int32) << torch.arange(9, dtype=torch.int32, device=marks.device)).sum(-1).to(torch.int32)


def stamp(windows: Tensor, x: Tensor, y: Tensor, width: int) -> Tensor:
    """Lay windows int32 ``[...]`` onto empty boards around places int32 ``[...]``: int32 ``[..., width + 2]``."""
    rows = torch.arange(3, dtype=torch.int32, device=x.device)
    values = (windows[..., None] >> 3 * rows & 7) << y[..., None]
    empty = torch.zeros(*x.shape, width + 2, dtype=torch.int32, device=x.device)
    return empty.scatter_(-1, (x[..., None] + rows).to(torch.int64), values) & inside(width, x.device)


@lru_cache(maxsize=8)
def inside(width: int, device: torch.device) -> Tensor:
    """Return the board int32 ``[width + 2]`` with all its cells set."""
    line = (1 << width + 1) - 2
    return torch.tensor([0, *[line] * width, 0], dtype=torch.int32, device=device)


def around(boards: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Read the windows at the five places to which ``CROSS_MOVES`` lead from places int32 ``[M, N]``.

    Args:
        boards: int32 ``[M, W + 2]``.
        x: the first coordinate of the places.
        y: the second.

    Returns:
        int32 ``[M, N, 5]``; whatever, for moves that leave the board.
    """
    last = boards.shape[-1] - 1
    rows = x[..., None] + torch.arange(-1, 4, dtype=torch.int32, device=x.device)
    band = boards.gather(1, rows.clamp(0, last).flatten(1).to(torch.int64)).view(rows.shape)
    here = band >> y[..., None] & 7
    # Beyond the walls bits are as good as any, but shifts must not be negative.
    middle = band[..., 1:4]
    up, down = middle >> y[..., None] + 1 & 7, middle >> (y[..., None] - 1).clamp(min=0) & 7
    parts = (here[..., 2:5], here[..., 0:3], up, down, here[..., 1:4])
    return torch.stack([part[..., 0] | part[..., 1] << 3 | part[..., 2] << 6 for part in parts], -1)


def shift(boards: Tensor, by: Tensor) -> Tensor:
    """Move boards int32 ``[M, ..., W + 2]`` by int32 ``[M, 2]`` cells; nothing that is set may leave the board."""
    last = boards.shape[-1] - 1
    by = by.view(len(by), *(1,) * (boards.dim() - 2), 2)
    rows = torch.arange(last + 1, dtype=torch.int32, device=boards.device) - by[..., :1]
    moved = boards.gather(-1, rows.clamp(0, last).to(torch.int64).expand(boards.shape))
    along = by[..., 1:]
    return moved << along.clamp(min=0) >> (-along).clamp(min=0)


def unpack(boards: Tensor) -> Tensor:
    """Return bool ``[..., W * W]`` in the order of cell numbers."""
    width = boards.shape[-1] - 2
    columns = torch.arange(1, width + 1, dtype=torch.int32, device=boards.device)
    return (boards[..., 1:-1, None] >> columns & 1).flatten(-2).to(torch.bool)
