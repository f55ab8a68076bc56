import pytest
import torch
from scipy.stats import chisquare
from toy import Whisper

from benchmark.episodes.policy import ConstantPolicy, RandomPolicy
from benchmark.episodes.rollout import rollout
from benchmark.tasks.honeycomb import HoneyComb
from benchmark.tasks.organization import Organization
from benchmark.tasks.perturb import Dropout, Noise, Slip, Sticky, Transform
from benchmark.tasks.registry import make_task
from benchmark.tasks.streams import episode_keys
from benchmark.testing import check_task

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


def test_slipping_does_not_shift_the_randomness_of_the_task():
    # The coin and every whisper are the same draws, slip or not.
    starts = [t.initial_state(KEYS) for t in (Whisper(), Slip(Whisper(), 0.5))]
    assert torch.equal(starts[0].coin, starts[1].coin)


@pytest.mark.parametrize("probability", [-0.1, 1.1, float("nan")])
def test_a_probability_out_of_range_is_refused(probability):
    with pytest.raises(ValueError, match=r"slip: .* is outside"):
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


def test_sticky_agents_repeat_what_took_effect_last():
    task = Sticky(make_task("oracle-v0"), 0.25)
    played = rollout(task, RandomPolicy(2, 9), KEYS)
    before, now, chosen = played.executed[:, :-1], played.executed[:, 1:], played.actions[:, 1:]
    assert torch.equal(played.executed[:, 0], played.actions[:, 0])  # nothing to repeat yet
    counted = played.mask[:, 1:, None] & (before != chosen)
    assert bool(((now == before) | (now == chosen))[counted].all())
    draws = int(counted.expand_as(now).sum())
    assert abs((now == before)[counted.expand_as(now)].double().mean() - 0.25) < 4 * (0.25 * 0.75 / draws) ** 0.5


def test_dropout_blinds_whole_agents_one_by_one():
    task = Dropout(make_task("organization-full-9-v0"), 0.3)
    played = rollout(task, RandomPolicy(9, 3), KEYS[:400])
    clear = rollout(make_task("organization-full-9-v0"), RandomPolicy(9, 3), KEYS[:400])
    blind = (played.observations == 0).all(-1)
    assert abs(blind.double().mean() - 0.3) < 4 * (0.21 / blind.numel()) ** 0.5
    assert torch.equal(played.observations[~blind], clear.observations[~blind])
    assert torch.equal(played.rewards, clear.rewards)
    both = (blind[..., 0] & blind[..., 1]).double().mean()
    assert abs(both - 0.09) < 4 * (0.09 / blind[..., 0].numel()) ** 0.5


def test_noise_is_bounded_uniform_and_keeps_the_bounds():
    task = make_task("honeycomb-v0")
    noisy = rollout(Noise(task, 0.1), RandomPolicy(10, 7), KEYS[:100])
    clear = rollout(task, RandomPolicy(10, 7), KEYS[:100])
    low, high = (torch.tensor(bound) for bound in task.observation_layout.bounds())
    played = torch.cat((noisy.mask[:, :1], noisy.mask), 1)
    errors = (noisy.observations - clear.observations)[played]
    assert bool((errors.abs() <= 0.1 * (high - low) / 2 + 1e-6).all())
    assert bool((noisy.observations[played] >= low).all())
    assert bool((noisy.observations[played] <= high).all())
    inside = errors[:, :, 0][clear.observations[played][:, :, 0].abs() < 0.5]  # far from the bounds: not cut
    assert abs(float(inside.mean())) < 4 * (0.1**2 / 3 / inside.numel()) ** 0.5
    assert abs(float(inside.square().mean()) / (0.1**2 / 3) - 1) < 0.05


def test_what_is_revealed_is_the_state_behind_each_observation():
    plain, task = make_task("oracle-v0"), make_task("oracle-v0:reveal=1")
    state = task.initial_state(KEYS[:20])
    seen = task.observe(state)
    assert task.observation_layout.size == seen.shape[-1] == 24
    assert torch.equal(seen[..., :12], plain.observe(state))
    assert torch.equal(seen[..., 12:], plain.state_vector(state)[:, None].expand(-1, 2, -1))
    assert [field.name for field in task.observation_layout.fields][3:] == [
        "state_positions", "state_boxes", "state_right_box"
    ]  # fmt: skip
    with pytest.raises(ValueError, match=r"reveal: 0\.5 must be 1"):
        make_task("oracle-v0:reveal=0.5")


@pytest.mark.parametrize("transform", [Slip, Sticky, Dropout, Noise])
def test_nothing_of_a_perturbation_is_the_task_itself(transform):
    plain, perturbed = (rollout(t, RandomPolicy(2, 3), KEYS[:200]) for t in (Whisper(), transform(Whisper(), 0.0)))
    for name in ("observations", "rewards", "executed", "hidden", "mask"):
        assert torch.equal(getattr(plain, name), getattr(perturbed, name)), name


@pytest.mark.parametrize("perturbation", ["slip=0.2", "sticky=0.2", "dropout=0.2", "noise=0.2", "reveal=1"])
def test_perturbed_tasks_keep_the_published_contract(perturbation):
    check_task(make_task(f"oracle-v0:{perturbation}"))
    check_task(make_task(f"escape-room-v0:{perturbation}"))


def test_a_silent_oracle_pays_and_shows_nothing():
    asked = torch.tensor([[6, 8]])  # agent 0 southeast to the oracle's region, agent 1 stays
    for share, shown in ((1.0, 1.0), (0.0, 0.0), (0.3, 0.3)):
        task = make_task(f"oracle-v0:hint={share}")
        played = rollout(task, ConstantPolicy(asked[0]), KEYS)
        hints = (played.observations[:, 1:, 0, -2:] >= 0).all(-1) & played.mask
        assert abs(hints.any(1).double().mean() - shown) < 4 * (shown * (1 - shown) / len(KEYS)) ** 0.5 + 1e-9
        assert float(played.rewards[:, 6, 0].mean()) == pytest.approx(0.09)  # the seventh step reaches the oracle


def test_parameters_of_the_task_by_id():
    assert make_task("honeycomb-v0:informed=0") == HoneyComb(informed=0)
    assert make_task("organization-star-9-v0:reports=0.4") == Organization(9, "star", noise=0.4)
    for task_id, rule in {
        "oracle-v0:informed=1": r"Oracle has no informed",
        "honeycomb-v0:informed=1.5": r"informed=1\.5 must be a whole number",
        "oracle-v0:slip=0.1,hint=0.5": r"parameters of the task come before",
        "oracle-v0:dropuot=0.5": r"'dropuot' is unknown; did you mean 'dropout'",
    }.items():
        with pytest.raises(ValueError, match=rule):
            make_task(task_id)
