"""An episode as an animation: what never changes, fragments of SVG that frames are put together from, and words.

All drawing happens here. The page shows the first frame as it stands; the script only exchanges fragments and moves
agents, so that an episode of a hundred steps takes a few dozen kilobytes and is sharp at any size.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from html import escape
from math import ceil, sqrt
from typing import Any

from benchmark.episodes.policy import Policy
from benchmark.episodes.rollout import rollout
from benchmark.tasks.picture import Bar, Mark, Picture
from benchmark.tasks.streams import episode_keys
from benchmark.tasks.task import Task, team_return

SEED = 0  # whose first episode of namespace "user" is shown
_MOST_DISCS = 40
_ROOT = 0.75**0.5


@dataclass(frozen=True)
class Animation:
    """An episode as frames.

    Attributes:
        box: the SVG's view box; empty if the task offers no picture, and fragments are text.
        still: SVG of what never changes.
        fragments: SVG (or text) of what some frames show.
        frames: for each state, the fragments it shows, in the order of drawing.
        agents: for each state and agent, ``(x, y, radius)``; empty if agents have no place.
        captions: for each state, what was done and got.
        legend: ``(SVG, meaning)``.
        outcome: how it ended.
    """

    box: str
    still: str
    fragments: list[str]
    frames: list[list[int]]
    agents: list[list[tuple[float, float, float]]]
    captions: list[str]
    legend: list[tuple[str, str]]
    outcome: str


def animate(task: Task, policy: Policy) -> Animation:
    """Play one episode and draw it."""
    keys = episode_keys("user", SEED, 1)
    episode = rollout(task, policy, keys)
    steps = int(episode.lengths[0])
    state = task.initial_state(keys)
    states = [state]
    for step in range(steps):
        state = task.transition(state, episode.actions[:, step], keys, step).state
        states.append(state)
    captions = ["start", *(_caption(task, episode, step) for step in range(steps))]
    ended = "ended" if bool(episode.terminated[0, steps - 1]) else "cut off at the horizon"
    outcome = f"Return {float(episode.returns[0]):,.2f} in {steps} steps ({ended})."
    pictures = [task.picture(state) for state in states]
    found = [picture for picture in pictures if picture is not None]
    if len(found) < len(pictures):
        texts = [task.draw(state) for state in states]
        fragments, frames = _distinct([text] for text in texts)
        return Animation("", "", fragments, frames, [], captions, [], outcome)
    return _drawn(found, captions, outcome)


def _caption(task: Task, episode: Any, step: int) -> str:
    names = [task.action_names[action] for action in episode.executed[0, step].tolist()]
    if len(names) > 4:
        told = ", ".join(f"{names.count(name)} {name}" for name in task.action_names if name in names)
    else:
        told = ", ".join(f"agent {agent}: {name}" for agent, name in enumerate(names))
    gained = float(team_return(task, episode.rewards[0, step : step + 1]))
    total = float(team_return(task, episode.rewards[0, : step + 1]))
    return f"{told}; reward {gained:+.2f}, return {total:.2f}"


def _drawn(pictures: list[Picture], captions: list[str], outcome: str) -> Animation:
    first = pictures[0]
    place = _flat(first)
    flat = [place(cell) for cell in first.cells]
    left, right = min(x for x, _ in flat) - 0.5, max(x for x, _ in flat) + 0.5
    top, bottom = min(y for _, y in flat) - 0.5, max(y for _, y in flat) + 0.5
    words = [mark for mark in first.marks if mark.shape == "text"]
    if first.hexagonal:
        top, bottom = top - 0.1, bottom + 0.1
    unit = max(right - left, bottom - top) / 24  # a line of text, whatever the board's size
    if words:  # names to the right of their cells
        right += unit * 0.62 * max(len(mark.label) for mark in words) + unit
    bars_top = bottom + unit * 0.6
    bottom = bars_top + unit * 1.7 * len(first.bars) if first.bars else bottom
    layers = [
        [
            *_sight(picture, place),
            *(_mark(mark, *place(mark.place), mark.size / 2, unit) for mark in picture.marks),
            *(
                _bar(bar, left, bars_top + (row + 0.5) * unit * 1.7, right - left, unit)
                for row, bar in enumerate(picture.bars)
            ),
        ]
        for picture in pictures
    ]
    fragments, frames = _distinct(layers)
    margin = unit * 0.25
    box = (left - margin, top - margin, right - left + 2 * margin, bottom - top + 2 * margin)
    return Animation(
        " ".join(map(_n, box)),
        _board(first, place),
        fragments,
        frames,
        [_discs(picture, place) for picture in pictures],
        [f"{picture.title} · {caption}" for picture, caption in zip(pictures, captions, strict=True)],
        _legend(pictures),
        outcome,
    )


def _distinct(layers: Iterable[list[str]]) -> tuple[list[str], list[list[int]]]:
    """Number the fragments, each once."""
    number: dict[str, int] = {}
    frames = [[number.setdefault(fragment, len(number)) for fragment in layer] for layer in layers]
    return list(number), frames


def _flat(picture: Picture) -> Callable[[tuple[float, float]], tuple[float, float]]:
    """Return where board coordinates lie: one unit from cell to cell, y downwards."""
    if picture.hexagonal:
        return lambda place: (place[0] - place[1] / 2, -place[1] * _ROOT)
    return lambda place: (place[0], -place[1])


def _board(picture: Picture, place: Callable[[tuple[float, float]], tuple[float, float]]) -> str:
    outlines = [
        _hexagon(*place(cell), 0.5) if picture.hexagonal else _square(*place(cell), 0.5) for cell in picture.cells
    ]
    return f'<path class="cells" d="{"".join(outlines)}"/>'


def _sight(picture: Picture, place: Callable[[tuple[float, float]], tuple[float, float]]) -> list[str]:
    """Tint the cells that each agent sees; runs of cells in a column become one rectangle."""
    tinted = []
    for agent, cells in enumerate(picture.seen):
        columns: dict[int, list[int]] = defaultdict(list)
        for x, y in cells:
            columns[x].append(y)
        path = ""
        for x, ys in sorted(columns.items()):
            low, high = min(ys), max(ys)
            if picture.hexagonal or len(set(ys)) < high - low + 1:
                path += "".join(
                    _hexagon(*place((x, y)), 0.5) if picture.hexagonal else _square(*place((x, y)), 0.5)
                    for y in sorted(ys)
                )
            else:
                px, py = place((x, high))
                path += f"M{_n(px - 0.5)} {_n(py - 0.5)}h1v{high - low + 1}h-1z"
        tinted.append(f'<path class="sight a{agent % 8}" d="{path}"/>')
    return tinted


def _discs(
    picture: Picture, place: Callable[[tuple[float, float]], tuple[float, float]]
) -> list[tuple[float, float, float]]:
    """Place agents; those who share a cell stand side by side."""
    crowds: dict[tuple[float, float], list[int]] = defaultdict(list)
    for agent, where in enumerate(picture.agents[:_MOST_DISCS]):
        crowds[where].append(agent)
    found: dict[int, tuple[float, float, float]] = {}
    for where, crowd in crowds.items():
        columns = ceil(sqrt(len(crowd)))
        rows = ceil(len(crowd) / columns)
        pitch = 0.86 / columns
        x, y = place(where)
        for index, agent in enumerate(crowd):
            row, column = divmod(index, columns)
            wide = min(columns, len(crowd) - row * columns)
            found[agent] = (
                round(x + (column - (wide - 1) / 2) * pitch, 3),
                round(y + (row - (rows - 1) / 2) * pitch, 3),
                round(pitch * 0.46, 3),
            )
    return [found[agent] for agent in sorted(found)]


def _legend(pictures: list[Picture]) -> list[tuple[str, str]]:
    agents, unit = len(pictures[0].agents), 1.0
    entries = []
    if agents:
        disc = '<circle class="a0" r="0.45"/><text class="number" font-size="0.55" dy="0.2">0</text>'
        entries.append((disc, f"agents 0 to {agents - 1}"))
    if any(picture.seen for picture in pictures):
        entries.append(('<path class="sight a0" d="M-.5 -.5h1v1h-1z"/>', "tint: what they see"))
    named: dict[tuple[str, str | int, str], str] = {}
    for mark in (mark for picture in pictures for mark in picture.marks if mark.meaning):
        named.setdefault((mark.shape, mark.colour, mark.meaning), _mark(mark._replace(label=""), 0, 0, 0.45, unit))
    return entries + [(svg, meaning) for (_, _, meaning), svg in named.items()]


def _mark(mark: Mark, x: float, y: float, radius: float, unit: float) -> str:
    kind = f"a{mark.colour % 8}" if isinstance(mark.colour, int) else f"k-{mark.colour}"
    label = escape(mark.label)
    if mark.shape == "text":
        return f'<text class="word" x="{_n(x + 0.7)}" y="{_n(y)}" dy=".35em" font-size="{_n(unit)}">{label}</text>'
    drawn = (
        f'<g transform="translate({_n(x)} {_n(y)}) scale({_n(radius)})">{_SHAPES[mark.shape].replace("@", kind)}</g>'
    )
    if label:
        size = _n(radius * (1.1 if len(label) < 3 else 0.8))
        drawn += f'<text class="number" x="{_n(x)}" y="{_n(y)}" dy=".35em" font-size="{size}">{label}</text>'
    return drawn


def _bar(bar: Bar, left: float, y: float, wide: float, unit: float) -> str:
    kind = f"a{bar.colour % 8}" if isinstance(bar.colour, int) else f"k-{bar.colour}"
    start, full, end = left + wide * 0.3, wide * 0.55, left + wide * 0.85 + unit / 2
    share = min(1.0, bar.value / bar.full)
    row = f'y="{_n(y - unit / 2)}" height="{_n(unit)}"'
    word = f'y="{_n(y)}" dy=".35em" font-size="{_n(unit)}"'
    return (
        f'<text class="word" x="{_n(left)}" {word}>{escape(bar.name)}</text>'
        f'<rect class="track" x="{_n(start)}" {row} width="{_n(full)}"/>'
        f'<rect class="{kind}" x="{_n(start)}" {row} width="{_n(full * share)}"/>'
        f'<text class="word" x="{_n(end)}" {word}>{bar.value:g}</text>'
    )


def _square(x: float, y: float, half: float) -> str:
    return f"M{_n(x - half)} {_n(y - half)}h{_n(2 * half)}v{_n(2 * half)}h{_n(-2 * half)}z"


def _hexagon(x: float, y: float, half: float) -> str:
    # A corner above and below; half is half its width, so that neighbours touch.
    long, short = half / _ROOT, half / _ROOT / 2
    corners = ((0, -long), (half, -short), (half, short), (0, long), (-half, short), (-half, -short))
    return "M" + "L".join(f"{_n(x + dx)} {_n(y + dy)}" for dx, dy in corners) + "z"


def _n(number: float) -> str:
    """Write a coordinate: three decimals, none in vain."""
    return f"{round(number, 3) + 0.0:.3f}".rstrip("0").rstrip(".")


# Shapes of radius 1 around the origin, as ``benchmark.episodes.canvas`` has them; @ is the class of the colour.
_SHAPES = {
    "disc": '<circle class="@" r="1"/>',
    "ring": '<circle class="@ ring" r=".85"/>',
    "square": '<path class="@" d="M-1-1h2v2h-2z"/>',
    "frame": '<path class="@ ring" d="M-.9-.9h1.8v1.8h-1.8z"/>',
    "diamond": '<path class="@" d="M0-1.15L1.15 0 0 1.15-1.15 0z"/>',
    "triangle": '<path class="@" d="M0-1L1 .75H-1z"/>',
    "star": '<path class="@" d="M0-1L.26-.36.95-.31.43.14.59.81 0 .45-.59.81-.43.14-.95-.31-.26-.36z"/>',
    "key": (
        '<circle class="@ ring" cx="-.5" r=".34"/><path class="@" d="M-.14-.14H.98V.5H.72V.14H.57V.42H.33V.14H-.14z"/>'
    ),
    "door": '<path class="@" d="M-.62-1H.62V1H-.62z"/><circle class="paper" cx=".32" cy=".1" r=".14"/>',
    "hexagon": f'<path class="@" d="{_hexagon(0, 0, 1)}"/>',
}
