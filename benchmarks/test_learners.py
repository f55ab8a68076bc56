"""Training rate of stacked learners: ten Oracle runs at once, and the work for one episode as the paper does it.

Rates lie in ``extra_info``: ``updates_per_second`` (each trains all ten runs) and ``run_episodes_per_second``. The code
that the authors of Belief-I2Q released trains 2.0 episodes of one run in a second on two cores, at the same ten
updates of 128 transitions for each episode; ``times_released`` is how many times faster this is.
"""

import os
from dataclasses import dataclass

import pytest
import torch

from baselines.belief import BeliefModel
from baselines.hysteretic_iql import RecHystIQL
from baselines.i2q import BeliefI2Q, RecI2Q
from baselines.summaries import Belief
from benchmark.harness.protocol import Setting
from benchmark.tasks.oracle import Oracle

RUNS, EPISODES = 10, 4
RELEASED = 2.0  # episodes of one run in a second


@dataclass(frozen=True)
class Untrained(BeliefI2Q):
    """Belief-I2Q with a belief model that nobody trained: what it costs is the same."""

    def believe(self, setting: Setting) -> Belief:
        return BeliefModel(setting.run_keys[:1], setting.task).requires_grad_(False)


LEARNERS = {
    # 128 transitions for each update, ten updates for each episode: the paper's work.
    "belief-i2q-as-paper": Untrained(updates_per_episode=10, batch=8, window=16, collect=EPISODES),
    "belief-i2q": Untrained(collect=EPISODES),
    "rec-i2q": RecI2Q(collect=EPISODES),
    "rec-hyst-iql": RecHystIQL(collect=EPISODES),
}


@pytest.mark.parametrize("name", LEARNERS)
def test_training(benchmark, name):
    threads = torch.get_num_threads()
    torch.set_num_threads(min(2, os.cpu_count() or 1))
    setting = Setting("oracle-v0", Oracle(), tuple(range(RUNS)), 10_000)
    policies = LEARNERS[name].train(setting)
    for _ in range(2):  # the policy before training, and one round to warm up
        next(policies)
    updates = setting.updates
    try:
        benchmark.pedantic(next, (policies,), rounds=3, iterations=1)
    finally:
        torch.set_num_threads(threads)
    seconds = benchmark.stats.stats.median
    rate = RUNS * EPISODES / seconds
    benchmark.extra_info["updates_per_second"] = round((setting.updates - updates) / 3 / seconds, 1)
    benchmark.extra_info["run_episodes_per_second"] = round(rate, 1)
    benchmark.extra_info["times_released"] = round(rate / RELEASED, 1)
