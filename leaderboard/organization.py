"""What the records of Organization say beside the paper that it comes from (P21 = arXiv 2106.09825).

Every number in these tables is computed from run records, the exact optimum and the rules of the task, but for the
published ones (``leaderboard.published``). A cell is a submission on a task; if it was trained with several budgets,
the largest counts.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from benchmark.measures.references import reference
from benchmark.tasks.registry import spec
from leaderboard import cells, published
from leaderboard.record import FinishedRun, RunRecord
from leaderboard.statistics import Estimate, difference_estimate, interquartile_mean, interval_estimates
from leaderboard.tables import Row, Table, table_of

LEARNERS = ("ia2c++", "maddpg++")
SUMMARIES = ("cf", "mf")
# In the order of the paper's mean-field values at 27 agents, best first.
TOPOLOGIES = ("full", "lattice", "circle", "star", "tree")
# A run has settled at the first evaluation from which all lie within this share of its final return.
SETTLED = 0.02
SEED = 0
_TASK = re.compile(r"organization-([a-z]+)-(\d+)-v\d+")


class Place(NamedTuple):
    """Which firm a task is."""

    topology: str
    agents: int


@dataclass(frozen=True)
class Cell:
    """All runs of one submission on one task with one budget."""

    submission: str
    task_id: str
    runs: tuple[FinishedRun, ...]
    failed: int

    @property
    def place(self) -> Place:
        """Topology and number of agents."""
        return place_of(self.task_id)

    @cached_property
    def value(self) -> Estimate:
        """The interquartile mean of the runs' final returns: one bankrupt run must not outweigh nine others."""
        return interval_estimates([[run.final_return] for run in self.runs], SEED)["IQM"]

    @property
    def worst(self) -> float:
        """The lowest final return of a run."""
        return min(run.final_return for run in self.runs)

    @property
    def optimum(self) -> float:
        """The exact optimum of the task."""
        return reference(self.task_id).optimum


Cells = Mapping[tuple[str, Place], Cell]


def place_of(task_id: str) -> Place:
    """Read topology and number of agents off a task id."""
    match = _TASK.fullmatch(task_id)
    return Place(match[1], int(match[2])) if match else Place(task_id, 0)


def collect(records: Iterable[RunRecord]) -> dict[tuple[str, Place], Cell]:
    """Group the records of the family's unperturbed tasks into cells, sorted by submission and task."""
    groups: dict[tuple[str, str], list[RunRecord]] = {}
    for record in records:
        if ":" not in record.task_id and spec(record.task_id).family == "organization":
            groups.setdefault((record.submission, record.task_id), []).append(record)
    found: dict[tuple[str, Place], Cell] = {}
    for (submission, task_id), group in sorted(groups.items(), key=lambda item: (item[0][0], place_of(item[0][1]))):
        budget = max(record.budget_episodes for record in group)
        chosen = [record for record in group if record.budget_episodes == budget]
        runs = tuple(run for run in chosen if isinstance(run, FinishedRun))
        if runs:
            found[submission, place_of(task_id)] = Cell(submission, task_id, runs, len(chosen) - len(runs))
    return found


def table_1(found: Cells, summary: str) -> Table:
    """Put the paper's values beside ours and the exact optimum; sizes that the paper does not have follow."""
    names = [f"{learner}-{summary}" for learner in LEARNERS]
    more = {place.agents for name, place in found if name in names and place.topology in TOPOLOGIES}
    rows: list[Row] = []
    for topology in TOPOLOGIES:
        for agents in (*published.SIZES, *sorted(more - set(published.SIZES))):
            row = _row_of_table_1(found, summary, Place(topology, agents), names)
            if row is not None:
                rows.append(row)
    what = {"cf": "configurations (CF)", "mf": "mean field (MF)"}[summary]
    notes = [
        "Values sum over all agents and 30 steps. optimum: exact, by dynamic programming. paper: P21, Table 1.",
        "Ours: interquartile mean over runs of the final greedy return, with its 95% bootstrap interval; then its "
        "ratio to the optimum, the number of runs, and the worst run's ratio. A dash: no finished run yet.",
        *_budgets([cell for (name, _), cell in found.items() if name in names]),
        _presets([cell for (name, _), cell in found.items() if name in names]),
    ]
    return table_of(f"Table 1, {what}", rows, notes, ("topology",))


def _budgets(of: Sequence[Cell]) -> list[str]:
    """Say how long was trained where not everybody had the same number of episodes."""
    places: dict[int, list[str]] = {}
    for cell in of:
        places.setdefault(cell.runs[0].budget_episodes, []).append(f"{cell.submission} on {cell.task_id}")
    if len(places) < 2:
        return []
    most = max(places, key=lambda episodes: len(places[episodes]))
    others = (f"{episodes:,} ({', '.join(there)})" for episodes, there in sorted(places.items()) if episodes != most)
    return [f"Episodes of training: {most:,}, but {' and '.join(others)}."]


def _presets(of: Sequence[Cell]) -> str:
    """Say which preset of the learners made the numbers."""
    faithful = [
        f"{cell.submission} on {cell.task_id}" for cell in of if cell.runs[0].config.get("preset") == "faithful"
    ]
    where = f", but faithful: {', '.join(faithful)}" if faithful else ""
    return f"Preset: scalable{where}. baselines/README.md tells what it changes."


def _row_of_table_1(found: Cells, summary: str, place: Place, names: Sequence[str]) -> Row | None:
    paper = published.table_1(summary, place.topology, place.agents)
    present = {name: found[name, place] for name in names if (name, place) in found}
    if paper is None and not present:
        return None
    optimum = reference(f"organization-{place.topology}-{place.agents}-v0").optimum
    numbers: dict[str, Any] = {**place._asdict(), "optimum": optimum, "paper": math.nan if paper is None else paper}
    text = {
        "topology": place.topology,
        "N": str(place.agents),
        "optimum": f"{optimum:.0f}",
        "paper": "-" if paper is None else f"{paper:.0f}",
    }
    for name in names:
        cell = present.get(name)
        estimate = cell.value if cell else Estimate(math.nan, math.nan, math.nan)
        count = len(cell.runs) if cell else 0
        worst = cell.worst if cell else math.nan
        numbers |= cells.numbers(name, estimate) | {f"{name}_runs": count, f"{name}_worst": worst}
        text[name] = _told(cell) if cell else "-"
    return numbers, text


def _told(cell: Cell) -> str:
    lost = f", {cell.failed} failed" if cell.failed else ""
    ratio, worst = (value / cell.optimum for value in (cell.value.point, cell.worst))
    return f"{cells.interval(cell.value, 0)} {ratio:.3f} ({len(cell.runs)}{lost}, worst {worst:.3f})"


# What the paper's stationary mean-field policies earn per step; the lattice's follows no known rule.
FORMULAS: dict[str, Callable[[int], int]] = {
    "circle": lambda agents: 2 * agents + 4 * (agents // 3),
    "star": lambda agents: 2 * agents + 4,
    "tree": lambda agents: 2 * agents,
}


def mean_field_gaps(found: Cells) -> Table:
    """Tell how far each topology's mean-field value lies below that of the full one."""
    rows: list[Row] = []
    for learner in LEARNERS:
        name = f"{learner}-mf"
        for agents in sorted({place.agents for submission, place in found if submission == name}):
            full = found.get((name, Place("full", agents)))
            ours = [found[name, Place(t, agents)] for t in TOPOLOGIES[1:] if (name, Place(t, agents)) in found]
            rows += [_gap(cell, full) for cell in ours if full is not None]
    notes = [
        "gap: the value in the full topology less the value here, with its 95% bootstrap interval; certain: the "
        "interval excludes 0.",
        "formula: what the paper's policy earns in 30 steps: circle 2N + 4 floor(N/3) per step, star 2N + 4, tree 2N.",
    ]
    return table_of("What the mean field loses", rows, notes, ("submission", "topology"))


def _gap(cell: Cell, full: Cell) -> Row:
    best, ours = ([run.final_return for run in group.runs] for group in (full, cell))
    gap = difference_estimate(best, ours, SEED, centre=interquartile_mean)
    topology, agents = cell.place
    formula = 30.0 * FORMULAS[topology](agents) if topology in FORMULAS else math.nan
    paper = published.table_1("mf", topology, agents)
    certain = "n/a" if math.isnan(gap.low) else "yes" if gap.low > 0 else "no"
    numbers = {"submission": cell.submission, "topology": topology, "agents": agents, "formula": formula}
    numbers |= cells.numbers("value", cell.value) | cells.numbers("gap", gap)
    return numbers, {
        "submission": cell.submission,
        "topology": topology,
        "N": str(agents),
        "value": cells.interval(cell.value, 0),
        "formula": "-" if math.isnan(formula) else f"{formula:.0f}",
        "paper": "-" if paper is None else f"{paper:.0f}",
        "gap to full": cells.interval(gap, 0),
        "certain": certain,
    }


def mean_field_order(found: Cells) -> Table:
    """Order the topologies by our mean-field values, beside the paper's order."""
    rows: list[Row] = []
    for learner in LEARNERS:
        name = f"{learner}-mf"
        for agents in sorted({place.agents for submission, place in found if submission == name}):
            ours = {
                t: found[name, Place(t, agents)].value.point for t in TOPOLOGIES if (name, Place(t, agents)) in found
            }
            paper = {t: published.table_1("mf", t, agents) or math.nan for t in ours}
            text = {
                "submission": name,
                "N": str(agents),
                "ours": _ordered(ours),
                "paper": _ordered(paper) if agents in published.SIZES else "-",
            }
            rows.append(({"submission": name, "agents": agents, "ours": text["ours"], "paper": text["paper"]}, text))
    return table_of("Topologies from best to worst", rows, [], ("submission", "ours", "paper"))


def _ordered(values: Mapping[str, float]) -> str:
    return " > ".join(f"{name} {value:.0f}" for name, value in sorted(values.items(), key=lambda item: -item[1]))
