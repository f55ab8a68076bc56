"""From run records to one pandas frame, and from the frame to the score matrices that statistics work on.

A *board* says what is compared: a suite's ranked tasks, the seeds that count, and the fixed scale of each task. A
submission's scores depend on its own records and the board, on nothing else.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmark.harness.submission import ManifestError, find_submission
from benchmark.harness.suites import Suite
from benchmark.harness.variant import split_variant
from benchmark.measures.references import Reference, reference
from benchmark.tasks.registry import spec
from leaderboard.record import FinishedRun, RunRecord, machine
from leaderboard.runtime import RuntimeRecord
from leaderboard.statistics import FLOOR, RESAMPLES, Array, clip, stack_runs
from leaderboard.submission import check_suite, merge

# What a submission may know and still be ranked: everything but the rules of the task.
UNRANKED_INFORMATION = "task-rules"

COLUMNS = (
    "submission",
    "task_id",
    "family",
    "seed",
    "failed",
    "final_return",
    "final_return_noisy",
    "score",
    "efficiency",
    "belief_accuracy",
    "prior_accuracy",
    "seconds",
    "lost",
    "parameters",
    "hardware",
)


@dataclass(frozen=True)
class Board:
    """What is compared, and how.

    Attributes:
        suite: tasks, budgets, and how many runs count: seeds 0 to ``suite.runs`` - 1.
        references: by task id, at least for every ranked task.
        information: by submission, what its manifest says it uses; who knows the rules of a task is not ranked.
        seed: of all resampling.
        resamples: of every interval.
        family: only this family's tasks, if given.
        runtimes: timings of submissions; see ``leaderboard.runtime.timed``.
    """

    suite: Suite
    references: Mapping[str, Reference]
    information: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    seed: int = 0
    resamples: int = RESAMPLES
    family: str | None = None
    runtimes: tuple[RuntimeRecord, ...] = ()

    @cached_property
    def tasks(self) -> tuple[str, ...]:
        """The ranked tasks, in the suite's order; diagnostic tasks do not rank.

        Raises:
            ValueError: if a ranked task has no reference.
        """
        ranked = tuple(
            task_id
            for task_id in self.suite.tasks
            if spec(task_id).ranked and self.family in (None, spec(task_id).family)
        )
        for task_id in ranked:
            if task_id not in self.references:
                raise ValueError(f"references: task_id={task_id!r} of suite {self.suite.name!r} has none")
        return ranked

    @cached_property
    def families(self) -> tuple[str, ...]:
        """The families of the ranked tasks, in the suite's order."""
        return tuple(dict.fromkeys(spec(task_id).family for task_id in self.tasks))

    def of_family(self, family: str) -> "Board":
        """Return the board of one family's tasks."""
        return replace(self, family=family)

    def is_ranked(self, submission: str) -> bool:
        """Whether the submission competes, or stands there for scale; variants do not."""
        return not split_variant(submission)[1] and UNRANKED_INFORMATION not in self.information.get(submission, ())


def make_board(
    suite: Suite, records: Iterable[RunRecord], search: Sequence[Path], runtimes: Iterable[RuntimeRecord] = ()
) -> Board:
    """Return the board of a suite: frozen references, what each submission's manifest says it uses, and its timings.

    Args:
        suite: what is compared.
        records: for the tasks beyond the suite's, and the names of the submissions.
        search: folders of submissions. A submission without a manifest there is taken at its word to use its own
            observations only.
        runtimes: timings of the submissions.
    """
    records = list(records)
    information = {}
    for name in {record.submission for record in records}:
        with suppress(ManifestError):
            information[name] = find_submission(name, search).information
    references = {}
    for task_id in {*suite.tasks, *(record.task_id for record in records)}:
        # A third-party or perturbed task may have no references; it is then shown without scores.
        with suppress(ValueError):
            references[task_id] = reference(task_id)
    return Board(suite, references, information, runtimes=tuple(runtimes))


def frame(records: Iterable[RunRecord], board: Board) -> pd.DataFrame:
    """Put the suite's records into one frame, a row per run, sorted by submission, task and seed.

    Scores are not clipped here. They are NaN where a run failed or a task has no reference. Records of other suites
    and of seeds that the suite does not have are left out.

    Raises:
        SubmissionError: if a run is there twice or a record does not follow the suite.
    """
    ours = merge(record for record in records if record.suite == board.suite.name)
    check_suite(ours, board.suite)
    rows = [_row(record, board.references.get(record.task_id)) for record in ours if record.seed < board.suite.runs]
    return pd.DataFrame(rows, columns=pd.Index(COLUMNS))


def _row(record: RunRecord, reference: Reference | None) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(COLUMNS, np.nan)
    row |= {key: getattr(record, key) for key in ("submission", "task_id", "seed")}
    row |= {"family": spec(record.task_id).family, "failed": not isinstance(record, FinishedRun)}
    if isinstance(record, FinishedRun):
        row["final_return"], row["final_return_noisy"] = record.final_return, record.final_return_noisy
        # Runs that were trained together share the time it took.
        row["seconds"] = record.seconds.training / record.stacked_runs
        row["lost"] = math.nan if record.seconds.lost is None else record.seconds.lost
        if reference is not None:
            row["score"] = reference.score(record.final_return)
            after_start = [reference.score(mark.greedy.mean) for mark in record.marks[1:]]
            row["efficiency"] = float(np.mean(after_start))
        if record.beliefs is not None:
            row["belief_accuracy"] = record.beliefs.accuracy
            row["prior_accuracy"] = record.beliefs.prior_accuracy
        row["parameters"] = _parameters(record.notes)
        row["hardware"] = machine(record.hardware)
    return row


def _parameters(notes: Mapping[str, Any]) -> float:
    """Return the number of trainable parameters, if the learner noted it."""
    value = notes.get("parameters")
    return float(value) if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else math.nan


def select(runs: pd.DataFrame, column: str, values: Iterable[Any]) -> pd.DataFrame:
    """Return the rows whose entry in a column is one of the values."""
    chosen = runs[runs[column].isin(list(values))]
    assert isinstance(chosen, pd.DataFrame)
    return chosen


def missing(runs: pd.DataFrame, board: Board, submission: str) -> dict[str, list[int]]:
    """Return, for every ranked task that lacks runs of a submission, the missing seeds."""
    mine = select(runs, "submission", [submission])
    present = set(zip(mine["task_id"], mine["seed"], strict=True))
    seeds = {
        task_id: [seed for seed in range(board.suite.runs) if (task_id, seed) not in present] for task_id in board.tasks
    }
    return {task_id: lacking for task_id, lacking in seeds.items() if lacking}


def complete(runs: pd.DataFrame, board: Board) -> list[str]:
    """Return the submissions that have every run of every ranked task, in alphabetical order."""
    present = sorted(set(select(runs, "task_id", board.tasks)["submission"]))
    return [name for name in present if not missing(runs, board, name)]


def counted(runs: pd.DataFrame, column: str = "score") -> Array:
    """Return the scores as aggregates count them: clipped below at ``FLOOR``, which is also what failed runs get."""
    return clip(np.where(runs["failed"], FLOOR, runs[column]))


def collapsed(runs: pd.DataFrame) -> float:
    """Return the share of runs that collapsed: they failed, or their score lies below ``FLOOR``."""
    return float(np.mean(runs["failed"].to_numpy(bool) | (runs["score"].to_numpy(float) < FLOOR)))


def score_matrix(runs: pd.DataFrame, board: Board, submission: str, column: str = "score") -> Array:
    """Return the counted scores [R, K] of a submission, tasks in the board's order.

    Args:
        runs: the frame.
        board: which tasks.
        submission: whose.
        column: ``"score"``, or ``"efficiency"``.

    Raises:
        ValueError: if it is not complete.
    """
    if lacking := missing(runs, board, submission):
        raise ValueError(f"submission={submission!r} lacks runs of {', '.join(lacking)}")
    mine = select(runs, "submission", [submission])
    return stack_runs({task_id: list(counted(select(mine, "task_id", [task_id]), column)) for task_id in board.tasks})
