"""All tables that a board's runs give rise to."""

import pandas as pd

from leaderboard.board import Board
from leaderboard.costs import costs
from leaderboard.tables import Table, families, improvement, incomplete, ranking, scale, task_table
from leaderboard.timings import timings


def report(runs: pd.DataFrame, board: Board) -> list[Table]:
    """Return the ranking and whatever else the board's runs give rise to: all tables that have a row."""
    ranked = ranking(runs, board)
    played = list(dict.fromkeys(runs.sort_values("task_id")["family"]))
    tables = [
        costs(runs, board, ranked),
        timings(board),
        incomplete(runs, board),
        families(runs, board),
        improvement(runs, board),
    ]
    tables += [task_table(runs, board, family) for family in played]
    tables.append(scale(runs, board))
    return [ranked, *(table for table in tables if len(table.data))]
