"""The Setting: budgets are metered, keys belong to runs, nothing outside training is handed out."""

import pytest
import torch

from benchmark.episodes.policy import ConstantPolicy, RandomPolicy
from benchmark.episodes.rollout import rollout
from benchmark.harness.protocol import BudgetExceeded, Setting
from benchmark.tasks.registry import make_task
from benchmark.tasks.streams import episode_keys, namespace_of

TASK = make_task("oracle-v0")
PLAYER = RandomPolicy(2, 9)


def test_the_budget_counts_episodes_and_steps_of_each_run():
    setting = Setting("oracle-v0", TASK, (0, 1, 2), budget=50)
    played = [setting.rollout(PLAYER, count) for count in (20, 30)]
    assert (setting.episodes_used, setting.remaining, setting.progress) == (50, 0, 1.0)
    for run in range(3):
        steps = sum(int(part.mask.unflatten(0, (3, -1))[run].sum()) for part in played)
        assert setting.env_steps[run] == steps


def test_one_episode_too_many_is_refused_and_nothing_is_played():
    setting = Setting("oracle-v0", TASK, (0,), budget=10)
    setting.rollout(PLAYER, 8)
    with pytest.raises(BudgetExceeded, match=r"episodes=3 exceed the budget of 10.*8 are used and 2 remain"):
        setting.rollout(PLAYER, 3)
    assert setting.episodes_used == 8
    with pytest.raises(ValueError, match="episodes=0 must be at least 1"):
        setting.rollout(PLAYER, 0)


def test_a_run_plays_the_same_episodes_alone_and_stacked():
    stacked = Setting("oracle-v0", TASK, (4, 7, 9), budget=20)
    alone = Setting("oracle-v0", TASK, (7,), budget=20)
    for count in (5, 15):
        many, one = stacked.rollout(PLAYER, count), alone.rollout(PLAYER, count)
        assert torch.equal(many.actions.unflatten(0, (3, -1))[1], one.actions)
        assert torch.equal(many.returns.unflatten(0, (3, -1))[1], one.returns)
    assert torch.equal(stacked.run_keys[1], alone.run_keys[0])


def test_training_keys_are_new_every_time():
    setting = Setting("oracle-v0", TASK, (0, 1), budget=20)
    keys = torch.cat([setting.rollout(ConstantPolicy([8, 8]), 10).keys for _ in range(2)])
    assert len(torch.cat((keys, setting.run_keys)).unique()) == 42
    assert {namespace_of(int(key)) for key in keys} == {"train"}


def test_only_training_splits_are_handed_out():
    setting = Setting("oracle-v0", TASK, (0,), 10)
    with pytest.raises(ValueError, match="has no offline dataset"):
        setting.dataset()
    asked: list[str] = []

    def load(split: str):
        asked.append(split)
        return setting.rollout(PLAYER, 2)

    setting = Setting("oracle-v0", TASK, (0,), 10, dataset=load)
    assert setting.dataset("validation").batch == 2
    with pytest.raises(ValueError, match="split='test' is not for training; allowed: train, validation"):
        setting.dataset("test")
    assert asked == ["validation"]


def test_phases_part_at_the_first_dataset_and_at_the_first_episode(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("benchmark.measures.clock.time.perf_counter", lambda: now[0])
    data = RandomPolicy(TASK.agents, len(TASK.action_names))
    setting = Setting(
        "oracle-v0", TASK, (0,), 10, dataset=lambda split: rollout(TASK, data, episode_keys("user", 0, 1))
    )
    with setting.clock:
        now[0] = 2.0
        setting.dataset("train")
        now[0] = 5.0
        setting.dataset("validation")
    now[0] = 100.0  # while the clock stands
    with setting.clock:
        now[0] = 101.5
        setting.rollout(data, 1)
        now[0] = 110.0
        setting.rollout(data, 1)
    assert setting.clock.seconds == 15.0
    assert setting.phases == {"startup": 2.0, "pretraining": 4.5}


def test_without_a_dataset_there_is_no_pretraining(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("benchmark.measures.clock.time.perf_counter", lambda: now[0])
    setting = Setting("oracle-v0", TASK, (0,), 10)
    with setting.clock:
        now[0] = 3.0
    assert setting.phases == {"startup": 3.0, "pretraining": 0.0}  # no episode yet: all was start-up
    with setting.clock:
        setting.rollout(RandomPolicy(TASK.agents, len(TASK.action_names)), 1)
        now[0] = 9.0
    assert setting.phases == {"startup": 3.0, "pretraining": 0.0}
