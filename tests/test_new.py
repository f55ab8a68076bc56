"""A new submission trains as it is written, keeps the rules, and is written over nothing."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmark.harness.probe import Trial
from benchmark.harness.rules import CHECKS
from benchmark.harness.runner import Job, run_job
from benchmark.harness.submission import find_submission
from benchmark.harness.suites import Suite
from leaderboard import cli
from leaderboard.commands.terminal import SUBMISSIONS
from leaderboard.new import new_submission
from leaderboard.submission import check_manifest


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return new_submission("fresh-algo", tmp_path_factory.mktemp("made"), SUBMISSIONS)


def test_the_folder_is_complete_and_named_throughout(folder):
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["README.md", "fresh_algo.py", "submission.toml", "test_fresh_algo.py"]
    text = "".join(path.read_text() for path in folder.iterdir())
    assert "my-algo" not in text
    assert "my_algo" not in text
    manifest = check_manifest(folder / "submission.toml")
    assert (manifest.name, manifest.entry_point, manifest.stacked) == ("fresh-algo", "fresh_algo:Learner", False)


def test_it_trains_on_every_family_and_notes_its_parameters(folder):
    suite = Suite("short", ("oracle-v0", "organization-full-9-v0"), (("", 4),), runs=1, evaluation_episodes=2)
    for task_id in suite.tasks:
        (record,) = run_job(Job(find_submission(str(folder)), suite, task_id, (0,)), folder / "out", print)
        assert record["status"] == "ok", record["error"]
        assert record["marks"][-1]["episodes"] == 4
        assert record["notes"]["parameters"] > 1000


def test_it_keeps_the_rules(folder):
    submission = find_submission(str(folder))
    for check in CHECKS:
        if check.needed(submission):
            check.run(Trial(submission, "honeycomb-n3-v0", 20))


def test_the_learner_is_short(folder):
    tree = ast.parse((folder / "fresh_algo.py").read_text())
    learner = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Learner")
    assert learner.end_lineno is not None
    assert learner.end_lineno - learner.lineno < 60


@pytest.mark.slow
def test_its_own_test_passes(folder):
    command = [sys.executable, "-m", "pytest", "-q", str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert result.returncode == 0, result.stdout
    assert "2 passed" in result.stdout


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("My Algo", "name='My Algo' must be"),
        ("../evil", "must be at most 64 lower-case"),
        ("x" * 65, "at most 64"),
        ("random", "is that of a published submission"),
        ("torch", "a module named 'torch' is installed"),
    ],
)
def test_a_name_that_cannot_be_one_is_refused(tmp_path, name, message):
    with pytest.raises(ValueError, match=message):
        new_submission(name, tmp_path, SUBMISSIONS)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path):
    arguments = ["new", "twice-written", "--in", str(tmp_path)]
    assert CliRunner().invoke(cli.app, arguments).exit_code == 0
    file: Path = tmp_path / "twice-written" / "twice_written.py"
    file.write_text("mine")
    again = CliRunner().invoke(cli.app, arguments)
    assert isinstance(again.exception, ValueError)
    assert "exists; nothing is overwritten" in str(again.exception)
    assert file.read_text() == "mine"
