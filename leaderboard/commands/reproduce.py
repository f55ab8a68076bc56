"""``penumbra reproduce``: a paper's tables beside what was learned here."""

from pathlib import Path
from typing import Annotated

import typer

from leaderboard.commands.terminal import SUBMISSIONS, show, tell


def reproduce(
    what: Annotated[
        str, typer.Argument(help="table1 (of arXiv 2106.09825), or a page: organization, grid-worlds, stress.")
    ],
    folders: Annotated[
        list[Path] | None, typer.Argument(help="Folders or files of records; default: the published results.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Also write it here; a page needs a .md.")] = None,
    suite: Annotated[str, typer.Option(help="grid-worlds: which suite's records.")] = "standard",
) -> None:
    """Print a paper's results beside our own, with intervals and exact optima. Reads records, trains nothing."""
    from benchmark.harness.suites import get_suite
    from benchmark.tasks.registry import did_you_mean
    from leaderboard.grid_worlds_page import write_page as grid_worlds
    from leaderboard.organization_page import tables_of_table_1, write_page
    from leaderboard.stress_page import write_page as stress
    from leaderboard.submission import read_records

    known = ("table1", "organization", "grid-worlds", "stress")
    if what not in known:
        raise ValueError(f"reproduce: {what!r} is unknown{did_you_mean(what, known)}; allowed: {', '.join(known)}")
    changed = what in ("grid-worlds", "stress")  # settings too, which are compared with the defaults
    records = [record for folder in folders or [SUBMISSIONS] for record in read_records(folder, variants=changed)]
    if what != "table1":
        if out is None:
            raise ValueError(f"reproduce: {what} is a page with figures; say where with --out PAGE.md")
        if what == "grid-worlds":
            written = grid_worlds(records, get_suite(suite), out)
        else:
            written = {"organization": write_page, "stress": stress}[what](records, out)
        tell("written: " + ", ".join(map(str, written)))
        return
    show(tables_of_table_1(records), out)
