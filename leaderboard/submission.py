"""Read what people submit: manifests and run records, checked strictly, with errors that say what to change.

A submission is a folder with ``submission.toml`` and ``results.jsonl``, one record to a line, as ``penumbra run``
writes them. Files are data: JSON and TOML, never pickle, and bounded in size. Every message names the file, the line,
the key, the value and the rule.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from benchmark.harness.record import atomic_write, digest
from benchmark.harness.runtime import PREFIX
from benchmark.harness.submission import Submission, read_manifest
from benchmark.harness.suites import Suite
from benchmark.harness.variant import split_variant
from benchmark.tasks.registry import did_you_mean
from leaderboard import record as schema
from leaderboard.record import FinishedRun, RunRecord

MOST_BYTES_PER_RECORD = 2_000_000
MOST_BYTES_PER_FILE = 32_000_000  # several times all suites together
MOST_MESSAGES = 20
MOST_CHARACTERS = 300

Parsed = TypeVar("Parsed")
_RECORD: TypeAdapter[RunRecord] = TypeAdapter(RunRecord)
_MODELS = [kind for kind in vars(schema).values() if isinstance(kind, type) and issubclass(kind, BaseModel)]
_KEYS = sorted({key for model in _MODELS for key in model.model_fields})


class SubmissionError(ValueError):
    """A submission breaks rules; the message lists them, one to a line."""


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


def read_files(path: Path, parser: Callable[[bytes, str], Parsed], chosen: Callable[[Path], bool]) -> list[Parsed]:
    """Read every record of a file, or of the chosen files in a folder.

    Args:
        path: a file, which is always read, or a folder.
        parser: makes a record of a text and the place it was found.
        chosen: which files of a folder.

    Raises:
        SubmissionError: listing every record that is not what it should be.
    """
    problems: list[str] = []
    records: list[Parsed] = []
    for file in record_files(path):
        if path.is_dir() and not chosen(file):
            continue
        for source, text in _texts(file):
            try:
                records.append(parser(text, source))
            except SubmissionError as error:
                problems += str(error).splitlines()
    refuse(problems)
    return records


def holds_results(file: Path) -> bool:
    """Whether a file is not named as runtime records are, which time submissions and hold no results."""
    return not file.name.startswith(PREFIX)


def parse_record(text: str | bytes, source: str = "record") -> RunRecord:
    """Check one record: its syntax, its keys and values, and its digest.

    Raises:
        SubmissionError: each line naming the source, the key, the value and the rule.
    """
    return parse(text, source, _RECORD)


def parse(text: str | bytes, source: str, adapter: TypeAdapter[Parsed]) -> Parsed:
    """Check one record of any kind against its model, and its digest; see ``parse_record``."""
    try:
        raw = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_refuse_duplicates)
    except RecursionError:
        raise SubmissionError(f"{source}: is nested too deeply") from None
    except ValueError as error:
        raise SubmissionError(f"{source}: is not JSON: {error}") from None
    if not isinstance(raw, dict):
        raise SubmissionError(f"{source}: must be a JSON object, not {type(raw).__name__}")
    try:
        record: Any = adapter.validate_python(raw)
    except ValidationError as error:
        refuse([f"{source}: {_explain(entry)}" for entry in error.errors()[:MOST_MESSAGES]])
        raise AssertionError from error
    expected = digest(raw)
    if record.digest != expected:
        raise SubmissionError(
            f"{source}: digest={record.digest[:12]!r}... must be {expected[:12]!r}...: the record was changed "
            "after it was written; run it again"
        )
    record._source, record._raw = source, raw
    return record


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


def record_files(path: Path) -> list[Path]:
    """Return the files of records in a folder; a file stands for itself."""
    if not path.is_dir():
        return [path]
    found = [file for kind in ("*.json", "*.jsonl") for file in path.rglob(kind)]
    return sorted(file for file in found if not file.name.startswith("."))


def _texts(file: Path) -> Iterator[tuple[str, bytes]]:
    """Yield each record's source and text."""
    if file.suffix not in (".json", ".jsonl"):
        raise SubmissionError(f"{file}: suffix={file.suffix!r} must be .json or .jsonl")
    lines = file.suffix == ".jsonl"
    try:
        size = file.stat().st_size
        if size > (MOST_BYTES_PER_FILE if lines else MOST_BYTES_PER_RECORD):
            raise SubmissionError(f"{file}: {size} bytes are too many for a {file.suffix} file")
        with file.open("rb") as stream:
            for number, line in enumerate(stream if lines else [stream.read()], start=1):
                source = f"{file}:{number}" if lines else str(file)
                if len(line) > MOST_BYTES_PER_RECORD:
                    raise SubmissionError(f"{source}: {len(line)} bytes exceed {MOST_BYTES_PER_RECORD} of a record")
                if line.strip():
                    yield source, line
    except OSError as error:
        raise SubmissionError(f"{file}: cannot be read: {error.strerror}") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number that JSON knows")


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    if len(set(keys)) < len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"key {twice!r} occurs twice")
    return dict(pairs)


def _explain(error: ErrorDetails) -> str:
    """Turn pydantic's error into ``key=value: rule``."""
    # The first part of a place is the status by which the model was chosen.
    place = [part for part in error["loc"][error["loc"][:1] in (("ok",), ("failed",)) :]]
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(".")
    rule = error["msg"].removeprefix("Value error, ").removeprefix("Input ")
    match error["type"]:
        case "missing":
            return f"key {key!r} is missing"
        case "extra_forbidden":
            return f"key {key!r} is unknown{did_you_mean(str(place[-1]), _KEYS)}"
        case "union_tag_invalid" | "union_tag_not_found":
            return f"status={error['input'].get('status')!r} must be 'ok' or 'failed'"
    if not key:
        return rule
    return f"{key}={shorten(error['input'])}: {rule}"


def where(record: Any) -> str:
    """Return the place that a record was read from."""
    return record._source or "record"


def shorten(value: object) -> str:
    """Write a value of whatever size in a few characters."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def plain(message: str) -> str:
    """Escape what a terminal, or whoever reads a log line by line, might obey."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in message)


def refuse(problems: list[str]) -> None:
    """Raise if there are problems.

    Raises:
        SubmissionError: naming them, one to a line; very many are counted.
    """
    lines = [plain(problem)[:1000] for problem in problems[:MOST_MESSAGES]]
    if len(problems) > MOST_MESSAGES:
        lines.append(f"... and {len(problems) - MOST_MESSAGES} more")
    if lines:
        raise SubmissionError("\n".join(lines))
