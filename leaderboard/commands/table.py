"""``penumbra table`` and ``submit``: compare records, and hand them in."""

from pathlib import Path
from typing import Annotated

import typer

from leaderboard.commands.terminal import SUBMISSIONS, show, tell


def table(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(help="Folders or files of records; default: the published results, without variants."),
    ] = None,
    suite: Annotated[str, typer.Option(help="Which suite's records to rank.")] = "quick",
    family: Annotated[str | None, typer.Option(help="Only this family's tasks.")] = None,
    style: Annotated[str, typer.Option("--format", help="terminal, md, csv, latex or html.")] = "terminal",
    out: Annotated[Path | None, typer.Option(help="Also write the report here (.md, .csv, .tex, .html).")] = None,
    brief: Annotated[bool, typer.Option("--brief", help="Only the ranking.")] = False,
    published: Annotated[
        bool, typer.Option("--published", help="Beside the published results, but for those under the same names.")
    ] = False,
) -> None:
    """Rank submissions: scores with intervals, per family and per task, and who beats whom."""
    from benchmark.harness.suites import get_suite
    from leaderboard.board import frame, make_board
    from leaderboard.report import report
    from leaderboard.runtime import read_both

    records, timings = read_both(folders or [SUBMISSIONS], variants=bool(folders))
    if folders and published:
        others, clocked = read_both([SUBMISSIONS])
        own = {record.submission for record in records}
        records += [record for record in others if record.submission not in own]
        timings += [timing for timing in clocked if timing.submission not in own]
    board = make_board(get_suite(suite), records, [SUBMISSIONS], timings)
    board = board.of_family(family) if family else board
    tables = report(frame(records, board), board)[: 1 if brief else None]
    show(tables, out, style)


def submit(
    submission: Annotated[str, typer.Argument(help="Name of a submission, or its folder.")],
    source: Annotated[list[Path], typer.Option("--from", help="Folder of records, such as results/laptop.")],
    target: Annotated[Path, typer.Option(help="Where submissions are published.")] = SUBMISSIONS,
    failed: Annotated[bool, typer.Option("--failed", help="Publish failed runs too; they count as collapsed.")] = False,
) -> None:
    """Collect a submission's manifest and records into a folder ready for a pull request."""
    from benchmark.harness.submission import find_submission
    from leaderboard.publish import publish
    from leaderboard.runtime import FILE, read_runtimes

    manifest = find_submission(submission, [SUBMISSIONS])
    path, count, new = publish(manifest, source, target, failed=failed)
    tell(f"{path}: {count} records, {new} of them new")
    if (timings := path.with_name(FILE)).is_file():
        tell(f"{timings}: {len(read_runtimes(timings))} timings")
