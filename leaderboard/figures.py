"""From a board's records to figures: what is drawn for a suite, and for each of its tasks.

A figure comes with the words that stand in for it where it cannot be seen.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmark.tasks.registry import spec
from leaderboard import cells, plots
from leaderboard.board import Board, complete, score_matrix, select
from leaderboard.curves import Curve, curve, learning_curves, sample_efficiency, sample_efficiency_curves
from leaderboard.improvement import probability_of_improvement
from leaderboard.palette import Colour, colours, order
from leaderboard.pareto import Cost, score_against_seconds
from leaderboard.record import FinishedRun, RunRecord
from leaderboard.runtime import timed
from leaderboard.statistics import FLOOR, METRICS, Array, clip, interval_estimates

# More submissions than this in one figure are a tangle; the best are drawn, and the caption says so.
MOST = 12
WIDTH, HEIGHT = 4.3, 2.9  # inches; two side by side fill a page, and one can be read on a telephone


@dataclass(frozen=True)
class Picture:
    """A figure and its words.

    Attributes:
        name: of its file, without suffix.
        title: a few words.
        caption: what is drawn, and how it was computed.
        alt: what it shows, for whoever does not see it.
        figure: the drawing.
    """

    name: str
    title: str
    caption: str
    alt: str
    figure: Figure


@dataclass(frozen=True)
class Drawer:
    """Draws the figures of one board.

    Attributes:
        board: what is compared.
        runs: its frame.
        records: the records behind the frame.
        palette: colour of each submission.
    """

    board: Board
    runs: pd.DataFrame
    records: tuple[RunRecord, ...]
    palette: Mapping[str, Colour]

    @cached_property
    def scores(self) -> dict[str, Array]:
        """Scores [R, K] of the best complete submissions, best first."""
        matrices = {name: score_matrix(self.runs, self.board, name) for name in complete(self.runs, self.board)}
        best = sorted(matrices, key=lambda name: (-METRICS["IQM"](matrices[name]), name))
        return {name: matrices[name] for name in best[:MOST]}

    @cached_property
    def cells(self) -> dict[tuple[str, str], list[FinishedRun]]:
        """The finished runs of each submission on each task."""
        found: dict[tuple[str, str], list[FinishedRun]] = {}
        for record in self.records:
            ours = record.suite == self.board.suite.name and record.seed < self.board.suite.runs
            if ours and isinstance(record, FinishedRun):
                found.setdefault((record.submission, record.task_id), []).append(record)
        return found

    def overall(self) -> list[Picture]:
        """Draw what compares submissions over all ranked tasks; nothing if none is complete."""
        if not self.scores:
            return []
        with plots.style():
            drawn = [self._intervals(), self._profiles(), self._efficiency(), self._seconds()]
            return drawn[:2] + ([self._improvements()] if len(self.scores) > 1 else []) + drawn[2:]

    def curves(self, task_id: str) -> Picture | None:
        """Draw the learning curves on one task; None if nobody finished a run."""
        found = {name: self.curve(name, task_id) for name, played in self.cells if played == task_id}
        if not found:
            return None
        best = sorted(found, key=lambda name: (-found[name].values[:, -1].mean(), name))[:MOST]
        chosen = {name: found[name] for name in sorted(best, key=list(self.palette).index)}
        scored = task_id in self.board.references
        with plots.style():
            figure, ax = _canvas()
            learning_curves(
                chosen, ax, self.board.seed, self.palette, {"reference": 1.0, "trivial": 0.0} if scored else None,
                label="score" if scored else "return",
            )  # fmt: skip
        what = f"{'Score' if scored else 'Return'} against training episodes"
        return Picture(
            f"curves-{task_id}",
            f"Learning curves on {task_id}",
            f"{what}: mean over runs of the greedy evaluations on held-out episodes, with 95% bootstrap bands over "
            f"whole runs{f'; scores are clipped below at {FLOOR:g}' if scored else ''}.{self._left_out(len(found))}",
            f"{what}. At the end of training: "
            + "; ".join(f"{name} {found[name].values[:, -1].mean():.3f}" for name in best)
            + ".",
            figure,
        )

    def curve(self, name: str, task_id: str) -> Curve:
        """Return a learning curve in counted scores; in returns where the task has no reference."""
        found = curve(self.cells[name, task_id])
        if task_id not in self.board.references:
            return found
        score = self.board.references[task_id].score
        return Curve(found.episodes, clip([[score(value) for value in run] for run in found.values]))

    def _intervals(self) -> Picture:
        board, names = self.board, list(self.scores)
        found = {name: interval_estimates(self.scores[name], board.seed, board.resamples) for name in names}
        figure = Figure(figsize=(2.3 * WIDTH, 0.9 + 0.27 * len(names)), layout="constrained")
        for ax, metric in zip(np.atleast_1d(figure.subplots(1, len(METRICS), sharey=True)), METRICS, strict=True):
            label = f"{metric} (less is better)" if metric == "optimality gap" else metric
            plots.interval_estimates({name: found[name][metric] for name in names}, ax, self.palette, label)
        told = "; ".join(f"{name} {cells.interval(found[name]['IQM'])}" for name in names)
        return self._picture(
            "intervals",
            "Aggregate scores",
            "Point estimates and 95% stratified bootstrap intervals over all runs and ranked tasks.",
            f"IQM of each submission with its interval: {told}.",
            figure,
        )

    def _profiles(self) -> Picture:
        figure, ax = _canvas()
        plots.performance_profiles(self.scores, ax, self.board.seed, self.palette)
        told = "; ".join(f"{name} {np.mean(scores > 0.5):.0%}" for name, scores in self.scores.items())
        return self._picture(
            "profiles",
            "Performance profiles",
            "Share of runs, over all tasks, that score above a threshold; higher is better everywhere. Bands: 95%.",
            f"Share of runs that score above 0.5: {told}.",
            figure,
        )

    def _improvements(self) -> Picture:
        pairs = probability_of_improvement(self.scores, self.board.seed, self.board.resamples)
        side = 0.9 + 0.42 * max(len(self.scores), 3)
        figure = Figure(figsize=(side + 0.6, side), layout="constrained")
        plots.improvements(pairs, figure.subplots())
        told = "; ".join(f"{x} over {y} {cells.probability(pairs[x, y].average)}" for x, y in pairs if x < y)
        return self._picture(
            "improvement",
            "Probability of improvement",
            "How often a run of the row's submission beats one of the column's on the same task, averaged over tasks. "
            "Bold: the 95% interval excludes one half.",
            f"Probability of improvement, starred where certain: {told}.",
            figure,
        )

    def _efficiency(self) -> Picture:
        figure, ax = _canvas()
        tasks = self.board.tasks
        ours = {name: [self.cells.get((name, task_id), []) for task_id in tasks] for name in self.scores}
        whole = {name for name, runs in ours.items() if all(len(part) == self.board.suite.runs for part in runs)}
        found = {
            name: sample_efficiency(
                np.stack([self.curve(name, task_id).values for task_id in tasks], 1), self.board.seed
            )
            for name in self.scores
            if name in whole  # a failed run has no curve
        }
        sample_efficiency_curves(found, ax, self.palette)
        told = "; ".join(
            f"{name} {e.point[len(e.point) // 2]:.3f}, then {e.point[-1]:.3f}" for name, e in found.items()
        )
        return self._picture(
            "efficiency",
            "Sample efficiency",
            "IQM over all runs and ranked tasks against the share of each task's training episodes. Bands: 95%. "
            "The ranking uses the mean of the last five evaluations.",
            f"IQM at half of the budget, then at its end: {told}.",
            figure,
        )

    def _seconds(self) -> Picture:
        figure, ax = _canvas()
        profile, seconds = self._normalised_seconds()
        if profile is None:
            ranked = select(self.runs, "task_id", self.board.tasks)
            seconds = {str(name): float(part["seconds"].mean()) for name, part in ranked.groupby("submission")}
        costs = {
            name: Cost(
                interval_estimates(scores, self.board.seed, self.board.resamples)["IQM"],
                seconds[name],
                self.board.is_ranked(name),
            )
            for name, scores in self.scores.items()
            if np.isfinite(seconds[name])  # every run failed
        }
        unit = f"normalised seconds per run ({profile})" if profile else "seconds of training per run"
        score_against_seconds(costs, ax, self.palette, unit=unit)
        told = "; ".join(
            f"{name} {cost.score.point:.3f} in {cells.seconds(cost.seconds)} s" for name, cost in costs.items()
        )
        how = f"normalised to {profile}" if profile else "as measured on the submitter's hardware"
        return self._picture(
            "seconds",
            "Score against time",
            f"IQM against mean seconds of training per run, {how}. The grey staircase "
            "is the Pareto front; hollow: knows the rules of the tasks, and is no part of it.",
            f"IQM and seconds of training per run: {told}.",
            figure,
        )

    def _normalised_seconds(self) -> tuple[str | None, dict[str, float]]:
        """Return a profile for which everybody drawn has timings that count, and their seconds; else None."""
        board = self.board
        for profile in sorted({record.profile for record in board.runtimes}):
            found = {name: timed(board.runtimes, name, profile, board.tasks, board.suite) for name in self.scores}
            seconds = {name: entry.seconds for name, entry in found.items() if entry and not entry.doubt}
            if len(seconds) == len(found):
                return profile, seconds
        return None, {}

    def _picture(self, name: str, title: str, caption: str, alt: str, figure: Figure) -> Picture:
        total = len(complete(self.runs, self.board))
        return Picture(name, title, caption + self._left_out(total), alt, figure)

    def _left_out(self, total: int) -> str:
        return f" The best {MOST} of {total} submissions are drawn." if total > MOST else ""


def make_palette(records: Iterable[RunRecord], published: Sequence[str]) -> dict[str, Colour]:
    """Return the colours of the published submissions and of those that the records add."""
    return colours(order((record.submission for record in records), published))


def write_figures(drawer: Drawer, folder: Path, report: Callable[[Path], None] = lambda path: None) -> list[Path]:
    """Draw all figures of a board into a folder, each as PNG and SVG; the same records give the same bytes.

    Args:
        drawer: of the board.
        folder: made if need be.
        report: told of every picture's PNG.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    with plots.style():
        drawn = drawer.overall()
        tasks = dict.fromkeys((*drawer.board.suite.tasks, *sorted(task_id for _, task_id in drawer.cells)))
        drawn += [picture for task_id in tasks if _of(drawer.board, task_id) and (picture := drawer.curves(task_id))]
        for picture in drawn:
            for suffix, metadata in ((".png", {"Software": None}), (".svg", {"Date": None, "Creator": None})):
                path = folder / f"{picture.name.replace(':', '-')}{suffix}"
                picture.figure.savefig(path, metadata=metadata)
                written.append(path)
            report(written[-2])
    return written


def _of(board: Board, task_id: str) -> bool:
    return board.family in (None, spec(task_id).family)


def _canvas() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, HEIGHT))
    return figure, figure.subplots()
