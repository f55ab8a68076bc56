"""What the page of stress and ablations does not hold yet, and the commands that would fill it."""

from collections.abc import Mapping, Sequence

import numpy as np

from benchmark.harness.ablations import ABLATIONS
from benchmark.harness.stress import STRESSES, Stress
from benchmark.harness.submission import find_submission
from benchmark.measures.references import reference
from leaderboard.ablation import Runs, spoken
from leaderboard.commands.terminal import SUBMISSIONS
from leaderboard.record import FinishedRun
from leaderboard.robustness import LEARNED
from leaderboard.tables import Row, Table, table_of

# Whose ladders of each family the page should hold.
SUBJECTS = {
    "oracle": ("belief-i2q", "rec-hyst-iql"),
    "gathering": ("belief-i2q", "rec-hyst-iql"),
    "escape-room": ("belief-i2q", "rec-hyst-iql"),
    "honeycomb": ("belief-i2q", "rec-hyst-iql"),
    "organization": ("ia2c++-cf",),
}
RUNS = 5  # of a cell that counts as evidence


def missing(runs: Mapping[str, Runs]) -> Table:
    """List what the page would hold if everything had been played, and the command that plays it; runs by suite."""
    rows: list[Row] = []
    spared = []
    for stress in STRESSES:
        for name in SUBJECTS[stress.family]:
            played = runs[stress.suite]
            scores = _scores(played, name, stress.levels[0][1])
            if len(scores) >= RUNS and np.mean(scores) < LEARNED:
                spared.append(f"{stress.name} of {stress.task_id} ({name} {np.mean(scores):.2f})")
                continue
            lacking = [f"{level:g}" for level, task in stress.levels if _met(played, name, stress, task) < RUNS]
            command = f"penumbra stress {name} --only {stress.name} --family {stress.family}"
            rows += _lack(f"{stress.name} of {stress.task_id}", name, lacking, command)
    for ablation in ABLATIONS:
        names = ablation.names(find_submission(ablation.submission, [SUBMISSIONS]))
        lacking = [
            spoken(value)
            for value, name in zip(ablation.values, names, strict=True)
            if any(len(_scores(runs[ablation.suite], name, task)) < RUNS for task in ablation.tasks)
        ]
        command = f"penumbra ablate {ablation.submission} --only {ablation.name}"
        rows += _lack(f"ablation {ablation.name}", ablation.submission, lacking, command)
    notes = [f"Levels and values with fewer than {RUNS} finished runs on some of their tasks, trained or met there."]
    if spared:
        notes.append(
            f"Not asked for, because at the mildest level there is nothing to lose (a score below {LEARNED}): "
            f"{', '.join(spared)}."
        )
    return table_of("What is missing", rows, notes, ("what", "submission", "lacking", "command"))


def _scores(runs: Runs, name: str, task: str) -> list[float]:
    """Return the scores of the finished runs of a cell."""
    records = runs.get((name, task), {}).values()
    return [reference(task).score(record.final_return) for record in records if isinstance(record, FinishedRun)]


def _met(runs: Runs, name: str, stress: Stress, task: str) -> int:
    """Return how many runs were trained at a level, or, if that is more, at the mildest and evaluated there."""
    mild = runs.get((name, stress.levels[0][1]), {}).values()
    met = sum(isinstance(record, FinishedRun) and record.final_return_on(task) is not None for record in mild)
    return max(met, len(_scores(runs, name, task)))


def _lack(what: str, name: str, lacking: Sequence[str], command: str) -> list[Row]:
    row = {"what": what, "submission": name, "lacking": ", ".join(lacking), "command": command}
    return [(dict(row), dict(row))] if lacking else []
