"""What a ranking page shows: every board of a suite, row by row, with what sorting and filtering need."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import pandas as pd

from benchmark.harness.suites import Suite
from leaderboard.board import Board, frame, make_board, select
from leaderboard.classes import class_of
from leaderboard.costs import costs, ranks_in_class
from leaderboard.figures import Drawer
from leaderboard.palette import Colour
from leaderboard.record import RunRecord
from leaderboard.runtime import RuntimeRecord
from leaderboard.statistics import FLOOR
from leaderboard.tables import INTERVAL, Table, families, incomplete, ranking, task_table

# Less is better in these columns, and words begin with a: they are sorted upwards first.
_UPWARDS = (
    "rank",
    "submission",
    "task",
    "gap",
    "collapsed",
    "s/run",
    "in class",
    "class",
    "hardware",
    "parameters",
    "missing",
    "lacking",
)
# Columns with an interval that is drawn: by their names in the data.
_BARS = {"IQM": f"IQM {INTERVAL}", "score": f"score {INTERVAL}", "efficiency": f"sample efficiency {INTERVAL}"}
_NUMBER = re.compile(r"[-−]?\d[\d,]*(?:\.\d+)?")


@dataclass(frozen=True)
class Cell:
    """One entry: its text, what it is sorted by (None comes last), and the interval drawn, in percent of its track."""

    text: str
    key: float | str | None
    bar: Mapping[str, float] | None = None


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    name: str
    words: bool
    first: str  # the direction in which it is sorted first


@dataclass(frozen=True)
class Row:
    """One row: cells by column, and the submission it is about."""

    cells: dict[str, Cell]
    submission: str
    kind: str  # key of its class
    rank_in_class: str

    def summary(self) -> list[tuple[str, str]]:
        """Return all numbers but the rank, by their names."""
        return [(name, cell.text) for name, cell in self.cells.items() if name not in ("rank", "submission")]


@dataclass(frozen=True)
class View:
    """A table as the page shows it."""

    title: str
    columns: list[Column]
    rows: list[Row]
    notes: tuple[str, ...]

    @property
    def ranking(self) -> bool:
        """Whether submissions compete in it."""
        return any(column.name == "rank" for column in self.columns)

    @property
    def kinds(self) -> list[str]:
        """The classes that occur."""
        return sorted({row.kind for row in self.rows})


@dataclass(frozen=True)
class SuiteView:
    """A suite's boards and figures.

    Attributes:
        suite: which.
        records: everybody's; other suites' are left out here.
        board: over all families.
        palette: colour of each submission.
    """

    suite: Suite
    records: tuple[RunRecord, ...]
    board: Board
    palette: Mapping[str, Colour]

    @cached_property
    def runs(self) -> pd.DataFrame:
        """The frame of runs."""
        return frame(self.records, self.board)

    @cached_property
    def drawer(self) -> Drawer:
        """Who draws its figures."""
        return Drawer(self.board, self.runs, self.records, self.palette)

    @cached_property
    def ranked(self) -> Table:
        """The ranking over all families."""
        return ranking(self.runs, self.board)

    @cached_property
    def overall(self) -> View:
        """The ranking as the page shows it."""
        return self.view(self.ranked, self.board)

    def by_family(self) -> dict[str, View]:
        """The ranking within each family."""
        boards = {family: self.board.of_family(family) for family in self.board.families}
        return {family: self.view(ranking(self.runs, board), board) for family, board in boards.items()}

    def costs(self) -> View | None:
        """What each ranked submission took; None if nobody is complete."""
        return self._some(costs(self.runs, self.board, self.ranked))

    def families(self) -> View | None:
        """Each submission's IQM in every family; None if nobody is complete on any."""
        return self._some(families(self.runs, self.board))

    def incomplete(self) -> View | None:
        """Who lacks runs; None if nobody does."""
        return self._some(incomplete(self.runs, self.board))

    def task(self, task_id: str) -> View | None:
        """The results on one task; None if there are none."""
        return self._some(task_table(select(self.runs, "task_id", [task_id]), self.board), hidden=("task",))

    def submission(self, name: str) -> View | None:
        """A submission's results on every task; None if there are none."""
        return self._some(task_table(select(self.runs, "submission", [name]), self.board), hidden=("submission",))

    def _some(self, table: Table, hidden: tuple[str, ...] = ()) -> View | None:
        return self.view(table, self.board, hidden) if len(table.data) else None

    def view(self, table: Table, board: Board, hidden: tuple[str, ...] = ()) -> View:
        """Turn a table into rows that can be sorted, filtered and drawn."""
        if table.data.empty:
            return View(table.title, [], [], table.notes)
        names = [str(name) for name in table.cells if name not in hidden]
        columns = [Column(name, name in table.words, "ascending" if _upwards(name) else "descending") for name in names]
        data = table.data.to_dict("records")
        within = ranks_in_class(data, board)
        rows = []
        for place, text in enumerate(table.cells.to_dict("records")):
            numbers = data[place]
            name = str(numbers.get("submission", ""))
            cells = {column: Cell(str(text[column]), sorting_key(str(text[column])), None) for column in names}
            for metric, column in _BARS.items():
                if column in cells and not math.isnan(numbers[metric]):
                    cells[column] = replace(
                        cells[column], bar=_bar(*(numbers[metric + e] for e in ("", "_low", "_high")))
                    )
            for column in {"submission", "task", "missing", "class", "hardware"} & set(cells):
                cells[column] = replace(cells[column], key=cells[column].text)
            if "task" in cells:  # named once in a long table, in every row of one that is sorted
                cells["task"] = Cell(str(numbers["task_id"]), str(numbers["task_id"]))
            rows.append(Row(cells, name, class_of(board.information.get(name, ())), within.get(name, "-")))
        return View(table.title, columns, rows, table.notes)


def suite_view(
    suite: Suite,
    records: tuple[RunRecord, ...],
    search: Any,
    palette: Mapping[str, Colour],
    resamples: int,
    runtimes: tuple[RuntimeRecord, ...] = (),
) -> SuiteView:
    """Return the view of a suite's records and of timings."""
    ours = tuple(record for record in records if record.suite == suite.name)
    board = replace(make_board(suite, ours, search, runtimes), resamples=resamples)
    return SuiteView(suite, ours, board, palette)


def _upwards(column: str) -> bool:
    return column in _UPWARDS or column.startswith("s/run on ")


def sorting_key(text: str) -> float | None:
    """Return the number that a cell begins with."""
    match = _NUMBER.match(text.lstrip("<≤~ "))
    return float(match[0].replace(",", "").replace("−", "-")) if match else None


# The track that intervals are drawn on runs from the floor to a little above the reference.
_LEFT, _RIGHT = FLOOR, 1.25


def _bar(point: float, low: float, high: float) -> dict[str, float]:
    def percent(score: float) -> float:
        return round(100 * (min(max(score, _LEFT), _RIGHT) - _LEFT) / (_RIGHT - _LEFT), 2)

    if math.isnan(low):
        low = high = point
    return {"point": percent(point), "low": percent(low), "wide": round(max(0.0, percent(high) - percent(low)), 2)}


TRACK = {"zero": round(100 * (0 - _LEFT) / (_RIGHT - _LEFT), 2), "one": round(100 * (1 - _LEFT) / (_RIGHT - _LEFT), 2)}
