"""Environment steps per second: transition and observation of a whole batch, random joint actions.

Rates lie in ``extra_info``: ``steps_per_second`` and, as a ratio that does not depend on the machine, ``copies``: how
many times longer a step takes than copying the batch's observations once.
"""

import time

import pytest
import torch

from benchmark.tasks.registry import make_task
from benchmark.tasks.streams import below, bits, episode_keys

TASKS = ("oracle-v0", "gathering-v0", "escape-room-v0", "honeycomb-v0", "organization-full-100-v0")
STEPS = 5


@pytest.mark.parametrize("batch", [1, 64, 4096])
@pytest.mark.parametrize("task_id", TASKS)
def test_steps(benchmark, task_id, batch):
    task = make_task(task_id)
    keys = episode_keys("user", 0, batch)
    start = task.initial_state(keys)
    actions = [below(bits(keys, step, "benchmark", task.agents), len(task.action_names)) for step in range(STEPS)]

    def play():
        state = start
        for step in range(STEPS):
            state = task.transition(state, actions[step], keys, step).state
            task.observe(state)

    with torch.no_grad():
        benchmark(play)
        observations = task.observe(start).contiguous()
        began = time.perf_counter()
        for _ in range(100):
            observations.clone()
        copy = (time.perf_counter() - began) / 100
    seconds = benchmark.stats.stats.median / STEPS
    benchmark.extra_info["steps_per_second"] = round(batch / seconds)
    benchmark.extra_info["copies"] = round(seconds / copy, 1)
