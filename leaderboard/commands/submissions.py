"""``penumbra new``, ``check`` and ``validate``: from an idea to a folder that others may trust."""

from pathlib import Path
from typing import Annotated

import typer

from leaderboard.commands.terminal import SUBMISSIONS, console


def new(
    name: Annotated[str, typer.Argument(help="Of the submission, such as my-algo.")],
    parent: Annotated[Path, typer.Option("--in", help="Where its folder goes.")] = Path(),
) -> None:
    """Write the folder of a new submission, which already trains."""
    from leaderboard.new import new_submission

    folder = new_submission(name, parent, SUBMISSIONS)
    console.print(f"written: {', '.join(str(path) for path in sorted(folder.iterdir()))}", highlight=False)
    console.print(f"next: penumbra check {folder}", highlight=False)


def check(
    submission: Annotated[str, typer.Argument(help="Folder of a submission, or its name.")],
    tasks: Annotated[
        list[str] | None,
        typer.Option("--tasks", help="Task id; may be given several times. Default: the quick suite's."),
    ] = None,
    episodes: Annotated[int, typer.Option(min=1, help="Training episodes of each run.")] = 40,
    time_limit: Annotated[float, typer.Option(help="Seconds that one check may take.")] = 60.0,
    memory_limit: Annotated[float | None, typer.Option(help="GiB that one check may use.")] = None,
) -> None:
    """Say what is wrong with a submission, in a minute or two: a line for every check."""
    from benchmark.harness.check import verdicts
    from benchmark.harness.child import Limits
    from benchmark.harness.submission import find_submission

    failed = 0
    found = find_submission(submission, [SUBMISSIONS])
    for verdict in verdicts(found, tasks or (), episodes, Limits(time_limit, memory_limit)):
        word = "[green]passed[/green]" if verdict.passed else "[red]FAILED[/red]"
        console.print(f"{word}  {verdict.check}", highlight=False)
        if not verdict.passed:
            failed += 1
            for label, text in (("found", verdict.found), ("rule", verdict.rule), ("do", verdict.remedy)):
                console.print(f"        {label + ':':<6} {text}", highlight=False, markup=False)
    console.print(f"{failed} check(s) FAILED" if failed else "all checks passed", highlight=False)
    if failed:
        raise typer.Exit(1)
