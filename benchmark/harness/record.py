"""The run record: one JSON object per run, with a digest of its content, written whole or not at all."""

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

SCHEMA_VERSION = 1

Record = dict[str, Any]


class RecordError(ValueError):
    """A record file is not what it should be."""


def digest(record: Record) -> str:
    """Return the SHA-256 of a record's content (all keys but ``digest``) in canonical JSON.

    Raises:
        ValueError: if the record holds NaN or infinity.
    """
    content = {key: value for key, value in record.items() if key != "digest"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def seal(record: Record) -> Record:
    """Return the record with its digest, as it will be read back."""
    plain = json.loads(json.dumps(record, allow_nan=False))
    return plain | {"digest": digest(plain)}


def atomic_write(path: Path, content: bytes) -> None:
    """Write a file so that readers, and whoever comes after a crash, see all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # temporary files are made for their owner's eyes only
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_record(path: Path, record: Record) -> Record:
    """Seal and write one record; returns it with its digest."""
    sealed = seal(record)
    atomic_write(path, json.dumps(sealed, allow_nan=False, separators=(",", ":")).encode() + b"\n")
    return sealed


def read_record(path: Path) -> Record:
    """Read one record and check its schema version and digest.

    Raises:
        RecordError: naming the file and what is wrong with it.
    """
    try:
        record = json.loads(path.read_bytes())
    except (ValueError, OSError) as error:
        raise RecordError(f"{path}: not a readable JSON file ({error})") from None
    if not isinstance(record, dict):
        raise RecordError(f"{path}: a record is a JSON object, not {type(record).__name__}")
    if record.get("schema_version") != SCHEMA_VERSION:
        raise RecordError(
            f"{path}: schema_version={record.get('schema_version')!r} is not supported; allowed: {SCHEMA_VERSION}"
        )
    if record.get("digest") != digest(record):
        raise RecordError(f"{path}: digest={record.get('digest')!r} does not match the content: the file was changed")
    return record


def summary(values: list[float]) -> dict[str, float | int]:
    """Return mean, standard deviation (n - 1), count and extremes of some returns."""
    count = len(values)
    mean = sum(values) / count
    spread = (sum((value - mean) ** 2 for value in values) / (count - 1)) ** 0.5 if count > 1 else 0.0
    return {
        "mean": _short(mean),
        "deviation": _short(spread),
        "count": count,
        "min": _short(min(values)),
        "max": _short(max(values)),
    }


def _short(value: float) -> float:
    return float(f"{value:.7g}")


def shorten(values: list[float]) -> list[float]:
    """Round to seven digits, so that a record stays a few kilobytes."""
    return [_short(value) for value in values]
