"""Steps per second through the PettingZoo door, one episode at a time, on one core."""

import pytest
import torch

from benchmark.episodes.parallel_env import TaskParallelEnv
from benchmark.tasks.streams import below, bits

STEPS = 2000


@pytest.mark.parametrize(
    "task_id",
    [
        "oracle-v0",
        "oracle-v0:slip=0.1",
        "gathering-v0",
        "escape-room-v0",
        "honeycomb-v0",
        "organization-full-27-v0",
        "organization-full-100-v0",
    ],
)
def test_steps_per_second(benchmark, task_id):
    env = TaskParallelEnv(task_id)
    rows = below(bits(torch.arange(STEPS), 0, "benchmark", env.task.agents), len(env.task.action_names)).tolist()
    actions = [dict(zip(env.possible_agents, row, strict=True)) for row in rows]

    def play():
        env.reset(seed=0)
        for action in actions:
            if not env.agents:
                env.reset()
            env.step(action)

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    benchmark.pedantic(play, rounds=5, warmup_rounds=1)
    torch.set_num_threads(threads)
    benchmark.extra_info["steps_per_second"] = round(STEPS / benchmark.stats.stats.min)


def test_rendering(benchmark):
    env = TaskParallelEnv("gathering-v0", render_mode="rgb_array")
    env.reset(seed=0)
    benchmark.pedantic(env.render, rounds=10, warmup_rounds=1)
    benchmark.extra_info["frames_per_second"] = round(1 / benchmark.stats.stats.min)
