"""Numbers that nobody can have measured: returns beyond what an episode can give, steps beyond the horizon, copies.

The evaluation episodes of every run and mark are known, and so is the best that whoever sees everything can do in
them. So a return is impossible or not; no luck is involved.
"""

from collections.abc import Iterable, Sequence

from benchmark.harness.suites import MARKS
from leaderboard.record import FinishedRun, Mark, RunRecord
from leaderboard.submission import where

# Records are written with seven digits, and rewards are added in single precision.
_TOLERANCE = 1e-4
# A record that is made up has hundreds of problems.
MOST_OF_A_RECORD = 5


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
    return (problems + _beyond_bounds(record))[:MOST_OF_A_RECORD]


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
    return copies, strange


def _slack(bound: float) -> float:
    return _TOLERANCE * max(1.0, abs(bound))
