"""What the pages of tasks and submissions say, read off the code, the manifests and the records."""

import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

from markupsafe import Markup

from benchmark.episodes.policy import RandomPolicy
from benchmark.harness.submission import Submission
from benchmark.measures.diagnosis import diagnosis
from benchmark.measures.references import planner_for, reference
from benchmark.tasks.perturb import Transform
from benchmark.tasks.registry import TaskSpec, make_task, spec
from benchmark.tasks.task import Task
from leaderboard.classes import class_of
from leaderboard.curves import RESAMPLES
from leaderboard.diagnosis import sentence
from leaderboard.record import FailedRun, RunRecord
from leaderboard.site.boards import SuiteView
from leaderboard.site.drawing import small_curve
from leaderboard.site.episode import Animation, animate
from leaderboard.site.words import Page, docstring
from leaderboard.statistics import mean_estimate


@dataclass(frozen=True)
class TaskFacts:
    """Everything that a task's page says of the task itself."""

    task_id: str
    spec: TaskSpec
    task: Task
    rules: Markup
    source: Markup
    parameters: list[tuple[str, str]]
    scale: list[dict[str, Any]]  # trivial, reference, optimum; empty if it has none
    episodes: list[tuple[str, Animation]]
    memory: tuple[str, dict[str, Any]] | None  # whether it needs memory, in a sentence, and why; None if nobody asked

    @property
    def hidden(self) -> list[tuple[str, str, int, bool]]:
        """``(name, kind, values, in the paper)`` of the hidden variables."""
        return [(v.name, v.kind, len(v.values), v.in_paper) for v in self.task.hidden_variables]


@lru_cache(maxsize=256)
def task_facts(task_id: str) -> TaskFacts:
    """Read a task's rules off its code, play an episode by its planner (if it has one) and one at random."""
    task = make_task(task_id)
    inner = task
    while isinstance(inner, Transform):
        inner = inner.task
    players = {"random": RandomPolicy(task.agents, len(task.action_names))}
    scale: list[dict[str, Any]] = []
    try:
        players = {"planner": planner_for(task_id), **players}
        details = reference(task_id).details
        scale = [{"name": name, **details[name]} for name in ("trivial", "reference", "optimum")]
    except ValueError:  # a third-party or perturbed task need not have references
        pass
    module = inspect.getmodule(type(inner))
    return TaskFacts(
        task_id,
        spec(task_id),
        task,
        Page(docstring(inspect.getdoc(type(inner))), {}).html,
        Page(docstring(inspect.getdoc(module)), {}).html,
        [(entry.name, str(getattr(inner, entry.name))) for entry in fields(inner)],
        scale,
        [(name, animate(task, policy)) for name, policy in players.items()],
        (sentence(task_id, entry), entry) if (entry := diagnosis(task_id)) else None,
    )


@dataclass(frozen=True)
class SubmissionFacts:
    """Everything that a submission's page says beside its results."""

    name: str
    manifest: Submission | None
    records: Sequence[RunRecord]

    @property
    def kind(self) -> str:
        """The key of its class."""
        return class_of(self.manifest.information if self.manifest else ())

    @property
    def failures(self) -> list[FailedRun]:
        """Runs that raised."""
        return [record for record in self.records if isinstance(record, FailedRun)]

    def machines(self) -> list[tuple[str, dict[str, Any]]]:
        """What the runs were trained on: ``(which, facts)``, equal ones once."""
        return self._groups(lambda record: record.hardware)

    def packages(self) -> list[tuple[str, dict[str, Any]]]:
        """Versions of packages."""
        return self._groups(lambda record: record.packages)

    def configurations(self) -> list[tuple[str, dict[str, Any]]]:
        """Parameters of the runs."""
        return self._groups(lambda record: record.config)

    def _groups(self, facts: Any) -> list[tuple[str, dict[str, Any]]]:
        groups: dict[str, dict[str, set[str]]] = {}
        for record in self.records:
            places = groups.setdefault(json.dumps(facts(record), sort_keys=True), {})
            places.setdefault(record.suite, set()).add(record.task_id)
        return [
            ("; ".join(f"{suite}: {_some(sorted(tasks))}" for suite, tasks in sorted(places.items())), json.loads(key))
            for key, places in sorted(groups.items())
        ]


def _some(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= 3 else f"{len(names)} tasks"


def curves(view: SuiteView, name: str) -> dict[str, Markup]:
    """Return a submission's small learning curves by task."""
    drawn = {}
    for submission, task_id in view.drawer.cells:
        if submission == name:
            estimate = mean_estimate(view.drawer.curve(name, task_id).values, view.board.seed, RESAMPLES // 4)
            drawn[task_id] = small_curve(estimate, task_id in view.board.references)
    return drawn


def submission_facts(name: str, records: Sequence[RunRecord], manifests: Mapping[str, Submission]) -> SubmissionFacts:
    """Collect what is known of a submission, its records sorted."""
    ours = sorted((r for r in records if r.submission == name), key=lambda r: (r.suite, *r.cell))
    return SubmissionFacts(name, manifests.get(name), ours)
