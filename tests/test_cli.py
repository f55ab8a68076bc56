"""The command, as a user types it."""

import subprocess
import sys
from pathlib import Path

import faulty
import pytest
from typer.testing import CliRunner

from benchmark.measures.machine import packages
from leaderboard import cli

ROOT = Path(__file__).resolve().parents[1]


def penumbra(*arguments: str) -> str:
    """Run a command that must succeed and return what it prints."""
    result = CliRunner().invoke(cli.app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_help_names_every_command():
    text = penumbra("--help")
    for command in ("tasks", "run", "table", "figures", "site", "export", "import", "submit", "dataset", "play"):
        assert command in text


def test_version_tells_of_everything_that_moves_a_number():
    names = penumbra("--version").split()[::2]
    assert names == list(packages())
    assert {"python", "torch", "numpy", "penumbra"} == set(names)


def test_tasks_lists_sizes_and_scale():
    line = next(line for line in penumbra("tasks", "honeycomb*").splitlines() if line.split()[:1] == ["honeycomb-v0"])
    assert line.split()[1:6] == ["10", "7", "35", "30", "special"]
    assert line.split()[-2:] == ["20", "20"]


def test_run_then_table_then_submit(tmp_path):
    """Two submissions, two runs, one task: trained once, ranked, published, and trained no more."""
    folder, out = faulty.write(tmp_path, "mine"), tmp_path / "out"
    arguments = ["--tasks", "honeycomb-v0", "--runs", "2", "--out", str(out), "--device", "cpu"]
    first = penumbra("run", "random", str(folder), *arguments)
    assert first.count("2 runs, mean final return") == 2
    again = penumbra("run", "random", str(folder), *arguments)
    assert again.count("all 2 runs are there") == 2
    table = penumbra("table", str(out), "--format", "md")
    assert "honeycomb" in table
    assert "planner" not in table
    beside = penumbra("table", str(out), "--published", "--format", "md")
    (alone,) = (line for line in table.splitlines() if "honeycomb-v0" in line and "random" in line)
    assert alone.split("|")[-2].strip() == "2"  # under the same name the own two runs count, not the published five
    assert alone.split("|")[3:] in [line.split("|")[3:] for line in beside.splitlines()]
    assert "planner" in beside
    with (folder / "submission.toml").open("r+") as file:
        text = file.read()
        file.seek(0)
        file.write('description = "d"\nauthors = ["a"]\nlicence = "MIT"\n' + text)
    told = penumbra("submit", str(folder), "--from", str(out), "--target", str(tmp_path / "board"))
    assert "2 records, 2 of them new" in told.replace("\n", "")
    told = penumbra("submit", str(folder), "--from", str(out), "--target", str(tmp_path / "board"))
    assert "2 records, 0 of them new" in told.replace("\n", "")
    assert len((tmp_path / "board" / "mine" / "results.jsonl").read_text().splitlines()) == 2


def test_a_failed_cell_shows_in_the_exit_status(tmp_path):
    folder = faulty.write(tmp_path, "broken", fault="exception")
    arguments = ["run", str(folder), "--tasks", "honeycomb-v0", "--runs", "1", "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(cli.app, arguments)
    assert result.exit_code == 1
    assert "the learner fell over" in result.output


def test_play_prints_every_step():
    text = penumbra("play", "oracle-v0", "--delay", "0", "--seed", "3")
    assert "step 1: " in text
    assert "terminated; return 0.96" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "randon"], "did you mean 'random'?"),
        (["run", "random", "--suite", "lapto"], "did you mean 'laptop'?"),
        (["run", "random", "--tasks", "orcale-v0"], "did you mean 'oracle-v0'"),
        (["run", "random", "--set", "speed"], "must have the form NAME=VALUE"),
        (["run", "random", "--set", "speed=1"], "parameters do not fit"),
        (["play", "oracle-v0", "--policy", "planer"], "did you mean 'planner'"),
        (["tasks", "nothing*"], "matches none of"),
        (["table", "/no/such/folder"], "/no/such/folder"),
    ],
)
def test_mistakes_end_with_one_line_and_status_2(arguments, message):
    command = [sys.executable, "-m", "leaderboard.cli", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=None)
    assert result.returncode == 2
    error = " ".join(result.stderr.split())
    assert error.startswith("error: ")
    assert message in error
    assert "Traceback" not in result.stderr
