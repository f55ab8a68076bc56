"""The ``penumbra`` command.

Everything heavy is imported by the command that needs it: ``penumbra run`` works where only torch, numpy, typer and
rich are installed.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from benchmark.harness.record import Record
    from benchmark.harness.runner import Job

# Threads that wait by spinning slow torch down by two orders of magnitude wherever somebody else uses a core too.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

app = typer.Typer(
    name="penumbra",
    help="Benchmark and evaluation harness for multi-agent reinforcement learning under partial observability.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
console = Console()
if not console.is_terminal and "COLUMNS" not in os.environ:
    console = Console(width=120)  # what goes to a file or a log is not squeezed into a terminal's 80 columns
SUBMISSIONS = Path(__file__).with_name("submissions")


@app.command()
def tasks(
    pattern: Annotated[str, typer.Argument(help="Only ids that match, such as 'honeycomb*'.")] = "*",
) -> None:
    """List the tasks: who plays, how long, what is hidden, and the scale of the scores."""
    import fnmatch

    from benchmark.measures.references import reference
    from benchmark.tasks.registry import make_task, spec, task_ids

    chosen = fnmatch.filter(task_ids(), pattern)
    if not chosen:
        raise ValueError(f"tasks: {pattern!r} matches none of the {len(task_ids())} tasks")
    table = Table("task", "N", "A", "O", "T", "hidden", "trivial", "reference", "optimum", box=None)
    for task_id in chosen:
        task = make_task(task_id)
        try:
            scale = reference(task_id)
            numbers = [
                f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"
                for value in (scale.trivial, scale.reference, scale.optimum)
            ]
        except ValueError:  # a third-party task need not have references
            numbers = ["-"] * 3
        hidden = ", ".join(variable.name for variable in task.hidden_variables[:3])
        more = len(task.hidden_variables) - 3
        sizes = (task.agents, len(task.action_names), task.observation_layout.size, task.horizon)
        table.add_row(
            task_id if spec(task_id).ranked else f"{task_id} (diagnostic)",
            *map(str, sizes),
            hidden + (f", +{more}" if more > 0 else ""),
            *numbers,
        )
    console.print(table)
    if len(chosen) <= 10:
        console.print("\n" + "\n".join(f"{task_id}: {spec(task_id).summary}" for task_id in chosen), highlight=False)
    console.print("\nN agents, A actions, O observation size, T horizon; returns of the three reference points.")
    console.print("score = (return - trivial) / (reference - trivial). Other sizes exist by id, for instance")
    console.print("organization-circle-1000-v0; perturbed ones by suffix, for instance oracle-v0:slip=0.1.")


@app.command()
def run(
    submissions: Annotated[list[str], typer.Argument(help="Names of submissions, or folders with a submission.toml.")],
    suite: Annotated[str, typer.Option(help="quick, laptop or full.")] = "quick",
    task_patterns: Annotated[
        list[str] | None, typer.Option("--tasks", help="Task id or pattern; may be given several times.")
    ] = None,
    runs: Annotated[int | None, typer.Option(min=1, help="Runs per task; default: the suite's.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the records; default: results/<suite>.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, ... or auto.")] = "auto",
    parameters: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Change a parameter of the submission.")
    ] = None,
) -> None:
    """Train submissions on a suite and write one record per run.

    The same command again does only what is missing. It is safe to kill.
    """
    import torch

    from benchmark.harness.runner import Job
    from benchmark.harness.submission import find_submission
    from benchmark.harness.suites import get_suite

    chosen_suite = get_suite(suite)
    folder = out or Path("results") / suite
    changes = dict(_parameter(text) for text in parameters or ())
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    jobs = []
    for name in submissions:
        submission = find_submission(name, [SUBMISSIONS]).with_parameters(changes)
        submission.build()  # whoever cannot even be constructed is told before anything is trained
        for task_id in chosen_suite.select(task_patterns or ()):
            if submission.applies_to(task_id):
                seeds = tuple(range(runs or chosen_suite.runs))
                jobs.append(Job(submission, chosen_suite, task_id, seeds, device))
    if not jobs:
        raise ValueError(f"run: none of {', '.join(submissions)} applies to the chosen tasks")
    failed = 0
    for number, job in enumerate(jobs, 1):
        records = _run(job, folder, f"[{number}/{len(jobs)}]")
        failed += sum(record["status"] == "failed" for record in records)
    console.print(f"records: {folder}" + (f"; {failed} cell(s) FAILED, see their records" if failed else ""))
    if failed:
        raise typer.Exit(1)


def _run(job: "Job", folder: Path, place: str) -> "list[Record]":
    """Run one job; a terminal shows how far it is."""
    from benchmark.harness.runner import run_job

    name = f"{job.submission.name} on {job.task_id}"

    def report(line: str) -> None:
        console.print(f"{place} {line}", highlight=False, markup=False, soft_wrap=True)

    def progress(share: float, mean: float) -> None:
        status.update(f"{name}: {share:.0%} of the budget, greedy return {mean:.3f}")

    with console.status(f"{name}: starting") as status:
        return run_job(job, folder, report, progress)


def _parameter(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"--set {text!r} must have the form NAME=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


@app.command()
def table(
    folders: Annotated[
        list[Path] | None, typer.Argument(help="Folders or files of records; default: the published results.")
    ] = None,
    suite: Annotated[str, typer.Option(help="Which suite's records to rank.")] = "quick",
    family: Annotated[str | None, typer.Option(help="Only this family's tasks.")] = None,
    style: Annotated[str, typer.Option("--format", help="terminal, md, csv, latex or html.")] = "terminal",
    out: Annotated[Path | None, typer.Option(help="Also write the report here (.md, .csv, .tex, .html).")] = None,
    brief: Annotated[bool, typer.Option("--brief", help="Only the ranking.")] = False,
) -> None:
    """Rank submissions: scores with intervals, per family and per task, and who beats whom."""
    from benchmark.harness.suites import get_suite
    from leaderboard import render
    from leaderboard.board import frame, make_board
    from leaderboard.submission import read_records
    from leaderboard.tables import report

    records = [record for folder in folders or [SUBMISSIONS] for record in read_records(folder)]
    board = make_board(get_suite(suite), records, [SUBMISSIONS])
    board = board.of_family(family) if family else board
    tables = report(frame(records, board), board)[: 1 if brief else None]
    if out:
        text = render.write(tables, out.suffix)
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")
    if style == "terminal":
        for entry in tables:
            console.print(render.terminal(entry))
    else:
        sys.stdout.write(render.write(tables, style))
    if out:
        console.print(f"written: {out}", highlight=False)


@app.command()
def submit(
    submission: Annotated[str, typer.Argument(help="Name of a submission, or its folder.")],
    source: Annotated[list[Path], typer.Option("--from", help="Folder of records, such as results/laptop.")],
    target: Annotated[Path, typer.Option(help="Where submissions are published.")] = SUBMISSIONS,
) -> None:
    """Collect a submission's manifest and records into a folder ready for a pull request."""
    from benchmark.harness.submission import find_submission
    from leaderboard.publish import publish

    manifest = find_submission(submission, [SUBMISSIONS])
    path, count, new = publish(manifest, source, target)
    console.print(f"{path}: {count} records, {new} of them new", highlight=False)


@app.command()
def dataset(
    dataset_id: Annotated[str | None, typer.Argument(help="For instance oracle-random-v0; nothing lists all.")] = None,
    card: Annotated[Path | None, typer.Option(help="Write the data card to this Markdown file.")] = None,
) -> None:
    """Build an offline dataset (or open it from the cache), check it, and show its data card."""
    from benchmark.episodes.card import data_card
    from benchmark.episodes.datasets import cache_folder, dataset_ids

    if dataset_id is None:
        console.print("\n".join(dataset_ids()), highlight=False)
        return
    started = time.perf_counter()
    with _progress(f"loading {dataset_id}") as step:
        text = data_card(dataset_id, progress=step)
    if card:
        card.parent.mkdir(parents=True, exist_ok=True)
        card.write_text(text, encoding="utf-8")
    console.print(text, markup=False, highlight=False)
    console.print(f"{time.perf_counter() - started:.1f} s; cache: {cache_folder()}", highlight=False)


class _progress(AbstractContextManager[Callable[[int, int], None]]):
    """A progress bar on the terminal that is fed (done, total)."""

    def __init__(self, title: str) -> None:
        from rich.progress import Progress

        self.bar = Progress(console=Console(stderr=True), transient=True)
        self.row = self.bar.add_task(title, total=None)

    def __enter__(self) -> Callable[[int, int], None]:
        self.bar.start()
        return lambda done, total: self.bar.update(self.row, completed=done, total=total)

    def __exit__(self, *error: object) -> None:
        self.bar.stop()


@app.command()
def play(
    task_id: Annotated[str, typer.Argument(help="For instance escape-room-v0.")],
    policy: Annotated[str, typer.Option(help="planner or random.")] = "planner",
    seed: Annotated[int, typer.Option(help="Which episode.")] = 0,
    delay: Annotated[float, typer.Option(min=0.0, help="Seconds between steps; 0 prints them below each other.")] = 0.4,
) -> None:
    """Watch one episode in the terminal."""
    from leaderboard.play import play_episode

    play_episode(task_id, policy, seed, delay, console)


def main() -> None:
    """Run the command; a user's mistake ends with one line and status 2."""
    try:
        app()
    except ModuleNotFoundError as error:
        _fail(f"this command needs the package {error.name!r}, which is not installed")
    except ValueError as error:
        _fail(str(error))


def _fail(message: str) -> None:
    Console(stderr=True).print("[red]error:[/red]", Text(message), highlight=False)
    sys.exit(2)


if __name__ == "__main__":
    main()
