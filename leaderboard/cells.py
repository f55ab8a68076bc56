"""How numbers look in a table: short, aligned, and honest about what is missing."""

import math

from benchmark.measures.watch import LOST
from leaderboard.statistics import Estimate

NOTHING = "n/a"


def score(value: float, digits: int = 3) -> str:
    """Write ``0.812``."""
    return NOTHING if math.isnan(value) else f"{value:z.{digits}f}"


def interval(estimate: Estimate, digits: int = 3) -> str:
    """Write ``0.812 [0.790, 0.834]``; with two digits ``0.81 [0.79,0.83]``; without an interval ``0.812 [n/a]``."""
    if math.isnan(estimate.point):
        return NOTHING
    comma = ", " if digits > 2 else ","
    ends = (
        NOTHING if math.isnan(estimate.low) else f"{score(estimate.low, digits)}{comma}{score(estimate.high, digits)}"
    )
    return f"{score(estimate.point, digits)} [{ends}]"


def probability(estimate: Estimate) -> str:
    """Write ``0.81``, with ``*`` if the interval excludes one half."""
    return f"{estimate.point:.2f}{'*' if estimate.low > 0.5 or estimate.high < 0.5 else ''}"


def amount(value: float, beside: float = 0.0) -> str:
    """Write a return with about four digits: ``25,012``, ``612.3``, ``12.35``, ``0.812``.

    Args:
        value: the number.
        beside: a number that stands next to it; both get the decimals of the larger.
    """
    if math.isnan(value):
        return NOTHING
    size = max(abs(value), 0.0 if math.isnan(beside) else abs(beside))
    digits = 0 if size >= 1000 else 1 if size >= 100 else 2 if size >= 10 else 3
    return f"{value:,.{digits}f}"


def seconds(value: float, lost: float = 0.0) -> str:
    """Write ``2.5``, ``12,345``; ``~2.5`` if others took more of the processor time than a timing can bear."""
    about = "~" * (lost > LOST)
    return NOTHING if math.isnan(value) else f"{about}{value:,.{1 if value < 100 else 0}f}"


def count(value: float) -> str:
    """Write ``12,345``."""
    return NOTHING if math.isnan(value) else f"{value:,.0f}"


def share(value: float) -> str:
    """Write ``4%``; a few of many never look like none."""
    return "<1%" if 0 < value < 0.005 else f"{value:.0%}"


def numbers(name: str, estimate: Estimate) -> dict[str, float]:
    """Return an estimate as columns ``name``, ``name_low``, ``name_high``."""
    return {name: estimate.point, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
