"""``penumbra profile``: how fast this machine is, and how long submissions take on it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from leaderboard.commands.terminal import SUBMISSIONS, console, tell

if TYPE_CHECKING:
    from benchmark.harness.runtime import Timing


def profile(
    submissions: Annotated[
        list[str] | None, typer.Argument(help="Submissions to time; none: only describe this machine.")
    ] = None,
    tasks: Annotated[
        list[str] | None, typer.Option("--tasks", help="Task id or pattern; may be given several times.")
    ] = None,
    suite: Annotated[str, typer.Option(help="Whose tasks to time on: quick, laptop, standard or full.")] = "quick",
    repeats: Annotated[int, typer.Option(min=1, help="Of each timing; three are needed to count.")] = 3,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, ... or auto.")] = "auto",
    threads: Annotated[
        int | None, typer.Option(min=1, help="Of torch; default: as many as the nearest profile has.")
    ] = None,
    name: Annotated[str | None, typer.Option("--profile", help="Compare with this one; default: the nearest.")] = None,
    freeze: Annotated[
        str | None, typer.Option(metavar="NAME", help="Freeze this machine, idle, as a profile of that name.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Describe: write JSON here. Time: folder of the records; default: results/runtime."),
    ] = None,
) -> None:
    """Describe this machine and run the calibration workload; or time submissions so that it can be believed.

    A timing trains for 200 episodes, alone and with ten runs stacked, between two calibrations. The same command again
    measures what is missing, and what others disturbed.
    """
    import torch

    from benchmark.measures import calibration

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if freeze:
        torch.set_num_threads(threads or torch.get_num_threads())
        frozen = calibration.freeze(freeze, _in_words(device), device)
        tell(f"frozen: {frozen.name}, {frozen.calibration.seconds:.3f} s; {calibration.PROFILES}")
        return
    described = _describe(device, threads, name)
    if not submissions:
        _show(described)
        if out:
            from benchmark.harness.record import atomic_write

            atomic_write(out, (json.dumps(described, indent=2, allow_nan=False) + "\n").encode())
            tell(f"written: {out}")
        return
    if described["profile"] is None:
        raise ValueError(
            f"profile: there is none for device {device!r}; freeze one on an idle machine with --freeze NAME"
        )
    counted = calibration.get_profile(described["profile"])
    _time(submissions, suite, tasks or [], repeats, counted, threads or counted.threads, device, out)


def _in_words(device: str) -> str:
    from benchmark.measures.machine import hardware

    facts = hardware(device)
    threads = f"{facts['threads']} thread{'s'[: facts['threads'] != 1]}"
    return f"{facts.get('accelerator') or str(facts['cores']) + ' cores of ' + facts['processor']}, {threads}"


def _describe(device: str, threads: int | None, name: str | None) -> dict[str, Any]:
    """Say what the machine is, how long the workload takes, which profile is nearest, and who else is there."""
    import torch

    from benchmark.measures.calibration import calibrate, get_profile, nearest
    from benchmark.measures.machine import accelerator_state, hardware, packages
    from benchmark.measures.watch import Watch

    chosen = get_profile(name) if name else None
    torch.set_num_threads(threads or (chosen.threads if chosen else torch.get_num_threads()))
    state = accelerator_state(device)
    with Watch(device) as watch:
        seen = calibrate(device)
    chosen = chosen or nearest(seen, device)
    return {
        "hardware": hardware(device),
        "accelerator": state,
        "packages": packages(),
        "profile": chosen and chosen.name,
        "calibration": {"seen": seen.parts, "frozen": chosen and chosen.calibration.parts},
        "others_cores": watch.others,
        "lost": watch.lost,
        "neighbours": watch.neighbours,
        "crowded": watch.crowded,
        "told": watch.told,
    }


def _show(described: dict[str, Any]) -> None:
    for group in ("hardware", "accelerator", "packages"):
        for key, value in described[group].items():
            tell(f"{key.replace('_', ' '):<22}{value}")
    seen, frozen = (described["calibration"][kind] for kind in ("seen", "frozen"))
    grid = Table(box=SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(("calibration", "here, s", described["profile"] or "no profile", "ratio")):
        grid.add_column(column, justify="right" if number else "left")
    parts = [(part, seconds, frozen and frozen[part]) for part, seconds in seen.items()]
    for part, here, there in [*parts, ("together", sum(seen.values()), frozen and sum(frozen.values()))]:
        grid.add_row(part, f"{here:.4f}", f"{there:.4f}" if there else "", f"{here / there:.2f}" if there else "")
    console.print(grid)
    if frozen:
        ratio = sum(seen.values()) / sum(frozen.values())
        tell(f"nearest profile        {described['profile']}: this machine takes {ratio:.2f} times as long")
    else:
        tell("nearest profile        none for this kind of device; freeze one with --freeze NAME")
    cores = described["others_cores"]
    tell(f"others                 {'not known' if cores is None else f'{cores:.2f} cores busy'}")
    tell(f"crowded                {'YES: ' if described['crowded'] else 'no: '}{described['told']}")


def _time(
    submissions: list[str],
    suite: str,
    patterns: list[str],
    repeats: int,
    counted: Any,
    threads: int,
    device: str,
    out: Path | None,
) -> None:
    from benchmark.harness.runtime import measure_all, timings
    from benchmark.harness.submission import find_submission
    from benchmark.harness.suites import get_suite

    folder = out or Path("results") / "runtime"
    found = [find_submission(each, [SUBMISSIONS]) for each in submissions]
    wanted = timings(found, get_suite(suite).select(patterns), repeats, counted.name, threads, device)
    if not wanted:
        raise ValueError(f"profile: none of {', '.join(submissions)} applies to the chosen tasks")
    groups: dict[tuple[str, str, int], list[Any]] = {}
    failed = 0
    with console.status("") as status:

        def report(line: str) -> None:
            console.print(line, highlight=False, markup=False, soft_wrap=True)

        for number, (timing, record) in enumerate(measure_all(wanted, folder, report), 1):
            status.update(f"{number} of {len(wanted)} timings")
            groups.setdefault(_group(timing), []).extend([record] if record else [])
            failed += record is None
    _show_timings(groups, repeats, counted.name)
    tell(f"records: {folder}" + (f"; {failed} timing(s) FAILED" if failed else ""))
    if failed:
        raise typer.Exit(1)


def _group(timing: "Timing") -> tuple[str, str, int]:
    return timing.submission.name, timing.task_id, timing.runs


def _show_timings(groups: dict[tuple[str, str, int], list[Any]], repeats: int, name: str) -> None:
    """Print the median phases of each group, in normalised seconds, and whether it counts."""
    from benchmark.harness.runtime import REPEATS, doubts, median_gib, median_phases

    grid = Table(box=SIMPLE_HEAD, pad_edge=False, title=f"seconds normalised to {name}, medians", title_justify="left")
    for number, column in enumerate(
        ("submission", "task", "runs", "start-up", "pre-training", "training", "evaluation", "GiB", "counts")
    ):
        grid.add_column(column, justify="right" if number > 1 else "left", no_wrap=True)
    for (submission, task_id, runs), records in groups.items():
        if not records:
            continue
        seconds, memory = median_phases(records), median_gib(records)
        clean = [record for record in records if not doubts(record)]
        counts = f"{len(clean)} of {max(repeats, REPEATS)}{'' if len(clean) >= REPEATS else ': no'}"
        grid.add_row(
            submission, task_id, str(runs), *(f"{value:.2f}" for value in seconds.values()), f"{memory:.2f}", counts
        )
    console.print(grid)
