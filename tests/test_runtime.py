"""Runtime records: hand-computed seconds, what makes a timing not count, a ledger that survives being killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import faulty
import pytest
from timings import timing

from benchmark.harness import runtime
from benchmark.harness.child import ChildError
from benchmark.harness.record import RecordError, read_record
from benchmark.harness.runtime import (
    PREFIX,
    REPEATS,
    STACKED,
    Timing,
    doubts,
    measure,
    measure_all,
    measure_apart,
    median_gib,
    median_phases,
    normalised,
    seconds_per_run,
    timings,
)
from benchmark.harness.submission import find_submission
from benchmark.measures.calibration import Calibration, get_profile

ROOT = Path(__file__).resolve().parents[1]
FROZEN = get_profile("cpu-2").calibration.parts


# What follows from a record.


def test_seconds_of_a_run_are_hand_computed():
    # 2 s before the first episode and 0.1 s for each of 3,000, shared by ten runs.
    assert seconds_per_run(timing(), 3000) == pytest.approx(30.2)
    # A machine half as fast, on the mean of both calibrations, has its seconds halved.
    assert seconds_per_run(timing(slower=(1.96, 2.04)), 3000) == pytest.approx(15.1)
    assert seconds_per_run(timing(runs=1), 3000) == pytest.approx(302.0)
    assert normalised(timing(slower=(4.0, 4.0)), 60.0) == pytest.approx(15.0)


def test_what_is_compiled_in_the_first_half_is_paid_once():
    marks = timing()["marks"]
    # 52 s for the first hundred episodes, 2 s for the second.
    seconds = [52.0 if count >= 100 else 0.52 * count for count in marks["episodes"]]
    seconds = [value + max(0, count - 100) * 0.02 for value, count in zip(seconds, marks["episodes"], strict=True)]
    phases = {"training": 54.0, "startup": 0.0, "pretraining": 0.0, "evaluation": 0.0, "total": 54.0}
    record = timing(runs=1, marks=marks | {"seconds": seconds}, seconds=phases)
    assert seconds_per_run(record, 200) == pytest.approx(54.0)
    assert seconds_per_run(record, 1000) == pytest.approx(52.0 + 900 * 0.02)


def test_a_learner_that_yields_once_is_taken_at_its_mean_pace():
    marks = timing()["marks"] | {"episodes": [200] * 21, "seconds": [22.0] * 21}
    assert seconds_per_run(timing(runs=1, marks=marks), 1000) == pytest.approx(2.0 + 1000 * 0.1)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, []),
        ({"lost": 0.05}, []),
        ({"lost": 0.06}, ["others took 6% of the processor time"]),
        ({"lost": None}, []),  # a system that does not tell
        ({"slower": (1.0, 1.09)}, []),
        ({"slower": (1.15, 1.0)}, ["the calibration drifted by 15%"]),
        ({"neighbours": 0}, []),
        ({"neighbours": 1}, ["1 other process on the GPU"]),
        ({"accelerator": {"utilisation_percent": 40}}, ["the GPU was 40% busy before"]),
        ({"threads": 1}, ["1 thread, where cpu-2 has 2"]),
    ],
)
def test_a_timing_that_was_disturbed_does_not_count(changes, why):
    assert doubts(timing(**changes)) == why


def test_phases_are_medians_of_those_that_count():
    calm = [timing(repeat=n, pace=pace, slower=(2.0, 2.0)) for n, pace in enumerate((0.1, 0.3, 0.2))]
    disturbed = timing(repeat=3, pace=9.0, lost=0.4)
    # Twice as slow as the profile: 200 episodes of 0.2 s each take 20 s there.
    found = median_phases([*calm, disturbed])
    assert found == pytest.approx({"startup": 0.25, "pretraining": 0.75, "training": 20.0, "evaluation": 0.5})
    assert median_phases([disturbed])["training"] == pytest.approx(1800.0)
    assert median_gib([timing(peak_gib={"host": 3.0, "device": 7.5})]) == 7.5


# The ledger.


def wanted(folder: Path, repeats: int = 2) -> list[Timing]:
    return timings([find_submission(str(folder))], ["oracle-v0"], repeats, "cpu-2", 2, "cpu")


def answer(asked: Timing, **changes: object) -> dict:
    """What a measurer returns: a record without its seal."""
    record = timing(**changes) | asked.header()  # type: ignore[arg-type]
    return {key: value for key, value in record.items() if key != "digest"}


def quiet(line: str) -> None:
    del line


def test_everything_is_timed_alone_and_stacked_if_it_can_be(tmp_path):
    asked = wanted(faulty.write(tmp_path, "sound"), REPEATS)
    assert [(each.runs, each.repeat) for each in asked] == [(r, n) for r in (1, STACKED) for n in range(3)]
    assert {each.runs for each in wanted(faulty.write(tmp_path, "single", stacked=False))} == {1}


def test_the_same_command_again_measures_what_is_missing_and_what_was_disturbed(tmp_path):
    asked, out = wanted(faulty.write(tmp_path, "sound")), tmp_path / "out"
    disturbed = {(1, 1)}
    done: list[tuple[int, int]] = []

    def measurer(each: Timing) -> dict:
        done.append((each.runs, each.repeat))
        return answer(each, lost=0.5 if (each.runs, each.repeat) in disturbed else 0.0)

    lines: list[str] = []
    list(measure_all(asked, out, lines.append, measurer))
    assert done == [(1, 0), (1, 1), (10, 0), (10, 1)]
    assert "does not count: others took 50% of the processor time" in lines[1]
    done.clear()
    disturbed.clear()
    records = [record for _, record in measure_all(asked, out, quiet, measurer)]
    assert done == [(1, 1)]
    assert [doubts(record) for record in records if record] == [[]] * 4
    assert all(path.name.startswith(PREFIX) for path in out.rglob("*.json"))


def test_whoever_raises_is_told_and_leaves_no_record(tmp_path):
    asked, out, lines = wanted(faulty.write(tmp_path, "sound"), 1), tmp_path / "out", []

    def measurer(each: Timing) -> dict:
        if each.runs == 1:
            raise ChildError("RuntimeError: the learner fell over")
        return answer(each)

    assert [record is None for _, record in measure_all(asked, out, lines.append, measurer)] == [True, False]
    assert "FAILED: RuntimeError: the learner fell over" in lines[0]
    assert len(list(out.rglob("*.json"))) == 1


def test_a_broken_record_or_one_of_another_configuration_is_refused(tmp_path):
    folder, out = faulty.write(tmp_path, "sound"), tmp_path / "out"
    asked = wanted(folder, 1)[:1]
    list(measure_all(asked, out, quiet, answer))
    path = asked[0].path(out)
    changed = [Timing(asked[0].submission.with_parameters({"rounds": 2}), *list(vars(asked[0]).values())[1:])]
    moved = changed[0].path(out)
    moved.parent.mkdir(parents=True, exist_ok=True)
    moved.write_bytes(path.read_bytes())
    with pytest.raises(RecordError, match="but this command asks for"):
        list(measure_all(changed, out, quiet, answer))
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], whole.replace(b'"repeat":0', b'"repeat":7'), b"", b"[]"):
        path.write_bytes(content)
        with pytest.raises(RecordError, match=path.name):
            list(measure_all(asked, out, quiet, answer))


def test_a_kill_in_the_middle_loses_the_timing_at_work_and_nothing_else(tmp_path):
    folder, out = faulty.write(tmp_path, "sound"), tmp_path / "out"
    program = f"""
import os, signal, sys
sys.path.insert(0, {str(ROOT / "tests")!r})
from pathlib import Path
from test_runtime import answer, measure_all, quiet, wanted

def measurer(each):
    if each.runs == 10:
        os.kill(os.getpid(), signal.SIGKILL)
    return answer(each)

list(measure_all(wanted(Path({str(folder)!r})), Path({str(out)!r}), quiet, measurer))
"""
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False)
    assert result.returncode == -signal.SIGKILL
    assert len([read_record(path) for path in out.rglob("*.json")]) == 2
    done: list[int] = []

    def measurer(each: Timing) -> dict:
        done.append(each.runs)
        return answer(each)

    assert len(list(measure_all(wanted(folder), out, quiet, measurer))) == 4  # the lock died with its holder
    assert done == [10, 10]


# The measurement itself.


def test_a_measurement_holds_phases_calibrations_and_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(runtime, "calibrate", lambda device: Calibration(FROZEN))
    monkeypatch.setattr(runtime.torch, "set_num_threads", lambda threads: None)
    asked = wanted(faulty.write(tmp_path, "sound"), 1)[1]
    record = measure(asked)
    assert record.items() >= asked.header().items()
    assert record["marks"]["episodes"][-1] == 200
    seconds = record["seconds"]
    assert seconds["startup"] + seconds["pretraining"] <= seconds["training"] < seconds["total"]
    assert seconds["pretraining"] == 0.0  # it asked for no dataset
    assert set(record["calibration"]["before"]) == set(FROZEN)
    assert set(record["lost"]) == {"before", "training", "after"}
    assert record["peak_gib"]["host"] > 0.05
    assert record["neighbours"] is None
    assert record["stacked_runs"] == STACKED


@pytest.mark.slow
def test_a_submission_that_raises_says_so_from_its_own_process(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "tests"))
    asked = wanted(faulty.write(tmp_path, "broken", fault="exception"), 1)[0]
    with pytest.raises(ChildError, match="RuntimeError: the learner fell over"):
        measure_apart(asked)


@pytest.mark.slow
def test_on_a_busy_machine_timings_agree_with_the_idle_ones_or_are_marked(tmp_path):
    """The experiment of docs/metrics.md, smaller: a neighbour on every core, then one thread instead of two."""
    baseline = find_submission("rec-hyst-iql", [ROOT / "leaderboard" / "submissions"])

    def once(threads: int) -> dict:
        return measure_apart(Timing(baseline, "oracle-v0", 1, 0, "cpu-2", threads))

    idle = once(2)
    spinning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        busy = once(2)
    finally:
        for process in spinning:
            process.kill()
            process.wait()
    single = once(1)
    for record in (busy, single):
        ratio = seconds_per_run(record, 1000) / seconds_per_run(idle, 1000)
        assert doubts(idle) or doubts(record) or abs(ratio - 1) <= 0.15
    assert doubts(busy)
    assert doubts(single)
