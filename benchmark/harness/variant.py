"""Variants: a submission with some parameters changed, under a name that says which.

A suffix perturbs a submission as it does a task: ``belief-i2q:samples=5`` is ``belief-i2q`` with that parameter
changed. It has a name, a folder and records of its own, so that nobody takes it for the submission itself.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

# A change as it stands in a variant's name. Strings stand there bare: what reads as JSON is no string.
_CHANGE = r"[A-Za-z_][A-Za-z0-9_]*=[A-Za-z0-9_.+-]*"
VARIANT = rf"(?::{_CHANGE}(?:,{_CHANGE})*)?"  # what may follow the name of a submission


def parse_change(text: str) -> tuple[str, Any]:
    """Read ``name=value``: a value is JSON where it can be read as such, else a string.

    Raises:
        ValueError: if it has no ``=``.
    """
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"{text!r} must have the form NAME=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def split_variant(name: str) -> tuple[str, dict[str, Any]]:
    """Return the submission that a variant is of, and the parameters it changes; those of the plain one are empty.

    Example:
        >>> split_variant("belief-i2q:samples=5,variance=false")
        ('belief-i2q', {'samples': 5, 'variance': False})
    """
    base, colon, changes = name.rpartition(":")
    if not colon or not re.fullmatch(VARIANT, colon + changes):
        return name, {}
    return base, dict(parse_change(part) for part in changes.split(","))


def variant_name(base: str, changes: Mapping[str, Any]) -> str:
    """Return the name of a variant: changes in alphabetical order, so that it has but one.

    Raises:
        ValueError: if a value cannot be told from its name again.
    """
    parts = [
        f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in sorted(changes.items())
    ]
    for part, (key, value) in zip(parts, sorted(changes.items()), strict=True):
        if not re.fullmatch(_CHANGE, part) or not same(parse_change(part)[1], value):
            raise ValueError(f"{base}: {key}={value!r} must be a number, a boolean or a plain word")
    return base + ":" * bool(parts) + ",".join(parts)


def same(first: Any, second: Any) -> bool:
    """Whether two parameters are equal; true is not 1."""
    return first == second and isinstance(first, bool) == isinstance(second, bool)
