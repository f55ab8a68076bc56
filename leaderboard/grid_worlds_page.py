"""The results page of the grid-worlds: claims, tables and figures, from records and measured beliefs alone."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from benchmark.episodes.datasets import dataset, dataset_for
from benchmark.harness.suites import Suite, get_suite
from benchmark.measures.references import reference
from benchmark.tasks.registry import make_task, spec
from leaderboard import page, variance
from leaderboard.claims import overview, told
from leaderboard.curves import Curve, curve, learning_curves
from leaderboard.grid_worlds import LEARNERS, NAMES, OURS, SEED, Cell, Results, collect, without_inference
from leaderboard.grid_worlds_claims import claims
from leaderboard.grid_worlds_tables import beliefs, improvements, learned, scale, variants
from leaderboard.page import Drawing
from leaderboard.palette import Colour, colours
from leaderboard.plots import FAINT, finish
from leaderboard.record import RunRecord
from leaderboard.statistics import clip
from leaderboard.variance import Variances

# The suite of the published ablations.
ABLATED = "quick"

_INTRODUCTION = """\
# Grid-worlds: Belief-I2Q and its recurrent baselines

Written by `penumbra reproduce grid-worlds --out {name}` from run records (suite {suite}, {runs} runs for each learner
and task) and from `{variance}`, which `python -m baselines.belief_variance` writes. No number here is typed in. The
paper is *Belief States for Cooperative Multi-Agent Reinforcement Learning under Partial Observability* (arXiv
2504.08417); it reports curves, and what follows are its claims in our words. Where our learners differ from the paper's
is listed choice by choice in [the baselines' page](../baselines/README.md), and what each number means in
[the metrics' page](metrics.md).

Belief-I2Q's belief is trained before, on {episodes} random episodes whose hidden states are known. Neither baseline has
those, and the learning curves do not count them.

{missing}
"""

_ANSWERS = """\
## Claim by claim

Intervals resample runs; those of beliefs' variances are normal, over episodes. *Undecided* means that these runs do not
tell. Each comparison is judged by itself: of twenty differences that are none, one comes out certain by chance.
"""

_CONTROL = """\
### HoneyComb's control: is it the data or the model?

The paper explains the failure on HoneyComb by information asymmetry: only what others have learnt to do could tell the
uninformed anything, and beliefs are learnt from random play. `python -m baselines.honeycomb_control` trains the same
model on episodes whose informed agents walk to the special goal; [the baselines' page](../baselines/README.md) has its
table.
"""


def write_page(records: Iterable[RunRecord], suite: Suite, path: Path) -> list[Path]:
    """Write the page and its figures beside it; returns what was written.

    Args:
        records: of any submissions, tasks and suites; the three learners' of this suite are used, and changed settings
            in ``ABLATED`` too.
        suite: which one's.
        path: of the page, a Markdown file. The variances are read from ``<its name>-variance.json`` beside it.
    """
    records = list(records)
    beside = path.with_name(f"{path.stem}-variance.json")
    found, variances = collect(records, suite), variance.read(beside)
    ablated = collect(records, get_suite(ABLATED)) if suite.name != ABLATED else None
    answers = claims(found, variances, ablated)
    tables = [learned(found), scale(found), improvements(found), beliefs(found), variants(found)]
    parts = [
        _introduction(found, path, beside),
        overview(answers),
        *figures(found, variances),
        *(table for table in tables if len(table.data)),
        _ANSWERS,
        *(told(claim, number) for number, claim in enumerate(answers, start=1)),
        _CONTROL,
    ]
    return page.write(path, parts)


def _introduction(found: Results, path: Path, beside: Path) -> str:
    lacking = [f"- {task_id}: {', '.join(names)}" for task_id, names in found.missing().items()]
    missing = "\n".join(["**Not all records are there yet.** Missing:", "", *lacking]) if lacking else ""
    sizes = {dataset(name).size("train") for task_id in found.tasks if (name := dataset_for(task_id))}
    return (
        _INTRODUCTION.format(
            name=path.as_posix(),
            suite=found.suite.name,
            runs=found.suite.runs,
            variance=beside.name,
            episodes=" or ".join(f"{size:,}" for size in sorted(sizes)),
            missing=missing,
        ).rstrip()
        + "\n"
    )


def figures(found: Results, variances: Variances | None) -> list[Drawing]:
    """Return what there is to draw."""
    drawings = []
    if found.cells:
        words = (
            "Score (0: the best policy that ignores observations, 1: the reference) against training episodes: mean "
            "over runs of the greedy evaluations on held-out episodes, with 95% bootstrap bands over whole runs; the "
            "evaluation before training may lie below the frame"
        )
        drawings.append(Drawing("curves", words, partial(curves_figure, found)))
    sizes = found.honeycombs
    if sum(found.get(OURS, task_id) is not None for task_id in sizes) > 1:
        words = (
            "HoneyComb: final score (mean over runs, 95% bootstrap intervals) against the number of agents; dashed: "
            "informed agents take the special goal and all others any goal"
        )
        drawings.append(Drawing("agents", words, partial(agents_figure, found)))
    if variances is not None:
        words = (
            "Variance of Belief-I2Q's beliefs and of the exact posterior around the event that informs (on HoneyComb "
            "one that informs nobody): mean over held-out episodes of random play, with 95% intervals"
        )
        drawings.append(Drawing("variance", words, partial(variance.figure, variances)))
    return drawings


def palette() -> dict[str, Colour]:
    """Return the learners' colours."""
    return colours(LEARNERS)


def curves_figure(found: Results) -> Figure:
    """Draw the learning curves, a panel for each task that was played, on one scale of scores."""
    curves = {task_id: played for task_id in found.tasks if (played := _curves(found, task_id))}
    columns = min(4, len(curves))
    rows = -(-len(curves) // columns)
    figure = Figure(figsize=(0.5 + 2.75 * columns, 0.6 + 2.3 * rows), layout="constrained")
    # Whoever has not learnt anything yet may leave the frame.
    lowest = min(float(one.values[:, 1:].mean(0).min()) for played in curves.values() for one in played.values())
    for place, (task_id, played) in enumerate(curves.items()):
        ax = figure.add_subplot(rows, columns, place + 1)
        levels = {"trivial": 0.0, "reference": 1.0}
        if task_id in found.honeycombs:
            levels["no inference"] = without_inference(task_id)
        learning_curves(played, ax, SEED, palette(), levels, named=False)
        ax.set_ylim(min(-0.1, lowest) - 0.07, 1.12)
        ax.set_yticks([tick for tick in (-1, -0.5, 0, 0.5, 1) if tick >= ax.get_ylim()[0]])
        ax.set_title(_heading(task_id))
        if place % columns:
            ax.set_ylabel("")
        if place + columns < len(curves):
            ax.set_xlabel("")
        for words, height in levels.items():
            if place == 0 or words not in ("trivial", "reference"):
                ax.annotate(words, (0.99, height), (0, 1.5), ("axes fraction", "data"), textcoords="offset points",
                            ha="right", va="bottom", fontsize=8, color=FAINT)  # fmt: skip
    _legend(figure, rows, columns, rows * columns > len(curves))
    return figure


def _legend(figure: Figure, rows: int, columns: int, free: bool) -> None:
    """Name the learners in the last cell of the grid if it is free, else below."""
    drawn = {name: line for ax in figure.axes for line, name in zip(*ax.get_legend_handles_labels(), strict=True)}
    names = [name for name in LEARNERS if name in drawn]
    lines, labels = [drawn[name] for name in names], [NAMES[name] for name in names]
    if free:
        ax = figure.add_subplot(rows, columns, rows * columns)
        ax.axis("off")
        ax.legend(lines, labels, loc="center", fontsize=11)
    else:
        figure.legend(lines, labels, loc="outside lower center", ncols=len(names), fontsize=10)


def _heading(task_id: str) -> str:
    agents = f" ({make_task(task_id).agents} agents)" if spec(task_id).family == "honeycomb" else ""
    return f"{task_id}{agents}"


def _curves(found: Results, task_id: str) -> dict[str, Curve]:
    cells = {name: found.get(name, task_id) for name in LEARNERS}
    return {name: _scored(cell) for name, cell in cells.items() if cell is not None and cell.runs}


def _scored(cell: Cell) -> Curve:
    episodes, returns = curve(cell.runs)
    score = reference(cell.task_id).score
    return Curve(episodes, clip([[score(value) for value in run] for run in returns]))


def agents_figure(found: Results) -> Figure:
    """Draw final scores on HoneyComb against the number of agents."""
    figure = Figure(figsize=(4.6, 2.9), layout="constrained")
    ax = figure.add_subplot()
    tasks = found.honeycombs
    sizes = np.array([make_task(task_id).agents for task_id in tasks], dtype=np.float64)
    ax.plot(
        sizes, [without_inference(t) for t in tasks], color=FAINT, linestyle=(0, (4, 3)), label="no inference", zorder=1
    )
    for number, name in enumerate(LEARNERS):
        there = [(size, cell.mean) for size, t in zip(sizes, tasks, strict=True) if (cell := found.get(name, t))]
        if there:
            x = np.array([size for size, _ in there]) + 0.12 * (number - 1)
            points = np.array([estimate for _, estimate in there])
            color = palette()[name]
            ax.plot(x, points[:, 0], "o-", color=color, markersize=4, linewidth=1.8, label=NAMES[name], zorder=3)
            ax.vlines(x, points[:, 1], points[:, 2], color=color, linewidth=1.8, alpha=0.6, zorder=2)
    ax.set_xticks(sizes, [f"{size:.0f}" for size in sizes])
    ax.set_ylim(min(0.0, ax.get_ylim()[0]), max(1.0, ax.get_ylim()[1]))
    ax.set_xlabel("agents, two of them informed")
    ax.set_ylabel("score")
    figure.legend(loc="outside right upper", fontsize=9)
    return finish(ax).figure  # type: ignore[return-value]
