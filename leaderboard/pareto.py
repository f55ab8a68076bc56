"""Score against time: what a submission achieves and what that costs. Axes in, axes out."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from leaderboard.palette import Colour, colours, darker
from leaderboard.plots import FAINT, PAPER, finish
from leaderboard.statistics import Estimate


class Cost(NamedTuple):
    """What a submission scores and what training it takes."""

    score: Estimate
    seconds: float  # of one run
    competes: bool = True  # what does not is shown for scale, and is no part of the front


# Whatever trains for less is drawn here: the clock is not finer, and a logarithm knows no zero.
LEAST_SECONDS = 0.1


def score_against_seconds(
    costs: Mapping[str, Cost],
    ax: Axes,
    palette: Mapping[str, Colour] | None = None,
    metric: str = "IQM",
    unit: str = "seconds of training per run",
) -> Axes:
    """Draw score against seconds of training, with the Pareto front: whom nobody beats in both.

    Args:
        costs: by submission.
        ax: to draw on.
        palette: colour of each submission.
        metric: what the score is, for the axis.
        unit: what the seconds are.
    """
    palette = palette or colours(sorted(costs))
    ax.set_xscale("log")
    places = {name: (max(cost.seconds, LEAST_SECONDS), cost.score.point) for name, cost in costs.items()}
    front = pareto_front({name: places[name] for name, cost in costs.items() if cost.competes})
    if front:
        x, y = np.array([places[name] for name in front]).T
        # From one to the next the best score stays what it was: a staircase, open to the right.
        end = max(place[0] for place in places.values()) * 3
        ax.step([*x, end], [*y, y[-1]], where="post", color=FAINT, linewidth=1.0, zorder=1)
    for name, (x, y) in places.items():
        low, high = costs[name].score[1:]
        if not np.isnan(low):
            ax.plot([x, x], [low, high], color=palette[name], linewidth=1.6, alpha=0.6, zorder=2)
        face = palette[name] if costs[name].competes else PAPER
        ax.scatter([x], [y], s=42, color=[face], edgecolors=[palette[name]], linewidths=1.6, zorder=3)
    ax.margins(x=0.12, y=0.12)
    ax.set_xlim(ax.get_xlim()[0], max(place[0] for place in places.values()) * 3)
    ax.xaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"≤{value:g}" if value <= LEAST_SECONDS else f"{value:,g}")
    )
    ax.set_xlabel(unit)
    ax.set_ylabel(metric)
    ax.grid(axis="y")
    finish(ax)
    _label_points(ax, places, palette, front)
    return ax


def pareto_front(places: Mapping[str, tuple[float, float]]) -> list[str]:
    """Return, by ascending cost, those of (cost, score) than whom nobody scores more at no more cost."""
    front: list[str] = []
    for name in sorted(places, key=lambda name: (places[name][0], -places[name][1], name)):
        if not front or places[name][1] > places[front[-1]][1]:
            front.append(name)
    return front


def _label_points(
    ax: Axes, places: Mapping[str, tuple[float, float]], palette: Mapping[str, Colour], front: Sequence[str]
) -> None:
    """Write each name beside its point, on the side where it covers least of what is there already."""
    scale = 72 / ax.figure.dpi
    points = dict(zip(places, np.array(ax.transData.transform(list(places.values()))) * scale, strict=True))
    left, edge = ax.get_window_extent().x0 * scale, ax.get_window_extent().x1 * scale
    taken: list[Sequence[float]] = [(x - 5, y - 5, x + 5, y + 5) for x, y in points.values()]
    ends = [*(points[name][0] for name in front[1:]), edge]
    taken += [
        (points[name][0], points[name][1] - 1, end, points[name][1] + 1) for name, end in zip(front, ends, strict=False)
    ]
    for name, (x, y) in points.items():
        options = [(place, _label_box(x, y, 5.4 * len(name), *place)) for place in _LABEL_PLACES]
        covered = [
            sum(_overlap(box, other) for other in taken) + 1e3 * max(0, box[2] - edge, left - box[0])
            for _, box in options
        ]
        (side, dx, dy), box = options[covered.index(min(covered))]
        taken.append(box)
        ax.annotate(
            name, places[name], xytext=(dx, dy), textcoords="offset points", ha=side, va="center", fontsize=9,
            color=darker(palette[name]), annotation_clip=False,
        )  # fmt: skip


# Which side of the text lies how many points from the point, the best place first.
_LABEL_PLACES = (
    *(("left", 8, 0), ("right", -8, 0), ("left", 5, 10), ("left", 5, -10), ("right", -5, 10), ("right", -5, -10)),
    *(("center", 0, 12), ("center", 0, -12), ("left", 5, 20), ("left", 5, -20)),
)


def _label_box(x: float, y: float, wide: float, side: str, dx: float, dy: float) -> tuple[float, ...]:
    left = x + dx - wide * {"left": 0.0, "center": 0.5, "right": 1.0}[side]
    return left, y + dy - 5, left + wide, y + dy + 5


def _overlap(one: Sequence[float], other: Sequence[float]) -> float:
    wide, high = (min(one[axis + 2], other[axis + 2]) - max(one[axis], other[axis]) for axis in (0, 1))
    return max(0.0, wide) * max(0.0, high)
