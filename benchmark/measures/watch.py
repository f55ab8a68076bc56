"""Who else is at work while something is timed, and how much of the machine that cost.

Linux counts, for every thread, how long it was ready to run and had to wait for a core. That is what a neighbour costs,
whatever the number of cores and threads, and it is seen also where neighbours run in other containers. What a process
waits for itself, with more threads than cores, is no neighbour's doing: no more counts than others have used. In a
virtual machine there is also what its host gave to other machines while it was at work (``steal``).
"""

import os
import resource
import threading
import time
from pathlib import Path
from types import TracebackType

import torch

from benchmark.measures.machine import accelerator_state

# A timing that lost more of its processor time to others is crowded.
LOST = 0.05
_SECONDS_BETWEEN_LOOKS = 1.0


class Watch:
    """See who else is at work during ``with watch:``.

    Attributes:
        seconds: how long it took.
        own: processor seconds that this process used.
        others: processor cores that other processes kept busy on average, or None where the system does not tell.
        waited: seconds that threads of this process were ready and waited for a core, all together, or None.
        stolen: processor seconds that other virtual machines took from all processes here, part of ``others``.
        neighbours: the most other processes seen on the GPU, or None where that is not known.
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self.seconds = 0.0
        self.own = 0.0
        self.others: float | None = None
        self.waited: float | None = None
        self.stolen = 0.0
        self.neighbours: int | None = None
        self._ended = threading.Event()
        self._looking: threading.Thread | None = None

    def __enter__(self) -> "Watch":
        """Start watching."""
        self._ended.clear()
        if self.device.type == "cuda":
            self._look()
            self._looking = threading.Thread(target=self._keep_looking, daemon=True)
            self._looking.start()
        self._started = time.perf_counter(), _own_seconds(), *_busy_seconds(), _waited_seconds()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop watching."""
        ended = time.perf_counter(), _own_seconds(), *_busy_seconds(), _waited_seconds()
        passed = [
            None if now is None or before is None else max(0.0, now - before)
            for before, now in zip(self._started, ended, strict=True)
        ]
        self.seconds, self.own = passed[0] or 0.0, passed[1] or 0.0
        if passed[2] is not None and self.seconds > 0:
            self.others = max(0.0, passed[2] - self.own) / self.seconds
        self.stolen, self.waited = passed[3] or 0.0, passed[4]
        self._ended.set()
        if self._looking is not None:
            self._looking.join()
            self._looking = None
            self._look()

    def _look(self) -> None:
        seen = accelerator_state(self.device).get("other_processes")
        if seen is not None:
            self.neighbours = max(seen, self.neighbours or 0)

    def _keep_looking(self) -> None:
        while not self._ended.wait(_SECONDS_BETWEEN_LOOKS):
            self._look()

    @property
    def lost(self) -> float | None:
        """The share, 0 to 1, of the processor time wanted here that others took; None where the system does not tell.

        What other virtual machines took is shared out among the processes here by what they used. Where waiting is not
        counted, others are assumed to use idle cores first.
        """
        if self.others is None:
            return None
        used = self.others * self.seconds
        here = self.own + used - self.stolen
        taken = self.stolen * self.own / here if here > 0 else 0.0
        if self.waited is not None:
            taken += self.waited
        else:
            idle = (os.cpu_count() or 1) - torch.get_num_threads()
            taken += max(0.0, used - self.stolen - idle * self.seconds)
        taken = min(taken, used)
        return taken / (self.own + taken) if taken else 0.0

    @property
    def crowded(self) -> bool:
        """Whether others took more than ``LOST`` of what this process could have used, or a share of the GPU."""
        return bool(crowd(self.lost, self.neighbours))

    @property
    def told(self) -> str:
        """Who else was there, in words."""
        return "; ".join(crowd(self.lost, self.neighbours)) or "nobody else was at work"


def crowd(lost: float | None, neighbours: int | None) -> list[str]:
    """Say why a timing is crowded; nothing if it is not."""
    said = []
    if (lost or 0.0) > LOST:
        said.append(f"others took {lost:.0%} of the processor time")
    if neighbours:
        said.append(f"{neighbours} other process{'es'[: 2 * (neighbours > 1)]} on the GPU")
    return said


def _own_seconds() -> float:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def _busy_seconds() -> tuple[float | None, float | None]:
    """Return the processor seconds that everybody together has used since the machine started, if it tells.

    The second number is the part of them that other virtual machines took (``steal``).
    """
    try:
        first = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    except OSError:
        return None, None
    user, nice, system, _idle, _wait, interrupt, soft, steal = map(int, first[1:9])
    tick = os.sysconf("SC_CLK_TCK")
    return (user + nice + system + interrupt + soft + steal) / tick, steal / tick


def _waited_seconds() -> float | None:
    """Return how long the threads of this process that live now have waited for a core, if the system tells."""
    waited = None
    try:
        for thread in Path("/proc/self/task").iterdir():
            try:
                waited = (waited or 0.0) + int((thread / "schedstat").read_text().split()[1]) / 1e9
            except (FileNotFoundError, ProcessLookupError):  # ended meanwhile
                continue
    except (OSError, ValueError, IndexError):
        return None
    return waited
