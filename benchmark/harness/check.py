"""What is wrong with a submission, said before it has cost a night.

``verdicts`` runs the checks of ``rules`` one after another in a child process. One that crashes, hangs or eats memory
fails, and the next goes on in another process.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from benchmark.harness.child import Child, ChildError, Limits, Say
from benchmark.harness.contain import submission_from_json, submission_to_json
from benchmark.harness.probe import Trial
from benchmark.harness.record import Record
from benchmark.harness.rules import BY_NAME, CHECKS, REPEATS, TRAINS, Check
from benchmark.harness.submission import Submission
from benchmark.harness.suites import SUITES

EPISODES = 40
SECONDS = 60.0


class Verdict(NamedTuple):
    """The outcome of one check; what is found and what to do are empty if it passed."""

    check: str
    passed: bool
    found: str
    rule: str
    remedy: str
    seconds: float


def verdicts(
    submission: Submission, tasks: Sequence[str] = (), episodes: int = EPISODES, limits: Limits | None = None
) -> Iterator[Verdict]:
    """Check a submission; yields a verdict as soon as it is known.

    It is trained on the first task, where everything is checked, and then on the others with half the budget.

    Args:
        submission: what is checked.
        tasks: task ids; by default those of the quick suite that it applies to.
        episodes: budget of each run.
        limits: of each check.

    Raises:
        ValueError: if it applies to none of the tasks.
    """
    chosen = [task_id for task_id in tasks or SUITES["quick"].tasks if submission.applies_to(task_id)]
    if not chosen:
        raise ValueError(f"check: {submission.name!r} applies to none of {', '.join(tasks or SUITES['quick'].tasks)}")
    limits = limits or Limits(SECONDS)
    trial = Trial(submission, chosen[0], episodes)
    # Strings are hashed by another salt in the other process: whatever follows the order of a set will differ.
    with Child(limits, {"PYTHONHASHSEED": "0"}) as here, Child(limits, {"PYTHONHASHSEED": "1"}) as there:
        verdict, first = _ask(here, _trains_on(chosen[0]), trial)
        yield verdict
        if not verdict.passed:
            return  # nothing else can be found out
        verdict, again = _ask(there, REPEATS, trial)
        if verdict.passed and (difference := _difference(first, again)):
            verdict = verdict._replace(passed=False, found=difference, rule=REPEATS.rule, remedy=REPEATS.remedy)
        yield verdict
        there.close()
        for check in CHECKS:
            if check.needed(submission):
                yield _ask(here, check, trial)[0]
        for task_id in chosen[1:]:
            yield _ask(here, _trains_on(task_id), replace(trial, task_id=task_id, episodes=max(1, episodes // 2)))[0]


def _trains_on(task_id: str) -> Check:
    return replace(TRAINS, name=f"trains on {task_id}")


def _ask(child: Child, check: Check, trial: Trial) -> tuple[Verdict, Any]:
    started = time.perf_counter()
    question = {
        "check": next(name for name, entry in BY_NAME.items() if entry.run is check.run),
        "submission": submission_to_json(trial.submission),
        "task_id": trial.task_id,
        "episodes": trial.episodes,
    }
    found, answer = "", None
    try:
        answer = child.ask("benchmark.harness.check:check_there", question)
    except ChildError as error:
        found = error.line.removeprefix("Broken: ")
    rule, remedy = ("", "") if not found else (check.rule, check.remedy)
    return Verdict(check.name, not found, found, rule, remedy, time.perf_counter() - started), answer


def check_there(argument: dict[str, Any], say: Say) -> Any:
    """Run one check: called in the child."""
    trial = Trial(submission_from_json(argument["submission"]), argument["task_id"], argument["episodes"])
    return BY_NAME[argument["check"]].run(trial)


def _difference(first: list[Record], again: list[Record]) -> str:
    """Say where two repetitions first differ; nothing if they do not."""
    for run, (one, other) in enumerate(zip(first, again, strict=True)):
        for mark, (before, after) in enumerate(zip(one["marks"], other["marks"], strict=True)):
            for key in before:
                if before[key] != after[key]:
                    return f"run {run}, mark {mark}: {key} is {before[key]} in one process and {after[key]} in another"
        for key in one:
            if one[key] != other[key]:
                return f"run {run}: {key} is {one[key]} in one process and {other[key]} in another"[:500]
    return ""
