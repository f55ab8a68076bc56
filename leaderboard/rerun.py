"""Did they really get this? Train a few cells again and compare with the numbers that were submitted.

On the same hardware with the same packages and the same runs stacked, every number of a cell must come out equal. On
others rounding may send training another way; then the final return must lie within three standard deviations of the
submission's other runs on that task, or 2% of the task's scale if that is more.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from benchmark.harness.submission import Submission
from benchmark.harness.suites import get_suite
from benchmark.harness.variant import split_variant
from leaderboard.record import FinishedRun, RunRecord
from leaderboard.submission import SubmissionError, where

if TYPE_CHECKING:
    from benchmark.harness.runner import Trainer

DEVIATIONS = 3.0
SHARE_OF_SCALE = 0.02
# What must agree for numbers to be equal.
HARDWARE = ("system", "processor", "threads", "device", "accelerator", "cuda")
PACKAGES = ("torch", "numpy")


class Rerun(NamedTuple):
    """One cell again: whether it agrees, and one line that says how."""

    agrees: bool
    line: str


def rerun(
    manifest: Submission, records: Sequence[RunRecord], count: int, seed: int, trainer: "Trainer", device: str
) -> Iterator[Rerun]:
    """Train randomly chosen cells again. This runs the submission's code.

    Args:
        manifest: with the folder of the code.
        records: validated records of the submission.
        count: how many cells.
        seed: of the choice; who submits must not know it beforehand.
        trainer: trains a group of runs.
        device: where.

    Raises:
        SubmissionError: if no record is that of a finished run.
    """
    from benchmark.harness.runner import Job

    finished = [record for record in records if isinstance(record, FinishedRun)]
    if not finished:
        raise SubmissionError("rerun: no record is that of a finished run")
    generator = np.random.default_rng(seed)
    chosen = generator.permutation(len(finished))[:count]
    for record in (finished[place] for place in sorted(chosen)):
        seeds = _group(record, finished)
        job = Job(
            manifest.variant(split_variant(record.submission)[1]),
            get_suite(record.suite),
            record.task_id,
            seeds,
            device,
        )
        name = f"{where(record)}: {record.task_id} seed {record.seed}"
        try:
            again = next(new for new in trainer(job, seeds, _silent) if new["seed"] == record.seed)
        except Exception as error:  # whatever the submission raises
            yield Rerun(False, f"{name}: failed when run again: {error}")
        else:
            yield _compare(name, record, again, finished, len(seeds))


def _silent(share: float, mean: float) -> None:
    pass


def _group(record: FinishedRun, records: Sequence[FinishedRun]) -> tuple[int, ...]:
    """Return the seeds that were trained together with a record: they share the time it took."""
    key = (record.submission, record.suite, record.task_id, record.created, record.seconds)
    together = [r.seed for r in records if (r.submission, r.suite, r.task_id, r.created, r.seconds) == key]
    return tuple(sorted(together)) if len(together) == record.stacked_runs else (record.seed,)


def _compare(name: str, record: FinishedRun, again: dict, finished: Sequence[FinishedRun], stacked: int) -> Rerun:
    new, old = again["final_return"], record.final_return
    raw = record._raw
    if trained_numbers(raw) == trained_numbers(again):
        return Rerun(True, f"{name}: equal in every number")
    differing = [key for key in HARDWARE if record.hardware.get(key) != again["hardware"].get(key)]
    differing += [key for key in PACKAGES if record.packages.get(key) != again["packages"].get(key)]
    differing += ["stacked_runs"] if stacked != record.stacked_runs else []
    if not differing:
        return Rerun(False, f"{name}: final_return={old}, but {new} when run again on equal hardware and packages")
    tolerance = _tolerance(record, again, finished)
    agrees = abs(new - old) <= tolerance
    word = "within" if agrees else "NOT within"
    return Rerun(
        agrees,
        f"{name}: final_return={old}, and {new} when run again, {word} {tolerance:.4g} (other {', '.join(differing)})",
    )


def trained_numbers(record: dict) -> list:
    """Return what training determines."""
    marks = [{key: value for key, value in mark.items() if key != "seconds"} for mark in record["marks"]]
    return [marks, record["final_returns"], record["beliefs"]]


def _tolerance(record: FinishedRun, again: dict, finished: Sequence[FinishedRun]) -> float:
    from benchmark.measures.references import reference

    # The run in doubt does not widen its own tolerance.
    cell = (record.submission, record.suite, record.task_id)
    others = [r.final_return for r in finished if (r.submission, r.suite, r.task_id) == cell and r.seed != record.seed]
    spread = float(np.std(others, ddof=1)) if len(others) > 1 else again["marks"][-1]["greedy"]["deviation"]
    try:
        scale = reference(record.task_id)
    except ValueError:  # a perturbed task may have no scale
        return DEVIATIONS * spread
    return max(DEVIATIONS * spread, SHARE_OF_SCALE * (scale.reference - scale.trivial))
