"""How uncertain beliefs are around informative events: numbers written by ``python -m baselines.belief_variance``."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from leaderboard.palette import LIGHT
from leaderboard.plots import FAINT, INK, finish
from leaderboard.statistics import Array, Estimate

KINDS = {"learned": "learned belief", "exact": "exact posterior"}
_Z = 1.96  # of a 95% interval of a mean over hundreds of episodes


@dataclass(frozen=True)
class Course:
    """The variance of one kind of belief around an event, in squared cells.

    Attributes:
        curve: [2 W, 3]: mean and ends of its interval, from W steps before to W - 1 after; NaN without episodes.
        before: over the steps before.
        after: over the event's own step and those after.
        difference: of the two within episodes.
        episodes: with steps on both sides.
    """

    curve: Array
    before: Estimate
    after: Estimate
    difference: Estimate
    episodes: int


@dataclass(frozen=True)
class TaskVariance:
    """One task's event, and both kinds of belief around it."""

    task_id: str
    event: str
    kinds: dict[str, Course]


@dataclass(frozen=True)
class Variances:
    """What the file says: tasks, and how many steps on each side of an event."""

    tasks: Sequence[TaskVariance]
    window: int


def read(path: Path) -> Variances | None:
    """Read the file; None if there is none.

    Raises:
        ValueError: if it is not what the command writes.
    """
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text())
        tasks = [
            TaskVariance(task_id, facts["event"], {kind: _course(facts[kind]) for kind in KINDS})
            for task_id, facts in content["tasks"].items()
        ]
        return Variances(tasks, int(content["window"]))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{path}: is not what python -m baselines.belief_variance writes ({error!r})") from None


def _course(facts: dict[str, Any]) -> Course:
    named = {name: _estimate(*facts[name]) for name in ("before", "after", "difference")}
    return Course(np.array([_estimate(*point) for point in facts["curve"]]), **named, episodes=facts["difference"][2])


def _estimate(mean: float | None, error: float | None, count: int) -> Estimate:
    """Turn mean and standard error into a normal interval."""
    point = math.nan if mean is None else mean
    half = math.nan if error is None else _Z * error
    return Estimate(point, point - half, point + half)


def figure(variances: Variances) -> Figure:
    """Draw variance against steps from the event, a panel for each task."""
    columns = min(3, len(variances.tasks))
    rows = -(-len(variances.tasks) // columns)
    canvas = Figure(figsize=(3.4 * columns, 0.5 + 2.5 * rows), layout="constrained")
    steps = np.arange(-variances.window, variances.window)
    for place, task in enumerate(variances.tasks):
        ax = canvas.add_subplot(rows, columns, place + 1)
        ax.axvline(0, color=FAINT, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)
        for kind, color in zip(KINDS, (LIGHT[0], INK), strict=True):
            curve = task.kinds[kind].curve
            style = "-" if kind == "learned" else (0, (1.2, 1.2))
            ax.plot(steps, curve[:, 0], color=color, linewidth=1.8, linestyle=style, label=KINDS[kind], zorder=3)
            ax.fill_between(steps, curve[:, 1], curve[:, 2], color=color, alpha=0.18, linewidth=0, zorder=2)
        ax.set_title(task.task_id)
        ax.set_xlim(steps[0], steps[-1])
        ax.set_ylim(0, None)
        ax.margins(y=0.08)
        ax.set_xlabel(f"step (0: {task.event})", fontsize=9)
        if place % columns == 0:
            ax.set_ylabel("variance [cells²]")
        finish(ax)
    canvas.legend(*canvas.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=9)
    return canvas
