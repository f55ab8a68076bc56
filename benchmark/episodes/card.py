"""The data card of an offline dataset: what is in it, in Markdown, computed from its episodes."""

import torch
from torch import Tensor

from benchmark.episodes.datasets import SPLITS, Progress, dataset, load_dataset
from benchmark.episodes.rollout import Episodes
from benchmark.tasks.registry import make_task
from benchmark.tasks.task import HiddenVariable, Task


def data_card(dataset_id: str, *, progress: Progress | None = None) -> str:
    """Return the card of a dataset.

    Args:
        dataset_id: see ``datasets.dataset_ids``.
        progress: called while the training split is loaded.

    Raises:
        ValueError: if there is no such dataset.
    """
    chosen = dataset(dataset_id)
    task = chosen.task()
    train = load_dataset(dataset_id, progress=progress)
    sizes = ", ".join(f"{chosen.size(split):,} {split}" for split in SPLITS)
    starts = "as in the task" if task == make_task(chosen.task_id) else "drawn at random"
    lines = [
        f"# {dataset_id}",
        "",
        f"Episodes of `{chosen.task_id}` played by the uniformly random policy, labelled with the hidden variables.",
        f"Splits: {sizes} episodes, disjoint by construction (each split has its own namespace of episode keys).",
        f"Starts: {starts}. Rebuilt with `penumbra dataset {dataset_id} --card FILE`; the figures below are of the",
        "training split.",
        "",
        "| | mean | deviation | min | median | max |",
        "|---|---|---|---|---|---|",
        _row("return", train.returns),
        _row("length in steps", train.lengths.double()),
        "",
        f"Terminated before the horizon of {task.horizon} steps: {_early(train, task):.1%} of episodes. "
        f"Steps in all: {train.steps:,}. "
        f"Episodes with equal observations for all agents: {'yes' if _shared(train) else 'no'}.",
        "",
        "| hidden variable | kind | in the paper's u | values | seen in the data | most frequent | entropy (bits) |",
        "|---|---|---|---|---|---|---|",
        *(_coverage(train, index, variable) for index, variable in enumerate(task.hidden_variables)),
        "",
    ]
    return "\n".join(lines)


def _row(name: str, values: Tensor) -> str:
    figures = (values.mean(), values.std(), values.min(), values.median(), values.max())
    return f"| {name} | " + " | ".join(f"{float(figure):.3f}" for figure in figures) + " |"


def _early(episodes: Episodes, task: Task) -> float:
    return float((episodes.terminated.any(1) & (episodes.lengths < task.horizon)).double().mean())


def _shared(episodes: Episodes) -> bool:
    return bool((episodes.observations == episodes.observations[:, :, :1]).all())


def _coverage(episodes: Episodes, index: int, variable: HiddenVariable) -> str:
    values = episodes.hidden[:, :-1, index][episodes.mask]
    share = torch.bincount(values, minlength=len(variable.values)).double() / len(values)
    seen = share[share > 0]
    entropy = float(-(seen * seen.log2()).sum())
    return (
        f"| {variable.name} | {variable.kind} | {'yes' if variable.in_paper else 'no'} | {len(variable.values)} "
        f"| {len(seen)} | {float(share.max()):.3f} | {entropy:.2f} |"
    )
