"""``penumbra profile``: what it says of a machine, and of timings."""

import json
from pathlib import Path

import faulty
import pytest
import torch
from timings import timing
from typer.testing import CliRunner

from benchmark.harness import runtime
from benchmark.harness.child import ChildError
from benchmark.measures import calibration
from benchmark.measures.calibration import Calibration, get_profile
from benchmark.measures.watch import Watch
from leaderboard import cli

FROZEN = get_profile("cpu-2").calibration.parts


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """A machine that takes half as long again as cpu-2, with nobody else at work."""
    slower = Calibration({part: 1.5 * seconds for part, seconds in FROZEN.items()})
    monkeypatch.setattr(calibration, "calibrate", lambda device="cpu": slower)
    monkeypatch.setattr(torch, "set_num_threads", lambda threads: None)
    monkeypatch.setattr(Watch, "lost", 0.0)


def run(*words: str):
    return CliRunner().invoke(cli.app, ["profile", *words])


def test_a_machine_is_described_in_words_and_as_json(tmp_path):
    result = run("--device", "cpu", "--out", str(tmp_path / "machine.json"))
    assert result.exit_code == 0, result.output
    assert "nearest profile        cpu-2: this machine takes 1.50 times as long" in result.output
    assert "crowded                no: nobody else was at work" in result.output
    described = json.loads((tmp_path / "machine.json").read_text())
    assert described["profile"] == "cpu-2"
    assert described["calibration"]["frozen"] == FROZEN
    assert described["calibration"]["seen"]["products"] == pytest.approx(1.5 * FROZEN["products"])
    assert described["hardware"]["threads"] == torch.get_num_threads()
    assert described["crowded"] is False


def test_a_crowded_machine_says_so_and_is_not_frozen(monkeypatch):
    monkeypatch.setattr(Watch, "lost", 0.4)
    assert "crowded                YES: others took 40% of the processor time" in run("--device", "cpu").output
    result = run("--device", "cpu", "--freeze", "here-1")
    assert isinstance(result.exception, ValueError)
    assert "the machine is not idle" in str(result.exception)


def test_an_idle_machine_is_frozen_in_words(monkeypatch, tmp_path):
    monkeypatch.setattr(calibration, "PROFILES", tmp_path / "profiles.json")
    calibration.profiles.cache_clear()
    try:
        assert "frozen: here-1" in run("--device", "cpu", "--freeze", "here-1").output
        assert "cores of" in json.loads((tmp_path / "profiles.json").read_text())["here-1"]["machine"]
    finally:
        calibration.profiles.cache_clear()


def test_without_a_profile_for_the_device_nothing_can_be_timed(monkeypatch):
    monkeypatch.setattr(calibration, "nearest", lambda seen, device: None)
    assert "none for this kind of device" in run("--device", "cpu").output
    result = run("random", "--device", "cpu", "--tasks", "oracle-v0")
    assert "there is none for device 'cpu'; freeze one" in str(result.exception)


def test_timings_are_shown_with_what_counts(monkeypatch, tmp_path):
    def measure(asked: runtime.Timing) -> dict:
        if asked.runs == 10 and asked.repeat == 2:
            raise ChildError("RuntimeError: the learner fell over")
        record = timing(slower=(2.0, 2.0), lost=0.5 if asked.runs == 10 else 0.0) | asked.header()
        return {key: value for key, value in record.items() if key != "digest"}

    monkeypatch.setattr(runtime, "measure_apart", measure)
    folder = faulty.write(tmp_path, "sound")
    result = run(str(folder), "--device", "cpu", "--tasks", "oracle-v0", "--out", str(tmp_path / "out"))
    assert result.exit_code == 1  # one of them failed
    rows = [line.split() for line in result.output.splitlines() if line.lstrip().startswith("sound  ")]
    # Twice as slow as the profile: 0.5, 1.5, 20 and 1 s are half of that there.
    assert rows[0][2:8] == ["1", "0.25", "0.75", "10.00", "0.50", "0.40"]
    assert rows[0][8:] == ["3", "of", "3"]
    assert rows[1][8:] == ["0", "of", "3:", "no"]
    assert "does not count: others took 50% of the processor time" in result.output
    assert "FAILED: RuntimeError: the learner fell over" in result.output
    assert len(list(Path(tmp_path / "out").rglob("runtime-*.json"))) == 5
