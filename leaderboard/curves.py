"""Learning curves: scores against the share of a budget, for one task and over all tasks. Axes in, axes out."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, PercentFormatter
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from leaderboard.palette import Colour, colours, darker
from leaderboard.plots import FAINT, band, finish
from leaderboard.record import FinishedRun
from leaderboard.statistics import Array, Estimate, clip, interval_estimates, mean_estimate

# Bands of curves are drawn by the hundred and read by eye.
RESAMPLES = 2_000


class Curve(NamedTuple):
    """The evaluations of R runs of one submission on one task, at M marks."""

    episodes: Array  # [M], how many training episodes the run might have played by then
    values: NDArray[np.float64]  # [R, M], greedy returns, or scores


def curve(runs: Sequence[FinishedRun], kind: str = "greedy") -> Curve:
    """Read the returns at all marks off the records of one submission on one task.

    Marks lie at equal shares of the budget, also for whoever plays fewer episodes or none.

    Args:
        runs: all of one submission and task.
        kind: ``"greedy"`` or ``"noisy"``.

    Raises:
        ValueError: if there is no run, or they are of several submissions or tasks.
    """
    if not runs or len({(run.submission, run.task_id) for run in runs}) != 1:
        raise ValueError("runs: a curve needs runs of exactly one submission on one task")
    episodes = np.array([mark.share * runs[0].budget_episodes for mark in runs[0].marks])
    values = np.array([[getattr(mark, kind).mean for mark in run.marks] for run in runs], dtype=np.float64)
    return Curve(episodes, values)


def learning_curves(
    curves: Mapping[str, Curve],
    ax: Axes,
    seed: int,
    palette: Mapping[str, Colour] | None = None,
    levels: Mapping[str, float] | None = None,
    resamples: int = RESAMPLES,
    label: str = "score",
    named: bool = True,
) -> Axes:
    """Draw the mean over runs against training episodes, with a 95% bootstrap band over whole runs.

    Args:
        curves: by submission, all on one task.
        ax: to draw on.
        seed: of the bands.
        palette: colour of each submission.
        levels: horizontal lines, such as ``{"reference": 1.0, "trivial": 0.0}``.
        resamples: of the bands.
        label: of the y axis.
        named: write the names beside the lines; else a legend must tell.
    """
    palette = palette or colours(sorted(curves))
    ends: dict[str, tuple[float, Colour]] = {}
    for name, level in (levels or {}).items():
        ax.axhline(level, color="#999999", linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)
        ends[name] = level, FAINT
    for name, (episodes, values) in curves.items():
        estimate = mean_estimate(values, seed, resamples)
        band(ax, episodes, estimate, palette, name)
        ends[name] = float(estimate.point[-1]), darker(palette[name])
    ax.set_xlim(0, max(episodes[-1] for episodes, _ in curves.values()))
    ax.xaxis.set_major_formatter(EngFormatter(sep=""))
    ax.set_xlabel("training episodes per run")
    ax.set_ylabel(label)
    if named:
        label_ends(ax, ends)
    return finish(ax)


def sample_efficiency(scores: Array, seed: int, resamples: int = RESAMPLES) -> Estimate:
    """Estimate the IQM at every mark.

    Args:
        scores: [R, K, M], runs by tasks by marks, as aggregates count them.
        seed: of the bands.
        resamples: of the bands.

    Returns:
        Arrays [M].
    """
    clipped = clip(scores)
    marks = [interval_estimates(clipped[:, :, mark], seed, resamples)["IQM"] for mark in range(scores.shape[2])]
    return Estimate(*(np.array(values) for values in zip(*marks, strict=True)))


def sample_efficiency_curves(
    estimates: Mapping[str, Estimate], ax: Axes, palette: Mapping[str, Colour] | None = None
) -> Axes:
    """Draw the IQM over all tasks against the share of each task's budget.

    Args:
        estimates: by submission, of ``sample_efficiency``.
        ax: to draw on.
        palette: colour of each submission.
    """
    palette = palette or colours(sorted(estimates))
    for name, estimate in estimates.items():
        band(ax, np.linspace(0, 1, len(estimate.point)), estimate, palette, name)
    ax.set_xlim(0, 1)
    ax.xaxis.set_major_formatter(PercentFormatter(1.0))
    ax.set_xlabel("share of the training episodes")
    ax.set_ylabel("IQM")
    label_ends(ax, {name: (float(e.point[-1]), darker(palette[name])) for name, e in estimates.items()})
    return finish(ax)


def label_ends(ax: Axes, ends: Mapping[str, tuple[float, Colour]]) -> None:
    """Write each name beside the end of its line, moved up or down as little as keeps the names apart."""
    names = sorted(ends, key=lambda name: ends[name][0])
    low, high = ax.get_ylim()
    points = ax.get_window_extent().height * 72 / ax.figure.dpi
    apart = np.arange(len(names)) * 11.0 * (high - low) / points  # 11 points for a line of text of 9
    lines = isotonic_regression(np.array([ends[name][0] for name in names]) - apart).x
    # Not below the axis, where its numbers stand, nor above the figure if that can be helped.
    bottom = low + 4.0 * (high - low) / points
    heights = np.clip(lines, bottom, max(bottom, high - apart[-1])) + apart
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
