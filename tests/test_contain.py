"""Submissions that die, hang or eat memory cost their own cell; a parent that is gone leaves nobody behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import faulty
import pytest
from test_runner import ROOT, facts, job, quiet

from benchmark.harness.child import Child, ChildError, Limits, describe
from benchmark.harness.contain import Contained, job_from_json, job_to_json
from benchmark.harness.runner import run_job
from benchmark.harness.submission import ManifestError, find_submission


@pytest.fixture(scope="module")
def contained():
    with Contained(Limits(seconds=60, gib=2)) as trainer:
        yield trainer


def ask(child: Child, function: str, argument: object = None) -> object:
    return child.ask(f"child_functions:{function}", argument)


@pytest.fixture(scope="module")
def child():
    with Child(Limits(seconds=20)) as one:
        yield one


def test_a_job_survives_the_pipe(tmp_path):
    work = job(faulty.write(tmp_path, "sound", rounds=5))
    assert job_from_json(job_to_json(work)) == work


def test_answers_messages_and_errors_come_back(child):
    heard: list[object] = []
    assert child.ask("child_functions:double", 0.1, heard.append) == 0.2
    assert heard == [{"working on": 0.1}]
    with pytest.raises(ChildError) as caught:
        ask(child, "fail")
    assert describe(caught.value)[0] == "ValueError: this went wrong"
    assert "child_functions.py" in caught.value.trace
    with pytest.raises(ChildError, match="SystemExit: 3"):
        ask(child, "leave_politely")
    assert ask(child, "double", 2) == 4  # the same process, unharmed


def test_whoever_dies_is_named_and_followed_by_another(child):
    with pytest.raises(ChildError, match="ProcessDied: the process left with exit status 7 before it had answered"):
        ask(child, "vanish", 7)
    with pytest.raises(ChildError, match="ProcessDied: the process was killed by SIGSEGV"):
        ask(child, "crash")
    assert ask(child, "double", 2) == 4


def test_a_hang_ends_at_the_limit_and_memory_too(child):
    child.limits = Limits(seconds=0.5)
    with pytest.raises(ChildError, match=r"TimeLimit: no answer within 0\.5 s; the process was killed"):
        ask(child, "hang")
    child.limits = Limits(seconds=60, gib=1.0)
    with pytest.raises(ChildError, match=r"MemoryLimit: .* GiB in use exceed 1\.00 GiB"):
        ask(child, "eat")
    child.limits = Limits(seconds=20)


@pytest.mark.parametrize("limits", [{"seconds": 0}, {"seconds": float("nan")}, {"gib": -1}])
def test_limits_are_positive(limits):
    with pytest.raises(ValueError, match="must be positive"):
        Limits(**limits)


def test_records_are_the_same_contained_or_not(tmp_path, contained):
    for name, options in (("sound", {}), ("broken", {"fault": "exception", "seed": 1})):
        folder = faulty.write(tmp_path, name, **options)
        inside = run_job(job(folder), tmp_path / "inside", quiet)
        outside = run_job(job(folder), tmp_path / "outside", quiet, trainer=contained)
        assert [facts(record) for record in outside] == [facts(record) for record in inside]


def test_a_crash_costs_its_own_cell_only(tmp_path, contained):
    folder = faulty.write(tmp_path, "crashing", stacked=False, fault="crash", seed=1)
    lines: list[str] = []
    records = run_job(job(folder), tmp_path / "out", lines.append, trainer=contained)
    assert [record["status"] for record in records] == ["ok", "failed", "ok"]
    assert "killed by SIGSEGV" in records[1]["error"]
    assert any("seed 1: FAILED: ProcessDied" in line for line in lines)


def test_a_submission_that_cannot_be_built_is_told_so(tmp_path, contained):
    with pytest.raises(ManifestError, match=r"^x: parameters do not fit"):
        contained.build(find_submission(str(faulty.write(tmp_path, "x", speed=1))))


@pytest.mark.parametrize("end", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_no_orphan_outlives_its_parent(tmp_path, end):
    """The child notes its process id and hangs; so does what it has started. Both go with the parent."""
    program = (
        "import sys; sys.path[:0] = ['tests']; from benchmark.harness.child import *\n"
        f"with Child(Limits()) as child: child.ask('child_functions:hang_with_offspring', {str(tmp_path / 'pids')!r})"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        pids = _wait_for(lambda: [int(word) for word in (tmp_path / "pids").read_text().split()])
        parent.send_signal(end)
        parent.wait(timeout=10)
    finally:
        parent.kill()
    # What the child has started is killed by the parent, which kill -9 does not let it do.
    gone = pids if end == signal.SIGINT else pids[:1]
    assert _wait_for(lambda: not any(map(_alive, gone)))
    for pid in filter(_alive, pids):
        os.kill(pid, signal.SIGKILL)
    assert parent.returncode != 0


def _wait_for(condition):
    for _ in range(300):
        try:
            if found := condition():
                return found
        except OSError:
            pass
        time.sleep(0.1)
    raise AssertionError("waited in vain")


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
