"""Figures of beliefs: scores against history length, with the exact posterior as the floor, and reliability."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from leaderboard.beliefs import POSTERIOR, PRIOR, Scores, TaskBeliefs, mean
from leaderboard.curves import label_ends
from leaderboard.figures import HEIGHT, WIDTH, Picture
from leaderboard.palette import Colour, colours, darker
from leaderboard.plots import FAINT, INK, PAPER, band, finish, style
from leaderboard.statistics import Array, mean_estimate

NAMES = {"nll": "NLL [nats]", "error": "error [cells]"}
_MEANINGS = {
    "nll": ("Surprise at the truth", "Negative log-likelihood of the hidden variables' true values"),
    "error": ("Belief error", "Root mean squared distance from the belief's mean to the truth, in cells,"),
}


def history_curves(
    task: TaskBeliefs, measure: str, ax: Axes, seed: int, palette: Mapping[str, Colour] | None = None
) -> Axes:
    """Draw a measure against history length: the mean over runs, with a 95% bootstrap band over whole runs.

    The exact posterior is the floor, beneath which no belief gets but by luck; the prior is dashed. Bins of history
    length double, and stand at equal distances.

    Args:
        task: the beliefs; runs without curves are left out.
        measure: ``"nll"`` or ``"error"``.
        ax: to draw on.
        seed: of the bands.
        palette: colour of each submission.
    """
    palette = palette or colours(sorted(task.runs))
    ends: dict[str, tuple[float, Colour]] = {}
    edges: Sequence[int] = ()
    for name, runs in task.runs.items():
        curves = [run["history"] for run in runs if run.get("history") and run["history"].get(measure)]
        if len(curves) == len(runs):
            edges = curves[0]["steps"]
            values = np.array([curve[measure] for curve in curves], dtype=np.float64)
            x = np.flatnonzero(~np.isnan(values).any(0))
            estimate = mean_estimate(values[:, x], seed)
            band(ax, x.astype(np.float64), estimate, palette, name)
            ax.plot(x, estimate.point, "o", color=palette[name], markersize=4, zorder=3)
            ends[name] = float(estimate.point[-1]), darker(palette[name])
    for name, scores in task.ends.items():
        edges = scores["history"]["steps"]
        ends[name] = _draw_end(ax, name, np.array(scores["history"][measure], dtype=np.float64))
    if len(edges):
        ax.set_xticks(range(len(edges) - 1), [_between(low, high) for low, high in pairwise(edges)], fontsize=9)
        ax.set_xlim(-0.2, len(edges) - 1.8)
    ax.set_xlabel("history length [steps]")
    ax.set_ylabel(NAMES[measure])
    ax.set_ylim(0, None)
    ax.yaxis.set_major_locator(MaxNLocator(5))
    label_ends(ax, ends)
    return finish(ax)


def _draw_end(ax: Axes, name: str, values: Array) -> tuple[float, Colour]:
    x = np.arange(len(values))
    if name == POSTERIOR:
        ax.fill_between(x, 0, values, color=FAINT, alpha=0.12, linewidth=0, zorder=1)
        ax.text(0.05, 0.05, "cannot be known", transform=ax.transAxes, fontsize=8, color=FAINT)
    style = {PRIOR: (0, (4, 3)), POSTERIOR: "-"}[name]
    ax.plot(x, values, color=FAINT if name == PRIOR else INK, linewidth=1.3, linestyle=style, zorder=4)
    return float(values[~np.isnan(values)][-1]), FAINT if name == PRIOR else INK


def _between(low: int, high: int) -> str:
    return f"{low}" if high == low + 1 else f"{low}–{high - 1}"


def reliability_curves(task: TaskBeliefs, ax: Axes, palette: Mapping[str, Colour] | None = None) -> Axes:
    """Draw how often the most likely value is right, by how likely it is held: on the diagonal beliefs are honest.

    A point stands for a tenth of the scale of confidence; its area is the share of beliefs in it. Below the diagonal
    beliefs are too sure of themselves. Bins that hold less than 0.2% of the beliefs are left out.
    """
    palette = palette or colours(sorted(task.runs))
    ax.plot([0, 1], [0, 1], color=FAINT, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)
    drawn: dict[str, tuple[Sequence[Scores], Colour]] = {
        name: (runs, palette[name]) for name, runs in task.runs.items() if all(run.get("reliability") for run in runs)
    }
    if POSTERIOR in task.ends:
        drawn[POSTERIOR] = [task.ends[POSTERIOR]], INK
    for name, (runs, color) in drawn.items():
        x, y, share = pooled_reliability(runs)
        shown = share > 0.002
        x, y, share = x[shown], y[shown], share[shown]
        floor = name == POSTERIOR
        ax.plot(x, y, color=color, linewidth=1.0 if floor else 1.5, zorder=2, alpha=0.8)
        face = PAPER if floor else color
        ax.scatter(x, y, s=10 + 160 * share, color=face, edgecolor=color, linewidth=1.0, zorder=4 - floor, label=name,
                   clip_on=False)  # fmt: skip
    ax.set_xlim(-0.03, 1.03)
    ax.set_ylim(-0.03, 1.03)
    ax.set_aspect("equal")
    ax.set_xticks(np.linspace(0, 1, 6))
    ax.set_yticks(np.linspace(0, 1, 6))
    ax.set_xlabel("probability of the most likely value")
    ax.set_ylabel("how often it is right")
    return finish(ax)


def pooled_reliability(runs: Sequence[Scores]) -> tuple[Array, Array, Array]:
    """Return confidence, accuracy and share of each bin, all runs' beliefs taken together; NaN in empty bins."""
    share, confidence, accuracy = (
        np.array([run["reliability"][name] for run in runs], dtype=np.float64)
        for name in ("share", "confidence", "accuracy")
    )
    total = share.sum(0)
    weights = np.divide(share, total, out=np.zeros_like(share), where=total > 0)
    empty = np.where(total > 0, 1.0, np.nan)
    return (
        np.nansum(weights * confidence, 0) * empty,
        np.nansum(weights * accuracy, 0) * empty,
        total / len(runs),
    )


def belief_figure(task: TaskBeliefs, seed: int, palette: Mapping[str, Colour] | None = None) -> Figure:
    """Return the figure of one task: NLL and error against history length, and reliability."""
    measures = [name for name in NAMES if _has(task, name)]
    widths = [1.2] * len(measures) + [1.15]
    figure = Figure(figsize=(1.6 + 3.4 * sum(widths), 3.3))
    axes = figure.subplots(1, len(widths), width_ratios=widths, gridspec_kw={"wspace": 0.85})
    for ax, measure in zip(axes, measures, strict=False):
        history_curves(task, measure, ax, seed, palette)
    axes[0].set_title(task.task_id)
    reliability_curves(task, axes[-1], palette)
    return figure


def belief_pictures(task: TaskBeliefs, seed: int, palette: Mapping[str, Colour]) -> list[Picture]:
    """Return the figures of one task one by one, with the words that stand in for them."""
    drawn = []
    with style():
        for measure in NAMES:
            if _has(task, measure):
                figure = Figure(figsize=(WIDTH, HEIGHT))
                history_curves(task, measure, figure.subplots(), seed, palette)
                title, what = _MEANINGS[measure]
                caption = (
                    f"{what} against history length: mean over runs, with 95% bootstrap bands over whole runs. No "
                    "belief gets below the exact posterior but by luck; the prior has seen nothing."
                )
                drawn.append(Picture(f"beliefs-{measure}", title, caption, _told(task, measure), figure))
        if any(run.get("reliability") for runs in task.runs.values() for run in runs):
            figure = Figure(figsize=(WIDTH, WIDTH))
            reliability_curves(task, figure.subplots(), palette).legend(loc="upper left", fontsize=9)
            caption = (
                "How often the most likely value is right, by how likely it is held. On the diagonal beliefs are "
                "honest, below it too sure of themselves. The area of a point is the share of beliefs in it."
            )
            alt = "; ".join(f"{name} {_mean(runs, 'ece')}" for name, runs in task.runs.items())
            alt = f"Expected calibration error: {alt}."
            drawn.append(Picture("beliefs-reliability", "Reliability", caption, alt, figure))
    return drawn


def _told(task: TaskBeliefs, measure: str) -> str:
    sources = {**task.runs, **{name: [scores] for name, scores in task.ends.items()}}
    told = "; ".join(f"{name} {_mean(runs, measure)}" for name, runs in sources.items())
    return f"{_MEANINGS[measure][0]}, mean over all histories: {told}."


def _mean(runs: Sequence[Scores], measure: str) -> str:
    value = mean(runs, measure)
    return "n/a" if np.isnan(value) else f"{value:.3f}"


def write_belief_figures(beliefs: Iterable[TaskBeliefs], folder: Path, palette: Mapping[str, Colour]) -> list[Path]:
    """Draw one figure for each task into a folder, as PNG and SVG; returns the PNGs.

    Args:
        beliefs: the tasks.
        folder: made if need be.
        palette: colour of each submission.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with style():
        for task in beliefs:
            figure = belief_figure(task, 0, palette)
            written.append(folder / f"beliefs-{task.task_id.replace(':', '-')}.png")
            save(figure, written[-1])
    return written


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG and, beside it, as SVG; the same figure gives the same bytes."""
    figure.savefig(path, metadata={"Software": None})
    figure.savefig(path.with_suffix(".svg"), metadata={"Date": None, "Creator": None})


def _has(task: TaskBeliefs, measure: str) -> bool:
    sources = [scores for runs in task.runs.values() for scores in runs] + list(task.ends.values())
    return any(scores.get("history") and scores["history"].get(measure) for scores in sources)
