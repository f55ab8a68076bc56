"""How much of a score is kept as the world departs from the task: degradation curves and the area under them."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from benchmark.harness.stress import STRESSES, Stress
from benchmark.measures.references import reference
from leaderboard.record import FinishedRun, RunRecord
from leaderboard.statistics import CONFIDENCE, FLOOR, RESAMPLES, Array, Estimate, clip, difference_estimate
from leaderboard.submission import merge

# Below this score at the mildest level there is nothing to keep.
LEARNED = 0.1
# In a resample of collapsed runs the score to be kept may come out as nothing; shares are of at least this.
_LEAST = 0.01


@dataclass(frozen=True)
class Degradation:
    """One submission under one stress.

    Attributes:
        stress: which.
        submission: who.
        levels: float64 ``[L]``: the levels that were played, the mildest first.
        scores: float64 ``[R, L]``: clipped scores of the runs that were played at all of them.
        unseen: whether it was trained at the mildest level only, and just evaluated at the others.
    """

    stress: Stress
    submission: str
    levels: Array
    scores: Array
    unseen: bool = False

    @property
    def complete(self) -> bool:
        """Whether all levels of the stress were played."""
        return len(self.levels) == len(self.stress.levels)

    @property
    def learned(self) -> bool:
        """Whether the mildest level was played, and there is something to lose."""
        return self.levels[0] == self.stress.levels[0][0] and bool(self.scores[:, 0].mean() >= LEARNED)

    @property
    def areas(self) -> Array:
        """Mean score over the levels of each run ``[R]``: the area under its curve, by trapezia, over its width.

        Levels count by their place on the axis, so that the area does not depend on how densely it was sampled.
        """
        order = np.argsort(self.levels)
        levels, scores = self.levels[order], self.scores[:, order]
        return np.trapezoid(scores, levels, axis=1) / (levels[-1] - levels[0])

    @property
    def costs(self) -> Array:
        """Score at the mildest level less the area, run by run ``[R]``: what the stress takes on average."""
        return self.scores[:, 0] - self.areas

    @property
    def kept(self) -> Array:
        """Score at every level less that at the mildest, run by run ``[R, L]``."""
        return self.scores - self.scores[:, :1]

    def at(self, levels: Sequence[float]) -> "Degradation":
        """Return the same at some of its levels only."""
        places = [list(self.levels).index(level) for level in levels]
        return replace(self, levels=self.levels[places], scores=self.scores[:, places])

    def share(self) -> float:
        """Return the share of the score that is kept: the mean area over the mean score at the mildest level."""
        return float(self.areas.mean() / max(_LEAST, self.scores[:, 0].mean()))

    def resampled_shares(self, seed: int, resamples: int) -> Array:
        """Return the share of every bootstrap resample of whole runs, float64 ``[resamples]``."""
        ends = np.stack([self.areas, self.scores[:, 0]], axis=1)
        ends = ends[np.lexsort(ends.T)]  # so that the order of runs cannot matter
        generator = np.random.default_rng([seed, *self.submission.encode()])
        drawn = generator.integers(0, len(ends), (resamples, len(ends)))
        area, start = np.moveaxis(ends[drawn].mean(1), -1, 0)
        return area / np.maximum(start, _LEAST)


Scores = Mapping[tuple[str, str], Mapping[int, float]]  # (submission, task) to seed to score


def degradations(records: Iterable[RunRecord], suite: str, stresses: Sequence[Stress]) -> list[Degradation]:
    """Gather, for every stress and submission, the runs that were played at two levels or more.

    Only seeds that were played at all of these levels count, so that a curve compares like with like; a failed run
    counts as the floor.

    Raises:
        SubmissionError: if a run is there twice.
    """
    scores: dict[tuple[str, str], dict[int, float]] = {}
    for record in merge(record for record in records if record.suite == suite):
        if any(record.task_id == task_id for stress in stresses for _, task_id in stress.levels):
            value = reference(record.task_id).score(record.final_return) if isinstance(record, FinishedRun) else FLOOR
            scores.setdefault((record.submission, record.task_id), {})[record.seed] = value
    return gather(scores, stresses)


def gather(scores: Scores, stresses: Sequence[Stress]) -> list[Degradation]:
    """Put the scores of one stress and submission side by side, level by level."""
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


def whole_ladders(runs: pd.DataFrame, families: Iterable[str]) -> dict[str, list[Degradation]]:
    """Return, by submission, the stresses of some families that a board's runs have at every level.

    Args:
        runs: the board's frame.
        families: of the stresses' tasks.
    """
    scores: dict[tuple[str, str], dict[int, float]] = {}
    columns = (runs[name] for name in ("submission", "task_id", "seed", "failed", "score"))
    for submission, task_id, seed, failed, score in zip(*columns, strict=True):
        if failed or not math.isnan(score):
            scores.setdefault((submission, task_id), {})[seed] = FLOOR if failed else score
    found: dict[str, list[Degradation]] = {}
    wanted = set(families)
    for entry in gather(scores, [stress for stress in STRESSES if stress.family in wanted]):
        if entry.complete and entry.learned:
            found.setdefault(entry.submission, []).append(entry)
    return found


def robustness(ladders: Sequence[Degradation], seed: int, resamples: int = RESAMPLES) -> Estimate:
    """Estimate the share of the score that is kept, averaged over stresses.

    Args:
        ladders: of one submission, with something to lose on each.
        seed: of the resampling; every ladder's runs are resampled by themselves.
        resamples: how many.
    """
    point = float(np.mean([entry.share() for entry in ladders]))
    if min(len(entry.scores) for entry in ladders) < 2:
        return Estimate(point, math.nan, math.nan)
    draws = [entry.resampled_shares(seed + place, resamples) for place, entry in enumerate(ladders)]
    return Estimate(point, *_ends(np.mean(draws, axis=0)))


def _ends(draws: Array) -> tuple[float, float]:
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return float(low), float(high)


@dataclass(frozen=True)
class Comparison:
    """How one submission degrades against another under one stress, at the levels that both were played at.

    Attributes:
        stress: which.
        first: at those levels.
        second: at those levels.
        cost: of the first less that of the second, in points of score.
        kept: share of its score that the first keeps less that of the second.
    """

    stress: Stress
    first: Degradation
    second: Degradation
    cost: Estimate
    kept: Estimate

    @property
    def answer(self) -> str:
        """Faster or slower only if both intervals say so: one counts points of score, the other shares of it."""
        if math.isnan(self.cost.low) or math.isnan(self.kept.low):
            return "cannot be said"
        if self.cost.low > 0 and self.kept.high < 0:
            return "faster"
        if self.cost.high < 0 and self.kept.low > 0:
            return "slower"
        return "not told apart"

    @property
    def rising(self) -> list[str]:
        """Whose score rises: mean over the levels above that at the mildest."""
        return [entry.submission for entry in (self.first, self.second) if entry.learned and entry.share() > 1]


def compare(first: Degradation, second: Degradation, seed: int = 0, resamples: int = RESAMPLES) -> Comparison | None:
    """Compare how two submissions degrade; None if they share no two levels, or not the mildest."""
    levels = [level for level in first.levels if level in second.levels]
    if len(levels) < 2 or levels[0] != first.stress.levels[0][0]:
        return None
    one, two = first.at(levels), second.at(levels)
    cost = difference_estimate(one.costs, two.costs, seed, resamples)
    kept = Estimate(math.nan, math.nan, math.nan)
    if one.learned and two.learned:
        kept = Estimate(one.share() - two.share(), math.nan, math.nan)
        if min(len(one.scores), len(two.scores)) > 1:
            draws = one.resampled_shares(seed, resamples) - two.resampled_shares(seed, resamples)
            kept = Estimate(kept.point, *_ends(draws))
    return Comparison(first.stress, one, two, cost, kept)
