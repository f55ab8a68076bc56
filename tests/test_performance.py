"""Rooflines and targets by hand; the page from made-up measurements."""

import json

import pytest
from fabricate import finished

from benchmark.harness.submission import Submission
from leaderboard import roofline
from leaderboard.bill import Accelerator
from leaderboard.performance import page, read, rounds, scale_out, write_page
from leaderboard.roofline import Measured, Roofs
from leaderboard.submission import parse_record
from leaderboard.targets import number, targets

STEP = {
    "kernels": 10.0,
    "bytes_per_step": 1000.0,
    "operations_per_step": 100.0,
    "picks_per_step": 25.0,
    "least_bytes": 200.0,
}


def steps(task_id, rate, **facts):
    return Measured(
        "steps", {"task_id": task_id, "batch": 4096, "device": "cpu"}, 1.0, {"steps_per_second": rate, **facts}
    )


MACHINE = [
    Measured("triad", {"where": "memory", "device": "cpu"}, 1.0, {"bytes_per_second": 1e10}),
    Measured("triad", {"where": "cache", "device": "cpu"}, 1.0, {"bytes_per_second": 1e11}),
    Measured("integer_operations", {"device": "cpu"}, 1.0, {"operations_per_second": 2e9}),
    Measured("smallest_kernel", {"device": "cpu"}, 1.0, {"seconds_per_kernel": 1e-6}),
]


def test_a_roofline_by_hand():
    roofs = roofline.roofs(MACHINE)
    assert roofs
    assert roofs == Roofs(memory=1e10, cache=1e11, operations=2e9, kernel=1e-6)
    assert roofs.as_written(STEP) == 2e7  # operations bind: 2e9 / 100, less than 1e11 / 1000
    assert roofs.at_least(STEP) == 5e7


def test_the_table_tells_the_best_batch_and_what_stands_between():
    two = Measured("steps_on_two_cores", {"task_id": "oracle-v0", "batch": 500}, 1.0, {"steps_per_second": 1e7})
    table = roofline.table([*MACHINE, steps("oracle-v0", 4e6, **STEP), two], Accelerator(bandwidth=1e12))
    assert table is not None
    row = table.cells.iloc[0]
    assert row["reached"] == "10.0 (50%, 20%)"
    # Two cores make 500 steps each in 100 us, of which ten kernels take 10 us at the least.
    assert row["what stands between"] == "launches 10%, moved 5.0x, picks 25%"
    assert row["H200 model"] == "1,000"


def test_nothing_is_said_of_what_was_not_measured():
    assert roofline.table([steps("oracle-v0", 1.0, **STEP)], Accelerator()) is None
    assert roofline.table(MACHINE, Accelerator()) is None
    assert {target.verdict for target in targets([])} == {"not measured"}


def test_targets_are_judged():
    board = Measured("full_board", {}, 12.0, {})
    found = {target.what: target for target in targets([steps("oracle-v0", 6e6), steps("gathering-v0", 5e5), board])}
    assert found["Oracle, environment steps/s, two cores"].verdict == "reached"
    assert found["Gathering, environment steps/s, two cores"].verdict == "not reached"
    assert found["Oracle, environment steps/s, H200"].verdict == "not measured"
    assert found["Scoring of a full board, seconds"].verdict == "not reached"


def test_numbers_have_three_digits():
    assert [number(value) for value in (0.012345, 4.561, 12_345_678, 0, float("nan"))] == [
        "0.0123",
        "4.56",
        "12,300,000",
        "0",
        "n/a",
    ]


def measurements():
    training = {
        "updates_per_second": 5.0,
        "episodes_per_round": 4.0,
        "kernels_per_round": 1000.0,
        "bytes_per_round": 1e6,
    }
    name = {"name": "ours", "runs": 10, "device": "cpu", "task_id": "oracle-v0"}
    dispatch = Measured("dispatch", {}, 1.0, {"driver_seconds": 0.01, "startup_seconds": 4.0})
    return [*MACHINE, steps("oracle-v0", 6e6, **STEP), Measured("training", name, 1.0, training), dispatch]


def test_ten_thousand_cells_lie_near_the_bound():
    (kernels,) = rounds(measurements()).values()
    assert (kernels.episodes, kernels.kernels, kernels.moved) == (4.0, 1000.0, 1e6)
    records = [parse_record(json.dumps(finished("ours", "oracle-v0", 0, 0.5)))]
    text = page(
        {"cores": 2}, measurements(), records, [Submission("ours", "module:Class", tasks=("oracle-*",))], "x.json"
    )
    for title in ("## Targets", "## Rooflines", "## The bill of suite standard", "## 10,000 cells on 100 GPUs"):
        assert title in text
    assert "**Crowded:**" not in text
    assert "**Crowded:**" in page({"created": "today", "others": 1.9}, [], [], [], "x.json")
    assert "Nothing was measured yet" in page({}, [], [], [], "x.json")
    assert scale_out(measurements(), []) is None


def test_the_page_is_written_from_a_file_and_says_if_it_is_none(tmp_path):
    source, out = tmp_path / "performance.json", tmp_path / "performance.md"
    one = {"test": "steps", "parameters": {"task_id": "oracle-v0"}, "seconds": 1.0, "facts": {"steps_per_second": 7.0}}
    source.write_text(json.dumps({"machine": {"cores": 2}, "benchmarks": [one]}))
    write_page(source, out, [], [])
    assert "7.00" in out.read_text()
    source.write_text("{}")
    with pytest.raises(ValueError, match="no measurements"):
        read(source)
