"""What the commands share: where they print, and where submissions lie."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from leaderboard.tables import Table

console = Console()
if not console.is_terminal and "COLUMNS" not in os.environ:
    console = Console(width=120)  # what goes to a file or a log is not squeezed into a terminal's 80 columns
SUBMISSIONS = Path(__file__).parents[1] / "submissions"


def tell(line: str) -> None:
    """Print a line as it is: no markup, no colours, not broken where a terminal ends, so that paths can be copied."""
    console.print(line, highlight=False, markup=False, soft_wrap=True)


def show(tables: "Sequence[Table]", out: Path | None = None, style: str = "terminal") -> None:
    """Print tables, and write them to a file in the format of its suffix (.md, .csv, .tex, .html).

    Raises:
        ValueError: if there is no such style or suffix; nothing is printed or written then.
    """
    from leaderboard import render

    text = render.write(tables, out.suffix) if out else ""
    if style != "terminal":
        sys.stdout.write(render.write(tables, style))
    else:
        for table in tables:
            console.print(render.terminal(table))
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")
        tell(f"written: {out}")
