"""From scores to estimates: rliable's metrics, with seeded, vectorised, stratified bootstrap intervals.

One structure goes through every function, as in rliable (Agarwal et al., 2021, "Deep Reinforcement Learning at the
Edge of the Statistical Precipice"): ``scores[R, K]``, R runs by K tasks. Each task is a stratum: its R runs are
resampled among themselves. Runs are sorted first, so that their order cannot matter, and every function that draws
takes a seed, so that the same scores and seed always give the same interval, whoever else is compared.

An interval needs two runs; with one it is NaN, never of width zero. NaN, infinity and unequal numbers of runs are
refused: whoever builds the matrix decides what a failed or missing run means.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rliable import metrics
from scipy import stats

Array = NDArray[np.float64]

RESAMPLES = 50_000
CONFIDENCE = 0.95
FLOOR = -1.0  # aggregates use scores clipped below at this: one collapse must not outweigh ten tasks

# How a row of the board is aggregated, under rliable's names. All but the optimality gap are better when larger.
METRICS = {
    "IQM": metrics.aggregate_iqm,
    "median": metrics.aggregate_median,
    "mean": metrics.aggregate_mean,
    "optimality gap": metrics.aggregate_optimality_gap,
}

# Resamples made at once, to bound memory. The draws depend on it: changing it changes intervals in the third digit.
BATCH = 1_000


class Estimate(NamedTuple):
    """A point estimate and its interval: numbers, or arrays of one shape. The ends are NaN with fewer than two runs."""

    point: Any
    low: Any
    high: Any


def clip(scores: ArrayLike) -> Array:
    """Clip scores below at ``FLOOR``, as every aggregate does."""
    return np.maximum(np.asarray(scores, dtype=np.float64), FLOOR)


def stack_runs(scores: Mapping[str, Sequence[float]]) -> Array:
    """Put the runs of every task side by side, as a matrix [R, K] with tasks in the mapping's order.

    Raises:
        ValueError: if the tasks have different numbers of runs: a task with more runs would weigh more.
    """
    counts = {task: len(runs) for task, runs in scores.items()}
    if len(set(counts.values())) > 1:
        named = ", ".join(f"{task}: {count}" for task, count in counts.items())
        raise ValueError(f"scores: every task must have the same number of runs; given {named}")
    return check_scores(np.array(list(scores.values()), dtype=np.float64).T)


def check_scores(scores: ArrayLike, name: str = "scores") -> Array:
    """Return ``scores`` as a float64 matrix [R, K] with the runs of each task in ascending order.

    Raises:
        ValueError: if it is not a non-empty matrix of finite numbers.
    """
    matrix = np.asarray(scores, dtype=np.float64)
    if matrix.ndim != 2 or matrix.size == 0:
        raise ValueError(f"{name}: shape={matrix.shape} must be (runs, tasks) with at least one of each")
    if not np.isfinite(matrix).all():
        run, task = np.argwhere(~np.isfinite(matrix))[0]
        raise ValueError(f"{name}: run {run} of task {task} is {matrix[run, task]}; every score must be finite")
    return np.sort(matrix, axis=0)


def interval_estimates(
    scores: ArrayLike, seed: int, resamples: int = RESAMPLES, confidence: float = CONFIDENCE
) -> dict[str, Estimate]:
    """Estimate all four metrics with percentile intervals from one stratified bootstrap.

    Args:
        scores: [R, K], already clipped.
        seed: of the resampling.
        resamples: how many.
        confidence: of each interval.

    Returns:
        An estimate (floats) for each name of ``METRICS``.

    Raises:
        ValueError: if the scores are not a matrix of finite numbers, or an option is out of range.
    """
    matrix = check_scores(scores)
    points = np.array([metric(matrix) for metric in METRICS.values()])
    low, high = _bootstrap(tuple(matrix.T), _all_metrics, points.shape, seed, resamples, confidence)
    ends = zip(METRICS, points.tolist(), low.tolist(), high.tolist(), strict=True)
    return {name: Estimate(*estimate) for name, *estimate in ends}


def mean_estimate(values: ArrayLike, seed: int, resamples: int = RESAMPLES, confidence: float = CONFIDENCE) -> Estimate:
    """Estimate the mean over runs of values [R, ...]: the returns of one task, or a learning curve [R, marks].

    Whole runs are resampled, so a curve's band moves as its runs do.

    Raises:
        ValueError: if a value is not finite, there is none, or an option is out of range.
    """
    runs = np.asarray(values, dtype=np.float64)
    if runs.ndim == 0 or runs.size == 0:
        raise ValueError(f"values: shape={runs.shape} must be (runs, ...) with at least one run")
    flat = runs.reshape(len(runs), -1)
    check_scores(flat, "values")
    # Ordered by their first entry (then the next, ...), so that the order of runs cannot matter.
    flat = flat[np.lexsort(flat.T[::-1])]
    low, high = _bootstrap((flat.T,), np.mean, flat.shape[1:], seed, resamples, confidence)
    return Estimate(*(np.reshape(end, runs.shape[1:])[()] for end in (flat.mean(0), low, high)))


def interquartile_mean(values: Array, axis: int) -> Array:
    """Return the mean of the middle half, which a collapsed run in ten does not move."""
    return stats.trim_mean(values, 0.25, axis)


def difference_estimate(
    first: ArrayLike,
    second: ArrayLike,
    seed: int,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    centre: Callable[[Array, int], Array] = np.mean,
) -> Estimate:
    """Estimate the difference of two means over runs, ``mean(first) - mean(second)``; both are resampled.

    Args:
        first: values [R].
        second: values [S], of other runs.
        seed: of the resampling.
        resamples: how many.
        confidence: of the interval; NaN unless both have two runs.
        centre: what stands for the mean, given values and an axis.

    Raises:
        ValueError: if a value is not finite, there is none, or an option is out of range.
    """
    columns = [np.asarray(values, dtype=np.float64).reshape(-1, 1) for values in (first, second)]
    samples = tuple(check_scores(column, "values")[:, 0] for column in columns)
    point = float(centre(samples[0], 0) - centre(samples[1], 0))
    if min(map(len, samples)) < 2:
        return Estimate(point, math.nan, math.nan)

    def difference(one: Array, other: Array, axis: int) -> Array:
        return centre(one, axis) - centre(other, axis)

    return Estimate(point, *map(float, _bootstrap(samples, difference, (), seed, resamples, confidence)))


def performance_profile(
    scores: ArrayLike, taus: ArrayLike, seed: int, resamples: int = 2_000, confidence: float = CONFIDENCE
) -> Estimate:
    """Estimate the share of runs whose score exceeds each threshold tau.

    Args:
        scores: [R, K].
        taus: thresholds [T].
        seed: of the resampling.
        resamples: how many.
        confidence: of the band, at each threshold alone.

    Returns:
        Arrays [T].
    """
    matrix, thresholds = check_scores(scores), np.asarray(taus, dtype=np.float64)

    def profile(*samples: Array, axis: int) -> Array:
        pooled = np.concatenate(samples, axis=axis)
        return np.stack([(pooled > tau).mean(axis) for tau in thresholds])

    low, high = _bootstrap(tuple(matrix.T), profile, thresholds.shape, seed, resamples, confidence)
    return Estimate((matrix[..., None] > thresholds).mean((0, 1)), low, high)


def ranks(estimates: Sequence[Estimate]) -> list[int | None]:
    """Rank submissions, which must come best first, with ties where intervals cannot separate them.

    A rank is 1 + the number of submissions whose interval lies wholly above; a wide interval gains nothing, since
    nobody ranks better than a submission with a higher point estimate. Without an interval there is no rank (None).
    """
    result: list[int | None] = []
    best = 1
    for estimate in estimates:
        if np.isnan(estimate.low):
            result.append(None)
            continue
        best = max(best, 1 + sum(other.low > estimate.high for other in estimates))
        result.append(best)
    return result


def _all_metrics(*samples: Array, axis: int) -> Array:
    """Compute ``METRICS`` of many resampled matrices at once: K arrays [..., R] to [4, ...]."""
    assert axis == -1
    scores = np.stack(samples, axis=-2)
    pooled = scores.reshape(*scores.shape[:-2], -1)
    tasks = scores.mean(-1)
    gap = 1.0 - np.minimum(pooled, 1.0).mean(-1)
    return np.stack([stats.trim_mean(pooled, 0.25, axis=-1), np.median(tasks, axis=-1), tasks.mean(-1), gap])


def _bootstrap(
    samples: tuple[Array, ...], statistic: Any, shape: tuple[int, ...], seed: int, resamples: int, confidence: float
) -> tuple[Array, Array]:
    """Return the ends of percentile intervals; each sample's last axis is resampled independently of the others."""
    check_options(seed, resamples, confidence)
    if samples[0].shape[-1] < 2:
        return np.full(shape, np.nan), np.full(shape, np.nan)
    interval = stats.bootstrap(
        samples,
        statistic,
        n_resamples=resamples,
        batch=BATCH,
        vectorized=True,
        axis=-1,
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return interval.low, interval.high


def check_options(seed: int, resamples: int, confidence: float) -> None:
    """Refuse options that are out of range.

    Raises:
        ValueError: naming the option, its value and what is allowed.
    """
    if seed < 0:
        raise ValueError(f"seed={seed} must be at least 0")
    if resamples < 1:
        raise ValueError(f"resamples={resamples} must be at least 1")
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence={confidence} must lie between 0 and 1")
