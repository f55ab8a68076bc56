"""``penumbra figures``: draw what the tables say."""

from pathlib import Path
from typing import Annotated

import typer

from leaderboard.commands.terminal import SUBMISSIONS, tell


def figures(
    out: Annotated[Path, typer.Option(help="Folder of the figures, PNG and SVG.")],
    folders: Annotated[
        list[Path] | None, typer.Argument(help="Folders or files of records; default: the published results.")
    ] = None,
    suite: Annotated[str, typer.Option(help="Which suite's records to draw.")] = "quick",
    family: Annotated[str | None, typer.Option(help="Only this family's tasks.")] = None,
) -> None:
    """Draw intervals, profiles, probability of improvement, sample efficiency, score against time, learning curves."""
    from benchmark.harness.suites import get_suite
    from leaderboard.board import frame, make_board
    from leaderboard.figures import Drawer, make_palette, write_figures
    from leaderboard.publish import published_names
    from leaderboard.runtime import read_both

    records, timings = read_both(folders or [SUBMISSIONS])
    board = make_board(get_suite(suite), records, [SUBMISSIONS], timings)
    board = board.of_family(family) if family else board
    drawer = Drawer(board, frame(records, board), tuple(records), make_palette(records, published_names(SUBMISSIONS)))
    written = write_figures(drawer, out, lambda path: tell(str(path)))
    if not written:
        raise ValueError(f"figures: no finished run of suite {suite!r} in the given records")
