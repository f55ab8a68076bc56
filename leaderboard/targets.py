"""What has to be reached in speed, and whether it is."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from leaderboard import cells, roofline
from leaderboard.roofline import Measured, fact
from leaderboard.tables import Table, table_of


@dataclass(frozen=True)
class Target:
    """Something that must be reached.

    Attributes:
        what: in words.
        least: the least number, or the most if ``at_most``.
        value: what was measured; None if it was not.
        at_most: whether less is better.
    """

    what: str
    least: float
    value: float | None
    at_most: bool = False

    @property
    def verdict(self) -> str:
        """Say whether it is reached."""
        if self.value is None:
            return "not measured"
        reached = self.value <= self.least if self.at_most else self.value >= self.least
        return "reached" if reached else "not reached"


def targets(measured: Sequence[Measured]) -> list[Target]:
    """Return the targets of the project with what was measured."""

    def steps(task_id: str, device: str = "cpu") -> float | None:
        top = roofline.best(measured, task_id, device)
        return top.facts["steps_per_second"] if top else None

    def released(device: str) -> float | None:
        return fact(measured, "times_released", "training", name="belief-i2q-as-paper", runs=10, device=device)

    board = roofline.chosen(measured, "full_board")
    return [
        Target("Oracle, environment steps/s, two cores", 5e6, steps("oracle-v0")),
        Target("Escape Room, environment steps/s, two cores", 2e6, steps("escape-room-v0")),
        Target("Gathering, environment steps/s, two cores", 1e6, steps("gathering-v0")),
        Target("HoneyComb (10 agents), environment steps/s, two cores", 1e6, steps("honeycomb-v0")),
        Target("Organization (100 agents), environment steps/s, two cores", 5e5, steps("organization-full-100-v0")),
        Target("Oracle, environment steps/s, H200", 1e9, steps("oracle-v0", "cuda")),
        Target("Belief-I2Q, ten runs, times the released code, two cores", 20, released("cpu")),
        Target("Belief-I2Q, ten runs, times the released code, H200", 1000, released("cuda")),
        Target("Scoring of a full board, seconds", 10, board[0].seconds if board else None, at_most=True),
    ]


def targets_table(found: Iterable[Target]) -> Table:
    """Return the targets as a table."""
    rows = [
        (
            {"what": one.what, "target": one.least, "value": one.value},
            {
                "what": one.what,
                "target": f"{'at most ' * one.at_most}{number(one.least)}",
                "measured": cells.NOTHING if one.value is None else number(one.value),
                "": one.verdict,
            },
        )
        for one in found
    ]
    return table_of("Targets", rows, ["At the best batch that was measured."], ("what", ""))


def number(value: float) -> str:
    """Write three digits: ``0.0123``, ``4.56``, ``12,300,000``."""
    if math.isnan(value):
        return cells.NOTHING
    if value == 0 or math.isinf(value):
        return f"{value:g}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{float(f'{value:.3g}'):,.{digits}f}"
