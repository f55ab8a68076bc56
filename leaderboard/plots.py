"""Figures that compare submissions: intervals, profiles, probability of improvement.

Every function takes data and axes and returns the axes. None reads files, shows, saves or changes global style;
wrap calls in ``with style():`` for the look of the published figures. Curves are in
``leaderboard.curves``, score against time in ``leaderboard.pareto``.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import matplotlib
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import ArrayLike

from leaderboard.improvement import Improvement
from leaderboard.palette import Colour, colours, dash
from leaderboard.statistics import Array, Estimate, performance_profile

# What is not quite black or white here is another colour on a dark page; what is stays.
INK, FAINT, GRID, PAPER = "#222222", "#6b6b6b", "#e6e6e6", "#fefefe"

_STYLE: dict[Any, Any] = {
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "text.color": INK,
    "font.size": 10,
    "grid.color": GRID,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "savefig.bbox": "tight",
    "savefig.dpi": 200,
    "svg.hashsalt": "penumbra",  # the same figure, the same bytes
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
}
# From "loses" over "even" to "wins": brown and green-blue, which no colour vision confuses.
LOSES, EVEN, WINS = "#b5651d", "#f4f3ef", "#14807a"


def style() -> AbstractContextManager[Any]:
    """Return the context in which the published figures are drawn."""
    return matplotlib.rc_context(_STYLE)


def interval_estimates(
    estimates: Mapping[str, Estimate], ax: Axes, palette: Mapping[str, Colour] | None = None, metric: str = "IQM"
) -> Axes:
    """Draw one metric of every submission: a bar over its interval, a line at the point estimate.

    Args:
        estimates: by submission, the first on top; panels that share their y axis need the same order.
        ax: to draw on.
        palette: colour of each submission.
        metric: what is estimated, for the axis.
    """
    names = list(estimates)[::-1]
    palette = palette or colours(sorted(names))
    for height, name in enumerate(names):
        point, low, high = estimates[name]
        if not np.isnan(low):
            ax.barh(height, high - low, left=low, height=0.6, color=palette[name], alpha=0.45, linewidth=0)
        ax.plot([point, point], [height - 0.3, height + 0.3], color=palette[name], linewidth=2.2)
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(-0.6, len(names) - 0.4)
    ax.use_sticky_edges = False
    ax.margins(x=0.06)
    ax.set_xlabel(metric)
    ax.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
    ax.grid(axis="x")
    ax.set_axisbelow(True)
    ax.tick_params(axis="y", length=0)
    sns.despine(ax=ax, left=True)
    return ax


def performance_profiles(
    scores: Mapping[str, ArrayLike],
    ax: Axes,
    seed: int,
    palette: Mapping[str, Colour] | None = None,
    resamples: int = 2_000,
) -> Axes:
    """Draw, for every submission, the share of runs that score above each threshold, with a 95% band.

    Args:
        scores: by submission, [R, K], clipped.
        ax: to draw on.
        seed: of the bands.
        palette: colour of each submission.
        resamples: of the bands.
    """
    matrices = {name: np.asarray(matrix, dtype=np.float64) for name, matrix in scores.items()}
    palette = palette or colours(sorted(matrices))
    lowest = min(matrix.min() for matrix in matrices.values())
    highest = max(matrix.max() for matrix in matrices.values())
    # Thresholds cover every score, and at least the scale from trivial to reference.
    taus = np.linspace(min(0.0, lowest), max(1.0, highest), 201)
    for name in sorted(matrices, key=lambda name: -matrices[name].mean()):
        band(ax, taus, performance_profile(matrices[name], taus, seed, resamples), palette, name)
    ax.set_xlim(taus[0], taus[-1] + 0.01 * (taus[-1] - taus[0]))
    ax.set_ylim(-0.01, 1.01)
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    ax.set_xlabel("score threshold τ")
    ax.set_ylabel("runs with score > τ")
    legend(ax)
    return finish(ax)


def improvements(pairs: Mapping[tuple[str, str], Improvement], ax: Axes) -> Axes:
    """Draw the probability that a run of the row's submission beats one of the column's, averaged over tasks.

    Bold where the interval excludes one half. The first row wins most.
    """
    names = sorted(
        {x for x, _ in pairs}, key=lambda x: (-sum(p.average.point for (a, _), p in pairs.items() if a == x), x)
    )
    shares = np.array([[pairs[x, y].average.point if x != y else np.nan for y in names] for x in names])
    colormap = LinearSegmentedColormap.from_list("wins", [LOSES, EVEN, WINS])
    numbers = [str(place) for place in range(1, len(names) + 1)]
    sns.heatmap(
        np.ma.masked_invalid(shares), ax=ax, cmap=colormap, vmin=0, vmax=1, linewidths=1.5, linecolor=PAPER,
        square=True, cbar=False, xticklabels=numbers, yticklabels=[f"{name}  {n}" for n, name in enumerate(names, 1)],
    )  # fmt: skip
    for (row, column), share in np.ndenumerate(shares):
        if row != column:
            _, low, high = pairs[names[row], names[column]].average
            ax.text(
                column + 0.5, row + 0.5, _short(share), ha="center",
                va="center_baseline", fontsize=9 if len(names) < 9 else 7.5,
                fontweight="bold" if low > 0.5 or high < 0.5 else "normal",
                color="#ffffff" if abs(share - 0.5) > 0.33 else "#111111",
            )  # fmt: skip
    ax.tick_params(axis="both", length=0)
    ax.tick_params(axis="y", labelrotation=0)
    ax.xaxis.tick_top()
    return ax


def _short(share: float) -> str:
    return f"{share:.0f}" if share in (0, 1) else f"{share:.2f}".removeprefix("0")


def band(ax: Axes, x: Array, estimate: Estimate, palette: Mapping[str, Colour], name: str) -> None:
    """Draw a line and, where there is one, its interval as a band."""
    color = palette[name]
    ax.plot(x, estimate.point, color=color, linewidth=1.8, linestyle=dash(palette, name), label=name, zorder=3)
    if not np.isnan(estimate.low).any():
        ax.fill_between(x, estimate.low, estimate.high, color=color, alpha=0.18, linewidth=0, zorder=2)


def legend(ax: Axes) -> None:
    """Name the lines below the axes, where a figure stays as narrow as a telephone."""
    below = -40 / (ax.get_window_extent().height * 72 / ax.figure.dpi)  # points, for ticks and the axis's name
    ax.legend(loc="upper left", bbox_to_anchor=(-0.05, below), ncols=3, handlelength=1.8, columnspacing=1.2)


def finish(ax: Axes) -> Axes:
    """Leave of frame and grid what helps to read numbers off."""
    ax.grid(axis="y")
    ax.set_axisbelow(True)
    sns.despine(ax=ax)
    return ax
