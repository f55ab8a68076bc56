"""Numbers that nobody can have measured: returns beyond what an episode can give, steps beyond the horizon, copies.

The evaluation episodes of every run and mark are known, and so is the best that whoever sees everything can do in
them. So a return is impossible or not; no luck is involved.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from scipy.stats import rankdata

from benchmark.harness.suites import FINAL_MARKS, MARKS
from leaderboard.record import FinishedRun, Mark, RunRecord
from leaderboard.submission import where

# Records are written with seven digits, and rewards are added in single precision.
_TOLERANCE = 1e-4
# A record that is made up has hundreds of problems.
MOST_OF_A_RECORD = 5
# What chance does once in a million records is taken for impossible: 14 nats.
LUCK = 14.0
# Returns of two runs that differ from the usual in so many episodes, and agree in so much, are no coincidence.
FEW, ALIKE = 5, 0.95


def implausible(records: Iterable[RunRecord]) -> tuple[list[str], list[str]]:
    """Return what cannot have been measured, and what is merely strange.

    Args:
        records: of listed tasks, following their suites.
    """
    finished = [record for record in records if isinstance(record, FinishedRun)]
    impossible = [f"{where(record)}: {problem}" for record in finished for problem in _impossible(record)]
    copies, strange = _copies(finished)
    return impossible + copies, strange


def _impossible(record: FinishedRun) -> list[str]:
    from benchmark.tasks.registry import make_task

    task = make_task(record.task_id)
    problems = []
    for place, mark in enumerate(record.marks):
        most = mark.episodes * task.horizon
        if mark.env_steps > most:
            problems.append(
                f"marks[{place}].env_steps={mark.env_steps} must be at most {most}: {mark.episodes} episodes of "
                f"{task.horizon} steps"
            )
        for kind in ("greedy", "noisy"):
            if (count := getattr(mark, kind).count) != len(record.final_returns):
                problems.append(f"marks[{place}].{kind}.count={count} must be {len(record.final_returns)}")
        if mark.env_steps < mark.episodes:
            problems.append(
                f"marks[{place}].env_steps={mark.env_steps} must be at least {mark.episodes}, one an episode"
            )
        if mark.agent_steps != mark.env_steps * task.agents:
            problems.append(
                f"marks[{place}].agent_steps={mark.agent_steps} must be {mark.env_steps * task.agents}: "
                f"{task.agents} agents"
            )
    last = record.marks[-1].greedy
    for key, said, value in (
        ("min", last.min, min(record.final_returns)),
        ("max", last.max, max(record.final_returns)),
    ):
        if abs(said - value) > _slack(value):
            problems.append(f"marks[{MARKS}].greedy.{key}={said} must be {value}, as in final_returns")
    return (problems + _beyond_bounds(record) + _beyond_knowledge(record))[:MOST_OF_A_RECORD]


def _beyond_knowledge(record: FinishedRun) -> list[str]:
    """Compare beliefs with what the histories tell, which are the same for everybody.

    The probability that a belief q gives to the truth is, step by step, at most the posterior's in expectation:
    E[q / p] = 1. So for n independent episodes the mean of log q - log p exceeds t with probability exp(-n t) at most
    (Markov's and Jensen's inequalities), and the accuracies' difference with exp(-n t^2 / 2) (Hoeffding's).
    """
    from benchmark.measures.posteriors import posterior_scores

    entry = posterior_scores(record.task_id)
    if record.beliefs is None or entry is None:
        return []
    episodes, known, said = entry["episodes"], entry["posterior"], record.beliefs
    least, most = known["nll"] - LUCK / episodes, known["accuracy"] + (2 * LUCK / episodes) ** 0.5
    rule = "is impossible: on the same histories the exact posterior has"
    problems = [f"beliefs.nll={said.nll} {rule} {known['nll']}"] if said.nll < least else []
    return problems + ([f"beliefs.accuracy={said.accuracy} {rule} {known['accuracy']}"] if said.accuracy > most else [])


def _beyond_bounds(record: FinishedRun) -> list[str]:
    """Compare every return with what its very episode can give."""
    from benchmark.measures.bounds import least, most
    from benchmark.measures.evaluation import evaluation_keys

    episodes = len(record.final_returns)
    high = most(record.task_id, evaluation_keys(record.seed, range(MARKS + 1), episodes))
    low = least(record.task_id)
    problems = []
    if high is not None:
        by_mark = high.view(MARKS + 1, episodes)
        for place, (value, bound) in enumerate(zip(record.final_returns, by_mark[-1].tolist(), strict=True)):
            if value > bound + _slack(bound):
                problems.append(
                    f"final_returns[{place}]={value} is impossible: the optimum of that episode is {bound:.7g}"
                )
        for place, (mark, bounds) in enumerate(zip(record.marks, by_mark, strict=True)):
            best = {"mean": float(bounds.mean()), "max": float(bounds.max())}
            problems += _compare(place, mark, best, "is impossible: the optimum of those episodes is", +1)
    if low is not None:
        for place, mark in enumerate(record.marks):
            problems += _compare(place, mark, {"min": low}, "is impossible: no episode returns less than", -1)
    return problems + _beyond_bounds_elsewhere(record)


def _beyond_bounds_elsewhere(record: FinishedRun) -> list[str]:
    from benchmark.measures.bounds import least, most
    from benchmark.measures.evaluation import evaluation_keys

    episodes, problems = len(record.final_returns), []
    keys = evaluation_keys(record.seed, range(MARKS + 1 - FINAL_MARKS, MARKS + 1), episodes)
    for task_id, entries in record.elsewhere.items():
        high, low = most(task_id, keys), least(task_id)
        for place, returns in enumerate(entries):
            if returns.count != episodes:
                problems.append(f"elsewhere.{task_id}[{place}].count={returns.count} must be {episodes}")
            top = math.inf if high is None else float(high.view(FINAL_MARKS, episodes)[place].mean())
            if returns.mean > top + _slack(top) or (low is not None and returns.min < low - _slack(low)):
                problems.append(f"elsewhere.{task_id}[{place}].mean={returns.mean} is impossible in those episodes")
    return problems


def _compare(place: int, mark: Mark, bounds: dict[str, float], rule: str, sign: int) -> list[str]:
    return [
        f"marks[{place}].{kind}.{key}={value} {rule} {bound:.7g}"
        for kind in ("greedy", "noisy")
        for key, bound in bounds.items()
        if sign * ((value := getattr(getattr(mark, kind), key)) - bound) > _slack(bound)
    ]


def _copies(records: Sequence[FinishedRun]) -> tuple[list[str], list[str]]:
    """Find runs of one task with the same returns, though each run is evaluated on episodes of its own.

    A policy that gets the same in every episode has the same returns under every seed. That is strange where there
    has been training on the way, and impossible to tell from a copy; where returns vary, it is a copy.
    """
    copies, strange = [], []
    first: dict[tuple[str, str, tuple[float, ...], tuple[float, ...]], FinishedRun] = {}
    for record in records:
        curve = tuple(mark.greedy.mean for mark in record.marks)
        other = first.setdefault((record.suite, record.task_id, tuple(record.final_returns), curve), record)
        if other is record or other.seed == record.seed:
            continue
        line = f"{where(record)}: seed={record.seed} has the same returns as seed={other.seed} in {where(other)}"
        if len(set(record.final_returns)) > 1:
            copies.append(f"{line}; different seeds are evaluated on different episodes, so one is a copy")
        elif len(set(curve)) > 1:
            strange.append(f"{line}, mark by mark")
    return copies + _near_copies(records), strange


def _near_copies(records: Sequence[FinishedRun]) -> list[str]:
    """Find runs whose returns rise and fall together, episode by episode, though their episodes are independent.

    Ranks are compared, so that one ruinous episode in the same place does not make runs alike.
    """
    cells: dict[tuple[str, str, str], list[FinishedRun]] = {}
    for record in records:
        _, usual = Counter(record.final_returns).most_common(1)[0]
        if len(record.final_returns) - usual >= FEW:
            cells.setdefault((record.submission, record.suite, record.task_id), []).append(record)
    copies = []
    for runs in cells.values():
        agreement = np.atleast_2d(np.corrcoef(rankdata([run.final_returns for run in runs], axis=1)))
        for one, other in zip(*np.nonzero(np.triu(agreement > ALIKE, 1)), strict=True):
            first, second = runs[one], runs[other]
            if first.final_returns != second.final_returns and first.seed != second.seed:
                copies.append(
                    f"{where(second)}: final_returns of seed={second.seed} follow those of seed={first.seed} in "
                    f"{where(first)} (their ranks correlate to {agreement[one, other]:.3f}); different seeds are "
                    "evaluated on different episodes, so one is a copy"
                )
    return copies


def _slack(bound: float) -> float:
    return _TOLERANCE * max(1.0, abs(bound))
