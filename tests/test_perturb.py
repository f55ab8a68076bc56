import pytest
import torch
from scipy.stats import chisquare
from toy import Whisper

from benchmark.episodes.policy import RandomPolicy
from benchmark.episodes.rollout import rollout
from benchmark.tasks.perturb import Slip, Transform
from benchmark.tasks.registry import make_task
from benchmark.tasks.streams import episode_keys

KEYS = episode_keys("user", 0, 4000)


def stay_in_oracle(probability):
    """Actions executed ``[B, T, N]`` in the first steps of Oracle, where all agents choose to stay."""
    task = Slip(make_task("oracle-v0"), probability)
    state, executed = task.initial_state(KEYS), []
    for step in range(5):
        result = task.transition(state, torch.full((len(KEYS), 2), 8), KEYS, step)
        state = result.state
        executed.append(result.executed)
    return torch.stack(executed, 1)


def test_the_slip_rate_counts_replaced_actions_that_may_be_the_same():
    executed = stay_in_oracle(0.3)
    # One of nine replaced actions is "stay" again.
    expected, draws = 0.3 * 8 / 9, executed.numel()
    assert abs((executed != 8).double().mean() - expected) < 4 * (expected * (1 - expected) / draws) ** 0.5


def test_replaced_actions_are_uniform():
    executed = stay_in_oracle(1.0)
    assert chisquare(torch.bincount(executed.flatten(), minlength=9).numpy()).pvalue > 1e-3


def test_agents_slip_independently():
    executed = stay_in_oracle(0.3)
    slipped = (executed != 8).double()
    both = (slipped[..., 0] * slipped[..., 1]).mean()
    single = 0.3 * 8 / 9
    assert abs(both - single**2) < 4 * (single**2 / slipped[..., 0].numel()) ** 0.5


def test_probability_zero_is_the_task_itself():
    task = Whisper()
    plain, slipping = (rollout(t, RandomPolicy(2, 3), KEYS[:200]) for t in (task, Slip(task, 0.0)))
    assert torch.equal(plain.observations, slipping.observations)
    assert torch.equal(plain.rewards, slipping.rewards)
    assert torch.equal(slipping.executed, slipping.actions)


def test_slipping_does_not_shift_the_randomness_of_the_task():
    # The coin and every whisper are the same draws, slip or not.
    starts = [t.initial_state(KEYS) for t in (Whisper(), Slip(Whisper(), 0.5))]
    assert torch.equal(starts[0].coin, starts[1].coin)


@pytest.mark.parametrize("probability", [-0.1, 1.1, float("nan")])
def test_a_probability_out_of_range_is_refused(probability):
    with pytest.raises(ValueError, match=r"slip: probability=.* is outside"):
        Slip(Whisper(), probability)


def test_a_transform_forwards_everything_else():
    task = make_task("escape-room-v0")
    transform = Transform(task)
    state = task.initial_state(KEYS[:3])
    for name in (
        "agents",
        "action_names",
        "horizon",
        "observation_layout",
        "state_layout",
        "hidden_variables",
        "shared_reward",
    ):
        assert getattr(transform, name) == getattr(task, name)
    for name in ("observe", "state_vector", "hidden"):
        assert torch.equal(getattr(transform, name)(state), getattr(task, name)(state))
    assert transform.draw(state, 1) == task.draw(state, 1)
    assert transform.picture(state, 1) == task.picture(state, 1)
