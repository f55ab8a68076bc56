"""No episode that anybody plays lies outside the bounds, and the best ones touch the upper."""

import pytest
import torch

from benchmark.episodes.policy import RandomPolicy
from benchmark.episodes.rollout import rollout
from benchmark.measures.bounds import least, most
from benchmark.measures.references import planner_for
from benchmark.tasks.registry import make_task
from benchmark.tasks.streams import episode_keys

TASKS = ("oracle-v0", "oracle-strict-v0", "gathering-v0", "escape-room-v0", "honeycomb-n3-v0", "organization-full-9-v0")


@pytest.mark.parametrize("task_id", [*TASKS, "escape-room-v0:slip=0.2"])
def test_what_is_played_lies_within(task_id):
    task, keys = make_task(task_id), episode_keys("user", 0, 60)
    high, low = most(task_id, keys), least(task_id)
    assert high is not None
    assert low is not None
    for policy in (planner_for(task_id), RandomPolicy(task.agents, len(task.action_names))):
        returns = rollout(task, policy, keys).returns
        assert bool((returns <= high + 1e-5).all())
        assert bool((returns >= low - 1e-5).all())


def test_bounds_are_tight_where_the_planner_is_optimal():
    for task_id in ("honeycomb-n3-v0", "organization-full-9-v0"):
        keys = episode_keys("user", 0, 20)
        high = most(task_id, keys)
        assert high is not None
        assert torch.allclose(rollout(make_task(task_id), planner_for(task_id), keys).returns, high)


def test_the_optimum_of_oracle_is_the_same_whatever_box_is_right():
    """Every box and the oracle are seven moves away: 1 + 0.1 - 7 * 0.01, and one agent goes to each."""
    keys = episode_keys("user", 0, 50)
    high = most("oracle-v0", keys)
    assert high is not None
    assert high.unique().tolist() == pytest.approx([1.03])
    assert least("oracle-v0") == pytest.approx(-0.4)
    assert least("oracle-strict-v0") == pytest.approx(-1.4)


def test_a_task_without_a_bound_says_so():
    assert most("organization-pair-v0", episode_keys("user", 0, 2)) is None
    assert least("organization-pair-v0") is None
