"""``penumbra run``: train submissions."""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from leaderboard.commands.terminal import SUBMISSIONS, console, tell

if TYPE_CHECKING:
    from benchmark.harness.record import Record
    from benchmark.harness.runner import Job, Trainer


class Executor(StrEnum):
    """Where trainings run."""

    local = "local"
    ray = "ray"


def run(
    submissions: Annotated[list[str], typer.Argument(help="Names of submissions, or folders with a submission.toml.")],
    suite: Annotated[str, typer.Option(help="quick, laptop, standard or full.")] = "quick",
    task_patterns: Annotated[
        list[str] | None, typer.Option("--tasks", help="Task id or pattern; may be given several times.")
    ] = None,
    runs: Annotated[int | None, typer.Option(min=1, help="Runs per task; default: the suite's.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the records; default: results/<suite>.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, ... or auto.")] = "auto",
    parameters: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", help="Change a parameter: trains the variant NAME:parameter=value."
        ),
    ] = None,
    contain: Annotated[
        bool, typer.Option(help="Train in a process of its own: a crash, a hang or memory hunger costs its cell only.")
    ] = True,
    time_limit: Annotated[float, typer.Option(help="Contained: seconds that one training may take.")] = 86_400.0,
    memory_limit: Annotated[
        float | None, typer.Option(help="Contained: GiB that one training may use; default: 90% of the machine's.")
    ] = None,
    executor: Annotated[Executor, typer.Option(help="Train here, or on a Ray cluster.")] = Executor.local,
    address: Annotated[
        str | None, typer.Option(help="Ray: the cluster's address, or 'auto'; default: start one here.")
    ] = None,
    cpus: Annotated[int, typer.Option(min=1, help="Ray: processor cores for each training.")] = 1,
    gpu_share: Annotated[float, typer.Option(help="Ray: share of a GPU for each training.")] = 1.0,
    gpu_records: Annotated[
        Path | None, typer.Option(help="Ray: runtime records of a GPU; trainings are packed by the memory they took.")
    ] = None,
    evaluate_on: Annotated[
        list[str] | None,
        typer.Option(help="Evaluate the final policies on this task too, where they never learned; several times."),
    ] = None,
) -> None:
    """Train submissions on a suite and write one record per run.

    The same command again does only what is missing. It is safe to kill.
    """
    import torch

    from benchmark.harness.child import Limits
    from benchmark.harness.contain import Contained
    from benchmark.harness.runner import Job
    from benchmark.harness.submission import find_submission
    from benchmark.harness.suites import get_suite
    from benchmark.harness.variant import parse_change

    chosen_suite = get_suite(suite)
    folder = out or Path("results") / suite
    changes = dict(parse_change(text) for text in parameters or ())
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    found = [find_submission(name, [SUBMISSIONS]).variant(changes) for name in submissions]
    seeds = tuple(range(runs or chosen_suite.runs))
    jobs = [
        Job(submission, chosen_suite, task_id, seeds, device, _others(task_id, evaluate_on or ()))
        for submission in found
        for task_id in chosen_suite.select(task_patterns or ())
        if submission.applies_to(task_id)
    ]
    if not jobs:
        raise ValueError(f"run: none of {', '.join(submissions)} applies to the chosen tasks")
    failed = 0
    with Contained(Limits(time_limit, memory_limit)) as contained:
        for submission in found:  # whoever cannot even be constructed is told before anything is trained
            contained.build(submission) if contain else submission.build()
        if executor is Executor.ray:
            done = _run_on_cluster(jobs, folder, address, cpus, gpu_share, gpu_records)
        else:
            trainer = contained if contain else None
            done = (_run(job, folder, f"[{number}/{len(jobs)}]", trainer) for number, job in enumerate(jobs, 1))
        for records in done:
            failed += sum(record["status"] == "failed" for record in records)
    tell(f"records: {folder}" + (f"; {failed} cell(s) FAILED, see their records" if failed else ""))
    if failed:
        raise typer.Exit(1)


def _others(task_id: str, evaluate_on: Sequence[str]) -> tuple[str, ...]:
    """Return the tasks to evaluate on besides, if a policy for this one can act there.

    Raises:
        ValueError: if one of them is unknown, or it cannot.
    """
    from benchmark.harness.elsewhere import fits
    from benchmark.tasks.registry import make_task

    others = tuple(dict.fromkeys(other for other in evaluate_on if other != task_id))
    for other in others:
        if not fits(make_task(task_id), make_task(other)):
            raise ValueError(f"--evaluate-on {other!r} has other agents, actions or observations than {task_id!r}")
    return others


def _run(job: "Job", folder: Path, place: str, trainer: "Trainer | None") -> "list[Record]":
    """Run one job; a terminal shows how far it is, a log gets a line at every fifth of the budget."""
    from benchmark.harness.runner import run_job

    name = f"{job.submission.name} on {job.task_id}"
    logged = 0

    def report(line: str) -> None:
        console.print(f"{place} {line}", highlight=False, markup=False, soft_wrap=True)

    def progress(share: float, mean: float) -> None:
        nonlocal logged
        line = f"{name}: {share:.0%} of the budget, greedy return {mean:.3f}"
        status.update(line)
        if not console.is_terminal and logged < int(5 * share) < 5:
            logged = int(5 * share)
            report(line)

    with console.status(f"{name}: starting") as status:
        return run_job(job, folder, report, progress, trainer)


def _run_on_cluster(
    jobs: "list[Job]", folder: Path, address: str | None, cpus: int, gpu_share: float, gpu_records: Path | None
) -> "Iterator[list[Record]]":
    """Run all jobs at a time on a Ray cluster; a terminal shows how many are done."""
    from benchmark.harness.cluster import Cluster, run_jobs
    from benchmark.harness.packing import read_gpu_shares

    def report(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    shares = read_gpu_shares(gpu_records) if gpu_records else None
    with Cluster(address, cpus, gpu_share, shares) as cluster, console.status(f"0 of {len(jobs)} jobs done") as status:
        for number, records in enumerate(run_jobs(jobs, folder, cluster, report), 1):
            status.update(f"{number} of {len(jobs)} jobs done")
            yield records
