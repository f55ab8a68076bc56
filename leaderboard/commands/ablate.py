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
    suite: Annotated[
        str | None, typer.Option(help="Whose budgets and runs, such as standard; default: each ablation's own.")
    ] = None,
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
    from leaderboard.ablation import ablation_table, sort_runs, sweep_of
    from leaderboard.submission import read_records

    asked = _asked(submission, sweep or (), only or (), task_patterns or (), parameters or (), suite)
    done, found, records = True, [], []
    for name in dict.fromkeys(ablation.suite for ablation, _ in asked):
        source = folder or (Path("results") / name if submission else SUBMISSIONS)
        mine = [(ablation, base) for ablation, base in asked if ablation.suite == name]
        for ablation, base in mine if submission else ():
            try:
                run(_variants(ablation, base, submission or base.name), name, list(ablation.tasks), runs, source)
            except typer.Exit:  # some cell failed, which its record says; the others are worth seeing
                done = False
        there = read_records(source, variants=True)
        sorted_runs = sort_runs(there, name)
        found += [swept for ablation, base in mine if (swept := sweep_of(sorted_runs, ablation, base))]
        records += there
    if not found:
        raise ValueError(f"ablate: no ablation has records of two values in {'its' if suite is None else suite} suite")
    tables = [ablation_table(swept) for swept in found]
    show(tables, out)
    if figures:
        from leaderboard.ablation_plots import write_ablation_figures
        from leaderboard.figures import make_palette
        from leaderboard.publish import published_names

        palette = make_palette(records, published_names(SUBMISSIONS))
        for path in write_ablation_figures(found, figures, palette):
            tell(f"written: {path}")
    if not done:
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
    suite: str | None,
) -> "list[tuple[Ablation, Submission]]":
    """Return the ablations to do or show, each with its plain submission."""
    from dataclasses import replace

    from benchmark.harness.ablations import Ablation, get_ablations
    from benchmark.harness.submission import find_submission
    from benchmark.harness.suites import get_suite
    from benchmark.harness.variant import parse_change

    chosen = {} if suite is None else {"suite": get_suite(suite).name}
    if sweeps:
        if submission is None:
            raise ValueError("ablate: --sweep needs a submission")
        base = find_submission(submission, [SUBMISSIONS])
        changes = dict(parse_change(text) for text in parameters)
        tasks = get_suite(suite or Ablation.suite).select(task_patterns)
        fitting = tuple(task_id for task_id in tasks if base.applies_to(task_id))
        found = []
        for text in sweeps:
            name, equals, values = text.partition("=")
            parsed = tuple(parse_change(f"{name}={value}")[1] for value in values.split(","))
            if not equals or not values:
                raise ValueError(f"--sweep {text!r} must have the form NAME=V1,V2,...")
            found.append((Ablation(name, base.name, name, parsed, fitting, base=changes, **chosen), base))
        return found
    found = []
    for entry in get_ablations((submission,) if submission else (), only):
        entry = replace(entry, **chosen)
        if task_patterns:
            entry = replace(entry, tasks=tuple(get_suite(entry.suite).select(task_patterns)))
        found.append((entry, find_submission(entry.submission, [SUBMISSIONS])))
    return found
