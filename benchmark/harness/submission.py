"""Find a submission and read its manifest: a folder with a ``submission.toml``, or an installed entry point.

The manifest names the learner (``entry_point = "module:Class"``) and the values of its parameters. The harness knows
submissions by this door only; the reference baselines come in through it like everybody's.
"""

import fnmatch
import importlib
import inspect
import math
import re
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmark.harness.protocol import Learner
from benchmark.harness.variant import same, split_variant, variant_name
from benchmark.tasks.registry import did_you_mean

ENTRY_POINT_GROUP = "penumbra.submissions"
MANIFEST = "submission.toml"
MOST_BYTES = 65_536
MOST_DOTS = 100  # in a line: a key of ten thousand parts takes the parser minutes
MOST_INTEGER = 2**63  # larger ones cannot be written in decimal digits, or counted with
# What a learner may use beyond each agent's own observations, actions and rewards; it decides the ranking class.
INFORMATION = ("own-observations", "state-labels", "others-actions", "centralised-training", "task-rules")


class ManifestError(ValueError):
    """A ``submission.toml`` is not what it should be."""


@dataclass(frozen=True)
class Submission:
    """A learner and everything its manifest says.

    Attributes:
        name: unique, lower case; also its folder's name.
        entry_point: ``"module:Class"``; the module may lie in the submission's folder.
        description: one line.
        authors: for the table.
        paper: link or citation.
        code: link.
        licence: of the submitted code.
        information: what it uses, from ``INFORMATION``.
        stacked: whether one training may carry many runs.
        tasks: patterns of the task ids it applies to.
        parameters: keyword arguments of the class; JSON scalars.
        folder: where the manifest lies.
    """

    name: str
    entry_point: str
    description: str = ""
    authors: tuple[str, ...] = ()
    paper: str = ""
    code: str = ""
    licence: str = ""
    information: tuple[str, ...] = ("own-observations",)
    stacked: bool = False
    tasks: tuple[str, ...] = ("*",)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    folder: Path | None = None

    def applies_to(self, task_id: str) -> bool:
        """Whether the submission's task patterns include a task."""
        return any(fnmatch.fnmatchcase(task_id, pattern) for pattern in self.tasks)

    def with_parameters(self, changes: Mapping[str, Any]) -> "Submission":
        """Return the submission with some parameters changed, under its old name: see ``variant``."""
        return replace(self, parameters={**self.parameters, **changes})

    def variant(self, changes: Mapping[str, Any]) -> "Submission":
        """Return the variant with some parameters changed; itself if all of them are what the manifest says.

        Raises:
            ValueError: if a change cannot be written into a name.
        """
        base, before = split_variant(self.name)
        new = {key: value for key, value in changes.items() if not same(value, self.parameters.get(key))}
        return replace(self.with_parameters(new), name=variant_name(base, before | new))

    def value_of(self, parameter: str) -> Any:
        """Return what a parameter is set to: by the manifest, or else by the learner's default.

        Raises:
            ManifestError: if the learner has no such parameter, or no default for it.
        """
        if parameter in self.parameters:
            return self.parameters[parameter]
        known = {name: entry.default for name, entry in inspect.signature(self._factory()).parameters.items()}
        if known.get(parameter, inspect.Parameter.empty) is inspect.Parameter.empty:
            raise ManifestError(
                f"{self.name}: parameter={parameter!r} is unknown{did_you_mean(parameter, known)}; "
                f"allowed: {', '.join(known) or 'none'}"
            )
        return known[parameter]

    def build(self) -> Learner:
        """Import the entry point and construct the learner.

        Raises:
            ManifestError: if it cannot be imported, takes other parameters, or has no ``train``.
        """
        try:
            learner = self._factory()(**self.parameters)
        except TypeError as error:
            raise ManifestError(f"{self.name}: parameters do not fit {self.entry_point!r}: {error}") from error
        if not isinstance(learner, Learner):
            raise ManifestError(f"{self.name}: entry_point={self.entry_point!r} has no method train(setting)")
        return learner

    def _factory(self) -> Callable[..., Any]:
        module_name, _, attribute = self.entry_point.partition(":")
        try:
            return getattr(self._module(module_name), attribute)
        except (ImportError, AttributeError) as error:
            raise ManifestError(f"{self.name}: entry_point={self.entry_point!r} cannot be imported: {error}") from error

    def _module(self, name: str) -> ModuleType:
        local = None if self.folder is None else self.folder / f"{name}.py"
        if local is None or not local.exists():
            return importlib.import_module(name)
        if str(local.parent) not in sys.path:
            sys.path.insert(0, str(local.parent))
        module = importlib.import_module(name)
        if Path(module.__file__ or "").resolve() != local:
            raise ImportError(f"{local} is hidden by another module named {name!r} ({module.__file__}); rename it")
        return module


def find_submission(name: str, search: Sequence[Path] = ()) -> Submission:
    """Find a submission by path, by name in the search folders, or by installed entry point; or a variant of one.

    Raises:
        ManifestError: if there is none, its manifest is broken, or its changes are.
    """
    base, changes = split_variant(name)
    if changes:
        return find_submission(base, search).variant(changes)
    if (Path(name) / MANIFEST).is_file():
        return read_manifest(Path(name) / MANIFEST)
    known: dict[str, Path] = {
        path.parent.name: path for folder in search for path in sorted(folder.glob(f"*/{MANIFEST}"))
    }
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        known.setdefault(entry.name, Path(str(files(entry.module) / MANIFEST)))
    if name not in known:
        raise ManifestError(
            f"submission={name!r} is neither a folder with a {MANIFEST} nor a known name"
            f"{did_you_mean(name, known)}; known: {', '.join(sorted(known)) or 'none'}"
        )
    return read_manifest(known[name])


def read_manifest(path: Path) -> Submission:
    """Read a manifest.

    Raises:
        ManifestError: naming the file, the key, the value and what is allowed.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise ManifestError(f"{path}: more than {MOST_BYTES} bytes are too many for a manifest")
        text = content.decode()
        if max(line.count(".") for line in text.split("\n")) > MOST_DOTS:
            raise ManifestError(f"{path}: a line has more than {MOST_DOTS} dots: is nested too deeply")
        table = tomllib.loads(text)
        _check(path, table)
    except ManifestError:
        raise
    except (OSError, ValueError) as error:  # of ValueError: not UTF-8, not TOML, an integer of thousands of digits
        raise ManifestError(f"{path}: {error}") from None
    except RecursionError:
        raise ManifestError(f"{path}: is nested too deeply") from None
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
    return Submission(**values, folder=path.parent.resolve())


_TYPES = {"stacked": bool, "parameters": dict, "authors": list, "information": list, "tasks": list}


def _check(path: Path, table: dict[str, Any]) -> None:
    allowed = [entry.name for entry in fields(Submission) if entry.name != "folder"]
    for key in table:
        if key not in allowed:
            raise ManifestError(f"{path}: key {key!r} is unknown{did_you_mean(key, allowed)}; allowed: {allowed}")
    for key in ("name", "entry_point"):
        if key not in table:
            raise ManifestError(f"{path}: key {key!r} is missing")
    for key, value in table.items():
        expected = _TYPES.get(key, str)
        if not isinstance(value, expected):
            raise ManifestError(f"{path}: {key}={value!r} must be a {expected.__name__}")
        if isinstance(value, list) and not all(isinstance(item, str) for item in value):
            raise ManifestError(f"{path}: {key}={value!r} must hold strings only")
    name = table["name"]
    if not re.fullmatch(r"[A-Za-z0-9+_-][A-Za-z0-9+_.-]{0,63}", name):
        raise ManifestError(
            f"{path}: name={name!r} may hold letters, digits, '+', '-', '_' and '.' only, and 64 of them at most"
        )
    module, colon, attribute = table["entry_point"].partition(":")
    if not colon or not attribute.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
        raise ManifestError(f"{path}: entry_point={table['entry_point']!r} must have the form 'module:Class'")
    for item in table.get("information", ()):
        if item not in INFORMATION:
            raise ManifestError(
                f"{path}: information={item!r} is unknown{did_you_mean(item, INFORMATION)}; "
                f"allowed: {', '.join(INFORMATION)}"
            )
    for key, value in table.get("parameters", {}).items():
        if isinstance(value, int) and not -MOST_INTEGER <= value < MOST_INTEGER:
            raise ManifestError(f"{path}: parameters.{key} must lie between -2**63 and 2**63 - 1")
        if not isinstance(value, bool | int | float | str) or (isinstance(value, float) and not math.isfinite(value)):
            raise ManifestError(f"{path}: parameters.{key}={value!r} must be a number, a string or a boolean")
