"""Publishing collects, and refuses without touching what is there."""

from pathlib import Path

import faulty
import pytest

from benchmark.harness.record import write_record
from benchmark.harness.runner import Job, run_job
from benchmark.harness.submission import find_submission
from benchmark.harness.suites import SUITES, Suite
from leaderboard.publish import publish
from leaderboard.submission import SubmissionError, read_records
from leaderboard.validate import validate

TINY = Suite("tiny", ("honeycomb-n3-v0",), (("", 20),), runs=2, evaluation_episodes=4)


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """A submission with a full manifest and two records."""
    monkeypatch.setitem(SUITES, "tiny", TINY)
    folder = faulty.write(tmp_path, "mine")
    manifest = folder / "submission.toml"
    manifest.write_text('description = "d"\nauthors = ["a"]\nlicence = "MIT"\n' + manifest.read_text())
    submission = find_submission(str(folder))
    run_job(Job(submission, TINY, "honeycomb-n3-v0", (0, 1)), tmp_path / "out", print)
    return submission, tmp_path / "out", tmp_path / "board"


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def test_records_become_lines_with_what_the_site_needs(trained):
    submission, out, board = trained
    path, count, new = publish(submission, [out], board)
    assert (count, new, len(lines(path))) == (2, 2, 2)
    records = read_records(path)
    assert [(record.schema_version, record.task_id, record.seed) for record in records] == [
        (1, "honeycomb-n3-v0", 0),
        (1, "honeycomb-n3-v0", 1),
    ]
    assert all(len(record.digest) == 64 for record in records)
    # The manifest and the learner's module, so that whoever doubts the result can run it.
    assert {file.name for file in path.parent.iterdir()} == {
        "results.jsonl",
        "submission.toml",
        f"{faulty.module_of(submission.folder)}.py",
    }
    assert validate(path.parent).errors == []
    assert publish(submission, [out], board)[1:] == (2, 0)


def test_another_result_for_the_same_run_is_refused_and_nothing_changes(trained):
    submission, out, board = trained
    path, _, _ = publish(submission, [out], board)
    before = path.read_bytes()
    source = next(out.rglob("seed-1.json"))
    record = read_records(source)[0]._raw | {"created": "2026-01-01T00:00:00+00:00"}
    write_record(source, {key: value for key, value in record.items() if key != "digest"})
    with pytest.raises(SubmissionError, match=r"seed=1 .* a run counts once"):
        publish(submission, [out], board)
    assert path.read_bytes() == before


def test_an_incomplete_manifest_is_refused_and_nothing_is_written(trained):
    submission, out, board = trained
    manifest = submission.folder / "submission.toml"
    manifest.write_text(manifest.read_text().replace('licence = "MIT"\n', ""))
    with pytest.raises(SubmissionError, match="licence='' must not be empty"):
        publish(find_submission(str(submission.folder)), [out], board)
    assert not board.exists()


def test_somebody_elses_records_are_left_alone(trained):
    _, out, board = trained
    folder = faulty.write(out.parent, "other")
    stranger = find_submission(str(folder))
    with pytest.raises(SubmissionError, match=r"authors=.* must not be empty"):
        publish(stranger, [out], board)
    manifest = folder / "submission.toml"
    manifest.write_text('description = "d"\nauthors = ["a"]\nlicence = "MIT"\n' + manifest.read_text())
    with pytest.raises(SubmissionError, match=r"no finished record of 'other'.*\['mine'\]"):
        publish(find_submission(str(folder)), [out], board)


def test_a_failed_run_is_published_on_request_and_only_then(trained):
    submission, out, board = trained
    source = next(out.rglob("seed-1.json"))
    header = ("schema_version", "submission", "task_id", "suite", "seed", "budget_episodes", "config")
    kept = {
        key: read_records(source)[0]._raw[key] for key in (*header, "packages", "hardware", "git_commit", "created")
    }
    write_record(source, kept | {"status": "failed", "error": "ProcessDied: killed", "trace": ""})
    assert publish(submission, [out], board)[1:] == (1, 1)
    assert publish(submission, [out], board, failed=True)[1:] == (2, 1)
    assert any("counts as a collapse" in line for line in validate(board / "mine").warnings)
