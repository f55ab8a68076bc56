"""Tables: who ranks and who does not, every number by hand, and every format."""

import csv
import io
import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from fabricate import REFERENCES, SUITE, failed, field, finished
from rich.console import Console

from benchmark.harness.record import seal
from benchmark.harness.suites import Suite
from leaderboard import cells, render
from leaderboard.board import Board, frame, missing, score_matrix
from leaderboard.costs import costs
from leaderboard.report import report
from leaderboard.statistics import Estimate, interval_estimates
from leaderboard.submission import SubmissionError, parse_record
from leaderboard.tables import Table, improvement, incomplete, ranking, scale, task_table

BOARD = Board(SUITE, REFERENCES, resamples=500)


def runs_of(records, board=BOARD) -> pd.DataFrame:
    return frame((parse_record(json.dumps(record)) for record in records), board)


def small(submission="mine", oracle=(0.5, 0.6, 0.7), gathering=(0.0, 0.0, 10.0)):
    """Scores of oracle are its returns; those of gathering are (return + 10) / 20."""
    played = {"oracle-v0": oracle, "gathering-v0": gathering}
    return [
        finished(submission, task_id, seed, value)
        for task_id, values in played.items()
        for seed, value in enumerate(values)
    ]


def plain(tables) -> str:
    console = Console(width=120, file=io.StringIO(), record=True, color_system=None)
    for table in tables:
        console.print(render.terminal(table))
    return console.export_text()


# From records to scores.


def test_scores_follow_the_references():
    runs = runs_of(small())
    assert runs.loc[runs["task_id"] == "gathering-v0", "score"].tolist() == [0.5, 0.5, 1.0]
    assert score_matrix(runs, BOARD, "mine").tolist() == [[0.5, 0.5], [0.6, 0.5], [0.7, 1.0]]


def test_stacked_runs_share_the_time_they_took():
    assert runs_of(small())["seconds"].unique().tolist() == [2.0]  # 10 s for 5 runs


def test_a_failed_run_and_a_collapsed_one_count_as_minus_one_and_are_both_counted():
    records = [*small(oracle=(0.5, -7.0)), failed("mine", "oracle-v0", 2)]
    runs = runs_of(records)
    assert score_matrix(runs, BOARD, "mine")[:, 0].tolist() == [-1.0, -1.0, 0.5]
    row = ranking(runs, BOARD).data.iloc[0]
    assert row["collapsed"] == pytest.approx(2 / 6)
    assert row["mean"] == pytest.approx((-0.5 + 2 / 3) / 2)


def test_records_of_other_suites_and_seeds_are_left_out():
    other = finished("mine", "oracle-v0", 1, 0.1, suite=replace(SUITE, name="other"))
    beyond = finished("mine", "oracle-v0", SUITE.runs, 0.1)
    assert len(runs_of([*small(), beyond])) == 6
    assert runs_of([other]).empty


def test_a_record_that_does_not_follow_the_suite_is_refused():
    with pytest.raises(SubmissionError, match="budget_episodes=7 must be 100"):
        runs_of([finished("mine", "oracle-v0", 0, 0.5, budget_episodes=7, suite=replace(SUITE, episodes=(("", 7),)))])


def test_a_ranked_task_needs_references():
    with pytest.raises(ValueError, match="task_id='gathering-v0' of suite 'tiny' has none"):
        Board(SUITE, {"oracle-v0": REFERENCES["oracle-v0"]}).tasks  # noqa: B018


# Ranking.


def test_the_numbers_of_a_ranking_are_those_of_the_statistics():
    runs = runs_of(small())
    row = ranking(runs, BOARD).data.iloc[0]
    expected = interval_estimates(score_matrix(runs, BOARD, "mine"), BOARD.seed, BOARD.resamples)
    assert (row["IQM"], row["IQM_low"], row["IQM_high"]) == pytest.approx(expected["IQM"])
    assert row["optimality_gap"] == pytest.approx((0.5 + 0.4 + 0.3 + 0.5 + 0.5 + 0.0) / 6)
    assert (row["rank"], row["tasks"], row["runs"]) == (1, 2, 6)


def test_submissions_rank_by_iqm_with_ties():
    strength = {"worst": 0.0, "good": 0.7, "twin": 0.7, "best": 1.2}
    table = ranking(runs_of(field(strength, SUITE, REFERENCES)), BOARD)
    assert table.cells["rank"].tolist() == ["1", "2", "2", "4"]
    assert table.cells["submission"].tolist()[0] == "best"
    assert table.cells["submission"].tolist()[-1] == "worst"


def test_adding_a_competitor_changes_nobodys_score():
    strength = {"a": 0.3, "b": 0.5}
    before = runs_of(field(strength, SUITE, REFERENCES))
    after = runs_of(field(strength, SUITE, REFERENCES) + small("c", (90.0, 99.0, 95.0)))
    columns = [column for column in ranking(before, BOARD).data if column != "rank"]
    old, new = (ranking(runs, BOARD).data.set_index("submission", drop=False)[columns] for runs in (before, after))
    pd.testing.assert_frame_equal(old, new.loc[old.index])
    old, new = (task_table(runs, BOARD).data for runs in (before, after))
    pd.testing.assert_frame_equal(old, new[new["submission"] != "c"].reset_index(drop=True))


def test_the_order_of_records_changes_nothing():
    records = field({"a": 0.3, "b": 0.5}, SUITE, REFERENCES)
    shuffled = [records[place] for place in np.random.default_rng(0).permutation(len(records))]
    assert render.markdown(report(runs_of(records), BOARD)) == render.markdown(report(runs_of(shuffled), BOARD))


def test_an_incomplete_submission_is_listed_not_ranked():
    runs = runs_of(small() + small("half")[:4])
    assert missing(runs, BOARD, "half") == {"gathering-v0": [1, 2]}
    assert ranking(runs, BOARD).cells["submission"].tolist() == ["mine"]
    assert incomplete(runs, BOARD).cells.to_dict("records") == [
        {"submission": "half", "runs": "4", "lacking": "2", "missing": "gathering-v0 (seed 1, 2)"}
    ]
    # On the board of the family that it has, it ranks.
    assert ranking(runs, BOARD.of_family("oracle")).cells["submission"].tolist() == ["half", "mine"]


def test_who_knows_the_rules_is_shown_but_not_ranked():
    board = replace(BOARD, information={"planner": ("own-observations", "task-rules")})
    runs = runs_of(field({"planner": 1.5, "b": 0.5}, SUITE, REFERENCES), board)
    assert ranking(runs, board).cells[["rank", "submission"]].to_numpy().tolist() == [["-", "planner"], ["1", "b"]]


def test_what_a_score_took():
    """Half the records note parameters; marks rise linearly to the final return by 75% of the budget and stay."""
    records = [*small("a"), *small("b", (0.8, 0.8, 0.8), (9.0, 9.0, 9.0)), *small("planner", (2.0, 2.0, 2.0))]
    for place, record in enumerate(records):
        notes = {"parameters": 1000 + place} if record["submission"] == "a" else {"parameters": "many"}
        content = {key: value for key, value in record.items() if key != "digest"}
        machine = {"processor": "Z80", "threads": 1} if place % 2 else {"accelerator": "H200"}
        records[place] = seal(content | {"notes": notes, "hardware": machine})
    information = {"planner": ("task-rules",), "a": ("own-observations", "centralised-training")}
    board = replace(BOARD, information=information)
    runs = runs_of(records, board)
    table = costs(runs, board, ranking(runs, board))
    rows = table.cells.set_index("submission")
    assert rows["class"].to_dict() == {"a": "centralised", "b": "own observations", "planner": "knows the rules"}
    assert rows["in class"].to_dict() == {"a": "1", "b": "1", "planner": "-"}
    assert rows["parameters"].to_dict() == {"a": "1,005", "b": "n/a", "planner": "n/a"}
    assert rows["hardware"].tolist() == ["2 kinds"] * 3
    assert table.data["hardware"].tolist() == ["H200; Z80, 1 thread"] * 3
    # Oracle's returns are its scores: mean over marks 1 to 20 of min(1, mark / 15) * 0.8 is 0.8 * 13 / 20.
    efficiency = runs[(runs["submission"] == "b") & (runs["task_id"] == "oracle-v0")]["efficiency"]
    assert efficiency.tolist() == pytest.approx([0.8 * 13 / 20] * 3)
    assert not table.data[["efficiency", "efficiency_low", "efficiency_high"]].isna().to_numpy().any()


def test_seconds_that_others_disturbed_are_about_so_many():
    seconds = finished("mine", "oracle-v0", 0, 0.5)["seconds"]

    def shown(lost: float) -> Table:
        records = [
            finished("mine", task_id, seed, 0.5, seconds=seconds | {"lost": lost if seed == 1 else 0.0})
            for task_id in ("oracle-v0", "gathering-v0")
            for seed in range(3)
        ]
        return ranking(runs_of(records), BOARD)

    calm, busy = shown(0.05), shown(0.2)
    assert calm.cells["s/run"].tolist() == ["2.0"]
    assert busy.cells["s/run"].tolist() == ["~2.0"]
    assert any(note.startswith("~: others took more than 5%") for note in busy.notes)
    assert not any(note.startswith("~") for note in calm.notes)


def test_a_failed_run_is_as_inefficient_as_can_be():
    runs = runs_of([*small(oracle=(0.5, 0.5)), failed("mine", "oracle-v0", 2)])
    assert score_matrix(runs, BOARD, "mine", "efficiency")[0, 0] == -1.0


def test_a_single_run_has_neither_interval_nor_rank():
    suite = replace(SUITE, runs=1)
    board = replace(BOARD, suite=suite)
    table = ranking(runs_of(field({"a": 0.3}, suite, REFERENCES), board), board)
    assert table.cells["rank"].tolist() == ["-"]
    assert table.cells["IQM [95% interval]"].iloc[0].endswith("[n/a]")
    assert any("a single run" in note for note in table.notes)


def test_diagnostic_and_perturbed_tasks_are_shown_but_do_not_count():
    extra = [finished("mine", task_id, 0, 77.0) for task_id in ("organization-pair-v0", "oracle-v0:slip=0.1")]
    runs = runs_of(small() + extra)
    assert ranking(runs, BOARD).data.equals(ranking(runs_of(small()), BOARD).data)
    assert task_table(runs, BOARD).cells.query("task == 'organization-pair-v0'")[
        ["return", "score [95% interval]"]
    ].to_numpy().tolist() == [["77.00 ± n/a", "n/a"]]
    ranked = scale(runs, BOARD).cells.set_index("task")["ranked"]
    assert ranked.to_dict() == {
        "oracle-v0": "yes",
        "gathering-v0": "yes",
        "organization-pair-v0": "no, diagnostic",
        "oracle-v0:slip=0.1": "no",
    }


def test_belief_accuracy_stands_beside_the_prior():
    belief = {"accuracy": 0.91, "nll": 0.2, "prior_accuracy": 1 / 3, "prior_nll": 1.1}
    records = small() + [
        finished("seer", task_id, seed, 0.5, beliefs=belief | {"variables": {}})
        for task_id in REFERENCES
        for seed in range(3)
    ]
    cells_by_name = ranking(runs_of(records), BOARD).cells.set_index("submission")["belief (prior)"]
    assert cells_by_name.to_dict() == {"seer": "0.91 (0.33)", "mine": "n/a"}


# Other tables.


def test_a_task_table_shows_returns_beside_scores():
    table = task_table(runs_of(small() + small("other", gathering=(4.0, 4.0, 4.0))), BOARD, "gathering")
    assert table.cells[["task", "submission", "return"]].to_numpy().tolist() == [
        ["gathering-v0", "other", "4.000 ± 0.000"],
        ["", "mine", "3.333 ± 5.774"],
    ]
    row = table.data.iloc[1]
    assert (row["return"], row["return_deviation"]) == pytest.approx((10 / 3, 10 / math.sqrt(3)))
    assert row["return_noisy"] == pytest.approx(10 / 3 - 0.1)
    assert row["score"] == pytest.approx(2 / 3)
    assert row["score_low"] == 0.5


def test_a_submission_of_failed_runs_only_has_a_score_but_no_return():
    runs = runs_of([failed("mine", "oracle-v0", seed) for seed in range(3)])
    row = task_table(runs, BOARD).cells.iloc[0]
    assert (row["return"], row["score [95% interval]"], row["collapsed"]) == ("n/a", "-1.000 [-1.000, -1.000]", "100%")


def test_probabilities_of_improvement_mirror_each_other():
    table = improvement(runs_of(small("a", (1.0, 2.0, 3.0)) + small("b", (0.0, 0.1, 2.5))), BOARD)
    by_pair = table.data.set_index(["x", "y"])["probability"]
    # Oracle: 1 and 2 beat two of three, 3 beats all: 7/9. Gathering is the same for both: 1/2.
    assert by_pair["a", "b"] == pytest.approx((7 / 9 + 1 / 2) / 2)
    assert by_pair["b", "a"] == pytest.approx(1 - by_pair["a", "b"])
    assert table.cells["submission"].tolist() == ["a", "b"]
    assert table.cells["1"].tolist()[0] == "."


def test_a_board_without_runs_says_so():
    tables = report(runs_of([]), BOARD)
    assert [table.title for table in tables] == ["Penumbra leaderboard, suite tiny", "Scale"]
    assert tables[0].data.empty
    assert "none" in plain(tables)
    assert "| none" in render.markdown(tables)


# Formats.

STRENGTH = {"random": -0.01, "rec-hyst-iql": 0.5, "belief-i2q": 0.7, "maddpg++-cf": 0.9, "ia2c++-mf": 0.9, "i2q": 0.2}


@pytest.fixture(scope="module")
def tables():
    names = ("oracle-v0", "gathering-v0", "escape-room-v0", "honeycomb-v0", "organization-lattice-27-v0")
    suite = Suite("wide", names, (("", 100),), runs=3, evaluation_episodes=2)
    references = {name: REFERENCES["gathering-v0"] for name in names}
    board = Board(suite, references, resamples=200)
    return report(runs_of(field(STRENGTH, suite, references), board), board)


def test_the_terminal_needs_no_more_than_120_columns(tables):
    text = plain(tables)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 120
    for name in STRENGTH:
        assert name in text


def test_markdown_is_aligned_and_escaped(tables):
    text = render.markdown(tables)
    assert text.startswith("# Penumbra leaderboard, suite wide\n\n| rank | submission")
    for block in text.split("\n\n"):
        if block.startswith("|"):
            lines = block.splitlines()
            assert len(set(map(len, lines))) == 1
            assert len({line.count(" | ") for line in lines}) == 1


def test_csv_has_one_number_to_a_cell(tables):
    rows = list(csv.DictReader(io.StringIO(render.csv(tables[0]))))
    assert {row["submission"] for row in rows} == set(STRENGTH)
    assert float(rows[0]["IQM_low"]) <= float(rows[0]["IQM"]) <= float(rows[0]["IQM_high"])


def test_notes_tell_how_the_numbers_were_drawn(tables):
    notes = " ".join(tables[0].notes)
    assert "5 ranked tasks, 3 runs on each" in notes
    assert "200 resamples, seed 0" in notes
    assert "score = (return - trivial) / (reference - trivial)" in notes


HOSTILE = Table(
    "A & B <script>",
    pd.DataFrame({"x": [1.0]}),
    pd.DataFrame({"submission": ["<b>_a|b*</b>"], "x": ["50% ± $1"]}),
    ("note <i> & 100%_",),
)


def test_html_is_escaped():
    text = render.html(HOSTILE)
    assert "<caption>A &amp; B &lt;script&gt;</caption>" in text
    assert '<td class="words">&lt;b&gt;_a|b*&lt;/b&gt;</td><td>50% ± $1</td>' in text
    assert "<p>note &lt;i&gt; &amp; 100%_</p>" in text


def test_markdown_markup_is_escaped():
    assert r"| \<b\>\_a\|b\*\</b\> | 50% ± $1 |" in render.markdown([HOSTILE])


def test_latex_is_escaped():
    text = render.latex(HOSTILE)
    assert r"\caption{A \& B $<$script$>$}" in text
    assert r"$<$b$>$\_a|b*$<$/b$>$ & 50\% $\pm$ \$1 \\" in text
    assert r"\begin{tabular}{lr}" in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (cells.interval(Estimate(0.8, 0.75, 0.85)), "0.800 [0.750, 0.850]"),
        (cells.interval(Estimate(0.8, 0.75, 0.85), 2), "0.80 [0.75,0.85]"),
        (cells.interval(Estimate(0.8, math.nan, math.nan)), "0.800 [n/a]"),
        (cells.interval(Estimate(math.nan, math.nan, math.nan)), "n/a"),
        (cells.probability(Estimate(0.8, 0.51, 0.9)), "0.80*"),
        (cells.probability(Estimate(0.8, 0.5, 0.9)), "0.80"),
        (cells.amount(25012.3), "25,012"),
        (cells.amount(612.345), "612.3"),
        (cells.amount(-0.5), "-0.500"),
        (cells.amount(0.5, beside=35.2), "0.50"),
        (cells.share(0.0), "0%"),
        (cells.share(0.001), "<1%"),
        (cells.seconds(12345.6), "12,346"),
    ],
)
def test_numbers_are_written_short(text, expected):
    assert text == expected
