"""Figures: what is drawn is what was given, on the axes that were given."""

import numpy as np
import pytest
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from leaderboard import plots
from leaderboard.improvement import probability_of_improvement
from leaderboard.statistics import Estimate

ESTIMATES = {
    "best": Estimate(0.9, 0.8, 1.0),
    "middle": Estimate(0.5, 0.4, 0.7),
    "single": Estimate(0.1, np.nan, np.nan),
}


@pytest.fixture
def ax() -> Axes:
    return Figure(figsize=(5, 3)).subplots()


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


def test_improvements_are_drawn_who_wins_most_first_and_bold_where_certain(ax):
    scores = {"weak": np.zeros((4, 2)), "strong": np.ones((4, 2)), "even": np.array([[0.0, 0.0], [1.0, 1.0]] * 2)}
    plots.improvements(probability_of_improvement(scores, seed=0, resamples=200), ax)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["strong  1", "even  2", "weak  3"]
    told = {(text.get_position()[1] - 0.5, text.get_position()[0] - 0.5): text for text in ax.texts}
    assert {place: text.get_text() for place, text in told.items()} == {
        (0, 1): ".75", (0, 2): "1", (1, 0): ".25", (1, 2): ".75", (2, 0): "0", (2, 1): ".25",
    }  # fmt: skip
    assert told[0, 2].get_fontweight() == "bold"


def test_style_is_not_global():
    before = dict(rcParams)
    with plots.style():
        assert rcParams["legend.frameon"] is False
    assert dict(rcParams) == before
