"""Figures of ablations: what each value scores, and how good beliefs are with it. Axes in, axes out."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from leaderboard.ablation import Point, Swept, spoken
from leaderboard.belief_plots import save
from leaderboard.palette import Colour
from leaderboard.plots import FAINT, PAPER, finish, style
from leaderboard.statistics import Array, mean_estimate

# Intervals of figures are read by eye.
RESAMPLES = 2_000


def values_plot(swept: Swept, ax: Axes, colour: Colour, what: str = "score", seed: int = 0) -> Axes:
    """Draw the mean over runs of every value with its 95% bootstrap interval, and the runs themselves, faintly.

    Values stand side by side in the ablation's order, whatever their size. The submission as it is has a ring.

    Args:
        swept: an ablation.
        ax: to draw on.
        colour: of the submission.
        what: ``"score"``, or a number of the belief scores such as ``"accuracy"``.
        seed: of the intervals.
    """
    places = {name: place for place, name in enumerate(swept.names)}
    shown = [(places[point.name], point, runs) for point in swept.points if len(runs := _runs(point, what))]
    means = [mean_estimate(runs, seed, RESAMPLES) for _, _, runs in shown]
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in swept.ablation.values):
        ax.plot([place for place, _, _ in shown], [mean.point for mean in means], color=colour, linewidth=1.2, zorder=2)
    for (place, point, runs), mean in zip(shown, means, strict=True):
        spread = place + 0.16 * np.linspace(-1, 1, len(runs)) if len(runs) > 1 else [place]
        ax.plot(spread, np.sort(runs), ".", color=colour, alpha=0.4, markersize=6, markeredgewidth=0, zorder=3)
        if not np.isnan(mean.low):
            ax.plot([place, place], [mean.low, mean.high], color=colour, linewidth=5, alpha=0.35, zorder=2)
        face = PAPER if point is swept.usual else colour
        ax.plot(place, mean.point, "o", color=colour, markerfacecolor=face, markersize=7, markeredgewidth=1.8, zorder=4)
    ax.set_xticks(range(len(swept.names)), [spoken(value) for value in swept.ablation.values])
    ax.set_xlim(-0.5, len(swept.names) - 0.5)
    ax.set(xlabel=swept.ablation.parameter, ylabel=what if what == "score" else f"belief {what}")
    return finish(ax)


def _runs(point: Point, what: str) -> Array:
    return point.means if what == "score" else point.measured(what)


def ablation_figure(swept: Swept, colour: Colour) -> Figure:
    """Draw one ablation: scores, and beside them the accuracy of beliefs where submissions tell theirs."""
    beliefs = any(len(point.measured("accuracy")) for point in swept.points)
    figure = Figure(figsize=(4.6 * (1 + beliefs), 3.0), layout="constrained")
    axes = figure.subplots(1, 1 + beliefs, squeeze=False)[0]
    values_plot(swept, axes[0], colour).set_title(f"{swept.ablation.submission}, {', '.join(swept.tasks)}")
    _levels(axes[0])
    if beliefs:
        values_plot(swept, axes[1], colour, "accuracy").set_title("its beliefs")
        prior = np.mean([prior for point in swept.points for prior in point.measured("prior_accuracy")])
        axes[1].axhline(float(prior), color=FAINT, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
        axes[1].annotate("prior", (1.0, prior), xycoords=("axes fraction", "data"), xytext=(4, 0),
                         textcoords="offset points", va="center", fontsize=9, color=FAINT)  # fmt: skip
    return figure


def _levels(ax: Axes) -> None:
    """Draw the reference, and the trivial policy where it is near."""
    low, high = ax.get_ylim()
    for level in (0.0, 1.0):
        if low - 0.3 < level < high + 0.3:
            ax.axhline(level, color=FAINT, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)


def write_ablation_figures(found: Sequence[Swept], folder: Path, palette: Mapping[str, Colour]) -> list[Path]:
    """Draw one figure for each ablation, as PNG and SVG; returns the PNGs."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with style():
        for swept in found:
            written.append(folder / f"ablation-{swept.ablation.submission}-{swept.ablation.name}.png")
            save(ablation_figure(swept, palette[swept.ablation.submission]), written[-1])
    return written
