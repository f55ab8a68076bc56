"""The ``penumbra`` command: one function of ``leaderboard/commands/`` for each word that may follow it.

Everything heavy is imported inside the command that needs it: ``penumbra run`` works where only torch, numpy, typer
and rich are installed.
"""

import os
import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from leaderboard.commands.ablate import ablate
from leaderboard.commands.beliefs import beliefs
from leaderboard.commands.diagnose import diagnose
from leaderboard.commands.exchange import export_results, import_results
from leaderboard.commands.figures import figures
from leaderboard.commands.profile import profile
from leaderboard.commands.reproduce import reproduce
from leaderboard.commands.run import run
from leaderboard.commands.site import site
from leaderboard.commands.stress import stress
from leaderboard.commands.submissions import check, new, validate
from leaderboard.commands.table import submit, table
from leaderboard.commands.tasks import dataset, play, tasks

# Threads that wait by spinning slow torch down by two orders of magnitude wherever somebody else uses a core too.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

app = typer.Typer(
    name="penumbra",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _tell_versions(asked: bool) -> None:
    if asked:
        from benchmark.measures.machine import packages

        typer.echo(" ".join(f"{name} {version}" for name, version in packages().items()))
        raise typer.Exit


@app.callback()
def penumbra(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_tell_versions, help="Tell the versions, and end.")
    ] = False,
) -> None:
    """Benchmark and evaluation harness for multi-agent reinforcement learning under partial observability."""


for command in (
    tasks,
    new,
    check,
    run,
    table,
    stress,
    diagnose,
    ablate,
    profile,
    figures,
    site,
    beliefs,
    reproduce,
    submit,
    validate,
    dataset,
    play,
):
    app.command()(command)
app.command("export")(export_results)
app.command("import")(import_results)


def main() -> None:
    """Run the command; a user's mistake ends with one line and status 2."""
    try:
        app()
    except ModuleNotFoundError as error:
        _fail(f"this command needs the package {error.name!r}, which is not installed")
    except ValueError as error:
        _fail(str(error))


def _fail(message: str) -> None:
    Console(stderr=True).print("[red]error:[/red]", Text(message), highlight=False, soft_wrap=True)
    sys.exit(2)


if __name__ == "__main__":
    main()
