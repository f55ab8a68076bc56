"""``penumbra site``: the leaderboard as pages."""

from pathlib import Path
from typing import Annotated

import typer

from leaderboard.commands.terminal import SUBMISSIONS, console, tell


def site(
    out: Annotated[Path, typer.Option(help="Folder of the site; an earlier site in it is replaced.")],
    folders: Annotated[
        list[Path] | None, typer.Argument(help="Folders or files of records; default: the published results.")
    ] = None,
) -> None:
    """Build the leaderboard as a static site: open its index.html, or put the folder on any host."""
    from leaderboard.runtime import read_both
    from leaderboard.site.build import Builder

    records, timings = read_both(folders or [SUBMISSIONS])
    builder = Builder(records, [SUBMISSIONS], runtimes=timings)
    with console.status("building") as status:
        count = builder.write(out, status.update)
    tell(f"{out / 'index.html'}: {count} files")
