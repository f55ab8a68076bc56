"""The results page of the grid-worlds, from records made up for the purpose."""

import json
import math

import pytest
from fabricate import failed, finished
from typer.testing import CliRunner

from benchmark.harness.record import seal, write_record
from benchmark.harness.suites import SUITES
from benchmark.measures.diagnosis import diagnosis
from benchmark.measures.references import reference
from leaderboard import cli, variance
from leaderboard.claims import CONTRADICTED, HOLDS, MARGIN, MISSING, UNDECIDED, greater, no_advantage, overview, told
from leaderboard.grid_worlds import BARS, LEARNERS, collect, without_inference
from leaderboard.grid_worlds_claims import claims, unchanged
from leaderboard.grid_worlds_page import figures, write_page
from leaderboard.grid_worlds_tables import beliefs, improvements, learned, scale, variants
from leaderboard.statistics import Estimate
from leaderboard.submission import SubmissionError, parse_record

SUITE = SUITES["standard"]
NAN = math.nan


def run(submission, task_id, seed, score, suite=SUITE, **changes):
    """A run that rises from trivial to this score by three quarters of its budget, and stays there."""
    scale = reference(task_id)
    value = float(f"{scale.trivial + score * (scale.reference - scale.trivial):.7g}")
    start = float(f"{scale.trivial:.7g}")
    return finished(submission, task_id, seed, value, start=start, suite=suite, **{"config": {}, **changes})


def parsed(*records):
    return [parse_record(json.dumps(record)) for record in records]


def found(*records):
    return collect(parsed(*records), SUITE)


def runs(submission, task_id, *scores, **changes):
    return [run(submission, task_id, seed, score, **changes) for seed, score in enumerate(scores)]


def variance_file(path, before=4.0, after=1.0, error=0.1, task_id="escape-room-v0"):
    curve = [[before, error, 50], [before, error, 60], [after, error, 60], [None, None, 0]]
    entry = {"curve": curve, "before": [before, error, 60], "after": [after, error, 60]}
    entry["difference"] = [before - after, error, 60]
    facts = {"event": "the agent first sees the exit", "learned": entry, "exact": entry}
    path.write_text(json.dumps({"window": 2, "tasks": {task_id: facts}}))
    return path


def test_something_is_greater_if_the_interval_says_so():
    assert greater(Estimate(0.1, 0.01, 0.2)) == HOLDS
    assert greater(Estimate(0.1, -0.01, 0.2)) == UNDECIDED
    assert greater(Estimate(0.1, 0.0, 0.2)) == UNDECIDED
    assert greater(Estimate(-0.1, -0.2, -0.01)) == CONTRADICTED
    assert greater(Estimate(0.1, NAN, NAN)) == UNDECIDED  # a single run has no interval


def test_there_is_no_advantage_only_if_one_worth_speaking_of_is_excluded():
    assert no_advantage(Estimate(-0.3, -0.4, -0.2)) == HOLDS
    assert no_advantage(Estimate(0.0, -0.05, MARGIN - 0.01)) == HOLDS
    assert no_advantage(Estimate(0.0, -0.05, MARGIN + 0.01)) == UNDECIDED
    assert no_advantage(Estimate(0.05, 0.01, MARGIN - 0.01)) == CONTRADICTED
    assert no_advantage(Estimate(0.0, NAN, NAN)) == UNDECIDED


def test_a_cell_sums_its_runs_up():
    cell = found(*runs("rec-i2q", "oracle-v0", 1.0, 0.6, 0.0)).get("rec-i2q", "oracle-v0")
    assert cell is not None
    assert cell.scores == pytest.approx([1.0, 0.6, 0.0], abs=1e-6)
    # 8 of 15 steps upwards lie above a half: at 8/20 of 3,000 episodes. 0.6 gets there at 13/15.
    assert cell.halfway() == ((1200 + 1950) / 2, 2)
    # Of 20 evaluations 15 rise evenly to the end, which makes 8, and 5 stay there.
    assert cell.efficiency == pytest.approx([0.65, 0.39, 0.0], abs=1e-6)
    assert cell.collapses == 0
    lost = seal(failed("rec-i2q", "oracle-v0", 1, SUITE) | {"config": {}})
    cell = found(run("rec-i2q", "oracle-v0", 0, -1.5), lost).get("rec-i2q", "oracle-v0")
    assert cell is not None
    assert list(cell.scores) == [-1.0, -1.0]
    assert (cell.failed, cell.collapses, len(cell.runs)) == (1, 2, 1)


def test_only_records_of_one_kind_are_put_into_a_cell():
    first = run("belief-i2q", "oracle-v0", 0, 1.0)
    five = run("belief-i2q:samples=5", "oracle-v0", 0, 0.5, config={"samples": 5})
    variant = run("belief-i2q:variance=false", "oracle-v0", 1, 0.7, config={"variance": False})
    other_suite = run("belief-i2q", "oracle-v0", 1, 0.1, suite=SUITES["quick"])
    short = seal(run("belief-i2q", "oracle-v0", 2, 0.1) | {"budget_episodes": 10_000})
    stranger = run("planner", "oracle-v0", 0, 1.0)
    many = run("rec-i2q", "organization-full-9-v0", 0, 1.0)
    results = found(first, first, five, variant, other_suite, short, stranger, many)
    assert list(results.cells) == [("belief-i2q", "oracle-v0")]
    assert len(results.cells["belief-i2q", "oracle-v0"].scores) == 1
    assert [cell.config for cell in results.variants] == [{"samples": 5}, {"variance": False}]
    assert results.tasks[-3:] == ("honeycomb-n3-v0", "honeycomb-n5-v0", "honeycomb-v0")
    assert results.missing()["oracle-v0"][0] == "belief-i2q (1 of 10 runs)"
    with pytest.raises(SubmissionError, match="a run counts once"):
        found(first, run("belief-i2q", "oracle-v0", 0, 0.9))


def test_who_infers_nothing_scores_less_in_larger_teams():
    # Two informed agents earn 2 each, the others 7/6 each; random agents 0.768398, the reference 6.
    assert without_inference("honeycomb-n3-v0") == pytest.approx((4 + 7 / 6 - 0.768398) / (6 - 0.768398), abs=1e-6)
    assert (
        without_inference("honeycomb-v0") < without_inference("honeycomb-n5-v0") < without_inference("honeycomb-n3-v0")
    )


FIELD = [
    *runs("belief-i2q", "oracle-v0", 1.0, 1.0, 1.0),
    *runs("rec-i2q", "oracle-v0", 0.6, 0.6),
    *runs("rec-hyst-iql", "oracle-v0", 0.9, 1.1),
    *runs("belief-i2q", "gathering-v0", 0.2, 0.2),
    *runs("rec-i2q", "gathering-v0", 0.4, 0.4),
    *runs("belief-i2q", "honeycomb-n3-v0", 0.8, 0.8),
    *runs("belief-i2q", "honeycomb-v0", 0.6, 0.6),
    *runs("rec-i2q", "honeycomb-v0", 0.6, 0.6),
    *runs("belief-i2q:variance=false", "oracle-v0", 0.7, 0.7, config={"variance": False}),
    *runs("belief-i2q:samples=5", "oracle-v0", 1.0, 1.0, config={"samples": 5}),
]


def answers(number, **beside):
    claim = claims(found(*FIELD), beside.get("variances"))[number - 1]
    return {statement.about: statement for statement in claim.statements}


def test_claims_about_scores_are_judged_by_differences_of_means():
    above = answers(1)
    assert [statement.verdict for statement in above.values()] == [
        *(HOLDS, UNDECIDED),
        *(CONTRADICTED, MISSING),
        *(MISSING, MISSING),
    ]
    told = above["oracle-v0, score above Rec.-I2Q"].measured
    assert told == "1.000 against 0.600, difference +0.400 [0.400, 0.400]; 3 and 2 runs."
    told = above["gathering-v0, score above Rec.-I2Q"].measured
    assert told == "0.200 against 0.400, difference -0.200 [-0.200, -0.200]; 2 and 2 runs."
    sooner = answers(2)["oracle-v0, area above Rec.-I2Q"]
    assert sooner.verdict == HOLDS
    assert sooner.measured == (
        "0.650 against 0.390, difference +0.260 [0.260, 0.260]; 3 and 2 runs. First evaluation that scores 0.5: "
        "1,200 episodes (3 of 3 runs) against 1,950 episodes (2 of 2 runs)."
    )
    assert "never (0 of 2 runs)" in answers(2)["gathering-v0, area above Rec.-I2Q"].measured


def test_honeycomb_is_judged_for_want_of_advantage_and_by_team_size():
    assert answers(4)["HoneyComb, 10 agents, score not above Rec.-I2Q"].verdict == HOLDS
    more = answers(5)
    assert more["3 above 10 agents"].verdict == HOLDS
    assert more["3 above 5 agents"].verdict == MISSING
    # 0.8 - 0.6 less 0.841 - 0.617: those that infer nothing fall as fast, and a little faster.
    assert "Who infers nothing scores 0.841 and 0.618; measured from there, difference -0.023" in (
        more["3 above 10 agents"].measured
    )


def test_settings_that_were_changed_are_compared_with_the_defaults():
    titles = [claim.title for claim in claims(found(*FIELD), None)]
    assert titles[6:8] == [
        "The belief's uncertainty is useful to the policy",
        "The effect of m, the number of belief samples",
    ]
    assert answers(7)["oracle-v0, suite standard, defaults above variance = false"].verdict == HOLDS
    assert answers(8)["oracle-v0, suite standard, defaults above samples = 5"].verdict == UNDECIDED
    assert list(variants(found(*FIELD)).cells["less the defaults'"]) == [
        "0.000 [0.000, 0.000]",
        "-0.300 [-0.300, -0.300]",
    ]


def test_settings_changed_in_another_suite_are_compared_with_the_defaults_there():
    quick = SUITES["quick"]
    there = [
        *runs("belief-i2q", "oracle-v0", 0.6, 0.6, suite=quick),
        *runs("belief-i2q:beta=2.0", "oracle-v0", 0.8, 0.8, suite=quick, config={"beta": 2.0}),
    ]
    judged = claims(found(*FIELD, *there), None, collect(parsed(*FIELD, *there), quick))
    (statement,) = next(claim for claim in judged if "beta" in claim.title).statements
    assert statement.about == "oracle-v0, suite quick, defaults above beta = 2.0"
    assert statement.verdict == CONTRADICTED
    assert statement.measured.startswith("0.600 against 0.800, difference -0.200 ")
    samples = next(claim for claim in judged if "samples" in claim.title).statements
    assert [statement.about for statement in samples] == ["oracle-v0, suite standard, defaults above samples = 5"]


def test_the_bars_are_ours_and_come_last():
    claim = claims(found(*FIELD), None)[-1]
    verdicts = {statement.about: statement.verdict for statement in claim.statements}
    assert verdicts["oracle-v0, Belief-I2Q above 0.8"] == HOLDS
    assert verdicts["gathering-v0, Belief-I2Q above 0.6"] == CONTRADICTED
    assert verdicts["escape-room-v0, Belief-I2Q above 0.6"] == MISSING
    # The bar on oracle-strict-v0 is out of reach without the oracle.
    known = diagnosis("oracle-strict-v0")
    assert known is not None
    assert reference("oracle-strict-v0").score(known["never_told"]["value"]) < BARS["belief-i2q", "oracle-strict-v0"]


def test_variances_are_judged_by_what_the_event_says(tmp_path):
    read = variance.read(variance_file(tmp_path / "v.json"))
    assert read is not None
    course = read.tasks[0].kinds["learned"]
    assert course.difference == pytest.approx((3.0, 3 - 0.196, 3 + 0.196))
    assert math.isnan(course.curve[3, 0])
    (statement,) = answers(6, variances=read).values()
    assert statement.verdict == HOLDS
    assert "4.00 before, 1.00 after (squared cells), difference +3.00 [2.80,3.20]" in statement.measured
    # The control holds if the change lies within a tenth of what there was: 0.4 of 4.
    for after, error, verdict in ((4.1, 0.1, HOLDS), (3.9, 0.5, UNDECIDED), (2.0, 0.1, CONTRADICTED)):
        path = variance_file(tmp_path / "v.json", 4.0, after, error, "honeycomb-v0")
        read = variance.read(path)
        assert read is not None
        assert unchanged(read.tasks[0].kinds["learned"]) == verdict
        (statement,) = answers(6, variances=read).values()
        assert statement.verdict == verdict
        assert "which says nothing" in statement.about
    assert variance.read(tmp_path / "none.json") is None
    (tmp_path / "v.json").write_text('{"tasks": {"oracle-v0": {}}}')
    with pytest.raises(ValueError, match=r"v\.json: is not what"):
        variance.read(tmp_path / "v.json")


def test_claims_are_counted_and_told():
    judged = claims(found(*FIELD), None)
    counts = overview(judged).data
    assert counts.loc[0, [HOLDS, CONTRADICTED, UNDECIDED, MISSING]].tolist() == [1, 1, 1, 3]
    text = told(judged[0], 1)
    assert text.startswith(
        "### 1. Belief-I2Q scores higher than both on Oracle, Gathering and Escape Room\n\nRule: mean"
    )
    assert "\n- escape-room-v0, score above Rec.-I2Q: **not measured**.\n" in text


def belief_notes(nll):
    own = {"accuracy": 0.5, "nll": nll, "prior_accuracy": 0.3, "prior_nll": 1.1, "ece": 0.1, "error": 9.0}
    own["mode_error"] = 9.0
    return {
        "beliefs": own | {"variables": {"box": own}, "reliability": None, "history": None},
        "notes": {"belief_gate_passed": True, "diverged": False, "belief_seconds": 12.5},
    }


def test_tables_hold_what_records_say():
    (first, second) = (run("belief-i2q", "oracle-v0", seed, 0.9, **belief_notes(0.9)) for seed in (0, 1))
    results = found(first, second, *runs("rec-i2q", "oracle-v0", 1.0, 0.5))
    table = learned(results)
    assert len(table.data) == len(LEARNERS) * len(results.tasks)
    text = table.cells.iloc[0]
    assert (text["gate"], text["diverged"], text["belief, s"], text["s/run"]) == ("2 of 2", "0 of 2", "12.5", "2.0")
    assert table.cells.iloc[2]["runs"] == "-"
    assert table.cells.iloc[1]["gate"] == "."
    probability = improvements(results).data.iloc[0]
    assert (probability["over"], probability["probability"]) == ("rec-i2q", 0.5)
    entry = beliefs(results).data.iloc[0]
    # Between 1.101 and 0.802 nats, as frozen for Oracle.
    assert entry["nll_score"] == pytest.approx((entry["prior"] - 0.9) / (entry["prior"] - entry["posterior"]), abs=1e-3)
    points = scale(results).data.iloc[0]
    assert (points["trivial"], points["reference"]) == (pytest.approx(0.0433333, abs=1e-5), 0.96)
    assert points["trivial"] < points["reactive"] <= points["optimum"]


def test_the_page_is_the_same_twice_and_says_what_is_missing(tmp_path):
    records = parsed(*FIELD)
    variance_file(tmp_path / "page-variance.json")
    written = write_page(records, SUITE, tmp_path / "page.md")
    assert [file.name for file in written] == ["page.md", "page-curves.png", "page-agents.png", "page-variance.png"]
    first = [file.read_bytes() for file in written]
    assert [file.read_bytes() for file in write_page(reversed(records), SUITE, tmp_path / "page.md")] == first
    text = (tmp_path / "page.md").read_text()
    for title in ("## The paper's claims, and what was measured", "## What was learned", "## Changed settings"):
        assert f"\n{title}\n" in text
    assert text.count("\n# ") == 0
    assert "- oracle-v0: belief-i2q (3 of 10 runs), rec-i2q (2 of 10 runs), rec-hyst-iql (2 of 10 runs)\n" in text
    assert "- oracle-v0, score above Rec.-I2Q: **holds**. 1.000 against 0.600" in text


def test_a_page_without_records_is_all_gaps(tmp_path):
    (page,) = write_page([], SUITE, tmp_path / "page.md")
    text = page.read_text()
    assert "escape-room-v0: belief-i2q (0 of 10 runs), rec-i2q (0 of 10 runs), rec-hyst-iql (0 of 10 runs)" in text
    assert f"**{HOLDS}**" not in text
    assert figures(found(), None) == []


def test_the_command_writes_the_page(tmp_path):
    for record in FIELD[:5]:
        write_record(tmp_path / "records" / f"{record['submission']}-{record['seed']}.json", record)
    out = tmp_path / "page.md"
    arguments = ["reproduce", "grid-worlds", str(tmp_path / "records")]
    result = CliRunner().invoke(cli.app, [*arguments, "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert out.read_text().startswith("# Grid-worlds: Belief-I2Q and its recurrent baselines")
    result = CliRunner().invoke(cli.app, arguments)
    assert "--out PAGE.md" in str(result.exception)
