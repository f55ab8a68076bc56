"""The tables of the grid-worlds' results page."""

import math
from typing import Any

import numpy as np

from leaderboard import cells
from leaderboard.beliefs import POSTERIOR, PRIOR, TaskBeliefs, mean, task_beliefs
from leaderboard.grid_worlds import BASELINES, HALF, LEARNERS, OURS, SEED, Cell, Results, reference_points
from leaderboard.improvement import probability_of_improvement
from leaderboard.statistics import CONFIDENCE, FLOOR, RESAMPLES, difference_estimate
from leaderboard.tables import INTERVAL, Row, Table, table_of

_HOW = f"{CONFIDENCE:.0%} percentile intervals, stratified bootstrap over runs, {RESAMPLES:,} resamples, seed {SEED}"


def scale(found: Results) -> Table:
    """Give the returns that scores are read by."""
    rows: list[Row] = []
    for task_id in found.tasks:
        points = reference_points(task_id)
        text = {"task": task_id} | {name: cells.amount(value, points["optimum"]) for name, value in points.items()}
        rows.append(({"task_id": task_id, **points}, text))
    notes = [
        "random: uniformly random actions. trivial (score 0): the best policy that ignores observations. reactive: the "
        f"best known policy without memory ({cells.NOTHING}: not computed). reference (score 1): the best known policy "
        "that uses only what agents observe. optimum: of whoever sees the full state.",
    ]
    return table_of("What returns are measured against", rows, notes)


def learned(found: Results) -> Table:
    """Tell, task by task, what each learner reached, how soon, at what cost, and what went wrong."""
    rows: list[Row] = []
    for task_id in found.tasks:
        for place, name in enumerate(LEARNERS):
            cell = found.get(name, task_id)
            row = _missing(name, task_id) if cell is None else _learned(cell)
            rows.append((row[0], row[1] | ({} if place == 0 else {"task": ""})))
    notes = [
        f"score: IQM over runs of the final score, clipped below at {FLOOR:g}; return: mean over runs of the final "
        f"greedy return. Brackets: {_HOW}.",
        "area: under the learning curve, the IQM over runs of the mean score of all evaluations after the start. "
        f"to {HALF:g}: episodes until the first evaluation that scores {HALF:g}, mean over the runs (in brackets) that "
        "got there; evaluations are a twentieth of the budget apart.",
        "s/run: seconds of training per run, of runs that were trained together; belief, s: of training the one belief "
        "that they share, once (in s/run of the cell whose run made it). gate: runs whose belief passed its "
        "test before learning began. diverged: runs that ever valued a start at more than 1.1 times what the full "
        f"state could earn. collapsed: runs that failed or ended below {FLOOR:g}.",
    ]
    return table_of("What was learned", rows, notes)


_COLUMNS = (
    *("runs", f"score {INTERVAL}", "return", f"area {INTERVAL}", f"to {HALF:g}"),
    *("s/run", "belief, s", "gate", "diverged", "collapsed"),
)


def _missing(name: str, task_id: str) -> Row:
    text = {"task": task_id, "submission": name} | dict.fromkeys(_COLUMNS, "-")
    return {"task_id": task_id, "submission": name, "runs": 0}, text


def _learned(cell: Cell) -> Row:
    episodes, count = cell.halfway()
    runs = len(cell.scores)
    numbers = {"task_id": cell.task_id, "submission": cell.submission, "runs": runs, "return": cell.mean_return}
    numbers |= cells.numbers("score", cell.score) | cells.numbers("area", cell.area)
    numbers |= {"halfway": episodes, "halfway_runs": count, "seconds": cell.seconds, "collapsed": cell.collapses}
    seconds = cell.noted("belief_seconds")
    values = (
        str(runs),
        cells.interval(cell.score),
        cells.amount(cell.mean_return),
        cells.interval(cell.area),
        f"{episodes:,.0f} ({count})" if count else "- (0)",
        cells.seconds(cell.seconds),
        cells.seconds(float(np.mean(seconds))) if seconds else ".",
        _share(cell.noted("belief_gate_passed")),
        _share(cell.noted("diverged")),
        f"{cell.collapses} of {runs}",
    )
    text = {"task": cell.task_id, "submission": cell.submission} | dict(zip(_COLUMNS, values, strict=True))
    return numbers, text


def _share(noted: list[Any]) -> str:
    return f"{sum(map(bool, noted))} of {len(noted)}" if noted else "."


def improvements(found: Results) -> Table:
    """Give the probability that a run of Belief-I2Q beats one of each baseline, task by task."""
    rows: list[Row] = []
    for task_id in found.tasks:
        ours = found.get(OURS, task_id)
        for name in BASELINES:
            other = found.get(name, task_id)
            if ours is None or other is None:
                continue
            scores = {OURS: ours.scores[:, None], name: other.scores[:, None]}
            estimate = probability_of_improvement(scores, SEED)[OURS, name].average
            numbers = {"task_id": task_id, "over": name, **cells.numbers("probability", estimate)}
            text = {"task": task_id, "over": name, f"probability {INTERVAL}": cells.interval(estimate, 2)}
            certain = "yes" if estimate.low > 0.5 or estimate.high < 0.5 else "no"
            rows.append((numbers, text | {"certain": "n/a" if math.isnan(estimate.low) else certain}))
    notes = [
        f"How likely a run of {OURS} scores higher than a run of the baseline, ties counted half. Brackets: {_HOW}. "
        "certain: the interval excludes one half. Where no run of the one meets a run of the other it has width 0.",
    ]
    return table_of(f"Probability of improvement of {OURS}", rows, notes, ("task", "over"))


def beliefs(found: Results) -> Table:
    """Give the scores of the learned beliefs between the prior (0) and the exact posterior (1)."""
    records = [run for cell in found.cells.values() for run in cell.runs if run.beliefs]
    rows = [_belief_row(entry, name) for entry in _in_order(found, records) for name in entry.runs]
    notes = [
        "On held-out episodes of random play, over all agents and steps: mean over runs of the negative "
        "log-likelihood of the hidden variables in nats, beside that of the prior and of the exact posterior, and how "
        "far it lies from the first (0) to the second (1); likewise for the accuracy of the most likely value and for "
        "the error of the belief's mean. Where the posterior is even, the most likely value is luck, and accuracy may "
        "exceed 1. ECE: expected calibration error. All runs of a cell share one belief, hence no interval.",
    ]
    return table_of("How good the beliefs are", rows, notes)


def _in_order(found: Results, records: list[Any]) -> list[TaskBeliefs]:
    gathered = {entry.task_id: entry for entry in task_beliefs(records, found.suite.name)} if records else {}
    return [gathered[task_id] for task_id in found.tasks if task_id in gathered]


def _belief_row(entry: TaskBeliefs, name: str) -> Row:
    nll = [
        mean([scores], "nll") if scores else math.nan for scores in (entry.ends.get(PRIOR), entry.ends.get(POSTERIOR))
    ]
    ours = mean(entry.runs[name], "nll")
    parts = {measure: float(np.mean(entry.scores(name, measure))) for measure in ("nll", "accuracy", "error")}
    ece = mean(entry.runs[name], "ece")
    numbers = {"task_id": entry.task_id, "submission": name, "prior": nll[0], "nll": ours, "posterior": nll[1]}
    text = {
        "task": entry.task_id,
        "submission": name,
        "prior NLL": cells.score(nll[0]),
        "NLL": cells.score(ours),
        "posterior NLL": cells.score(nll[1]),
        "score": cells.score(parts["nll"]),
        "by accuracy": cells.score(parts["accuracy"]),
        "by error": cells.score(parts["error"]),
        "ECE": cells.score(ece),
    }
    return numbers | {f"{measure}_score": value for measure, value in parts.items()} | {"ece": ece}, text


def variants(found: Results) -> Table:
    """Compare cells with changed settings with those that they were changed from."""
    rows: list[Row] = []
    for cell in found.variants:
        plain = found.get(cell.submission, cell.task_id)
        changed = ", ".join(f"{key} = {str(value).lower()}" for key, value in sorted(cell.config.items()))
        numbers = {"submission": cell.submission, "task_id": cell.task_id, "changed": changed}
        text = {"task": cell.task_id, "submission": cell.submission, "changed": changed, "runs": str(len(cell.scores))}
        text |= {f"score {INTERVAL}": cells.interval(cell.mean), "less the defaults'": "-"}
        if plain is not None:
            gap = difference_estimate(cell.scores, plain.scores, SEED)
            numbers |= cells.numbers("difference", gap)
            text["less the defaults'"] = cells.interval(gap)
        rows.append((numbers | cells.numbers("score", cell.mean), text))
    notes = [f"Mean final scores over runs. Brackets: {_HOW}."]
    return table_of("Changed settings", rows, notes, ("task", "submission", "changed"))
