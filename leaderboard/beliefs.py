"""From run records to belief scores: one table for each task, between the prior and the exact posterior."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmark.measures.belief_tally import CONFIDENCES
from benchmark.measures.beliefs import EPISODES
from benchmark.measures.posteriors import NORMALISED, normalised, posterior_scores
from leaderboard import cells
from leaderboard.record import FinishedRun, RunRecord
from leaderboard.statistics import CONFIDENCE, RESAMPLES, Estimate, mean_estimate
from leaderboard.submission import merge
from leaderboard.tables import INTERVAL, Row, Table, table_of

PRIOR, POSTERIOR = "prior", "exact posterior"
MEASURES = ("nll", "accuracy", "error", "mode_error", "ece")
# A third-party task may have any number of hidden variables; a table holds so many.
MOST_VARIABLES = 8
UNKNOWN = Estimate(math.nan, math.nan, math.nan)

Scores = Mapping[str, Any]  # what a record's beliefs hold


@dataclass(frozen=True)
class TaskBeliefs:
    """The beliefs about one task.

    Attributes:
        task_id: which one.
        runs: the scores of every run, by submission; better ones first.
        ends: the scores of the prior and of the exact posterior, where they are frozen.
    """

    task_id: str
    runs: Mapping[str, Sequence[Scores]]
    ends: Mapping[str, Scores]

    @property
    def prior(self) -> Scores:
        """The prior's scores; without a frozen entry those that came with the records."""
        if PRIOR in self.ends:
            return self.ends[PRIOR]
        first = next(iter(self.runs.values()))[0]
        variables = {name: _told(scores) for name, scores in first["variables"].items()}
        return _told(first) | {"variables": variables}

    def scores(self, name: str, measure: str) -> list[float]:
        """Return the normalised scores of a submission's runs; NaN where there is no posterior, or no room."""
        ends = [self.ends.get(end, {}).get(measure) for end in (PRIOR, POSTERIOR)]
        return [normalised(run.get(measure), *ends) for run in self.runs[name]]


def _told(scores: Scores) -> dict[str, Any]:
    return {name: scores.get(f"prior_{name}") for name in ("nll", "accuracy")}


def task_beliefs(records: Iterable[RunRecord], suite: str) -> list[TaskBeliefs]:
    """Gather the beliefs of a suite's finished runs, task by task.

    Raises:
        SubmissionError: if a run is there twice.
        ValueError: if no run of the suite has a belief.
    """
    found: dict[str, dict[str, list[Scores]]] = {}
    for record in merge(record for record in records if record.suite == suite):
        if isinstance(record, FinishedRun) and record.beliefs:
            runs = found.setdefault(record.task_id, {}).setdefault(record.submission, [])
            runs.append(record.beliefs.model_dump())
    if not found:
        raise ValueError(f"beliefs: no finished run of suite={suite!r} in the given records has a belief")
    gathered = []
    for task_id, submissions in sorted(found.items()):
        entry = posterior_scores(task_id) or {}
        ends = {PRIOR: entry["prior"], POSTERIOR: entry["posterior"]} if entry else {}
        names = sorted(submissions, key=lambda name: (mean(submissions[name], "nll"), name))
        gathered.append(TaskBeliefs(task_id, {name: submissions[name] for name in names}, ends))
    return gathered


def mean(runs: Sequence[Scores], measure: str) -> float:
    """Return the mean of a measure over runs; NaN where a run lacks it."""
    values = [run.get(measure) for run in runs]
    return math.nan if None in values else float(np.mean(np.array(values, dtype=np.float64)))


def report(beliefs: Iterable[TaskBeliefs], seed: int = 0, resamples: int = RESAMPLES) -> list[Table]:
    """Return two tables for each task: its scores, and its variables one by one; the first one explains all."""
    tables: list[Table] = []
    for task in beliefs:
        tables.append(_score_table(task, seed, resamples))
        if len(task.prior["variables"]) > 1:
            tables.append(_variable_table(task))
    return [replace(tables[0], notes=_notes(seed, resamples)), *tables[1:]]


def _score_table(task: TaskBeliefs, seed: int, resamples: int) -> Table:
    rows = [_row(PRIOR, [task.prior], [], UNKNOWN, [])]
    for name, runs in reversed(list(task.runs.items())):
        scored = task.scores(name, "nll")
        estimate = UNKNOWN if any(map(math.isnan, scored)) else mean_estimate(scored, seed, resamples)
        others = [float(np.mean(task.scores(name, measure))) for measure in NORMALISED[1:]]
        rows.append(_row(name, runs, runs, estimate, others))
    if POSTERIOR in task.ends:
        rows.append(_row(POSTERIOR, [task.ends[POSTERIOR]], [], UNKNOWN, []))
    return table_of(f"Beliefs: {task.task_id}", rows, (), ("belief",))


def _notes(seed: int, resamples: int) -> tuple[str, ...]:
    return (
        f"Beliefs about the hidden variables of {EPISODES} held-out episodes of random play, over all agents and "
        "steps; means over the paper's variables and over runs.",
        "NLL: negative log-likelihood of the truth, in nats. accuracy: of the most likely value. error: root mean "
        "squared distance from the belief's mean to the truth, in cells; of mode: mean distance of the most likely "
        f"value. ECE: expected calibration error, {CONFIDENCES} bins.",
        "score = (prior - x) / (prior - exact posterior): 0 knows how often each value occurs, 1 is what follows "
        f"from an agent's own history; of the NLL, with {CONFIDENCE:.0%} percentile intervals (bootstrap over runs, "
        f"{resamples:,} resamples, seed {seed}), of accuracy (acc.) and of error (err.).",
        "Variables: accuracy of the most likely value (NLL in nats).",
    )


def _row(
    name: str, scores: Sequence[Scores], runs: Sequence[Scores], estimate: Estimate, others: Sequence[float]
) -> Row:
    values = {measure: mean(scores, measure) for measure in MEASURES}
    named = dict(zip(("accuracy_score", "error_score"), others, strict=False))
    data = {"belief": name, "runs": len(runs) or None, **values, **cells.numbers("nll_score", estimate), **named}
    text = {
        "belief": name,
        "runs": str(len(runs) or "-"),
        "NLL": cells.score(values["nll"]),
        "accuracy": cells.score(values["accuracy"]),
        "error": cells.score(values["error"], 2),
        "of mode": cells.score(values["mode_error"], 2),
        "ECE": cells.score(values["ece"]),
        f"score {INTERVAL}": cells.interval(estimate) if runs else {PRIOR: "0", POSTERIOR: "1"}[name],
        "acc.": cells.score(named["accuracy_score"], 2) if runs else "",
        "err.": cells.score(named["error_score"], 2) if runs else "",
    }
    return data, text


def _variable_table(task: TaskBeliefs) -> Table:
    names = list(task.prior["variables"])
    shown = names[:MOST_VARIABLES]
    sources = {PRIOR: [task.prior], **dict(reversed(list(task.runs.items())))}
    sources |= {end: [task.ends[end]] for end in task.ends if end != PRIOR}
    rows: list[Row] = []
    for source, runs in sources.items():
        data: dict[str, Any] = {"belief": source}
        text = {"belief": source}
        for name in shown:
            parts = [run["variables"][name] for run in runs]
            accuracy, nll = mean(parts, "accuracy"), mean(parts, "nll")
            data |= {f"{name}_accuracy": accuracy, f"{name}_nll": nll}
            text[name] = f"{cells.score(accuracy, 2)} ({cells.score(nll, 2)})"
        rows.append((data, text))
    notes = [f"The first {len(shown)} of {len(names)} variables."] if len(names) > len(shown) else []
    return table_of(f"Variables: {task.task_id}", rows, notes, ("belief",))
