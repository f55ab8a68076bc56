"""What a score took: how many episodes, parameters and seconds, on which hardware, and with what information."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from leaderboard import cells
from leaderboard.board import Board, score_matrix, select
from leaderboard.classes import CLASSES, class_of
from leaderboard.runtime import REPEATS, timed
from leaderboard.statistics import FLOOR, Estimate, interval_estimates, ranks
from leaderboard.tables import INTERVAL, Row, Table, drawn, table_of


def costs(runs: pd.DataFrame, board: Board, ranked: Table) -> Table:
    """Give each submission's class, sample efficiency, parameters, seconds and hardware, in the ranking's order.

    Args:
        runs: the frame.
        board: which tasks.
        ranked: the board's ranking.
    """
    data: list[dict[Any, Any]] = ranked.data.to_dict("records")
    within = ranks_in_class(data, board)
    rows = [_row(runs, board, str(entry["submission"]), within) for entry in data]
    profiles = sorted({record.profile for record in board.runtimes})
    notes = [
        "class: the most that a submission uses beyond what an agent itself observes; in class: its rank there.",
        "sample efficiency: IQM, over runs and tasks, of the mean score over all evaluations after the start, clipped "
        f"below at {FLOOR:g}: whoever is good early has more of it. Brackets: {drawn(board)}.",
        "parameters: trainable ones of one run on the task where they are most, as the learner noted them. s/run: "
        "seconds of training.",
    ]
    if profiles:
        for numbers, text in rows:
            _add_timings(board, profiles, numbers, text)
        notes.append(
            f"s/run on {' and '.join(profiles)}: seconds of training that one run of the suite would take there, from "
            "short timings beside a calibration (docs/metrics.md). (contended): others disturbed them, or torch had "
            f"another number of threads; (too few): fewer than {REPEATS} repeats. Neither is compared with others'."
        )
        places = sorted({(numbers["timed_on"], numbers["submission"]) for numbers, _ in rows if numbers["timed_on"]})
        machines = {place: ", ".join(name for where, name in places if where == place) for place, _ in places}
        notes.append("timed on: " + "; ".join(f"{place} ({names})" for place, names in machines.items()) + ".")
    return table_of("Class and cost", rows, notes, ("submission", "class", "hardware"))


def _row(runs: pd.DataFrame, board: Board, name: str, within: Mapping[str, str]) -> Row:
    mine = select(select(runs, "submission", [name]), "task_id", board.tasks)
    efficiency = score_matrix(runs, board, name, "efficiency")
    estimate = interval_estimates(efficiency, board.seed, board.resamples)["IQM"]
    kind = class_of(board.information.get(name, ()))
    parameters, seconds = float(mine["parameters"].max()), float(mine["seconds"].mean())
    machines = sorted(set(mine["hardware"].dropna()))
    hardware = " and ".join(machines) if len(machines) <= 1 else f"{len(machines)} kinds"
    data = {"submission": name, "class": kind, "rank_in_class": within.get(name)}
    data |= cells.numbers("efficiency", estimate)
    data |= {"parameters": parameters, "seconds": seconds, "hardware": "; ".join(machines)}
    text = {
        "submission": name,
        "class": CLASSES[kind][0],
        "in class": within.get(name, "-"),
        f"sample efficiency {INTERVAL}": cells.interval(estimate),
        "parameters": cells.count(parameters),
        "s/run": cells.seconds(seconds, float(mine["lost"].max())),
        "hardware": hardware or cells.NOTHING,
    }
    return data, text


def _add_timings(board: Board, profiles: Sequence[str], numbers: dict[str, Any], text: dict[str, str]) -> None:
    """Add normalised seconds to a row, a column for each profile, and what they were measured on (data only)."""
    found = {
        profile: timed(board.runtimes, numbers["submission"], profile, board.tasks, board.suite) for profile in profiles
    }
    for profile, entry in found.items():
        numbers[f"seconds_{profile}"] = entry.seconds if entry else math.nan
        numbers[f"doubt_{profile}"] = entry.doubt if entry else ""
        written = cells.seconds(numbers[f"seconds_{profile}"])
        text[f"s/run on {profile}"] = f"{written} ({entry.doubt})" if entry and entry.doubt else written
    numbers["timed_on"] = "; ".join(sorted({entry.hardware for entry in found.values() if entry}))


def ranks_in_class(rows: Sequence[Mapping[Any, Any]], board: Board) -> dict[str, str]:
    """Rank the submissions of each class among themselves, as the board ranks them all.

    Args:
        rows: of a ranking's data; those of other tables have no ranks.
        board: which says who is ranked.
    """
    found: dict[str, str] = {}
    if not rows or "rank" not in rows[0]:
        return found
    groups: dict[str, list[Mapping[Any, Any]]] = {}
    for row in rows:
        if board.is_ranked(row["submission"]):
            groups.setdefault(class_of(board.information.get(row["submission"], ())), []).append(row)
    for members in groups.values():
        estimates = [Estimate(row["IQM"], row["IQM_low"], row["IQM_high"]) for row in members]
        found |= {row["submission"]: str(rank or "-") for row, rank in zip(members, ranks(estimates), strict=True)}
    return found
