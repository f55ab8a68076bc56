"""Timings from strangers, and what a board makes of them."""

import copy
import json
import math
from pathlib import Path
from typing import Any

import pytest
from fabricate import REFERENCES, SUITE, field, finished
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from timings import timing

from benchmark.harness.record import seal
from benchmark.harness.submission import find_submission
from benchmark.harness.suites import SUITES
from leaderboard.board import Board, frame, make_board
from leaderboard.costs import costs
from leaderboard.figures import Drawer, make_palette
from leaderboard.publish import publish
from leaderboard.runtime import FILE, parse_runtime, read_both, read_runtimes, timed
from leaderboard.submission import SubmissionError, parse_record, read_records
from leaderboard.tables import ranking
from leaderboard.timings import timings
from leaderboard.validate import validate

MANIFEST = """\
name = "mine"
entry_point = "mine:Learner"
description = "one line"
authors = ["somebody"]
licence = "MIT"
stacked = true

[parameters]
learning_rate = 0.001
layers = 2
"""
RUNS = [finished("mine", "oracle-v0", seed, 0.5 + seed / 100) for seed in range(3)]
TASKS = ("oracle-v0", "gathering-v0")


@pytest.fixture(scope="module", autouse=True)
def tiny():
    """The suite that made-up records name."""
    SUITES["tiny"] = SUITE
    yield
    del SUITES["tiny"]


def lines(records: list[dict]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def write(parent: Path, runtimes: list[dict]) -> Path:
    folder = parent / "mine"
    folder.mkdir(exist_ok=True)
    (folder / "submission.toml").write_text(MANIFEST)
    (folder / "results.jsonl").write_text(lines(RUNS))
    (folder / FILE).write_text(lines(runtimes))
    return folder


def parsed(records: list[dict]) -> tuple:
    return tuple(parse_runtime(json.dumps(record)) for record in records)


def changed(path: str, value: Any) -> dict:
    """A timing with one value changed, honestly sealed."""
    record = {key: entry for key, entry in copy.deepcopy(timing()).items() if key != "digest"}
    *parents, last = path.split(".")
    place = record
    for key in parents:
        place = place[key]
    place[last] = value
    return seal(record)


# What strangers send.


def test_a_folder_may_hold_timings_and_says_which_do_not_count(tmp_path):
    report = validate(write(tmp_path, [timing(), timing(repeat=1, lost=0.3)]))
    assert report.errors == []
    assert [record.repeat for record in report.runtimes] == [0, 1]
    [said] = [line for line in report.warnings if FILE in line]
    assert said.endswith("does not count: others took 30% of the processor time")
    assert len(read_records(tmp_path)) == 3  # timings are no results


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("seconds.training", "fast", "seconds.training='fast'"),
        ("seconds.startup", 30.0, "must not be less than its startup and pretraining"),
        ("seconds.startup", None, "seconds of startup and pretraining must be there"),
        ("seconds.total", 1e300, "seconds.total=1e+300 must be at most"),
        ("seconds.total", 1.0, "exceeds total=1.0"),
        ("seconds.pretraining", -1.0, "seconds.pretraining=-1.0"),
        ("marks.seconds", [1.0] * 20, "marks.seconds"),
        ("marks.seconds", [float(20 - n) for n in range(21)], "must not fall"),
        ("marks.episodes", [0] * 20 + [201], "exceeds budget_episodes"),
        ("marks.extra", [], "key 'marks.extra' is unknown"),
        ("calibration.before", {"products": 1.0}, "parts of calibration.before"),
        ("calibration.after", {"products": 0.0}, "calibration.after.products=0.0"),
        ("lost.training", 1.5, "lost.training=1.5"),
        ("neighbours", -1, "neighbours=-1"),
        ("hardware.threads", "two", "threads='two' must be a count"),
        ("hardware.device", "cuda", "hardware.device='cuda' must be 'cpu'"),
        ("accelerator.utilisation_percent", "much", "utilisation_percent='much' must be a count"),
        ("profile", "cpu-3", "profile='cpu-3' is unknown; did you mean 'cpu-2'"),
        ("task_id", "oracle-v9", "task_id"),
        ("submission", "theirs", "submission='theirs' must be 'mine'"),
        ("config.layers", 3, "config.layers=3 must be 2"),
        ("stacked_runs", 7, "stacked_runs=7"),
        ("budget_episodes", 10, "budget_episodes=10 must be 200"),
        ("created", "yesterday", "yesterday"),
        ("kind", "run", "kind='run'"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path, path, value, said):
    errors = validate(write(tmp_path, [changed(path, value)])).errors
    assert errors
    assert any(said in line and FILE in line for line in errors), errors


def test_a_timing_that_was_edited_or_copied_or_cut_off_is_refused(tmp_path):
    record = timing()
    for content, said in (
        (lines([record]).replace('"pretraining": 1.5', '"pretraining": 0.5'), "digest"),
        (lines([record, record]), "a timing counts once"),
        (lines([record])[:300], "is not JSON"),
        (lines([record]).replace('"pretraining": 1.5', '"pretraining": NaN'), "NaN is not a number"),
        ("[]\n", "must be a JSON object"),
    ):
        folder = write(tmp_path, [])
        (folder / FILE).write_text(content)
        errors = validate(folder).errors
        assert any(said in line for line in errors), (said, errors)
    (folder / FILE).unlink()
    (folder / FILE).symlink_to("/etc/passwd")
    assert any("is a link" in line for line in validate(folder).errors)


JUNK = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just([]), st.just({}))


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_junk_anywhere_is_refused_or_read_but_never_crashes(data):
    record = {key: value for key, value in copy.deepcopy(timing()).items() if key != "digest"}
    place: Any = record
    key = data.draw(st.sampled_from(sorted(record)))
    while isinstance(place[key], dict) and place[key] and data.draw(st.booleans()):
        place = place[key]
        key = data.draw(st.sampled_from(sorted(place)))
    place[key] = data.draw(JUNK)
    try:
        text = json.dumps(seal(record))
    except ValueError:
        return  # no JSON
    try:
        read = parse_runtime(text)
    except SubmissionError:
        return
    assert isinstance(read.doubts, list)
    assert math.isfinite(read.seconds_per_run(3000))


# Publishing.


def test_timings_are_published_beside_results_and_better_ones_replace_disturbed_ones(tmp_path):
    folder = write(tmp_path, [timing(lost=0.5), timing(repeat=1)])
    submission, source = find_submission(str(folder)), tmp_path / "new"
    source.mkdir()
    for name, record in (("runtime-0", timing(pace=0.2)), ("runtime-1", timing(repeat=1, lost=0.9))):
        (source / f"{name}.json").write_text(json.dumps(record))
    publish(submission, [source], tmp_path)
    kept = read_runtimes(folder / FILE)
    assert [(record.repeat, record.doubts) for record in kept] == [(0, []), (1, [])]
    assert kept[0].seconds.training == pytest.approx(42.0)
    assert validate(folder).errors == []


# The board.


def three(submission: str, pace: float, **changes: Any) -> list[dict]:
    return [
        timing(submission, task_id, repeat=repeat, pace=pace, **changes) for task_id in TASKS for repeat in range(3)
    ]


def board(*timings: list[dict]) -> Board:
    return Board(SUITE, REFERENCES, resamples=50, runtimes=parsed([record for group in timings for record in group]))


def test_normalised_seconds_are_the_mean_over_tasks_of_the_median_over_repeats():
    # Each run of the suite trains for 100 episodes: (2 + 100 * pace) / 10 runs.
    slow = [timing("mine", "gathering-v0", repeat=repeat, pace=0.3) for repeat in range(3)]
    found = timed(parsed([*three("mine", 0.1)[:3], *slow]), "mine", "cpu-2", TASKS, SUITE)
    assert found is not None
    assert found.seconds == pytest.approx((1.2 + 3.2) / 2)
    assert found.doubt == ""
    assert found.hardware == "AMD EPYC, 2 threads"
    assert timed(parsed(slow), "mine", "cpu-2", TASKS, SUITE) is None  # one task was not timed


def test_timings_that_do_not_count_are_shown_in_doubt():
    def doubt(records: list[dict]) -> str:
        found = timed(parsed(records), "mine", "cpu-2", TASKS, SUITE)
        assert found is not None
        return found.doubt

    assert doubt(three("mine", 0.1, lost=0.5)) == "contended"
    assert doubt(three("mine", 0.1, threads=1)) == "contended"
    assert doubt(three("mine", 0.1)[:5]) == "too few"
    assert doubt([*three("mine", 0.1), timing(repeat=3, lost=0.5)]) == ""  # three others count


def test_stacked_timings_go_before_those_of_runs_alone():
    alone = [timing("mine", task_id, 1, repeat, pace=0.1) for task_id in TASKS for repeat in range(3)]
    found = timed(parsed([*alone, *three("mine", 0.1)]), "mine", "cpu-2", TASKS, SUITE)
    assert found is not None
    assert found.seconds == pytest.approx(1.2)


def test_the_costs_show_normalised_seconds_once_somebody_was_timed():
    records = [parse_record(json.dumps(record)) for record in field({"good": 0.8, "bad": 0.1}, SUITE, REFERENCES)]

    def text(chosen: Board) -> dict[str, dict[str, str]]:
        runs = frame(records, chosen)
        cells = costs(runs, chosen, ranking(runs, chosen)).cells
        return {row["submission"]: row for row in cells.to_dict("records")}

    assert "s/run on cpu-2" not in text(board())["good"]
    shown = text(board(three("good", 0.1, slower=(2.0, 2.0))))
    assert shown["good"]["s/run on cpu-2"] == "0.6"
    assert shown["bad"]["s/run on cpu-2"] == "n/a"
    shown = text(board(three("good", 0.1, lost=0.5)))
    assert shown["good"]["s/run on cpu-2"] == "1.2 (contended)"
    both = board(three("good", 0.1), three("bad", 0.1, hardware={"device": "cpu", "threads": 2, "processor": "Xeon"}))
    runs = frame(records, both)
    assert costs(runs, both, ranking(runs, both)).notes[-1] == (
        "timed on: AMD EPYC, 2 threads (good); Xeon, 2 threads (bad)."
    )


def test_a_table_gives_phases_memory_and_what_counts():
    alone = [timing("good", runs=1, repeat=repeat, lost=0.2 * repeat) for repeat in range(3)]
    table = timings(board(three("good", 0.1), alone))
    rows = table.cells.to_dict("records")
    assert [(row["task"], row["runs"]) for row in rows] == [
        ("oracle-v0", "1"),
        ("oracle-v0", "10"),
        ("gathering-v0", "10"),
    ]
    assert rows[0] | {"submission": "good"} == {
        "submission": "good", "task": "oracle-v0", "profile": "cpu-2", "runs": "1", "start-up": "0.5",
        "pre-training": "1.5", "training": "20.0", "evaluation": "1.0", "GiB": "0.40", "lost": "40%",
        "counts": "1 of 3",
    }  # fmt: skip
    assert timings(board()).data.empty


def test_score_against_time_is_normalised_when_everybody_was_timed():
    records = tuple(parse_record(json.dumps(record)) for record in field({"good": 0.8, "bad": 0.1}, SUITE, REFERENCES))

    def caption(chosen: Board) -> str:
        drawer = Drawer(chosen, frame(records, chosen), records, make_palette(records, []))
        [picture] = [picture for picture in drawer.overall() if picture.name == "seconds"]
        return picture.caption + picture.figure.axes[0].get_xlabel()

    assert "submitter's hardware" in caption(board(three("good", 0.1)))
    assert "submitter's hardware" in caption(board(three("good", 0.1), three("bad", 0.1, lost=0.5)))
    both = caption(board(three("good", 0.1), three("bad", 0.2)))
    assert "normalised to cpu-2" in both
    assert "normalised seconds per run (cpu-2)" in both


def test_a_board_has_the_timings_that_it_is_given_and_not_those_published_under_the_same_name(tmp_path):
    write(tmp_path, [timing()])
    records, timings = read_both([tmp_path])
    assert [record.repeat for record in make_board(SUITE, records, [tmp_path], timings).runtimes] == [0]
    assert make_board(SUITE, records, [tmp_path]).runtimes == ()
