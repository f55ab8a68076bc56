"""The published board is what its published records say."""

from pathlib import Path

import pandas as pd
from typer.testing import CliRunner

from benchmark.harness.suites import get_suite
from leaderboard.board import frame, make_board
from leaderboard.cli import app
from leaderboard.commands.terminal import SUBMISSIONS
from leaderboard.submission import check_manifest, read_records
from leaderboard.tables import ranking

ROOT = Path(__file__).resolve().parents[1]
PUBLISHED = ROOT / "docs" / "leaderboard.md"


def test_the_committed_board_is_rebuilt_from_the_committed_records(tmp_path):
    """`penumbra table --suite quick --out docs/leaderboard.md` changes nothing."""
    out = tmp_path / "leaderboard.md"
    result = CliRunner().invoke(app, ["table", "--suite", "quick", "--out", str(out)], catch_exceptions=False)
    assert result.exit_code == 0
    assert out.read_text() == PUBLISHED.read_text()


def test_published_submissions_have_complete_manifests_and_sound_records():
    folders = sorted(path.parent for path in SUBMISSIONS.glob("*/submission.toml"))
    assert {path.parent.name for path in SUBMISSIONS.glob("*/results.jsonl")} >= {"random", "planner", "rec-hyst-iql"}
    for folder in folders:
        check_manifest(folder / "submission.toml")
        if not (folder / "results.jsonl").exists():
            continue  # a manifest that waits for its records
        assert {record.submission for record in read_records(folder / "results.jsonl")} == {folder.name}


def test_a_score_does_not_move_when_somebody_else_submits():
    suite = get_suite("quick")
    everybody = read_records(SUBMISSIONS)
    alone = [record for record in everybody if record.submission == "rec-hyst-iql"]
    rows = []
    for records in (everybody, alone):
        board = make_board(suite, records, [SUBMISSIONS])
        data = ranking(frame(records, board), board).data
        rows.append(data[data["submission"] == "rec-hyst-iql"].drop(columns="rank").reset_index(drop=True))
    pd.testing.assert_frame_equal(*rows, check_exact=True)
