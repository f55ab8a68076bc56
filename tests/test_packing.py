"""Shares of a GPU by hand."""

import pytest

from benchmark.harness.packing import gpu_share, gpu_shares, read_gpu_shares
from benchmark.harness.record import SCHEMA_VERSION, write_record


def test_as_many_as_fit():
    assert gpu_share(peak=4.4, whole=100.0) == 1 / 18  # 90 GiB, 5 each
    assert gpu_share(peak=50.0, whole=100.0) == 1.0
    with pytest.raises(ValueError, match=r"peak=90\.0 GiB"):
        gpu_share(peak=90.0, whole=100.0)


def record(task_id, runs, peak, device="cuda"):
    memory = {"host": 2.0} | ({"device": peak} if device == "cuda" else {})
    hardware = {"accelerator_gib": 100.0} if device == "cuda" else {}
    return {
        "submission": "ours",
        "task_id": task_id,
        "stacked_runs": runs,
        "peak_gib": memory,
        "hardware": hardware,
    }


def test_the_most_that_stacked_runs_ever_held_counts():
    records = [
        record("oracle-v0", 1, 60.0),
        record("oracle-v0", 10, 4.4),
        record("oracle-v0", 10, 8.4),
        record("gathering-v0", 10, 0.0, device="cpu"),
    ]
    assert gpu_shares(records) == {("ours", "oracle-v0"): 1 / 10}


def test_records_are_read_from_wherever_they_lie_in_a_folder(tmp_path):
    with pytest.raises(ValueError, match="no runtime record of a GPU"):
        read_gpu_shares(tmp_path)
    one = record("oracle-v0", 10, 4.4) | {"schema_version": SCHEMA_VERSION}
    write_record(tmp_path / "ours" / "oracle-v0" / "runtime-h200-1-r10-t1-0.json", one)
    assert read_gpu_shares(tmp_path) == {("ours", "oracle-v0"): 1 / 18}
