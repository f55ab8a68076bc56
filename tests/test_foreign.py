"""A trainer that owns its loop and knows PettingZoo only is a learner like any other."""

import threading
from collections import defaultdict

import numpy as np
import pytest
import torch
from toy import Whisper

from benchmark.episodes.policy import ConstantPolicy
from benchmark.episodes.rollout import rollout
from benchmark.harness.foreign import MeteredParallelEnv, interleave
from benchmark.harness.protocol import BudgetExceeded, Setting
from benchmark.tasks.streams import episode_keys

WAIT, HEADS, TAILS = range(3)


def setting(budget: int = 3, seeds: tuple[int, ...] = (4,)) -> Setting:
    return Setting("whisper-v0", Whisper(), seeds, budget)


def test_it_plays_the_training_episodes_and_charges_them():
    given = setting()
    first, second = MeteredParallelEnv(given), MeteredParallelEnv(given)
    wait = {"agent_0": WAIT, "agent_1": WAIT}
    keys = []
    for env in (first, second, first):
        keys.append(env.reset()[1]["agent_0"]["episode_key"])
        assert env.reset()[1]["agent_0"]["episode_key"] == keys[-1]  # looking is free
        env.step(wait)
    assert keys == episode_keys("train", 4, 3).tolist()
    assert given.episodes_used == 3
    assert given.env_steps == [3]
    with pytest.raises(BudgetExceeded, match=r"exceed the budget of 3 training episodes"):
        second.reset()


def test_its_episodes_are_those_of_a_rollout():
    env = MeteredParallelEnv(setting())
    episodes = rollout(Whisper(), ConstantPolicy([WAIT, WAIT]), episode_keys("train", 4, 1))
    seen = [env.reset()[0]["agent_1"]]
    while env.agents:
        seen.append(env.step({"agent_0": WAIT, "agent_1": WAIT})[0]["agent_1"])
    assert np.array_equal(np.stack(seen), episodes.observations[0, :, 1].numpy())


def test_stacked_runs_are_refused():
    with pytest.raises(ValueError, match=r"runs=2; allowed: 1"):
        MeteredParallelEnv(setting(seeds=(0, 1)))


def test_loop_and_consumer_take_turns():
    log = []

    def run(offer):
        for number in range(3):
            log.append(f"train {number}")
            offer(ConstantPolicy([number]))

    for policy in interleave(run):
        assert isinstance(policy, ConstantPolicy)
        log.append(f"evaluate {int(policy.actions)}")
    assert log == ["train 0", "evaluate 0", "train 1", "evaluate 1", "train 2", "evaluate 2"]


def test_faults_of_the_loop_reach_the_consumer_but_an_empty_budget_ends_it():
    def fails(offer):
        offer(ConstantPolicy([0]))
        raise KeyError("lost")

    with pytest.raises(KeyError, match="lost"):
        list(interleave(fails))

    def spends(offer):
        env = MeteredParallelEnv(setting(budget=2))
        while True:
            env.reset()
            env.step({"agent_0": HEADS, "agent_1": HEADS})
            offer(ConstantPolicy([0]))

    assert len(list(interleave(spends))) == 2


def test_a_loop_that_nobody_listens_to_any_more_is_ended():
    before = threading.active_count()

    def endless(offer):
        while True:
            offer(ConstantPolicy([0]))

    policies = interleave(endless)
    next(policies)
    policies.close()  # pyright: ignore[reportAttributeAccessIssue]
    assert threading.active_count() == before


class TablePolicy:
    """Acts greedily on a table of values for each agent and observation."""

    def __init__(self, tables) -> None:
        self.tables = tables

    def initial_memory(self, keys):
        return None

    def act(self, observations, memory):
        rows = [
            [int(table[tuple(row)].argmax()) for table, row in zip(self.tables, team, strict=True)]
            for team in observations.tolist()
        ]
        return torch.tensor(rows), None


def independent_q_learning(env, offer):
    """What somebody who knows PettingZoo might write on one page."""
    generator = np.random.default_rng(0)
    tables = [defaultdict(lambda: np.zeros(3)) for _ in env.possible_agents]
    while True:
        observations, _ = env.reset()
        while env.agents:
            rows = {agent: tables[i][tuple(observations[agent])] for i, agent in enumerate(env.agents)}
            explore = generator.random(len(rows)) < 0.3
            actions = {
                agent: int(generator.integers(3)) if wild else int(row.argmax())
                for (agent, row), wild in zip(rows.items(), explore, strict=True)
            }
            observations, rewards, terminated, _, _ = env.step(actions)
            for i, (agent, row) in enumerate(rows.items()):
                later = 0.0 if terminated[agent] else tables[i][tuple(observations[agent])].max()
                row[actions[agent]] += 0.1 * (rewards[agent] + later - row[actions[agent]])
        offer(TablePolicy(tables))


def test_a_pettingzoo_trainer_learns_and_keeps_its_budget():
    given = setting(budget=1500)
    *_, policy = interleave(lambda offer: independent_q_learning(MeteredParallelEnv(given), offer))
    assert given.remaining == 0
    played = rollout(Whisper(), policy, episode_keys("evaluation", 0, 200))
    # Agent 0 sees the coin at once: it says so, and agent 1, whose whisper may be wrong, keeps quiet.
    assert float(played.rewards[:, :, 0].sum(1).mean()) == 1.0
