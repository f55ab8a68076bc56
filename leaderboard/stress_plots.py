"""Degradation curves: score against how hard the world was made. Axes in, axes out."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from leaderboard.belief_plots import save
from leaderboard.curves import label_ends
from leaderboard.palette import Colour, darker
from leaderboard.plots import FAINT, band, finish, style
from leaderboard.robustness import Degradation
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


def write_stress_figures(found: Sequence[Degradation], folder: Path, palette: Mapping[str, Colour]) -> list[Path]:
    """Draw one figure for each kind of stress, a panel for each task, as PNG and SVG; returns the PNGs."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with style():
        for name in dict.fromkeys(entry.stress.name for entry in found):
            stresses = list(dict.fromkeys(entry.stress for entry in found if entry.stress.name == name))
            rows = -(-len(stresses) // COLUMNS)
            columns = min(COLUMNS, len(stresses))
            figure = Figure(figsize=(4.6 * columns, 3.0 * rows), layout="constrained")
            for place, stress in enumerate(stresses):
                ax = figure.add_subplot(rows, columns, place + 1)
                degradation_curves([entry for entry in found if entry.stress == stress], ax, 0, palette)
            written.append(folder / f"stress-{name}.png")
            save(figure, written[-1])
    return written
