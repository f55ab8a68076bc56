"""Rec.-Hyst.-IQL: independent, reproducible run by run, and able to remember."""

import copy
from dataclasses import replace

import pytest
import torch
from recall import Recall, random_batch

from baselines.hysteretic_iql import NETWORKS, RecHystIQL
from baselines.recurrent import RecurrentPolicy, RecurrentQ
from baselines.replay import Sequences
from baselines.value_learner import return_unit
from benchmark.episodes.policy import RandomPolicy
from benchmark.episodes.rollout import Episodes, rollout
from benchmark.harness.protocol import Setting
from benchmark.tasks.oracle import Oracle
from benchmark.tasks.streams import episode_keys
from benchmark.tasks.task import Task

SMALL = RecHystIQL(hidden=16, width=32)


def train(learner: RecHystIQL, task: Task, seeds: tuple[int, ...], budget: int) -> tuple[Setting, RecurrentPolicy]:
    setting = Setting("test", task, seeds, budget)
    policies = list(learner.train(setting))
    assert isinstance(policies[-1], RecurrentPolicy)
    return setting, policies[-1]


def evaluate(task: Task, policy: RecurrentPolicy, runs: int, episodes: int = 100) -> Episodes:
    return rollout(task, policy, episode_keys("evaluation", 0, episodes).repeat(runs))


def test_it_yields_before_training_and_after_every_round_and_spends_its_budget():
    setting = Setting("recall", Recall(), (0, 1), 45)
    learner = replace(SMALL, collect=2, updates_per_episode=1.5)
    assert sum(1 for _ in learner.train(setting)) == 1 + 23  # 22 rounds of 2 episodes and one of 1
    assert setting.remaining == 0
    assert setting.updates == round(45 * 1.5)
    assert setting.env_steps == [45 * 3, 45 * 3]
    for notes in setting.notes:
        assert notes.keys() == {"loss", "start_value", "gradient_norm", "parameters"}
        assert notes["parameters"] > 0


def test_rounds_are_short_enough_for_twenty_marks():
    setting = Setting("recall", Recall(), (0,), 60)
    assert sum(1 for _ in SMALL.train(setting)) == 1 + 20
    assert sum(1 for _ in SMALL.train(Setting("recall", Recall(), (0,), 7))) == 1 + 7


def test_schedules_start_and_end_where_they_say():
    learner = RecHystIQL(epsilon=0.6, epsilon_end=0.2, exploration_share=0.5)
    assert [learner.epsilon_at(p) for p in (0.0, 0.25, 0.5, 1.0)] == pytest.approx([0.6, 0.4, 0.2, 0.2])
    learner = RecHystIQL(learning_rate=1e-3, learning_rate_end=1e-4)
    assert [learner.learning_rate_at(p) for p in (0.0, 0.5, 1.0)] == pytest.approx([1e-3, 5.5e-4, 1e-4])


def test_an_agent_learns_from_its_own_observations_actions_and_rewards_only():
    online = RecurrentQ(episode_keys("user", 0, 2), Recall(), 8, 16)
    target = copy.deepcopy(online)
    batch, other = random_batch(2, 0), random_batch(2, 1)
    mixed = Sequences(
        torch.cat((batch.observations[:, :1], other.observations[:, 1:]), 1),
        torch.cat((batch.actions[:, :1], other.actions[:, 1:]), 1),
        torch.cat((batch.rewards[:, :1], other.rewards[:, 1:]), 1),
        batch.discount,
        batch.mask,
    )
    losses, gradients = [], []
    for sequences in (batch, mixed):
        online.zero_grad()
        loss, _ = SMALL.loss(online, target, sequences)
        loss.sum().backward()
        losses.append(loss.detach())
        gradients.append([p.grad.clone() for p in online.parameters() if p.grad is not None])
    assert torch.equal(losses[0][:, 0], losses[1][:, 0])
    assert not torch.equal(losses[0][:, 1], losses[1][:, 1])
    for before, after in zip(*gradients, strict=True):
        assert torch.equal(before[:, 0], after[:, 0])


def test_what_lies_beyond_an_episodes_end_teaches_nothing():
    online = RecurrentQ(episode_keys("user", 0, 1), Recall(), 8, 16)
    target = copy.deepcopy(online)
    batch = random_batch(1, 0)
    discount, mask = batch.discount.clone(), batch.mask.clone()
    discount[..., 1], mask[..., 2] = 0.0, False  # the second step of three ends every episode
    batch = batch._replace(discount=discount, mask=mask)
    changed = batch._replace(rewards=batch.rewards.clone(), observations=batch.observations.clone())
    changed.rewards[..., 2] += 5.0
    changed.observations[..., 2:, :] += 1.0
    assert torch.allclose(SMALL.loss(online, target, batch)[0], SMALL.loss(online, target, changed)[0])


def test_a_stacked_run_learns_what_it_learns_alone():
    # Nothing but exploration, so that all data are equal to the last bit and only rounding differs.
    learner = replace(SMALL, epsilon=1.0, epsilon_end=1.0, updates_per_episode=1)
    _, stacked = train(learner, Recall(), (0, 1, 2), 40)
    _, alone = train(learner, Recall(), (2,), 40)
    for many, one in zip(stacked.network.parameters(), alone.network.parameters(), strict=True):
        assert torch.allclose(many[2:], one, atol=1e-4)
    together = evaluate(Recall(), stacked, 3).returns.view(3, -1)[2]
    assert together.mean().item() == pytest.approx(evaluate(Recall(), alone, 1).returns.mean().item(), abs=0.1)


def test_told_what_was_done_it_remembers_the_history_that_really_was():
    """Acting step by step with overridden actions ends in the hidden state of the whole recorded history."""
    _, policy = train(SMALL, Recall(), (0, 1), 20)
    played = rollout(Recall(), RandomPolicy(2, 3), episode_keys("user", 0, 6))
    memory = policy.initial_memory(played.keys)
    for step in range(Recall().horizon):
        _, memory = policy.act(played.observations[:, step], memory)
        memory = policy.with_actions(memory, played.actions[:, step])
    _, memory = policy.act(played.observations[:, -1], memory)
    scaled = policy.scale(played.observations).unflatten(0, (2, 3)).permute(0, 3, 1, 2, 4)
    whole = policy.network.histories(scaled, played.actions.unflatten(0, (2, 3)).permute(0, 3, 1, 2))
    assert torch.allclose(memory.hidden, whole[:, :, :, -1], atol=1e-5)


def test_training_repeats_itself():
    first, second = (train(SMALL, Recall(), (4,), 40)[1].network.state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_it_remembers_what_it_was_shown():
    _, policy = train(replace(SMALL, updates_per_episode=1, batch=16), Recall(), (0, 1), 500)
    returns = evaluate(Recall(), policy, 2).returns.view(2, -1).mean(1)
    assert returns.min() > 1.8, returns


def test_rewards_are_counted_in_units_of_the_spread_of_returns_but_never_blown_up():
    episodes = rollout(Recall(), RandomPolicy(2, 3), episode_keys("train", 0, 4))
    episodes.rewards.zero_()
    # Run 0: returns of agents 10, 10, -10, -10, deviation 10. Run 1: all alike but one, deviation far below 1.
    episodes.rewards[:2, 1] = torch.tensor([[10.0, 10.0], [-10.0, -10.0]])
    episodes.rewards[3, 2, 0] = 0.1
    assert return_unit(episodes, 2).flatten().tolist() == [10.0, 1.0]


def test_without_memory_it_cannot_remember_what_it_was_shown():
    """Recall asks at the end for what was shown at the start; guessing earns what a coin is worth."""
    _, policy = train(replace(SMALL, updates_per_episode=1, batch=16, memory="none"), Recall(), (0, 1), 500)
    played = evaluate(Recall(), policy, 2)
    assert played.returns.view(2, -1).mean(1).max() < 1.3, played.returns
    # Equal observations, equal actions, whatever came before.
    seen = torch.cat((played.observations[:100, :-1], played.actions[:100, ..., None]), -1).flatten(0, 1)
    for agent in range(2):
        pairs = seen[:, agent].unique(dim=0)
        assert len(pairs) == len(pairs[:, :-1].unique(dim=0))
    with pytest.raises(ValueError, match="memory='state' is unknown; allowed: history, none"):
        RecHystIQL(memory="state")


def test_memory_switched_off_changes_no_weight_that_is_used():
    with_memory, without = (kind(episode_keys("user", 0, 1), Recall(), 8, 16) for kind in NETWORKS.values())
    batch = random_batch(1, 0)
    zero = torch.zeros(1, 2, 5, 4, 8)
    assert torch.equal(without(batch.observations, batch.actions), with_memory.values(batch.observations, zero))


@pytest.mark.slow
def test_it_learns_to_sweep_oracles_boxes():
    # Both agents walking north-east for ever get 0.043; one box each 0.53; a sweep of all three 0.88.
    _, policy = train(RecHystIQL(), Oracle(), (0, 1, 2, 3, 4), 800)
    returns = evaluate(Oracle(), policy, 5).returns.view(5, -1).mean(1)
    assert returns.mean() > 0.5, returns
