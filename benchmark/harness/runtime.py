"""How long does training take? Runtime records: timings that say themselves whether they count.

A submission trains for a short budget (``RUNTIME``), in a fresh process with empty caches, between two runs of the
calibration workload and under the eyes of a ``Watch``: alone (R = 1) and stacked (R = 10), each ``REPEATS`` times. A
record keeps what was measured; what follows from it is computed by the functions below wherever it is read, so that
nobody has to trust it: whether others disturbed it, and the seconds that a run of a suite takes on a named profile.

Like run records, each is a sealed file that is written whole or not at all, and a folder of them is the ledger: the
same command again measures what is missing, and what did not count.
"""

import statistics
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from benchmark.harness.child import Child, ChildError, Limits, Say
from benchmark.harness.contain import submission_from_json, submission_to_json
from benchmark.harness.record import SCHEMA_VERSION, Record, RecordError, read_record, write_record
from benchmark.harness.runner import Job, Report, train
from benchmark.harness.submission import Submission
from benchmark.harness.suites import MARKS, SUITES, Suite
from benchmark.measures.calibration import DRIFT, Calibration, calibrate, get_profile
from benchmark.measures.machine import accelerator_state, git_commit, hardware, packages, peak_memory
from benchmark.measures.watch import Watch, crowd
from benchmark.tasks.registry import file_name

REPEATS = 3
STACKED = 10
# What is timed: few episodes, and so few evaluations that they do not matter.
RUNTIME = Suite("runtime", SUITES["full"].tasks, (("", 200),), runs=STACKED, evaluation_episodes=5)
# Every file of runtime records is named so.
PREFIX = "runtime"
# A GPU that is busier before anything has begun is somebody else's too.
BUSY_PERCENT = 5


@dataclass(frozen=True)
class Timing:
    """One measurement: a submission on a task with R runs trained together, for one profile; one repeat of it.

    Attributes:
        submission: who trains.
        task_id: what is learned.
        runs: R; their seeds are 0 .. R - 1.
        repeat: which one of several equal measurements.
        profile: the named machine that seconds are normalised to.
        threads: of torch; timings count only with as many as the profile has.
        device: where.
    """

    submission: Submission
    task_id: str
    runs: int
    repeat: int
    profile: str
    threads: int
    device: str = "cpu"

    def path(self, out: Path) -> Path:
        """Return where its record lies."""
        name = f"{PREFIX}-{self.profile}-r{self.runs}-t{self.threads}-{self.repeat}.json"
        return out / self.submission.name / file_name(self.task_id) / name

    def header(self) -> Record:
        """Return what identifies it; a record in the ledger must agree with it."""
        return {
            "schema_version": SCHEMA_VERSION,
            "kind": PREFIX,
            "submission": self.submission.name,
            "task_id": self.task_id,
            "config": dict(self.submission.parameters),
            "budget_episodes": RUNTIME.budget(self.task_id),
            "stacked_runs": self.runs,
            "repeat": self.repeat,
            "profile": self.profile,
        }


def timings(
    submissions: Sequence[Submission], tasks: Sequence[str], repeats: int, profile: str, threads: int, device: str
) -> list[Timing]:
    """Return all measurements of some submissions on some tasks: alone, and stacked if they can be."""
    return [
        Timing(submission, task_id, runs, repeat, profile, threads, device)
        for submission in submissions
        for task_id in tasks
        if submission.applies_to(task_id)
        for runs in ((1, STACKED) if submission.stacked else (1,))
        for repeat in range(repeats)
    ]


def measure(timing: Timing) -> Record:
    """Time one training in this process, which should have done nothing else before.

    Raises:
        Exception: whatever the submission raises.
    """
    torch.set_num_threads(timing.threads)
    device = torch.device(timing.device)
    job = Job(timing.submission, RUNTIME, timing.task_id, tuple(range(timing.runs)), timing.device)
    facts = {
        "packages": packages(),
        "hardware": hardware(device),
        "accelerator": accelerator_state(device),
        "git_commit": git_commit(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    with Watch(device) as watch_before:
        before = calibrate(device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    with Watch(device) as watch:
        trained = train(job, job.seeds, score_beliefs=False)[0]
    memory = peak_memory(device)
    with Watch(device) as watch_after:
        after = calibrate(device)
    watches = {"before": watch_before, "training": watch, "after": watch_after}
    neighbours = [seen.neighbours for seen in watches.values() if seen.neighbours is not None]
    marks = trained["marks"]
    measured = {
        "marks": {key: [mark[key] for mark in marks] for key in ("episodes", "env_steps", "updates", "seconds")},
        "seconds": trained["seconds"],
        "calibration": {"before": _rounded(before), "after": _rounded(after)},
        "lost": {name: None if seen.lost is None else round(seen.lost, 4) for name, seen in watches.items()},
        "neighbours": max(neighbours, default=None),
        "peak_gib": memory,
    }
    return timing.header() | measured | facts


def _rounded(calibration: Calibration) -> dict[str, float]:
    return {part: round(seconds, 5) for part, seconds in calibration.parts.items()}


def measure_apart(timing: Timing, limits: Limits | None = None) -> Record:
    """Time one training in a fresh process with empty caches.

    Raises:
        ChildError: if the submission raised, died, or broke a limit.
    """
    question = {**vars(timing), "submission": submission_to_json(timing.submission)}
    with (
        tempfile.TemporaryDirectory() as cache,
        Child(limits or Limits(), {"PENUMBRA_CACHE": cache}) as child,
    ):
        return child.ask("benchmark.harness.runtime:measure_there", question)


def measure_there(argument: dict[str, Any], say: Say) -> Record:
    """Time one training: called in the child."""
    submission = submission_from_json(argument.pop("submission"))
    return measure(Timing(submission, **argument))


def measure_all(
    wanted: Iterable[Timing],
    out: Path,
    report: Report = print,
    measurer: Callable[[Timing], Record] | None = None,
) -> Iterator[tuple[Timing, Record | None]]:
    """Measure what the ledger lacks or holds as disturbed; yields every timing with its record, None if it failed.

    Args:
        wanted: what is to be in the ledger.
        out: where it lies.
        report: gets a line for everything that is measured.
        measurer: does it; ``measure_apart`` unless given.

    Raises:
        RecordError: if a record of the ledger is broken or belongs to another configuration.
    """
    for timing in wanted:
        path = timing.path(out)
        path.parent.mkdir(parents=True, exist_ok=True)
        name = f"{timing.submission.name} on {timing.task_id}, {timing.runs} run(s), repeat {timing.repeat}"
        try:
            with FileLock(path.parent / ".lock", timeout=0):
                known = _known(timing, path)
                if known is not None and not doubts(known):
                    yield timing, known
                    continue
                try:
                    record = write_record(path, (measurer or measure_apart)(timing))
                except ChildError as error:
                    report(f"{name}: FAILED: {error.line}")
                    yield timing, None
                    continue
        except Timeout:
            report(f"{name}: another process is measuring it; skipped")
            continue
        why = "; ".join(doubts(record))
        report(
            f"{name}: {record['seconds']['training']:.1f} s of training" + (f"; does not count: {why}" if why else "")
        )
        yield timing, record


def _known(timing: Timing, path: Path) -> Record | None:
    if not path.exists():
        return None
    record = read_record(path)
    for key, value in timing.header().items():
        if record.get(key) != value:
            raise RecordError(
                f"{path}: {key}={record.get(key)!r}, but this command asks for {value!r}; "
                "choose another --out folder or remove the old records"
            )
    return record


def doubts(record: Record) -> list[str]:
    """Say why a timing does not count: who disturbed it, or what differs from its profile. Nothing: it counts."""
    before, after = (Calibration(record["calibration"][name]) for name in ("before", "after"))
    said = crowd(
        max((lost for lost in record["lost"].values() if lost is not None), default=None), record["neighbours"]
    )
    if (drift := before.drift(after)) > DRIFT:
        said.append(f"the calibration drifted by {drift:.0%}")
    if (busy := record["accelerator"].get("utilisation_percent", 0)) > BUSY_PERCENT:
        said.append(f"the GPU was {busy}% busy before")
    profile = get_profile(record["profile"])
    if (threads := record["hardware"]["threads"]) != profile.threads:
        said.append(f"{threads} thread{'s'[: threads != 1]}, where {profile.name} has {profile.threads}")
    return said


def normalised(record: Record, seconds: float) -> float:
    """Return what seconds of a record would be on its profile."""
    before, after = (Calibration(record["calibration"][name]) for name in ("before", "after"))
    return get_profile(record["profile"]).normalised(seconds, before.between(after))


def seconds_per_run(record: Record, budget: int) -> float:
    """Estimate the normalised seconds of training that one run with another budget takes.

    What the first half of the timed budget took, start-up, pre-training and whatever is compiled on the way included,
    is taken as it was; every further episode is taken to cost what one of the second half did.

    Args:
        record: a runtime record.
        budget: training episodes of the run.
    """
    marks, whole = record["marks"], record["seconds"]["training"]
    half, episodes = marks["episodes"][MARKS // 2], marks["episodes"][-1]
    if half < episodes:
        first, pace = marks["seconds"][MARKS // 2], (whole - marks["seconds"][MARKS // 2]) / (episodes - half)
    else:  # a learner that yields but once
        half, first = 0, record["seconds"]["startup"] + record["seconds"]["pretraining"]
        pace = (whole - first) / max(1, episodes)
    return normalised(record, first + pace * max(0, budget - half)) / record["stacked_runs"]


def median_phases(records: Sequence[Record]) -> dict[str, float]:
    """Return the median normalised seconds of each phase, apart, over those records that count, or all if none does."""
    chosen = [record for record in records if not doubts(record)] or records
    found = {
        phase: statistics.median(normalised(record, record["seconds"][phase]) for record in chosen)
        for phase in ("startup", "pretraining", "training", "evaluation")
    }
    return found | {"training": found["training"] - found["startup"] - found["pretraining"]}


def median_gib(records: Sequence[Record]) -> float:
    """Return the median of the most memory held: of the GPU if there was one."""
    return statistics.median(record["peak_gib"].get("device", record["peak_gib"]["host"]) for record in records)
