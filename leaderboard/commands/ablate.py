"""``penumbra ablate``: what each parameter of a submission is worth."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from leaderboard.commands.run import run
from leaderboard.commands.terminal import SUBMISSIONS, show, tell

if TYPE_CHECKING:
    from benchmark.harness.ablations import Ablation
    from benchmark.harness.submission import Submission


def ablate(
    submission: Annotated[
        str | None, typer.Argument(help="Whose parameters to change; none: only show the standard ablations' records.")
    ] = None,
    sweep: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=V1,V2,...", help="A parameter over values; default: the standard ablations."),
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="Only these standard ablations, such as samples.")] = None,
    task_patterns: Annotated[
        list[str] | None, typer.Option("--tasks", help="Task id or pattern; may be given several times.")
    ] = None,
    suite: Annotated[str, typer.Option(help="Whose budgets and runs: quick, laptop or full.")] = "quick",
    runs: Annotated[int | None, typer.Option(min=1, help="Runs per task; default: the suite's.")] = None,
    parameters: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Changed in all variants of a sweep.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Folder of the records; default: results/<suite>, or the published ones.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Also write the tables here (.md, .csv, .tex, .html).")] = None,
    figures: Annotated[Path | None, typer.Option(help="Folder for figures, PNG and SVG.")] = None,
) -> None:
    """Train variants of a submission, one parameter at a time, and compare each value with the usual one.

    Records lie beside those of `penumbra run`, under names such as belief-i2q:samples=5; the submission's own records
    stand for the usual value. The same command again does only what is missing.
    """
    from benchmark.harness.suites import get_suite
    from leaderboard.ablation import ablation_table, sort_runs, sweep_of
    from leaderboard.submission import read_records

    asked = _asked(submission, sweep or (), only or (), task_patterns or (), parameters or (), suite)
    source = folder or (Path("results") / suite if submission else SUBMISSIONS)
    failed = False
    if submission:
        for ablation, base in asked:
            tasks = get_suite(suite).select(task_patterns) if task_patterns else list(ablation.tasks)
            try:
                run(_variants(ablation, base, submission), suite, tasks, runs, source)
            except typer.Exit:  # some cell failed, which its record says; the others are worth seeing
                failed = True
    records = read_records(source, variants=True)
    sorted_runs = sort_runs(records, suite)
    found = [swept for ablation, base in asked if (swept := sweep_of(sorted_runs, ablation, base))]
    if not found:
        raise ValueError(f"ablate: no ablation has records of two values in suite {suite!r}")
    tables = [ablation_table(swept) for swept in found]
    show(tables, out)
    if figures:
        from leaderboard.ablation_plots import write_ablation_figures
        from leaderboard.figures import make_palette
        from leaderboard.publish import published_names

        palette = make_palette(records, published_names(SUBMISSIONS))
        for path in write_ablation_figures(found, figures, palette):
            tell(f"written: {path}")
    if failed:
        raise typer.Exit(1)


def _variants(ablation: "Ablation", base: "Submission", given: str) -> list[str]:
    """Return what to train: a submission that is a folder keeps its path."""
    names = ablation.names(base)
    return [given + name.removeprefix(base.name) for name in dict.fromkeys([*names, base.variant(ablation.base).name])]


def _asked(
    submission: str | None,
    sweeps: Sequence[str],
    only: Sequence[str],
    task_patterns: Sequence[str],
    parameters: Sequence[str],
    suite: str,
) -> "list[tuple[Ablation, Submission]]":
    """Return the ablations to do or show, each with its plain submission."""
    from dataclasses import replace

    from benchmark.harness.ablations import Ablation, get_ablations
    from benchmark.harness.submission import find_submission
    from benchmark.harness.suites import get_suite
    from benchmark.harness.variant import parse_change

    tasks = tuple(get_suite(suite).select(task_patterns))
    if sweeps:
        if submission is None:
            raise ValueError("ablate: --sweep needs a submission")
        base = find_submission(submission, [SUBMISSIONS])
        changes = dict(parse_change(text) for text in parameters)
        fitting = tuple(task_id for task_id in tasks if base.applies_to(task_id))
        found = []
        for text in sweeps:
            name, equals, values = text.partition("=")
            parsed = tuple(parse_change(f"{name}={value}")[1] for value in values.split(","))
            if not equals or not values:
                raise ValueError(f"--sweep {text!r} must have the form NAME=V1,V2,...")
            found.append((Ablation(name, base.name, name, parsed, fitting, base=changes), base))
        return found
    standard = get_ablations((submission,) if submission else (), only)
    bases = {entry.submission: find_submission(entry.submission, [SUBMISSIONS]) for entry in standard}
    return [(replace(entry, tasks=tasks) if task_patterns else entry, bases[entry.submission]) for entry in standard]
