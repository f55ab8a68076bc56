"""Small sites for tests: two suites of three cheap tasks, and as many submissions as wanted."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from fabricate import SUITE, between, failed, field, finished

from benchmark.harness.record import Record, seal
from benchmark.measures.references import reference
from leaderboard.record import RunRecord
from leaderboard.site.build import Builder
from leaderboard.submission import parse_record

TASKS = ("oracle-v0", "escape-room-v0", "organization-pair-v0")
TINY = replace(SUITE, tasks=TASKS)
OTHER = replace(TINY, name="other")  # nobody is complete here
REFERENCES: dict[str, Any] = {task_id: reference(task_id) for task_id in TASKS[:2]}

HOSTILE = """<script>document.title='owned'</script><img src=x onerror="document.title='owned'">"""
KINDS = {"b-labels": "state-labels", "c-central": "centralised-training", "planner": "task-rules"}


def manifest(folder: Path, name: str, **changes: Any) -> None:
    """Write a manifest; JSON strings and lists are TOML too."""
    values: dict[str, Any] = {"name": name, "entry_point": "a:B", "description": "It learns", "licence": "MIT"}
    values |= {"authors": ["Ada"], "information": [KINDS.get(name, "own-observations")]} | changes
    (folder / name).mkdir(parents=True, exist_ok=True)
    text = "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())
    (folder / name / "submission.toml").write_text(text)


def records_of(strength: dict[str, float]) -> list[Record]:
    return field(strength, TINY, REFERENCES)


def parsed(records: list[Record]) -> list[RunRecord]:
    return [parse_record(json.dumps(record)) for record in records]


def builder(records: list[Record], folder: Path) -> Builder:
    suites = {suite.name: suite for suite in (TINY, OTHER)}
    return Builder(parsed(records), [folder], suites, TASKS, resamples=200)


def _knowing(record: Record) -> Record:
    """Give the runs of one submission beliefs about Oracle."""
    if (record["submission"], record["task_id"]) != ("b-labels", "oracle-v0"):
        return record
    content = {key: value for key, value in record.items() if key != "digest"}
    return seal(content | {"beliefs": between(0.6 + 0.1 * record["seed"])})


def everything(folder: Path) -> Builder:
    """A board with every case: classes, ties, failures, gaps, perturbed tasks, and a stranger who means harm."""
    strength = {"planner": 1.0, "a-own": 0.2, "b-labels": 0.7, "c-central": 0.5, "d-own": 0.4, "e-own": 0.4}
    records = [_knowing(record) for record in records_of(strength)]
    records += [finished("half", "oracle-v0", seed, 0.3, suite=TINY) for seed in range(2)]
    records += [failed("broken", task_id, seed, TINY) for task_id in REFERENCES for seed in range(3)]
    records += [
        finished("a-own", task_id, 0, 3.0, suite=TINY) for task_id in ("organization-pair-v0", "oracle-v0:slip=0.1")
    ]
    records += [finished("d-own", "oracle-v0", 0, 0.9, suite=OTHER)]
    for name in strength:
        manifest(folder, name)
    manifest(
        folder, "evil", description=HOSTILE, authors=[HOSTILE], paper="javascript:alert(1)",
        code="https://example.org/<b>", 
    )  # fmt: skip
    return builder(records, folder)
