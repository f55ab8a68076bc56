"""Learning curves: what the records say, drawn with names that can be read."""

import json

import numpy as np
import pytest
from fabricate import finished
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from leaderboard import curves
from leaderboard.record import FinishedRun
from leaderboard.statistics import interval_estimates, mean_estimate
from leaderboard.submission import parse_record


@pytest.fixture
def ax() -> Axes:
    return Figure(figsize=(5, 3)).subplots()


def finished_run(seed: int, final_return: float, submission: str = "mine") -> FinishedRun:
    run = parse_record(json.dumps(finished(submission, "oracle-v0", seed, final_return)))
    assert isinstance(run, FinishedRun)
    return run


def line(ax: Axes, name: str) -> tuple[list[float], list[float]]:
    found = next(line for line in ax.lines if line.get_label() == name)
    return np.asarray(found.get_xdata()).tolist(), np.asarray(found.get_ydata()).tolist()


def test_a_curve_has_one_value_per_run_and_mark():
    curve = curves.curve([finished_run(0, 1.5), finished_run(1, 3.0)])
    assert curve.episodes.tolist() == pytest.approx([5 * mark for mark in range(21)])  # of a budget of 100
    assert curve.values[:, -1].tolist() == [1.5, 3.0]
    assert curve.values[0, 5] == pytest.approx(0.5)
    noisy = curves.curve([finished_run(0, 1.5)], "noisy")
    assert noisy.values[0, -1] == pytest.approx(1.4)


@pytest.mark.parametrize("runs", [[], [finished_run(0, 1.0), finished_run(0, 1.0, "other")]])
def test_a_curve_of_nobody_or_of_two_is_refused(runs):
    with pytest.raises(ValueError, match="exactly one submission"):
        curves.curve(runs)


def test_learning_curves_draw_the_mean_over_runs_against_training_episodes(ax):
    curve = curves.curve([finished_run(seed, 1.0 + seed) for seed in range(4)])
    assert curves.learning_curves({"mine": curve}, ax, seed=0, levels={"reference": 9.0}, resamples=300) is ax
    episodes, scores = line(ax, "mine")
    assert episodes == curve.episodes.tolist()
    assert scores == pytest.approx(curve.values.mean(0))
    band = ax.collections[0].get_paths()[0].vertices
    expected = mean_estimate(curve.values, 0, 300)
    assert np.asarray(band)[:, 1].max() == pytest.approx(expected.high.max())
    assert {text.get_text() for text in ax.texts} == {"mine", "reference"}


def test_names_at_the_ends_of_curves_keep_apart(ax):
    several = {f"name {n}": curves.Curve(np.arange(3.0), np.full((2, 3), 1.0 + n / 1000)) for n in range(5)}
    ax.set_ylim(0, 2)
    curves.learning_curves(several, ax, seed=0, resamples=100)
    heights = ax.transData.transform([(0, text.xy[1]) for text in ax.texts])[:, 1]  # type: ignore[attr-defined]
    points = np.diff(heights) * 72 / ax.figure.dpi
    assert (points > 10.9).all()
    assert [text.get_text() for text in ax.texts] == sorted(several)


def test_names_stay_clear_of_the_axis_below(ax):
    several = {f"name {n}": curves.Curve(np.arange(3.0), np.full((2, 3), -0.1 * n)) for n in range(5)}
    ax.set_ylim(0, 1)
    curves.learning_curves(several, ax, seed=0, resamples=100)
    assert min(text.xy[1] for text in ax.texts) > 0  # type: ignore[attr-defined]


def test_sample_efficiency_is_the_iqm_at_every_mark_of_clipped_scores():
    scores = np.random.default_rng(0).normal(0, 1, (4, 3, 2))
    estimate = curves.sample_efficiency(scores, seed=0, resamples=100)
    for mark in range(2):
        expected = interval_estimates(np.maximum(scores[:, :, mark], -1), 0, 100)["IQM"]
        assert (estimate.point[mark], estimate.low[mark], estimate.high[mark]) == expected


def test_sample_efficiency_curves_run_over_the_whole_budget(ax):
    estimate = curves.sample_efficiency(np.ones((2, 1, 21)), seed=0, resamples=10)
    curves.sample_efficiency_curves({"mine": estimate}, ax)
    shares, scores = line(ax, "mine")
    assert (shares[0], shares[-1], len(shares)) == (0.0, 1.0, 21)
    assert scores == [1.0] * 21
