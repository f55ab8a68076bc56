"""How a task describes what its state looks like, without drawing it: ``episodes.render`` draws it."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

Shape = Literal["disc", "ring", "square", "diamond", "triangle", "star", "key", "door", "hexagon", "text"]
Colour = Literal["red", "green", "blue", "gold", "purple", "grey", "dark", "pale"] | int


class Mark(NamedTuple):
    """Something at a place of the board.

    Attributes:
        place: board coordinates; x grows to the right, y upwards.
        shape: what is drawn. ``"text"`` draws the label alone, to the right of the place.
        colour: a named colour, or the number of the agent whose colour it is.
        label: a few characters drawn upon the shape.
        meaning: what the legend says about marks of this shape and colour; nothing if empty.
        size: width in cells, roughly.
    """

    place: tuple[float, float]
    shape: Shape
    colour: Colour
    label: str = ""
    meaning: str = ""
    size: float = 0.8


class Bar(NamedTuple):
    """A named quantity between 0 and ``full``."""

    name: str
    value: float
    full: float
    colour: Colour = "blue"


@dataclass(frozen=True)
class Picture:
    """A board, what lies on it, where the agents stand and what they see.

    Agents that share a place are drawn side by side.

    Attributes:
        title: one line above the board.
        cells: board coordinates of all cells; axial ones on a hexagonal board.
        agents: the place of every agent, in order; empty if agents have no place.
        marks: everything else, in the order of drawing.
        seen: per agent, the cells it sees now, tinted in its colour; empty if there is no such thing.
        bars: quantities shown beside the board.
        hexagonal: whether cells are hexagons in the axial coordinates of ``board.hex_board``.
    """

    title: str
    cells: tuple[tuple[int, int], ...]
    agents: tuple[tuple[float, float], ...] = ()
    marks: tuple[Mark, ...] = ()
    seen: tuple[tuple[tuple[int, int], ...], ...] = ()
    bars: tuple[Bar, ...] = ()
    hexagonal: bool = False


def ladder(title: str, level: int, rungs: tuple[str, ...], bars: tuple[Bar, ...] = ()) -> Picture:
    """Picture a quantity with named levels, the lowest first."""
    places = [(0, height) for height in range(len(rungs))]
    filled = (Mark(place, "square", "blue", meaning="level", size=0.9) for place in places[: level + 1])
    names = (Mark(place, "text", "dark", name) for place, name in zip(places, rungs, strict=True))
    return Picture(title, tuple(places), marks=(*filled, *names), bars=bars)
