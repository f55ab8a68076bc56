"""Put a submission's manifest and records where the leaderboard is built from."""

from collections.abc import Iterable
from pathlib import Path

from benchmark.harness.record import atomic_write
from benchmark.harness.submission import MANIFEST, Submission
from leaderboard.record import FinishedRun
from leaderboard.submission import SubmissionError, check_manifest, merge, read_records, write_records

RESULTS = "results.jsonl"


def published_names(target: Path) -> list[str]:
    """Return the names of the submissions in a folder of submissions."""
    return sorted(path.parent.name for path in target.glob(f"*/{MANIFEST}"))


def publish(submission: Submission, sources: Iterable[Path], target: Path) -> tuple[Path, int, int]:
    """Merge records into ``<target>/<name>/results.jsonl`` and copy the manifest beside them.

    Records that are already published there are kept; nothing is written if anything is wrong.

    Args:
        submission: whose records to take; those of others are left alone.
        sources: folders or files of records.
        target: the folder of all submissions.

    Returns:
        The results file, its number of records, and how many of them are new.

    Raises:
        SubmissionError: if a record is broken or contradicts a published one, or there is none.
    """
    assert submission.folder is not None
    check_manifest(submission.folder / MANIFEST)
    folder = target / submission.name
    path = folder / RESULTS
    found = [record for source in sources for record in read_records(source)]
    mine = [record for record in found if record.submission == submission.name and isinstance(record, FinishedRun)]
    if not mine:
        names = sorted({record.submission for record in found})
        raise SubmissionError(f"no finished record of {submission.name!r} in the sources; they hold: {names}")
    published = read_records(path) if path.exists() else []
    known = {record.digest for record in published}
    new = [record for record in mine if record.digest not in known]
    together = merge([*published, *new])
    if folder.resolve() != submission.folder:
        atomic_write(folder / MANIFEST, (submission.folder / MANIFEST).read_bytes())
    write_records(path, together)
    return path, len(together), len(new)
