"""Figures for the board: interval estimates, performance profiles, learning curves.

Every function takes data and axes and returns the axes. None reads files, shows, saves or changes global style;
wrap calls in ``with style():`` for the look of the site.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, MaxNLocator, PercentFormatter
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import isotonic_regression

from leaderboard.record import FinishedRun
from leaderboard.statistics import Array, Estimate, mean_estimate, performance_profile

Color = tuple[float, float, float]

# Paul Tol's "muted" scheme: nine hues that people with any colour vision can tell apart, and grey.
_PALETTE = [
    *("#332288", "#CC6677", "#117733", "#88CCEE", "#882255"),
    *("#DDCC77", "#44AA99", "#999933", "#AA4499", "#888888"),
]

_STYLE: dict[Any, Any] = {
    "axes.edgecolor": "#444444",
    "axes.labelcolor": "#222222",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "font.size": 10,
    "grid.color": "#e6e6e6",
    "legend.fontsize": 9,
    "legend.frameon": False,
    "savefig.bbox": "tight",
    "savefig.dpi": 200,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
}


def style() -> AbstractContextManager[Any]:
    """Return the context in which the published figures are drawn."""
    return matplotlib.rc_context(_STYLE)


def colors(names: Sequence[str]) -> dict[str, Color]:
    """Give each submission a colour of its own. Pass the same names to every figure of a page."""
    palette = sns.color_palette(_PALETTE if len(names) <= len(_PALETTE) else "husl", len(names))
    return dict(zip(names, palette, strict=True))


def interval_estimates(
    estimates: Mapping[str, Estimate], ax: Axes, palette: Mapping[str, Color] | None = None, metric: str = "IQM"
) -> Axes:
    """Draw one metric of every submission: a bar over its interval, a line at the point estimate.

    Args:
        estimates: by submission, the first on top; panels that share their y axis need the same order.
        ax: to draw on.
        palette: colour of each submission.
        metric: what is estimated, for the axis.
    """
    names = list(estimates)[::-1]
    palette = palette or colors(sorted(names))
    for height, name in enumerate(names):
        point, low, high = estimates[name]
        if not np.isnan(low):
            ax.barh(height, high - low, left=low, height=0.6, color=palette[name], alpha=0.45, linewidth=0)
        ax.plot([point, point], [height - 0.3, height + 0.3], color=palette[name], linewidth=2.2)
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(-0.6, len(names) - 0.4)
    ax.use_sticky_edges = False
    ax.margins(x=0.04)
    ax.set_xlabel(metric)
    ax.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    ax.grid(axis="x")
    ax.set_axisbelow(True)
    ax.tick_params(axis="y", length=0)
    sns.despine(ax=ax, left=True)
    return ax


def performance_profiles(
    scores: Mapping[str, ArrayLike],
    ax: Axes,
    seed: int,
    palette: Mapping[str, Color] | None = None,
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
    palette = palette or colors(sorted(matrices))
    lowest = min(matrix.min() for matrix in matrices.values())
    highest = max(matrix.max() for matrix in matrices.values())
    # Thresholds cover every score, and at least the scale from trivial to reference.
    taus = np.linspace(min(0.0, lowest), max(1.0, highest), 201)
    for name in sorted(matrices, key=lambda name: -matrices[name].mean()):
        _band(ax, taus, performance_profile(matrices[name], taus, seed, resamples), palette[name], name)
    ax.set_xlim(taus[0], taus[-1])
    ax.set_ylim(-0.01, 1.01)
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    ax.set_xlabel(r"score threshold $\tau$")
    ax.set_ylabel(r"runs with score $> \tau$")
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.02), handlelength=1.4)
    return _finish(ax)


class Curve(NamedTuple):
    """The evaluations of R runs of one submission on one task, at M marks."""

    steps: Array  # [M], environment steps per run, averaged over runs
    values: NDArray[np.float64]  # [R, M]


def curve(runs: Sequence[FinishedRun], kind: str = "greedy") -> Curve:
    """Read the learning curve off the records of one submission on one task.

    Marks lie at equal shares of the budget in episodes, so runs may have made different numbers of steps at a mark.

    Args:
        runs: all of one submission and task.
        kind: ``"greedy"`` or ``"noisy"``.
    """
    if not runs or len({(run.submission, run.task_id) for run in runs}) != 1:
        raise ValueError("runs: a curve needs runs of exactly one submission on one task")
    steps = np.array([[mark.env_steps for mark in run.marks] for run in runs], dtype=np.float64)
    values = np.array([[getattr(mark, kind).mean for mark in run.marks] for run in runs], dtype=np.float64)
    return Curve(steps.mean(0), values)


def learning_curves(
    curves: Mapping[str, Curve],
    ax: Axes,
    seed: int,
    palette: Mapping[str, Color] | None = None,
    levels: Mapping[str, float] | None = None,
    resamples: int = 2_000,
) -> Axes:
    """Draw the mean return over runs against environment steps, with a 95% bootstrap band over whole runs.

    Args:
        curves: by submission, all on one task.
        ax: to draw on.
        seed: of the bands.
        palette: colour of each submission.
        levels: horizontal lines, such as ``{"reference": 9.1, "trivial": 0.3}``.
        resamples: of the bands.
    """
    palette = palette or colors(sorted(curves))
    ends: dict[str, tuple[float, Any]] = {}
    for label, level in (levels or {}).items():
        ax.axhline(level, color="#999999", linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)
        ends[label] = level, "#777777"
    for name, (steps, values) in curves.items():
        estimate = mean_estimate(values, seed, resamples)
        _band(ax, steps, estimate, palette[name], name)
        # Words need more contrast than lines.
        ends[name] = float(estimate.point[-1]), tuple(0.75 * part for part in palette[name])
    ax.set_xlim(0, max(steps[-1] for steps, _ in curves.values()))
    ax.xaxis.set_major_formatter(EngFormatter(sep=""))
    ax.set_xlabel("environment steps")
    ax.set_ylabel("return")
    _label_ends(ax, ends)
    return _finish(ax)


def _band(ax: Axes, x: Array, estimate: Estimate, color: Color, label: str) -> None:
    ax.plot(x, estimate.point, color=color, linewidth=1.8, label=label, zorder=3)
    if not np.isnan(estimate.low).any():
        ax.fill_between(x, estimate.low, estimate.high, color=color, alpha=0.18, linewidth=0, zorder=2)


def _label_ends(ax: Axes, ends: Mapping[str, tuple[float, Any]]) -> None:
    """Write each name beside the end of its line, moved up or down as little as keeps the names apart."""
    names = sorted(ends, key=lambda name: ends[name][0])
    low, high = ax.get_ylim()
    points = ax.get_window_extent().height * 72 / ax.figure.dpi
    apart = np.arange(len(names)) * 11.0 * (high - low) / points  # 11 points for a line of text of 9
    heights = isotonic_regression(np.array([ends[name][0] for name in names]) - apart).x + apart
    for name, height in zip(names, heights, strict=True):
        ax.annotate(
            name,
            (1.0, height),
            xycoords=("axes fraction", "data"),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            color=ends[name][1],
            annotation_clip=False,
        )


def _finish(ax: Axes) -> Axes:
    ax.grid(axis="y")
    ax.set_axisbelow(True)
    sns.despine(ax=ax)
    return ax
