"""What the pages say of beliefs: scores between prior and exact posterior, curves, and what can be known."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from markupsafe import Markup

from leaderboard.belief_plots import belief_pictures
from leaderboard.beliefs import TaskBeliefs, report, task_beliefs
from leaderboard.figures import MOST, Picture
from leaderboard.heatmaps import heatmap_picture
from leaderboard.moments import tell
from leaderboard.palette import Colour
from leaderboard.record import RunRecord
from leaderboard.site.boards import Cell, Column, Row, View, sorting_key
from leaderboard.site.drawing import inline
from leaderboard.site.words import slug


@dataclass(frozen=True)
class Knowledge:
    """The beliefs about one task, of one submission or of all: a table, and figures with their SVG."""

    task_id: str
    table: View
    pictures: Sequence[tuple[Picture, Markup]]


def gather(records: Iterable[RunRecord], suite: str) -> dict[str, TaskBeliefs]:
    """Return a suite's beliefs by task; none if nobody has any."""
    ours = [record for record in records if record.suite == suite]
    if not any(getattr(record, "beliefs", None) for record in ours):
        return {}
    return {task.task_id: task for task in task_beliefs(ours, suite)}


def knowledge(
    task: TaskBeliefs, prefix: str, palette: Mapping[str, Colour], seed: int, resamples: int, name: str | None = None
) -> Knowledge:
    """Return what a page shows of a task's beliefs.

    Args:
        task: the beliefs.
        prefix: of the ids in the figures; no two of a page may share it.
        palette: colour of each submission.
        seed: of the intervals.
        resamples: of the intervals.
        name: of the submission whose page it is; by default everybody's, of which the figures show the best.
    """
    chosen = {name: task.runs[name]} if name else dict(list(task.runs.items())[:MOST])
    drawn = belief_pictures(replace(task, runs=chosen), seed, palette)
    shown = replace(task, runs=chosen) if name else task
    pictures = [(picture, inline(picture, f"{prefix}-{picture.name}")) for picture in drawn]
    return Knowledge(task.task_id, _view(shown, seed, resamples), pictures)


def _view(task: TaskBeliefs, seed: int, resamples: int) -> View:
    """Return the table of a task's beliefs, whose rows are submissions but for the two ends of the scale."""
    (table, *_) = report([task], seed, resamples)
    names = [str(name) for name in table.cells]
    less = ("belief", "NLL", "error", "of mode", "ECE")  # are sorted upwards first
    columns = [Column(name, name == "belief", "ascending" if name in less else "descending") for name in names]
    rows = []
    for text in table.cells.to_dict("records"):
        cells = {name: Cell(str(text[name]), sorting_key(str(text[name]))) for name in names}
        source = str(text["belief"])
        cells["belief"] = Cell(source, source)
        rows.append(Row(cells, source if source in task.runs else "", "", "-"))
    return View(table.title, columns, rows, table.notes)


@lru_cache(maxsize=256)
def heatmaps(task_id: str) -> tuple[Picture, Markup] | None:
    """Return the exact posterior beside the true board in an episode; None where there is none, or no board."""
    try:
        picture = heatmap_picture(tell(task_id))
    except ValueError:
        return None
    return picture, inline(picture, f"{slug(task_id)}-heatmaps")
