"""The page about speed: targets, rooflines, rates, the bill of the suites and what dispatch costs, from measurements.

``benchmarks/measure.py`` measures and calls ``write_page``; the numbers lie beside the page as JSON, committed, so that
the page can be written again from them and from the published records. No number on it is typed in but the targets.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark.harness.record import atomic_write
from benchmark.harness.schedule import simulate, with_deaths
from benchmark.harness.submission import Submission
from benchmark.harness.suites import get_suite
from leaderboard import render, roofline
from leaderboard.bill import Accelerator, Cell, Round, bill, bill_tables
from leaderboard.record import RunRecord
from leaderboard.road import road
from leaderboard.roofline import Measured, fact
from leaderboard.tables import Table, table_of
from leaderboard.targets import number, targets, targets_table

_INTRODUCTION = """\
# Speed

Written by `python benchmarks/measure.py` (`make bench`) from `{json}` and the published records; no number is typed in
but the targets and what is called a model.

{machine}
"""

# What is shown of each benchmark that has no table of its own.
_TABLES = {
    "steps": "Environment steps",
    "steps_on_two_cores": "Environment steps, a batch for each core",
    "random_policy": "Episodes with the random policy, recorded",
    "recurrent_policy": "Episodes with a recurrent policy, recorded",
    "training": "Learners",
    "posterior": "Exact filters",
    "dataset": "Offline datasets",
    "by_steps": "Distribution of configurations, step by step",
    "by_halves": "Distribution of configurations, by halves",
    "full_board": "Scoring of a full board",
    "import": "Import of a fresh process",
    "dispatch": "Dispatch through Ray, on this machine",
}
_ROOFLINE_FACTS = ("kernels", "bytes_per_step", "operations_per_step", "least_bytes", "picks_per_step")

CELLS, GPUS = 10_000, 100
CROWDED = 0.1  # share of the cores that others may keep busy before rates are said to be too low
DEATHS_PER_HOUR = 0.01  # of one GPU's node: one in a hundred an hour, far above what clusters report


def read(path: Path) -> tuple[dict[str, Any], list[Measured]]:
    """Read measurements: facts about the machine, and the results.

    Raises:
        ValueError: if the file is not what ``benchmarks/measure.py`` writes.
    """
    try:
        content = json.loads(path.read_text())
        return content["machine"], [Measured(**one) for one in content["benchmarks"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: no measurements ({error}); run python benchmarks/measure.py") from None


def results_table(measured: Sequence[Measured], test: str) -> Table | None:
    """Return a benchmark's results as they were measured, or None without any."""
    found = roofline.chosen(measured, test)
    if not found:
        return None
    facts = list(dict.fromkeys(name for one in found for name in one.facts if name not in _ROOFLINE_FACTS))
    rows = [
        (
            {**one.parameters, "seconds": one.seconds, **one.facts},
            {name: str(value) for name, value in one.parameters.items()}
            | {"seconds": number(one.seconds)}
            | {name.replace("_", " "): number(one.facts.get(name, math.nan)) for name in facts},
        )
        for one in found
    ]
    return table_of(_TABLES[test], rows, [], ("task_id", "name", "device", "dataset_id", "how", "module"))


def rounds(measured: Sequence[Measured]) -> dict[str, Round]:
    """Return what one round of each learner's training with ten runs was counted to take."""
    found = {}
    for one in roofline.chosen(measured, "training", runs=10, device="cpu"):
        parts = (one.facts[name] for name in ("episodes_per_round", "kernels_per_round", "bytes_per_round"))
        found[str(one.parameters["name"])] = Round(str(one.parameters["task_id"]), *parts)
    return found


def scale_out(measured: Sequence[Measured], found: Sequence[Cell]) -> Table | None:
    """Simulate many cells on many GPUs, with the dispatch as measured; None if it was not.

    Args:
        measured: for the dispatch.
        found: the cells of a bill; those that the GPU's model covers are repeated to ``CELLS``, the longest first.
    """
    driver, startup = (fact(measured, name, "dispatch") for name in ("driver_seconds", "startup_seconds"))
    modelled = [cell.accelerated for cell in found if cell.accelerated is not None]
    if driver is None or startup is None or not modelled:
        return None
    seconds = sorted((modelled * math.ceil(CELLS / len(modelled)))[:CELLS], reverse=True)
    whole = [time + startup for time in seconds]
    rows = []
    for packed in (1, 4, 16):
        for deaths in (0.0, DEATHS_PER_HOUR):
            outcome = simulate(with_deaths(whole, deaths), GPUS * packed, driver)
            numbers = {"packed": packed, "deaths_per_hour": deaths, **outcome._asdict()}
            text = {
                "trainings on a GPU": str(packed),
                "deaths of a worker per hour": f"{deaths:g}",
                "makespan, hours": f"{outcome.makespan / 3600:.2f}",
                "lower bound, hours": f"{outcome.bound / 3600:.2f}",
                "makespan / bound": f"{outcome.makespan / outcome.bound:.3f}",
                "work lost, hours": f"{outcome.lost / 3600:.2f}",
                "given up": str(outcome.given_up),
            }
            rows.append((numbers, text))
    notes = [
        f"Simulated, not run: {CELLS:,} cells (ten stacked runs each) with the training times that the GPU's model "
        f"gives the full suite, repeated; the longest first. Measured here: {driver * 1000:.1f} ms of the driver for "
        f"each cell, {startup:.1f} s for a worker to start. Packed trainings are taken not to hinder one another.",
        "A worker that dies loses its training; it is tried again at the end of the line, at most three times.",
    ]
    return table_of(f"{CELLS:,} cells on {GPUS} GPUs", rows, notes, ())


def page(
    machine: Mapping[str, Any],
    measured: Sequence[Measured],
    records: Sequence[RunRecord],
    submissions: Sequence[Submission],
    source: str,
) -> str:
    """Return the page.

    Args:
        machine: where the measurements come from.
        measured: the results.
        records: the published ones, for the bill.
        submissions: who is on the bill.
        source: the file of the measurements, as the page names it.
    """
    model = Accelerator()
    tables: list[Table | None] = [targets_table(targets(measured)), roofline.table(measured, model)]
    tables.append(roofline.table(measured, model, "cuda"))
    full: list[Cell] = []
    counted = rounds(measured)
    for name in ("laptop", "standard", "full"):
        full = bill(get_suite(name), submissions, records, counted, model)
        billed = {cell.submission for cell in full}
        absent = [submission.name for submission in submissions if submission.name not in billed]
        tables += bill_tables(get_suite(name), full, model, absent)
    tables += [road(get_suite("full"), submissions, records, counted, model), scale_out(measured, full)]
    tables += [results_table(measured, test) for test in _TABLES]
    shown = [table for table in tables if table is not None]
    return _INTRODUCTION.format(json=source, machine=_describe(machine)) + "\n" + render.markdown(shown, below=True)


def _describe(machine: Mapping[str, Any]) -> str:
    if "created" not in machine:
        return "**Nothing was measured yet**; the bills rest on the published records alone."
    crowded = machine.get("others")
    busy = (
        f" **Crowded:** other processes kept {crowded:.1f} cores busy meanwhile, so that these rates are too low."
        if isinstance(crowded, int | float) and crowded > CROWDED * machine.get("cores", 1)
        else ""
    )
    return (
        f"Measured on {machine.get('created')} on {machine.get('processor')}, {machine.get('cores')} cores"
        f"{', ' + str(machine['accelerator']) if machine.get('accelerator') else ''}; torch {machine.get('torch')}, "
        f"commit {machine.get('commit')}; {machine.get('minutes')} minutes in all.{busy}"
    )


def write_page(source: Path, out: Path, records: Sequence[RunRecord], submissions: Sequence[Submission]) -> None:
    """Write the page from a file of measurements.

    Raises:
        ValueError: if the file is none.
    """
    machine, measured = read(source)
    atomic_write(out, page(machine, measured, records, submissions, source.name).encode())
