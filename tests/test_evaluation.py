"""Evaluation plays held-out episodes: the right ones, for the right run, with the right noise."""

import pytest
import torch

from benchmark.episodes.policy import ConstantPolicy, NoisyPolicy, RandomPolicy
from benchmark.episodes.rollout import rollout
from benchmark.measures import evaluation
from benchmark.measures.evaluation import evaluate, evaluate_runs, evaluation_keys
from benchmark.tasks.registry import make_task
from benchmark.tasks.streams import episode_keys, namespace_of

TASK = make_task("oracle-v0")


def test_marks_and_runs_have_their_own_episodes_that_training_never_meets():
    keys = torch.cat([evaluation_keys(seed, [0, 1, 20], 50) for seed in range(5)])
    assert len(keys.unique()) == 5 * 3 * 50
    assert {namespace_of(int(key)) for key in keys} == {"evaluation"}
    training = torch.cat([episode_keys("train", seed, 10_000) for seed in range(5)])
    assert not torch.isin(keys, training).any()


def test_returns_arrive_at_their_run_and_mark(monkeypatch):
    """Batched in groups of one mark or all at once, every number is that of its own episode."""
    policy = RandomPolicy(2, 9)
    together = evaluate_runs(TASK, policy, (3, 5), [0, 7, 20], 4)
    monkeypatch.setattr(evaluation, "_EPISODES_AT_ONCE", 1)
    apart = evaluate_runs(TASK, policy, (3, 5), [0, 7, 20], 4)
    assert together.greedy.shape == (2, 3, 4)
    assert torch.equal(together.greedy, apart.greedy)
    assert torch.equal(together.noisy, apart.noisy)
    alone = rollout(TASK, policy, evaluation_keys(5, [7], 4)).returns
    assert torch.equal(together.greedy[1, 1], alone)


def test_one_action_in_twenty_is_random():
    still = ConstantPolicy([8, 8])
    episodes = rollout(TASK, NoisyPolicy(still, 0.05, 9), episode_keys("user", 0, 2000))
    played = episodes.mask[..., None].expand_as(episodes.actions)
    moved = (episodes.actions != 8)[played].double().mean()
    # 5% random draws, one in nine of which stays; 160,000 decisions.
    assert abs(float(moved) - 0.05 * 8 / 9) < 4 * (0.044 * 0.956 / 160_000) ** 0.5


def test_the_inner_policy_is_told_what_was_done():
    class Recorder:
        def initial_memory(self, keys):
            return torch.zeros(len(keys), 2, dtype=torch.int64)

        def act(self, observations, memory):
            still = torch.full(observations.shape[:2], 8)
            return still, still

        def with_actions(self, memory, actions):
            told.append(actions)
            return actions

    told: list[torch.Tensor] = []
    episodes = rollout(TASK, NoisyPolicy(Recorder(), 0.5, 9), episode_keys("user", 0, 10))
    for step, actions in enumerate(told):
        running = episodes.mask[:, step]
        assert torch.equal(actions[running], episodes.actions[running, step])


def test_evaluate_is_the_short_form():
    returns = evaluate(TASK, ConstantPolicy([8, 8]), 5)
    assert returns.tolist() == pytest.approx([-0.4] * 5, abs=1e-6)
