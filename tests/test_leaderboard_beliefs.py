"""Belief tables, curves and heat maps: what is said is what was measured."""

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from fabricate import SUITE, between, finished
from matplotlib.figure import Figure
from typer.testing import CliRunner

from benchmark.harness.suites import get_suite
from benchmark.measures.posterior import exact_posterior
from benchmark.tasks.registry import make_task
from benchmark.tasks.streams import episode_keys
from leaderboard import belief_plots, heatmaps, render
from leaderboard.beliefs import POSTERIOR, PRIOR, report, task_beliefs
from leaderboard.cli import app
from leaderboard.moments import Moment, follow, tell, telling
from leaderboard.record import FinishedRun
from leaderboard.submission import SubmissionError


def run_of(name, seed, beliefs, task_id="oracle-v0"):
    return FinishedRun.model_validate(finished(name, task_id, seed, 0.5, beliefs=beliefs))


RECORDS = [
    *(run_of("good", seed, between(0.7 + 0.1 * seed)) for seed in range(3)),
    *(run_of("bad", seed, between(0.1)) for seed in range(2)),
    run_of("old", 0, between(0.5, curves=False)),
    run_of("mute", 0, None),
]


def test_scores_lie_between_prior_and_posterior():
    (task,) = task_beliefs(RECORDS, SUITE.name)
    assert list(task.runs) == ["good", "old", "bad"]
    for measure in ("nll", "accuracy", "error"):
        assert task.scores("good", measure) == pytest.approx([0.7, 0.8, 0.9])
        assert task.scores("bad", measure) == pytest.approx([0.1, 0.1])
    assert task.scores("old", "nll") == pytest.approx([0.5])
    assert math.isnan(task.scores("old", "error")[0])


def test_the_table_goes_from_prior_to_posterior():
    scores, variables = report(task_beliefs(RECORDS, SUITE.name), resamples=200)
    assert scores.data["belief"].tolist() == [PRIOR, "bad", "old", "good", POSTERIOR]
    good = scores.data.set_index("belief").loc["good"]
    assert good["nll_score"] == pytest.approx(0.8)
    assert 0.699 < good["nll_score_low"] < 0.8 < good["nll_score_high"] < 0.901
    assert good["error_score"] == pytest.approx(0.8)
    text = scores.cells.set_index("belief")
    assert text.loc[PRIOR, "NLL"] == "1.101"
    assert text.loc[POSTERIOR, "score [95% interval]"] == "1"
    assert text.loc["old", "score [95% interval]"] == "0.500 [n/a]"  # one run
    assert text.loc["old", "ECE"] == "n/a"
    assert variables.cells.set_index("belief").loc[POSTERIOR, "oracle"] == "1.00 (0.00)"
    assert "exact posterior" in render.markdown([scores, variables])


def test_a_task_without_a_posterior_is_shown_beside_the_prior_of_its_records():
    told = {"accuracy": 0.5, "nll": 1.0, "prior_accuracy": 0.25, "prior_nll": 1.5}
    records = [run_of("good", seed, told | {"variables": {"level": told}}, "organization-pair-v0") for seed in range(2)]
    (table,) = report(task_beliefs(records, SUITE.name), resamples=50)
    assert table.cells["NLL"].tolist() == ["1.500", "1.000"]
    assert table.cells["score [95% interval]"].tolist() == ["0", "n/a"]


def test_records_that_cannot_be_compared_are_refused():
    with pytest.raises(ValueError, match="no finished run of suite='tiny' in the given records has a belief"):
        task_beliefs(RECORDS[-1:], SUITE.name)
    with pytest.raises(SubmissionError):
        task_beliefs([RECORDS[0], run_of("good", 0, between(0.1))], SUITE.name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"history": {"steps": [0, 2, 2], "accuracy": [0.5, 0.5], "nll": [1.0, 1.0], "ece": [0.0, 0.0]}}, "must rise"),
        ({"history": {"steps": [0, 2], "accuracy": [0.5, 0.5], "nll": [1.0], "ece": [0.0]}}, "expected 1"),
        ({"reliability": {"share": [1.0], "confidence": [0.5, 0.5], "accuracy": [0.5]}}, "expected 1"),
        ({"ece": 1.5}, "less than or equal to 1"),
    ],
)
def test_curves_of_a_record_are_checked(change, message):
    with pytest.raises(ValueError, match=message):
        run_of("good", 0, between(0.5) | change)


def test_history_curves_draw_the_means_and_the_floor():
    (task,) = task_beliefs(RECORDS, SUITE.name)
    ax = Figure().subplots()
    assert belief_plots.history_curves(task, "error", ax, 0) is ax
    lines = [np.asarray(line.get_ydata(), dtype=float).tolist() for line in ax.lines]
    for end in (PRIOR, POSTERIOR):
        assert task.ends[end]["history"]["error"] in lines
    assert any(line == pytest.approx(between(0.8)["history"]["error"]) for line in lines)
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0–1", "2–4", "5–9", "10–19", "20–39"]
    words = {text.get_text() for text in ax.texts}
    assert {"good", "bad", PRIOR, POSTERIOR} <= words
    assert "old" not in words  # its records have no curves


def test_reliability_pools_runs_by_how_many_beliefs_they_have():
    one = {"reliability": {"share": [0.25, 0.75], "confidence": [0.2, 0.8], "accuracy": [0.0, 1.0]}}
    other = {"reliability": {"share": [0.75, 0.25], "confidence": [0.4, 0.6], "accuracy": [1.0, 1.0]}}
    confidence, accuracy, share = belief_plots.pooled_reliability([one, other])
    assert share.tolist() == [0.5, 0.5]
    assert confidence.tolist() == pytest.approx([0.35, 0.75])
    assert accuracy.tolist() == pytest.approx([0.75, 1.0])
    empty = {"reliability": {"share": [0.0, 1.0], "confidence": [None, 0.8], "accuracy": [None, 1.0]}}
    assert np.isnan(belief_plots.pooled_reliability([empty])[0]).tolist() == [True, False]


def moments_of(changes):
    """Moments whose belief about a coin is given."""
    picture = make_task("oracle-v0").picture(make_task("oracle-v0").initial_state(episode_keys("user", 0, 1)))
    assert picture
    return [Moment(step, picture, (0,), (np.array([p, 1 - p]),)) for step, p in enumerate(changes)]


def test_the_moments_that_tell_most_are_shown():
    beliefs = [0.5, 0.5, 0.9, 0.9, 0.9, 0.2, 0.2, 0.25, 0.25, 0.25]
    assert [moment.step for moment in telling(moments_of(beliefs), 4)] == [0, 2, 5, 9]
    # Where too little happens the longest waits are halved.
    assert [moment.step for moment in telling(moments_of([0.5] * 9), 4)] == [0, 2, 4, 8]
    assert len(telling(moments_of([0.5, 0.5]), 6)) == 2


def test_following_recorded_actions_shows_what_was_believed():
    task = make_task("oracle-v0")
    actions = torch.full((1, 40, 2), 6)  # southeast, to the oracle in seven steps
    moments = follow(task, exact_posterior(task), episode_keys("user", 0, 1), 1, actions)
    assert len(moments) == 40
    assert moments[6].belief[0] == pytest.approx([1 / 3] * 3)
    assert moments[7].belief[0][moments[7].hidden[0]] == 1
    assert moments[7].picture.agents == ((17, 3), (17, 3))
    with pytest.raises(ValueError, match="agent=2 is out of range; allowed: 0 to 1"):
        follow(task, exact_posterior(task), episode_keys("user", 0, 1), 2)


@pytest.mark.parametrize(("task_id", "rows"), [("escape-room-v0", 6), ("honeycomb-n3-v0", 2)])
def test_heat_maps_have_a_row_for_the_board_and_for_every_variable(task_id, rows):
    story = tell(task_id)
    assert story.agent == make_task(task_id).agents - 1
    figure = heatmaps.heatmaps(story)
    assert len(figure.axes) == rows * len(story.moments) + 1  # and the colour bar
    assert [ax.get_title(loc="center") for ax in figure.axes[: len(story.moments)]] == [
        f"step {moment.step}" for moment in story.moments
    ]


def test_heat_maps_of_what_is_unknown_are_refused():
    cases: tuple[tuple[Any, str], ...] = (
        (("oracle-v0", "planer"), "did you mean 'planner'"),
        (("oracle-v0", "posterior", 5000), "episode=5000 is out of range; allowed: 0 to 1999"),
        (("organization-full-9-v0",), "no exact filter is known for Organization"),
    )
    for arguments, message in cases:
        with pytest.raises(ValueError, match=message):
            tell(*arguments)


def test_the_command_writes_tables_and_figures(tmp_path):
    records = tmp_path / "records.jsonl"
    quick = get_suite("quick")
    made = [finished("good", "oracle-v0", run, 0.5, suite=quick, beliefs=between(0.5 + run / 10)) for run in range(3)]
    records.write_text("".join(json.dumps(record) + "\n" for record in made))
    out, figures = tmp_path / "beliefs.md", tmp_path / "figures"
    result = CliRunner().invoke(app, ["beliefs", str(records), "--out", str(out), "--figures", str(figures)])
    assert result.exit_code == 0, result.output
    assert "| exact posterior |" in out.read_text()
    assert sorted(path.name for path in figures.iterdir()) == ["beliefs-oracle-v0.png", "beliefs-oracle-v0.svg"]
    drawn = ["beliefs", "--heatmaps", "oracle-v0", "--belief", "planner", "--figures", str(figures)]
    assert CliRunner().invoke(app, drawn).exit_code == 0
    assert (figures / "heatmaps-oracle-v0-planner-0.png").stat().st_size > 10_000
