"""How fast is this machine, now? A fixed workload whose time makes seconds comparable between machines.

Seconds on a shared machine say little by themselves. So whatever is timed is timed between two runs of one workload,
a mix of what learners do, and is reported in *normalised seconds*: ``seconds * (the profile's calibration / the
calibration seen)``, the time it would have taken on the named profile. Calibrations before and after that differ by
more than ``DRIFT``, or somebody else at work meanwhile, mark a timing as contended; it does not rank.
"""

import json
import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from benchmark.measures.clock import Clock
from benchmark.measures.watch import Watch
from benchmark.tasks.registry import did_you_mean

DRIFT = 0.10
REPEATS = 5
PROFILES = Path(__file__).with_name("profiles.json")


@dataclass(frozen=True)
class Calibration:
    """Seconds of each part of the workload, the median of ``REPEATS``."""

    parts: dict[str, float]

    @property
    def seconds(self) -> float:
        """The workload's time: the sum of its parts."""
        return sum(self.parts.values())

    def drift(self, other: "Calibration") -> float:
        """Return by what share the slower of two calibrations exceeds the faster: 0.1 is 10 %."""
        slow, fast = sorted((self.seconds, other.seconds), reverse=True)
        return slow / fast - 1.0

    def between(self, other: "Calibration") -> "Calibration":
        """Return the mean of two calibrations: what the machine was like between them."""
        return Calibration({part: (seconds + other.parts[part]) / 2 for part, seconds in self.parts.items()})


@dataclass(frozen=True)
class Profile:
    """A named machine whose calibration is frozen.

    Attributes:
        name: for instance ``"cpu-2"``.
        machine: what it is, in words.
        device: ``"cpu"`` or ``"cuda"``.
        threads: that torch used. Timings for this profile use as many: threads help the workload and a learner to
            different degrees, so that with another number of them neither would say anything about the other.
        torch: the version the calibration was measured with.
        calibration: what the workload took there, with nobody else at work.
    """

    name: str
    machine: str
    device: str
    threads: int
    torch: str
    calibration: Calibration

    def normalised(self, seconds: float, seen: Calibration) -> float:
        """Return the seconds that ``seconds``, measured where the workload took ``seen``, would be on this profile."""
        return seconds * self.calibration.seconds / seen.seconds

    def distance(self, seen: Calibration) -> float:
        """Return how unlike a machine is: the mean over the parts of the logarithm of their ratio, without its sign."""
        ratios = [math.log(seen.parts[part] / frozen) for part, frozen in self.calibration.parts.items()]
        return sum(map(abs, ratios)) / len(ratios)


@lru_cache(maxsize=1)
def profiles() -> dict[str, Profile]:
    """Return the frozen profiles by name."""
    return {
        name: Profile(name, **{**entry, "calibration": Calibration(entry["calibration"])})
        for name, entry in json.loads(PROFILES.read_text()).items()
    }


def get_profile(name: str) -> Profile:
    """Return a profile by name.

    Raises:
        ValueError: if there is none of that name.
    """
    known = profiles()
    if name not in known:
        raise ValueError(f"profile={name!r} is unknown{did_you_mean(name, known)}; allowed: {', '.join(known)}")
    return known[name]


def nearest(seen: Calibration, device: torch.device | str = "cpu") -> Profile | None:
    """Return the frozen profile most like a machine, among those of the same kind of device; None if there is none."""
    kind = torch.device(device).type
    same = [profile for profile in profiles().values() if profile.device == kind]
    return min(same, key=lambda profile: profile.distance(seen), default=None)


def calibrate(device: torch.device | str = "cpu") -> Calibration:
    """Run the workload ``REPEATS`` times (a few seconds) and return the median time of each part.

    The parts take turns, so that a disturbance that comes and goes meets all of them.
    """
    parts = workload(torch.device(device))
    times: dict[str, list[float]] = {name: [] for name in parts}
    with torch.no_grad():
        for part in parts.values():
            part()  # allocations, tables and caches are not what is measured
        for _ in range(REPEATS):
            for name, part in parts.items():
                clock = Clock(device)
                with clock:
                    part()
                times[name].append(clock.seconds)
    return Calibration({name: statistics.median(values) for name, values in times.items()})


def workload(device: torch.device) -> dict[str, Callable[[], object]]:
    """Return the parts of the workload: what stacked learners on small tasks spend their time on.

    They use nothing of this package: a package that becomes faster must not make machines look faster.
    """

    def weights(*shape: int) -> Tensor:
        count = torch.arange(torch.Size(shape).numel(), device=device, dtype=torch.float64)
        return (((count * 12.9898).sin() * 43758.5453) % 1.0 - 0.5).float().view(shape)

    # Scaled so that neither grows nor fades: numbers close to nothing are slow on some processors.
    rows, square = weights(20, 1024, 128), weights(20, 128, 128) * 0.43
    hidden, recurrent = weights(20, 16, 64), weights(20, 64, 192)
    little = weights(20, 64)
    board = _Board(device)

    def products() -> Tensor:
        x = rows
        for _ in range(30):
            x = torch.bmm(x, square).relu_()
        return x

    def recurrence() -> Tensor:
        h = hidden
        for _ in range(1000):
            h = torch.lerp(torch.bmm(h, recurrent)[..., :64].tanh(), h, 0.5)
        return h

    def small() -> Tensor:
        x = little
        for _ in range(50_000):
            x = x * 0.999
        return x

    return {"products": products, "recurrence": recurrence, "small operations": small, "board": board.play}


class _Board:
    """Two walkers on a board of 9 x 9 fields, 512 boards at a time, as lockstep rollouts play: integers and tables."""

    def __init__(self, device: torch.device) -> None:
        fields = torch.arange(81, device=device)
        row, column = fields // 9, fields % 9
        steps = ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))
        self.neighbours = torch.stack(
            [(row + down).clamp(0, 8) * 9 + (column + right).clamp(0, 8) for down, right in steps], 1
        )
        self.places = torch.stack([row / 8, column / 8], 1)  # [81, 2]
        self.start = torch.arange(1024, device=device).view(512, 2) * 7919 % 81
        self.draw = torch.arange(1024, device=device).view(512, 2)

    def play(self) -> Tensor:
        """Play 64 episodes of 40 steps on every board; return what was seen last and the rewards, ``[512, 6]``."""
        place, draw = self.start, self.draw
        alive = torch.ones(512, dtype=torch.bool, device=place.device)
        total, seen = torch.zeros(512, device=place.device), torch.empty(0)
        for step in range(64 * 40):
            draw = draw * 6364136223846793005 + 1442695040888963407
            place = torch.where(alive[:, None], self.neighbours[place, (draw >> 33) % 5], place)
            met = place[:, 0] == place[:, 1]
            seen = torch.cat([self.places[place].flatten(1), met[:, None].float()], 1)
            total = total + torch.where(alive, met.float() - 0.01, 0.0)
            alive = (alive & ~met) | (step % 40 == 39)
        return torch.cat([seen, total[:, None]], 1)


def freeze(name: str, machine: str, device: torch.device | str = "cpu") -> Profile:
    """Measure this machine, with nobody else at work, and put it into the frozen profiles under a name.

    The fastest of three calibrations counts: whatever disturbs, slows.

    Raises:
        ValueError: if three calibrations differ by more than ``DRIFT``, or others are at work: the machine is not idle.
    """
    with Watch(device) as watch:
        seen = sorted((calibrate(device) for _ in range(3)), key=lambda calibration: calibration.seconds)
    if watch.crowded:
        raise ValueError(f"freeze: {watch.told}: the machine is not idle")
    if seen[0].drift(seen[-1]) > DRIFT:
        took = ", ".join(f"{calibration.seconds:.3f}" for calibration in seen)
        raise ValueError(f"freeze: three calibrations took {took} s: the machine is not idle")
    entries = json.loads(PROFILES.read_text()) if PROFILES.exists() else {}
    parts = {part: float(f"{seconds:.4g}") for part, seconds in seen[0].parts.items()}
    entries[name] = {
        "machine": machine,
        "device": torch.device(device).type,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "calibration": parts,
    }
    PROFILES.write_text(json.dumps(entries, indent=2) + "\n")
    profiles.cache_clear()
    return get_profile(name)
