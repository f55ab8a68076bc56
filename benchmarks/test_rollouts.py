"""Whole episodes with a policy, recorded: what learning and evaluation play.

In ``extra_info``: ``steps_per_second``, and as a ratio ``times_bare``, how many times longer a step takes than the
task's transition and observation alone, in the same batch and the same session.
"""

import pytest
from rates import DEVICES, finished, repeat, say, seconds
from test_tasks import STEPS, Play

from baselines.hysteretic_iql import RecHystIQL
from benchmark.episodes.policy import RandomPolicy
from benchmark.episodes.rollout import rollout
from benchmark.harness.protocol import Setting
from benchmark.tasks.registry import make_task
from benchmark.tasks.streams import episode_keys

TASKS = ("oracle-v0", "gathering-v0", "escape-room-v0", "honeycomb-v0", "organization-full-100-v0")


def play(benchmark, task_id, policy, batch, device):
    task, keys = make_task(task_id), episode_keys("user", 0, batch, device=device)
    steps = rollout(task, policy, keys).steps
    took = repeat(benchmark, finished(lambda: rollout(task, policy, keys), device))
    bare = seconds(finished(Play(task_id, batch, device), device)) / STEPS / batch
    say(benchmark, steps_per_second=steps / took, episodes_per_second=batch / took, times_bare=took / steps / bare)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("batch", [64, 2048])
@pytest.mark.parametrize("task_id", TASKS)
def test_random_policy(benchmark, task_id, batch, device):
    task = make_task(task_id)
    play(benchmark, task_id, RandomPolicy(task.agents, len(task.action_names)), batch, device)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("batch", [64, 1024])
@pytest.mark.parametrize("task_id", ["oracle-v0", "escape-room-v0"])
def test_recurrent_policy(benchmark, task_id, batch, device):
    """The greedy policy of an untrained Rec-Hyst-IQL: one GRU for each agent."""
    policy = next(iter(RecHystIQL().train(Setting(task_id, make_task(task_id), (0,), 1000, device))))
    play(benchmark, task_id, policy, batch, device)
