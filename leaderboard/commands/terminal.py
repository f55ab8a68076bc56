"""What the commands share: where they print, and where submissions lie."""

import os
from pathlib import Path

from rich.console import Console

console = Console()
if not console.is_terminal and "COLUMNS" not in os.environ:
    console = Console(width=120)  # what goes to a file or a log is not squeezed into a terminal's 80 columns
SUBMISSIONS = Path(__file__).parents[1] / "submissions"


def tell(line: str) -> None:
    """Print a line as it is: no markup, no colours, not broken where a terminal ends, so that paths can be copied."""
    console.print(line, highlight=False, markup=False, soft_wrap=True)
