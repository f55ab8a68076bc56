"""A world that shifts: trained at one level of a stress, evaluated at all of them, as a matrix."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.harness.stress import Stress
from benchmark.measures.references import reference
from leaderboard import cells
from leaderboard.record import FinishedRun, RunRecord
from leaderboard.robustness import Degradation
from leaderboard.statistics import RESAMPLES, Array, Estimate, clip, difference_estimate, mean_estimate
from leaderboard.submission import merge
from leaderboard.tables import INTERVAL, Row, Table, table_of


@dataclass(frozen=True)
class Shifted:
    """One submission trained at some levels of one stress and evaluated at others.

    Attributes:
        stress: which.
        submission: who.
        scores: by (level trained at, level evaluated at), the clipped scores of the runs ``[R]``, each against the
            references of the level that it was evaluated at.
    """

    stress: Stress
    submission: str
    scores: dict[tuple[float, float], Array]

    @property
    def trained(self) -> list[float]:
        """The levels that it was trained at, in the stress's order."""
        return [level for level, _ in self.stress.levels if any(level == home for home, _ in self.scores)]

    @property
    def evaluated(self) -> list[float]:
        """The levels that it was evaluated at, in the stress's order."""
        return [level for level, _ in self.stress.levels if any(level == away for _, away in self.scores)]

    def gap(self, home: float, away: float, seed: int = 0, resamples: int = RESAMPLES) -> Estimate | None:
        """Estimate what training at one level loses at another against training there; None if nobody did."""
        here, there = self.scores.get((home, away)), self.scores.get((away, away))
        if home == away or here is None or there is None:
            return None
        return difference_estimate(here, there, seed, resamples)


def shifted_runs(records: Iterable[RunRecord], suite: str, stresses: Sequence[Stress]) -> list[Shifted]:
    """Gather, for every stress and submission, the scores of runs that were evaluated elsewhere.

    Raises:
        SubmissionError: if a run is there twice.
    """
    runs = [r for r in merge(r for r in records if r.suite == suite) if isinstance(r, FinishedRun)]
    found = []
    for stress in stresses:
        homes = {task_id: level for level, task_id in stress.levels}
        for submission in sorted({run.submission for run in runs}):
            scores: dict[tuple[float, float], list[float]] = {}
            mine = [run for run in runs if run.submission == submission and run.task_id in homes]
            for run in mine:
                for level, task_id in stress.levels:
                    if (value := run.final_return_on(task_id)) is not None:
                        key = homes[run.task_id], level
                        scores.setdefault(key, []).append(reference(task_id).score(value))
            if any(home != away for home, away in scores):
                found.append(Shifted(stress, submission, {key: clip(values) for key, values in scores.items()}))
    return found


def unseen(found: Iterable[Shifted]) -> list[Degradation]:
    """Return the curves of what was trained at the mildest level only: how it does where it has never learned."""
    curves = []
    for entry in found:
        home = entry.stress.levels[0][0]
        rows = {away: entry.scores[home, away] for away in entry.evaluated if (home, away) in entry.scores}
        if len(rows) > 1 and len({len(row) for row in rows.values()}) == 1:
            matrix = np.stack(list(rows.values()), axis=1)
            curves.append(Degradation(entry.stress, entry.submission, np.array(list(rows)), matrix, unseen=True))
    return curves


def shift_table(shifted: Shifted, seed: int = 0, resamples: int = RESAMPLES) -> Table:
    """Write a row for every level of training, a column for every level of evaluation."""
    rows: list[Row] = []
    first = f"trained at {shifted.stress.name}"
    for home in shifted.trained:
        numbers: dict[str, object] = {"trained": home}
        text = {first: f"{home:g}"}
        for away in shifted.evaluated:
            column, values = f"at {away:g}", shifted.scores.get((home, away))
            text[column] = cells.NOTHING
            if values is not None:
                estimate = mean_estimate(values, seed, resamples)
                numbers |= {key: float(value) for key, value in cells.numbers(f"{away:g}", estimate).items()}
                gap = shifted.gap(home, away, seed, resamples)
                certain = gap is not None and (gap.low > 0 or gap.high < 0)
                text[column] = cells.interval(estimate, 2) + "*" * certain
        counts = {len(values) for (level, _), values in shifted.scores.items() if level == home}
        text["runs"] = "/".join(map(str, sorted(counts)))
        rows.append((numbers, text))
    notes = (
        f"Score at the level of the column, against that level's references. {INTERVAL} Policies of the last five "
        "evaluations of training, on the same held-out episodes.",
        "*: certainly another score than that of training at that very level.",
    )
    title = f"{shifted.submission} on {shifted.stress.task_id}: trained at one {shifted.stress.name}, met by another"
    return table_of(title, rows, notes, words=(first,))
