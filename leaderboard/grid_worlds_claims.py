"""The claims of arXiv 2504.08417 about the grid-worlds, judged by our records."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise

from benchmark.tasks.registry import make_task, spec
from leaderboard import cells
from leaderboard.claims import (
    CONTRADICTED,
    GREATER,
    HOLDS,
    MISSING,
    NO_ADVANTAGE,
    UNDECIDED,
    Claim,
    Statement,
    difference,
    greater,
    no_advantage,
)
from leaderboard.grid_worlds import BARS, BASELINES, HALF, NAMES, OURS, SEED, Cell, Results, without_inference
from leaderboard.statistics import CONFIDENCE, Estimate, difference_estimate
from leaderboard.variance import Course, Variances

PAPER_TASKS = ("oracle-v0", "gathering-v0", "escape-room-v0")
VARIANT_TASKS = ("oracle-strict-v0",)
# Of the variance before an informative event: what is left after one that says nothing, give or take this share.
SAME = 0.1


def claims(found: Results, variances: Variances | None, ablated: Results | None = None) -> list[Claim]:
    """Return all claims, in the paper's order.

    Args:
        found: on which they are judged.
        variances: of beliefs around events that inform.
        ablated: of the suite in which settings were changed, if that is another one.
    """
    strict = " on oracle-strict-v0 (our variant, where a wrong box ends the episode)"
    return [
        Claim("Belief-I2Q scores higher than both on Oracle, Gathering and Escape Room",
              f"mean final score over runs; {GREATER}", _higher(found, PAPER_TASKS)),
        Claim("Belief-I2Q learns faster than both there",
              f"mean area under the learning curve, as a score; {GREATER}", _faster(found, PAPER_TASKS)),
        Claim(f"The same{strict}", f"score and area as above; {GREATER}",
              [*_higher(found, VARIANT_TASKS), *_faster(found, VARIANT_TASKS)]),
        Claim("Belief-I2Q has no advantage on HoneyComb",
              f"mean final score over runs; {NO_ADVANTAGE}", _no_advantage(found)),
        Claim("Belief-I2Q gets worse on HoneyComb with more agents",
              f"mean final score with fewer agents less that with more; {GREATER}", _more_agents(found)),
        Claim("Its belief has a higher variance before an informative event than after it",
              f"mean variance in the steps before less that in the steps after; {GREATER}; on HoneyComb, where "
              f"the event says nothing, holds if the interval lies within {SAME:.0%} of the variance before",
              _informative(variances)),
        *_settings(found, *([ablated] if ablated else [])),
        Claim("Not the paper's but ours: the learners do learn",
              f"IQM of the final score; holds if its {CONFIDENCE:.0%} interval lies above the bar, contradicted if "
              "below, else undecided", _bars(found)),
    ]  # fmt: skip


def _higher(found: Results, tasks: Sequence[str]) -> list[Statement]:
    return [
        _compared(f"{title(task_id)}, score above {NAMES[name]}", found.get(OURS, task_id), found.get(name, task_id))
        for task_id in tasks
        for name in BASELINES
    ]


def _compared(
    about: str, first: Cell | None, second: Cell | None, judge: Callable[[Estimate], str] = greater, of: str = "scores"
) -> Statement:
    """Judge the difference of two cells' means; ``of`` says of what: ``"scores"`` or ``"efficiency"``."""
    if first is None or second is None:
        return Statement(about, MISSING, "")
    ours, theirs = getattr(first, of), getattr(second, of)
    gap = difference_estimate(ours, theirs, SEED)
    counts = f"{len(ours)} and {len(theirs)} runs"
    return Statement(about, judge(gap), f"{ours.mean():.3f} against {theirs.mean():.3f}, {difference(gap)}; {counts}.")


def _faster(found: Results, tasks: Sequence[str]) -> list[Statement]:
    statements = []
    for task_id in tasks:
        for name in BASELINES:
            about = f"{title(task_id)}, area above {NAMES[name]}"
            first, second = found.get(OURS, task_id), found.get(name, task_id)
            statement = _compared(about, first, second, of="efficiency")
            if first is not None and second is not None:
                soon = f"First evaluation that scores {HALF:g}: {halfway(first)} against {halfway(second)}."
                statement = statement._replace(measured=f"{statement.measured} {soon}")
            statements.append(statement)
    return statements


def _bars(found: Results) -> list[Statement]:
    """Judge whether each cell passes the bar that was set for it before it was trained."""
    statements = []
    for (name, task_id), bar in BARS.items():
        about, cell = f"{title(task_id)}, {NAMES[name]} above {bar:g}", found.get(name, task_id)
        if cell is None:
            statements.append(Statement(about, MISSING, ""))
            continue
        over = Estimate(*(value - bar for value in cell.score))
        statements.append(Statement(about, greater(over), f"{cells.interval(cell.score)}; {len(cell.scores)} runs."))
    return statements


def halfway(cell: Cell) -> str:
    """Write ``450 episodes (9 of 10 runs)``: the mean over the runs that got there."""
    episodes, count = cell.halfway()
    after = f"{episodes:,.0f} episodes" if count else "never"
    return f"{after} ({count} of {len(cell.scores)} runs)"


def _no_advantage(found: Results) -> list[Statement]:
    return [
        _compared(
            f"{title(task_id)}, score not above {NAMES[name]}",
            found.get(OURS, task_id),
            found.get(name, task_id),
            no_advantage,
        )
        for task_id in found.honeycombs
        for name in BASELINES
    ]


def _more_agents(found: Results) -> list[Statement]:
    tasks = found.honeycombs
    pairs = [*pairwise(tasks), (tasks[0], tasks[-1])] if len(tasks) > 1 else []
    statements = []
    for few, many in pairs:
        about = f"{_agents(few)} above {_agents(many)} agents"
        first, second = found.get(OURS, few), found.get(OURS, many)
        statement = _compared(about, first, second)
        if first is not None and second is not None:
            ends = without_inference(few), without_inference(many)
            beside = difference_estimate(first.scores - ends[0], second.scores - ends[1], SEED)
            statement = statement._replace(
                measured=f"{statement.measured} Who infers nothing scores {ends[0]:.3f} and {ends[1]:.3f}; measured "
                f"from there, {difference(beside)}: {greater(beside)}."
            )
        statements.append(statement)
    return statements


def _informative(variances: Variances | None) -> list[Statement]:
    if variances is None:
        return [Statement("All tasks", MISSING, "")]
    statements = []
    for task in variances.tasks:
        learned, exact = task.kinds["learned"], task.kinds["exact"]
        control = spec(task.task_id).family == "honeycomb"
        verdict = unchanged(learned) if control else greater(learned.difference)
        told = (
            f"Learned belief: {learned.before.point:.2f} before, {learned.after.point:.2f} after (squared cells), "
            f"{difference(learned.difference, 2)}; exact posterior: {exact.before.point:.2f} before, "
            f"{exact.after.point:.2f} after; {learned.episodes} episodes."
        )
        event = f"when {task.event}{', which says nothing' if control else ''}"
        statements.append(Statement(f"{title(task.task_id)}, {event}", verdict, told))
    return statements


def unchanged(course: Course) -> str:
    """Judge that an event changes nothing: the difference lies within ``SAME`` of the variance before, or beyond."""
    limit, (_, low, high) = SAME * course.before.point, course.difference
    if -limit < low and high < limit:
        return HOLDS
    return CONTRADICTED if low > limit or high < -limit else UNDECIDED


# What is changed, and what is asked.
_ASKED: Mapping[str, str] = {
    "variance": "The belief's uncertainty is useful to the policy",
    "samples": "The effect of m, the number of belief samples",
    "beta": "The effect of beta, the weight of the divergence in the belief's loss",
}


def _settings(*found: Results) -> Iterable[Claim]:
    """Judge what changed settings do, where such records were found; defaults and changes of the same suite."""
    rule = f"mean final score of the defaults less that with the change, in the suite named; {GREATER}"
    for parameter, asked in _ASKED.items():
        statements = []
        for results in found:
            changed = [cell for cell in results.variants if cell.submission == OURS and set(cell.config) == {parameter}]
            for cell in sorted(changed, key=lambda cell: (results.tasks.index(cell.task_id), cell.config[parameter])):
                setting = str(cell.config[parameter]).lower()
                about = f"{title(cell.task_id)}, suite {results.suite.name}, defaults above {parameter} = {setting}"
                statements.append(_compared(about, results.get(OURS, cell.task_id), cell))
        if statements:
            yield Claim(asked, rule, statements)


def title(task_id: str) -> str:
    """Name a task, HoneyComb by its number of agents."""
    if spec(task_id).family == "honeycomb":
        return f"HoneyComb, {_agents(task_id)} agents"
    return task_id


def _agents(task_id: str) -> int:
    return make_task(task_id).agents
