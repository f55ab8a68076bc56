"""Colours of submissions: the same for one submission in every figure, table and page.

Twelve hues, each in a shade for paper and one for a dark screen, chosen so that they stand out from their background
(contrast of at least 3) and from each other for people with any colour vision; ``tests/test_palette.py`` computes
both. With more than twelve submissions the hues come round again, and lines differ in their dashes too.
"""

from collections.abc import Iterable, Sequence

Colour = str  # "#rrggbb"

LIGHT: tuple[Colour, ...] = (
    *("#3b3fd0", "#c8641f", "#15754f", "#c67b8b", "#531575", "#3c86dd"),
    *("#4f5510", "#ba3689", "#522f0f", "#36383f", "#6c9f60", "#0c0a43"),
)
DARK: tuple[Colour, ...] = (
    *("#8f86ff", "#e58a3c", "#37b48a", "#f7c6cf", "#a64fd0", "#5fb4f2"),
    *("#d6d05a", "#e0559f", "#a3734a", "#707070", "#c1f2a6", "#c8c6ec"),
)
# Of the first twelve submissions, the second twelve, and so on.
DASHES: tuple[str | tuple[int, tuple[float, ...]], ...] = (
    "-",
    (0, (4.0, 1.5)),
    (0, (1.2, 1.2)),
    (0, (6, 1.5, 1.2, 1.5)),
)


def order(names: Iterable[str], published: Sequence[str] = ()) -> list[str]:
    """Return the names in the order in which they get their colours: published ones first, each group by alphabet.

    So a submission that is not published yet takes no colour away from those that are.
    """
    known = sorted(set(published))
    return [*known, *sorted(set(names) - set(known))]


def colours(names: Sequence[str], shades: Sequence[Colour] = LIGHT) -> dict[str, Colour]:
    """Give each submission its colour. Pass the same names, in the same order, to whatever is shown together."""
    return {name: shades[place % len(shades)] for place, name in enumerate(names)}


def dash(palette: Iterable[str], name: str) -> str | tuple[int, tuple[float, ...]]:
    """Return the line style of a submission of a palette."""
    return DASHES[list(palette).index(name) // len(LIGHT) % len(DASHES)]


def darker(colour: Colour, share: float = 0.75) -> Colour:
    """Mix a colour with black: words need more contrast than lines."""
    return "#" + "".join(f"{round(int(colour[place : place + 2], 16) * share):02x}" for place in (1, 3, 5))


def lighter(colour: Colour, share: float = 0.7) -> Colour:
    """Mix a colour with white, for words on a dark page."""
    parts = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return "#" + "".join(f"{round(255 - (255 - part) * share):02x}" for part in parts)
