"""The replay keeps the latest episodes whole and samples every run from its own stream."""

import pytest
import torch
from toy import Whisper

from baselines.replay import Replay
from benchmark.episodes.policy import RandomPolicy
from benchmark.episodes.rollout import Episodes, rollout
from benchmark.tasks.streams import episode_keys

R, E = 3, 4


def run_keys(start: int = 0, count: int = R) -> torch.Tensor:
    return episode_keys("user", 5, count, start=start)


def played(count: int = R * E, start: int = 0) -> Episodes:
    """Random play of a toy task whose episodes last one to five steps."""
    return rollout(Whisper(), RandomPolicy(2, 3), episode_keys("train", 0, count, start=start))


def numbered(first: int, count: int, runs: int = 1) -> Episodes:
    """Episodes whose rewards hold their own number."""
    episodes = played(runs * count)
    number = torch.arange(first, first + count, dtype=torch.float32).repeat(runs)
    episodes.rewards.copy_(number[:, None, None].expand_as(episodes.rewards))
    return episodes


def test_a_sample_is_a_stored_episode_whole():
    episodes = played()
    replay = Replay(run_keys(), 10)
    replay.add(episodes)
    batch = replay.sample(8)
    steps, observation = Whisper().horizon, Whisper().observation_layout.size
    assert batch.observations.shape == (R, 2, 8, steps + 1, observation)
    assert batch.actions.shape == batch.rewards.shape == batch.discount.shape == (R, 2, 8, steps)
    assert batch.mask.shape == (R, 8, steps)
    for run in range(R):
        own = episodes[run * E : (run + 1) * E]
        for row in range(8):
            same = [
                e
                for e in range(E)
                if torch.equal(batch.observations[run, :, row], own.observations[e].transpose(0, 1))
                and torch.equal(batch.actions[run, :, row], own.actions[e].T)
                and torch.equal(batch.rewards[run, :, row], own.rewards[e].T)
                and torch.equal(batch.discount[run, :, row], own.discount[e].expand(2, -1))
                and torch.equal(batch.mask[run, row], own.mask[e])
            ]
            assert same


def test_the_oldest_episodes_give_way():
    replay = Replay(run_keys(count=1), 5)
    replay.add(numbered(0, 3))
    assert replay.size == 3
    assert set(replay.sample(200).rewards.unique().tolist()) == {0.0, 1.0, 2.0}
    replay.add(numbered(3, 4))
    assert replay.size == 5
    assert set(replay.sample(200).rewards.unique().tolist()) == {2.0, 3.0, 4.0, 5.0, 6.0}


def test_sampling_is_uniform():
    replay = Replay(run_keys(count=1), 4)
    replay.add(numbered(0, 4))
    counts = torch.bincount(replay.sample(4000).rewards[0, 0, :, 0].to(torch.int64), minlength=4)
    # Binomial(4000, 1/4): standard deviation 27.
    assert (counts - 1000).abs().max() < 4 * 27


def test_a_run_samples_what_it_samples_alone_and_batches_differ():
    stacked, alone = Replay(run_keys(), 10), Replay(run_keys(start=2, count=1), 10)
    stacked.add(numbered(0, 10, runs=R))
    alone.add(numbered(0, 10))
    first = stacked.sample(6).rewards
    assert torch.equal(first[2:], alone.sample(6).rewards)
    assert not torch.equal(first[0], first[2])
    assert not torch.equal(first, stacked.sample(6).rewards)


def test_features_may_take_the_place_of_observations():
    episodes = played()
    replay = Replay(run_keys(), 10)
    replay.add(episodes, torch.full((R * E, 6, 2, 3), 0.5))
    observations = replay.sample(2).observations
    assert observations.shape == (R, 2, 2, 6, 3)
    assert observations.dtype == torch.float32
    assert bool((observations == 0.5).all())


def test_half_precision_costs_at_most_its_rounding():
    replay = Replay(run_keys(count=1), 1)
    values = torch.linspace(-1.0, 1.0, 6 * 2 * 50).view(1, 6, 2, 50)
    replay.add(played(1), values)
    stored = replay.sample(1).observations[0, :, 0].transpose(0, 1)
    assert (stored - values[0]).abs().max() <= 2.0**-12


def test_a_capacity_below_one_is_refused():
    with pytest.raises(ValueError, match="capacity=0 must be at least 1"):
        Replay(run_keys(), 0)


def test_windows_are_cut_from_played_steps_and_padded_with_nothing():
    episodes = played()
    replay = Replay(run_keys(count=1), 20)
    replay.add(episodes)
    batch = replay.sample(200, window=3)
    assert batch.observations.shape[3] == 4
    assert batch.rewards.shape[3] == batch.mask.shape[2] == 3
    assert batch.mask[:, :, 0].all()
    firsts = set()
    for row in range(200):
        matches = []
        for e in range(episodes.batch):
            for first in range(int(episodes.lengths[e])):
                length = min(3, Whisper().horizon - first)
                whole = torch.zeros(4, *episodes.observations.shape[2:])
                whole[: length + 1] = episodes.observations[e, first : first + length + 1]
                same = torch.equal(batch.observations[0, :, row].transpose(0, 1), whole)
                if same and torch.equal(batch.mask[0, row, :length], episodes.mask[e, first : first + length]):
                    matches.append(first)
        assert matches
        assert not batch.mask[0, row, Whisper().horizon - min(matches) :].any()
        firsts.update(matches)
    assert firsts == set(range(int(episodes.lengths.max())))
