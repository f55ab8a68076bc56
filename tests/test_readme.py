"""What the README shows works, and what it says is so."""

import re
from pathlib import Path

import pytest

from benchmark.harness.runner import Job, run_job
from benchmark.harness.submission import find_submission
from benchmark.harness.suites import Suite
from benchmark.measures.references import reference

README = (Path(__file__).resolve().parents[1] / "README.md").read_text()
SNIPPETS = re.findall(r"```(\w+)\n(.*?)```", README, flags=re.DOTALL)
PYTHON = [code for language, code in SNIPPETS if language == "python"]


@pytest.mark.parametrize("code", [code for code in PYTHON if code.startswith("import benchmark")])
def test_snippets_run(code, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PENUMBRA_CACHE", str(tmp_path))
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out


def test_the_submission_of_the_readme_trains(tmp_path):
    manifest = next(code for language, code in SNIPPETS if language == "toml")
    learner = next(code for code in PYTHON if "class MyLearner" in code)
    for code in (manifest, learner):
        name = re.match(r"# my-algo/(.*)", code)
        assert name
        (tmp_path / name[1]).write_text(code)
    suite = Suite("tiny", ("oracle-v0",), (("", 90),), runs=1, evaluation_episodes=20)
    (record,) = run_job(Job(find_submission(str(tmp_path)), suite, "oracle-v0", (0,)), tmp_path / "out", print)
    assert record["status"] == "ok", record["error"]
    assert record["marks"][-1]["episodes"] == 90


def test_the_table_of_tasks_is_right():
    rows = re.findall(r"^\| `([a-z0-9-]+-v0)` \|.*\| ([-0-9.]+) \| ([-0-9.]+) \| ([-0-9.]+) \|$", README, re.MULTILINE)
    assert len(rows) >= 5
    for task_id, trivial, known, optimum in rows:
        scale = reference(task_id)
        for shown, value in ((trivial, scale.trivial), (known, scale.reference), (optimum, scale.optimum)):
            digits = len(shown.partition(".")[2])
            assert float(shown) == pytest.approx(value, abs=0.5000001 * 10**-digits), task_id
