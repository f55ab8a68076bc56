"""From the frame of runs to tables: a ranking, its families, its tasks, and who beats whom.

A table holds its numbers (``data``, what CSV gets) and the same facts as people read them (``cells``). Whoever reads
one finds under it what every number means and how it was drawn. ``leaderboard.render`` writes tables out.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from benchmark.measures.watch import LOST
from benchmark.tasks.registry import spec
from leaderboard import cells
from leaderboard.board import Board, collapsed, complete, counted, missing, score_matrix, select
from leaderboard.improvement import Improvement, probability_of_improvement
from leaderboard.robustness import Degradation, robustness, whole_ladders
from leaderboard.statistics import CONFIDENCE, FLOOR, Estimate, interval_estimates, mean_estimate, ranks

INTERVAL = f"[{CONFIDENCE:.0%} interval]"
UNKNOWN = Estimate(math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes:
        title: one line.
        data: numbers, one to a column, under names for programs.
        cells: strings, under names for people.
        notes: sentences that belong under it.
        words: the columns of ``cells`` that are aligned left.
    """

    title: str
    data: pd.DataFrame
    cells: pd.DataFrame
    notes: tuple[str, ...] = ()
    words: tuple[str, ...] = ("submission", "task")


def ranking(runs: pd.DataFrame, board: Board) -> Table:
    """Rank the submissions that have every run of every ranked task, by IQM; intervals decide about ties."""
    estimates = _estimates(runs, board)
    names = sorted(estimates, key=lambda name: (-estimates[name]["IQM"].point, name))
    competing = [name for name in names if board.is_ranked(name)]
    rank = dict(zip(competing, ranks([estimates[name]["IQM"] for name in competing]), strict=True))
    rows = [_ranking_row(runs, board, name, rank.get(name), estimates[name]) for name in names]
    notes = [
        f"{len(board.tasks)} ranked tasks, {board.suite.runs} runs on each. score = (return - trivial) / (reference "
        "- trivial): 0 is the best policy that ignores observations, 1 the best known policy that uses only what "
        "agents observe; both are fixed per task version.",
        f"Aggregates use scores clipped below at {FLOOR:g}. Brackets: {drawn(board)}.",
        "rank: 1 + the number of submissions whose interval lies wholly above; equal ranks are not separated by the "
        "data. gap: mean shortfall from score 1.",
        f"collapsed: runs that failed or scored below {FLOOR:g}; a failed run counts as {FLOOR:g}. s/run: seconds of "
        "training.",
    ]
    if any(text["rank"] == "-" for _, text in rows):
        notes.append("no rank (-): knows the rules of the tasks, or has a single run on each.")
    if any(text["s/run"].startswith("~") for _, text in rows):
        notes.append(f"~: others took more than {LOST:.0%} of the processor time while some of the runs were trained.")
    if ladders := whole_ladders(runs, board.families):
        _add_robustness(rows, ladders, board)
        notes.append(
            "kept (of): robustness, the share of its score that a submission keeps over all levels of a stress, "
            "averaged over the stresses (how many) that it climbed to the end; compare equal sets only. The tables of "
            "`penumbra stress` have intervals."
        )
    if any(text["belief (prior)"] != cells.NOTHING for _, text in rows):
        notes.append("belief: accuracy on the hidden variables, beside that of a prior that sees nothing.")
    family = f", family {board.family}" if board.family else ""
    return table_of(f"Penumbra leaderboard, suite {board.suite.name}{family}", rows, notes)


def _estimates(runs: pd.DataFrame, board: Board) -> dict[str, dict[str, Estimate]]:
    """Return the estimates of each submission that is complete on the board."""
    return {
        name: interval_estimates(score_matrix(runs, board, name), board.seed, board.resamples)
        for name in complete(runs, board)
    }


Row = tuple[dict[str, Any], dict[str, str]]  # numbers and text


def _ranking_row(
    runs: pd.DataFrame, board: Board, name: str, rank: int | None, estimates: Mapping[str, Estimate]
) -> Row:
    mine = select(select(runs, "submission", [name]), "task_id", board.tasks)
    means = {column: _mean(mine, column) for column in ("belief_accuracy", "prior_accuracy", "seconds")}
    fallen = collapsed(mine)
    data: dict[str, Any] = {"rank": rank, "submission": name}
    for metric, estimate in estimates.items():
        data |= cells.numbers(metric.replace(" ", "_"), estimate)
    data |= means | {"collapsed": fallen, "tasks": len(board.tasks), "runs": len(mine)}
    accuracy = cells.score(means["belief_accuracy"], 2)
    text = {
        "rank": str(rank or "-"),
        "submission": name,
        f"IQM {INTERVAL}": cells.interval(estimates["IQM"]),
        "median": cells.score(estimates["median"].point),
        "mean": cells.score(estimates["mean"].point),
        "gap": cells.score(estimates["optimality gap"].point),
        "belief (prior)": accuracy if accuracy == cells.NOTHING else f"{accuracy} ({means['prior_accuracy']:.2f})",
        "collapsed": cells.share(fallen),
        "s/run": cells.seconds(means["seconds"], float(mine["lost"].max())),
        "runs": str(len(mine)),
    }
    return data, text


def _add_robustness(rows: Iterable[Row], ladders: Mapping[str, list[Degradation]], board: Board) -> None:
    """Add a column for what is kept under stress; those who were not put under any have nothing in it."""
    for data, text in rows:
        mine = ladders.get(data["submission"], [])
        estimate = robustness(mine, board.seed, board.resamples) if mine else UNKNOWN
        data |= cells.numbers("robustness", estimate) | {"stresses": len(mine)}
        text["kept (of)"] = f"{cells.score(estimate.point, 2)} ({len(mine)})" if mine else cells.NOTHING


def incomplete(runs: pd.DataFrame, board: Board) -> Table:
    """List the submissions that lack runs of ranked tasks, with what is missing."""
    rows: list[Row] = []
    for name in sorted(set(select(runs, "task_id", board.tasks)["submission"])):
        if lacking := missing(runs, board, name):
            count = sum(map(len, lacking.values()))
            there = len(board.tasks) * board.suite.runs - count
            data = {"submission": name, "runs": there, "lacking": count, "missing": " ".join(lacking)}
            rows.append(
                (data, {key: str(value) for key, value in data.items()} | {"missing": _missing(lacking, board)})
            )
    notes = [
        "A board ranks only submissions that have every run of every ranked task on it. Each family is a board too."
    ]
    return table_of("Incomplete: not on this board", rows, notes, ("submission", "missing"))


def _missing(lacking: Mapping[str, list[int]], board: Board) -> str:
    parts = [
        task_id if len(seeds) == board.suite.runs else f"{task_id} (seed {', '.join(map(str, seeds))})"
        for task_id, seeds in lacking.items()
    ]
    return ", ".join(parts if len(parts) <= 3 else [*parts[:2], f"{len(parts) - 2} more tasks"])


def families(runs: pd.DataFrame, board: Board) -> Table:
    """Give each submission's IQM within every family on which it is complete."""
    boards = {family: board.of_family(family) for family in board.families}
    found: dict[str, dict[str, Estimate]] = {}
    for family, part in boards.items():
        for name, estimates in _estimates(runs, part).items():
            found.setdefault(name, {})[family] = estimates["IQM"]
    rows: list[Row] = []
    for name in sorted(found):
        data: dict[str, Any] = {"submission": name}
        for family in boards:
            data |= cells.numbers(family, found[name].get(family, UNKNOWN))
        rows.append((data, {"submission": name} | {f: cells.interval(found[name].get(f, UNKNOWN), 2) for f in boards}))
    counts = ", ".join(f"{family} {len(part.tasks)}" for family, part in boards.items())
    notes = [f"IQM of the scores of each family. Brackets: {drawn(board)}.", f"Ranked tasks: {counts}."]
    if any(cells.NOTHING in text.values() for _, text in rows):
        notes.append(f"{cells.NOTHING}: lacks runs of that family.")
    return table_of("Families", rows, notes)


def improvement(runs: pd.DataFrame, board: Board) -> Table:
    """Give the probability that a run of the row's submission beats one of the column's, averaged over tasks."""
    matrices = {name: score_matrix(runs, board, name) for name in complete(runs, board)}
    pairs = probability_of_improvement(matrices, board.seed, board.resamples)
    names = sorted(matrices, key=lambda name: (-_average_win(pairs, name), name))
    data = [
        {"x": x, "y": y, **cells.numbers("probability", pairs[x, y].average)} for x in names for y in names if x != y
    ]
    text = [
        {"#": str(place), "submission": x}
        | {str(n): cells.probability(pairs[x, y].average) if x != y else "." for n, y in enumerate(names, 1)}
        for place, x in enumerate(names, 1)
        if data
    ]
    notes = (
        f"P(row > column): a run of one beats a run of the other on the same task; ties count half; averaged over "
        f"{len(board.tasks)} tasks.",
        f"*: the interval excludes 1/2 ({drawn(board)}).",
    )
    return Table("Probability of improvement", pd.DataFrame(data), pd.DataFrame(text), notes)


def _average_win(pairs: Mapping[tuple[str, str], Improvement], name: str) -> float:
    wins = [result.average.point for (x, _), result in pairs.items() if x == name]
    return sum(wins) / max(len(wins), 1)


def task_table(runs: pd.DataFrame, board: Board, family: str | None = None) -> Table:
    """Give raw returns beside scores, task by task; diagnostic and perturbed tasks too."""
    part = runs if family is None else select(runs, "family", [family])
    order = {task_id: place for place, task_id in enumerate(board.suite.tasks)}
    rows: list[Row] = []
    for task_id in sorted(set(part["task_id"]), key=lambda task_id: (order.get(task_id, len(order)), task_id)):
        played = select(part, "task_id", [task_id])
        found = [_task_row(board, task_id, name, played) for name in sorted(set(played["submission"]))]
        found.sort(key=lambda row: row[0]["return"] if row[1]["return"] != cells.NOTHING else -math.inf, reverse=True)
        # A task is named once, on its first row.
        rows += [(data, text if place == 0 else text | {"task": ""}) for place, (data, text) in enumerate(found)]
    notes = [
        "return: mean ± standard deviation over runs of the final greedy return; with noise: 5% random actions.",
        f"score: mean over runs, clipped below at {FLOOR:g}. Brackets: {drawn(board)}.",
    ]
    return table_of(f"Tasks: {family}" if family else "Tasks", rows, notes)


def _task_row(board: Board, task_id: str, name: str, played: pd.DataFrame) -> Row:
    mine = select(played, "submission", [name])
    done = select(mine, "failed", [False])
    mean, noisy = _mean(done, "final_return"), _mean(done, "final_return_noisy")
    spread = float(done["final_return"].to_numpy(float).std(ddof=1)) if len(done) > 1 else math.nan
    # Without references there is no score; with them every run has one, failed ones too.
    scored = task_id in board.references
    estimate = mean_estimate(counted(mine), board.seed, board.resamples) if scored else UNKNOWN
    fallen = collapsed(mine)
    data = {"task_id": task_id, "submission": name, "return": mean, "return_deviation": spread, "return_noisy": noisy}
    data |= cells.numbers("score", estimate) | {"collapsed": fallen, "runs": len(mine)}
    text = {
        "task": task_id,
        "submission": name,
        "return": f"{cells.amount(mean, spread)} ± {cells.amount(spread, mean)}" if len(done) else cells.NOTHING,
        "with noise": cells.amount(noisy),
        f"score {INTERVAL}": cells.interval(estimate),
        "collapsed": cells.share(fallen),
        "runs": str(len(mine)),
    }
    return data, text


def scale(runs: pd.DataFrame, board: Board) -> Table:
    """Give the fixed returns that scores are measured against, for every task of the suite or that was played."""
    rows: list[Row] = []
    for task_id in dict.fromkeys((*board.suite.tasks, *sorted(set(runs["task_id"])))):
        points = board.references.get(task_id)
        values = (points.trivial, points.reference, points.optimum) if points else (math.nan,) * 3
        kind = "yes" if task_id in board.tasks else "no" if spec(task_id).ranked else "no, diagnostic"
        fixed = dict(zip(("trivial", "reference", "optimum"), values, strict=True))
        text = {name: cells.amount(value) for name, value in fixed.items()}
        rows.append(({"task_id": task_id, **fixed, "ranked": kind == "yes"}, {"task": task_id, **text, "ranked": kind}))
    notes = [
        "Returns with score 0 (trivial: random, or one action for ever) and score 1 (reference: the best known policy "
        "that uses only what agents observe), and the optimum of whoever sees the full state."
    ]
    return table_of("Scale", rows, notes, ("task", "ranked"))


def _mean(runs: pd.DataFrame, column: str) -> float:
    """Return the mean of a column over the runs that have the number; NaN if none has."""
    numbers = runs[column].dropna().to_numpy(float)
    return float(numbers.mean()) if len(numbers) else math.nan


def drawn(board: Board) -> str:
    """Say how a board's intervals are drawn."""
    how = f"stratified bootstrap over runs, {board.resamples:,} resamples, seed {board.seed}"
    return f"{CONFIDENCE:.0%} percentile intervals, {how}"


def table_of(
    title: str, rows: Iterable[Row], notes: Iterable[str], words: tuple[str, ...] = ("submission", "task")
) -> Table:
    """Put rows into a table."""
    rows = list(rows)
    data = pd.DataFrame([numbers for numbers, _ in rows])
    text = pd.DataFrame([text for _, text in rows] or [{"submission": "none"}])
    return Table(title, data, text, tuple(notes), words)
