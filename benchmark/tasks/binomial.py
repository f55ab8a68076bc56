"""Exact binomial counts from random words, thousands at once and the same on every device.

A count is drawn by inverting its distribution function, tabulated as integers of 2**-32 by additions, multiplications
and divisions only. A guide table (Chen & Asau, *AIIE Transactions*, 1974) tells from a word's cell which few
thresholds are left to compare it with. Its cells split the words of each row as floats split numbers: finely towards
both ends, where thresholds crowd.
"""

from functools import lru_cache
from math import isqrt
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

_LOWEST = -(1 << 31)
_NEVER = (1 << 31) - 1  # no word is greater

# A word's distance from the nearer end as a float32: 32 exponents (127 to 158), each cut into 16 cells. The sign, which
# half it lies in, sits 256 exponents higher up. With 96 exponents from row to row the upper half of one row falls
# between two others (256 + 32 = 3 * 96), and so does the distance 0, whose exponent is 0.
_MANTISSA, _FINE = 23, 4
_ROW = 96 << _FINE
_START = 3 * _ROW - (127 << _FINE)


def binomial(trials: Tensor, drawn: Tensor, probability: float, limit: int) -> Tensor:
    """Turn words into successes among ``trials`` independent ones.

    Args:
        trials: int32 of any shape, within ``[0, limit]``.
        drawn: int32 of the same shape, uniform over all 2**32 values.
        probability: of one success, in ``[0, 1]``.
        limit: the most trials there can be; it sizes the tables, which are built once per process and device.

    Returns:
        int32 of the same shape. Each value's probability is exact to 2**-32.
    """
    tables = _tables(limit, probability, trials.device)
    cells = torch.add(tables.start, trials, alpha=_ROW).add_(_cut(drawn))
    places = _look_up(tables.guide, cells)
    for reach in tables.reaches:
        # At least `reach` more thresholds lie below the word if the reach-th one does. (lt_ yields int32, not bool.)
        places.add_(_look_up(tables.thresholds[reach - 1 :], places).lt_(drawn), alpha=reach)
    return places.sub_(trials, alpha=tables.width)


def _look_up(table: Tensor, places: Tensor) -> Tensor:
    return table.index_select(0, places.reshape(-1)).view(places.shape)


def _cut(words: Tensor) -> Tensor:
    """Return the cells of int32 words, up to a row's offset; words in their order have cells of one order."""
    return words.bitwise_xor(_LOWEST).to(torch.float32).view(torch.int32) >> (_MANTISSA - _FINE)


class _Tables(NamedTuple):
    """The place of count c in the row of n trials is ``n * width + c``."""

    guide: Tensor  # int32 [cells]: the place of the least count that a word of the cell can yield
    thresholds: Tensor  # int32 [places]: a greater word yields more than the count
    width: int
    reaches: tuple[int, ...]  # the steps of the search within a cell
    start: Tensor  # int32 []: the cell of row 0 that _cut calls 0


@lru_cache(maxsize=32)
def _tables(limit: int, probability: float, device: torch.device) -> _Tables:
    rows = [_thresholds(trials, probability) for trials in range(limit + 1)]
    cut = [_order(_cut(torch.from_numpy(row)).numpy()) for _, row in rows]
    crowd = max(int(np.unique(cells, return_counts=True)[1].max(initial=0)) for cells in cut)
    reaches = tuple(1 << bit for bit in reversed(range(crowd.bit_length())))
    width = max(len(row) for _, row in rows) + 1 + crowd
    thresholds = np.full((limit + 1) * (width + 1), _NEVER, dtype=np.int32)
    guide = np.zeros(_ROW * limit + _START + (160 << _FINE), dtype=np.int32)
    cells = np.concatenate([np.arange(-129 << _FINE, -97 << _FINE), [0], np.arange(127 << _FINE, 159 << _FINE)])
    for trials, (first, row) in enumerate(rows):
        place = trials * width + first
        thresholds[place : place + len(row)] = row
        guide[_START + trials * _ROW + cells] = place + np.searchsorted(cut[trials], _order(cells))
    cells_there, places_there = torch.from_numpy(guide).to(device), torch.from_numpy(thresholds).to(device)
    start = torch.tensor(_START, dtype=torch.int32, device=device)
    return _Tables(cells_there, places_there, width, reaches, start)


def _order(cells: np.ndarray) -> np.ndarray:
    """Return numbers that grow with the words of the cells: the upper half's distances from the end shrink."""
    return np.where(cells < 0, -cells + (256 << _FINE), cells)


def _thresholds(trials: int, probability: float) -> tuple[int, np.ndarray]:
    """Return the least count that a word can yield, and the thresholds that a word passes for each further one."""
    if probability in (0.0, 1.0):
        return int(trials * probability), np.empty(0, dtype=np.int32)
    # Hoeffding: beyond this distance from the mode lies less than exp(-32), far below 2**-32.
    mode = min(int((trials + 1) * probability), trials)
    reach = 4 * isqrt(trials) + 40
    low, high = max(mode - reach, 0), min(mode + reach, trials)
    odds = probability / (1 - probability)
    above = np.arange(mode, high, dtype=np.float64)
    below = np.arange(mode, low, -1, dtype=np.float64)
    up = np.cumprod((trials - above) / (above + 1) * odds)
    down = np.cumprod(below / (trials - below + 1) / odds)
    mass = np.concatenate([down[::-1], [1.0], up])
    cumulative = np.cumsum(mass)
    passed = np.rint(cumulative / cumulative[-1] * 2.0**32).astype(np.int64)
    inside = (passed > 0) & (passed < 1 << 32)
    return low + int(np.count_nonzero(passed == 0)), (passed[inside] - 1 + _LOWEST).astype(np.int32)
