"""Noisy reports from counter-based bits, one by one or thousands at once as exact binomial counts.

Only integers are added, multiplied and compared, so the same bits give the same reports on every device.
"""

import torch
from torch import Tensor

from benchmark.tasks.binomial import binomial
from benchmark.tasks.streams import bits

_HALF = 1 << 31


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
    left = (counts - kept).sum(1, dtype=torch.int32)
    for action, probability in enumerate((1 / 3, 1 / 2)):
        reported = binomial(left, drawn[:, 3 + action], probability, limit)
        kept[:, action].add_(reported)
        left.sub_(reported)
    kept[:, 2].add_(left)
    return kept
