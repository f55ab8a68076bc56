"""Pictures of one episode's state for people: text and pixels, from what the task says about itself."""

from collections import defaultdict
from math import ceil, sqrt
from typing import Any

import numpy as np

from benchmark.episodes.canvas import Canvas, Colour, text_width
from benchmark.tasks.picture import Bar, Mark, Picture
from benchmark.tasks.task import Task

_PAPER: Colour = (0.97, 0.97, 0.96)
_CELL: Colour = (1.0, 1.0, 1.0)
_LINE: Colour = (0.82, 0.82, 0.80)
_TINT = 0.2
_INK: Colour = (0.15, 0.16, 0.18)
COLOURS: dict[str, Colour] = {
    "red": (0.80, 0.22, 0.20),
    "green": (0.24, 0.60, 0.30),
    "blue": (0.27, 0.48, 0.75),
    "gold": (0.93, 0.70, 0.13),
    "purple": (0.53, 0.35, 0.70),
    "grey": (0.62, 0.63, 0.65),
    "dark": _INK,
    "pale": (0.80, 0.89, 0.94),
}
# Agents' colours, told apart by the colour-blind too; with more agents than colours they come round again.
AGENTS: tuple[Colour, ...] = (
    (0.00, 0.45, 0.70),
    (0.84, 0.37, 0.00),
    (0.00, 0.62, 0.45),
    (0.80, 0.40, 0.65),
    (0.34, 0.71, 0.91),
    (0.55, 0.50, 0.10),
    (0.40, 0.30, 0.60),
    (0.45, 0.30, 0.20),
)
_BOARD, _PANEL, _TITLE, _MARGIN = 640, 260, 38, 16  # pixels
_LETTER, _LINE_HEIGHT = 2, 28


def ansi(task: Task, state: Any, episode: int = 0) -> str:
    """Return a text picture of one episode, followed by what each agent sees."""
    fields = task.observation_layout.unpack(task.observe(state)[episode].cpu())
    lines = [task.draw(state, episode).rstrip("\n")]
    for agent in range(task.agents):
        seen = (f"{name}={_numbers(values[agent].tolist())}" for name, values in fields.items())
        lines.append(f"agent_{agent} sees {' '.join(seen)}")
    return "\n".join(lines) + "\n"


def _numbers(values: list[float]) -> str:
    if len(values) == 1:
        return f"{values[0]:.3g}"
    if len(values) > 16:  # mostly zeros: say where the others are
        return f"{{{', '.join(f'{place}: {value:.3g}' for place, value in enumerate(values) if value)}}}"
    return f"[{', '.join(f'{value:.3g}' for value in values)}]"


def rgb_array(task: Task, state: Any, episode: int = 0) -> np.ndarray:
    """Return a picture of one episode, uint8 ``[height, width, 3]``.

    A task that offers no ``picture`` is shown by the text of its ``draw``.
    """
    picture = task.picture(state, episode)
    return _text_page(task.draw(state, episode)) if picture is None else _draw(picture)


def _text_page(text: str) -> np.ndarray:
    lines = text.rstrip("\n").split("\n")
    width = max(text_width(line, _LETTER) for line in lines) + 2 * _MARGIN
    canvas = Canvas(width, len(lines) * 7 * _LETTER + 2 * _MARGIN, _PAPER)
    for number, line in enumerate(lines):
        canvas.text(line, _MARGIN, _MARGIN + number * 7 * _LETTER, _LETTER, _INK)
    return canvas.image()


class _Board:
    """Where board coordinates lie on the canvas."""

    def __init__(self, picture: Picture) -> None:
        self.hexagonal = picture.hexagonal
        flat = np.array([self._flatten(cell) for cell in picture.cells])
        self.low = flat.min(0)
        extent = flat.max(0) - self.low + 1
        self.size = int(np.clip(_BOARD / extent.max(), 12, 64))  # pixels from cell to cell
        self.width, self.height = (int(length) for length in np.ceil(extent * self.size))

    def _flatten(self, place: tuple[float, float]) -> tuple[float, float]:
        x, y = place
        return (x - y / 2, y * 0.75**0.5) if self.hexagonal else (x, y)

    def pixel(self, place: tuple[float, float]) -> tuple[float, float]:
        x, y = np.array(self._flatten(place)) - self.low
        return _MARGIN + (x + 0.5) * self.size, _TITLE + self.height - (y + 0.5) * self.size


def _colour(colour: str | int) -> Colour:
    return AGENTS[colour % len(AGENTS)] if isinstance(colour, int) else COLOURS[colour]


def _draw(picture: Picture) -> np.ndarray:
    board = _Board(picture)
    legend = _legend(picture)
    names = [text_width(mark.label, _LETTER) for mark in picture.marks if mark.shape == "text"]
    left = _MARGIN * 2 + board.width + max(names, default=0)  # where the panel begins
    width = max(left + _PANEL, _MARGIN * 2 + text_width(picture.title, _LETTER))
    panel_height = (len(legend) + len(picture.bars)) * _LINE_HEIGHT
    canvas = Canvas(width, _TITLE + max(board.height, panel_height) + _MARGIN, _PAPER)
    canvas.text(picture.title, _MARGIN, 12, _LETTER, _INK)
    _draw_cells(canvas, board, picture)
    for mark in picture.marks:
        _draw_mark(canvas, mark, *board.pixel(mark.place), board.size * mark.size / 2)
    _draw_agents(canvas, board, picture)
    for line, mark in enumerate(legend):
        y = _TITLE + (line + 0.5) * _LINE_HEIGHT
        _draw_mark(canvas, mark, left + 10, y, 10)
        canvas.text(mark.meaning, left + 30, y - 5, _LETTER, _INK)
    for line, bar in enumerate(picture.bars, len(legend)):
        _draw_bar(canvas, bar, left, _TITLE + (line + 0.5) * _LINE_HEIGHT)
    return canvas.image()


def _legend(picture: Picture) -> list[Mark]:
    agents = len(picture.agents)
    if agents <= 4:
        entries = [Mark((0, 0), "disc", agent, str(agent), f"agent {agent}") for agent in range(agents)]
    else:
        entries = [Mark((0, 0), "disc", 0, "0", f"agents 0 to {agents - 1}")]
    if picture.seen:
        entries.append(Mark((0, 0), "square", "pale", "", "tint: what they see"))
    named: dict[tuple[str, str | int, str], Mark] = {}
    for mark in picture.marks:
        if mark.meaning:
            named.setdefault((mark.shape, mark.colour, mark.meaning), mark)
    return [*entries, *named.values()]


def _draw_cells(canvas: Canvas, board: _Board, picture: Picture) -> None:
    sheets = defaultdict(lambda: np.array(_CELL))
    for agent, cells in enumerate(picture.seen):
        for cell in cells:
            # Like coloured glass: where several agents look, it grows darker.
            sheets[cell] = sheets[cell] * (1 - _TINT * (1 - np.array(_colour(agent))))
    for cell in picture.cells:
        x, y = board.pixel(cell)
        for half, colour in ((board.size / 2, _LINE), (board.size / 2 - 1, tuple(sheets[cell]))):
            if board.hexagonal:
                canvas.shape("hexagon", x, y, half, colour)
            else:
                canvas.box(x - half, y - half, x + half, y + half, colour)


def _draw_mark(canvas: Canvas, mark: Mark, x: float, y: float, radius: float) -> None:
    scale = max(1, round(radius / 6))
    if mark.shape == "text":
        canvas.text(mark.label, x + radius * 1.5, y - 2.5 * _LETTER, _LETTER, _colour(mark.colour))
        return
    canvas.shape(mark.shape, x, y, radius, _colour(mark.colour))
    if mark.label:
        canvas.centred(mark.label, x, y, scale, (1.0, 1.0, 1.0))


def _draw_agents(canvas: Canvas, board: _Board, picture: Picture) -> None:
    crowds = defaultdict(list)
    for agent, place in enumerate(picture.agents):
        crowds[place].append(agent)
    for place, crowd in crowds.items():
        columns = ceil(sqrt(len(crowd)))
        rows = [crowd[first : first + columns] for first in range(0, len(crowd), columns)]
        pitch = board.size * 0.8 / columns
        x, y = board.pixel(place)
        for row, group in enumerate(rows):
            for column, agent in enumerate(group):
                centre = x + (column - (len(group) - 1) / 2) * pitch, y + (row - (len(rows) - 1) / 2) * pitch
                canvas.shape("disc", *centre, pitch * 0.48, (1.0, 1.0, 1.0))
                _draw_mark(canvas, Mark(place, "disc", agent, str(agent)), *centre, pitch * 0.42)


def _draw_bar(canvas: Canvas, bar: Bar, left: float, y: float) -> None:
    canvas.text(bar.name, left, y - 5, _LETTER, _INK)
    start, full = left + 100, _PANEL - 150
    canvas.box(start, y - 8, start + full, y + 8, _LINE)
    canvas.box(start, y - 8, start + full * min(1.0, bar.value / bar.full), y + 8, _colour(bar.colour))
    canvas.text(f"{bar.value:g}", start + full + 8, y - 5, _LETTER, _INK)
