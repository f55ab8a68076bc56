"""``penumbra beliefs``: how well submissions know what they cannot see."""

from pathlib import Path
from typing import Annotated

import typer

from leaderboard.commands.terminal import SUBMISSIONS, show, tell


def beliefs(
    folders: Annotated[
        list[Path] | None, typer.Argument(help="Folders or files of records; default: the published results.")
    ] = None,
    suite: Annotated[str, typer.Option(help="Which suite's records to compare.")] = "quick",
    out: Annotated[Path | None, typer.Option(help="Also write the tables here (.md, .csv, .tex, .html).")] = None,
    figures: Annotated[Path | None, typer.Option(help="Folder for figures, PNG and SVG.")] = None,
    heatmaps: Annotated[
        str | None, typer.Option(metavar="TASK", help="Draw a belief beside the true board, and nothing else.")
    ] = None,
    belief: Annotated[str, typer.Option(help="Whose belief the heat maps show: posterior or planner.")] = "posterior",
    episode: Annotated[int, typer.Option(min=0, help="Which test episode the heat maps show.")] = 0,
    agent: Annotated[int | None, typer.Option(min=0, help="Whose belief; default: the last agent's.")] = None,
) -> None:
    """Score beliefs between the prior (0) and the exact posterior (1), and draw them.

    The posterior's heat maps show an episode of random play, as beliefs are scored on; the planner's its own play.
    """
    if heatmaps:
        from leaderboard import moments
        from leaderboard.heatmaps import write_heatmaps

        path = (figures or Path()) / f"heatmaps-{heatmaps.replace(':', '-')}-{belief}-{episode}.png"
        write_heatmaps(moments.tell(heatmaps, belief, episode, agent), path)
        tell(f"written: {path}")
        return
    from leaderboard.beliefs import report, task_beliefs
    from leaderboard.submission import read_records

    records = [record for folder in folders or [SUBMISSIONS] for record in read_records(folder)]
    gathered = task_beliefs(records, suite)
    tables = report(gathered)
    show(tables, out)
    if figures:
        from leaderboard.belief_plots import write_belief_figures
        from leaderboard.figures import make_palette
        from leaderboard.publish import published_names

        for path in write_belief_figures(gathered, figures, make_palette(records, published_names(SUBMISSIONS))):
            tell(f"written: {path}")
