"""marl-eval's JSON: what goes out comes back, and what is not what it should be is refused by name."""

import json
import re
from typing import Any

import numpy as np
import pytest
from fabricate import REFERENCES, SUITE, failed, field, finished
from hypothesis import given
from hypothesis import strategies as st
from sites import REFERENCES as FROZEN
from typer.testing import CliRunner

from benchmark.harness.suites import FINAL_MARKS
from leaderboard import cli, marl_eval
from leaderboard.board import Board, frame
from leaderboard.record import FinishedRun
from leaderboard.submission import parse_record
from leaderboard.tables import ranking


def exported(records) -> dict[str, Any]:
    return marl_eval.export([parse_record(json.dumps(record)) for record in records], SUITE, REFERENCES)


def written(path, content: Any):
    file = path / "file.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


@pytest.fixture
def foreign() -> dict[str, Any]:
    """Two algorithms, two runs, six evaluations of three episodes: the last five have mean ``level + run``."""

    def run(mean: float) -> dict[str, Any]:
        steps = {
            f"step_{n}": {"step_count": 10 * n, "mean_episode_return": [mean - 1, mean, mean + 1]} for n in range(1, 7)
        }
        steps["step_1"]["mean_episode_return"] = [99.0]
        return steps | {"absolute_metrics": {"mean_episode_return": [55.0]}}

    return {
        "grid": {
            "oracle-v0": {name: {"7": run(level), "9": run(level + 1)} for name, level in (("a", 0.0), ("b", 5.0))}
        }
    }


def test_the_format_is_marl_evals():
    content = exported(field({"mine": 0.5}, SUITE, REFERENCES))
    assert list(content) == ["penumbra-tiny"]
    assert list(content["penumbra-tiny"]) == ["gathering-v0", "oracle-v0"]
    run = content["penumbra-tiny"]["oracle-v0"]["mine"]["seed_0"]
    assert list(run) == [*(f"step_{n}" for n in range(21)), "absolute_metrics"]
    assert set(run["step_3"]) == {"step_count", "mean_episode_return", "mean_episode_return_with_noise", "score"}
    assert run["step_20"]["step_count"] == 1000
    assert all(isinstance(values, list) and len(values) == 1 for values in run["absolute_metrics"].values())


def test_scores_stand_beside_returns():
    run = exported([finished("mine", "gathering-v0", 0, 5.0)])["penumbra-tiny"]["gathering-v0"]["mine"]["seed_0"]
    assert run["absolute_metrics"]["mean_episode_return"] == [5.0]
    assert run["absolute_metrics"]["score"] == [0.75]


def test_what_goes_out_comes_back(tmp_path):
    runs = [parse_record(json.dumps(record)) for record in field({"one": 0.3, "two": 0.8}, SUITE, FROZEN)]
    back, board = marl_eval.read(written(tmp_path, marl_eval.export(runs, SUITE, FROZEN)))
    before = {run.cell[:3]: run.final_return for run in runs if isinstance(run, FinishedRun)}
    cells = list(zip(back["submission"], back["task_id"], back["seed"], strict=True))
    assert dict(zip(cells, back["final_return"], strict=True)) == pytest.approx(before)
    scores = {cell: FROZEN[cell[1]].score(value) for cell, value in before.items()}
    assert dict(zip(cells, back["score"], strict=True)) == pytest.approx(scores)
    assert set(board.tasks) == set(FROZEN)
    assert board.suite.runs == SUITE.runs


def test_others_results_are_scored_as_ours_are(tmp_path, foreign):
    runs, board = marl_eval.read(written(tmp_path, foreign))
    assert runs["final_return"].tolist() == [0.0, 1.0, 5.0, 6.0]
    scale = board.references["oracle-v0"]
    row = ranking(runs, board).data.set_index("submission").loc["b"]
    assert row["mean"] == pytest.approx((scale.score(5.0) + scale.score(6.0)) / 2)
    titles = [table.title for table in marl_eval.report(runs, board, "file.json")]
    assert titles == ["Scores of file.json", "Probability of improvement", "Tasks"]
    assert "trained and evaluated by others" in marl_eval.report(runs, board, "file.json")[0].notes[0]


def test_evaluations_are_taken_by_number_not_by_alphabet(tmp_path, foreign):
    run = {f"step_{n}": {"step_count": n, "mean_episode_return": [float(n)]} for n in range(1, 13)}
    foreign["grid"]["oracle-v0"] = {"a": {"1": run}}
    runs, _ = marl_eval.read(written(tmp_path, foreign))
    assert runs["final_return"].tolist() == [np.mean([8, 9, 10, 11, 12])]
    assert FINAL_MARKS == 5


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([], "no finished run of suite 'tiny'"),
        ([failed("mine", "oracle-v0", 0)], "no finished run of suite 'tiny'"),
        (
            [finished("a", "oracle-v0", 0, 0.1), finished("a", "gathering-v0", 1, 0.1)],
            "same submissions and seeds only",
        ),
        ([finished("a", "oracle-v0", 0, 0.1), finished("b", "gathering-v0", 0, 0.1)], "b: 1"),
    ],
)
def test_tables_with_holes_are_not_exported(records, message):
    with pytest.raises(ValueError, match=message):
        exported(records)


def change(content: Any, path: str, value: Any) -> Any:
    *way, last = path.split("/")
    here = content
    for part in way:
        here = here[part]
    if value is KeyError:
        del here[last]
    else:
        here[last] = value
    return content


RUN = "grid/oracle-v0/a/7"


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("grid/oracel-v0", {"a": {"1": {}}}, "task_id='oracel-v0' is unknown; did you mean 'oracle-v0'"),
        ("other", {}, "holds environments grid, other"),
        ("grid/oracle-v0", [], "must be an object that is not empty, not list"),
        ("grid/oracle-v0/a", {}, "grid/oracle-v0/a must be an object that is not empty"),
        (f"{RUN}/step_6", KeyError, None),
        (f"{RUN}/step_6", 3, "step_6: must be an object of metrics, not int"),
        (f"{RUN}/step_x", {}, "key 'step_x' must be step_1 to step_k"),
        (f"{RUN}/step_6", {"mean_episode_returns": [1]}, "did you mean 'mean_episode_return"),
        (f"{RUN}/step_6/mean_episode_return", [], "must be a list of at least one number"),
        (f"{RUN}/step_6/mean_episode_return", ["1"], "must be a list of at least one number"),
        (f"{RUN}/step_6/mean_episode_return", [True], "must be a list of at least one number"),
        (f"{RUN}/step_6/mean_episode_return", [1e308, 1e308], "is not finite"),
        (f"{RUN}/step_6/mean_episode_return", [10**400], "is not finite"),
        (RUN, KeyError, "same number of runs on every task; given a on oracle-v0: 1, b on oracle-v0: 2"),
        (RUN, {"step_1": {"mean_episode_return": [1]}}, "has 1 evaluations; at least 5"),
        ("grid/oracle-v0/<b>", {"1": {}}, "algorithm='<b>' may hold letters"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, foreign, path, value, message):
    file = written(tmp_path, change(foreign, path, value))
    if message is None:  # five evaluations are enough
        marl_eval.read(file)
        return
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        marl_eval.read(file)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not JSON"),
        ("[]", "must be a JSON object, not list"),
        ("{}", "holds environments none"),
        ('{"a": NaN}', "NaN is not a number"),
        ('{"a": {"t": 1, "t": 2}}', "key 't' occurs twice"),
        ("[" * 100_000, "is nested too deeply"),
    ],
)
def test_files_that_are_something_else_are_refused(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        marl_eval.read(written(tmp_path, text))
    with pytest.raises(ValueError, match="cannot be read"):
        marl_eval.read(tmp_path / "nowhere.json")


KEYS = st.sampled_from(["oracle-v0", "a", "step_1"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4) | st.just("oracle-v0"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
)


@given(JSON)
def test_no_input_does_more_than_be_refused(tmp_path_factory, content):
    with pytest.raises(ValueError, match=r"file\.json"):
        marl_eval.read(written(tmp_path_factory.getbasetemp(), content))


def test_the_commands_round_trip(tmp_path):
    run = CliRunner().invoke
    out = tmp_path / "board.json"
    result = run(cli.app, ["export", "marl-eval", "--out", str(out)], catch_exceptions=False)
    assert result.exit_code == 0
    result = run(cli.app, ["import", "marl-eval", str(out), "--format", "md"], catch_exceptions=False)
    assert "| rec-hyst-iql" in result.output
    assert "Scores of board.json" in result.output


def test_an_import_gives_the_published_scores(tmp_path):
    records = [finished("mine", task_id, seed, 0.1 * seed) for task_id in FROZEN for seed in range(3)]
    parsed = [parse_record(json.dumps(record)) for record in records]
    board = Board(SUITE, FROZEN | {"gathering-v0": REFERENCES["gathering-v0"]})
    ours = frame(parsed, board).sort_values(["task_id", "seed"])
    theirs = marl_eval.read(written(tmp_path, marl_eval.export(parsed, SUITE, FROZEN)))[0].sort_values(
        ["task_id", "seed"]
    )
    assert theirs["score"].tolist() == pytest.approx(ours["score"].tolist())
