"""The exact filters: environment steps per second with everybody's posterior after every step.

In ``extra_info``: ``steps_per_second`` and, as a ratio, ``times_rollout``, how many times longer an episode takes than
without beliefs.
"""

import pytest
from rates import repeat, say, seconds

from benchmark.episodes.rollout import rollout, rollout_with_beliefs
from benchmark.measures.posterior import exact_posterior
from benchmark.tasks.registry import make_task
from benchmark.tasks.streams import episode_keys

# Gathering follows particles, each agent's for itself, and takes seconds for a single episode.
BATCHES = {"oracle-v0": 256, "escape-room-v0": 64, "honeycomb-v0": 256, "gathering-v0": 1}


@pytest.mark.parametrize("task_id", BATCHES)
def test_posterior(benchmark, task_id):
    task, keys = make_task(task_id), episode_keys("user", 0, BATCHES[task_id])
    policy = exact_posterior(task)
    steps = rollout(task, policy.policy, keys).steps
    if task_id == "gathering-v0":
        benchmark.pedantic(rollout_with_beliefs, (task, policy, keys), rounds=1)
        took = benchmark.stats.stats.median
    else:
        took = repeat(benchmark, lambda: rollout_with_beliefs(task, policy, keys))
    bare = seconds(lambda: rollout(task, policy.policy, keys))
    say(benchmark, steps_per_second=steps / took, times_rollout=took / bare)
