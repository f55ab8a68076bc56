"""Training time."""

import time
from types import TracebackType

import torch


class Clock:
    """Add up the seconds spent inside ``with clock:``. On a GPU the device is synchronised whenever it is read."""

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self.seconds = 0.0
        self._started: float | None = None

    def _time(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def read(self) -> float:
        """Return the seconds so far, also while the clock runs."""
        return self.seconds + (0.0 if self._started is None else self._time() - self._started)

    def __enter__(self) -> "Clock":
        """Start."""
        self._started = self._time()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.seconds = self.read()
        self._started = None
