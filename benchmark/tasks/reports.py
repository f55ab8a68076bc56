"""Noisy reports from counter-based bits, one by one or thousands at once as exact binomial counts.

A count is drawn by inverting its distribution function. The function is tabulated as integers of 2**-32, by
additions, multiplications and divisions only, and searched by comparisons only, so the same bits give the same count
on every device.
"""

from functools import lru_cache
from math import isqrt

import numpy as np
import torch
from torch import Tensor

from benchmark.tasks.streams import bits

_HALF = 1 << 31
_NEVER = _HALF - 1  # no word is greater


def words(keys: Tensor, step: int, purpose: str, count: int) -> Tensor:
    """Draw int32 ``[B, count]``, uniform over all 2**32 values: both halves of each 64-bit draw."""
    return bits(keys, step, purpose, (count + 1) // 2).view(torch.int32)[:, :count]


def _threshold(probability: float) -> int:
    """Return the int32 that a word does not exceed with the given positive probability (to 2**-32)."""
    return round(probability * 2**32) - 1 - _HALF


def misreport(actions: Tensor, drawn: Tensor, noise: float) -> Tensor:
    """Return what is reported of int64 actions: another one with probability ``noise``, both alike."""
    said = actions + (drawn > _threshold(1 - noise)) + (drawn > _threshold(1 - noise / 2))
    return torch.where(said > 2, said - 3, said)  # Integer remainders take twice the time.


def noisy_counts(counts: Tensor, drawn: Tensor, noise: float, limit: int) -> Tensor:
    """Return how often each action is reported when each report is wrong with probability ``noise``.

    A report is kept with probability ``1 - 1.5 * noise`` and else uniform over the three actions, so that five
    binomial draws stand for any number of reports.

    Args:
        counts: int32 ``[B, 3, N]``: how many agents chose each action.
        drawn: int32 ``[B, 5, N]`` words.
        noise: at most 2/3.
        limit: the most that the counts can add up to.

    Returns:
        int32 ``[B, 3, N]``, with the same sums over actions.
    """
    kept = binomial(counts, drawn[:, :3], max(0.0, 1 - 1.5 * noise), limit)
    lost = (counts - kept).sum(1, dtype=torch.int32)
    first = binomial(lost, drawn[:, 3], 1 / 3, limit)
    second = binomial(lost - first, drawn[:, 4], 1 / 2, limit)
    return kept.add_(torch.stack((first, second, lost - first - second), 1))


def binomial(trials: Tensor, drawn: Tensor, probability: float, limit: int) -> Tensor:
    """Turn words into successes among ``trials`` independent ones.

    Args:
        trials: int32 of any shape, within ``[0, limit]``.
        drawn: int32 of the same shape, from ``words``.
        probability: of one success, in ``[0, 1]``.
        limit: the most trials there can be; it sizes the table, which is built once per process and device.

    Returns:
        int32 of the same shape. Each value's probability is exact to 2**-32.
    """
    table, width, shift = _tables(limit, probability, trials.device)
    row, word = trials.reshape(-1), drawn.reshape(-1)
    place = row * width
    half = width // 2
    while half:
        # At least `half` more thresholds lie below the word if the half-th one does. (lt_ yields int32, not bool.)
        place.add_(table[half - 1 :].index_select(0, place).lt_(word), alpha=half)
        half //= 2
    return (place - shift.index_select(0, row)).view(trials.shape)


@lru_cache(maxsize=32)
def _tables(limit: int, probability: float, device: torch.device) -> tuple[Tensor, int, Tensor]:
    """Return thresholds int32 ``[(limit + 1) * width]``, the width (a power of two), and int32 ``[limit + 1]``: by how
    much a place in a row exceeds the count that it stands for.
    """
    rows = [_thresholds(trials, probability) for trials in range(limit + 1)]
    width = 1 << max(len(row) for _, row in rows).bit_length()
    table = np.full((limit + 1, width), _NEVER, dtype=np.int32)
    for trials, (_, row) in enumerate(rows):
        table[trials, : len(row)] = row
    first = np.array([first for first, _ in rows])
    shift = (np.arange(limit + 1) * width - first).astype(np.int32)
    return torch.from_numpy(table.reshape(-1)).to(device), width, torch.from_numpy(shift).to(device)


def _thresholds(trials: int, probability: float) -> tuple[int, np.ndarray]:
    """Return the least count that a word can yield, and the thresholds that a word passes for each further one."""
    if probability in (0.0, 1.0):
        return int(trials * probability), np.empty(0, dtype=np.int64)
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
    return low + int(np.count_nonzero(passed == 0)), passed[inside] - 1 - _HALF
