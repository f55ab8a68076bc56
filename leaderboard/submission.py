"""Read what people submit: manifests and run records, checked strictly, with errors that say what to change.

A submission is a folder with ``submission.toml`` and ``results.jsonl``, one record to a line, as ``penumbra run``
writes them. Files are data: JSON and TOML, never pickle, and bounded in size. Every message names the file, the line,
the key, the value and the rule.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from benchmark.harness.record import atomic_write
from benchmark.harness.submission import Submission, read_manifest
from benchmark.harness.suites import Suite
from benchmark.harness.variant import split_variant
from leaderboard.reading import SubmissionError, holds_results, parse, read_files, refuse, shorten, where
from leaderboard.record import FinishedRun, RunRecord

# What stands beside submissions in tables, figures and folders of pages.
RESERVED = ("prior", "posterior", "reference", "trivial", "optimum", "index")
MOST_CHARACTERS = 300

_RECORD: TypeAdapter[RunRecord] = TypeAdapter(RunRecord)


def check_manifest(path: Path) -> Submission:
    """Read a manifest that is to be published: who, what, under which licence.

    Raises:
        SubmissionError: naming the file, the key, the value and the rule.
    """
    try:
        manifest = read_manifest(path)
    except ValueError as error:
        raise SubmissionError(str(error)) from None
    problems = [
        f"{path}: {key}={value!r} must not be empty in a published submission"
        for key in ("description", "authors", "licence", "information")
        if not (value := getattr(manifest, key))
    ]
    texts = [(key, getattr(manifest, key)) for key in ("description", "paper", "code", "licence")]
    texts += [("authors", author) for author in manifest.authors]
    problems += [
        f"{path}: {key}={shorten(value)} must be one line of at most {MOST_CHARACTERS} printable characters"
        for key, value in texts
        if len(value) > MOST_CHARACTERS or not value.isprintable()
    ]
    if manifest.code and not manifest.code.startswith(("https://", "http://")):
        problems.append(f"{path}: code={shorten(manifest.code)} must be a link, https://...")
    if manifest.name in RESERVED:
        problems.append(
            f"{path}: name={manifest.name!r} has a meaning on the board; not allowed: {', '.join(RESERVED)}"
        )
    if manifest.name != manifest.name.lower():
        problems.append(f"{path}: name={manifest.name!r} must be lower case in a published submission")
    folder = path.resolve().parent.name
    if manifest.name != folder:
        problems.append(f"{path}: name={manifest.name!r} must be the name of its folder, {folder!r}")
    refuse(problems)
    return manifest


def read_records(path: Path, *, variants: bool = False) -> list[RunRecord]:
    """Read the records of a ``.jsonl`` file (one to a line), a ``.json`` file, or a folder of such files.

    Args:
        path: of the file or folder.
        variants: return those of variants too; else they are checked and left out, as they compete with nobody.

    Raises:
        SubmissionError: listing every record that is not what it should be.
    """
    records = read_files(path, parse_record, holds_results)
    if not records:
        refuse([f"{path}: holds no records; expected lines of .jsonl files, or .json files"])
    return records if variants else [record for record in records if not split_variant(record.submission)[1]]


def parse_record(text: str | bytes, source: str = "record") -> RunRecord:
    """Check one record: its syntax, its keys and values, and its digest.

    Raises:
        SubmissionError: each line naming the source, the key, the value and the rule.
    """
    return parse(text, source, _RECORD)


def merge(records: Iterable[RunRecord]) -> list[RunRecord]:
    """Put records together, sorted by submission, task and seed. Nothing is overwritten, nothing counted twice.

    Raises:
        SubmissionError: if a run (submission, task, seed, budget) is there twice, or the runs of one submission on
            one task were trained with different parameters.
    """
    problems: list[str] = []
    cells: dict[tuple[str, str, int, int], RunRecord] = {}
    settings: dict[tuple[str, str], RunRecord] = {}
    for record in records:
        other = cells.setdefault(record.cell, record)
        if other is not record:
            problems.append(
                f"{where(record)}: submission={record.submission!r} task_id={record.task_id!r} seed={record.seed} "
                f"budget_episodes={record.budget_episodes} is already in {where(other)}; a run counts once"
            )
        first = settings.setdefault((record.submission, record.task_id), record)
        for key in sorted(first.config.keys() | record.config.keys()):
            mine, theirs = record.config.get(key), first.config.get(key)
            if mine != theirs:
                problems.append(
                    f"{where(record)}: config.{key}={mine!r}, but {theirs!r} in {where(first)}; all runs of a "
                    "submission on a task have the same parameters"
                )
    refuse(problems)
    return [cells[cell] for cell in sorted(cells)]


def check_suite(records: Iterable[RunRecord], suite: Suite) -> None:
    """Check that records follow the suite they name.

    Raises:
        SubmissionError: if a suite, budget or number of evaluation episodes is another.
    """
    problems: list[str] = []
    for record in records:
        rules: list[tuple[str, Any, Any]] = [
            ("suite", record.suite, suite.name),
            ("budget_episodes", record.budget_episodes, suite.budget(record.task_id)),
        ]
        if isinstance(record, FinishedRun):
            rules.append(("number of final_returns", len(record.final_returns), suite.evaluation_episodes))
        problems += [
            f"{where(record)}: {key}={value!r} must be {expected!r} in suite {suite.name!r}"
            for key, value, expected in rules
            if value != expected
        ]
    refuse(problems)


def write_records(path: Path, records: Iterable[RunRecord]) -> None:
    """Write records, as they were read, to a ``.jsonl`` file: sorted, one to a line, whole or not at all."""
    ordered = sorted(records, key=lambda record: record.cell)
    lines = [json.dumps(record._raw, allow_nan=False, separators=(",", ":")) + "\n" for record in ordered]
    atomic_write(path, "".join(lines).encode())
