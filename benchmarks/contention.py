"""Does a busy machine pass for a slow one? Time one learner beside no neighbours and beside many, with more threads and
fewer, and compare its normalised seconds.

Run it where nobody else is at work; neighbours are started here. The same command again measures what is missing::

    python benchmarks/contention.py --out timings

A timing that counts must lie within 15% of the median of the idle ones with the profile's threads.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from benchmark.harness.record import read_record
from benchmark.harness.runtime import Timing, doubts, measure_all, seconds_per_run
from benchmark.harness.submission import find_submission
from benchmark.measures.calibration import get_profile
from leaderboard.commands.terminal import SUBMISSIONS

WITHIN = 0.15
# Neighbours that never rest, and one that works a tenth of the time; they end with whoever started them.
STEADY = """
import os
home = os.getppid()
while os.getppid() == home:
    sum(range(10_000))
"""
NOW_AND_THEN = """
import os, time
home = os.getppid()
while os.getppid() == home:
    end = time.perf_counter() + 0.5
    while time.perf_counter() < end:
        pass
    time.sleep(4.5)
"""
CORES = os.cpu_count() or 1
CONDITIONS = {
    "idle": [],
    "one core busy now and then": [NOW_AND_THEN],
    "one core busy": [STEADY],
    "every core busy": [STEADY] * CORES,
    "every core busy twice": [STEADY] * (2 * CORES),
}


@contextmanager
def beside(programs: list[str]) -> Iterator[None]:
    running = [subprocess.Popen([sys.executable, "-c", program]) for program in programs]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def once(timing: Timing, out: Path) -> dict[str, Any]:
    """Measure once and for all: here it is wanted that others disturb."""
    if timing.path(out).exists():
        return read_record(timing.path(out))
    [(_, record)] = measure_all([timing], out)
    assert record is not None, "it failed"
    return record


def measure(arguments: argparse.Namespace) -> dict[tuple[str, int, int], list[dict[str, Any]]]:
    """Return the records of every condition, number of threads and number of runs."""
    submission = find_submission(arguments.submission, [SUBMISSIONS])
    found = {}
    for name in arguments.conditions:
        for threads in arguments.threads:
            for runs in arguments.runs:
                with beside(CONDITIONS[name]):
                    timings = [
                        Timing(submission, arguments.task, runs, repeat, arguments.profile, threads)
                        for repeat in range(arguments.repeats)
                    ]
                    found[name, threads, runs] = [
                        once(each, arguments.out / name.replace(" ", "-")) for each in timings
                    ]
    return found


def show(found: dict[tuple[str, int, int], list[dict[str, Any]]], budget: int, profile: str) -> bool:
    """Print a table; returns whether every timing that counts lies within the limit."""
    home = get_profile(profile).threads
    worst = 0.0
    print("| neighbours | threads | runs | seconds | normalised | to idle | lost | count | why not |")
    print("| :-- | --: | --: | --: | --: | --: | --: | --: | :-- |")
    for (name, threads, runs), records in found.items():
        own = [seconds_per_run(record, budget) for record in records]
        idle = median(seconds_per_run(record, budget) for record in found["idle", home, runs])
        raw = median(record["seconds"]["training"] for record in records)
        lost = median(max(share or 0.0 for share in record["lost"].values()) for record in records)
        count = [not doubts(record) for record in records]
        worst = max([worst, *(abs(one / idle - 1) for one, good in zip(own, count, strict=True) if good)])
        why = "; ".join(sorted({reason for record in records for reason in doubts(record)})[:2])
        print(
            f"| {name} | {threads} | {runs} | {raw:.1f} | {median(own):.2f} | {median(own) / idle:.2f} | {lost:.0%} "
            f"| {sum(count)} of {len(count)} | {why} |"
        )
    print(
        f"\nOf the timings that count, none is further than {worst:.0%} from the idle median; {WITHIN:.0%} are allowed."
    )
    return worst <= WITHIN


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--submission", default="rec-hyst-iql")
    parser.add_argument("--task", default="oracle-v0")
    parser.add_argument("--profile", default="cpu-2")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--runs", type=int, nargs="+", default=[1, 10])
    parser.add_argument("--threads", type=int, nargs="+", default=[2, 1])
    parser.add_argument("--conditions", nargs="+", default=list(CONDITIONS), choices=list(CONDITIONS))
    parser.add_argument("--budget", type=int, default=3000, help="training episodes of a run")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    if "idle" not in arguments.conditions or get_profile(arguments.profile).threads not in arguments.threads:
        parser.error("the idle condition and the profile's threads are what the others are compared with")
    if not show(measure(arguments), arguments.budget, arguments.profile):
        sys.exit(1)


if __name__ == "__main__":
    main()
