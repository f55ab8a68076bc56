"""A memory of single steps, one ring per run, sampled from counter-based streams."""

import torch
from torch import Tensor

from benchmark.tasks.streams import below, bits


class StepReplay:
    """The last ``capacity`` steps of each run: named tensors ``[R, capacity, ...]`` on one device.

    Args:
        run_keys: int64 ``[R]``; sampling draws from these streams, so a run samples what it samples alone.
        capacity: steps kept per run.
    """

    def __init__(self, run_keys: Tensor, capacity: int) -> None:
        self.run_keys, self.capacity = run_keys, capacity
        self.added = 0  # steps per run, ever
        self.drawn = 0  # batches, ever
        self._rings: dict[str, Tensor] = {}

    @property
    def size(self) -> int:
        """Steps held per run."""
        return min(self.added, self.capacity)

    def add(self, **steps: Tensor) -> None:
        """Store K steps of every run, tensors ``[R, K, ...]``; the oldest give way, also among the K themselves."""
        count = next(iter(steps.values())).shape[1]
        kept = min(count, self.capacity)
        first = self.added + count - kept
        slots = torch.arange(first, first + kept, device=self.run_keys.device) % self.capacity
        for name, values in steps.items():
            assert values.shape[1] == count, (name, values.shape)
            if name not in self._rings:
                self._rings[name] = values.new_zeros(values.shape[0], self.capacity, *values.shape[2:])
            self._rings[name][:, slots] = values[:, count - kept :]
        self.added += count

    def sample(self, count: int, latest: int | None = None) -> dict[str, Tensor]:
        """Draw steps for every run, uniformly and with replacement.

        Args:
            count: S.
            latest: draw from the last so many steps only; None draws from all.

        Returns:
            Tensors ``[R, S, ...]``.
        """
        assert self.size > 0, "sample: the replay is empty"
        among = min(self.size, latest or self.size)
        back = below(bits(self.run_keys, self.drawn, "step-replay", count), among)
        draws = (self.added - 1 - back) % self.capacity
        self.drawn += 1
        run = torch.arange(len(draws), device=draws.device)[:, None]
        return {name: ring[run, draws] for name, ring in self._rings.items()}
