"""How much of a score is kept as the world departs from the task: degradation curves and the area under them."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.harness.stress import Stress
from benchmark.measures.references import reference
from leaderboard import cells
from leaderboard.record import FinishedRun, RunRecord
from leaderboard.statistics import RESAMPLES, Array, Estimate, clip, mean_estimate
from leaderboard.submission import merge
from leaderboard.tables import INTERVAL, Row, Table, table_of

UNKNOWN = Estimate(math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class Degradation:
    """One submission under one stress.

    Attributes:
        stress: which.
        submission: who.
        levels: float64 ``[L]``: the levels that were played, the task itself first.
        scores: float64 ``[R, L]``: clipped scores of the runs that were played at all of them.
    """

    stress: Stress
    submission: str
    levels: Array
    scores: Array

    @property
    def areas(self) -> Array:
        """Mean score over the levels of each run ``[R]``: the area under its curve, by trapezia, over its width.

        Levels count by their place on the axis, so that the area does not depend on how densely it was sampled.
        """
        order = np.argsort(self.levels)
        levels, scores = self.levels[order], self.scores[:, order]
        return np.trapezoid(scores, levels, axis=1) / (levels[-1] - levels[0])

    @property
    def kept(self) -> Array:
        """Score at every level less that of the task itself, run by run ``[R, L]``: what the stress costs."""
        return self.scores - self.scores[:, :1]


def degradations(records: Iterable[RunRecord], suite: str, stresses: Sequence[Stress]) -> list[Degradation]:
    """Gather, for every stress and submission, the runs that were played at two levels or more.

    Only seeds that finished at all of these levels count, so that a curve compares like with like.

    Raises:
        SubmissionError: if a run is there twice.
    """
    scores: dict[tuple[str, str], dict[int, float]] = {}
    for record in merge(record for record in records if record.suite == suite):
        if isinstance(record, FinishedRun):
            score = reference(record.task_id).score(record.final_return)
            scores.setdefault((record.submission, record.task_id), {})[record.seed] = score
    found = []
    for stress in stresses:
        for submission in sorted({name for name, _ in scores}):
            played = [
                (level, scores[submission, task]) for level, task in stress.levels if (submission, task) in scores
            ]
            seeds = sorted(set.intersection(*(set(runs) for _, runs in played))) if len(played) > 1 else []
            if seeds:
                levels = np.array([level for level, _ in played])
                matrix = clip([[runs[seed] for _, runs in played] for seed in seeds])
                found.append(Degradation(stress, submission, levels, matrix))
    return found


def report(found: Sequence[Degradation], seed: int = 0, resamples: int = RESAMPLES) -> list[Table]:
    """Write a table for each stress: a row for every level, a column for every submission, with intervals."""
    tables = []
    for stress in dict.fromkeys(entry.stress for entry in found):
        mine = sorted((entry for entry in found if entry.stress == stress), key=lambda entry: -entry.areas.mean())
        rows = [_row(f"{level:g}", level, mine, seed, resamples) for level, _ in stress.levels]
        rows += [_row(name, None, mine, seed, resamples) for name in ("area", "cost")]
        counts = ", ".join(f"{entry.submission} {len(entry.scores)}" for entry in mine)
        notes = (
            f"Score at each level, trained and evaluated there, against that level's references; the first is the task "
            f"itself. {INTERVAL} Runs: {counts}.",
            "area: mean score over the levels; cost: what the hardest level takes from the task's score, run by run.",
        )
        tables.append(table_of(f"{stress.task_id} under {stress.name}", rows, notes, words=(stress.name,)))
    return tables


def _row(name: str, level: float | None, entries: Sequence[Degradation], seed: int, resamples: int) -> Row:
    """Write one row of a table: a level's scores, or with no level a measure of the whole curve."""
    column = entries[0].stress.name
    numbers: dict[str, object] = {column: name}
    text: dict[str, str] = {column: name}
    for entry in entries:
        values = _values(entry, name, level)
        estimate = mean_estimate(values, seed, resamples) if values is not None else UNKNOWN
        who = entry.submission
        numbers |= {who: float(estimate.point), f"{who}_low": float(estimate.low), f"{who}_high": float(estimate.high)}
        text[who] = cells.interval(estimate, 2)
    return numbers, text


def _values(entry: Degradation, name: str, level: float | None) -> Array | None:
    if level is None:
        return entry.areas if name == "area" else -entry.kept[:, -1]
    return entry.scores[:, list(entry.levels).index(level)] if level in entry.levels else None
