"""Read records of any kind as data from strangers: JSON, never pickle, and bounded in size.

Every message names the file, the line, the key, the value and the rule.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from benchmark.harness.record import digest
from benchmark.harness.runtime import PREFIX
from benchmark.tasks.registry import did_you_mean
from leaderboard import record as schema

MOST_BYTES_PER_RECORD = 2_000_000
MOST_BYTES_PER_FILE = 32_000_000  # several times all suites together
MOST_MESSAGES = 20

Parsed = TypeVar("Parsed")
_MODELS = [kind for kind in vars(schema).values() if isinstance(kind, type) and issubclass(kind, BaseModel)]
_KEYS = sorted({key for model in _MODELS for key in model.model_fields})


class SubmissionError(ValueError):
    """A submission breaks rules; the message lists them, one to a line."""


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


def parse(text: str | bytes, source: str, adapter: TypeAdapter[Parsed]) -> Parsed:
    """Check one record of any kind against its model, and its digest; see ``parse_record``."""
    try:
        raw = strict_json(text)
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


def record_files(path: Path) -> list[Path]:
    """Return the files of records in a folder; a file stands for itself.

    Raises:
        SubmissionError: if there is no such folder.
    """
    if not path.suffix and not path.exists():
        raise SubmissionError(f"{path}: there is no such folder of records")
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


def strict_json(text: str | bytes) -> Any:
    """Parse JSON from a stranger: no NaN or infinity, and no key twice in one object.

    Raises:
        ValueError: if it is not such JSON.
        RecursionError: if it is nested too deeply.
    """
    return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_refuse_duplicates)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number that JSON knows")


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"key {key!r} occurs twice")
        found[key] = value
    return found


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
