"""Ablations from records made up so that every number can be worked out by hand."""

import json
from pathlib import Path

import numpy as np
import pytest
from fabricate import SUITE, failed, finished
from matplotlib.figure import Figure
from typer.testing import CliRunner

from benchmark.harness.ablations import ABLATIONS, Ablation, get_ablations
from benchmark.harness.submission import find_submission
from benchmark.harness.suites import SUITES
from benchmark.measures.references import reference
from benchmark.tasks.registry import make_task
from leaderboard import cli
from leaderboard.ablation import ablation_table, sort_runs, sweep
from leaderboard.ablation_plots import ablation_figure, values_plot, write_ablation_figures
from leaderboard.commands.terminal import SUBMISSIONS
from leaderboard.submission import parse_record

SCALE = reference("oracle-v0")
SPEED = Ablation("speed", "mine", "speed", (1, 2, 5), ("oracle-v0",), "how fast")
NAMES = ("mine:speed=1", "mine", "mine:speed=5")


def record(name: str, score: float, seed: int, task_id: str = "oracle-v0", beliefs: float | None = None):
    scale = reference(task_id)
    final = scale.trivial + score * (scale.reference - scale.trivial)
    config = {"speed": int(name[-1])} if ":" in name else {}
    told = None if beliefs is None else {"accuracy": beliefs, "nll": 1.0, "prior_accuracy": 0.3, "prior_nll": 1.1}
    content = told and told | {"variables": {}}
    return parse_record(json.dumps(finished(name, task_id, seed, final, config=config, beliefs=content)))


def swept(scores: dict[str, list[float]], beliefs: float | None = None):
    records = [record(name, score, seed, beliefs=beliefs) for name, s in scores.items() for seed, score in enumerate(s)]
    found = sweep(sort_runs(records, SUITE.name), SPEED, NAMES, "mine")
    assert found is not None
    return found


def test_standard_ablations_are_of_parameters_that_exist_on_tasks_that_exist():
    for ablation in ABLATIONS:
        base = find_submission(ablation.submission, [SUBMISSIONS])
        names = ablation.names(base)
        assert len(set(names)) == len(ablation.values)
        assert base.variant(ablation.base).name in names  # what it has anyway is among the values
        for name in names:
            find_submission(name, [SUBMISSIONS]).build()
        for task_id in ablation.tasks:
            make_task(task_id)
            assert base.applies_to(task_id)
    assert [a.name for a in get_ablations(("rec-hyst-iql",))] == ["hysteresis"]
    with pytest.raises(ValueError, match="ablation='sample' has no standard ablation; did you mean 'samples'"):
        get_ablations(("belief-i2q",), ("sample",))


def test_the_usual_value_is_the_submission_itself():
    base = find_submission("belief-i2q", [SUBMISSIONS])
    (samples,) = get_ablations(names=("samples",))
    assert samples.names(base)[:3] == ["belief-i2q:samples=1", "belief-i2q", "belief-i2q:samples=5"]
    (optimism,) = get_ablations(names=("optimism",))
    assert optimism.names(base)[:3] == [
        "belief-i2q:form=forward,optimism=0.0",
        "belief-i2q:form=forward,optimism=0.05",
        "belief-i2q:form=forward",
    ]


def test_differences_and_chances_by_hand():
    """Slow: 0.2 and 0.4 against 0.5 and 0.7, so -0.3, and never better. Fast: 0.6 and 0.8: better in 3 of 4 pairs."""
    found = swept({"mine:speed=1": [0.2, 0.4], "mine": [0.5, 0.7], "mine:speed=5": [0.6, 0.8]})
    table = ablation_table(found, resamples=500)
    data = table.data.set_index("speed")
    assert data["mean"].tolist() == pytest.approx([0.3, 0.6, 0.7], abs=1e-6)
    assert data["difference"].tolist() == pytest.approx([-0.3, np.nan, 0.1], abs=1e-6, nan_ok=True)
    assert data["better"].tolist() == pytest.approx([0.0, np.nan, 0.75], nan_ok=True)
    assert data["difference_low"]["5"] == pytest.approx(-0.1, abs=1e-6)  # 0.6 against 0.7
    assert table.cells["speed"].tolist() == ["1", "2*", "5"]
    assert table.cells["P(better)"].tolist()[0] == "0.00*"
    assert not any("belief" in name for name in table.cells)


def test_what_is_not_there_is_said_and_failures_count():
    records = [record("mine", 0.5, seed) for seed in (0, 1)]
    records += [record("mine:speed=5", 0.5, 0)]
    broken = failed("mine:speed=5", "oracle-v0", 1) | {"config": {"speed": 5}}
    from benchmark.harness.record import seal

    records.append(parse_record(json.dumps(seal({k: v for k, v in broken.items() if k != "digest"}))))
    found = sweep(sort_runs(records, SUITE.name), SPEED, NAMES, "mine")
    assert found is not None
    assert found.missing == [1]
    assert found.points[-1].scores[:, 0] == pytest.approx([0.5, -1.0], abs=1e-6)
    assert "Not played yet: speed=1." in ablation_table(found, resamples=100).notes
    assert sweep(sort_runs(records[:2], SUITE.name), SPEED, NAMES, "mine") is None


def test_only_runs_of_all_tasks_count_on_the_tasks_that_most_values_have():
    both = Ablation("speed", "mine", "speed", (1, 2), ("oracle-v0", "gathering-v0"))
    records = [record(name, 0.5, seed, task) for name in NAMES[:2] for seed in (0, 1) for task in both.tasks]
    records += [record("mine", 0.9, 2)]  # on one task only
    found = sweep(sort_runs(records, SUITE.name), both, NAMES[:2], "mine")
    assert found is not None
    assert found.tasks == both.tasks
    assert [point.seeds for point in found.points] == [(0, 1), (0, 1)]
    found = sweep(sort_runs([r for r in records if r.task_id == "oracle-v0"], SUITE.name), both, NAMES[:2], "mine")
    assert found is not None
    assert found.tasks == ("oracle-v0",)


def test_figures_have_a_panel_for_beliefs_where_there_are_any(tmp_path):
    plain = swept({"mine:speed=1": [0.2, 0.4], "mine": [0.5, 0.7]})
    told = swept({"mine:speed=1": [0.2, 0.4], "mine": [0.5, 0.7]}, beliefs=0.8)
    assert [len(ablation_figure(entry, "#3b3fd0").axes) for entry in (plain, told)] == [1, 2]
    ax = values_plot(plain, Figure().add_subplot(), "#3b3fd0")
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1", "2", "5"]
    assert ablation_table(told, resamples=50).data["belief_accuracy"].tolist() == pytest.approx([0.8, 0.8])
    (path,) = write_ablation_figures([told], tmp_path, {"mine": "#3b3fd0"})
    assert path.name == "ablation-mine-speed.png"
    assert path.with_suffix(".svg").exists()


LEARNER = """
from benchmark.episodes.policy import ConstantPolicy
class Stubborn:
    def __init__(self, action: int = 0, extra: int = 0):
        self.action = action
    def train(self, setting):
        yield ConstantPolicy([self.action] * setting.task.agents)
"""


@pytest.fixture
def stubborn(tmp_path) -> Path:
    folder = tmp_path / "stubborn"
    folder.mkdir()
    (folder / "stubborn_learner.py").write_text(LEARNER)
    manifest = 'name = "stubborn"\nentry_point = "stubborn_learner:Stubborn"\nstacked = true\n'
    (folder / "submission.toml").write_text(manifest)
    return folder


def penumbra(*arguments: str):
    return CliRunner().invoke(cli.app, list(arguments))


def test_the_command_trains_variants_once_and_shows_them(stubborn, tmp_path, monkeypatch):
    out, table = tmp_path / "out", tmp_path / "table.csv"
    arguments = ["ablate", str(stubborn), "--sweep", "action=0,1,2", "--tasks", "honeycomb-n3-v0", "--runs", "2"]
    arguments += ["--folder", str(out), "--out", str(table)]
    assert SUITES["quick"].runs == 5
    result = penumbra(*arguments)
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in out.iterdir()) == ["stubborn", "stubborn@action=1", "stubborn@action=2"]
    assert table.read_text().startswith("action,submission,IQM,")
    assert "stubborn: action" in result.output
    again = penumbra(*arguments)
    assert again.output.count("all 2 runs are there") == 3
    shown = penumbra("table", str(out))
    assert "stubborn:action=1" in shown.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rec-hyst-iql", "--sweep", "beta"], "must have the form NAME=V1,V2"),
        (["rec-hyst-iql", "--sweep", "bta=1,2"], "did you mean 'beta'"),
        (["--sweep", "beta=1"], "needs a submission"),
        (["random"], "submission='random' has no standard ablation"),
        (["--only", "samples", "--suite", "full"], "no ablation has records of two values in full suite"),
    ],
)
def test_bad_requests_are_said(arguments, message):
    result = penumbra("ablate", *arguments)
    assert isinstance(result.exception, ValueError)
    assert message in str(result.exception)
