"""Beliefs in worlds that they were not learned in: numbers written by ``python -m baselines.belief_shift``."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leaderboard import cells
from leaderboard.beliefs import POSTERIOR, PRIOR
from leaderboard.tables import Row, Table, table_of

COMMAND = "python -m baselines.belief_shift"
Scores = Mapping[str, float]


@dataclass(frozen=True)
class Shift:
    """Beliefs learned at some levels of a stress, asked about the histories of every level.

    Attributes:
        name: the stress, with its task.
        levels: of evaluation, from the mildest to the hardest.
        rows: by who believes, scores at each level; None where a belief does not fit, or no filter is known.
    """

    name: str
    levels: Sequence[float]
    rows: Mapping[str, Sequence[Scores | None]]


def read(path: Path) -> list[Shift]:
    """Read the file; nothing if there is none.

    Raises:
        ValueError: if it is not what the command writes.
    """
    if not path.exists():
        return []
    try:
        return [_shift(name, facts) for name, facts in json.loads(path.read_text()).items()]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{path}: is not what {COMMAND} writes ({error!r})") from None


def _shift(name: str, facts: Mapping[str, Any]) -> Shift:
    levels = [float(level) for level in facts["levels"]]
    learned = {f"learned at {level}": row for level, row in facts["learned"].items()}
    rows = {PRIOR: facts[PRIOR], **learned, POSTERIOR: facts["posterior"]}
    if any(len(row) != len(levels) for row in rows.values()):
        raise ValueError(f"{name}: a row has not {len(levels)} levels")
    return Shift(name, levels, rows)


def sentence(shift: Shift) -> str:
    """Say what becomes of the mildest world's belief in the hardest, beside the one that was learned there."""
    mildest, hardest = (shift.rows.get(f"learned at {level:g}") for level in (shift.levels[0], shift.levels[-1]))
    met, own = (None if row is None else row[-1] for row in (mildest, hardest))
    if met is None or own is None:
        return f"- {shift.name}: not measured at both ends.\n"
    return (
        f"- {shift.name}: met at {shift.levels[-1]:g}, the belief learned at {shift.levels[0]:g} has a negative "
        f"log-likelihood of {met['nll']:.2f} nats and a calibration error of {met['ece']:.2f}; the one learned there "
        f"has {own['nll']:.2f} and {own['ece']:.2f}.\n"
    )


def shift_table(shift: Shift) -> Table:
    """Write who believes, and at each level NLL and calibration error."""
    rows: list[Row] = []
    for name, scores in shift.rows.items():
        data: dict[str, object] = {"belief": name}
        text = {"belief": name}
        for level, entry in zip(shift.levels, scores, strict=True):
            nll, ece = (math.nan if entry is None else float(entry[measure]) for measure in ("nll", "ece"))
            data |= {f"nll_{level:g}": nll, f"ece_{level:g}": ece}
            text[f"at {level:g}"] = f"{nll:.3f} ({ece:.3f})" if entry else cells.NOTHING
        rows.append((data, text))
    notes = (
        "NLL in nats (expected calibration error) on held-out random play in the world of the column, of beliefs "
        f"learned in the world of the row. Written by `{COMMAND}`.",
    )
    return table_of(f"A belief in another world: {shift.name}", rows, notes, words=("belief",))
