"""``penumbra export`` and ``import``: results in the formats of others."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from leaderboard.commands.terminal import SUBMISSIONS, show, tell


class Format(StrEnum):
    """What can be read and written."""

    MARL_EVAL = "marl-eval"


def export_results(
    style: Annotated[Format, typer.Argument(metavar="FORMAT", help="marl-eval.")],
    out: Annotated[Path, typer.Option(help="The file to write.")],
    folders: Annotated[
        list[Path] | None, typer.Argument(help="Folders or files of records; default: the published results.")
    ] = None,
    suite: Annotated[str, typer.Option(help="Which suite's records.")] = "quick",
) -> None:
    """Write records for other tools: marl-eval's JSON, with returns and scores."""
    from benchmark.harness.record import atomic_write
    from benchmark.harness.suites import get_suite
    from leaderboard.board import complete, frame, make_board
    from leaderboard.marl_eval import export
    from leaderboard.submission import read_records

    records = [record for folder in folders or [SUBMISSIONS] for record in read_records(folder)]
    board = make_board(get_suite(suite), records, [SUBMISSIONS])
    if not folders:  # marl-eval needs whole tables: of what is published, who has every run of the suite
        whole = complete(frame(records, board), board)
        records = [record for record in records if record.submission in whole and record.task_id in board.suite.tasks]
    content = export(records, board.suite, board.references)
    atomic_write(out, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())
    tell(f"written: {out}")


def import_results(
    style: Annotated[Format, typer.Argument(metavar="FORMAT", help="marl-eval.")],
    file: Annotated[Path, typer.Argument(help="The file to read; its tasks are named by our task ids.")],
    metric: Annotated[str, typer.Option(help="Which metric holds undiscounted episode returns.")] = "",
    table: Annotated[str, typer.Option("--format", help="terminal, md, csv, latex or html.")] = "terminal",
) -> None:
    """Compare results that others trained and evaluated: our scores and intervals, but no records and no rank."""
    from leaderboard.marl_eval import RETURN, read, report

    show(report(*read(file, metric or RETURN), source=file.name), style=table)
