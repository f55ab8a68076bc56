"""More of what the records of Organization say: what learning cost, how it scales, how the others are predicted."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from leaderboard import cells, published
from leaderboard.organization import LEARNERS, SEED, SETTLED, Cell, Cells
from leaderboard.record import FinishedRun, Mark
from leaderboard.statistics import mean_estimate
from leaderboard.tables import Row, Table, table_of


def settled(run: FinishedRun) -> Mark | None:
    """Return the first mark from which every evaluation lies within 2% of the final return; None if there is none."""
    close = [abs(mark.greedy.mean - run.final_return) <= SETTLED * abs(run.final_return) for mark in run.marks]
    first = next((place for place in range(len(close)) if all(close[place:])), None)
    return None if first is None else run.marks[first]


class Cost(NamedTuple):
    """What a cell's runs needed until they settled; means over those that did."""

    settled: int
    episodes: float
    seconds: float


def cost(cell: Cell) -> Cost:
    """Return the cost of a cell, in episodes and seconds of training per run."""
    marks = [(run, mark) for run in cell.runs if (mark := settled(run))]
    if not marks:
        return Cost(0, math.nan, math.nan)
    seconds = [mark.seconds / run.stacked_runs for run, mark in marks]
    return Cost(len(marks), float(np.mean([mark.episodes for _, mark in marks])), float(np.mean(seconds)))


def costs(found: Cells) -> Table:
    """Tell the cost of learning, cell by cell."""
    rows: list[Row] = []
    for cell in found.values():
        spent, run = cost(cell), cell.runs[0]
        whole = float(np.mean([run.marks[-1].seconds / run.stacked_runs for run in cell.runs]))
        changed = ", ".join(f"{name}={value}" for name, value in sorted(run.config.items())) or "defaults"
        numbers = {"submission": cell.submission, "task_id": cell.task_id, **spent._asdict(), "training": whole}
        text = {
            "submission": cell.submission,
            "task": cell.task_id,
            "settings": changed,
            "budget": str(run.budget_episodes),
            "settled": f"{spent.settled} of {len(cell.runs)}",
            "episodes": "-" if math.isnan(spent.episodes) else f"{spent.episodes:.0f}",
            "seconds": cells.seconds(spent.seconds),
            "whole training": cells.seconds(whole),
            "on": str(run.hardware.get("accelerator") or run.hardware.get("processor") or "unknown"),
        }
        rows.append((numbers, text))
    notes = [
        f"settled: the run's first evaluation from which all that follow lie within {SETTLED:.0%} of its final return; "
        "evaluations are a twentieth of the budget apart. episodes and seconds: until then, mean over the runs that "
        "settled; seconds per run, of runs that were trained together.",
    ]
    return table_of("The cost of learning", rows, notes, ("submission", "task", "settings", "on"))


# What is compared: (name, first, second), each a submission; the published share where there is one.
_PAIRS: tuple[tuple[str, str, float | None], ...] = (
    *((f"{learner}-mf", f"{learner}-cf", published.FEWER_EPISODES_OF_MEAN_FIELD) for learner in LEARNERS),
    *((f"ia2c++-{summary}", f"maddpg++-{summary}", None) for summary in ("cf", "mf")),
)


def savings(found: Cells) -> Table:
    """Compare costs: how much less the one learner of a pair needs than the other, averaged over tasks of both."""
    rows: list[Row] = []
    for first, second, paper in _PAIRS:
        common = [place for name, place in found if name == first and (second, place) in found]
        both = [(cost(found[first, place]), cost(found[second, place])) for place in common]
        both = [(one, other) for one, other in both if one.settled and other.settled and other.episodes]
        if not both:
            continue
        episodes = mean_estimate([1 - one.episodes / other.episodes for one, other in both], SEED)
        seconds = mean_estimate([1 - one.seconds / other.seconds for one, other in both if other.seconds], SEED)
        numbers = {"first": first, "second": second, "tasks": len(both)}
        numbers |= cells.numbers("episodes", episodes) | cells.numbers("seconds", seconds)
        text = {
            "needs less": first,
            "than": second,
            "tasks": str(len(both)),
            "of the episodes": cells.interval(episodes, 2),
            "of the seconds": cells.interval(seconds, 2),
            "paper, episodes": "faster" if paper is None else f"{paper:.4f}",
        }
        rows.append((numbers, text))
    notes = [
        "Shares of what the second needs until it settles that the first saves (negative: it needs more), mean over "
        "the tasks on which both have settled runs; intervals resample tasks. paper: P21, section 4, over all "
        "topologies and sizes; that IA2C++ is faster than MADDPG++ it says without a number.",
    ]
    return table_of("The cost of learning, compared", rows, notes, ("needs less", "than"))


class Size(NamedTuple):
    """What a round of updates took with so many agents."""

    agents: int
    seconds: float
    memory: float  # MiB, NaN if not noted


class Series(NamedTuple):
    """Cells of the full topology that differ in the number of agents only."""

    submission: str
    stacked: int  # runs trained together

    def __str__(self) -> str:
        """Name it."""
        return f"{self.submission}, {'one run alone' if self.stacked == 1 else f'{self.stacked} runs together'}"


def sizes(found: Cells) -> dict[Series, list[Size]]:
    """Group the full topology's cells whose runs were trained together in equal number, by number of agents."""
    groups: dict[Series, list[Size]] = {}
    for (name, place), cell in found.items():
        run = cell.runs[0]
        if place.topology == "full" and run.marks[-1].updates and run.marks[-1].seconds:
            memory = run.notes.get("memory_mib")
            noted = float(memory) if isinstance(memory, int | float) else math.nan
            size = Size(place.agents, run.marks[-1].seconds / run.marks[-1].updates, noted)
            groups.setdefault(Series(name, run.stacked_runs), []).append(size)
    return groups


def scaling(found: Cells) -> Table:
    """Tell seconds and memory against the number of agents, with their slopes on logarithmic scales."""
    rows: list[Row] = []
    slopes: list[str] = []
    for series, points in sizes(found).items():
        for size in points:
            text = {
                "submission": series.submission,
                "N": str(size.agents),
                "runs together": str(series.stacked),
                "ms per update": f"{1000 * size.seconds:.3g}",
                "memory, MiB": "-" if math.isnan(size.memory) else f"{size.memory:.0f}",
            }
            rows.append(({**series._asdict(), **size._asdict()}, text))
        if len(points) > 2:
            told = [f"seconds ~ N^{_slope(points, 1):.2f}"]
            if not any(math.isnan(size.memory) for size in points):
                told.append(f"memory ~ N^{_slope(points, 2):.2f}")
            slopes.append(f"{series}: {', '.join(told)}")
    notes = [
        "Full topology. Training time (episodes played included) per round of updates of all runs trained together. "
        "memory: the most that the training process held, on the device where it trained.",
        *slopes,
    ]
    return table_of("Scale", rows, notes)


def _slope(points: Sequence[tuple[float, ...]], column: int) -> float:
    """Return the slope of a column against the first on logarithmic scales, by least squares."""
    logarithms = np.log([[point[0], point[column]] for point in points])
    return float(np.polyfit(logarithms[:, 0], logarithms[:, 1], 1)[0])


# What learners note of their predictions, by name.
_PREDICTIONS = {
    "others_policy_error": "policy of the others: mean absolute error of a probability",
    "configuration_log_likelihood": "configuration: log-likelihood, nats a step",
}


def predictions(found: Cells) -> Table:
    """Show how well learners predict the others' policy, and what configuration comes of it."""
    rows: list[Row] = []
    for cell in found.values():
        for name, what in _PREDICTIONS.items():
            noted = [run.notes.get(name) for run in cell.runs]
            values = [float(value) for value in noted if isinstance(value, int | float)]
            if not values:
                continue
            estimate = mean_estimate(values, SEED)
            numbers: dict[str, Any] = {"submission": cell.submission, "task_id": cell.task_id, "what": name}
            text = {
                "submission": cell.submission,
                "task": cell.task_id,
                "prediction": what,
                "mean over runs": cells.interval(estimate),
            }
            rows.append((numbers | cells.numbers("value", estimate), text))
    notes = ["At the end of training, on the latest episodes; agents hear of each other through noise only."]
    return table_of("How well the others are predicted", rows, notes, ("submission", "task", "prediction"))


def history(found: Cells) -> Table:
    """Show what was learned where rewards remember the previous one."""
    rows: list[Row] = []
    for cell in found.values():
        if cell.place.topology != "history":
            continue
        ratio = cell.value.point / cell.optimum
        numbers = {"submission": cell.submission, "task_id": cell.task_id, "optimum": cell.optimum, "ratio": ratio}
        text = {
            "submission": cell.submission,
            "task": cell.task_id,
            "optimum": f"{cell.optimum:.2f}",
            "value": cells.interval(cell.value, 1),
            "ratio": cells.score(ratio),
            "runs": str(len(cell.runs)),
        }
        rows.append((numbers | cells.numbers("value", cell.value), text))
    notes = ["Each agent's reward adds a tenth of its previous one (Eqs 2 and 3). optimum: exact."]
    return table_of("Rewards that remember", rows, notes)
