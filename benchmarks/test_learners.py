"""Training rate of every learner, one run alone and ten stacked: rounds of playing and learning.

Rates lie in ``extra_info``: ``updates_per_second`` (each trains all runs), ``run_episodes_per_second``, and as a ratio
``times_alone``, how many times as many runs' episodes a second as one run alone. The code that the authors of
Belief-I2Q released trains 2.0 episodes of one run in a second on two cores, at the same ten updates of 128 transitions
for each episode; ``times_released`` is how many times faster ``belief-i2q-as-paper`` is. What a roofline needs is
counted in one round: ``kernels_per_round``, ``bytes_per_round``, ``operations_per_round``.
"""

from dataclasses import dataclass

import pytest
from rates import CORES, DEVICES, finished, say, threads

from baselines.belief import BeliefModel
from baselines.i2q import BeliefI2Q
from baselines.summaries import Belief
from benchmark.harness.protocol import Setting
from benchmark.harness.submission import find_submission
from benchmark.harness.suites import get_suite
from benchmark.measures.traffic import count_traffic
from benchmark.tasks.registry import make_task
from leaderboard.commands.terminal import SUBMISSIONS

RELEASED = 2.0  # episodes of one run in a second
ORGANIZATION = "organization-full-27-v0"


@dataclass(frozen=True)
class Untrained(BeliefI2Q):
    """Belief-I2Q with a belief model that nobody trained: what it costs is the same."""

    def believe(self, setting: Setting) -> Belief:
        return BeliefModel(setting.run_keys[:1], setting.task).requires_grad_(False)


def published(name):
    return find_submission(name, [SUBMISSIONS]).build()


LEARNERS = {
    # 128 transitions for each update, ten updates for each episode: the paper's work.
    "belief-i2q-as-paper": ("oracle-v0", Untrained(updates_per_episode=10, batch=8, window=16, collect=4)),
    "belief-i2q": ("oracle-v0", Untrained()),
    **{name: ("oracle-v0", published(name)) for name in ("rec-i2q", "rec-hyst-iql")},
    **{name: (ORGANIZATION, published(name)) for name in ("ia2c++-cf", "ia2c++-mf", "maddpg++-cf", "maddpg++-mf")},
    "maddpg": ("organization-full-9-v0", published("maddpg")),
    "ia2c": ("organization-pair-v0", published("ia2c")),
}
_alone: dict[tuple[str, str], float] = {}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("runs", [1, 10])
@pytest.mark.parametrize("name", LEARNERS)
def test_training(benchmark, name, runs, device):
    task_id, learner = LEARNERS[name]
    budget = get_suite("full").budget(task_id)  # on which learners' rounds depend
    setting = Setting(task_id, make_task(task_id), tuple(range(runs)), budget, device)
    policies = learner.train(setting)
    with threads(CORES):
        for _ in range(2):  # the policy before training, and one round to warm up
            next(policies)
        updates, episodes = setting.updates, setting.episodes_used
        benchmark.pedantic(finished(lambda: next(policies), device), rounds=3)
        updates, episodes = (setting.updates - updates) / 3, (setting.episodes_used - episodes) / 3
        work = count_traffic(lambda: next(policies))
    benchmark.extra_info["task_id"] = task_id
    took = benchmark.stats.stats.median
    rate = runs * episodes / took
    say(benchmark, updates_per_second=updates / took, run_episodes_per_second=rate, episodes_per_round=episodes)
    say(benchmark, kernels_per_round=work.kernels, bytes_per_round=work.bytes, operations_per_round=work.operations)
    if runs == 1:
        _alone[name, device] = rate
    elif (name, device) in _alone:
        say(benchmark, times_alone=rate / _alone[name, device])
    if name == "belief-i2q-as-paper":
        say(benchmark, times_released=rate / RELEASED)
