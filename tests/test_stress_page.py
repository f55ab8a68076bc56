"""The page of stress and ablations, from records made up for the purpose."""

import json
from typing import Any

import numpy as np
import pytest
from fabricate import finished
from typer.testing import CliRunner

from benchmark.harness.record import write_record
from benchmark.harness.stress import get_stresses
from benchmark.harness.suites import FINAL_MARKS, SUITES
from benchmark.measures.posteriors import posterior_scores
from benchmark.measures.references import reference
from leaderboard import cli
from leaderboard.ablation import sort_runs
from leaderboard.board import frame, make_board
from leaderboard.commands.terminal import SUBMISSIONS
from leaderboard.robustness import degradations
from leaderboard.shift import shifted_runs, unseen
from leaderboard.stress_missing import missing
from leaderboard.stress_page import write_page
from leaderboard.stress_tables import report
from leaderboard.stressed_beliefs import stressed_beliefs, stressed_figure, stressed_table
from leaderboard.submission import parse_record
from leaderboard.tables import ranking

SUITE = SUITES["quick"]
(SLIP,) = get_stresses(("slip",), ("oracle",))


def raw(name, task_id, seed, score, config=None, elsewhere=None, beliefs=None, suite=SUITE):
    def value(task, s):
        scale = reference(task)
        return float(f"{scale.trivial + s * (scale.reference - scale.trivial):.7g}")

    away = {
        task: [{"mean": value(task, s), "deviation": 0.0, "count": 2, "min": value(task, s), "max": value(task, s)}]
        * FINAL_MARKS
        for task, s in (elsewhere or {}).items()
    }
    told = beliefs and {"accuracy": beliefs, "nll": 0.5, "prior_accuracy": 0.33, "prior_nll": 1.1, "variables": {}}
    changes: dict[str, Any] = {"elsewhere": away} if away else {}
    return finished(
        name, task_id, seed, value(task_id, score), suite=suite, config=config or {}, beliefs=told, **changes
    )


def everything() -> list[dict]:
    """Belief-I2Q falls faster with slip than Rec.-Hyst.-IQL; one ablation; a matrix."""
    generator = np.random.default_rng(0)
    found = []
    for name, slope in (("belief-i2q", 1.4), ("rec-hyst-iql", 0.5)):
        for level, task in SLIP.levels:
            away = {other: 0.95 - slope * far for far, other in SLIP.levels if far != level}
            for seed in range(6):
                score = 0.95 - slope * level + generator.normal(0, 0.02)
                found.append(raw(name, task, seed, score, elsewhere=away, beliefs=0.85 if "belief" in name else None))
    for samples in (1, 5):
        for seed in range(5):
            score = 0.6 + 0.05 * samples + generator.normal(0, 0.02)
            found.append(
                raw(f"belief-i2q:samples={samples}", "oracle-v0", seed, score, {"samples": samples}, beliefs=0.8)
            )
    return found


RECORDS = [parse_record(json.dumps(record)) for record in everything()]


def test_the_page_is_the_same_twice_and_answers_the_question(tmp_path):
    written = write_page(RECORDS, tmp_path / "page.md")
    assert [path.name for path in written] == [
        "page.md",
        "page-stress-slip.png",
        "page-stress-beliefs-slip.png",
        "page-shift-slip.png",
        "page-unseen.png",
        "page-ablation-belief-i2q-samples.png",
    ]
    text = written[0].read_text()
    assert "**slip of oracle-v0, up to 0.5: faster.**" in text
    short = text[text.index("## In short") : text.index("## Does the task need memory?")]
    assert "trained at every level? Faster under slip of oracle-v0." in short
    assert "(`samples`): against 2, the usual value: certainly worse: 1" in short
    assert "; needs memory: gathering-v0." in short
    where = text[text.index("## Trained in the mildest world") :]
    assert "**slip of oracle-v0, up to 0.5: faster.**" in where
    assert "Does belief-i2q degrade faster than rec-hyst-iql where neither has learned?" in where
    assert "## oracle-v0 under slip, never trained under it" in where
    assert "Against 2, the usual value: certainly worse: 1" in text
    assert "## belief-i2q on oracle-v0: trained at one slip, met by another" in text
    assert "Not played yet: samples=10, 20." in text
    first = [path.read_bytes() for path in written]
    assert [path.read_bytes() for path in write_page(RECORDS[::-1], tmp_path / "page.md")] == first


def test_what_is_missing_is_listed_with_the_command_that_plays_it():
    table = missing({name: sort_runs(RECORDS, name) for name in ("quick", "standard")})
    rows = {(row["what"], row["submission"]): row for row in table.data.to_dict("records")}
    assert ("slip of oracle-v0", "belief-i2q") not in rows
    assert rows["ablation samples", "belief-i2q"]["lacking"] == "10, 20"
    gathering = rows["slip of gathering-v0", "rec-hyst-iql"]
    assert gathering["lacking"] == "0, 0.05, 0.1, 0.2, 0.3, 0.5"
    assert gathering["command"] == "penumbra stress rec-hyst-iql --only slip --family gathering"


def test_what_was_met_or_has_nothing_to_lose_is_not_missing():
    suite = SUITES["standard"]
    (blurred,) = get_stresses(("noise",), ("gathering",))
    met = {task: 0.3 for _, task in blurred.levels[1:3]}
    made = [raw("belief-i2q", "gathering-v0", seed, 0.5, elsewhere=met, suite=suite) for seed in range(5)]
    made += [raw("belief-i2q", "honeycomb-v0", seed, 0.09, suite=suite) for seed in range(5)]
    made += [raw("rec-hyst-iql", "honeycomb-v0", seed, 0.11, suite=suite) for seed in range(5)]
    made += [raw("rec-hyst-iql", "gathering-v0", seed, -0.2, suite=suite) for seed in range(4)]  # too few to say
    records = [parse_record(json.dumps(entry)) for entry in made]
    table = missing({"quick": {}, "standard": sort_runs(records, "standard")})
    lacking = {(row["what"], row["submission"]): row["lacking"] for row in table.data.to_dict("records")}
    assert lacking["noise of gathering-v0", "belief-i2q"] == "0.5"
    assert lacking["noise of gathering-v0", "rec-hyst-iql"] == "0, 0.1, 0.25, 0.5"
    assert lacking["slip of honeycomb-v0", "rec-hyst-iql"] == "0.05, 0.1, 0.2, 0.3, 0.5"
    assert ("slip of honeycomb-v0", "belief-i2q") not in lacking
    assert "slip of honeycomb-v0 (belief-i2q 0.09)" in table.notes[1]


def test_curves_of_the_mildest_level_only_by_hand():
    (entry,) = [
        curve for curve in unseen(shifted_runs(RECORDS, SUITE.name, (SLIP,))) if curve.submission == "belief-i2q"
    ]
    assert entry.unseen
    assert entry.scores.shape == (6, len(SLIP.levels))
    assert entry.scores[:, 1:] == pytest.approx(
        np.array([[0.95 - 1.4 * far for far, _ in SLIP.levels[1:]]] * 6), abs=1e-4
    )


def test_a_page_without_records_says_what_is_missing(tmp_path):
    (page,) = write_page([], tmp_path / "page.md")
    assert "## What is missing" in page.read_text()


def test_the_board_has_a_column_for_robustness_where_a_ladder_was_climbed_to_the_end(monkeypatch):
    oracle = make_board(SUITE, RECORDS, [SUBMISSIONS]).of_family("oracle")
    plain = [record for record in RECORDS if ":" not in record.submission]
    more = [
        raw(n, t, s, 0.9) for n in ("belief-i2q", "rec-hyst-iql", "random") for t in oracle.tasks for s in range(10)
    ]
    there = {record.cell for record in plain}
    plain += [record for entry in more if (record := parse_record(json.dumps(entry))).cell not in there]
    data = ranking(frame(plain, oracle), oracle).data.set_index("submission")
    # The mean over levels 0 to 0.5 of 0.95 - 0.5 p is 0.825, of 0.95 at the start; only seeds of all levels count.
    assert data["robustness"]["rec-hyst-iql"] == pytest.approx(0.825 / 0.95, abs=0.02)
    assert data["robustness"]["belief-i2q"] == pytest.approx(0.6 / 0.95, abs=0.02)
    assert np.isnan(data["robustness"]["random"])
    assert data["stresses"].to_dict() == {"belief-i2q": 1, "rec-hyst-iql": 1, "random": 0}
    unstressed = [record for record in plain if "slip" not in record.task_id]
    assert "robustness" not in ranking(frame(unstressed, oracle), oracle).data


def test_the_command_writes_the_page(tmp_path):
    for place, record in enumerate(everything()):
        write_record(tmp_path / "records" / f"{place}.json", record)
    out = tmp_path / "page.md"
    result = CliRunner().invoke(cli.app, ["reproduce", "stress", str(tmp_path / "records"), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert out.read_text().startswith("# Stress and ablations")


def test_beliefs_under_stress_lie_between_that_worlds_prior_and_posterior():
    records = [parse_record(json.dumps(entry)) for entry in everything()]
    (found,) = stressed_beliefs(records, SUITE.name, (SLIP,))
    assert found.submission == "belief-i2q"
    assert [level for level, _ in found.levels] == [level for level, _ in SLIP.levels]
    rows = stressed_table(found).data.to_dict("records")
    for row, (_, task_id) in zip(rows, SLIP.levels, strict=True):
        ends = posterior_scores(task_id)
        assert ends
        prior, posterior = ends["prior"]["nll"], ends["posterior"]["nll"]
        assert (row["nll_prior"], row["nll_exact posterior"], row["runs"]) == (prior, posterior, 6)
        assert row["score"] == pytest.approx((prior - 0.5) / (prior - posterior))
    assert stressed_beliefs(records, "full", (SLIP,)) == []
    assert stressed_beliefs(records, SUITE.name, get_stresses(("slip",), ("gathering",))) == []


def test_where_no_filter_is_known_the_posterior_is_left_out():
    (noise,) = get_stresses(("noise",), ("gathering",))
    records = [
        parse_record(json.dumps(raw("belief-i2q", task, 0, 0.5, beliefs=0.5)))
        for _, task in noise.levels[1:]  # the mildest is the task itself, whose posterior is known
    ]
    (found,) = stressed_beliefs(records, SUITE.name, (noise,))
    table = stressed_table(found)
    assert np.isnan(table.data["score"].tolist()).all()
    assert table.data["nll_prior"].tolist() == [1.1] * 3  # what came with the records
    drawn = stressed_figure([found], {"belief-i2q": "#336699"}).axes[0]
    assert [line.get_label() for line in drawn.lines] == ["prior", "belief-i2q"]


def test_a_reference_that_is_no_optimum_under_slip_is_named_as_that():
    slips = get_stresses(("slip",), ("gathering", "oracle"))
    records = [
        parse_record(json.dumps(raw("rec-hyst-iql", task, seed, 0.5)))
        for stress in slips
        for _, task in stress.levels[:2]
        for seed in range(2)
    ]
    oracle, gathering = report(degradations(records, SUITE.name, slips), resamples=100)
    assert not any("believes that actions obey" in note for note in oracle.notes)
    assert "believes that actions obey" in gathering.notes[-1]
    shown = gathering.data["reference"].tolist()
    assert shown[:2] == [reference("gathering-v0").reference, reference("gathering-v0:slip=0.05").reference]
