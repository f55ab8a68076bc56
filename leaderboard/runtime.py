"""Runtime records as data from strangers, and what a board makes of them.

``penumbra profile`` writes these objects (``benchmark.harness.runtime``); they lie in ``runtime.jsonl`` beside a
submission's results. Whether a timing counts, and the normalised seconds, are computed from what was measured.
"""

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, TypeAdapter, model_validator

from benchmark.harness.record import SCHEMA_VERSION, atomic_write
from benchmark.harness.runtime import PREFIX, REPEATS, RUNTIME, STACKED, doubts, seconds_per_run
from benchmark.harness.suites import MARKS, Suite
from benchmark.measures.calibration import get_profile
from benchmark.tasks.registry import spec
from leaderboard.reading import holds_results, parse, read_files, record_files, refuse, where
from leaderboard.record import Count, Facts, Name, RunRecord, Seconds, Share, Strict, Text, Time, Who, machine
from leaderboard.submission import read_records

FILE = f"{PREFIX}.jsonl"

_MOST_SECONDS = 1e8

Counts = Annotated[list[Count], Field(min_length=MARKS + 1, max_length=MARKS + 1)]
Times = Annotated[list[Time], Field(min_length=MARKS + 1, max_length=MARKS + 1)]
Parts = Annotated[dict[Text, Annotated[float, Field(gt=0, le=1e6)]], Field(min_length=1, max_length=20)]


class TimedMarks(Strict):
    """What had been done at every 5% of the budget; counts are those of the first run."""

    episodes: Counts
    env_steps: Counts
    updates: Counts
    seconds: Times

    @model_validator(mode="after")
    def _rising(self) -> "TimedMarks":
        for key, values in self:
            if any(now < before for before, now in pairwise(values)):
                raise ValueError(f"{key}={values} must not fall")
        return self


class Calibrations(Strict):
    """Seconds of each part of the workload, before and after."""

    before: Parts
    after: Parts


class Lost(Strict):
    """The share of the processor time that others took during each; null where the system does not tell."""

    before: Share | None
    training: Share | None
    after: Share | None


class RuntimeRecord(Strict):
    """One timing."""

    schema_version: Literal[SCHEMA_VERSION]  # pyright: ignore[reportInvalidTypeForm]
    kind: Literal["runtime"]
    digest: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    submission: Who
    task_id: Annotated[str, Field(max_length=200)]
    config: Facts
    budget_episodes: Count
    stacked_runs: Literal[1, STACKED]  # pyright: ignore[reportInvalidTypeForm]
    repeat: Annotated[int, Field(ge=0, lt=1000)]
    profile: Name
    marks: TimedMarks
    seconds: Seconds
    calibration: Calibrations
    lost: Lost
    neighbours: Annotated[int, Field(ge=0, le=10_000)] | None
    peak_gib: Annotated[dict[Literal["host", "device"], Time], Field(min_length=1)]
    packages: Facts
    hardware: Facts
    accelerator: Facts
    git_commit: Text | None
    created: Annotated[str, Field(max_length=40)]

    _source: str = PrivateAttr("")
    _raw: dict[str, Any] = PrivateAttr(default_factory=dict)

    @property
    def cell(self) -> tuple[str, str, str, int, int, int]:
        """What may occur only once."""
        threads = self.hardware["threads"]
        assert isinstance(threads, int)
        return self.submission, self.task_id, self.profile, self.stacked_runs, threads, self.repeat

    @property
    def doubts(self) -> list[str]:
        """Why it does not count; nothing if it does."""
        return doubts(self._raw)

    def seconds_per_run(self, budget: int) -> float:
        """Return the normalised seconds of training that a run with this budget is estimated to take."""
        return seconds_per_run(self._raw, budget)

    @model_validator(mode="after")
    def _adds_up(self) -> "RuntimeRecord":
        spec(self.task_id)
        datetime.fromisoformat(self.created)
        profile = get_profile(self.profile)
        rules: list[tuple[str, Any, Any]] = [
            ("budget_episodes", self.budget_episodes, RUNTIME.budget(self.task_id)),
            ("hardware.device", self.hardware.get("device"), profile.device),
            ("parts of calibration.before", sorted(self.calibration.before), sorted(profile.calibration.parts)),
            ("parts of calibration.after", sorted(self.calibration.after), sorted(profile.calibration.parts)),
        ]
        for key, value, expected in rules:
            if value != expected:
                raise ValueError(f"{key}={value!r} must be {expected!r}")
        for holder, key in ((self.hardware, "threads"), (self.accelerator, "utilisation_percent")):
            value = holder.get(key, 1 if holder is self.accelerator else None)
            if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                raise ValueError(f"{key}={value!r} must be a count")
        if self.seconds.total > _MOST_SECONDS:
            raise ValueError(f"seconds.total={self.seconds.total} must be at most {_MOST_SECONDS:g}")
        if self.seconds.startup is None or self.seconds.pretraining is None:
            raise ValueError("seconds of startup and pretraining must be there")
        if self.seconds.training > self.seconds.total + 0.002:  # written to the millisecond
            raise ValueError(f"seconds.training={self.seconds.training} exceeds total={self.seconds.total}")
        if self.marks.seconds[-1] > self.seconds.training + 0.002:
            raise ValueError(
                f"marks.seconds[{MARKS}]={self.marks.seconds[-1]} exceeds training={self.seconds.training}"
            )
        if self.marks.episodes[-1] > self.budget_episodes:
            raise ValueError(f"marks.episodes[{MARKS}]={self.marks.episodes[-1]} exceeds budget_episodes")
        return self


_RECORD: TypeAdapter[RuntimeRecord] = TypeAdapter(RuntimeRecord)


def parse_runtime(text: str | bytes, source: str = "record") -> RuntimeRecord:
    """Check one runtime record; see ``submission.parse_record``."""
    return parse(text, source, _RECORD)


def read_runtimes(path: Path) -> list[RuntimeRecord]:
    """Read the runtime records of a file, or of a folder; a folder may hold none.

    Raises:
        SubmissionError: listing every record that is not what it should be, or is there twice.
    """
    records = read_files(path, parse_runtime, lambda file: not holds_results(file))
    cells: dict[tuple, RuntimeRecord] = {}
    twice = [
        f"{where(record)}: repeat={record.repeat} is already in {where(cells[record.cell])}; a timing counts once"
        for record in records
        if cells.setdefault(record.cell, record) is not record
    ]
    refuse(twice)
    return records


def read_both(paths: Iterable[Path], variants: bool = False) -> tuple[list[RunRecord], list[RuntimeRecord]]:
    """Read results and timings of files and folders, each of which may hold only one kind.

    Raises:
        SubmissionError: if any record is not what it should be, or one of them holds nothing.
    """
    results: list[RunRecord] = []
    timings: list[RuntimeRecord] = []
    for path in paths:
        found = read_runtimes(path) if path.is_dir() or not holds_results(path) else []
        timings += found
        if not found or any(map(holds_results, record_files(path))):
            results += read_records(path, variants=variants)
    return results, timings


def write_runtimes(path: Path, records: Iterable[RuntimeRecord]) -> None:
    """Write runtime records, as they were read, to a ``.jsonl`` file: sorted, whole or not at all."""
    ordered = sorted(records, key=lambda record: record.cell)
    lines = [json.dumps(record._raw, allow_nan=False, separators=(",", ":")) + "\n" for record in ordered]
    atomic_write(path, "".join(lines).encode())


@dataclass(frozen=True)
class Timed:
    """What the runs of a submission take on a profile.

    Attributes:
        seconds: normalised, of training one run of the suite, mean over its ranked tasks.
        doubt: why that does not count; empty if it does.
        hardware: what it was measured on.
    """

    seconds: float
    doubt: str
    hardware: str


def timed(
    records: Sequence[RuntimeRecord], submission: str, profile: str, tasks: Sequence[str], suite: Suite
) -> Timed | None:
    """Put a submission's timings together; None unless every task has been timed.

    On each task those count that stack most runs, as a suite trains them, and of those the median of the ones that
    nothing speaks against. With fewer than ``REPEATS`` of them the median of all is given, in doubt.
    """
    mine = [record for record in records if (record.submission, record.profile) == (submission, profile)]
    total, doubt, machines = 0.0, "", set()
    for task_id in tasks:
        on_task = [record for record in mine if record.task_id == task_id]
        if not on_task:
            return None
        most = max(record.stacked_runs for record in on_task)
        chosen = [record for record in on_task if record.stacked_runs == most]
        clean = [record for record in chosen if not record.doubts]
        if len(clean) < REPEATS:
            doubt = "contended" if len(chosen) > len(clean) else doubt or "too few"
        budget = suite.budget(task_id)
        total += statistics.median(record.seconds_per_run(budget) for record in (clean or chosen))
        machines |= {machine(record.hardware) for record in (clean or chosen)}
    return Timed(total / len(tasks), doubt, " and ".join(sorted(machines)))
