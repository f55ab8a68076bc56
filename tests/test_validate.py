"""Folders from strangers: what is refused, what is remarked upon, and that nothing crashes or slips through."""

import json
import os
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import faulty
import numpy as np
import pytest
from fabricate import SUITE, between, failed, finished
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from benchmark.harness.record import seal
from benchmark.harness.runner import Job, run_job, train
from benchmark.harness.submission import find_submission
from benchmark.harness.suites import SUITES, Suite
from leaderboard import cli
from leaderboard.commands.terminal import SUBMISSIONS
from leaderboard.plausible import implausible
from leaderboard.rerun import rerun
from leaderboard.submission import SubmissionError, parse_record, read_records
from leaderboard.validate import validate

MANIFEST = """\
name = "mine"
entry_point = "mine:Learner"
description = "one line"
authors = ["somebody"]
licence = "MIT"
stacked = true

[parameters]
learning_rate = 0.001
layers = 2
"""
RUNS = [finished("mine", "oracle-v0", seed, 0.5 + seed / 100) for seed in range(3)]


def changed(record, **changes):
    """A record with other content, honestly sealed."""
    return seal({key: value for key, value in record.items() if key != "digest"} | changes)


def marks(record, place, **changes):
    """A record's marks with one of them changed."""
    result = json.loads(json.dumps(record["marks"]))
    result[place] |= changes
    return result


@pytest.fixture(scope="module", autouse=True)
def tiny():
    """The suite that made-up records name."""
    SUITES["tiny"] = SUITE
    yield
    del SUITES["tiny"]


def write(parent: Path, records=RUNS, manifest: str = MANIFEST) -> Path:
    folder = parent / "mine"
    folder.mkdir(exist_ok=True)
    (folder / "submission.toml").write_text(manifest)
    (folder / "results.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return folder


def test_a_sound_submission_passes_and_is_told_what_it_lacks(tmp_path):
    report = validate(write(tmp_path))
    assert report.errors == []
    assert len(report.records) == 3
    assert report.warnings == ["suite 'tiny': no run of gathering-v0; without them there is no rank"]


@pytest.mark.parametrize("name", ["planner", "random", "rec-hyst-iql"])
def test_published_submissions_pass(name):
    assert validate(SUBMISSIONS / name).errors == []


# Files.


def test_a_folder_holds_plain_files_of_known_kinds_and_sizes(tmp_path):
    folder = write(tmp_path)
    (folder / "weights.pkl").write_bytes(b"x")
    (folder / ".hidden.py").write_text("")
    (folder / "results.json").write_text("{}")
    (folder / "data").mkdir()
    (folder / "passwd.txt").symlink_to("/etc/passwd")
    os.mkfifo(folder / "pipe.txt")
    (folder / "long.md").write_text("x" * 1_000_001)
    told = "\n".join(validate(folder).errors)
    for message in (
        "weights.pkl: suffix='.pkl' is not allowed",
        ".hidden.py: suffix='.py' is not allowed",
        "results.json: suffix='.json' is not allowed; did you mean 'results.jsonl'",
        "data: is no plain file",
        "passwd.txt: is a link",
        "pipe.txt: is no plain file",
        "long.md: 1000001 bytes exceed 1000000",
    ):
        assert message in told


def test_links_and_absent_files_are_refused_before_anything_is_read(tmp_path):
    folder = write(tmp_path)
    (tmp_path / "link").symlink_to(folder)
    assert "no link to one" in validate(tmp_path / "link").errors[0]
    assert "cannot be read" in validate(tmp_path / "nowhere").errors[0]
    (folder / "results.jsonl").unlink()
    assert validate(folder).errors == [f"{folder}/results.jsonl: is missing"]
    (folder / "results.jsonl").symlink_to("/dev/zero")
    assert "results.jsonl: is a link" in validate(folder).errors[0]


def test_a_manifest_of_many_kilobytes_is_refused(tmp_path):
    report = validate(write(tmp_path, manifest=MANIFEST + "#" * 70_000))
    assert "submission.toml: 70" in report.errors[0]
    assert "bytes exceed 65536" in report.errors[0]


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('"one line"', '"two\\nlines"', "description='two\\nlines' must be one line of at most 300 printable"),
        ('"one line"', '"' + "x" * 301 + '"', "must be one line of at most 300"),
        ("stacked", 'code = "javascript:alert(1)"\nstacked', "code='javascript:alert(1)' must be a link"),
        ("0.001", "nan", "parameters.learning_rate=nan must be a number"),
        ("mine:Learner", "../mine:Learner", "must have the form 'module:Class'"),
        ("layers = 2", "layers = " + "9" * 5000, "Exceeds the limit"),
        ("layers = 2", "layers = " + "[" * 5000, "nested too deeply"),
    ],
)
def test_a_manifest_that_means_harm_is_refused(tmp_path, before, after, message):
    report = validate(write(tmp_path, manifest=MANIFEST.replace(before, after)))
    assert len(report.errors) == 1
    assert f"mine/submission.toml: {message}" in report.errors[0].replace("\\\\n", "\\n") or message in report.errors[0]


# What manifest and records say together, and what cannot be.

RUN = RUNS[0]
BROKEN = [
    (changed(RUN, submission="yours"), "submission='yours' must be 'mine', as in submission.toml"),
    (changed(RUN, suite="tinny"), "suite='tinny' is unknown; did you mean 'tiny'"),
    (changed(RUN, task_id="organization-circle-9999-v0"), "task_id='organization-circle-9999-v0' is no listed task"),
    (changed(RUN, task_id="oracle-v0:slipp=0.1"), "perturbation 'slipp' is unknown; did you mean 'slip'"),
    (changed(RUN, config={"learning_rate": 0.01, "layers": 2}), "config.learning_rate=0.01 must be 0.001, as in"),
    (changed(RUN, budget_episodes=99, marks=RUN["marks"][:-1] + [RUN["marks"][-2]]), "share"),
    (RUNS[1], "seed=1 budget_episodes=100 is already in"),
    (finished("mine", "oracle-v0", 0, 1.2), "final_returns[0]=1.2 is impossible: the optimum of that episode is 1.03"),
    (finished("mine", "oracle-v0", 0, 0.5, start=-0.5), "greedy.min=-0.5 is impossible: no episode returns less than"),
    (changed(RUN, marks=marks(RUN, 20, env_steps=4001, agent_steps=8002)), "env_steps=4001 must be at most 4000"),
    (changed(RUN, marks=marks(RUN, 20, agent_steps=2001)), "agent_steps=2001 must be 2000: 2 agents"),
    (changed(RUN, marks=marks(RUN, 3, noisy=RUN["marks"][3]["noisy"] | {"count": 1})), "noisy.count=1 must be 2"),
    (
        changed(RUN, marks=marks(RUN, 20, greedy=RUN["marks"][20]["greedy"] | {"max": 0.9})),
        "marks[20].greedy.max=0.9 must be 0.5, as in final_returns",
    ),
]


@pytest.mark.parametrize(("record", "message"), BROKEN)
def test_what_cannot_be_is_refused_with_file_line_key_value_and_rule(tmp_path, record, message):
    folder = write(tmp_path, [record, RUNS[1], RUNS[2]])
    errors = validate(folder).errors
    assert any(message in line and line.startswith(f"{folder}/results.jsonl:") for line in errors), errors


def test_stacked_runs_contradict_a_manifest_that_does_not_stack(tmp_path):
    errors = validate(write(tmp_path, manifest=MANIFEST.replace("true", "false"))).errors
    assert "results.jsonl:1: stacked_runs=5 must be 1: stacked=false in submission.toml" in errors[0]


def test_the_same_returns_under_two_seeds_are_a_copy_if_returns_vary(tmp_path):
    def run(seed):
        made = finished("mine", "oracle-v0", seed, 0.5)
        last = made["marks"][20]["greedy"] | {"min": 0.4, "max": 0.6, "deviation": 0.1414214}
        return changed(made, final_returns=[0.4, 0.6], marks=marks(made, 20, greedy=last))

    errors = validate(write(tmp_path, [run(0), run(1)])).errors
    assert len(errors) == 1
    assert "results.jsonl:2: seed=1 has the same returns as seed=0" in errors[0]
    assert "so one is a copy" in errors[0]


def test_constant_returns_are_only_remarked_upon(tmp_path):
    report = validate(write(tmp_path, [finished("mine", "oracle-v0", seed, 0.5) for seed in (0, 1)]))
    assert report.errors == []
    assert any("seed=1 has the same returns as seed=0" in line for line in report.warnings)


def test_perturbed_tasks_failed_runs_and_extra_seeds_are_remarked_upon(tmp_path):
    extra = [
        finished("mine", "oracle-v0:slip=0.1", 0, 0.5),
        finished("mine", "oracle-v0:slip=0.1", 1, 0.4),
        finished("mine", "oracle-v0", 7, 0.31),
        failed("mine", "gathering-v0", 0),
    ]
    report = validate(write(tmp_path, [*RUNS, *extra]))
    assert report.errors == []
    told = "\n".join(report.warnings)
    assert "task_id='oracle-v0:slip=0.1' seed=0, 1 does not count" in told
    assert "task_id='oracle-v0' seed=7 does not count" in told
    assert "failed ('RuntimeError: it broke') and counts as a collapse" in told
    assert "task_id='gathering-v0' lacks seed 1, 2" in told


def varied(seed: int, shift: float = 0.0, base: int = 0):
    """A run whose ten final returns vary, by ``base``'s own draws."""
    draws = np.random.default_rng(base).permutation(10) / 10 + shift
    suite = replace(SUITE, evaluation_episodes=10)
    record = finished("mine", "gathering-v0", seed, round(float(draws.mean()), 6), suite=suite)
    last = record["marks"][-1]["greedy"] | {"min": draws.min(), "max": draws.max()}
    return changed(record, final_returns=draws.tolist(), marks=marks(record, -1, greedy=last))


def test_a_copy_with_every_return_changed_a_little_is_a_copy():
    records = [parse_record(json.dumps(varied(seed, 0.001 * seed)).encode()) for seed in range(2)]
    impossible, _ = implausible(records)
    assert any("ranks correlate to 1.000" in line and "one is a copy" in line for line in impossible)
    other = parse_record(json.dumps(varied(1, base=1)).encode())
    assert not any("correlate" in line for line in implausible([records[0], other])[0])


def test_a_belief_knows_no_more_than_the_histories_tell(tmp_path):
    """Oracle's posterior has 0.802 nats and is right half of the time; chance is worth 0.055 nats and 0.33."""
    told = {"beliefs.nll=0.7 is impossible": (0.7, 0.5), "beliefs.accuracy=0.9 is impossible": (0.81, 0.9)}
    for message, (nll, accuracy) in told.items():
        errors = validate(
            write(tmp_path, [changed(RUN, beliefs=between(1.0) | {"nll": nll, "accuracy": accuracy})])
        ).errors
        assert len(errors) == 1
        assert message in errors[0]
    lucky = between(1.0) | {"nll": 0.76, "accuracy": 0.6}
    assert validate(write(tmp_path, [changed(RUN, beliefs=lucky)])).errors == []


@pytest.mark.parametrize("changes", [{"notes": {"parameters": 10**400}}, {"stacked_runs": 10**400}])
def test_numbers_that_overflow_a_table_are_refused(tmp_path, changes):
    (error, *_) = validate(write(tmp_path, [changed(RUN, **changes)])).errors
    assert next(iter(changes)) in error


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("layers = 0x" + "F" * 6000, "parameters.layers must lie between"),
        ("layers" + ".a" * 15_000 + " = 2", "is nested too deeply"),
        ("layers = " + "[" * 20_000, "is nested too deeply"),
        ("layers = " + "{a = " * 500 + "1" + "}" * 500, "is nested too deeply"),
    ],
)
def test_manifests_that_would_keep_a_parser_busy_or_break_a_message_are_refused(tmp_path, line, message):
    started = time.perf_counter()
    (error,) = validate(write(tmp_path, manifest=MANIFEST.replace("layers = 2", line))).errors
    assert message in error
    assert time.perf_counter() - started < 5


def test_a_hundred_thousand_keys_of_which_one_is_there_twice_are_refused_at_once(tmp_path):
    folder, keys = write(tmp_path), [f'"{place}":0' for place in range(100_000)]
    (folder / "results.jsonl").write_text("{" + ",".join([*keys, keys[-1]]) + "}")
    started = time.perf_counter()
    (error,) = validate(folder).errors
    assert "key '99999' occurs twice" in error
    assert time.perf_counter() - started < 5


def test_names_that_mean_something_on_the_board_are_refused(tmp_path):
    folder = write(tmp_path, manifest=MANIFEST.replace('"mine"', '"prior"'))
    assert any("name='prior' has a meaning on the board" in error for error in validate(folder).errors)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("grant = True  # \u202e esrever".encode(), "learner.py:2: holds the invisible character U+202E"),
        (b"a = 1\x00", "learner.py:2: holds the invisible character U+0000"),
        (b"name = '\xff'", "learner.py: must be UTF-8 text"),
    ],
)
def test_code_that_reviewers_cannot_see_is_refused(tmp_path, text, message):
    folder = write(tmp_path)
    (folder / "learner.py").write_bytes("# Grüße\n".encode() + text)
    (error,) = validate(folder).errors
    assert message in error


# Nothing crashes, nothing slips through.

FUZZ = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
LINE = json.dumps(RUN).encode()


@FUZZ
@given(st.binary(max_size=200), st.binary(max_size=200))
def test_arbitrary_bytes_are_refused(tmp_path, manifest, results):
    folder = write(tmp_path)
    (folder / "submission.toml").write_bytes(manifest)
    (folder / "results.jsonl").write_bytes(results)
    report = validate(folder)
    assert report.errors
    assert all(line.isprintable() for line in report.errors)


@FUZZ
@given(st.integers(0, len(LINE) - 1), st.binary(max_size=3), st.integers(0, 3))
def test_a_record_with_any_bytes_changed_is_refused_or_says_the_same(tmp_path, place, inserted, removed):
    mutant = LINE[:place] + inserted + LINE[place + removed :]
    said = refusal(mutant)
    if said is None:
        assert json.dumps(json.loads(mutant), sort_keys=True) == json.dumps(RUN, sort_keys=True)
    else:
        assert said
        assert all(line.isprintable() for line in said.split("\n"))


def refusal(text: bytes) -> str | None:
    """Return why a record is refused; None if it is not."""
    try:
        parse_record(text)
    except SubmissionError as error:
        return str(error)
    return None


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=6,
)


@FUZZ
@given(st.sampled_from([*sorted(RUN), "extra", "\x1b[2J\n::error::"]), VALUES)
def test_a_resealed_record_with_any_value_changed_never_crashes(tmp_path, key, value):
    content = {k: v for k, v in RUN.items() if k != "digest"} | {key: value}
    try:
        record = seal(content)
    except ValueError:  # NaN has no digest; whoever writes it anyway has a wrong one
        record = content | {"digest": RUN["digest"]}
    report = validate(write(tmp_path, [record, RUNS[1]]))
    assert all(line.isprintable() for line in report.errors + report.warnings)
    if report.errors:
        return
    # What passes is what was there, or what the format leaves to the writer.
    free = {"created", "git_commit", "hardware", "packages", "notes", "seconds", "stacked_runs", "seed", "beliefs"}
    assert key in free or record[key] == RUN[key]


@FUZZ
@given(st.sampled_from(MANIFEST.splitlines()), st.text(max_size=40))
def test_any_line_of_a_manifest_may_be_anything(tmp_path, line, text):
    folder = write(tmp_path)
    (folder / "submission.toml").write_bytes(MANIFEST.replace(line, text).encode("utf-8", "surrogatepass"))
    report = validate(folder)
    assert all(message.isprintable() for message in report.errors)


def test_a_pull_request_is_validated_where_it_changes_a_submission(tmp_path):
    """With `echo` for the command: which folders it would be given."""
    for side, names in (("base", ("same", "changed", "gone")), ("pull", ("same", "changed", "new; rm -rf ~"))):
        for name in names:
            folder = tmp_path / side / "leaderboard" / "submissions" / name
            folder.mkdir(parents=True)
            (folder / "submission.toml").write_text(side if name == "changed" else name)
    (tmp_path / "pull" / "leaderboard" / "submissions" / "link").symlink_to("/etc")
    script = Path(__file__).parents[1] / ".ci" / "validate-changed"

    def told(base: str, pull: str) -> str:
        command = [str(script), base, pull]
        environment = os.environ | {"PENUMBRA": "echo"}
        result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
        return result.stdout.strip()

    folders = [f"pull/leaderboard/submissions/{name}" for name in ("changed", "link", "new; rm -rf ~")]
    assert told("base", "pull") == "validate " + " ".join(folders)
    assert told("base", "base") == "no submission is new or changed"


# Again.

TINY = Suite("again", ("oracle-v0",), (("", 20),), runs=2, evaluation_episodes=4)


@pytest.fixture
def trained(tmp_path, monkeypatch):
    monkeypatch.setitem(SUITES, "again", TINY)
    manifest = find_submission(str(faulty.write(tmp_path, "sound")))
    run_job(Job(manifest, TINY, "oracle-v0", (0, 1)), tmp_path / "out", lambda line: None)
    return manifest, tmp_path / "out"


def test_cells_come_out_equal_when_run_again(trained):
    manifest, out = trained
    outcomes = list(rerun(manifest, read_records(out), 2, 0, train, "cpu"))
    assert [entry.agrees for entry in outcomes] == [True, True]
    assert all("equal in every number" in entry.line for entry in outcomes)


def test_numbers_that_nobody_got_come_out_otherwise(trained):
    manifest, out = trained
    honest = read_records(out)[0]._raw
    path = out / "sound" / "oracle-v0" / "seed-0.json"
    polished = [mark | {"greedy": mark["greedy"] | {"mean": 0.9, "max": 0.9}} for mark in honest["marks"]]
    fake = changed(honest, marks=polished, final_return=0.9, final_returns=[0.9] * 4)
    path.write_text(json.dumps(fake))
    told = {entry.line: entry.agrees for entry in rerun(manifest, read_records(out), 2, 0, train, "cpu")}
    assert sorted(told.values()) == [False, True]
    assert any("final_return=0.9, but" in line and "on equal hardware" in line for line in told)
    path.write_text(json.dumps(changed(fake, hardware={"threads": 96})))
    (other,) = [e for e in rerun(manifest, read_records(out), 2, 0, train, "cpu") if "seed 0" in e.line]
    assert "NOT within" in other.line
    assert "(other system, processor, threads, device)" in other.line


def test_the_command_says_what_is_wrong_and_fails(tmp_path):
    folder = write(tmp_path, [changed(RUN, submission="yours")])
    result = CliRunner().invoke(cli.app, ["validate", str(folder)])
    assert result.exit_code == 1
    assert "error: " in result.output
    assert "submission='yours' must be 'mine'" in result.output
    result = CliRunner().invoke(cli.app, ["validate", str(write(tmp_path))])
    assert result.exit_code == 0
    assert "3 records, 0 error(s), 1 warning(s)" in result.output
