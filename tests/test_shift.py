"""Trained at one level, evaluated at others: in the harness, in records, in tables and figures."""

import json

import numpy as np
import pytest
from fabricate import SUITE, finished
from typer.testing import CliRunner

from benchmark.episodes.policy import ConstantPolicy
from benchmark.harness.contain import job_from_json, job_to_json
from benchmark.harness.elsewhere import Elsewhere
from benchmark.harness.runner import Job, missing_seeds, run_job
from benchmark.harness.stress import Stress, get_stresses, shifts, task_ids
from benchmark.harness.submission import find_submission
from benchmark.harness.suites import FINAL_MARKS, MARKS, Suite
from benchmark.measures.references import reference
from benchmark.tasks.registry import make_task
from leaderboard import cli
from leaderboard.commands import stress as stress_command
from leaderboard.commands.terminal import SUBMISSIONS
from leaderboard.plausible import implausible
from leaderboard.record import FinishedRun
from leaderboard.shift import shift_table, shifted_runs
from leaderboard.stress_plots import write_shift_figures
from leaderboard.submission import SubmissionError, parse_record, read_records

TINY = Suite("tiny", ("honeycomb-n3-v0",), (("", 20),), runs=2, evaluation_episodes=4)
HOME, AWAY = "honeycomb-n3-v0", "honeycomb-n3-v0:slip=0.5"
RANDOM = find_submission("random", [SUBMISSIONS])


def test_at_home_it_would_be_the_same_evaluation(tmp_path):
    """A transform that changes nothing: the episodes elsewhere are those at home, mark by mark."""
    same = "honeycomb-n3-v0:slip=0"
    (first, second) = run_job(Job(RANDOM, TINY, HOME, (0, 1), elsewhere=(same, AWAY)), tmp_path, lambda line: None)
    for record in (first, second):
        assert record["elsewhere"][same] == [mark["greedy"] for mark in record["marks"][-FINAL_MARKS:]]
        assert record["elsewhere"][AWAY] != record["elsewhere"][same]
    parsed = read_records(tmp_path)[0]
    assert isinstance(parsed, FinishedRun)
    assert parsed.final_return_on(HOME) == parsed.final_return
    assert parsed.final_return_on(same) == pytest.approx(parsed.final_return, rel=1e-6)
    assert parsed.final_return_on("oracle-v0") is None
    assert implausible(read_records(tmp_path))[0] == []


def test_a_run_without_it_is_missing_only_where_it_is_asked_for(tmp_path):
    plain = Job(RANDOM, TINY, HOME, (0,))
    run_job(plain, tmp_path, lambda line: None)
    asking = Job(RANDOM, TINY, HOME, (0,), elsewhere=(AWAY,))
    assert missing_seeds(plain, tmp_path) == ()
    assert missing_seeds(asking, tmp_path) == (0,)
    assert "elsewhere" not in read_records(tmp_path)[0]._raw
    run_job(asking, tmp_path, lambda line: None)
    assert missing_seeds(asking, tmp_path) == missing_seeds(plain, tmp_path) == ()
    assert job_from_json(json.loads(json.dumps(job_to_json(asking)))) == asking


def test_only_the_last_evaluations_are_played_elsewhere_and_only_where_policies_fit():
    task = make_task(HOME)
    place = Elsewhere(task, [AWAY], (0, 1), 3, "cpu")
    policy = ConstantPolicy([0] * task.agents)
    place.evaluate(policy, range(MARKS - 4))
    assert place.record(0) == {"elsewhere": {AWAY: []}}
    place.evaluate(policy, range(MARKS - 4, MARKS + 1))
    assert [len(place.record(run)["elsewhere"][AWAY]) for run in (0, 1)] == [FINAL_MARKS] * 2
    with pytest.raises(ValueError, match="'oracle-v0' has other agents, actions or observations"):
        Elsewhere(task, ["oracle-v0"], (0,), 3, "cpu")


def test_every_level_is_evaluated_at_all_others_of_its_stresses():
    found = shifts(get_stresses(("slip", "hint"), ("oracle",)))
    assert len(found["oracle-v0"]) == 5 + 4
    assert "oracle-v0:slip=0.5" in found["oracle-v0:slip=0.1"]
    assert "oracle-v0:hint=0.5" not in found["oracle-v0:slip=0.1"]
    assert all(others == () for others in shifts(get_stresses(("agents",))).values())  # other teams, other policies


SLIP = Stress("slip", "oracle-v0", ((0.0, "oracle-v0"), (0.1, "oracle-v0:slip=0.1"), (0.5, "oracle-v0:slip=0.5")))


def value(task_id: str, score: float) -> float:
    scale = reference(task_id)
    return scale.trivial + score * (scale.reference - scale.trivial)


def record(task_id: str, seed: int, score: float, elsewhere: dict[str, float]):
    away = {
        other: [{"mean": value(other, s), "deviation": 0.0, "count": 2, "min": value(other, s), "max": value(other, s)}]
        * FINAL_MARKS
        for other, s in elsewhere.items()
    }
    return parse_record(json.dumps(finished("mine", task_id, seed, value(task_id, score), elsewhere=away)))


RECORDS = [
    *(record("oracle-v0", seed, 0.9, {"oracle-v0:slip=0.1": 0.7, "oracle-v0:slip=0.5": -3.0}) for seed in (0, 1)),
    *(record("oracle-v0:slip=0.1", seed, 0.8, {"oracle-v0": 0.85 + 0.1 * seed}) for seed in (0, 1)),
    record("oracle-v0:slip=0.5", 0, 0.4, {}),
]


def test_a_matrix_by_hand(tmp_path):
    (found,) = shifted_runs(RECORDS, SUITE.name, [SLIP])
    assert (found.trained, found.evaluated) == ([0.0, 0.1, 0.5], [0.0, 0.1, 0.5])
    means = {key: float(scores.mean()) for key, scores in found.scores.items()}
    expected = {(0.0, 0.0): 0.9, (0.0, 0.1): 0.7, (0.0, 0.5): -1.0, (0.1, 0.0): 0.9, (0.1, 0.1): 0.8, (0.5, 0.5): 0.4}
    assert means == pytest.approx(expected, abs=1e-5)  # each against the references of where it was played
    gap = found.gap(0.0, 0.1, resamples=100)
    assert gap is not None
    assert np.array(gap) == pytest.approx([-0.1] * 3, abs=1e-5)
    assert found.gap(0.5, 0.1) is None
    table = shift_table(found, resamples=200)
    assert table.cells["at 0.1"].tolist() == ["0.70 [0.70,0.70]*", "0.80 [0.80,0.80]", "n/a"]
    assert table.cells["at 0"].tolist()[1] == "0.90 [0.85,0.95]"  # not certainly another than 0.9
    assert table.cells["runs"].tolist() == ["2", "2", "1"]
    (picture,) = write_shift_figures([found], tmp_path)
    assert picture.name == "shift-slip.png"
    assert shifted_runs(RECORDS[-1:], SUITE.name, [SLIP]) == []


def test_what_cannot_be_in_a_record_is_refused():
    raw = dict(RECORDS[0]._raw)
    short = {key: entries[:4] for key, entries in raw["elsewhere"].items()}
    for change, message in (
        ({"elsewhere": short}, "at least 5 items"),
        ({"elsewhere": {"orcale-v0": raw["elsewhere"]["oracle-v0:slip=0.1"]}}, "did you mean 'oracle-v0'"),
    ):
        with pytest.raises(SubmissionError, match=message):
            parse_record(json.dumps(raw | change))
    assert any("elsewhere.oracle-v0:slip=0.5[0].mean" in line for line in implausible([RECORDS[0]])[0])


def test_the_command_fills_the_matrix(tmp_path):
    arguments = ["stress", "random", "--only", "informed", "--shift", "--runs", "2", "--folder", str(tmp_path / "out")]
    result = CliRunner().invoke(cli.app, [*arguments, "--figures", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "random on honeycomb-v0: trained at one informed, met by another" in result.output
    assert (tmp_path / "shift-informed.png").exists()


def test_suites_where_a_submission_does_not_apply_are_passed_over(tmp_path, monkeypatch):
    played = []
    monkeypatch.setattr(stress_command, "run", lambda *asked, **_: played.append(asked[:3]))
    arguments = ["stress", "ia2c++-cf", "--only", "reports", "--only", "hint", "--folder", str(tmp_path / "out")]
    result = CliRunner().invoke(cli.app, arguments)
    assert "no submission has records of two levels" in str(result.exception)
    (reports,) = get_stresses(("reports",))
    (hint,) = get_stresses(("hint",))
    assert played == [(["ia2c++-cf"], "standard", task_ids((reports,)))]
    played.clear()
    CliRunner().invoke(cli.app, [argument.replace("ia2c++-cf", "random") for argument in arguments])
    assert played == [(["random"], "quick", task_ids((hint,))), (["random"], "standard", task_ids((reports,)))]
