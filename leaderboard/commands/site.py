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
    from leaderboard.site.build import Builder
    from leaderboard.submission import read_records

    records = [record for folder in folders or [SUBMISSIONS] for record in read_records(folder)]
    builder = Builder(records, [SUBMISSIONS])
    with console.status("building") as status:
        count = builder.write(out, status.update)
    tell(f"{out / 'index.html'}: {count} files")
