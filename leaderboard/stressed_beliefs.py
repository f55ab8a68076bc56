"""Beliefs along a stress: how uncertain they become, and how uncertain the exact posterior of that world is."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from benchmark.harness.stress import Stress
from leaderboard import cells
from leaderboard.beliefs import POSTERIOR, PRIOR, TaskBeliefs, mean, task_beliefs
from leaderboard.palette import Colour
from leaderboard.plots import FAINT, INK, finish
from leaderboard.record import FinishedRun, RunRecord
from leaderboard.tables import Row, Table, table_of


@dataclass(frozen=True)
class Stressed:
    """One submission's beliefs at the levels of one stress where they were scored, two or more.

    Attributes:
        stress: which.
        submission: whose beliefs.
        levels: with the beliefs about the task at that level, from the mildest to the hardest.
    """

    stress: Stress
    submission: str
    levels: tuple[tuple[float, TaskBeliefs], ...]

    def curve(self, source: str, measure: str = "nll") -> np.ndarray:
        """Return a measure at each level, float64 ``[L]``, of the prior, the exact posterior or the submission."""
        return np.array([_value(task, source, measure) for _, task in self.levels])


def _value(task: TaskBeliefs, source: str, measure: str) -> float:
    if source == PRIOR:
        found = task.prior.get(measure)
    elif source == POSTERIOR:
        found = task.ends.get(POSTERIOR, {}).get(measure)
    else:
        return mean(task.runs[source], measure)
    return math.nan if found is None else float(found)


def stressed_beliefs(records: Iterable[RunRecord], suite: str, stresses: Sequence[Stress]) -> list[Stressed]:
    """Gather who was asked for beliefs at two or more levels of a stress."""
    asked = [record for record in records if isinstance(record, FinishedRun) and record.beliefs]
    if not any(record.suite == suite for record in asked):
        return []
    tasks = {entry.task_id: entry for entry in task_beliefs(asked, suite)}
    found = []
    for stress in stresses:
        places = [(level, tasks[task_id]) for level, task_id in stress.levels if task_id in tasks]
        for name in sorted({name for _, task in places for name in task.runs}):
            mine = tuple((level, task) for level, task in places if name in task.runs)
            if len(mine) > 1:
                found.append(Stressed(stress, name, mine))
    return found


def stressed_table(entry: Stressed) -> Table:
    """Write one row for each level."""
    rows: list[Row] = []
    for level, task in entry.levels:
        runs = task.runs[entry.submission]
        data: dict[str, object] = {entry.stress.name: level, "runs": len(runs)}
        data |= {f"nll_{source}": _value(task, source, "nll") for source in (PRIOR, entry.submission, POSTERIOR)}
        score = float(np.mean(task.scores(entry.submission, "nll")))
        measured = {measure: mean(runs, measure) for measure in ("accuracy", "ece")}
        text = {entry.stress.name: f"{level:g}"}
        text |= {f"NLL, {source}": cells.score(_value(task, source, "nll")) for source in (PRIOR, entry.submission)}
        text |= {f"NLL, {POSTERIOR}": cells.score(_value(task, POSTERIOR, "nll")), "score": cells.score(score)}
        text |= {"accuracy": cells.score(measured["accuracy"]), "ECE": cells.score(measured["ece"])}
        rows.append((data | {"score": score} | measured, text | {"runs": str(len(runs))}))
    title = f"Beliefs of {entry.submission}: {entry.stress.task_id} under {entry.stress.name}"
    notes = (
        "NLL in nats, ECE: expected calibration error, on held-out random play in the world of that level; score: 0 is "
        "that world's prior, 1 its exact posterior, recomputed for it; n/a where no exact filter is known.",
    )
    return table_of(title, rows, notes, words=(entry.stress.name,))


def stressed_figure(found: Sequence[Stressed], palette: Mapping[str, Colour]) -> Figure:
    """Draw the negative log-likelihood against the level, a panel for each, between prior and exact posterior."""
    figure = Figure(figsize=(4.2 * len(found), 3.0), layout="constrained")
    for place, entry in enumerate(found):
        ax = figure.add_subplot(1, len(found), place + 1)
        levels = [level for level, _ in entry.levels]
        for source, colour, line in (
            (PRIOR, FAINT, (0, (4, 3))),
            (POSTERIOR, INK, (0, (1, 1.5))),
            (entry.submission, palette[entry.submission], "solid"),
        ):
            curve = entry.curve(source)
            if not np.isnan(curve).all():
                ax.plot(levels, curve, color=colour, linestyle=line, marker="o", markersize=4, label=source)
        ax.set(xlabel=entry.stress.name, ylabel="NLL [nats]", title=entry.stress.task_id, ylim=(0, None))
        ax.legend(frameon=False)
        finish(ax)
    return figure
