"""Normalised seconds: hand-computed; the workload itself does what it says."""

import math

import pytest
import torch

from benchmark.measures import calibration
from benchmark.measures.calibration import Calibration, Profile, calibrate, freeze, get_profile, workload
from benchmark.measures.watch import Watch

HOME = Profile("home", "a desk", "cpu", 2, "2.13.0", Calibration({"products": 0.2, "episodes": 0.3}))


def test_a_machine_half_as_fast_has_its_seconds_halved():
    seen = Calibration({"products": 0.5, "episodes": 0.5})
    assert seen.seconds == pytest.approx(1.0)
    assert HOME.normalised(60.0, seen) == pytest.approx(30.0)
    assert HOME.normalised(60.0, HOME.calibration) == 60.0


def test_drift_is_the_share_by_which_the_slower_exceeds_the_faster():
    fast, slow = Calibration({"a": 1.0}), Calibration({"a": 1.15})
    assert fast.drift(slow) == pytest.approx(0.15)
    assert slow.drift(fast) == pytest.approx(0.15)
    assert fast.drift(fast) == 0.0


def test_frozen_profiles_name_every_part_of_the_workload():
    frozen = get_profile("cpu-2").calibration
    assert frozen.parts.keys() == workload(torch.device("cpu")).keys()
    assert all(seconds > 0 for seconds in frozen.parts.values())
    with pytest.raises(ValueError, match=r"profile='cpu2' is unknown; did you mean 'cpu-2'"):
        get_profile("cpu2")


def test_the_nearest_profile_is_the_one_whose_parts_are_most_alike(monkeypatch):
    far = Profile("far", "a tower", "cpu", 8, "2.13.0", Calibration({"products": 0.02, "episodes": 0.3}))
    gpu = Profile("gpu", "a GPU", "cuda", 8, "2.13.0", Calibration({"products": 0.4, "episodes": 0.6}))
    monkeypatch.setattr(calibration, "profiles", lambda: {each.name: each for each in (HOME, far, gpu)})
    twice = Calibration({"products": 0.4, "episodes": 0.6})
    assert HOME.distance(twice) == pytest.approx(math.log(2))
    assert far.distance(twice) == pytest.approx((math.log(20) + math.log(2)) / 2)
    assert calibration.nearest(twice) == HOME
    assert calibration.nearest(twice, "cuda") == gpu
    assert calibration.nearest(twice, "mps") is None


def test_the_workload_computes_the_same_every_time():
    parts = workload(torch.device("cpu"))
    with torch.no_grad():
        first, again = parts["recurrence"](), workload(torch.device("cpu"))["recurrence"]()
    assert isinstance(first, torch.Tensor)
    assert isinstance(again, torch.Tensor)
    assert torch.equal(first, again)
    assert bool(first.isfinite().all())
    assert 0.1 < float(first.abs().mean()) < 1.0
    assert 0.01 < float(parts["products"]().abs().mean()) < 10.0  # pyright: ignore[reportAttributeAccessIssue]
    board = parts["board"]()
    assert isinstance(board, torch.Tensor)
    assert board.shape == (512, 6)
    assert 0.0 <= float(board[:, :4].min()) < float(board[:, :4].max()) <= 1.0  # walkers are all over the board
    assert 1.0 < float(board[:, 5].mean()) < 64.0  # they meet at most once an episode, and often do


def test_calibrate_reports_the_median(monkeypatch):
    ticks = iter([0.0, 1.0, 0.0, 9.0, 0.0, 2.0])  # three timings: 1 s, 9 s, 2 s
    monkeypatch.setattr("benchmark.measures.clock.time.perf_counter", lambda: next(ticks))
    monkeypatch.setattr(calibration, "REPEATS", 3)
    monkeypatch.setattr(calibration, "workload", lambda device: {"only": lambda: None})
    assert calibrate().parts == {"only": 2.0}


def test_an_unsteady_machine_is_not_frozen(monkeypatch, tmp_path):
    seen = iter([Calibration({"a": 1.0}), Calibration({"a": 1.3}), Calibration({"a": 1.05})])
    monkeypatch.setattr(calibration, "calibrate", lambda device: next(seen))
    monkeypatch.setattr(calibration, "PROFILES", tmp_path / "profiles.json")
    monkeypatch.setattr(Watch, "crowded", False)
    with pytest.raises(ValueError, match=r"1\.000, 1\.050, 1\.300 s: the machine is not idle"):
        freeze("here", "a busy machine")
    assert not (tmp_path / "profiles.json").exists()


def test_a_steady_machine_that_others_share_is_not_frozen_either(monkeypatch, tmp_path):
    monkeypatch.setattr(calibration, "calibrate", lambda device: Calibration({"a": 1.0}))
    monkeypatch.setattr(calibration, "PROFILES", tmp_path / "profiles.json")
    monkeypatch.setattr(Watch, "lost", 0.31)
    with pytest.raises(ValueError, match=r"others took 31% of the processor time: the machine is not idle"):
        freeze("here", "a busy machine")
    assert not (tmp_path / "profiles.json").exists()


def test_the_fastest_of_three_calibrations_is_frozen_with_device_and_threads(monkeypatch, tmp_path):
    seen = iter([Calibration({"a": 1.05}), Calibration({"a": 1.0}), Calibration({"a": 1.02})])
    monkeypatch.setattr(calibration, "calibrate", lambda device: next(seen))
    monkeypatch.setattr(calibration, "PROFILES", tmp_path / "profiles.json")
    monkeypatch.setattr(Watch, "lost", 0.0)
    calibration.profiles.cache_clear()
    try:
        assert freeze("here", "a desk") == Profile(
            "here", "a desk", "cpu", torch.get_num_threads(), torch.__version__, Calibration({"a": 1.0})
        )
    finally:
        calibration.profiles.cache_clear()
