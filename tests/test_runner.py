"""The ledger: only what is missing, nothing lost to a kill, faults contained in their cell."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import faulty
import pytest
from filelock import FileLock

from benchmark.harness.record import RecordError, read_record, write_record
from benchmark.harness.runner import Job, missing_seeds, run_job
from benchmark.harness.submission import find_submission
from benchmark.harness.suites import Suite

TINY = Suite("tiny", ("oracle-v0",), (("", 20),), runs=3, evaluation_episodes=4)
ROOT = Path(__file__).resolve().parents[1]
TIMES = {"seconds", "created", "digest", "git_commit", "hardware"}


def job(folder: Path, seeds: tuple[int, ...] = (0, 1, 2)) -> Job:
    return Job(find_submission(str(folder)), TINY, "oracle-v0", seeds)


def facts(record: dict) -> dict:
    """A record without what differs between two honest repetitions."""
    kept = {key: value for key, value in record.items() if key not in TIMES}
    if "marks" in kept:
        kept["marks"] = [{k: v for k, v in mark.items() if k != "seconds"} for mark in kept["marks"]]
    return kept


def quiet(line: str) -> None:
    del line


def test_a_record_holds_the_whole_curve(tmp_path):
    records = run_job(job(faulty.write(tmp_path, "sound")), tmp_path / "out", quiet)
    assert [record["seed"] for record in records] == [0, 1, 2]
    record = read_record(tmp_path / "out" / "sound" / "oracle-v0" / "seed-1.json")
    assert record["status"] == "ok"
    assert [mark["share"] for mark in record["marks"]] == [i / 20 for i in range(21)]
    # Four rounds of five episodes: the first policy exists after 5, so marks 0 to 5 show it.
    assert [mark["episodes"] for mark in record["marks"]] == [5] * 6 + [10] * 5 + [15] * 5 + [20] * 5
    assert [mark["updates"] for mark in record["marks"]][-1] == 12
    assert all(mark["greedy"]["count"] == mark["noisy"]["count"] == 4 for mark in record["marks"])
    assert all(mark["agent_steps"] == 2 * mark["env_steps"] for mark in record["marks"])
    assert record["marks"][-1]["env_steps"] <= 20 * 40
    assert len(record["final_returns"]) == 4
    last_five = [mark["greedy"]["mean"] for mark in record["marks"][-5:]]
    assert record["final_return"] == pytest.approx(sum(last_five) / 5, abs=1e-6)
    assert record["notes"] == {"parameters": 0}
    assert len(json.dumps(record)) < 20_000


def test_again_does_only_what_is_missing(tmp_path):
    folder, out = faulty.write(tmp_path, "sound"), tmp_path / "out"
    run_job(job(folder, (0, 1)), out, quiet)
    before = {path.name: path.read_bytes() for path in out.rglob("*.json")}
    assert missing_seeds(job(folder), out) == (2,)
    assert [record["seed"] for record in run_job(job(folder), out, quiet)] == [2]
    assert run_job(job(folder), out, quiet) == []
    for path in out.rglob("seed-[01].json"):
        assert path.read_bytes() == before[path.name]


def test_a_run_is_the_same_alone_and_stacked(tmp_path):
    stacked = run_job(job(faulty.write(tmp_path, "sound")), tmp_path / "stacked", quiet)
    alone = run_job(job(tmp_path / "sound", (1,)), tmp_path / "alone", quiet)
    assert facts(alone[0]) | {"stacked_runs": 3} == facts(stacked[1])


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("exception", "RuntimeError: the learner fell over"),
        ("exit", "SystemExit: 3"),
        ("note", "note: loss=nan must be a finite number"),
        ("silence", "without yielding a policy"),
        ("nan", "dtype torch.float32; expected torch.int64"),
        ("shape", "shape (4,); expected [B, N] = (4, 2)"),
        ("range", "action 99 is out of range; allowed: 0 to 8"),
        ("negative", "action -1 is out of range"),
        ("list", "must be a torch tensor, not list"),
        ("memory", "NaN"),
        ("greedy-budget", "exceed the budget of 20 training episodes"),
    ],
)
def test_a_fault_costs_its_own_cell_only(tmp_path, fault, message):
    lines: list[str] = []
    folder = faulty.write(tmp_path, "broken", fault=fault, seed=1)
    records = run_job(job(folder), tmp_path / "out", lines.append)
    assert [record["status"] for record in records] == ["ok", "failed", "ok"]
    assert message in records[1]["error"]
    assert any("FAILED" in line and message in line for line in lines)
    # A failed cell is missing: the next command tries it again, and only it.
    assert missing_seeds(job(folder), tmp_path / "out") == (1,)


def test_kill_9_loses_at_most_the_unfinished_cell(tmp_path):
    """Seed 1 dies in its third round. The rerun keeps seed 0's record and ends with an uninterrupted run's curves."""
    folder = faulty.write(tmp_path, "victim", stacked=False, crash_flag=str(tmp_path / "crashed"))
    program = (
        "import sys; sys.path[:0] = ['tests']; from pathlib import Path; from test_runner import *;"
        f"run_job(job(Path({str(folder)!r})), Path({str(tmp_path / 'out')!r}), print)"
    )
    command = [sys.executable, "-c", program]
    assert subprocess.run(command, cwd=ROOT, capture_output=True).returncode == -signal.SIGKILL
    first = tmp_path / "out" / "victim" / "oracle-v0" / "seed-0.json"
    kept = first.read_bytes()
    assert missing_seeds(job(folder), tmp_path / "out") == (1, 2)
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    assert first.read_bytes() == kept
    whole = run_job(job(folder), tmp_path / "uninterrupted", quiet)
    for record in whole:
        resumed = read_record(tmp_path / "out" / "victim" / "oracle-v0" / f"seed-{record['seed']}.json")
        assert facts(resumed) == facts(record)
    assert not list(tmp_path.rglob(".seed*"))


def test_two_runners_do_not_collide(tmp_path):
    work, lines = job(faulty.write(tmp_path, "sound")), []
    work.folder(tmp_path / "out").mkdir(parents=True)
    with FileLock(work.folder(tmp_path / "out") / ".lock"):
        assert run_job(work, tmp_path / "out", lines.append) == []
    assert "another runner" in lines[0]
    assert len(run_job(work, tmp_path / "out", quiet)) == 3


def test_a_ledger_of_another_configuration_is_refused(tmp_path):
    folder = faulty.write(tmp_path, "sound")
    run_job(job(folder, (0,)), tmp_path / "out", quiet)
    other = Job(find_submission(str(folder)).with_parameters({"rounds": 2}), TINY, "oracle-v0", (0,))
    with pytest.raises(RecordError, match=r"config=.*choose another --out"):
        run_job(other, tmp_path / "out", quiet)


def test_a_changed_record_is_refused(tmp_path):
    path = tmp_path / "seed-0.json"
    write_record(path, {"schema_version": 1, "final_return": 0.5})
    path.write_text(path.read_text().replace("0.5", "0.9"))
    with pytest.raises(RecordError, match=r"digest=.* does not match the content"):
        read_record(path)


def test_a_truncated_record_is_refused(tmp_path):
    path = tmp_path / "seed-0.json"
    write_record(path, {"schema_version": 1})
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(RecordError, match=r"seed-0\.json: not a readable JSON file"):
        read_record(path)


def test_records_hold_no_nan(tmp_path):
    with pytest.raises(ValueError, match="JSON compliant"):
        write_record(tmp_path / "x.json", {"schema_version": 1, "final_return": float("nan")})
    assert os.listdir(tmp_path) == []
