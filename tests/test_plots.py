"""Figures: what is drawn is what was given, on the axes that were given."""

import json

import numpy as np
import pytest
from fabricate import finished
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from leaderboard import plots
from leaderboard.record import FinishedRun
from leaderboard.statistics import Estimate, mean_estimate
from leaderboard.submission import parse_record

ESTIMATES = {
    "best": Estimate(0.9, 0.8, 1.0),
    "middle": Estimate(0.5, 0.4, 0.7),
    "single": Estimate(0.1, np.nan, np.nan),
}


@pytest.fixture
def ax() -> Axes:
    return Figure(figsize=(5, 3)).subplots()


def finished_run(seed: int, final_return: float, submission: str = "mine") -> FinishedRun:
    run = parse_record(json.dumps(finished(submission, "oracle-v0", seed, final_return)))
    assert isinstance(run, FinishedRun)
    return run


def drawn(ax: Axes) -> dict[str, tuple[list[float], list[float]]]:
    """Return the named lines of some axes."""
    return {
        str(line.get_label()): (np.asarray(line.get_xdata()).tolist(), np.asarray(line.get_ydata()).tolist())
        for line in ax.lines
        if not str(line.get_label()).startswith("_")
    }


def test_interval_estimates_draw_bars_from_low_to_high_the_first_on_top(ax):
    assert plots.interval_estimates(ESTIMATES, ax) is ax
    assert [label.get_text() for label in ax.get_yticklabels()] == ["single", "middle", "best"]
    bars = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in ax.patches]  # type: ignore[attr-defined]
    assert bars == [pytest.approx((0.4, 0.7)), pytest.approx((0.8, 1.0))]
    assert [np.asarray(line.get_xdata())[0] for line in ax.lines] == [0.1, 0.5, 0.9]
    assert ax.get_xlabel() == "IQM"


def test_performance_profiles_fall_from_one_to_zero(ax):
    scores = {"mine": np.array([[0.2, 0.4], [0.6, 0.8]]), "other": np.array([[1.5, -1.0]])}
    assert plots.performance_profiles(scores, ax, seed=0, resamples=200) is ax
    taus, shares = drawn(ax)["mine"]
    assert (taus[0], taus[-1]) == (-1.0, 1.5)
    assert (shares[0], shares[-1]) == (1.0, 0.0)
    assert shares == sorted(shares, reverse=True)
    assert shares[np.searchsorted(taus, 0.5)] == 0.5
    # "other" has one run, hence no band.
    assert len(ax.collections) == 1


def test_a_curve_has_one_value_per_run_and_mark():
    curve = plots.curve([finished_run(0, 1.5), finished_run(1, 3.0)])
    assert curve.steps.tolist() == [50.0 * mark for mark in range(21)]
    assert curve.values[:, -1].tolist() == [1.5, 3.0]
    assert curve.values[0, 5] == pytest.approx(0.5)
    noisy = plots.curve([finished_run(0, 1.5)], "noisy")
    assert noisy.values[0, -1] == pytest.approx(1.4)


@pytest.mark.parametrize("runs", [[], [finished_run(0, 1.0), finished_run(0, 1.0, "other")]])
def test_a_curve_of_nobody_or_of_two_is_refused(runs):
    with pytest.raises(ValueError, match="exactly one submission"):
        plots.curve(runs)


def test_learning_curves_draw_the_mean_over_runs_against_environment_steps(ax):
    curve = plots.curve([finished_run(seed, 1.0 + seed) for seed in range(4)])
    assert plots.learning_curves({"mine": curve}, ax, seed=0, levels={"reference": 9.0}, resamples=300) is ax
    steps, returns = drawn(ax)["mine"]
    assert steps == curve.steps.tolist()
    assert returns == pytest.approx(curve.values.mean(0))
    band = ax.collections[0].get_paths()[0].vertices
    expected = mean_estimate(curve.values, 0, 300)
    assert np.asarray(band)[:, 1].max() == pytest.approx(expected.high.max())
    assert {text.get_text() for text in ax.texts} == {"mine", "reference"}


def test_names_at_the_ends_of_curves_keep_apart(ax):
    curves = {f"name {n}": plots.Curve(np.arange(3.0), np.full((2, 3), 1.0 + n / 1000)) for n in range(5)}
    ax.set_ylim(0, 2)
    plots.learning_curves(curves, ax, seed=0, resamples=100)
    heights = ax.transData.transform([(0, text.xy[1]) for text in ax.texts])[:, 1]  # type: ignore[attr-defined]
    points = np.diff(heights) * 72 / ax.figure.dpi
    assert (points > 10.9).all()
    assert [text.get_text() for text in ax.texts] == sorted(curves)


def test_colours_are_distinct_for_any_number_of_submissions():
    for count in (1, 10, 25):
        palette = plots.colors([f"s{n}" for n in range(count)])
        assert len({to_rgb(color) for color in palette.values()}) == count


def test_style_is_not_global():
    before = dict(rcParams)
    with plots.style():
        assert rcParams["legend.frameon"] is False
    assert dict(rcParams) == before
