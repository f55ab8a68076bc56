"""Belief heat maps: what an agent believes about everything that it cannot see, beside the true board."""

import pathlib
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from benchmark.episodes.render import AGENTS, COLOURS
from benchmark.tasks.picture import Picture
from benchmark.tasks.task import HiddenVariable
from leaderboard.belief_plots import save
from leaderboard.figures import Picture as Drawing
from leaderboard.moments import Story
from leaderboard.plots import FAINT, style
from leaderboard.statistics import Array

# From certainly not to certainly; small probabilities must show too.
_HEAT = LinearSegmentedColormap.from_list("belief", ["#f7f6f2", "#f6d9a8", "#e8894a", "#b2304f", "#3c1053"], N=128)
_NORM = PowerNorm(0.4, 0.0, 1.0)
_TICKS = (0.0, 0.01, 0.1, 0.3, 0.6, 1.0)
_SIDE = 1.45  # inches of a panel
_BARS = 0.32  # height of a row of bars, beside a board of height 1
_MARKERS = {"star": "*", "key": "P", "door": "s", "square": "s", "diamond": "D", "triangle": "^", "hexagon": "h"}
# Values farther apart than this stand alone: their cells are drawn large, with the number upon them.
_APART = 3.0
_LARGE = 0.085  # of the board's width, from centre to edge
_TRUTH = "#0a7f6f"
_BLACK = "#111111"  # boards stay light on a dark page, and so does what is written on them stay dark


def heatmaps(story: Story) -> Figure:
    """Draw the true board in the first row, and the belief about each hidden variable in a row of its own.

    A column is a moment. Rings mark the truth; a white dot is where the believing agent stands.
    """
    variables, moments = story.variables, story.moments
    heights = [1.0, *(1.0 if variable.kind == "coordinates" else _BARS for variable in variables)]
    figure = Figure(figsize=(_SIDE * len(moments) + 1.6, _SIDE * 1.08 * sum(heights) + 0.8), layout="constrained")
    axes = figure.subplots(len(heights), len(moments), squeeze=False, height_ratios=heights)
    for column, moment in enumerate(moments):
        draw_board(axes[0, column], moment.picture, story.agent)
        axes[0, column].set_title(f"step {moment.step}", fontsize=9, fontweight="normal", loc="center")
        for ax, variable, value, belief in zip(axes[1:, column], variables, moment.hidden, moment.belief, strict=True):
            if variable.kind == "coordinates":
                draw_belief(ax, moment.picture, variable, belief, value, story.agent)
            else:
                draw_bars(ax, variable, belief, value, named=column == 0)
    for ax, name in zip(axes[:, 0], ("true board", *(variable.name for variable in variables)), strict=True):
        label = name.replace("_", " ")
        beside = max((len(text.get_text()) for text in ax.get_yticklabels()), default=0)
        ax.annotate(label, (0, 0.5), (-6 - 4.2 * beside, 0), "axes fraction", "offset points", ha="right", va="center",
                    fontsize=9)  # fmt: skip
    scale = figure.colorbar(ScalarMappable(_NORM, _HEAT), ax=axes, shrink=0.55, aspect=28, pad=0.015, ticks=_TICKS)
    assert scale.solids is not None
    scale.solids.set(rasterized=False, edgecolor="face")  # a page may hold no bitmap
    scale.ax.set_yticklabels([f"{tick:.0%}" for tick in _TICKS], fontsize=8)
    scale.ax.set_title("belief", fontsize=8, fontweight="normal", loc="left")
    figure.suptitle(story.title, fontsize=10, fontweight="bold", x=0.01, ha="left")
    handles = _legend([moment.picture for moment in moments], story.agent)
    figure.legend(handles=handles, loc="outside lower left", ncols=min(len(handles), 7), fontsize=8)
    return figure


def heatmap_picture(story: Story) -> Drawing:
    """Return the heat maps with the words that stand in for them."""
    with style():
        figure = heatmaps(story)
    figure.suptitle("")  # the caption says it
    names = ", ".join(variable.name.replace("_", " ") for variable in story.variables)
    told = []
    for moment in story.moments:
        beliefs = zip(story.variables, moment.belief, moment.hidden, strict=True)
        shares = ", ".join(f"{variable.name} {belief[value]:.0%}" for variable, belief, value in beliefs)
        told.append(f"step {moment.step}: {shares}")
    return Drawing(
        "heatmaps",
        "What can be known",
        f"{story.title}. The true board above, below it what the agent believes about each hidden variable ({names}) "
        "at the moments when that changed most. Rings mark the truth.",
        f"Probability that the belief gives to the truth, at {'; '.join(told)}.",
        figure,
    )


def write_heatmaps(story: Story, path: pathlib.Path) -> None:
    """Draw a story as PNG and, beside it, as SVG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with style():
        save(heatmaps(story), path)


def flat(places: Any, hexagonal: bool) -> Array:
    """Return places [K, 2] in the plane: axial coordinates of hexagons are leant over."""
    points = np.array(places, dtype=np.float64).reshape(-1, 2)
    return np.stack([points[:, 0] - points[:, 1] / 2, points[:, 1] * 0.75**0.5], 1) if hexagonal else points


def draw_board(ax: Axes, picture: Picture, agent: int) -> Axes:
    """Draw the true board: marks, agents, and tinted what one agent sees."""
    seen = set(picture.seen[agent]) if picture.seen else set()
    tint = tuple(1 - 0.22 * (1 - part) for part in _colour(agent))
    _cells(ax, picture, [tint if cell in seen else (1.0, 1.0, 1.0) for cell in picture.cells])
    points = 72 * _SIDE / _span(picture)  # of a cell's side
    for mark in picture.marks:
        (place,) = flat(mark.place, picture.hexagonal)
        size = (points * mark.size * (1.3 if mark.shape == "star" else 0.9)) ** 2
        size = size if mark.size > 2 else max(size, 28.0)
        color = _colour(mark.colour)
        ax.scatter(*place, s=size, marker=_MARKERS.get(mark.shape, "o"), color=color, linewidth=0, zorder=2)
    _agents(ax, picture, points, agent)
    return ax


def _agents(ax: Axes, picture: Picture, points: float, agent: int) -> None:
    """Draw the agents as numbered discs; those that share a place stand around it. One is outlined."""
    many = len(picture.agents) > 4
    places = flat(picture.agents, picture.hexagonal)
    for number, place in enumerate(places):
        crowd = [other for other, there in enumerate(places) if np.array_equal(there, place)]
        turn = 2 * np.pi * crowd.index(number) / len(crowd)
        spread = (0.3 if many else 0.35) * max(1.0, 5 / points) * (len(crowd) > 1)
        x, y = place + spread * np.array([np.cos(turn), np.sin(turn)])
        size = 16.0 if many else max(38.0, (0.8 * points) ** 2)
        edge = _BLACK if number == agent else "white"
        ax.scatter(x, y, s=size, color=_colour(number), edgecolor=edge, linewidth=0.6, zorder=4)
        if not many:
            ax.text(x, y - 0.02, str(number), color="white", fontsize=5.5, ha="center", va="center", zorder=5)


def draw_belief(ax: Axes, picture: Picture, variable: HiddenVariable, belief: Array, truth: int, agent: int) -> Axes:
    """Colour each value of a variable by its probability, ring the true one, and dot the believing agent.

    What may be gone has its probability of being gone written above the board.
    """
    on_board = [index for index, value in enumerate(variable.values) if value in picture.cells]
    _cells(ax, picture, [(0.985, 0.985, 0.98)] * len(picture.cells))
    points = flat([variable.values[index] for index in on_board], picture.hexagonal)
    apart = min((float(np.hypot(*(a - b))) for i, a in enumerate(points) for b in points[:i]), default=_APART)
    large = apart > _APART
    reach = _LARGE * _span(picture) if large else 0.5
    _patches(
        ax,
        points,
        reach,
        picture.hexagonal,
        [_HEAT(_NORM(belief[i])) for i in on_board],
        "#cbcac4" if large else "none",
    )
    (stand,) = flat(picture.agents[agent], picture.hexagonal) if picture.agents else (points.min(0) - 9.0,)
    if large:
        for index, (x, y) in zip(on_board, points, strict=True):
            aside = 0.45 * reach if np.hypot(*(stand - (x, y))) < 0.5 * reach else 0.0
            color = "white" if _NORM(belief[index]) > 0.6 else _BLACK
            ax.text(x, y + aside, f"{100 * belief[index]:.0f}", color=color, fontsize=5.5, ha="center", va="center",
                    zorder=7)  # fmt: skip
    if truth in on_board:
        (place,) = flat(variable.values[truth], picture.hexagonal)
        _ring(ax, picture, place, reach, large)
    if picture.agents:
        ax.scatter(*stand, s=13, color="white", edgecolor=_BLACK, linewidth=0.7, zorder=6)
    if len(on_board) < len(variable.values):
        gone = 1.0 - float(sum(belief[index] for index in on_board))
        fact = ", true" if truth not in on_board else ""
        ax.set_title(f"gone {max(gone, 0.0):.0%}{fact}", fontsize=6.5, fontweight="normal", loc="center", pad=1.5)
    return ax


def _ring(ax: Axes, picture: Picture, place: Array, reach: float, large: bool) -> None:
    """Mark the true value: a circle around a cell, or the outline of one that is drawn large."""
    if large:
        _patches(ax, place[None], reach, picture.hexagonal, ["none"], _TRUTH, 1.4)
        return
    size = (1.25 * 72 * _SIDE / _span(picture)) ** 2
    for color, width in (("white", 2.4), (_TRUTH, 1.2)):
        ax.scatter(*place, s=max(size, 40.0), facecolor="none", edgecolor=color, linewidth=width, zorder=5,
                   clip_on=False)  # fmt: skip


def draw_bars(ax: Axes, variable: HiddenVariable, belief: Array, truth: int, named: bool) -> Axes:
    """Draw the probability of each label as a bar, the true label's outlined."""
    heights = range(len(belief))[::-1]
    ax.barh(heights, 1.0, height=0.8, color="#f7f6f2", linewidth=0)
    ax.barh(heights, belief, height=0.8, color=[_HEAT(_NORM(value)) for value in belief], linewidth=0)
    ax.barh(heights[truth], 1.0, height=0.8, color="none", edgecolor=_TRUTH, linewidth=1.2)
    labels = [str(value) for value in variable.values] if named else []
    ax.set_yticks(list(heights)[: len(labels)], labels, fontsize=6.5)
    ax.tick_params(length=0, pad=2)
    ax.set_xticks([])
    ax.set_xlim(-0.02, 1.02)
    for side in ax.spines.values():
        side.set_visible(False)
    return ax


def _cells(ax: Axes, picture: Picture, colours: list[Any]) -> None:
    points = flat(picture.cells, picture.hexagonal)
    _patches(ax, points, 0.5, picture.hexagonal, colours, edge="#dddcd8")
    (left, bottom), (right, top) = points.min(0) - 0.62, points.max(0) + 0.62
    ax.set_xlim(left, right)
    ax.set_ylim(bottom, top)
    ax.set_aspect("equal")
    ax.set_xticks([])
    ax.set_yticks([])
    for side in ax.spines.values():
        side.set_visible(False)


def _patches(
    ax: Axes, points: Array, reach: float, hexagonal: bool, colours: list[Any], edge: str, width: float = 0.25
) -> None:
    corners, turn = (6, 0.5) if hexagonal else (4, 0.5)
    # From the centre to a corner: cells touch.
    radius = reach / 0.75**0.5 if hexagonal else reach * 2**0.5
    angles = 2 * np.pi * (np.arange(corners) + turn) / corners
    outline = radius * np.stack([np.cos(angles), np.sin(angles)], 1)
    corners_of = points[:, None] + np.concatenate([outline, outline[:1]])
    for colour in dict.fromkeys(colours):  # one path for each colour: a page holds a thousand cells
        cells = [Path(corners_of[place], closed=True) for place, other in enumerate(colours) if other == colour]
        patch = PathPatch(
            Path.make_compound_path(*cells), facecolor=colour, edgecolor=edge, linewidth=width, zorder=1, clip_on=False
        )
        ax.add_artist(patch)


def _span(picture: Picture) -> float:
    points = flat(picture.cells, picture.hexagonal)
    return float((points.max(0) - points.min(0)).max()) + 1


def _colour(colour: str | int) -> tuple[float, float, float]:
    return AGENTS[colour % len(AGENTS)] if isinstance(colour, int) else COLOURS[colour]


def _legend(pictures: list[Picture], agent: int) -> list[Line2D]:
    named = {}
    for mark in (mark for picture in pictures for mark in picture.marks):
        if mark.meaning:
            named.setdefault(mark.meaning, (_MARKERS.get(mark.shape, "o"), _colour(mark.colour)))
    entries = [(f"agent {agent}", "o", _colour(agent), _BLACK), *((m, s, c, "none") for m, (s, c) in named.items())]
    if pictures[0].seen:
        tint = tuple(1 - 0.22 * (1 - part) for part in _colour(agent))
        entries.append((f"what agent {agent} sees", "s", tint, FAINT))
    entries.append((f"agent {agent}, on its beliefs", "o", (1.0, 1.0, 1.0), _BLACK))
    handles = [
        Line2D([], [], linestyle="none", marker=marker, markersize=6, color=color, markeredgecolor=edge, label=label,
               markeredgewidth=0.6)
        for label, marker, color, edge in entries
    ]  # fmt: skip
    ring = Line2D([], [], linestyle="none", marker="o", markersize=7, label="the truth",
                  markerfacecolor="none", markeredgecolor=_TRUTH, markeredgewidth=1.2)  # fmt: skip
    return [*handles, ring]
