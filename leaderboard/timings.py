"""What timings say, phase by phase: a row for each submission, task and number of runs trained together."""

from collections.abc import Sequence
from typing import Any

from benchmark.harness.runtime import REPEATS, median_gib, median_phases
from leaderboard import cells
from leaderboard.board import Board
from leaderboard.runtime import RuntimeRecord
from leaderboard.tables import Row, Table, table_of

PHASES = {"startup": "start-up", "pretraining": "pre-training", "training": "training", "evaluation": "evaluation"}


def timings(board: Board) -> Table:
    """Give the normalised seconds of every phase, the memory needed, and how many timings count.

    Args:
        board: whose tasks and timings.
    """
    groups: dict[tuple[str, int, str, int], list[RuntimeRecord]] = {}
    order = {task_id: place for place, task_id in enumerate(board.suite.tasks)}
    for record in board.runtimes:
        if record.task_id in board.tasks:
            key = (record.submission, order[record.task_id], record.profile, record.stacked_runs)
            groups.setdefault(key, []).append(record)
    rows = [_row(groups[key]) for key in sorted(groups)]
    notes = [
        "Seconds of a training of 200 episodes, normalised to the profile: medians of the timings that count, or of "
        "all if none does; runs: trained together. See docs/metrics.md.",
        "GiB: the most memory held, of the GPU if there was one, else of the process. lost: the most of the processor "
        f"time that others took from one of them. counts: timings that count; {REPEATS} are needed.",
    ]
    return table_of("Timings", rows, notes, ("submission", "task", "profile"))


def _row(records: Sequence[RuntimeRecord]) -> Row:
    raw = [record._raw for record in records]
    phases, memory = median_phases(raw), median_gib(raw)
    lost = max((share or 0.0 for record in records for _, share in record.lost), default=0.0)
    clean = sum(not record.doubts for record in records)
    first = records[0]
    data: dict[str, Any] = {
        "submission": first.submission, "task_id": first.task_id, "profile": first.profile, "runs": first.stacked_runs
    }  # fmt: skip
    data |= {f"seconds_{phase}": seconds for phase, seconds in phases.items()}
    data |= {"gib": memory, "lost": lost, "counting": clean, "repeats": len(records)}
    text = {
        "submission": first.submission,
        "task": first.task_id,
        "profile": first.profile,
        "runs": str(first.stacked_runs),
        **{PHASES[phase]: cells.seconds(seconds) for phase, seconds in phases.items()},
        "GiB": f"{memory:.2f}",
        "lost": cells.share(lost),
        "counts": f"{clean} of {len(records)}",
    }
    return data, text
