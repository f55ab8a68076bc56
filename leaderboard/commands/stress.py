"""``penumbra stress``: how much of a score is kept as the world gets harder."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from leaderboard.commands.run import run
from leaderboard.commands.terminal import SUBMISSIONS, show, tell

if TYPE_CHECKING:
    from benchmark.harness.stress import Stress


def stress(
    submissions: Annotated[
        list[str] | None, typer.Argument(help="Submissions to train at every level; none: only show what is there.")
    ] = None,
    suite: Annotated[
        str | None, typer.Option(help="Whose budgets and runs, such as standard; default: each stress's own.")
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="Only these stresses, such as slip.")] = None,
    family: Annotated[list[str] | None, typer.Option(help="Only tasks of these families.")] = None,
    runs: Annotated[int | None, typer.Option(min=1, help="Runs per task; default: the suite's.")] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Folder of the records; default: results/<suite>, or the published ones.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Also write the tables here (.md, .csv, .tex, .html).")] = None,
    shift: Annotated[
        bool, typer.Option("--shift", help="Evaluate what was trained at each level on all the others too.")
    ] = False,
    unseen: Annotated[
        bool, typer.Option("--unseen", help="Train on the tasks themselves only, and evaluate at all levels.")
    ] = False,
    figures: Annotated[Path | None, typer.Option(help="Folder for figures, PNG and SVG.")] = None,
) -> None:
    """Train submissions on harder and harder versions of the tasks, and show what is left of their scores.

    The same command again does only what is missing; records lie beside those of `penumbra run`, whose cells count as
    the mildest level.
    """
    from benchmark.harness.stress import by_suite, get_stresses
    from leaderboard.robustness import degradations
    from leaderboard.shift import shift_table, shifted_runs
    from leaderboard.stress_tables import report
    from leaderboard.submission import read_records

    done, found, shifted, records = True, [], [], []
    for name, stresses in by_suite(get_stresses(tuple(only or ()), tuple(family or ())), suite).items():
        source = folder or (Path("results") / name if submissions else SUBMISSIONS)
        if submissions:
            done = _played(submissions, name, stresses, runs, source, shift, unseen) and done
        there = read_records(source, variants=True) if source.exists() or not submissions else []
        found += degradations(there, name, stresses)
        shifted += shifted_runs(there, name, stresses)
        records += there
    if not found and not shifted:
        where = "its" if suite is None else suite
        raise ValueError(f"stress: no submission has records of two levels of a stress in {where} suite")
    tables = [*report(found), *map(shift_table, shifted)]
    show(tables, out)
    if figures:
        from leaderboard.figures import make_palette
        from leaderboard.publish import published_names
        from leaderboard.stress_plots import write_shift_figures, write_stress_figures

        written = write_stress_figures(found, figures, make_palette(records, published_names(SUBMISSIONS)))
        for path in [*written, *write_shift_figures(shifted, figures)]:
            tell(f"written: {path}")
    if not done:
        raise typer.Exit(1)


def _played(
    submissions: list[str],
    suite: str,
    stresses: "tuple[Stress, ...]",
    runs: int | None,
    folder: Path,
    shift: bool,
    unseen: bool,
) -> bool:
    """Train what is missing, where a submission applies; whether nothing failed."""
    from benchmark.harness.stress import shifts, task_ids
    from benchmark.harness.submission import find_submission

    manifests = [find_submission(name, [SUBMISSIONS]) for name in submissions]
    done = True
    rounds = [([task_id], others) for task_id, others in shifts(stresses).items()]
    if unseen:
        plain = {stress.task_id for stress in stresses}
        rounds = [(tasks, others) for tasks, others in rounds if plain.issuperset(tasks)]
    for tasks, others in rounds if shift or unseen else [(task_ids(stresses), ())]:
        if not any(manifest.applies_to(task_id) for manifest in manifests for task_id in tasks):
            continue  # that is told at the end if there is nothing at all to show
        try:
            run(submissions, suite, tasks, runs, folder, evaluate_on=list(others))
        except typer.Exit:  # some cell failed, which its record says; the others are worth seeing
            done = False
    return done
