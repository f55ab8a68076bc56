"""Degradation curves: score against how hard the world was made. Axes in, axes out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from leaderboard.belief_plots import save
from leaderboard.curves import label_ends
from leaderboard.palette import Colour, darker
from leaderboard.plots import EVEN, FAINT, LOSES, PAPER, WINS, band, finish, style
from leaderboard.robustness import Degradation
from leaderboard.shift import Shifted
from leaderboard.statistics import mean_estimate

# Bands are drawn by the dozen and read by eye.
RESAMPLES = 2_000
COLUMNS = 2


def degradation_curves(
    found: Sequence[Degradation], ax: Axes, seed: int, palette: Mapping[str, Colour], resamples: int = RESAMPLES
) -> Axes:
    """Draw the mean score over runs against the level of one stress, with a 95% bootstrap band over whole runs.

    Args:
        found: all of one stress, one for each submission.
        ax: to draw on.
        seed: of the bands.
        palette: colour of each submission.
        resamples: of the bands.
    """
    ends: dict[str, tuple[float, Colour]] = {}
    for entry in found:
        order = np.argsort(entry.levels)
        estimate = mean_estimate(entry.scores[:, order], seed, resamples)
        band(ax, entry.levels[order], estimate, palette, entry.submission)
        ax.plot(entry.levels[order], estimate.point, "o", color=palette[entry.submission], markersize=4, zorder=3)
        ends[entry.submission] = float(estimate.point[-1]), darker(palette[entry.submission])
    for level in (0.0, 1.0):  # trivial and reference
        ax.axhline(level, color=FAINT, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    ax.set(xlabel=found[0].stress.name, ylabel="score", title=found[0].stress.task_id)
    label_ends(ax, ends)
    return finish(ax)


def stress_figure(found: Sequence[Degradation], palette: Mapping[str, Colour]) -> Figure:
    """Draw the curves of one kind of stress, a panel for each task."""
    stresses = list(dict.fromkeys(entry.stress for entry in found))
    rows, columns = -(-len(stresses) // COLUMNS), min(COLUMNS, len(stresses))
    figure = Figure(figsize=(4.6 * columns, 3.0 * rows), layout="constrained")
    for place, stress in enumerate(stresses):
        ax = figure.add_subplot(rows, columns, place + 1)
        degradation_curves([entry for entry in found if entry.stress == stress], ax, 0, palette)
    return figure


def write_stress_figures(found: Sequence[Degradation], folder: Path, palette: Mapping[str, Colour]) -> list[Path]:
    """Draw one figure for each kind of stress as PNG and SVG; returns the PNGs."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with style():
        for name in dict.fromkeys(entry.stress.name for entry in found):
            written.append(folder / f"stress-{name}.png")
            save(stress_figure([entry for entry in found if entry.stress.name == name], palette), written[-1])
    return written


def shift_heatmap(shifted: Shifted, ax: Axes, seed: int = 0) -> Axes:
    """Draw the score of every level of training at every level of evaluation, its 95% interval below it.

    Bold where it certainly is another than that of training at the level of evaluation.
    """
    rows, columns = shifted.trained, shifted.evaluated
    means = np.array(
        [[shifted.scores[r, c].mean() if (r, c) in shifted.scores else np.nan for c in columns] for r in rows]
    )
    colormap = LinearSegmentedColormap.from_list("kept", [LOSES, EVEN, WINS])
    sns.heatmap(
        np.ma.masked_invalid(means), ax=ax, cmap=colormap, vmin=-0.5, vmax=1.5, linewidths=1.5, linecolor=PAPER,
        cbar=False, xticklabels=[f"{c:g}" for c in columns], yticklabels=[f"{r:g}" for r in rows],
    )  # fmt: skip
    for (row, column), mean in np.ndenumerate(means):
        if np.isnan(mean):
            continue
        estimate = mean_estimate(shifted.scores[rows[row], columns[column]], seed, RESAMPLES)
        gap = shifted.gap(rows[row], columns[column], seed, RESAMPLES)
        certain = gap is not None and (gap.low > 0 or gap.high < 0)
        ink = "#ffffff" if abs(mean - 0.5) > 0.66 else "#111111"
        where: dict[str, Any] = {"ha": "center", "color": ink}
        weight = "bold" if certain else "normal"
        ax.text(column + 0.5, row + 0.46, f"{mean:.2f}", va="bottom", fontsize=10, fontweight=weight, **where)
        if not np.isnan(estimate.low):
            ax.text(
                column + 0.5, row + 0.58, f"{estimate.low:.2f} to {estimate.high:.2f}", va="top", fontsize=7, **where
            )
    name = shifted.stress.name
    ax.set(
        xlabel=f"evaluated at {name}",
        ylabel=f"trained at {name}",
        title=f"{shifted.submission}, {shifted.stress.task_id}",
    )
    ax.tick_params(axis="both", length=0)
    ax.tick_params(axis="y", labelrotation=0)
    return ax


def shift_figure(found: Sequence[Shifted]) -> Figure:
    """Draw the matrices of one kind of stress, one for each task and submission."""
    columns = min(COLUMNS, len(found))
    rows = -(-len(found) // columns)
    width = 0.9 + 0.85 * max(len(entry.evaluated) for entry in found)
    height = 1.1 + 0.55 * max(len(entry.trained) for entry in found)
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    for place, entry in enumerate(found):
        shift_heatmap(entry, figure.add_subplot(rows, columns, place + 1))
    return figure


def write_shift_figures(found: Sequence[Shifted], folder: Path) -> list[Path]:
    """Draw one figure for each kind of stress as PNG and SVG; returns the PNGs."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with style():
        for name in dict.fromkeys(entry.stress.name for entry in found):
            written.append(folder / f"shift-{name}.png")
            save(shift_figure([entry for entry in found if entry.stress.name == name]), written[-1])
    return written
