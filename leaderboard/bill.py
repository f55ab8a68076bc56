"""What a suite costs, cell by cell: from the seconds that published records took, and a model of a GPU.

A cell here is a submission on a task with all of the suite's runs. What was recorded on this suite is *measured*. Where
a record is of another budget it is *scaled*: what came before the first episode stays, the rest grows with the
episodes. Where the task has no record it is *estimated* from the learner's nearest task, in proportion to agents and
horizon. Who has no record at all is not on the bill.

The GPU's seconds are a model and no measurement, see ``Accelerator``.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmark.harness.schedule import simulate
from benchmark.harness.submission import Submission
from benchmark.harness.suites import Suite
from benchmark.tasks.registry import make_task, spec
from leaderboard import cells
from leaderboard.record import FinishedRun, RunRecord
from leaderboard.tables import Row, Table, table_of

# How many cells are listed.
LARGEST = 20
SOURCES = ("measured", "scaled", "estimated")


@dataclass(frozen=True)
class Spent:
    """What one run took, its share of those trained with it: seconds on one process."""

    budget: int
    before: float  # until the first episode: start-up and pre-training, of what lay in a cache too
    training: float  # after it
    evaluation: float  # beliefs scored, records written and everything else included
    evaluation_episodes: int


@dataclass(frozen=True)
class Cell:
    """A line of the bill."""

    submission: str
    task_id: str
    seconds: float
    source: str  # one of SOURCES
    accelerated: float | None = None  # seconds on the accelerator, modelled


@dataclass(frozen=True)
class Accelerator:
    """A model of a GPU on which small kernels take the time of their launch, and large ones that of their bytes.

    Attributes:
        name: for instance ``"H200"``.
        launch: seconds from one kernel of an eager program to the next.
        bandwidth: bytes per second between the processors and their memory.
        together: processes that feed it at once, one for each core beside it.
    """

    name: str = "H200"
    launch: float = 5e-6
    bandwidth: float = 4.8e12
    together: int = 16

    def seconds(self, kernels: float, moved: float) -> float:
        """Return what a program of so many kernels and bytes takes alone."""
        return max(kernels * self.launch, moved / self.bandwidth)


@dataclass(frozen=True)
class Round:
    """What was counted in one round of a learner's training with all runs stacked."""

    task_id: str
    episodes: float
    kernels: float
    moved: float  # bytes


def spent(records: Iterable[RunRecord]) -> dict[tuple[str, str], list[Spent]]:
    """Return what the finished runs of each submission and task took."""
    found: dict[tuple[str, str], list[Spent]] = {}
    for run in records:
        if isinstance(run, FinishedRun):
            together = run.stacked_runs
            before = run.marks[0].seconds
            one = Spent(
                run.budget_episodes,
                (before + _cached(run)) / together,
                (run.seconds.training - before) / together,
                (run.seconds.total - run.seconds.training) / together,
                run.marks[0].greedy.count,
            )
            found.setdefault((run.submission, run.task_id), []).append(one)
    return found


def _cached(run: FinishedRun) -> float:
    """Return the seconds of a belief that a training found ready: those it notes, less what it spent itself."""
    noted = run.notes.get("belief_seconds")
    if not isinstance(noted, int | float) or run.seconds.pretraining is None:
        return 0.0
    return max(0.0, noted - run.seconds.pretraining)


def bill(
    suite: Suite,
    submissions: Iterable[Submission],
    records: Iterable[RunRecord],
    rounds: Mapping[str, Round] | None = None,
    accelerator: Accelerator | None = None,
) -> list[Cell]:
    """Return the cells of a suite that something is known of, the largest first.

    Args:
        suite: what is to be trained.
        submissions: by whom.
        records: of any suites.
        rounds: of each submission, for the accelerator.
        accelerator: to be modelled, if any.
    """
    known = spent(records)
    found = []
    for submission in submissions:
        mine = {task_id: runs for (name, task_id), runs in known.items() if name == submission.name}
        for task_id in suite.tasks:
            if mine and submission.applies_to(task_id):
                seconds, source = _seconds(suite, task_id, mine)
                part = (rounds or {}).get(submission.name)
                modelled = _modelled(suite, task_id, part, accelerator) if part and accelerator else None
                found.append(Cell(submission.name, task_id, seconds, source, modelled))
    return sorted(found, key=lambda cell: (-cell.seconds, cell.submission, cell.task_id))


def work(task_id: str) -> int:
    """Return agents times horizon: the agent-steps of an episode that nothing ends early."""
    task = make_task(task_id)
    return task.agents * task.horizon


def _seconds(suite: Suite, task_id: str, mine: Mapping[str, Sequence[Spent]]) -> tuple[float, str]:
    """Return the seconds of all runs of a cell, and how they are known."""
    nearest = task_id if task_id in mine else _nearest(task_id, mine)
    budget = suite.budget(task_id)
    # Of a task's records those of the budget nearest to this one say the most.
    closest = min({one.budget for one in mine[nearest]}, key=lambda other: abs(other - budget))
    runs = [one for one in mine[nearest] if one.budget == closest]
    size = work(task_id) / work(nearest)
    evaluated = suite.evaluation_episodes / runs[0].evaluation_episodes
    total = sum(one.before + one.training * budget / closest + one.evaluation * evaluated for one in runs)
    source = "estimated" if nearest != task_id else "measured" if closest == budget else "scaled"
    return total / len(runs) * suite.runs * size, source


def _nearest(task_id: str, others: Iterable[str]) -> str:
    """Return the task most like another one: of its family if there is any, then the nearest in size."""
    family, size = spec(task_id).family, work(task_id)
    return min(others, key=lambda other: (spec(other).family != family, abs(work(other) - size), other))


def _modelled(suite: Suite, task_id: str, part: Round, accelerator: Accelerator) -> float:
    """Return the seconds of training a cell: kernels grow with the horizon, bytes with the agent-steps."""
    rounds = suite.budget(task_id) / part.episodes
    longer = make_task(task_id).horizon / make_task(part.task_id).horizon
    larger = work(task_id) / work(part.task_id)
    return rounds * accelerator.seconds(part.kernels * longer, part.moved * larger)


def bill_tables(
    suite: Suite, found: Sequence[Cell], accelerator: Accelerator, absent: Sequence[str] = (), cores: int = 2
) -> list[Table]:
    """Return a suite's bill: by learner and family, and its largest cells.

    Args:
        suite: what is billed.
        found: its cells.
        accelerator: that was modelled.
        absent: who should be on the bill and has no record.
        cores: of the machine, each with a training of its own.
    """
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in found:
        groups.setdefault((cell.submission, spec(cell.task_id).family), []).append(cell)
    ordered = sorted(groups.items(), key=lambda item: -sum(cell.seconds for cell in item[1]))
    rows = [_row({"submission": name, "family": family}, group) for (name, family), group in ordered]
    whole = simulate([[cell.seconds] for cell in found], cores)
    rows.append(_row({"submission": "all", "family": ""}, found))
    notes = [
        f"All {suite.runs} runs of suite {suite.name}. hours: of one process, as the records' machines were (most of "
        f"them with training elsewhere on the same cores). On {cores} cores, the longest first, "
        f"{whole.makespan / 3600:,.1f} hours in all; no order could take less than {whole.bound / 3600:,.1f}.",
        f"One submission by itself, on {cores} cores, hours: {_alone(found, cores)}.",
        "known: how many cells were measured on this suite, scaled from another budget, estimated from another task.",
        f"{accelerator.name}, minutes: NOT MEASURED. Training alone, by a model: as many kernels as were counted in a "
        f"round of each learner, {accelerator.launch * 1e6:g} us each, or the bytes counted at "
        f"{accelerator.bandwidth / 1e12:g} TB/s if that takes longer; kernels grow with the horizon, bytes with "
        "agents x horizon.",
    ]
    if absent:
        notes.insert(3, f"Not on the bill, for want of any record: {', '.join(absent)}.")
    tables = [table_of(f"The bill of suite {suite.name}", rows, notes, ("submission", "family", "known"))]
    largest = [_row({"submission": cell.submission, "task": cell.task_id}, [cell]) for cell in found[:LARGEST]]
    if largest:
        note = "Sorted by hours; the model is as above."
        words = ("submission", "task", "known")
        tables.append(table_of(f"Its largest cells, {suite.name}", largest, [note], words))
    return tables


def _alone(found: Sequence[Cell], cores: int) -> str:
    names = sorted({cell.submission for cell in found})
    work = {name: [[cell.seconds] for cell in found if cell.submission == name] for name in names}
    return ", ".join(f"{name} {simulate(work[name], cores).makespan / 3600:.1f}" for name in names)


def _row(place: dict[str, str], group: Sequence[Cell]) -> Row:
    hours = sum(cell.seconds for cell in group) / 3600
    modelled = [cell.accelerated / 60 for cell in group if cell.accelerated is not None]
    counts = {source: sum(cell.source == source for cell in group) for source in SOURCES}
    known = ", ".join(f"{count} {source}" for source, count in counts.items() if count)
    numbers: dict[str, Any] = {**place, "cells": len(group), "hours": hours, **counts, "accelerated": sum(modelled)}
    text = {**place, "cells": str(len(group)), "hours": f"{hours:,.2f}", "known": known}
    return numbers, text | {"GPU model, minutes": f"{sum(modelled):,.1f}" if modelled else cells.NOTHING}
