"""What the records of the grid-worlds say beside the paper that they come from (arXiv 2504.08417).

A *cell* is a learner with its published settings on a task. Changed settings make a *variant*, which is compared with
the cell that it was changed from. All comparisons are of one suite: the same tasks, budgets and numbers of runs.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from benchmark.harness.suites import Suite
from benchmark.harness.variant import split_variant
from benchmark.measures.diagnosis import diagnosis
from benchmark.measures.references import Reference, reference
from benchmark.tasks.honeycomb import GOAL_REWARD, GOALS, SPECIAL_REWARD
from benchmark.tasks.registry import make_task, spec
from leaderboard.board import counted, frame, make_board, select
from leaderboard.record import FinishedRun, RunRecord
from leaderboard.statistics import FLOOR, Array, Estimate, interval_estimates, mean_estimate

OURS, BASELINES = "belief-i2q", ("rec-i2q", "rec-hyst-iql")
LEARNERS = (OURS, *BASELINES)
NAMES = {"belief-i2q": "Belief-I2Q", "rec-i2q": "Rec.-I2Q", "rec-hyst-iql": "Rec.-Hyst.-IQL"}
FAMILIES = ("oracle", "gathering", "escape-room", "honeycomb")
SEED = 0
# What an implementation that learns must pass, as the IQM of the final score. On oracle-strict-v0 nobody scores half
# who does not use the oracle: two agents who try two of the three boxes at once come to 0.45.
BARS = {
    **{(name, "oracle-v0"): 0.5 for name in LEARNERS[1:]},
    (OURS, "oracle-v0"): 0.8,
    (OURS, "oracle-strict-v0"): 0.5,
    (OURS, "gathering-v0"): 0.6,
    (OURS, "escape-room-v0"): 0.6,
}
# A run has come far when an evaluation scores this: half of the way from trivial to reference.
HALF = 0.5


@dataclass(frozen=True)
class Cell:
    """All runs of one learner with the same settings on one task.

    Attributes:
        submission: the learner, without what is changed.
        task_id: on what.
        config: its settings that are not its defaults.
        runs: those that finished.
        failed: how many did not.
        scores: final ones [R] as aggregates count them, failed runs at the floor.
        efficiency: mean score [R] over all evaluations after the start, counted likewise: the area under the curve.
        seconds: of training per run; NaN if none finished.
    """

    submission: str
    task_id: str
    config: Mapping[str, Any]
    runs: tuple[FinishedRun, ...]
    failed: int
    scores: Array
    efficiency: Array
    seconds: float

    @cached_property
    def score(self) -> Estimate:
        """The IQM of the scores."""
        return interval_estimates(self.scores[:, None], SEED)["IQM"]

    @cached_property
    def mean(self) -> Estimate:
        """The mean of the scores."""
        return mean_estimate(self.scores, SEED)

    @cached_property
    def area(self) -> Estimate:
        """The IQM of the areas under the learning curves."""
        return interval_estimates(self.efficiency[:, None], SEED)["IQM"]

    @property
    def mean_return(self) -> float:
        """The mean final return; NaN if no run finished."""
        return float(np.mean([run.final_return for run in self.runs])) if self.runs else float("nan")

    @property
    def collapses(self) -> int:
        """How many runs failed or ended below the floor."""
        scale = reference(self.task_id)
        return self.failed + sum(scale.score(run.final_return) < FLOOR for run in self.runs)

    def noted(self, name: str) -> list[Any]:
        """Return what the runs noted under a name, those that did."""
        return [run.notes[name] for run in self.runs if run.notes.get(name) is not None]

    def halfway(self) -> tuple[float, int]:
        """Return the mean episodes until the first evaluation at ``HALF``, and how many runs got there."""
        scale = reference(self.task_id)
        firsts = [
            next((mark.episodes for mark in run.marks if scale.score(mark.greedy.mean) >= HALF), None)
            for run in self.runs
        ]
        there = [episodes for episodes in firsts if episodes is not None]
        return (float(np.mean(there)) if there else float("nan")), len(there)


@dataclass(frozen=True)
class Results:
    """What was found.

    Attributes:
        suite: which one's records.
        tasks: the grid-worlds of the suite, in its order, those of one family by number of agents.
        cells: by learner and task, with published settings.
        variants: cells with changed settings.
    """

    suite: Suite
    tasks: tuple[str, ...]
    cells: Mapping[tuple[str, str], Cell]
    variants: Sequence[Cell]

    @property
    def honeycombs(self) -> list[str]:
        """The HoneyComb tasks, fewest agents first."""
        return [task_id for task_id in self.tasks if spec(task_id).family == "honeycomb"]

    def get(self, submission: str, task_id: str) -> Cell | None:
        """Return a cell, if it is there."""
        return self.cells.get((submission, task_id))

    def missing(self) -> dict[str, list[str]]:
        """Return the learners that lack runs, by task, with how many there are."""
        found: dict[str, list[str]] = {}
        for task_id in self.tasks:
            for name in LEARNERS:
                cell = self.get(name, task_id)
                there = 0 if cell is None else len(cell.scores)
                if there < self.suite.runs:
                    found.setdefault(task_id, []).append(f"{name} ({there} of {self.suite.runs} runs)")
        return found


def collect(records: Iterable[RunRecord], suite: Suite) -> Results:
    """Sort the learners' records of a suite into cells. A record that was read twice counts once.

    Raises:
        SubmissionError: if two records are of the same run.
    """
    worlds = [task_id for task_id in suite.tasks if spec(task_id).family in FAMILIES]
    tasks = tuple(sorted(worlds, key=lambda task_id: (FAMILIES.index(spec(task_id).family), make_task(task_id).agents)))
    groups: dict[tuple[str, str, str], dict[str, RunRecord]] = {}
    for record in records:
        base, _ = split_variant(record.submission)  # what it changes is in the configuration too
        mine = base in LEARNERS and record.task_id in tasks and record.suite == suite.name
        if mine and record.budget_episodes == suite.budget(record.task_id):
            changed = ",".join(f"{key}={record.config[key]}" for key in sorted(record.config))
            groups.setdefault((base, record.task_id, changed), {})[record.digest] = record
    cells = {key: _cell(key[0], list(group.values()), suite) for key, group in sorted(groups.items())}
    plain = {(name, task_id): cell for (name, task_id, changed), cell in cells.items() if not changed}
    return Results(suite, tasks, plain, [cell for (_, _, changed), cell in cells.items() if changed])


def _cell(submission: str, records: list[RunRecord], suite: Suite) -> Cell:
    runs = frame(records, make_board(suite, records, ()))
    seeds = set(runs["seed"])
    finished = sorted(
        (record for record in records if isinstance(record, FinishedRun) and record.seed in seeds),
        key=lambda record: record.seed,
    )
    done = select(runs, "failed", [False])
    return Cell(
        submission,
        records[0].task_id,
        records[0].config,
        tuple(finished),
        len(runs) - len(finished),
        counted(runs),
        counted(runs, "efficiency"),
        float(done["seconds"].mean()) if len(done) else float("nan"),
    )


def reference_points(task_id: str) -> dict[str, float]:
    """Return the returns that a task's scores are read by; NaN where one has not been computed.

    ``random`` acts uniformly at random; ``reactive`` is the best known policy without memory
    (``benchmark.measures.diagnosis``); the others are those of ``benchmark.measures.references``.
    """
    scale: Reference = reference(task_id)
    return {
        "random": float(scale.details["trivial"].get("random", float("nan"))),
        "trivial": scale.trivial,
        "reactive": float(known["without_memory"]["value"]) if (known := diagnosis(task_id)) else float("nan"),
        "reference": scale.reference,
        "optimum": scale.optimum,
    }


def without_inference(task_id: str) -> float:
    """Return the score on HoneyComb of a team that infers nothing: the informed take the special goal, others any."""
    task: Any = make_task(task_id)
    any_goal = (SPECIAL_REWARD + (len(GOALS) - 1) * GOAL_REWARD) / len(GOALS)
    return reference(task_id).score(task.informed * SPECIAL_REWARD + (task.agents - task.informed) * any_goal)
