"""Rooflines of the environments: the steps per second that this machine allows, and the share of them that is reached.

Two limits stand for each task. *As written*: the bytes and operations that its kernels were counted to touch, at the
speed of a core's own cache and of its simplest integer kernel. *At the least*: only what every program must move (keys,
state and actions in; state, rewards, ends and observations out), from and to memory.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from leaderboard import cells
from leaderboard.bill import Accelerator
from leaderboard.tables import Row, Table, table_of


@dataclass(frozen=True)
class Measured:
    """One benchmark's result.

    Attributes:
        test: its name without ``test_``.
        parameters: what it was run with.
        seconds: the median of its rounds.
        facts: rates and ratios.
    """

    test: str
    parameters: Mapping[str, Any]
    seconds: float
    facts: Mapping[str, float]


def chosen(measured: Iterable[Measured], test: str, /, **parameters: Any) -> list[Measured]:
    """Return the results of a benchmark with these parameters."""
    return [
        one
        for one in measured
        if one.test == test and all(one.parameters.get(name) == value for name, value in parameters.items())
    ]


def fact(measured: Iterable[Measured], what: str, test: str, /, **parameters: Any) -> float | None:
    """Return a fact of the one benchmark with these parameters; None if it was not measured."""
    found = chosen(measured, test, **parameters)
    return found[0].facts.get(what) if found else None


@dataclass(frozen=True)
class Roofs:
    """What a machine can do at most, all cores together: per second, and the seconds of the smallest kernel."""

    memory: float  # bytes
    cache: float  # bytes
    operations: float
    kernel: float

    def as_written(self, step: Mapping[str, float]) -> float:
        """Return the steps per second that the kernels, as they are, could make."""
        return min(self.cache / step["bytes_per_step"], self.operations / step["operations_per_step"])

    def at_least(self, step: Mapping[str, float]) -> float:
        """Return the steps per second that no program could exceed."""
        return self.memory / step["least_bytes"]


def roofs(measured: Sequence[Measured], device: str = "cpu") -> Roofs | None:
    """Return the roofs measured in the same run, or None if they were not."""
    found = (
        fact(measured, "bytes_per_second", "triad", where="memory", device=device),
        fact(measured, "bytes_per_second", "triad", where="cache", device=device),
        fact(measured, "operations_per_second", "integer_operations", device=device),
        fact(measured, "seconds_per_kernel", "smallest_kernel", device=device),
    )
    memory, cache, operations, kernel = found
    if memory is None or cache is None or operations is None or kernel is None:
        return None
    return Roofs(memory, cache, operations, kernel)


def best(measured: Sequence[Measured], task_id: str, device: str = "cpu") -> Measured | None:
    """Return the measurement with the most steps per second of a task: the best batch, on all cores."""
    found = chosen(measured, "steps", task_id=task_id, device=device)
    if device == "cpu":
        found += chosen(measured, "steps_on_two_cores", task_id=task_id)
    return max(found, key=lambda one: one.facts["steps_per_second"], default=None)


def table(measured: Sequence[Measured], accelerator: Accelerator, device: str = "cpu") -> Table | None:
    """Return the rooflines, or None if they were not measured."""
    ceiling = roofs(measured, device)
    counted = [one for one in chosen(measured, "steps", device=device) if "bytes_per_step" in one.facts]
    if ceiling is None or not counted:
        return None
    tops = [(one, best(measured, one.parameters["task_id"], device)) for one in counted]
    rows = [_row(ceiling, one, top, accelerator) for one, top in tops if top is not None]
    product = fact(measured, "operations_per_second", "matrix_product", device=device) or 0.0
    notes = [
        f"This machine, measured in the same run: {ceiling.memory / 1e9:.1f} GB/s from and to memory (a = b + s * c), "
        f"{ceiling.cache / 1e9:.0f} GB/s in the cores' own caches, {ceiling.operations / 1e9:.1f} billion int64 "
        f"products a second there, {product / 1e9:.0f} GFLOP/s in a float32 matrix product, {ceiling.kernel * 1e6:.1f} "
        "us for the smallest kernel.",
        "bytes and operations: of one step of one environment, counted kernel by kernel; least: what no program "
        "avoids. as written, at the least: the limits, million steps/s; reached: the best batch, and its share of "
        "either limit.",
        "What stands between: launches, the share of the time that so many smallest kernels would take; moved, how "
        "often over the least bytes pass between cache and core because every operator writes its result out (one "
        "fused kernel would not); picks, the share of the operations as written that look up tables element by "
        "element, which no vector unit does at full width.",
        f"{accelerator.name}, by model and NOT MEASURED: {accelerator.bandwidth / 1e12:g} TB/s over the bytes as "
        "written; launches vanish in batches that are large enough.",
    ]
    return table_of("Rooflines of the environments", rows, notes, ("task", "what stands between"))


def _row(ceiling: Roofs, one: Measured, top: Measured, accelerator: Accelerator) -> Row:
    step, rate = one.facts, top.facts["steps_per_second"]
    written, least = ceiling.as_written(step), ceiling.at_least(step)
    launches, picks = _launches(ceiling, step, top), step["picks_per_step"] / step["operations_per_step"]
    moved = step["bytes_per_step"] / step["least_bytes"]
    model = accelerator.bandwidth / step["bytes_per_step"]
    numbers = {"task_id": one.parameters["task_id"], "rate": rate, "as_written": written, "at_least": least}
    return numbers | {"launches": launches, "moved": moved, "picks": picks}, {
        "task": str(one.parameters["task_id"]),
        "bytes": cells.count(step["bytes_per_step"]),
        "least": cells.count(step["least_bytes"]),
        "operations": cells.count(step["operations_per_step"]),
        "as written": million(written),
        "at the least": million(least),
        "reached": f"{million(rate)} ({rate / written:.0%}, {rate / least:.0%})",
        "what stands between": f"launches {launches:.0%}, moved {moved:.1f}x, picks {picks:.0%}",
        f"{accelerator.name} model": million(model),
    }


def _launches(ceiling: Roofs, step: Mapping[str, float], top: Measured) -> float:
    """Return the share of a step's time that its kernels take whatever the batch."""
    taken = top.parameters["batch"] / top.facts["steps_per_second"]
    cores = 2 if top.test == "steps_on_two_cores" else 1
    return step["kernels"] * ceiling.kernel / (cores * taken)


def million(rate: float) -> str:
    """Write a rate in millions: ``0.48``, ``12.3``."""
    return f"{rate / 1e6:,.{2 if rate < 1e7 else 1 if rate < 1e9 else 0}f}"
