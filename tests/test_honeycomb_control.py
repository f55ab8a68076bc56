"""HoneyComb's control: who walks where, and what a belief makes of it."""

import torch

from baselines.honeycomb_control import STEPS, InformedWalk, accuracy, control
from baselines.pretraining import Pretraining
from benchmark.episodes.rollout import rollout
from benchmark.tasks.honeycomb import GOALS, SCALE, HoneyComb
from benchmark.tasks.streams import episode_keys

TASK = HoneyComb(team_size=4, random_start=True)


def test_the_informed_walk_to_the_special_goal_and_the_others_wander():
    episodes = rollout(TASK, InformedWalk(TASK), episode_keys("user", 1, 200))
    goal = torch.tensor(GOALS)[episodes.hidden[:, 0, 0]] / SCALE
    # The horizon ends these episodes: its last observation is where everybody is at the end.
    at_end = episodes.observations[torch.arange(200), episodes.lengths, 0, : 2 * TASK.agents].unflatten(1, (-1, 2))
    arrived = ((at_end - goal[:, None]).abs().amax(-1) < 1e-3).double().mean(0)
    assert arrived[:2].tolist() == [1.0, 1.0]
    assert float(arrived[2:].max()) < 0.2


def test_accuracy_counts_the_uninformed_alone():
    episodes = rollout(TASK, InformedWalk(TASK), episode_keys("user", 1, 50))
    beliefs = torch.zeros(50, 31, 4, 6)
    beliefs[:, :, :2] = torch.nn.functional.one_hot(episodes.hidden, 6).float()  # the informed agents are right
    beliefs[:, 10:, 2] = torch.nn.functional.one_hot(episodes.hidden[:, 10:, 0], 6).float()  # one other from step 10 on
    beliefs[:, :, 3] = torch.nn.functional.one_hot((episodes.hidden[:, :, 0] + 1) % 6, 6).float()  # one is never right
    beliefs[:, :10, 2] = beliefs[:, :10, 3]
    found = accuracy(TASK, beliefs, episodes)
    assert found.at == tuple(0.5 if step >= 10 else 0.0 for step in STEPS)


def test_both_kinds_of_data_are_compared_on_the_same_episodes():
    quick = Pretraining(updates=2, batch=2, validate=1, warm_up=1)
    found = control(3, quick, episodes=8)
    assert set(found) == {"random", "informed"}
    assert all(0.0 <= result.mean <= 1.0 for result in found.values())
