"""What a parameter does: every value's scores beside those of the submission as it is, with intervals."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmark.harness.ablations import Ablation
from benchmark.harness.submission import Submission
from benchmark.measures.references import reference
from leaderboard import cells
from leaderboard.improvement import probability_of_improvement
from leaderboard.record import FinishedRun, RunRecord
from leaderboard.statistics import (
    FLOOR,
    RESAMPLES,
    Array,
    Estimate,
    clip,
    difference_estimate,
    interval_estimates,
    mean_estimate,
)
from leaderboard.submission import merge
from leaderboard.tables import INTERVAL, UNKNOWN, Row, Table, table_of

Runs = Mapping[tuple[str, str], Mapping[int, RunRecord]]  # (submission, task) to seed to run


@dataclass(frozen=True)
class Point:
    """One value of the parameter.

    Attributes:
        value: as the manifest would set it.
        name: of the submission that stands for it.
        seeds: that were played on every task.
        scores: float64 ``[R, K]``, clipped, failed runs at the floor; rows in the order of ``seeds``.
        records: of those runs.
    """

    value: Any
    name: str
    seeds: tuple[int, ...]
    scores: Array
    records: tuple[RunRecord, ...]

    @property
    def means(self) -> Array:
        """Mean score over the tasks of each run ``[R]``."""
        return self.scores.mean(1)

    def measured(self, name: str) -> Array:
        """Return a number of the belief scores of each run that has one, meaned over tasks, ``[R]``."""
        beliefs = [[_belief(record, name) for record in self.records if record.seed == seed] for seed in self.seeds]
        values = np.array(beliefs, dtype=np.float64).reshape(len(self.seeds), -1).mean(1)
        return values[~np.isnan(values)]


@dataclass(frozen=True)
class Swept:
    """One ablation as far as it was played.

    Attributes:
        ablation: which.
        names: of the submissions that stand for its values.
        default: of the submission without the change; its value may not be among the ablation's.
        tasks: on which all of the points were played.
        points: of the values that were, in the ablation's order.
    """

    ablation: Ablation
    names: tuple[str, ...]
    default: str
    tasks: tuple[str, ...]
    points: tuple[Point, ...]

    @property
    def usual(self) -> Point | None:
        """The point that others are compared with; None if it was not played."""
        return next((point for point in self.points if point.name == self.default), None)

    @property
    def missing(self) -> list[Any]:
        """The values that were not played on all of the tasks."""
        there = {point.name for point in self.points}
        return [value for value, name in zip(self.ablation.values, self.names, strict=True) if name not in there]


def _belief(record: RunRecord, name: str) -> float:
    beliefs = record.beliefs if isinstance(record, FinishedRun) else None
    return getattr(beliefs, name) if beliefs else math.nan


def _score(record: RunRecord) -> float:
    return reference(record.task_id).score(record.final_return) if isinstance(record, FinishedRun) else FLOOR


def sort_runs(records: Iterable[RunRecord], suite: str) -> Runs:
    """Sort a suite's records by submission, task and seed.

    Raises:
        SubmissionError: if a run is there twice.
    """
    found: dict[tuple[str, str], dict[int, RunRecord]] = {}
    for record in merge(record for record in records if record.suite == suite):
        found.setdefault((record.submission, record.task_id), {})[record.seed] = record
    return found


def sweep(runs: Runs, ablation: Ablation, names: Sequence[str], default: str) -> Swept | None:
    """Gather what was played of an ablation; None unless two values were.

    Args:
        runs: of one suite.
        ablation: which.
        names: of the submissions that stand for its values.
        default: the one that stands for the value that it has anyway.
    """
    # Those tasks on which most values were played: one missing task must not hide the others.
    played = {task: sum((name, task) in runs for name in names) for task in ablation.tasks}
    most = max(played.values(), default=0)
    tasks = tuple(task for task, count in played.items() if count == most)
    points = []
    for value, name in zip(ablation.values, names, strict=True):
        by_task = [runs.get((name, task), {}) for task in tasks]
        seeds = tuple(sorted(set.intersection(*map(set, by_task)))) if by_task else ()
        if seeds:
            scores = clip([[_score(by_seed[seed]) for by_seed in by_task] for seed in seeds])
            records = tuple(by_seed[seed] for seed in seeds for by_seed in by_task)
            points.append(Point(value, name, seeds, scores, records))
    return Swept(ablation, tuple(names), default, tasks, tuple(points)) if len(points) > 1 else None


def sweep_of(runs: Runs, ablation: Ablation, submission: Submission) -> Swept | None:
    """Gather what was played of an ablation of a submission, as ``sweep`` does."""
    return sweep(runs, ablation, ablation.names(submission), submission.variant(ablation.base).name)


def spoken(value: Any) -> str:
    """Write a value as a manifest would."""
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


def ablation_table(swept: Swept, seed: int = 0, resamples: int = RESAMPLES) -> Table:
    """Write a row for every value: its score, the difference from the usual one, and how often it does better."""
    ablation = swept.ablation
    rows = [_row(swept, point, seed, resamples) for point in swept.points]
    base = ", ".join(f"{key}={spoken(value)}" for key, value in ablation.base.items())
    notes = [
        f"Tasks: {', '.join(swept.tasks)}. {INTERVAL} difference: of mean scores, from the value marked *, which "
        "stands for the submission as it is; P(better): a run beats one of those, ties count half, averaged over tasks."
    ]
    if base:
        notes.append(f"All with {base}; * is the default of {ablation.parameter} there.")
    if any("belief" in text for _, text in rows):
        priors = [prior for point in swept.points for prior in point.measured("prior_accuracy")]
        notes.append(f"belief: accuracy on the hidden variables; a prior that sees nothing has {np.mean(priors):.3f}.")
    if swept.missing:
        notes.append(f"Not played yet: {ablation.parameter}={', '.join(map(spoken, swept.missing))}.")
    title = f"{ablation.submission}: {ablation.parameter}" + f" ({ablation.question})" * bool(ablation.question)
    return table_of(title, rows, notes, words=(ablation.parameter,))


def _row(swept: Swept, point: Point, seed: int, resamples: int) -> Row:
    metrics = interval_estimates(point.scores, seed, resamples)
    usual, column = swept.usual, swept.ablation.parameter
    difference = better = UNKNOWN
    if usual is not None and usual is not point:
        difference = difference_estimate(point.means, usual.means, seed, resamples)
        pair = {"this": point.scores, "usual": usual.scores}
        better = probability_of_improvement(pair, seed, min(resamples, 5_000))["this", "usual"].average
    numbers: dict[str, Any] = {column: spoken(point.value), "submission": point.name}
    estimates = {"IQM": metrics["IQM"], "mean": metrics["mean"], "difference": difference, "better": better}
    text = {
        column: spoken(point.value) + "*" * (point is usual),
        f"IQM {INTERVAL}": cells.interval(metrics["IQM"]),
        f"mean {INTERVAL}": cells.interval(metrics["mean"]),
        f"difference {INTERVAL}": cells.NOTHING if math.isnan(difference.point) else _signed(difference),
        "P(better)": cells.NOTHING if math.isnan(better.point) else cells.probability(better),
    }
    accuracy = point.measured("accuracy")
    if len(accuracy):
        estimates["belief_accuracy"] = mean_estimate(accuracy, seed, resamples)
        text[f"belief {INTERVAL}"] = cells.interval(estimates["belief_accuracy"])
    for name, estimate in estimates.items():
        numbers |= {key: float(value) for key, value in cells.numbers(name, estimate).items()}
    numbers["runs"] = len(point.seeds)
    return numbers, text | {"runs": str(len(point.seeds))}


def _signed(estimate: Estimate) -> str:
    """Write ``+0.012 [-0.030, +0.054]``."""
    ends = cells.NOTHING if math.isnan(estimate.low) else f"{estimate.low:+.3f}, {estimate.high:+.3f}"
    return f"{estimate.point:+.3f} [{ends}]"
