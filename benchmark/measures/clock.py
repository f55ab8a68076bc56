"""Training time."""

import time
from types import TracebackType

import torch


class Clock:
    """Add up the seconds spent inside ``with clock:``. On a GPU the device is synchronised at both ends."""

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self.seconds = 0.0
        self._started = 0.0

    def _synchronise(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def __enter__(self) -> "Clock":
        """Start."""
        self._synchronise()
        self._started = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self._synchronise()
        self.seconds += time.perf_counter() - self._started
