"""Variants: names say what is changed, and can be read back."""

import json

import pytest
from fabricate import SUITE, finished
from hypothesis import given
from hypothesis import strategies as st

from benchmark.harness.submission import ManifestError, find_submission
from benchmark.harness.variant import parse_change, split_variant, variant_name
from leaderboard.board import Board, frame
from leaderboard.commands.terminal import SUBMISSIONS
from leaderboard.submission import SubmissionError, merge, parse_record, read_records
from leaderboard.validate import Report, check_content

WORDS = st.from_regex(r"[A-Za-z][A-Za-z_.-]{0,8}", fullmatch=True).filter(
    lambda word: word not in ("true", "false", "null", "NaN", "Infinity")
)
VALUES = st.one_of(st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), WORDS)


@given(st.dictionaries(st.from_regex(r"[a-z_][a-z_0-9]{0,8}", fullmatch=True), VALUES, max_size=3))
def test_a_name_says_what_is_changed(changes):
    name = variant_name("ia2c++-cf", changes)
    base, read = split_variant(name)
    assert (base, read) == ("ia2c++-cf", changes)
    assert [type(read[key]) for key in changes] == [type(value) for value in changes.values()]


def test_names_have_one_order_and_no_doubtful_values():
    assert variant_name("a", {"b": True, "a": 0.5}) == "a:a=0.5,b=true"
    assert split_variant("a") == ("a", {})
    assert split_variant("./folder:with colon") == ("./folder:with colon", {})
    for value in ("5", "two words", "x,y", None, [1], float("nan")):
        with pytest.raises(ValueError, match=r"a: b=.* must be a number, a boolean or a plain word"):
            variant_name("a", {"b": value} if value is not None else {"b": ()})
    with pytest.raises(ValueError, match="must have the form NAME=VALUE"):
        parse_change("speed")


def test_a_variant_is_found_by_name_and_is_another_submission():
    plain = find_submission("belief-i2q", [SUBMISSIONS])
    changed = find_submission("belief-i2q:variance=false,samples=5", [SUBMISSIONS])
    assert changed.name == "belief-i2q:samples=5,variance=false"
    assert dict(changed.parameters) == {"samples": 5, "variance": False}
    assert changed.information == plain.information
    assert changed.variant({"samples": 7}).name == "belief-i2q:samples=7,variance=false"
    meant = find_submission("ia2c++-cf:reward=team", [SUBMISSIONS])  # what the manifest says anyway
    assert meant.name == "ia2c++-cf"
    assert plain.value_of("samples") == 2
    assert find_submission("ia2c++-cf", [SUBMISSIONS]).value_of("reward") == "team"
    with pytest.raises(ManifestError, match="parameter='sample' is unknown; did you mean 'samples'"):
        plain.value_of("sample")


def record(name: str, config: dict, seed: int = 0):
    return parse_record(json.dumps(finished(name, "oracle-v0", seed, 0.5, config=config)))


def test_a_record_of_a_variant_has_the_parameters_of_its_name():
    assert record("mine:samples=5", {"samples": 5, "rate": 0.1}).cell[0] == "mine:samples=5"
    with pytest.raises(SubmissionError, match=r"config.samples=2 must be 5, as submission='mine:samples=5' says"):
        record("mine:samples=5", {"samples": 2})
    with pytest.raises(SubmissionError, match=r"config.deep=1 must be True"):
        record("mine:deep=true", {"deep": 1})
    with pytest.raises(SubmissionError, match="submission='mine:samples': String should match pattern"):
        record("mine:samples", {})


def test_nobody_meets_variants_who_did_not_ask_for_them(tmp_path):
    """Neither the readers of published records, nor a board, takes one for the submission."""
    plain, changed = record("mine", {}), record("mine:samples=5", {"samples": 5})
    assert len(merge([plain, changed])) == 2  # both at once, under their names
    lines = tmp_path / "results.jsonl"
    lines.write_text("".join(json.dumps(entry._raw) + "\n" for entry in (plain, changed)))
    assert [entry.submission for entry in read_records(lines)] == ["mine"]
    assert [entry.submission for entry in read_records(lines, variants=True)] == ["mine", "mine:samples=5"]
    board = Board(SUITE, {})
    assert list(frame([plain, changed], board)["submission"]) == ["mine", "mine:samples=5"]
    assert board.is_ranked("mine")
    assert not board.is_ranked("mine:samples=5")


def test_validation_knows_variants_by_manifest_and_name():
    manifest = find_submission("rec-hyst-iql", [SUBMISSIONS])
    for name, config, error in (
        ("rec-hyst-iql:beta=1", {"beta": 1}, None),
        ("rec-hyst-iql", {"beta": 1}, "config.beta=1 must be None"),
        ("rec-hyst-iql:beta=1", {"beta": 1, "gamma": 0.5}, "config.gamma=0.5 must be None"),
        (
            "rec-i2q:beta=1",
            {"beta": 1},
            "submission='rec-i2q:beta=1' must be 'rec-hyst-iql', as in submission.toml, or",
        ),
    ):
        report = Report()
        check_content(manifest, [record(name, config)], report)
        found = [line for line in report.errors if "config" in line or "submission" in line]
        assert bool(found) == bool(error)
        assert error is None or error in found[0]
