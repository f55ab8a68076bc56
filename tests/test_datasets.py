"""Datasets replay from their ids; a damaged cache is noticed and rebuilt."""

import dataclasses
import logging

import numpy as np
import pytest
import torch

from benchmark.episodes import datasets
from benchmark.episodes.card import data_card
from benchmark.episodes.datasets import (
    DatasetError,
    build_shard,
    content_digest,
    dataset,
    dataset_for,
    dataset_ids,
    load_dataset,
    shard_name,
)
from benchmark.episodes.policy import RandomPolicy
from benchmark.episodes.rollout import Episodes, replay, rollout
from benchmark.tasks.escape_room import EscapeRoom
from benchmark.tasks.oracle import Oracle
from benchmark.tasks.perturb import Slip
from benchmark.tasks.registry import task_ids
from benchmark.tasks.streams import namespace_of

ORACLE = "oracle-random-v0"


@pytest.fixture(autouse=True)
def small(tmp_path, monkeypatch):
    """A fresh cache, and shards of 50 episodes so that a split has many."""
    monkeypatch.setenv("PENUMBRA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets, "SHARD", 50)
    monkeypatch.setattr(datasets, "_digests", dict)
    return tmp_path / "cache"


def equal(one: Episodes, other: Episodes) -> bool:
    return all(
        torch.equal(getattr(one, field.name), getattr(other, field.name)) for field in dataclasses.fields(Episodes)
    )


def first_shard(cache):
    return cache / f"{shard_name(ORACLE, 'train', 0)}.npz"


def test_every_built_in_task_has_a_dataset_and_it_is_found_again():
    assert len(dataset_ids()) == len(task_ids())
    for task_id in task_ids():
        name = dataset_for(task_id)
        assert name is not None
        assert dataset(name).task_id == task_id
    assert dataset_for("oracle-v0") == ORACLE
    assert dataset_for("gathering-v0:view=2,slip=0.1") == "gathering-random-v0:view=2,slip=0.1"
    assert dataset("oracle-random-v0:slip=0.1").task() == Slip(Oracle(random_start=True), 0.1)
    assert dataset("escape-room-random-v0:view=1").task() == EscapeRoom(random_start=True, view_radius=1)
    assert dataset("organization-circle-33-random-v0").task_id == "organization-circle-33-v0"


def test_no_cached_file_of_a_perturbed_task_has_a_name_that_windows_forbids(small):
    load_dataset("oracle-random-v0:slip=0.1", episodes=50)
    found = sorted(path.relative_to(small).as_posix() for path in small.rglob("*.npz"))
    assert found == ["oracle-random-v0@slip=0.1/train-000.npz"]


# The last one's observations hold so many values that their codes need four bytes.
@pytest.mark.parametrize(
    "task_id",
    ["oracle-v0", "gathering-v0", "escape-room-v0", "organization-tree-9-v0", "organization-history-27-v0"],
)
def test_what_the_cache_returns_is_what_was_played(task_id):
    name = dataset_for(task_id)
    assert name is not None
    task = dataset(name).task()
    built = load_dataset(name, episodes=60)
    cached = load_dataset(name, episodes=60)
    played = rollout(task, RandomPolicy(task.agents, len(task.action_names)), built.keys)
    assert equal(built, played)
    assert equal(cached, played)
    assert equal(replay(task, built.keys, built.actions), played)


def test_belief_data_start_at_random_where_the_task_has_that_option():
    starts = load_dataset("escape-room-random-v0", episodes=50).observations[:, 0, 0, 100:]
    assert len(starts.unique(dim=0)) > 40
    assert dataset("escape-room-random-v0").task() == EscapeRoom(random_start=True)


def test_splits_never_meet():
    keys = [load_dataset(ORACLE, split, episodes=50).keys for split in ("train", "validation", "test")]
    assert len(torch.cat(keys).unique()) == 150
    assert {namespace_of(int(part[0])) for part in keys} == {"dataset-train", "dataset-validation", "dataset-test"}


def test_a_prefix_is_a_prefix_across_shards():
    whole = load_dataset(ORACLE, episodes=120)
    assert equal(load_dataset(ORACLE, episodes=70), whole[:70])


def test_progress_is_reported():
    calls: list[tuple[int, int]] = []
    load_dataset(ORACLE, episodes=120, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(50, 120), (100, 120), (120, 120)]


def truncate(path):
    path.write_bytes(path.read_bytes()[:-200])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))


def forge(path):
    """A well-formed file with a reward changed."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    arrays["rewards"] = arrays["rewards"] + 1
    np.savez_compressed(path, **arrays)


def empty(path):
    path.write_bytes(b"")


def lacking(path):
    np.savez_compressed(path, keys=np.zeros(3))


@pytest.mark.parametrize("damage", [truncate, flip, forge, empty, lacking])
def test_a_damaged_cache_is_reported_and_rebuilt(small, caplog, damage):
    sound = load_dataset(ORACLE, episodes=50)
    damage(first_shard(small))
    with caplog.at_level(logging.WARNING, logger="penumbra"):
        assert equal(load_dataset(ORACLE, episodes=50), sound)
    assert "damaged or outdated; rebuilding" in caplog.text
    caplog.clear()
    load_dataset(ORACLE, episodes=50)
    assert not caplog.text
    assert [path.name for path in small.rglob("*") if path.name.startswith(".")] == []


def test_code_that_replays_to_something_else_is_refused(monkeypatch):
    monkeypatch.setattr(datasets, "_digests", lambda: {shard_name(ORACLE, "train", 0): "0" * 64})
    with pytest.raises(DatasetError, match="expected 000000000000"):
        load_dataset(ORACLE, episodes=10)


def test_published_digests_hold_here(monkeypatch):
    """The first shard of a dataset of every family replays to the published digest, on this machine too."""
    monkeypatch.undo()
    for name in (ORACLE, "gathering-random-v0", "honeycomb-random-v0", "organization-star-9-random-v0"):
        chosen = dataset(name)
        found = content_digest(build_shard(chosen, chosen.task(), "test", 0))
        assert found == datasets._digests()[shard_name(name, "test", 0)], name


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: load_dataset("orcale-random-v0"), "did you mean 'oracle-random-v0'"),
        (lambda: load_dataset("oracle-v0"), "is unknown"),
        (lambda: load_dataset(ORACLE, "training"), "split='training' is unknown; did you mean 'train'"),
        (lambda: load_dataset(ORACLE, episodes=0), "has 1 to 20000"),
        (lambda: load_dataset(ORACLE, episodes=20_001), "has 1 to 20000"),
    ],
)
def test_bad_requests_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("task_id", "starts"), [("oracle-v0:slip=0.2", "drawn at random"), ("organization-full-9-v0", "as in the task")]
)
def test_a_card_says_how_episodes_start(task_id, starts, monkeypatch):
    for sizes in ("_GRID_WORLD", "_ORGANIZATION"):
        monkeypatch.setattr(datasets, sizes, (60, 20, 20))
    datasets.dataset.cache_clear()
    name = dataset_for(task_id)
    assert name is not None
    assert f"Starts: {starts}." in data_card(name)
    datasets.dataset.cache_clear()
