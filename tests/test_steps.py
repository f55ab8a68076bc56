"""The memory of single steps."""

import torch

from baselines.steps import StepReplay
from benchmark.tasks.streams import episode_keys

KEYS = torch.cat([episode_keys("train", seed, 1) for seed in range(2)])


def test_the_oldest_steps_give_way():
    replay = StepReplay(KEYS, 4)
    replay.add(x=torch.tensor([[1, 2, 3], [11, 12, 13]]))
    assert replay.size == 3
    replay.add(x=torch.tensor([[4, 5, 6], [14, 15, 16]]))
    seen = replay.sample(200)["x"]
    assert sorted(set(seen[0].tolist())) == [3, 4, 5, 6]
    assert sorted(set(seen[1].tolist())) == [13, 14, 15, 16]
    replay.add(x=torch.arange(20, 30).expand(2, -1))  # more than fit: the last four
    assert sorted(set(replay.sample(200)["x"][0].tolist())) == [26, 27, 28, 29]
    assert sorted(set(replay.sample(200, latest=2)["x"][0].tolist())) == [28, 29]


def test_what_belongs_together_stays_together():
    replay = StepReplay(KEYS, 10)
    x = torch.arange(14).view(2, 7)
    replay.add(x=x, y=10 * x[..., None].expand(-1, -1, 3))
    batch = replay.sample(50)
    assert batch["y"].shape == (2, 50, 3)
    assert torch.equal(batch["y"][..., 0], 10 * batch["x"])


def test_a_run_samples_alone_what_it_samples_stacked():
    x = torch.arange(14).view(2, 7)
    both, alone = StepReplay(KEYS, 5), StepReplay(KEYS[1:], 5)
    both.add(x=x)
    alone.add(x=x[1:])
    for _ in range(3):
        assert torch.equal(both.sample(9)["x"][1:], alone.sample(9)["x"])
