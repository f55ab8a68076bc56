"""Probability of improvement: how often a run of one submission beats a run of another on the same task.

This is the Mann-Whitney statistic with ties counted half, averaged over tasks, as in rliable. A resample is a vector
of counts (how often each run was drawn), and the statistic of two resamples is the bilinear form of their counts with
the table of who beats whom. So the counts are drawn once per submission and serve all its pairs.
"""

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from leaderboard.statistics import BATCH, CONFIDENCE, RESAMPLES, Array, Estimate, check_options, check_scores


class Improvement(NamedTuple):
    """P(X > Y) + P(X = Y) / 2 for runs of X and Y drawn at random."""

    average: Estimate  # over tasks: floats
    tasks: Estimate  # arrays [K]


def probability_of_improvement(
    scores: Mapping[str, ArrayLike], seed: int, resamples: int = RESAMPLES, confidence: float = CONFIDENCE
) -> dict[tuple[str, str], Improvement]:
    """Estimate, for every ordered pair (X, Y) of submissions, the probability that a run of X beats one of Y.

    X and Y are resampled independently, from a stream of their own each, so that a pair's interval depends on nobody
    else and (Y, X) is the mirror image of (X, Y). The numbers of runs may differ between submissions.

    Args:
        scores: by submission, [R, K] with the same tasks in the same order.
        seed: of the resampling.
        resamples: how many.
        confidence: of each interval.

    Raises:
        ValueError: if a matrix is not finite, the numbers of tasks differ, or an option is out of range.
    """
    check_options(seed, resamples, confidence)
    matrices = {name: check_scores(matrix, f"scores of {name!r}") for name, matrix in scores.items()}
    if len({matrix.shape[1] for matrix in matrices.values()}) > 1:
        named = ", ".join(f"{name}: {matrix.shape[1]}" for name, matrix in matrices.items())
        raise ValueError(f"scores: all submissions must have the same tasks; numbers given {named}")
    counts = {
        name: _run_counts(np.random.default_rng([seed, *name.encode()]), matrix.shape, resamples)
        for name, matrix in matrices.items()
        if len(matrix) > 1
    }
    result: dict[tuple[str, str], Improvement] = {}
    for x, y in combinations(matrices, 2):
        wins = _wins(matrices[x], matrices[y])
        point = wins.mean((1, 2), dtype=np.float64)
        if x in counts and y in counts:
            resampled = _resampled_wins(wins, counts[x], counts[y])
            tasks = Estimate(point, *_percentiles(resampled, confidence))
            average = Estimate(float(point.mean()), *map(float, _percentiles(resampled.mean(0), confidence)))
        else:
            tasks = Estimate(point, *np.full((2, len(point)), np.nan))
            average = Estimate(float(point.mean()), np.nan, np.nan)
        result[x, y] = Improvement(average, tasks)
        result[y, x] = Improvement(_mirror(average), _mirror(tasks))
    return result


def _run_counts(rng: np.random.Generator, shape: tuple[int, ...], resamples: int) -> NDArray[np.uint16]:
    """Draw how often each run of scores [R, K] comes up in each resample of each task: [K, resamples, R]."""
    runs, tasks = shape
    offsets = runs * np.arange(resamples)[:, None]
    counts = np.empty((tasks, resamples, runs), np.uint16)
    for task in range(tasks):
        drawn = rng.integers(0, runs, (resamples, runs)) + offsets
        counts[task] = np.bincount(drawn.ravel(), minlength=resamples * runs).reshape(resamples, runs)
    return counts


def _wins(x: Array, y: Array) -> NDArray[np.float32]:
    """Compare all runs of X and Y task by task: [K, Rx, Ry], 1 where X wins, 1/2 where they tie."""
    ours, theirs = x.T[:, :, None], y.T[:, None, :]
    return ((ours > theirs) + 0.5 * (ours == theirs)).astype(np.float32)


def _resampled_wins(wins: NDArray[np.float32], x: NDArray[np.uint16], y: NDArray[np.uint16]) -> Array:
    """Return each resample's share of wins [K, resamples], from counts alone: a bilinear form per task.

    Sums of halves below 2^23 are exact in float32, and matrix products in float32 are twice as fast.
    """
    won = np.empty(x.shape[:2], np.float64)
    for batch in _batches(x.shape[1]):
        against = x[:, batch].astype(np.float32) @ wins  # [K, batch, Ry]: what X wins against each run of Y
        won[:, batch] = np.einsum("kby,kby->kb", against, y[:, batch].astype(np.float32))
    return won / (wins.shape[1] * wins.shape[2])


def _batches(resamples: int) -> Iterator[slice]:
    return (slice(first, first + BATCH) for first in range(0, resamples, BATCH))


def _percentiles(resampled: Array, confidence: float) -> Array:
    """Return the two ends [2, ...] over the last axis."""
    tail = (1.0 - confidence) / 2.0
    return np.quantile(resampled, [tail, 1.0 - tail], axis=-1)


def _mirror(estimate: Estimate) -> Estimate:
    return Estimate(1.0 - estimate.point, 1.0 - estimate.high, 1.0 - estimate.low)
