"""Figures of whole boards: for two submissions and for many, the same bytes every time."""

import json
from dataclasses import replace
from xml.etree import ElementTree

from fabricate import REFERENCES, SUITE, failed, field, finished
from typer.testing import CliRunner

from leaderboard import cli, figures
from leaderboard.board import Board, frame
from leaderboard.commands.terminal import SUBMISSIONS
from leaderboard.submission import parse_record

BOARD = Board(SUITE, REFERENCES, resamples=200)


def drawer(records, board=BOARD) -> figures.Drawer:
    parsed = tuple(parse_record(json.dumps(record)) for record in records)
    return figures.Drawer(board, frame(parsed, board), parsed, figures.make_palette(parsed, []))


def names(pictures) -> list[str]:
    return [picture.name for picture in pictures]


def test_two_submissions_give_every_figure():
    drawn = drawer(field({"good": 0.8, "bad": 0.1}, SUITE, REFERENCES)).overall()
    assert names(drawn) == ["intervals", "profiles", "improvement", "efficiency", "seconds"]
    for picture in drawn:
        assert "good" in picture.alt
        assert picture.alt.endswith(".")


def test_one_submission_beats_nobody():
    assert "improvement" not in names(drawer(field({"alone": 0.8}, SUITE, REFERENCES)).overall())


def test_nobody_gives_no_figure():
    empty = drawer([finished("half", "oracle-v0", 0, 0.5)])
    assert empty.overall() == []
    assert empty.curves("gathering-v0") is None


def test_of_many_submissions_the_best_are_drawn_and_the_caption_says_so():
    many = drawer(field({f"s{n:02d}": n / 2 for n in range(15)}, SUITE, REFERENCES))
    assert list(many.scores) == [f"s{n:02d}" for n in range(14, 2, -1)]
    assert all("best 12 of 15" in picture.caption for picture in many.overall())


def test_curves_are_scores_clipped_below_and_returns_where_nothing_is_known():
    records = [finished("mine", task_id, 0, -30.0) for task_id in ("gathering-v0", "organization-pair-v0")]
    drawn = drawer(records)
    assert drawn.curve("mine", "gathering-v0").values[0, -1] == -1.0
    assert drawn.curve("mine", "organization-pair-v0").values[0, -1] == -30.0
    picture = drawn.curves("organization-pair-v0")
    assert picture is not None
    assert picture.caption.startswith("Return against")


def test_a_failed_run_leaves_no_hole_in_the_sample_efficiency():
    records = field({"good": 0.8}, SUITE, REFERENCES)
    drawn = drawer([*records, *(failed("bad", task, seed) for task in REFERENCES for seed in range(SUITE.runs))])
    by_name = {picture.name: picture for picture in drawn.overall()}
    assert "bad" in by_name["intervals"].alt
    assert "bad" not in by_name["efficiency"].alt
    assert "bad" not in by_name["seconds"].alt


def test_the_same_records_give_the_same_files(tmp_path):
    records = field({"good": 0.8, "bad": 0.1}, SUITE, REFERENCES)
    written = [
        figures.write_figures(drawer(order), tmp_path / str(n)) for n, order in enumerate((records, records[::-1]))
    ]
    assert len(written[0]) == 2 * (5 + len(REFERENCES))
    for one, other in zip(*written, strict=True):
        assert one.name == other.name
        assert one.read_bytes() == other.read_bytes()
    for path in written[0]:
        if path.suffix == ".svg":
            ElementTree.parse(path)


def test_a_family_draws_its_tasks_only(tmp_path):
    written = figures.write_figures(
        drawer(field({"a": 0.5}, SUITE, REFERENCES), replace(BOARD, family="oracle")), tmp_path
    )
    assert {path.stem for path in written if path.stem.startswith("curves")} == {"curves-oracle-v0"}


def test_the_command_says_where_there_is_nothing_to_draw(tmp_path):
    random = str(SUBMISSIONS / "random")
    result = CliRunner().invoke(cli.app, ["figures", random, "--suite", "full", "--out", str(tmp_path)])
    assert "no finished run of suite 'full'" in str(result.exception)
