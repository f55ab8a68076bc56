"""The results page of Organization: tables and learning curves, from records alone."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from leaderboard import page, plots
from leaderboard.curves import curve, learning_curves
from leaderboard.organization import (
    LEARNERS,
    SEED,
    SUMMARIES,
    TOPOLOGIES,
    Cells,
    Place,
    collect,
    mean_field_gaps,
    mean_field_order,
    table_1,
)
from leaderboard.organization_costs import (
    Series,
    Size,
    costs,
    history,
    predictions,
    savings,
    scaling,
    sizes,
)
from leaderboard.organization_policies import pair, policies
from leaderboard.page import Drawing
from leaderboard.palette import colours
from leaderboard.record import RunRecord
from leaderboard.tables import Table

_INTRODUCTION = """\
# Organization: what was learned, beside the paper

Written by `penumbra reproduce organization --out {name}` from run records; no number here is typed in but those of
the paper (P21 = *Many Agent Reinforcement Learning Under Partial Observability*, arXiv 2106.09825).

**Our reading of the paper.** It does not say what agents learn from. Here the configuration learners (CF) learn from
the team's mean reward: with each its own reward the optimum is no strict equilibrium, since whoever tips the majority
is indifferent or worse off. The mean-field learners (MF) learn from the mean, over their neighbourhood, of what each in
it would earn if its own neighbourhood were the whole firm. With the team's reward instead, small probes lost next to
nothing in any topology, which is not what the paper reports. Bankruptcies (-100) are always the whole firm's.
[The diamond](diamond.md) works through the rewards themselves.
"""


def tables_of_table_1(records: Iterable[RunRecord]) -> list[Table]:
    """Return both halves of Table 1."""
    found = collect(records)
    return [table_1(found, summary) for summary in SUMMARIES]


def write_page(records: Iterable[RunRecord], path: Path) -> list[Path]:
    """Write the page, and its learning curves beside it; returns what was written.

    Args:
        records: of any submissions and tasks; those of the family are used.
        path: of the page, a Markdown file.
    """
    found = collect(records)
    tables = [table_1(found, summary) for summary in SUMMARIES]
    more = [mean_field_gaps(found), mean_field_order(found), policies(found), costs(found), savings(found)]
    more += [predictions(found), scaling(found), history(found), pair(found)]
    tables += [table for table in more if len(table.data)]
    return page.write(path, [_INTRODUCTION.format(name=path.as_posix()), *figures(found), *tables])


def _learners(found: Cells) -> list[str]:
    names = [f"{learner}-{summary}" for learner in LEARNERS for summary in SUMMARIES]
    return [name for name in names if any(submission == name for submission, _ in found)]


def figures(found: Cells) -> Iterator[Drawing]:
    """Yield what there is to draw."""
    agents = most_compared(found)
    if agents is not None:
        words = (
            f"Greedy return against training episodes, {agents} agents: mean over runs with 95% bootstrap bands; "
            "bankruptcies, far below 0, as 0"
        )
        yield Drawing("curves", words, partial(curves_figure, found, agents))
    grown = {series: points for series, points in sizes(found).items() if len(points) > 2}
    if grown:
        words = "Seconds per update and memory against the number of agents"
        yield Drawing("scale", words, partial(scale_figure, grown))


def scale_figure(groups: Mapping[Series, Sequence[Size]]) -> Figure:
    """Draw seconds and memory against the number of agents on logarithmic scales."""
    names = sorted({series.submission for series in groups})
    palette = colours(names)
    figure = Figure(figsize=(10.5, 3.2), layout="constrained")
    for ax, label, column in zip(figure.subplots(1, 2), ("seconds per update", "memory, MiB"), (1, 2), strict=True):
        for series, points in groups.items():
            heights = [size[column] for size in points]
            style = {"color": palette[series.submission], "linestyle": "-" if series.stacked > 1 else "--"}
            ax.loglog([size.agents for size in points], heights, marker="o", label=str(series), **style)
        ax.set_xlabel("agents")
        ax.set_ylabel(label)
        for axis, labelled in ((ax.xaxis, (1, 3)), (ax.yaxis, (1, 1.5, 2, 3, 5, 7))):
            axis.set_major_locator(LogLocator(subs=labelled))
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
            axis.set_minor_locator(NullLocator())
        plots.finish(ax)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside right upper", fontsize=8)
    return figure


def most_compared(found: Cells) -> int | None:
    """Return the team size with the most cells of the four learners, the larger if several have; None without any."""
    names = _learners(found)
    sizes = Counter(place.agents for name, place in found if name in names and place.topology in TOPOLOGIES)
    return max(sizes, key=lambda agents: (sizes[agents], agents), default=None)


def curves_figure(found: Cells, agents: int) -> Figure:
    """Draw the four learners' curves with this many agents, a panel for each topology that was played."""
    names = _learners(found)
    palette = colours(names)
    shown = [t for t in TOPOLOGIES if any((name, Place(t, agents)) in found for name in names)]
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(4.6 * columns, 3.0 * rows), layout="constrained")
    for place, topology in enumerate(shown):
        ax = figure.add_subplot(rows, columns, place + 1)
        present = {
            name: found[name, Place(topology, agents)] for name in names if (name, Place(topology, agents)) in found
        }
        optimum = next(iter(present.values())).optimum
        # A bankrupt firm loses tens of thousands; what matters lies between nothing and the optimum.
        curves = {name: curve(cell.runs) for name, cell in present.items()}
        curves = {name: drawn._replace(values=np.maximum(drawn.values, 0.0)) for name, drawn in curves.items()}
        learning_curves(curves, ax, SEED, palette, {"optimum": optimum}, label="return")
        ax.set_title(topology)
    return figure
