"""Statistics: hand-computed numbers, rliable's own library, scipy's bootstrap, and properties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from leaderboard.improvement import probability_of_improvement
from leaderboard.statistics import (
    Estimate,
    clip,
    difference_estimate,
    interval_estimates,
    mean_estimate,
    performance_profile,
    ranks,
    stack_runs,
)

FEW = 400  # resamples, where only exact properties are asked for
NAMES = ["IQM", "median", "mean", "optimality gap"]

# Eighths are exact in floating point, and so are their sums and differences.
eighths = st.integers(-16, 16).map(lambda number: number / 8)


def matrices(tasks: int | None = None):
    shapes = st.tuples(st.integers(2, 6), st.integers(1, 4) if tasks is None else st.just(tasks))
    return shapes.flatmap(lambda shape: arrays(np.float64, shape, elements=eighths))


def board(seed: int = 0, shape: tuple[int, int] = (10, 6), level: float = 0.6) -> np.ndarray:
    return np.random.default_rng(seed).normal(level, 0.3, shape)


# Hand-computed.


def test_point_estimates_of_a_small_matrix():
    #                   task 0 1 2, sorted: -1 0 0 .25 | .5 .5 .5 .75 1 1 | 1.5 2
    scores = np.array([[0.0, 1.0, -1.0], [0.5, 0.5, 2.0], [1.0, 0.75, 0.0], [0.5, 0.25, 1.5]])
    result = interval_estimates(scores, seed=0, resamples=FEW)
    assert list(result) == NAMES
    # 12 scores; a quarter (3) is cut off at either end: -1, 0, 0 and 1, 1.5, 2.
    assert result["IQM"].point == pytest.approx((0.25 + 0.5 + 0.5 + 0.5 + 0.75 + 1.0) / 6)
    assert result["mean"].point == pytest.approx((0.5 + 0.625 + 0.625) / 3)
    assert result["median"].point == 0.625
    # Shortfalls from 1: 1, .5, 0, .5 | 0, .5, .25, .75 | 2, 0, 1, 0
    assert result["optimality gap"].point == pytest.approx(6.5 / 12)


def test_clipping_is_from_below_only():
    assert clip([-5.0, -1.0, 0.3, 7.0]).tolist() == [-1.0, -1.0, 0.3, 7.0]


def test_two_runs_have_an_interval_that_can_be_written_down():
    # Resamples of {0, 1}: means 0, 1/2, 1 with probabilities 1/4, 1/2, 1/4.
    result = mean_estimate([0.0, 1.0], seed=3, resamples=5_000)
    assert result == Estimate(0.5, 0.0, 1.0)
    inner = mean_estimate([0.0, 1.0], seed=3, resamples=5_000, confidence=0.4)
    assert inner == Estimate(0.5, 0.5, 0.5)


def test_the_interval_of_a_mean_is_that_of_its_exact_bootstrap_distribution():
    # Ten runs of which four score 1: a resampled mean is Binomial(10, 0.4) / 10.
    low, high = stats.binom.ppf([0.025, 0.975], 10, 0.4) / 10
    result = mean_estimate([1.0] * 4 + [0.0] * 6, seed=0, resamples=20_000)
    assert (result.point, result.low, result.high) == pytest.approx((0.4, low, high))


def test_probability_of_improvement_counts_ties_half():
    result = probability_of_improvement(
        {"x": [[1.0, 0.0], [2.0, 0.0], [3.0, 0.0]], "y": [[2.0, 0.0], [0.0, 0.0]]}, seed=0, resamples=FEW
    )["x", "y"]
    # Task 0: 1 beats 0; 2 ties 2 and beats 0; 3 beats both: 4.5 of 6. Task 1: all tie.
    assert result.tasks.point.tolist() == [0.75, 0.5]
    assert result.average.point == 0.625
    assert (result.tasks.low[1], result.tasks.high[1]) == (0.5, 0.5)


def test_probability_of_improvement_has_the_exact_bootstrap_distribution():
    # One task, X in {0, 2}, Y = 1 always: the resampled probability is Binomial(2, 1/2) / 2.
    pair = {"x": [[0.0], [2.0]], "y": [[1.0], [1.0]]}
    result = probability_of_improvement(pair, seed=0, resamples=5_000)["x", "y"]
    assert result.average == Estimate(0.5, 0.0, 1.0)
    assert probability_of_improvement(pair, 0, 5_000, confidence=0.4)["x", "y"].average == Estimate(0.5, 0.5, 0.5)


def test_a_performance_profile_counts_runs_strictly_above():
    result = performance_profile([[0.0, 0.5], [1.0, 0.5]], taus=[-1.0, 0.0, 0.5, 1.0], seed=0, resamples=FEW)
    assert result.point.tolist() == [1.0, 0.75, 0.25, 0.0]
    assert result.low.tolist() == [1.0, 0.5, 0.0, 0.0]
    assert result.high.tolist() == [1.0, 1.0, 0.5, 0.0]


def test_ranks_tie_where_intervals_overlap():
    a, b, c = Estimate(0.85, 0.8, 0.9), Estimate(0.8, 0.75, 0.84), Estimate(0.7, 0.65, 0.77)
    # a and b overlap; c lies below a, not below b.
    assert ranks([a, b, c]) == [1, 1, 2]
    assert ranks([a, c]) == [1, 2]


def test_a_wide_interval_gains_no_rank():
    leader, narrow, wide = Estimate(0.9, 0.88, 0.92), Estimate(0.8, 0.79, 0.81), Estimate(0.5, 0.1, 0.95)
    assert ranks([leader, narrow, wide]) == [1, 2, 2]


def test_without_an_interval_there_is_no_rank():
    assert ranks([Estimate(0.9, np.nan, np.nan), Estimate(0.8, 0.7, 0.9)]) == [None, 1]


# Against rliable and scipy.


@pytest.fixture(scope="module")
def rliable_library():
    # rliable 1.2's library does not import with pandas 3 (TypeError inside arch 7); rliable.metrics always does.
    try:
        from rliable import library
    except TypeError as error:
        pytest.skip(f"rliable.library cannot be imported here: {error}")
    return library


def test_intervals_agree_with_rliable(rliable_library):
    from rliable import metrics

    scores = board(1)
    functions = (
        metrics.aggregate_iqm,
        metrics.aggregate_median,
        metrics.aggregate_mean,
        metrics.aggregate_optimality_gap,
    )
    point, interval = rliable_library.get_interval_estimates(
        {"x": scores}, lambda x: np.array([function(x) for function in functions]), reps=4_000
    )
    ours = interval_estimates(scores, seed=0, resamples=20_000)
    assert [ours[name].point for name in NAMES] == pytest.approx(point["x"])
    # rliable draws from the global generator, whatever it is given; both ends are Monte Carlo estimates with a
    # standard error of about 0.0015.
    assert [[ours[name].low for name in NAMES], [ours[name].high for name in NAMES]] == pytest.approx(
        interval["x"], abs=0.008
    )


def test_probability_of_improvement_agrees_with_rliable(rliable_library):
    from rliable import metrics

    x, y = board(1, (5, 3)), board(2, (4, 3), 0.5)
    point, interval = rliable_library.get_interval_estimates(
        {"x,y": (x, y)}, metrics.probability_of_improvement, reps=500
    )
    ours = probability_of_improvement({"x": x, "y": y}, seed=0, resamples=20_000)["x", "y"].average
    assert ours.point == pytest.approx(float(point["x,y"]))
    assert [ours.low, ours.high] == pytest.approx(interval["x,y"].ravel(), abs=0.05)


def test_probability_of_improvement_agrees_with_scipy():
    x, y = board(3, (6, 2)), board(4, (7, 2), 0.5)

    def statistic(*samples, axis):
        pairs = zip(samples[:2], samples[2:], strict=True)
        return np.mean([(a[..., :, None] > b[..., None, :]).mean((-2, -1)) for a, b in pairs], axis=0)

    theirs = stats.bootstrap(
        (*x.T, *y.T), statistic, n_resamples=20_000, vectorized=True, axis=-1, method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval  # fmt: skip
    ours = probability_of_improvement({"x": x, "y": y}, seed=1, resamples=20_000)["x", "y"].average
    assert [ours.low, ours.high] == pytest.approx(list(theirs), abs=0.012)


def test_profiles_agree_with_rliable(rliable_library):
    scores, taus = board(5), np.linspace(0, 1, 5)
    point, band = rliable_library.create_performance_profile({"x": scores}, taus, reps=1_000)
    ours = performance_profile(scores, taus, seed=0, resamples=10_000)
    assert ours.point == pytest.approx(point["x"])
    assert np.stack([ours.low, ours.high]) == pytest.approx(band["x"], abs=0.02)


def test_ninety_five_percent_intervals_cover_about_ninety_five_percent():
    # 20 tasks x 10 normal runs with mean 0: the percentile interval of the mean is slightly short at n = 10.
    rng = np.random.default_rng(0)
    covered = 0
    for repetition in range(200):
        estimate = interval_estimates(rng.normal(0, 1, (10, 20)), seed=repetition, resamples=300)["mean"]
        covered += estimate.low <= 0 <= estimate.high
    assert 0.88 <= covered / 200 <= 0.98


# Properties.


@settings(max_examples=25, deadline=None)
@given(matrices(), eighths, st.integers(0, 2**32))
def test_shifting_all_scores_shifts_location_estimates(scores, shift, seed):
    before, after = (interval_estimates(matrix, seed, FEW) for matrix in (scores, scores + shift))
    for name in ("IQM", "median", "mean"):
        assert np.array(before[name]) + shift == pytest.approx(np.array(after[name]), abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(matrices(), st.integers(0, 2**32))
def test_intervals_contain_the_point_estimate(scores, seed):
    # Of the means. IQM and median are biased under resampling, so theirs need not; for those only order holds.
    for name, estimate in interval_estimates(scores, seed, FEW).items():
        assert estimate.low <= estimate.high
        if name in ("mean", "optimality gap"):
            assert estimate.low - 1e-9 <= estimate.point <= estimate.high + 1e-9


@settings(max_examples=25, deadline=None)
@given(matrices(), st.randoms(use_true_random=False), st.integers(0, 2**32))
def test_the_order_of_runs_cannot_matter(scores, random, seed):
    shuffled = scores.copy()
    for task in range(scores.shape[1]):
        order = list(range(len(scores)))
        random.shuffle(order)
        shuffled[:, task] = scores[order, task]
    assert interval_estimates(scores, seed, FEW) == interval_estimates(shuffled, seed, FEW)
    assert mean_estimate(scores[:, 0], seed, FEW) == mean_estimate(shuffled[:, 0], seed, FEW)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 3).flatmap(lambda k: st.tuples(*[matrices(tasks=k)] * 3)), st.integers(0, 2**32))
def test_improvement_is_antisymmetric_and_minds_only_its_pair(scores, seed):
    x, y, other = scores
    alone = probability_of_improvement({"x": x, "y": y}, seed, FEW)
    assert alone["x", "y"].average.point + alone["y", "x"].average.point == pytest.approx(1)
    assert alone["x", "y"].average.low + alone["y", "x"].average.high == pytest.approx(1)
    among = probability_of_improvement({"other": other, "x": x, "y": y}, seed, FEW)
    assert among["x", "y"].average == alone["x", "y"].average
    assert probability_of_improvement({"y": y, "x": x}, seed, FEW)["x", "y"].average == pytest.approx(
        alone["x", "y"].average
    )


def test_the_same_seed_gives_the_same_interval_and_another_seed_another():
    scores = board()
    assert interval_estimates(scores, 7, FEW) == interval_estimates(scores, 7, FEW)
    assert interval_estimates(scores, 7, FEW) != interval_estimates(scores, 8, FEW)
    state = np.random.get_state()[1].copy()  # type: ignore[index]  # noqa: NPY002 - that it stays untouched is the point
    probability_of_improvement({"x": scores, "y": scores}, 7, FEW)
    assert (np.random.get_state()[1] == state).all()  # type: ignore[index]  # noqa: NPY002


def test_a_submission_against_its_copy_is_even():
    result = probability_of_improvement({"x": board(), "copy": board()}, 0, FEW)["x", "copy"].average
    assert result.point == 0.5
    assert result.low < 0.5 < result.high


def test_a_curve_is_resampled_by_whole_runs():
    # Two runs, each constant: every resampled curve is constant, so the band is too.
    result = mean_estimate([[0.0] * 5, [1.0] * 5], seed=0, resamples=5_000)
    assert result.low.tolist() == [0.0] * 5
    assert result.high.tolist() == [1.0] * 5


# Thin or broken data.


def test_one_run_has_no_interval():
    result = interval_estimates([[0.2, 0.4]], seed=0, resamples=FEW)["mean"]
    assert result.point == pytest.approx(0.3)
    assert np.isnan([result.low, result.high]).all()
    assert np.isnan(mean_estimate([0.2], 0).low)
    assert np.isnan(performance_profile([[0.2]], [0.0], 0).high).all()
    pair = probability_of_improvement({"x": [[1.0]], "y": [[0.0], [2.0]]}, 0, FEW)["x", "y"]
    assert pair.average.point == 0.5
    assert np.isnan([pair.average.low, pair.average.high, *pair.tasks.low]).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_one_number_that_is_none_is_refused_by_name(bad):
    scores = np.zeros((3, 2))
    scores[1, 0] = bad
    with pytest.raises(ValueError, match=rf"run 1 of task 0 is {bad}; every score must be finite"):
        interval_estimates(scores, 0)
    with pytest.raises(ValueError, match=r"scores of 'x': run 1 of task 0"):
        probability_of_improvement({"x": scores, "y": np.zeros((3, 2))}, 0)
    with pytest.raises(ValueError, match=r"values: run 1 of task 0"):
        mean_estimate(scores[:, 0], 0)


def test_unequal_numbers_of_runs_are_refused_by_name():
    with pytest.raises(ValueError, match=r"same number of runs; given oracle-v0: 2, gathering-v0: 1"):
        stack_runs({"oracle-v0": [0.1, 0.2], "gathering-v0": [0.3]})
    assert stack_runs({"a": [3.0, 1.0], "b": [2.0, 4.0]}).tolist() == [[1.0, 2.0], [3.0, 4.0]]


@pytest.mark.parametrize("bad", [[0.1, 0.2], [[]], np.zeros((2, 0)), np.zeros((1, 1, 1))])
def test_what_is_not_a_matrix_is_refused(bad):
    with pytest.raises(ValueError, match=r"scores: shape=.* must be \(runs, tasks\)"):
        interval_estimates(bad, 0)


@pytest.mark.parametrize("bad", [3.0, []])
def test_what_has_no_runs_is_refused(bad):
    with pytest.raises(ValueError, match=r"values: shape=.* at least one run"):
        mean_estimate(bad, 0)


def test_submissions_on_different_tasks_are_refused():
    with pytest.raises(ValueError, match="same tasks; numbers given x: 1, y: 2"):
        probability_of_improvement({"x": np.zeros((2, 1)), "y": np.zeros((2, 2))}, 0)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"seed": -1}, "seed=-1 must be at least 0"),
        ({"seed": 0, "resamples": 0}, "resamples=0 must be at least 1"),
        ({"seed": 0, "confidence": 95}, "confidence=95 must lie between 0 and 1"),
    ],
)
def test_options_out_of_range_are_refused(option, message):
    with pytest.raises(ValueError, match=message):
        interval_estimates(board(), **option)
    with pytest.raises(ValueError, match=message):
        probability_of_improvement({"x": board()}, **option)


def test_the_difference_of_two_means_has_an_interval_that_ignores_order():
    first, second = [3.0, 1.0, 2.0, 5.0], [0.5, 1.5, 0.0]
    estimate = difference_estimate(first, second, seed=3, resamples=2000)
    assert estimate.point == pytest.approx(2.75 - 2 / 3)
    assert estimate.low < estimate.point < estimate.high
    assert estimate == difference_estimate(first[::-1], second[::-1], seed=3, resamples=2000)
    mirrored = difference_estimate(second, first, seed=3, resamples=20_000)
    assert (-mirrored.high, -mirrored.low) == pytest.approx((estimate.low, estimate.high), abs=0.15)
    assert np.isnan(difference_estimate([1.0], second, seed=0).low)
    with pytest.raises(ValueError, match="must be finite"):
        difference_estimate([np.nan], second, seed=0)
