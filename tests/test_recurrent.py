"""Recurrent policies: decentralised, alone or in a batch, fresh in every episode; exploration in bouts."""

import pytest
import torch
from toy import Whisper

from baselines.recurrent import RecurrentPolicy, RecurrentQ, exploration, scaling
from benchmark.episodes.rollout import rollout
from benchmark.tasks.oracle import Oracle
from benchmark.tasks.streams import episode_keys, policy_keys
from benchmark.tasks.task import Field, Layout

TASK = Oracle(random_start=True)


def keys(count: int, start: int = 0) -> torch.Tensor:
    return episode_keys("user", 3, count, start=start)


def policy(runs: int = 1, start: int = 0, **settings: float) -> RecurrentPolicy:
    network = RecurrentQ(keys(runs, start), TASK, hidden=16, width=32)
    return RecurrentPolicy(network, scaling(TASK.observation_layout, 2.0), **settings)


def act(policy: RecurrentPolicy, observations: torch.Tensor, batch_keys: torch.Tensor) -> torch.Tensor:
    """Feed observations [B, T, N, O] and return the actions [B, T, N]."""
    memory, chosen = policy.initial_memory(batch_keys), []
    for t in range(observations.shape[1]):
        actions, memory = policy.act(observations[:, t], memory)
        chosen.append(actions)
    return torch.stack(chosen, 1)


def noise(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def test_scaling_puts_the_bounds_at_plus_and_minus_scale():
    layout = Layout((Field("a", 2, 0.0, 10.0), Field("b", 1, -1.0, 1.0), Field("constant", 1, 7.0, 7.0)))
    scale = scaling(layout, 2.0)
    assert scale(torch.tensor([0.0, 10.0, 0.5, 7.0])).tolist() == [-2.0, 2.0, 1.0, 0.0]
    assert scaling(layout, 0.0)(torch.tensor([3.0, 10.0, 0.5, 7.0])).tolist() == [3.0, 10.0, 0.5, 7.0]


def test_an_empty_cell_of_a_picture_stays_empty():
    layout = Layout((Field("room", 100, 0.0, 4.0), Field("positions", 1, 0.0, 4.0)))
    scaled = scaling(layout, 2.0)(torch.tensor([0.0] * 99 + [4.0, 0.0]))
    assert scaled.tolist() == [0.0] * 99 + [2.0, -2.0]


def test_values_along_an_episode_are_those_met_while_acting():
    chooser = policy(runs=2)
    episodes = rollout(TASK, chooser, keys(6))
    observations = chooser.scale(episodes.observations).unflatten(0, (2, 3)).permute(0, 3, 1, 2, 4)
    actions = episodes.actions.unflatten(0, (2, 3)).permute(0, 3, 1, 2)
    q = chooser.network(observations, actions)
    assert q.shape == (2, 2, 3, TASK.horizon + 1, 9)
    played = episodes.mask.unflatten(0, (2, 3))[:, None].expand_as(actions)
    assert torch.equal(q[..., :-1, :].argmax(-1)[played], actions[played])


def test_values_read_the_past_and_not_the_future():
    network = policy().network
    observations, actions = noise(1, 2, 4, 6, 12), torch.zeros(1, 2, 4, 5, dtype=torch.int64)
    q = network(observations, actions)
    changed = actions.clone()
    changed[..., 2] = 1
    after = network(observations, changed)
    assert torch.equal(q[..., :3, :], after[..., :3, :])
    assert not torch.allclose(q[..., 3, :], after[..., 3, :])


def test_an_agent_never_sees_what_another_sees():
    observations = noise(64, 6, 2, 12)
    changed = observations.clone()
    changed[:, :, 1] = noise(2, 64, 6, 12)[1]
    for chooser in (policy(), policy(epsilon=0.5, persistence=0.7)):
        before, after = (act(chooser, seen, policy_keys(keys(64))) for seen in (observations, changed))
        assert torch.equal(before[..., 0], after[..., 0])
        assert not torch.equal(before[..., 1], after[..., 1])


def test_an_episode_is_played_in_a_batch_as_alone():
    chooser = policy(epsilon=0.3, persistence=0.7)
    together = rollout(TASK, chooser, keys(8))
    for episode in range(8):
        alone = rollout(TASK, chooser, keys(1, start=episode))
        assert torch.equal(together.actions[episode], alone.actions[0])


def test_a_run_of_a_stack_plays_as_it_plays_alone():
    episodes = rollout(TASK, policy(3, epsilon=0.3, persistence=0.7), keys(12))
    alone = rollout(TASK, policy(1, start=2, epsilon=0.3, persistence=0.7), keys(12)[8:])
    assert torch.equal(episodes.actions[8:], alone.actions)
    assert torch.equal(episodes.returns[8:], alone.returns)


def test_memory_is_fresh_in_every_episode_and_never_changed_in_place():
    chooser = policy()
    memory = chooser.initial_memory(keys(4))
    first, second = noise(2, 4, 2, 12)
    actions, after = chooser.act(first, memory)
    chooser.act(second, after)
    assert torch.equal(chooser.act(first, memory)[0], actions)
    assert not memory.hidden.any()
    assert not memory.before.any()
    assert torch.equal(rollout(TASK, chooser, keys(4)).actions, rollout(TASK, chooser, keys(4)).actions)


def explored(epsilon: float, persistence: float, steps: int = 30, episodes: int = 2000) -> torch.Tensor:
    """Exploratory actions [T, B, N] of two agents with five actions."""
    bout, history = torch.full((episodes, 2), -1), []
    for step in range(steps):
        bout = exploration(bout, keys(episodes), step, 5, epsilon, persistence)
        history.append(bout)
    return torch.stack(history)


@pytest.mark.parametrize(("epsilon", "persistence"), [(0.6, 0.0), (0.6, 0.7), (0.1, 0.7), (1.0, 0.5)])
def test_every_step_is_exploratory_with_probability_epsilon(epsilon: float, persistence: float):
    share = (explored(epsilon, persistence) >= 0).double().mean((1, 2))
    # 4,000 agents a step: binomial standard deviation sqrt(eps (1 - eps) / 4000).
    assert (share - epsilon).abs().max() <= 4 * (epsilon * (1 - epsilon) / 4000) ** 0.5 + 1e-12


def test_exploration_draws_all_actions_alike():
    bouts = explored(1.0, 0.0)
    counts = torch.bincount(bouts.flatten(), minlength=5).double() / bouts.numel()
    # 120,000 draws: standard deviation 0.0012.
    assert (counts - 0.2).abs().max() < 0.005


def test_bouts_repeat_their_action_with_the_stated_probability():
    bouts = explored(0.4, 0.7)
    before, after = bouts[:-1], bouts[1:]
    going = before >= 0
    repeated = (after == before)[going].double().mean()
    # Repeated by persistence, or ended (0.3), started afresh (0.12 / 0.72) and the same of five actions drawn.
    assert repeated.item() == pytest.approx(0.7 + 0.3 * (0.12 / 0.72) / 5, abs=0.01)


def test_without_epsilon_nobody_explores():
    assert bool((explored(0.0, 0.7, steps=2, episodes=3) == -1).all())


def test_agents_and_episodes_explore_independently():
    bouts = explored(1.0, 0.0, steps=1)[0]
    assert (bouts[:, 0] == bouts[:, 1]).double().mean().item() == pytest.approx(0.2, abs=0.04)
    assert len(bouts[:50, 0].unique()) == 5


def test_sizes_come_from_the_task():
    network = RecurrentQ(keys(2), Whisper(team_size=3), hidden=4, width=8)
    q = network(noise(2, 3, 5, 6, 2), torch.zeros(2, 3, 5, 5, dtype=torch.int64))
    assert q.shape == (2, 3, 5, 6, 3)
