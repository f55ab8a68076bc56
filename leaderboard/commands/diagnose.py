"""``penumbra diagnose``: does this task need memory?"""

from pathlib import Path
from typing import Annotated

import typer

from leaderboard.commands.terminal import show, tell


def diagnose(
    tasks: Annotated[
        list[str] | None, typer.Argument(help="Task ids, perturbed ones too; none: all that are diagnosed.")
    ] = None,
    records: Annotated[
        Path | None,
        typer.Option(help="Folder of records of rec-hyst-iql with its memory on and off: what it was worth."),
    ] = None,
    suite: Annotated[str, typer.Option(help="Whose budgets those records have, such as standard.")] = "quick",
    freeze: Annotated[bool, typer.Option("--freeze", help="Keep the result: task pages show it.")] = False,
    out: Annotated[Path | None, typer.Option(help="Also write the tables here (.md, .csv, .tex, .html).")] = None,
) -> None:
    """Say whether tasks need memory, by what is known without it and with it, and by what a learner's was worth.

    A task that is not diagnosed yet is diagnosed now. The records come from `penumbra run rec-hyst-iql
    rec-hyst-iql:memory=none --tasks TASK`; with `--tasks TASK:reveal=1` the same learner is shown the whole state.
    """
    from benchmark.measures import diagnosis
    from leaderboard.diagnosis import gather, probed, sentence, summary
    from leaderboard.submission import read_records

    chosen = tasks or diagnosis.diagnosed()
    entries = gather(chosen, read_records(records, variants=True) if records else (), suite)
    tables = [summary(entries), *(probed(task_id, entry) for task_id, entry in entries.items() if tasks)]
    show(tables, out)
    for task_id, entry in entries.items():
        if tasks:
            tell(f"{task_id}: {sentence(task_id, entry)}")
        if freeze:
            diagnosis.freeze(task_id, entry)
