"""Offline datasets: state-labelled episodes of the random policy, rebuilt from their keys.

An episode is a pure function of its key and its actions, and the random policy draws its actions from the key, so a
dataset is an id: nothing to download, nothing to rot. What the episodes replay to is pinned by digests that are part
of the package (``dataset_digests.json``, one per shard of 1,000 episodes). Replayed shards are kept in a cache folder
(``PENUMBRA_CACHE``, else the user's cache folder); a shard whose content does not match its digest is rebuilt.
"""

import hashlib
import json
import logging
import os
import re
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmark.episodes.policy import RandomPolicy
from benchmark.episodes.rollout import Episodes, rollout
from benchmark.tasks.registry import did_you_mean, file_name, make_task, random_start, spec, task_ids
from benchmark.tasks.streams import episode_keys
from benchmark.tasks.task import Task, team_return

SHARD = 1000
SPLITS = ("train", "validation", "test")
DIGESTS = Path(__file__).with_name("dataset_digests.json")
_log = logging.getLogger("penumbra")

Progress = Callable[[int, int], None]
Arrays = dict[str, np.ndarray]


class DatasetError(ValueError):
    """A dataset replays to something else than its digest says: this machine or this code differs."""


@dataclass(frozen=True)
class Dataset:
    """What a dataset id stands for.

    Attributes:
        dataset_id: for instance ``"oracle-random-v0"``.
        task_id: the task whose episodes it holds, with random starts where the task has that option.
        episodes: size of each split, in the order of ``SPLITS``.
    """

    dataset_id: str
    task_id: str
    episodes: tuple[int, int, int]

    def size(self, split: str) -> int:
        """Return the number of episodes of a split.

        Raises:
            ValueError: if there is no such split.
        """
        if split not in SPLITS:
            raise ValueError(f"split={split!r} is unknown{did_you_mean(split, SPLITS)}; allowed: {', '.join(SPLITS)}")
        return self.episodes[SPLITS.index(split)]

    def task(self) -> Task:
        """Return the task as it is played in this dataset."""
        return random_start(make_task(self.task_id))


# Grid-worlds need thousands of episodes before a belief infers instead of remembering (spec 7.2).
_GRID_WORLD, _ORGANIZATION = (20_000, 2000, 2000), (2000, 1000, 1000)


def dataset_for(task_id: str) -> str | None:
    """Return the id of a task's standard dataset, or None if it has none.

    A perturbed task has one of its own: whoever learns from it learns what the perturbed world looks like.
    """
    name, _, changes = task_id.partition(":")
    if spec(name).family not in ("oracle", "gathering", "escape-room", "honeycomb", "organization"):
        return None
    return re.sub(r"-(v\d+)$", r"-random-\1", name) + ":" * bool(changes) + changes


@lru_cache(maxsize=256)
def dataset(dataset_id: str) -> Dataset:
    """Return what a dataset id stands for.

    Raises:
        ValueError: if there is no such dataset.
    """
    task_id = re.sub(r"-random-(v\d+)(?=:|$)", r"-\1", dataset_id)
    try:
        known = dataset_for(task_id) == dataset_id
    except ValueError:
        known = False
    if not known:
        raise ValueError(f"dataset_id={dataset_id!r} is unknown{did_you_mean(dataset_id, dataset_ids())}")
    return Dataset(dataset_id, task_id, _ORGANIZATION if spec(task_id).family == "organization" else _GRID_WORLD)


def dataset_ids() -> list[str]:
    """Return the ids of the standard datasets."""
    return [name for task_id in task_ids() if (name := dataset_for(task_id))]


def load_dataset(
    dataset_id: str, split: str = "train", episodes: int | None = None, *, progress: Progress | None = None
) -> Episodes:
    """Load a split of an offline dataset: from the cache where it is sound, else by replaying it.

    Args:
        dataset_id: for instance ``"oracle-random-v0"``; see ``dataset_ids``.
        split: ``"train"``, ``"validation"`` or ``"test"``.
        episodes: only the first so many.
        progress: called with (episodes ready, episodes in all) after each shard.

    Returns:
        Episodes on the CPU.

    Raises:
        ValueError: if the dataset or split is unknown, or has fewer episodes.
        DatasetError: if the replayed episodes do not match the dataset's digest.
    """
    chosen = dataset(dataset_id)
    size = chosen.size(split)
    count = size if episodes is None else episodes
    if not 1 <= count <= size:
        raise ValueError(f"load_dataset: episodes={episodes} is out of range; {dataset_id} {split} has 1 to {size}")
    task, shards = chosen.task(), []
    for first in range(0, count, SHARD):
        shards.append(_decode(_shard(chosen, task, split, first // SHARD), task))
        if progress:
            progress(min(first + SHARD, count), count)
    return Episodes.concatenate(shards)[:count] if len(shards) > 1 or count < shards[0].batch else shards[0]


@lru_cache(maxsize=1)
def _digests() -> dict[str, str]:
    return json.loads(DIGESTS.read_text()) if DIGESTS.exists() else {}


def shard_name(dataset_id: str, split: str, number: int) -> str:
    """Return the name of a shard in the cache and among the digests."""
    return f"{dataset_id}/{split}-{number:03d}"


def cache_folder() -> Path:
    """Return where replayed shards are kept."""
    base = os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")
    return Path(os.environ.get("PENUMBRA_CACHE", Path(base) / "penumbra"))


def _shard(chosen: Dataset, task: Task, split: str, number: int) -> Arrays:
    name = shard_name(chosen.dataset_id, split, number)
    path, expected = cache_folder() / f"{file_name(name)}.npz", _digests().get(name)
    if path.exists():
        arrays = _read(path)
        # A dataset without a published digest is held to the one it was stored with.
        if arrays is not None and content_digest(arrays) == (expected or str(arrays.get("stored_digest"))):
            return arrays
        _log.warning("%s: the cached shard is damaged or outdated; rebuilding it", path)
    arrays = build_shard(chosen, task, split, number)
    found = content_digest(arrays)
    if expected and found != expected:
        raise DatasetError(
            f"{name}: replays to digest {found[:12]}, expected {expected[:12]}: the task's code or the arithmetic of "
            "this machine differs from the published version"
        )
    _write(path, arrays | {"stored_digest": np.array(found)})
    return arrays


def build_shard(chosen: Dataset, task: Task, split: str, number: int) -> Arrays:
    """Replay one shard into compact arrays."""
    start = number * SHARD
    keys = episode_keys(f"dataset-{split}", 0, min(SHARD, chosen.size(split) - start), start=start)
    return _encode(rollout(task, RandomPolicy(task.agents, len(task.action_names)), keys))


def content_digest(arrays: Arrays) -> str:
    """Return the SHA-256 of a shard's arrays: names, types, shapes and little-endian content."""
    summary = hashlib.sha256()
    for name in sorted(arrays):
        if name != "stored_digest":
            array = np.ascontiguousarray(arrays[name]).astype(arrays[name].dtype.newbyteorder("<"), copy=False)
            summary.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
            summary.update(array.data)
    return summary.hexdigest()


def _encode(episodes: Episodes) -> Arrays:
    """Pack episodes: observations as indices into the sorted list of the values that occur."""
    observations = episodes.observations
    if bool((observations == observations[:, :, :1]).all()):
        observations = observations[:, :, :1]  # all agents see the same
    values, codes = torch.unique(observations, return_inverse=True)
    small = np.uint8 if len(values) <= 1 << 8 else np.uint16 if len(values) <= 1 << 16 else np.uint32
    rewards = episodes.rewards
    shared = bool((rewards == rewards[:, :, :1]).all())
    return {
        "keys": episodes.keys.numpy(),
        "observation_values": values.numpy(),
        "observation_codes": codes.numpy().astype(small),
        "actions": episodes.actions.numpy().astype(np.uint8),
        "rewards": (rewards[:, :, :1] if shared else rewards).numpy(),
        "lengths": episodes.lengths.numpy().astype(np.int32),
        "terminated": episodes.terminated.any(1).numpy(),
        "hidden": episodes.hidden.numpy().astype(np.int16),
    }


def _decode(arrays: Arrays, task: Task) -> Episodes:
    lengths = torch.from_numpy(arrays["lengths"]).long()
    steps = torch.arange(task.horizon)
    mask = steps < lengths[:, None]
    last = (steps == lengths[:, None] - 1) & torch.from_numpy(arrays["terminated"])[:, None]
    actions = torch.from_numpy(arrays["actions"]).long()
    values = torch.from_numpy(arrays["observation_values"][arrays["observation_codes"]])
    observations = values.expand(-1, -1, task.agents, -1).contiguous()
    rewards = torch.from_numpy(arrays["rewards"]).expand(-1, -1, task.agents).contiguous()
    hidden = torch.from_numpy(arrays["hidden"]).long()
    keys: Tensor = torch.from_numpy(arrays["keys"])
    return Episodes(keys, observations, actions, actions, rewards, last, mask, hidden, team_return(task, rewards))


def _write(path: Path, arrays: Arrays) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.stem}.", delete=False) as file:
        try:
            np.savez_compressed(file, allow_pickle=False, **arrays)
            file.flush()
            os.fsync(file.fileno())
            os.replace(file.name, path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def _read(path: Path) -> Arrays | None:
    """Return the arrays of a cached shard, or None if the file cannot be read."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None


def main() -> None:
    """Freeze the digests of the datasets named on the command line, or of all; those frozen before are kept."""
    digests = dict(_digests())
    for dataset_id in sys.argv[1:] or dataset_ids():
        chosen = dataset(dataset_id)
        for split in SPLITS:
            for number in range(-(-chosen.size(split) // SHARD)):
                name = shard_name(dataset_id, split, number)
                if name not in digests:
                    digests[name] = content_digest(build_shard(chosen, chosen.task(), split, number))
        DIGESTS.write_text(json.dumps(digests, indent=0, sort_keys=True) + "\n")
        print(dataset_id, flush=True)


if __name__ == "__main__":
    main()
