"""Put a submission's manifest and records where the leaderboard is built from."""

from collections.abc import Iterable
from pathlib import Path

from benchmark.harness.record import atomic_write
from benchmark.harness.submission import MANIFEST, Submission
from benchmark.harness.variant import split_variant
from leaderboard.record import FinishedRun, RunRecord
from leaderboard.rerun import trained_numbers
from leaderboard.runtime import FILE, RuntimeRecord, read_both, read_runtimes, write_runtimes
from leaderboard.submission import (
    SubmissionError,
    check_manifest,
    merge,
    read_records,
    refuse,
    write_records,
)
from leaderboard.validate import MOST_BYTES_OF_TEXT, RESULTS, Report, check_content, check_runtimes


def published_names(target: Path) -> list[str]:
    """Return the names of the submissions in a folder of submissions."""
    return sorted(path.parent.name for path in target.glob(f"*/{MANIFEST}"))


def publish(
    submission: Submission, sources: Iterable[Path], target: Path, *, failed: bool = False
) -> tuple[Path, int, int]:
    """Merge records into ``<target>/<name>/results.jsonl`` and copy the manifest and the learner's code beside them.

    Timings that the sources hold go into ``runtime.jsonl``; once results are published, timings alone will do. Records
    that are already published there are kept, or replaced by the same with more in them; nothing is written if
    ``penumbra validate`` would refuse it.

    Args:
        submission: whose records to take, those of its variants too; others' are left alone.
        sources: folders or files of records.
        target: the folder of all submissions.
        failed: publish failed runs too; a board counts them as collapsed.

    Returns:
        The results file, its number of records, and how many of them are new.

    Raises:
        SubmissionError: if a record is broken or contradicts a published one, or there is none.
    """
    assert submission.folder is not None
    check_manifest(submission.folder / MANIFEST)
    folder = target / submission.name
    path = folder / RESULTS
    found, timings = read_both(sources, variants=True)
    timings = [record for record in timings if split_variant(record.submission)[0] == submission.name]
    mine = [
        record
        for record in found
        if split_variant(record.submission)[0] == submission.name and (failed or isinstance(record, FinishedRun))
    ]
    if not mine and not (timings and path.exists()):
        names = sorted({record.submission for record in found})
        raise SubmissionError(f"no finished record of {submission.name!r} in the sources; they hold: {names}")
    published = read_records(path, variants=True) if path.exists() else []
    known = {record.digest for record in published}
    new = [record for record in mine if record.digest not in known]
    extended = {record.cell for record in new if any(_extends(record, other) for other in published)}
    together = [*(record for record in published if record.cell not in extended), *new]
    report = Report()
    check_content(submission, together, report)
    timings = _newest([*(read_runtimes(folder / FILE) if (folder / FILE).exists() else []), *timings])
    check_runtimes(submission, timings, report)
    refuse(report.errors)
    if folder.resolve() != submission.folder:
        for file in [submission.folder / MANIFEST, *_code(submission)]:
            atomic_write(folder / file.name, file.read_bytes())
    write_records(path, merge(together))
    if timings:
        write_runtimes(folder / FILE, timings)
    return path, len(together), len(new)


def _newest(timings: Iterable[RuntimeRecord]) -> list[RuntimeRecord]:
    """Return the last timing of every cell, as those that were disturbed are measured again; what counts is kept."""
    kept: dict[tuple, RuntimeRecord] = {}
    for record in timings:
        if record.cell not in kept or kept[record.cell].doubts or not record.doubts:
            kept[record.cell] = record
    return list(kept.values())


def _extends(record: RunRecord, other: RunRecord) -> bool:
    """Whether a record is another one again, evaluated on more tasks."""
    if record.cell != other.cell or not isinstance(record, FinishedRun) or not isinstance(other, FinishedRun):
        return False
    more = other.elsewhere.items() < record.elsewhere.items()
    return more and trained_numbers(record._raw) == trained_numbers(other._raw)


def _code(submission: Submission) -> list[Path]:
    """Return the modules beside the manifest if the learner is one of them: whoever doubts a result can run it."""
    folder, module = submission.folder, submission.entry_point.partition(":")[0]
    if folder is None or not (folder / f"{module}.py").is_file():
        return []
    modules = [file for file in sorted(folder.glob("*.py")) if not file.name.startswith("test_")]
    return [file for file in modules if file.stat().st_size <= MOST_BYTES_OF_TEXT]
