"""An episode is bit for bit the same alone or in any batch, in this process or another, on any device."""

import json
import subprocess
import sys
from functools import cache

import pytest
import torch

from benchmark.episodes.policy import RandomPolicy
from benchmark.episodes.rollout import Episodes, rollout
from benchmark.episodes.trace import episode_digest, play, random_actions
from benchmark.tasks.registry import make_task, random_start
from benchmark.tasks.streams import episode_keys

TASK_IDS = (
    "oracle-v0",
    "oracle-strict-v0",
    "gathering-v0",
    "escape-room-v0",
    "honeycomb-v0",
    "honeycomb-n3-v0",
    "organization-full-9-v0",
    "organization-tree-9-v0",
    "organization-lattice-9-v0",
    "organization-circle-9-v0",
    "organization-star-9-v0",
    "organization-pair-v0",
    "gathering-v0:slip=0.2",
    "escape-room-v0:sticky=0.2,dropout=0.1,noise=0.1",
    "oracle-v0:hint=0.5",
    "organization-full-27-v0:slip=0.2",
)
EPISODES = 70


@cache
def digest(task_id):
    return episode_digest(make_task(task_id), EPISODES)


@pytest.mark.parametrize("task_id", TASK_IDS)
@pytest.mark.parametrize("at_once", [7, 64])
def test_the_size_of_the_batch_changes_nothing(task_id, at_once):
    assert episode_digest(make_task(task_id), EPISODES, at_once=at_once) == digest(task_id)


@pytest.mark.parametrize("task_id", TASK_IDS)
def test_an_episode_alone_is_the_one_in_the_batch(task_id):
    task, keys = make_task(task_id), episode_keys("user", 1, 64)
    actions = random_actions(task, keys)
    together = play(task, keys, actions)
    for row in (0, 13, 63):
        alone = play(task, keys[row : row + 1], actions[row : row + 1])
        for one, all_rows in zip(alone, together, strict=True):
            assert torch.equal(one[0], all_rows[row])


@pytest.mark.parametrize("task_id", TASK_IDS)
def test_chunks_in_any_order_are_the_same_rollout(task_id):
    task, keys = make_task(task_id), episode_keys("user", 2, 60)
    policy = RandomPolicy(task.agents, len(task.action_names))
    whole = rollout(task, policy, keys)
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    chunks = [rollout(task, policy, part) for part in keys[order].split([1, 7, 20, 32])]
    shuffled = Episodes.concatenate(chunks)[order.argsort()]
    for name in vars(whole):
        assert torch.equal(getattr(shuffled, name), getattr(whole, name)), name


def test_another_process_plays_the_same_whole_episodes():
    program = (
        "import json, sys; from benchmark.episodes.trace import episode_digest; "
        "from benchmark.tasks.registry import make_task; "
        f"print(json.dumps([episode_digest(make_task(task), {EPISODES}, at_once=33) for task in sys.argv[1:]]))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, *TASK_IDS], capture_output=True, text=True, check=True, timeout=120
    )
    assert json.loads(ran.stdout) == [digest(task_id) for task_id in TASK_IDS]


def test_global_generators_are_neither_used_nor_moved():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = [episode_digest(make_task(task_id), 5) for task_id in TASK_IDS]
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert [episode_digest(make_task(task_id), 5) for task_id in TASK_IDS] == first


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("task_id", TASK_IDS)
def test_a_gpu_plays_the_same_episodes(task_id):
    for task in {make_task(task_id), random_start(make_task(task_id))}:
        assert episode_digest(task, EPISODES, device="cuda") == episode_digest(task, EPISODES)
