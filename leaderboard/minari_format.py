"""Offline datasets as Minari datasets: the one file that meets Minari, an optional extra (``penumbra[minari]``).

Minari (minari.farama.org) holds episodes of one Gymnasium environment, so a team becomes one joint agent: observations
``[T + 1, N, O]`` in a ``Box`` and actions ``[T, N]`` in a ``MultiDiscrete``, row ``i`` being agent ``i``. The hidden
state goes into the infos, the episode key into ``seed``. What it cannot hold is said in ``docs/datasets/README.md``.
"""

import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium.spaces as spaces
import minari
import numpy as np
from minari.data_collector import EpisodeBuffer
from minari.storage import get_dataset_path

from benchmark.episodes.datasets import Progress, dataset, load_dataset
from benchmark.episodes.rollout import Episodes
from benchmark.measures.references import reference
from benchmark.tasks.task import Task


def minari_id(dataset_id: str, split: str) -> str:
    """Return the name of a split among Minari's datasets, for instance ``penumbra/oracle-random-train-v0``."""
    name, _, version = dataset_id.rpartition("-")
    return f"penumbra/{name}-{split}-{version}"


def write_minari(
    dataset_id: str, split: str, episodes: int | None = None, *, progress: Progress | None = None
) -> tuple[str, Path]:
    """Write a split of an offline dataset into Minari's folder of datasets (``MINARI_DATASETS_PATH``).

    Args:
        dataset_id: see ``datasets.dataset_ids``.
        split: ``"train"``, ``"validation"`` or ``"test"``.
        episodes: only the first so many.
        progress: called while the split is loaded.

    Returns:
        The id that ``minari.load_dataset`` takes, and the folder.

    Raises:
        ValueError: if the dataset or split is unknown or has fewer episodes, or Minari's folder already holds it.
    """
    chosen, name = dataset(dataset_id), minari_id(dataset_id, split)
    task, played = chosen.task(), load_dataset(dataset_id, split, episodes, progress=progress)
    folder = Path(get_dataset_path(name))
    if folder.exists():
        raise ValueError(f"{folder}: is there already; remove it, or set MINARI_DATASETS_PATH to another folder")
    observation_space, action_space = joint_spaces(task)
    try:
        with warnings.catch_warnings():
            # It asks for a Gymnasium environment, which a team is not, and for an e-mail address.
            warnings.simplefilter("ignore", UserWarning)
            written = minari.create_dataset_from_buffers(
                name,
                list(_buffers(played, task.shared_reward)),
                observation_space=observation_space,
                action_space=action_space,
                data_format="hdf5",
                author="The Penumbra authors",
                algorithm_name="uniformly random",
                description=f"{dataset_id}, {split}: {chosen.task_id} played by the uniformly random policy, with the "
                "indices of the hidden variables' values in infos['hidden'] and the episode key as seed.",
            )
        written.storage.update_metadata(_meaning(chosen.task_id, task))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)  # half a dataset would be read as a whole one
        raise
    return name, folder


def joint_spaces(task: Task) -> tuple[spaces.Box, spaces.MultiDiscrete]:
    """Return the spaces of the joint observation, float32 ``[N, O]``, and of the joint action, int64 ``[N]``."""
    low, high = (np.tile(np.array(bound, np.float32), (task.agents, 1)) for bound in task.observation_layout.bounds())
    return spaces.Box(low, high, dtype=np.float32), spaces.MultiDiscrete([len(task.action_names)] * task.agents)


def _buffers(played: Episodes, shared_reward: bool) -> Iterator[EpisodeBuffer]:
    """Give each episode without what lies beyond its end; Minari's reward is the team's, whose sum is the return."""
    keys, lengths, terminated = played.keys.tolist(), played.lengths.tolist(), played.terminated.numpy()
    observations, hidden = played.observations.numpy(), played.hidden.numpy()
    actions, rewards = played.actions.numpy(), played.rewards.numpy()
    for row, (key, length) in enumerate(zip(keys, lengths, strict=True)):
        ended = terminated[row, :length]
        cut = np.zeros(length, dtype=bool)
        cut[-1] = not ended[-1]
        each: np.ndarray = rewards[row, :length]
        infos: dict[str, Any] = {"hidden": hidden[row, : length + 1]}
        episode: dict[str, Any] = {  # arrays, where Minari's annotations say lists
            "observations": observations[row, : length + 1],
            "actions": actions[row, :length],
            "rewards": each[:, 0] if shared_reward else each.astype(np.float64).sum(1),
            "terminations": ended,
            "truncations": cut,
            "infos": infos if shared_reward else infos | {"rewards": each},
        }
        yield EpisodeBuffer(seed=key, **episode)


def _meaning(task_id: str, task: Task) -> dict[str, Any]:
    """Return what the numbers stand for, and our scale as Minari's reference scores."""
    named = {
        "task_id": task_id,
        "actions": list(task.action_names),
        "observation_fields": {name: [at.start, at.stop] for name, at in task.observation_layout.slices.items()},
        "hidden_variables": [
            {"name": variable.name, "kind": variable.kind, "values": list(variable.values)}
            for variable in task.hidden_variables
        ],
    }
    scale = reference(task_id)
    return named | {"ref_min_score": scale.trivial, "ref_max_score": scale.reference}
