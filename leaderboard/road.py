"""The road to a whole suite in one sitting on one accelerator, by the model of ``leaderboard.bill``: no measurement."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from benchmark.harness.schedule import simulate
from benchmark.harness.submission import Submission
from benchmark.harness.suites import Suite
from benchmark.tasks.registry import spec
from leaderboard.bill import Accelerator, Cell, Round, bill
from leaderboard.record import RunRecord
from leaderboard.tables import Row, Table, table_of

# What a kernel inside a captured graph takes of an eager kernel's launch. An assumption.
CAPTURED = 0.25


def road(
    suite: Suite,
    submissions: Iterable[Submission],
    records: Iterable[RunRecord],
    rounds: Mapping[str, Round],
    model: Accelerator,
) -> Table | None:
    """Return how many minutes the suite takes with more trainings at once and with cheaper launches.

    None if the model covers no cell.
    """
    submissions, records = list(submissions), list(records)

    def cells(launch: float) -> list[Cell]:
        found = bill(suite, submissions, records, rounds, replace(model, launch=launch))
        return [cell for cell in found if cell.accelerated is not None]

    eager = cells(model.launch)
    if not eager:
        return None
    moved = sum(_seconds(cells(0.0))) / 60
    rows: list[Row] = []
    for how, found in (("eager", eager), ("captured in graphs", cells(model.launch * CAPTURED))):
        for packed in (1, 4, model.together):
            work = [[time] for time in sorted(_seconds(found), reverse=True)]
            minutes = max(simulate(work, packed).makespan / 60, moved)
            numbers = {"launches": how, "packed": packed, "minutes": minutes}
            text = {"launches": how, "trainings at once": str(packed), "minutes": f"{minutes:,.0f}"}
            rows.append((numbers, text))
    notes = [
        f"NOT MEASURED. Suite {suite.name}, {len(eager)} cells with all runs stacked, training alone, by the model of "
        f"its bill: {model.launch * 1e6:g} us for each kernel, {model.launch * CAPTURED * 1e6:g} us inside a captured "
        f"graph (an assumption), and never less than the {moved:,.1f} minutes that all bytes take.",
        f"The largest items, eager and one at a time: {_largest(eager)}.",
    ]
    return table_of("The road to 30 minutes", rows, notes, ("launches",))


def _seconds(found: Sequence[Cell]) -> list[float]:
    return [cell.accelerated for cell in found if cell.accelerated is not None]


def _largest(found: Sequence[Cell], count: int = 4) -> str:
    groups: dict[tuple[str, str], float] = {}
    for cell in found:
        place = cell.submission, spec(cell.task_id).family
        groups[place] = groups.get(place, 0.0) + (cell.accelerated or 0.0)
    whole = sum(groups.values())
    ordered = sorted(groups.items(), key=lambda item: -item[1])[:count]
    return ", ".join(f"{name} on {family} {time / whole:.0%}" for (name, family), time in ordered)
