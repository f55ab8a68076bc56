"""Submissions: what is read, what is refused, and what the refusal says."""

import json
from pathlib import Path

import faulty
import pytest
from fabricate import SUITE, failed, finished

from benchmark.harness.record import seal, write_record
from benchmark.harness.runner import Job, run_job
from benchmark.harness.submission import find_submission
from leaderboard.reading import MOST_MESSAGES
from leaderboard.record import FailedRun, FinishedRun
from leaderboard.submission import (
    SubmissionError,
    check_manifest,
    check_suite,
    merge,
    parse_record,
    read_records,
    write_records,
)

GOOD = finished("mine", "oracle-v0", 0, 0.5)


def changed(**changes):
    """The good record with other content, honestly sealed."""
    return seal({key: value for key, value in GOOD.items() if key != "digest"} | changes)


def without(key):
    return seal({k: value for k, value in GOOD.items() if k not in ("digest", key)})


def parsed(record):
    return parse_record(json.dumps(record), "results.jsonl:7")


def marks(place, **changes):
    """The good record's marks with one of them changed."""
    result = json.loads(json.dumps(GOOD["marks"]))
    result[place] |= changes
    return result


def test_a_finished_and_a_failed_run_are_read():
    run = parsed(GOOD)
    assert isinstance(run, FinishedRun)
    assert (run.final_return, len(run.marks), run.marks[-1].env_steps) == (0.5, 21, 1000)
    run = parsed(failed("mine", "oracle-v0", 1))
    assert isinstance(run, FailedRun)
    assert run.error == "RuntimeError: it broke"


def test_beliefs_are_read():
    score = {"accuracy": 0.9, "nll": 0.2, "prior_accuracy": 0.33, "prior_nll": 1.1}
    run = parsed(changed(beliefs=score | {"variables": {"box": score}}))
    assert isinstance(run, FinishedRun)
    assert run.beliefs is not None
    assert run.beliefs.variables["box"].accuracy == 0.9


def test_what_the_harness_writes_is_read(tmp_path):
    jobs = [
        Job(find_submission(str(faulty.write(tmp_path, name, **options))), SUITE, "oracle-v0", (0, 1, 2))
        for name, options in (("sound", {}), ("broken", {"fault": "exception", "seed": 1}))
    ]
    for job in jobs:
        run_job(job, tmp_path / "out", lambda line: None)
    runs = merge(read_records(tmp_path / "out"))
    check_suite(runs, SUITE)
    assert [isinstance(run, FinishedRun) for run in runs] == [True, False, True, True, True, True]


# Every line here is a way to break a record, and what the message must say.
BROKEN = [
    (without("seed"), "key 'seed' is missing"),
    (changed(sede=3), "key 'sede' is unknown; did you mean 'seed'"),
    (changed(seed="3"), "seed='3': .* integer"),
    (changed(seed=True), "seed=True: .* integer"),
    (changed(seed=-1), "seed=-1: .* greater than or equal to 0"),
    (changed(schema_version=2), "schema_version=2: only schema 1 is supported"),
    (changed(task_id="orcale-v0"), "task_id='orcale-v0': .* did you mean 'oracle-v0'"),
    (changed(task_id="oracle-v9"), "task_id='oracle-v9': .* did you mean 'oracle-v0'"),
    (changed(submission="../../etc"), "submission='../../etc': .* pattern"),
    (changed(status="fine"), "status='fine' must be 'ok' or 'failed'"),
    (without("status"), "status=None must be 'ok' or 'failed'"),
    (changed(created="yesterday"), "created='yesterday': .* isoformat"),
    (changed(final_return=0.6), r"final_return=0.6 must be 0.5, the mean of its 5 values"),
    (changed(final_return_noisy=0.6), r"final_return_noisy=0.6 must be 0.4, the mean of its 5 values"),
    (changed(final_returns=[0.5, 0.7]), r"marks\[20\].greedy.mean=0.5 must be 0.6, the mean of its 2 values"),
    (changed(final_returns=[0.5]), r"marks\[20\].greedy.count=2, but 1 final_returns"),
    (changed(marks=GOOD["marks"][:-1]), "marks=.*at least 21 items"),
    (changed(marks=marks(3, share=0.3)), r"marks\[3\].share=0.3 must be 0.15"),
    (changed(marks=marks(3, env_steps=9999)), r"marks\[4\].env_steps=200 must not be less than 9999"),
    (changed(marks=marks(20, episodes=101)), r"marks\[20\].episodes=101 exceeds budget_episodes=100"),
    (
        changed(marks=marks(1, greedy={"mean": 3, "deviation": 0, "count": 2, "min": 0, "max": 1})),
        r"marks\[1\].greedy=.* mean=3.0 must lie between min=0.0 and max=1.0",
    ),
    (changed(marks=marks(1, greedy={"mean": 3})), r"key 'marks\[1\].greedy.deviation' is missing"),
    (changed(notes={"deep": {"deeper": {"deepest": 1}}}), "notes.deep"),
    (changed(notes={str(n): n for n in range(201)}), "notes=.*at most 200 items"),
    (changed(config={"x": "y" * 501}), "config.x"),
]


@pytest.mark.parametrize(("record", "message"), BROKEN)
def test_a_broken_record_is_refused_with_place_key_value_and_rule(record, message):
    with pytest.raises(SubmissionError, match=rf"results\.jsonl:7: {message}"):
        parsed(record)


def test_a_record_that_was_changed_after_it_was_sealed_is_refused():
    with pytest.raises(SubmissionError, match=r"digest='.{12}'\.\.\. must be '.{12}'\.\.\.: the record was changed"):
        parsed(GOOD | {"notes": {"better": True}})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[1]", "must be a JSON object, not list"),
        (json.dumps(GOOD).replace('"final_return": 0.5', '"final_return": NaN'), "NaN is not a number"),
        (json.dumps(GOOD).replace('"seed": 0', '"seed": 0, "seed": 1'), "key 'seed' occurs twice"),
        ("[" * 100_000, "nested too deeply"),
        (b"\xff\xfe{}"[:3], "is not JSON"),
    ],
)
def test_what_is_not_a_json_object_is_refused(text, message):
    with pytest.raises(SubmissionError, match=f"record: .*{message}"):
        parse_record(text)


def test_records_are_read_from_lines_files_and_folders(tmp_path):
    lines = tmp_path / "mine" / "results.jsonl"
    lines.parent.mkdir()
    lines.write_text("".join(json.dumps(finished("mine", "oracle-v0", seed, 0.5)) + "\n" for seed in range(3)) + "\n")
    write_record(tmp_path / "ledger" / "other" / "oracle-v0" / "seed-0.json", finished("other", "oracle-v0", 0, 0.1))
    (tmp_path / "ledger" / ".lock").touch()
    assert [run.seed for run in read_records(lines)] == [0, 1, 2]
    assert [run.submission for run in read_records(tmp_path / "ledger")] == ["other"]
    assert len(read_records(tmp_path)) == 4


def test_all_broken_lines_are_named(tmp_path):
    file = tmp_path / "results.jsonl"
    file.write_text(f"{json.dumps(GOOD)}\n{{\n{json.dumps(changed(seed=-1))}\n")
    with pytest.raises(SubmissionError) as caught:
        read_records(file)
    first, second = str(caught.value).splitlines()
    assert first.startswith(f"{file}:2: is not JSON")
    assert second.startswith(f"{file}:3: seed=-1: ")


def test_very_many_problems_are_counted_not_listed(tmp_path):
    file = tmp_path / "results.jsonl"
    file.write_text("{\n" * 100)
    with pytest.raises(SubmissionError) as caught:
        read_records(file)
    lines = str(caught.value).splitlines()
    assert len(lines) == MOST_MESSAGES + 1
    assert lines[-1] == "... and 80 more"


def test_empty_and_absent_places_are_refused(tmp_path):
    with pytest.raises(SubmissionError, match="holds no records"):
        read_records(tmp_path)
    with pytest.raises(SubmissionError, match=r"no\.jsonl: cannot be read"):
        read_records(tmp_path / "no.jsonl")
    with pytest.raises(SubmissionError, match=r"nowhere: there is no such folder of records"):
        read_records(tmp_path / "nowhere")
    with pytest.raises(SubmissionError, match=r"suffix='\.pickle' must be \.json or \.jsonl"):
        read_records(tmp_path / "results.pickle")


def test_a_record_of_many_megabytes_is_refused_before_it_is_parsed(tmp_path):
    for name, message in (("big.jsonl", "big.jsonl:1: .* bytes exceed"), ("big.json", "bytes are too many")):
        (tmp_path / name).write_text('"' + "x" * 3_000_000 + '"')
        with pytest.raises(SubmissionError, match=message):
            read_records(tmp_path / name)


def test_merging_sorts_and_writing_gives_back_what_was_read(tmp_path):
    # 1 where a float is expected: what is written must still carry the digest of what was read.
    records = [finished("b", "oracle-v0", 0, 1), finished("a", "oracle-v0", 1, 0.5), finished("a", "oracle-v0", 0, 0.5)]
    merged = merge(parsed(record) for record in records)
    assert [(run.submission, run.seed) for run in merged] == [("a", 0), ("a", 1), ("b", 0)]
    write_records(tmp_path / "results.jsonl", merged[::-1])
    lines = (tmp_path / "results.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == records[::-1]
    assert [run.cell for run in read_records(tmp_path / "results.jsonl")] == [run.cell for run in merged]


def test_a_run_that_is_there_twice_is_refused(tmp_path):
    write_record(tmp_path / "a" / "seed-0.json", GOOD)
    write_record(tmp_path / "b" / "seed-0.json", GOOD)
    with pytest.raises(SubmissionError, match=r"b/seed-0\.json: submission='mine' .* seed=0 .*/a/seed-0\.json; a run"):
        merge(read_records(tmp_path))


def test_the_same_seed_with_another_budget_is_another_run():
    other = changed(budget_episodes=200)
    assert len(merge([parsed(GOOD), parsed(other)])) == 2


def test_runs_of_one_submission_on_a_task_share_their_parameters():
    other = changed(seed=1, config={"learning_rate": 0.002, "layers": 2})
    with pytest.raises(SubmissionError, match=r"config\.learning_rate=0\.002, but 0\.001 in results\.jsonl:7"):
        merge([parsed(GOOD), parsed(other)])


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (changed(suite="huge"), "suite='huge' must be 'tiny'"),
        (changed(budget_episodes=200), "budget_episodes=200 must be 100 in suite 'tiny'"),
    ],
)
def test_records_that_do_not_follow_the_suite_are_refused(record, message):
    check_suite([parsed(GOOD)], SUITE)
    with pytest.raises(SubmissionError, match=message):
        check_suite([parsed(record)], SUITE)


MANIFEST = """\
name = "mine"
entry_point = "mine:Learner"
description = "one line"
authors = ["somebody"]
licence = "MIT"
"""


def manifest(folder: Path, text: str) -> Path:
    path = folder / "mine" / "submission.toml"
    path.parent.mkdir()
    path.write_text(text)
    return path


def test_a_complete_manifest_passes(tmp_path):
    assert check_manifest(manifest(tmp_path, MANIFEST)).authors == ("somebody",)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('licence = "MIT"', "", "licence='' must not be empty"),
        ('authors = ["somebody"]', "authors = []", r"authors=\(\) must not be empty"),
        ('name = "mine"', 'name = "yours"', "name='yours' must be the name of its folder, 'mine'"),
        ("licence", "license", "key 'license' is unknown; did you mean 'licence'"),
        ("mine:Learner", "mine.Learner", "must have the form 'module:Class'"),
        ('"MIT"', '"MIT"\ninformation = ["own-observation"]', "did you mean 'own-observations'"),
    ],
)
def test_a_poor_manifest_is_refused(tmp_path, before, after, message):
    path = manifest(tmp_path, MANIFEST.replace(before, after))
    with pytest.raises(SubmissionError, match=rf"submission\.toml: .*{message}"):
        check_manifest(path)
