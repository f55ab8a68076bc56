"""``penumbra tasks``, ``dataset`` and ``play``: what is played."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from leaderboard.commands.terminal import console


def tasks(
    pattern: Annotated[str, typer.Argument(help="Only ids that match, such as 'honeycomb*'.")] = "*",
) -> None:
    """List the tasks: who plays, how long, what is hidden, and the scale of the scores."""
    import fnmatch

    from benchmark.measures.references import reference
    from benchmark.tasks.registry import make_task, spec, task_ids

    chosen = fnmatch.filter(task_ids(), pattern)
    if not chosen:
        raise ValueError(f"tasks: {pattern!r} matches none of the {len(task_ids())} tasks")
    table = Table("task", "N", "A", "O", "T", "hidden", "trivial", "reference", "optimum", box=None)
    for task_id in chosen:
        task = make_task(task_id)
        try:
            scale = reference(task_id)
            numbers = [
                f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"
                for value in (scale.trivial, scale.reference, scale.optimum)
            ]
        except ValueError:  # a third-party task need not have references
            numbers = ["-"] * 3
        hidden = ", ".join(variable.name for variable in task.hidden_variables[:3])
        more = len(task.hidden_variables) - 3
        sizes = (task.agents, len(task.action_names), task.observation_layout.size, task.horizon)
        table.add_row(
            task_id if spec(task_id).ranked else f"{task_id} (diagnostic)",
            *map(str, sizes),
            hidden + (f", +{more}" if more > 0 else ""),
            *numbers,
        )
    console.print(table)
    if len(chosen) <= 10:
        console.print("\n" + "\n".join(f"{task_id}: {spec(task_id).summary}" for task_id in chosen), highlight=False)
    console.print("\nN agents, A actions, O observation size, T horizon; returns of the three reference points.")
    console.print("score = (return - trivial) / (reference - trivial). Other sizes exist by id, for instance")
    console.print("organization-circle-1000-v0; perturbed ones by suffix, for instance oracle-v0:slip=0.1.")


def dataset(
    dataset_id: Annotated[str | None, typer.Argument(help="For instance oracle-random-v0; nothing lists all.")] = None,
    card: Annotated[Path | None, typer.Option(help="Write the data card to this Markdown file.")] = None,
    minari: Annotated[
        str | None,
        typer.Option(metavar="SPLIT", help="Write this split (train, validation, test) as a Minari dataset."),
    ] = None,
    episodes: Annotated[int | None, typer.Option(min=1, help="With --minari: only the first so many.")] = None,
) -> None:
    """Build an offline dataset, or open it from the cache; show its data card, or write it for Minari."""
    from benchmark.episodes.card import data_card
    from benchmark.episodes.datasets import cache_folder, dataset_ids

    if dataset_id is None:
        console.print("\n".join(dataset_ids()), highlight=False)
        return
    if episodes is not None and minari is None:
        raise ValueError("--episodes goes with --minari; the data card is of all episodes")
    if minari is not None:
        from leaderboard.minari_format import write_minari

        with _progress(f"loading {dataset_id}") as step:
            name, folder = write_minari(dataset_id, minari, episodes, progress=step)
        console.print(f"written: {folder}\nread with: minari.load_dataset({name!r})", markup=False, highlight=False)
        return
    started = time.perf_counter()
    with _progress(f"loading {dataset_id}") as step:
        text = data_card(dataset_id, progress=step)
    if card:
        card.parent.mkdir(parents=True, exist_ok=True)
        card.write_text(text, encoding="utf-8")
    console.print(text, markup=False, highlight=False)
    console.print(f"{time.perf_counter() - started:.1f} s; cache: {cache_folder()}", highlight=False)


class _progress(AbstractContextManager[Callable[[int, int], None]]):
    """A progress bar on the terminal that is fed (done, total)."""

    def __init__(self, title: str) -> None:
        from rich.progress import Progress

        self.bar = Progress(console=Console(stderr=True), transient=True)
        self.row = self.bar.add_task(title, total=None)

    def __enter__(self) -> Callable[[int, int], None]:
        self.bar.start()
        return lambda done, total: self.bar.update(self.row, completed=done, total=total)

    def __exit__(self, *error: object) -> None:
        self.bar.stop()


def play(
    task_id: Annotated[str, typer.Argument(help="For instance escape-room-v0.")],
    policy: Annotated[str, typer.Option(help="planner or random.")] = "planner",
    seed: Annotated[int, typer.Option(help="Which episode.")] = 0,
    delay: Annotated[float, typer.Option(min=0.0, help="Seconds between steps; 0 prints them below each other.")] = 0.4,
) -> None:
    """Watch one episode in the terminal."""
    from leaderboard.play import play_episode

    play_episode(task_id, policy, seed, delay, console)
