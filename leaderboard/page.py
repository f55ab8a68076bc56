"""A page of results: words, figures and tables in one Markdown file, its pictures beside it."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure

from benchmark.harness.record import atomic_write
from leaderboard import plots, render
from leaderboard.tables import Table


class Drawing(NamedTuple):
    """A figure of a page."""

    name: str  # of its file: after the page's name, before the suffix
    words: str  # what it shows; below it, and for whoever does not see it
    draw: Callable[[], Figure]


def write(path: Path, parts: Iterable[str | Drawing | Table]) -> list[Path]:
    """Write a page, and its figures as PNG; the same parts give the same bytes.

    Args:
        path: of the page, a Markdown file.
        parts: from top to bottom; Markdown as it is.

    Returns:
        What was written, the page first.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    written, texts = [path], []
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, Table):
            texts.append(render.markdown([part], below=True))
        else:
            picture = path.with_name(f"{path.stem}-{part.name}.png")
            with plots.style():
                part.draw().savefig(picture, metadata={"Software": None}, dpi=120)
            written.append(picture)
            texts.append(f"![{part.words}]({picture.name})\n\n*{part.words}.*\n")
    atomic_write(path, "\n".join(texts).encode())
    return written
