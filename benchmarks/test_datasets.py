"""Offline datasets: replaying a shard of 1,000 episodes, and loading it from the cache.

In ``extra_info``: ``episodes_per_second``, and as a ratio ``times_rollout``: how many times longer than playing those
episodes without keeping them.
"""

import pytest
from rates import repeat, say, seconds

from benchmark.episodes.datasets import SHARD, build_shard, dataset, load_dataset
from benchmark.episodes.policy import RandomPolicy
from benchmark.episodes.rollout import rollout
from benchmark.tasks.streams import episode_keys

DATASETS = ("oracle-random-v0", "escape-room-random-v0", "organization-full-27-random-v0")


@pytest.mark.parametrize("how", ["build", "load"])
@pytest.mark.parametrize("dataset_id", DATASETS)
def test_dataset(benchmark, dataset_id, how, tmp_path, monkeypatch):
    monkeypatch.setenv("PENUMBRA_CACHE", str(tmp_path))
    chosen = dataset(dataset_id)
    task = chosen.task()
    policy, keys = RandomPolicy(task.agents, len(task.action_names)), episode_keys("dataset-test", 0, SHARD)
    played = seconds(lambda: rollout(task, policy, keys), 3)
    work = {
        "build": lambda: build_shard(chosen, task, "test", 0),
        "load": lambda: load_dataset(dataset_id, "test", SHARD),
    }
    took = repeat(benchmark, work[how])
    say(benchmark, episodes_per_second=SHARD / took, times_rollout=took / played)
