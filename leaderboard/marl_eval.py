"""marl-eval's JSON: our records written for its plots, and others' results read for our tables.

The format (README of instadeepai/marl-eval, after Gorsane et al. 2022, arXiv 2209.10485) nests environment, task,
algorithm and run; a run holds ``step_1`` to ``step_k``, each with ``step_count`` and lists of metrics, and
``absolute_metrics``. It has no place for budgets, hardware, noise or digests: what is read from it can be compared,
but is no record, and is never ranked among records.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from benchmark.harness.suites import FINAL_MARKS, Suite
from benchmark.measures.references import Reference, reference
from benchmark.tasks.registry import did_you_mean, spec
from leaderboard.board import COLUMNS, Board
from leaderboard.reading import strict_json
from leaderboard.record import FinishedRun, RunRecord
from leaderboard.tables import Table, improvement, ranking, task_table

RETURN, NOISY, SCORE = "mean_episode_return", "mean_episode_return_with_noise", "score"
MOST_BYTES = 200_000_000
_NAME = re.compile(r"[A-Za-z0-9+_-][A-Za-z0-9+_.-]{0,63}")


def export(records: Iterable[RunRecord], suite: Suite, references: Mapping[str, Reference]) -> dict[str, Any]:
    """Return the finished runs of a suite as marl-eval reads them; the environment is named after the suite.

    Every metric is a list of one number, the mean over the evaluation's episodes. ``absolute_metrics`` hold our final
    returns: means over the last five evaluations, not those of the best policy.

    Args:
        records: those of other suites are left out.
        suite: which.
        references: by task id, of the scores; a task without has returns only.

    Raises:
        ValueError: if there is no finished run, or tasks lack runs that others have: marl-eval needs whole tables.
    """
    ours = [record for record in records if record.suite == suite.name and isinstance(record, FinishedRun)]
    if not ours:
        raise ValueError(f"marl-eval: no finished run of suite {suite.name!r} in the given records")
    tasks: dict[str, dict[str, dict[str, Any]]] = {}
    for record in sorted(ours, key=lambda record: (record.task_id, record.submission, record.seed)):
        runs = tasks.setdefault(record.task_id, {}).setdefault(record.submission, {})
        runs[f"seed_{record.seed}"] = _run(record, references.get(record.task_id))
    shapes = {task_id: {name: sorted(runs) for name, runs in entry.items()} for task_id, entry in tasks.items()}
    first = next(iter(shapes))
    for task_id, shape in shapes.items():
        if shape != shapes[first]:
            raise ValueError(
                f"marl-eval: {task_id!r} has runs {_told(shape)}, but {first!r} has {_told(shapes[first])}; "
                "it compares tasks with the same submissions and seeds only"
            )
    return {f"penumbra-{suite.name}": tasks}


def _told(shape: Mapping[str, Sequence[str]]) -> str:
    return ", ".join(f"{name}: {len(runs)}" for name, runs in shape.items())


def _run(record: FinishedRun, scale: Reference | None) -> dict[str, Any]:
    def metrics(greedy: float, noisy: float) -> dict[str, list[float]]:
        return {RETURN: [greedy], NOISY: [noisy]} | ({SCORE: [scale.score(greedy)]} if scale else {})

    steps: dict[str, Any] = {
        f"step_{place}": {"step_count": mark.env_steps, **metrics(mark.greedy.mean, mark.noisy.mean)}
        for place, mark in enumerate(record.marks)
    }
    return steps | {"absolute_metrics": metrics(record.final_return, record.final_return_noisy)}


def read(path: Path, metric: str = RETURN) -> tuple[pd.DataFrame, Board]:
    """Read a file as a frame of runs and the board that compares them.

    A run's final return is what a record's is: the mean of its last five evaluations. Task names must be our task
    ids. Nothing is known of noise, beliefs and seconds.

    Args:
        path: of the JSON.
        metric: which holds undiscounted episode returns.

    Raises:
        ValueError: naming the file, the place, what is there and what is allowed.
    """
    runs: list[dict[str, Any]] = []
    environments = _load(path)
    if len(environments) != 1:
        raise ValueError(f"{path}: holds environments {', '.join(environments) or 'none'}; give a file with one")
    (environment, tasks), = environments.items()  # fmt: skip
    for task_id, algorithms in _entries(path, environment, tasks):
        try:
            family = spec(task_id).family
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        for name, seeds in _entries(path, f"{environment}/{task_id}", algorithms):
            if not _NAME.fullmatch(name):
                raise ValueError(f"{path}: algorithm={name!r} may hold letters, digits, '+', '-', '_' and '.' only")
            for seed, (run, steps) in enumerate(_entries(path, f"{environment}/{task_id}/{name}", seeds)):
                value = _final(f"{path}: {environment}/{task_id}/{name}/{run}", steps, metric)
                row = dict.fromkeys(COLUMNS, math.nan) | {"submission": name, "task_id": task_id, "family": family}
                runs.append(row | {"seed": seed, "failed": False, "final_return": value})
    return _board(path, environment, runs)


def report(runs: pd.DataFrame, board: Board, source: str) -> list[Table]:
    """Return the tables of what was read: scores, who beats whom, and every task."""
    note = f"Read from {source}: trained and evaluated by others, under budgets and on episodes that we do not know."
    whole = ranking(runs, board)
    first = replace(whole, title=f"Scores of {source}", notes=(note, *whole.notes))
    tables = [first, improvement(runs, board), task_table(runs, board)]
    return [table for table in tables if len(table.data)]


def _board(path: Path, environment: str, rows: list[dict[str, Any]]) -> tuple[pd.DataFrame, Board]:
    counts: dict[tuple[str, str], int] = {}
    for row in rows:
        cell = row["submission"], row["task_id"]
        counts[cell] = counts.get(cell, 0) + 1
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{name} on {task_id}: {count}" for (name, task_id), count in counts.items())
        raise ValueError(f"{path}: every algorithm needs the same number of runs on every task; given {told}")
    tasks = tuple(dict.fromkeys(row["task_id"] for row in rows))
    references = {task_id: reference(task_id) for task_id in tasks}
    for row in rows:
        row["score"] = references[row["task_id"]].score(row["final_return"])
    suite = Suite(environment, tasks, (("", 1),), next(iter(counts.values())), 1)
    return pd.DataFrame(rows, columns=pd.Index(COLUMNS)), Board(suite, references)


def _final(where: str, steps: Any, metric: str) -> float:
    """Return the mean of a run's last five evaluations."""
    if not isinstance(steps, dict):
        raise ValueError(f"{where}: must be an object of step_1 to step_k, not {type(steps).__name__}")
    numbered = sorted((int(name[5:]), name) for name in steps if re.fullmatch(r"step_\d{1,9}", name))
    if unknown := [name for name in steps if not re.fullmatch(r"step_\d{1,9}|absolute_metrics", name)]:
        raise ValueError(f"{where}: key {unknown[0]!r} must be step_1 to step_k or absolute_metrics")
    if len(numbered) < FINAL_MARKS:
        raise ValueError(f"{where}: has {len(numbered)} evaluations; at least {FINAL_MARKS} are needed")
    return sum(_value(f"{where}/{name}", steps[name], metric) for _, name in numbered[-FINAL_MARKS:]) / FINAL_MARKS


def _value(where: str, step: Any, metric: str) -> float:
    if not isinstance(step, dict):
        raise ValueError(f"{where}: must be an object of metrics, not {type(step).__name__}")
    if metric not in step:
        raise ValueError(f"{where}: has no metric {metric!r}{did_you_mean(metric, step)}; it has {', '.join(step)}")
    values = step[metric] if isinstance(step[metric], list) else [step[metric]]
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if not numbers or len(numbers) < len(values):
        raise ValueError(f"{where}: {metric} must be a list of at least one number")
    try:
        mean = math.fsum(numbers) / len(numbers)
    except OverflowError:  # JSON's integers may be of any size
        mean = math.inf
    if not math.isfinite(mean):
        raise ValueError(f"{where}: {metric} is not finite")
    return mean


def _entries(path: Path, where: str, value: Any) -> list[tuple[str, Any]]:
    if not isinstance(value, dict) or not value:
        raise ValueError(f"{path}: {where} must be an object that is not empty, not {type(value).__name__}")
    return list(value.items())


def _load(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"more than {MOST_BYTES} bytes")
        content = strict_json(path.read_bytes())
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror}") from None
    except RecursionError:
        raise ValueError(f"{path}: is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"{path}: is not JSON as marl-eval writes it: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path}: must be a JSON object, not {type(content).__name__}")
    return content
