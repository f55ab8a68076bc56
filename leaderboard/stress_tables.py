"""Tables of degradation curves."""

import math
from collections.abc import Sequence

from benchmark.measures.references import CONTROL, reference
from leaderboard import cells
from leaderboard.robustness import Comparison, Degradation, robustness
from leaderboard.statistics import RESAMPLES, Estimate, mean_estimate
from leaderboard.tables import INTERVAL, UNKNOWN, Row, Table, table_of


def report(found: Sequence[Degradation], seed: int = 0, resamples: int = RESAMPLES) -> list[Table]:
    """Write a table for each stress: a row for every level, a column for every submission, with intervals.

    Args:
        found: all trained at every level, or all at the mildest only.
        seed: of the intervals.
        resamples: of the intervals.
    """
    tables = []
    for stress in dict.fromkeys(entry.stress for entry in found):
        mine = sorted((entry for entry in found if entry.stress == stress), key=lambda entry: -entry.areas.mean())
        rows = [_row(f"{level:g}", level, mine, seed, resamples) for level, _ in stress.levels]
        rows += [_row(name, None, mine, seed, resamples) for name in ("area", "robustness", "cost")]
        counts = ", ".join(f"{entry.submission} {len(entry.scores)}" for entry in mine)
        trained = f"trained at {mine[0].levels[0]:g} and" if mine[0].unseen else "trained and"
        notes = (
            f"Score at each level, {trained} evaluated there, against that level's references. {INTERVAL} "
            f"Runs: {counts}.",
            "area: mean score over the levels; robustness: the share of the mildest level's score that it is; cost: "
            "what the hardest level takes from the mildest's score, run by run.",
            *_reference_note(mine),
        )
        title = f"{stress.task_id} under {stress.name}" + ", never trained under it" * mine[0].unseen
        tables.append(table_of(title, rows, notes, words=(stress.name,)))
    return tables


def _reference_note(entries: Sequence[Degradation]) -> list[str]:
    """Warn where scores are against a policy that the stress hurts more than it need."""
    stress = entries[0].stress
    if stress.name not in CONTROL:
        return []
    hardest = dict(stress.levels)[max(entry.levels[-1] for entry in entries)]
    if reference(hardest).details["reference"]["episodes"] is None:
        return []  # solved exactly
    return [
        "reference: what the reference policy returns there. It believes that actions obey and is no optimum where "
        "they do not: a score that rises says that it loses more than the learner."
    ]


def _row(name: str, level: float | None, entries: Sequence[Degradation], seed: int, resamples: int) -> Row:
    """Write one row of a table: a level's scores, or with no level a measure of the whole curve."""
    stress = entries[0].stress
    numbers: dict[str, object] = {stress.name: name, "reference": math.nan}
    text: dict[str, str] = {stress.name: name, "reference": ""}
    if level is not None and any(level in entry.levels for entry in entries):
        known = reference(dict(stress.levels)[level]).reference
        numbers["reference"], text["reference"] = known, cells.amount(known)
    for entry in entries:
        estimate = _estimate(entry, name, level, seed, resamples)
        who = entry.submission
        numbers |= {key: float(value) for key, value in cells.numbers(who, estimate).items()}
        text[who] = cells.interval(estimate, 2)
    return numbers, text


def _estimate(entry: Degradation, name: str, level: float | None, seed: int, resamples: int) -> Estimate:
    if name == "robustness":
        return robustness([entry], seed, resamples) if entry.learned else UNKNOWN
    if name in ("area", "cost"):
        return mean_estimate(entry.areas if name == "area" else -entry.kept[:, -1], seed, resamples)
    played = list(entry.levels)
    return mean_estimate(entry.scores[:, played.index(level)], seed, resamples) if level in played else UNKNOWN


def comparison_table(compared: Sequence[Comparison]) -> Table:
    """Write, for every stress, whether one submission degrades faster than another."""
    first, second = compared[0].first.submission, compared[0].second.submission
    rows: list[Row] = []
    for entry in compared:
        stress, runs = entry.stress, f"{len(entry.first.scores)} and {len(entry.second.scores)}"
        levels = f"{len(entry.first.levels)} of {len(stress.levels)}"
        numbers: dict[str, object] = {"stress": stress.name, "task_id": stress.task_id, "answer": entry.answer}
        for name, estimate in (("cost", entry.cost), ("kept", entry.kept)):
            numbers |= {key: float(value) for key, value in cells.numbers(name, estimate).items()}
        text = {"stress": stress.name, "task": stress.task_id, "levels": levels, "runs": runs}
        text |= {"lost more": cells.interval(entry.cost), "share kept more": cells.interval(entry.kept)}
        rows.append((numbers, text | {f"{first} degrades": entry.answer}))
    notes = (
        f"lost more: what {first} loses on average over the levels, in points of score, less what {second} loses; "
        f"share kept more: the same with shares of the own score at the mildest level. {INTERVAL}",
        "Rule: faster if the first interval lies above 0 and the second below; slower if it is the other way round; "
        "not told apart otherwise. It cannot be said where one of them has a single run, or learned nothing at the "
        "mildest level.",
    )
    where = " where neither has learned" * compared[0].first.unseen
    return table_of(
        f"Does {first} degrade faster than {second}{where}?", rows, notes, ("stress", "task", f"{first} degrades")
    )
