"""``penumbra new``, ``check`` and ``validate``: from an idea to a folder that others may trust."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from leaderboard.commands.terminal import SUBMISSIONS, console, tell

if TYPE_CHECKING:
    from leaderboard.validate import Report


def new(
    name: Annotated[str, typer.Argument(help="Of the submission, such as my-algo.")],
    parent: Annotated[Path, typer.Option("--in", help="Where its folder goes.")] = Path(),
) -> None:
    """Write the folder of a new submission, which already trains."""
    from leaderboard.new import new_submission

    folder = new_submission(name, parent, SUBMISSIONS)
    tell(f"written: {', '.join(str(path) for path in sorted(folder.iterdir()))}")
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


def validate(
    folders: Annotated[list[Path], typer.Argument(help="Folders of submissions, as in a pull request.")],
    rerun: Annotated[
        int,
        typer.Option(
            min=0,
            help="Train so many random cells again, and whatever was stacked with them. Runs their code.",
        ),
    ] = 0,
    rerun_seed: Annotated[int | None, typer.Option(min=0, help="Of the choice of cells; default: drawn now.")] = None,
    device: Annotated[str, typer.Option(help="Where cells are trained again: cpu, cuda, ...")] = "cpu",
) -> None:
    """Check folders of submissions as data from strangers: what CI does with a pull request."""
    from leaderboard.reading import MOST_MESSAGES
    from leaderboard.validate import validate as validate_folder

    broken = False
    for folder in folders:
        report = validate_folder(folder)
        for word, lines in (("error", report.errors), ("warning", report.warnings)):
            more = [f"... and {len(lines) - MOST_MESSAGES} more"] if len(lines) > MOST_MESSAGES else []
            for line in [*lines[:MOST_MESSAGES], *more]:
                console.print(f"{word}: {line}", markup=False, highlight=False, soft_wrap=True)
        counts = f"{len(report.records)} records, {len(report.errors)} error(s), {len(report.warnings)} warning(s)"
        console.print(f"{folder}: {counts}", markup=False, highlight=False, soft_wrap=True)
        broken |= bool(report.errors)
        if rerun and not report.errors:
            broken |= not _rerun(report, rerun, rerun_seed, device)
    if broken:
        raise typer.Exit(1)


def _rerun(report: "Report", count: int, seed: int | None, device: str) -> bool:
    """Train cells again; returns whether all agree."""
    import numpy as np

    from benchmark.harness.child import Limits
    from benchmark.harness.contain import Contained
    from leaderboard.rerun import rerun

    assert report.manifest is not None
    generator = np.random.default_rng()
    seed = int(generator.integers(2**31)) if seed is None else seed
    console.print(f"running {count} random cell(s) again (--rerun-seed {seed})", highlight=False)
    agrees = True
    with Contained(Limits()) as contained:
        for entry in rerun(report.manifest, report.records, count, seed, contained, device):
            console.print(entry.line, markup=False, highlight=False, soft_wrap=True)
            agrees &= entry.agrees
    return agrees
