"""Does a claim hold? An answer by a rule that was fixed before the numbers came, and a sentence made from them."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from leaderboard import cells
from leaderboard.statistics import CONFIDENCE, Estimate
from leaderboard.tables import Row, Table, table_of

HOLDS, CONTRADICTED, UNDECIDED, MISSING = "holds", "contradicted", "undecided", "not measured"
# An advantage in score that is too small to speak of.
MARGIN = 0.1


class Statement(NamedTuple):
    """One comparison that a claim makes, and what was measured."""

    about: str
    verdict: str
    measured: str  # a sentence; empty if nothing was measured


class Claim(NamedTuple):
    """What is claimed, by which rule it is judged, and what came of it."""

    title: str
    rule: str
    statements: Sequence[Statement]


def greater(difference: Estimate) -> str:
    """Judge that something is greater: the difference's interval lies above 0, below it, or holds it."""
    return HOLDS if difference.low > 0 else CONTRADICTED if difference.high < 0 else UNDECIDED


def no_advantage(difference: Estimate) -> str:
    """Judge that there is no advantage: contradicted if there is one for certain, however small.

    It holds only if an advantage of ``MARGIN`` is excluded: not to know is no evidence of absence.
    """
    return CONTRADICTED if difference.low > 0 else HOLDS if difference.high < MARGIN else UNDECIDED


GREATER = (
    f"holds if the {CONFIDENCE:.0%} interval of the difference lies above 0, contradicted if below, else undecided"
)
NO_ADVANTAGE = (
    f"contradicted if the {CONFIDENCE:.0%} interval of the difference lies above 0, holds if it lies below "
    f"{MARGIN:g}, else undecided"
)


def overview(claims: Sequence[Claim]) -> Table:
    """Count, claim by claim, how many of its comparisons came out how."""
    rows: list[Row] = []
    for number, claim in enumerate(claims, start=1):
        found = Counter(statement.verdict for statement in claim.statements)
        counts = {verdict: found[verdict] for verdict in (HOLDS, CONTRADICTED, UNDECIDED, MISSING)}
        text = {"#": str(number), "claim": claim.title} | {name: str(count or ".") for name, count in counts.items()}
        rows.append(({"claim": claim.title, **counts}, text))
    notes = ["How many comparisons of each claim came out how. The rules, the comparisons and their numbers are below."]
    return table_of("The paper's claims, and what was measured", rows, notes, ("claim",))


def told(claim: Claim, number: int) -> str:
    """Tell a claim in Markdown: its rule, then each comparison with its answer."""
    lines = [f"### {number}. {claim.title}", "", f"Rule: {claim.rule}.", ""]
    for about, verdict, measured in claim.statements:
        lines.append(f"- {about}: **{verdict}**." + f" {measured}" * bool(measured))
    return "\n".join(lines) + "\n"


def difference(estimate: Estimate, digits: int = 3) -> str:
    """Write ``difference +0.030 [0.010, 0.050]``."""
    text = cells.interval(estimate, digits)
    return f"difference {text}" if text.startswith("-") else f"difference +{text}"
