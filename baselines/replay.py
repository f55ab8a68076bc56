"""A memory of whole episodes, one ring per run, sampled from counter-based streams."""

from typing import NamedTuple

import torch
from torch import Tensor

from benchmark.episodes.rollout import Episodes
from benchmark.tasks.streams import below, bits


class Sequences(NamedTuple):
    """Whole padded episodes in the shape the losses want: runs, then agents, in front.

    Steps that belong together: ``observations[..., t, :], actions[..., t]`` lead to ``rewards[..., t]`` and
    ``observations[..., t + 1, :]``.
    """

    observations: Tensor  # float32 [R, N, B, T + 1, O]
    actions: Tensor  # int64 [R, N, B, T]
    rewards: Tensor  # float32 [R, N, B, T]
    discount: Tensor  # float32 [R, N, B, T]: 0 where the step ended the episode for good, else 1
    mask: Tensor  # bool [R, B, T]: the step was played


class Replay:
    """The last ``capacity`` episodes of each run, on one device.

    Observations are kept in half precision and actions in a byte each: an observation within [-1, 1] is off by
    2**-12 at most.

    Args:
        run_keys: int64 ``[R]``; sampling draws from these streams, so a run samples what it samples alone.
        capacity: episodes kept per run.
    """

    def __init__(self, run_keys: Tensor, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"replay: capacity={capacity} must be at least 1 episode")
        self.run_keys = run_keys
        self.capacity = capacity
        self.added = 0  # episodes per run, ever
        self.drawn = 0  # batches, ever
        self._rings: dict[str, Tensor] = {}

    @property
    def size(self) -> int:
        """Episodes held per run."""
        return min(self.added, self.capacity)

    def add(self, episodes: Episodes, observations: Tensor | None = None) -> None:
        """Store episodes, run-major ``[R * E, ...]``; the oldest give way.

        Args:
            episodes: what ``Setting.rollout`` returned; E at most ``capacity``.
            observations: what to store in place of ``episodes.observations``: the same scaled, or with features
                added, float ``[R * E, T + 1, N, O]``.
        """
        runs = self.run_keys.shape[0]
        count = episodes.batch // runs
        assert count * runs == episodes.batch, (episodes.batch, runs)
        assert count <= self.capacity, (count, self.capacity)
        compact = {
            "observations": (episodes.observations if observations is None else observations).to(torch.float16),
            "actions": episodes.actions.to(torch.uint8),
            "rewards": episodes.rewards,
            "terminated": episodes.terminated,
            "mask": episodes.mask,
        }
        slots = torch.arange(self.added, self.added + count, device=self.run_keys.device) % self.capacity
        for name, values in compact.items():
            if name not in self._rings:
                self._rings[name] = values.new_zeros(runs, self.capacity, *values.shape[1:])
            self._rings[name][:, slots] = values.unflatten(0, (runs, count))
        self.added += count

    def sample(self, batch: int, window: int | None = None) -> Sequences:
        """Draw B = ``batch`` episodes for every run, uniformly and with replacement.

        Args:
            batch: B.
            window: take only so many steps of each, from a played one on, drawn uniformly; None takes whole episodes.
        """
        assert self.size > 0, "sample: the replay is empty"
        random_bits = bits(self.run_keys, self.drawn, "replay", 2 * batch)
        draws = below(random_bits[:, :batch], self.size)  # [R, B]
        self.drawn += 1
        runs = torch.arange(draws.shape[0], device=draws.device)[:, None]
        if window is None:
            picked = {name: ring[runs, draws] for name, ring in self._rings.items()}
        else:
            lengths = self._rings["mask"][runs, draws].sum(2)
            first = below(random_bits[:, batch:], lengths)
            picked = {name: self._cut(name, runs, draws, first, window) for name in self._rings}
        terminated = picked["terminated"][:, None]
        return Sequences(
            picked["observations"].permute(0, 3, 1, 2, 4).to(torch.float32),
            picked["actions"].permute(0, 3, 1, 2).to(torch.int64),
            picked["rewards"].permute(0, 3, 1, 2),
            (~terminated).to(torch.float32).expand(-1, picked["rewards"].shape[3], -1, -1),
            picked["mask"],
        )

    def _cut(self, name: str, runs: Tensor, draws: Tensor, first: Tensor, window: int) -> Tensor:
        """Take some steps of each drawn episode; what would lie beyond the ring's last step is zero."""
        ring, count = self._rings[name], window + (name == "observations")
        steps = first[..., None] + torch.arange(count, device=first.device)  # [R, B, count]
        inside = steps < ring.shape[2]
        values = ring[runs[..., None], draws[..., None], steps.clamp(max=ring.shape[2] - 1)]
        return values * inside.view(*inside.shape, *(1,) * (values.ndim - 3)).to(values.dtype)
