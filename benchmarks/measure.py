"""Measure this machine's speed and write the page about it: ``python benchmarks/measure.py``, or ``make bench``.

Leave the machine alone meanwhile, some minutes; whoever is at work beside is noted on the page. With ``--page`` nothing
is measured and the page is written again from the last measurements and the records there are now.
"""

import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from benchmark.harness.record import atomic_write
from benchmark.harness.submission import find_submission
from benchmark.measures.machine import git_commit, hardware
from benchmark.measures.watch import Watch
from leaderboard.commands.terminal import SUBMISSIONS
from leaderboard.performance import write_page
from leaderboard.submission import read_records

ROOT = Path(__file__).resolve().parents[1]
NUMBERS, PAGE = ROOT / "docs" / "performance.json", ROOT / "docs" / "performance.md"
# Whose cells are billed, and on what: the comparisons that the papers make.
_GRID_WORLDS = ("oracle-*", "gathering-*", "escape-room-*", "honeycomb-*")
_MANY_AGENTS = ("organization-*",)
BILLED = {
    **dict.fromkeys(("rec-hyst-iql", "rec-i2q", "belief-i2q"), _GRID_WORLDS),
    **dict.fromkeys(("ia2c++-cf", "ia2c++-mf", "maddpg++-cf", "maddpg++-mf"), _MANY_AGENTS),
}


def measure(arguments: list[str]) -> dict[str, Any]:
    """Run the benchmarks; returns the machine and each one's median, rounds, parameters and facts."""
    watch = Watch()
    with tempfile.TemporaryDirectory() as folder, watch:
        file = Path(folder) / "all.json"
        command = [sys.executable, "-m", "pytest", str(ROOT / "benchmarks"), "--benchmark-only", "--benchmark-quiet"]
        command += ["-p", "no:cacheprovider", "--timeout=600", f"--benchmark-json={file}", *arguments]
        failed = subprocess.run(command, cwd=ROOT, check=False).returncode
        if not file.exists():
            raise SystemExit("measure: no benchmark ran")
        results = json.loads(file.read_text())["benchmarks"]
    if failed:
        print("measure: some benchmarks failed; the page shows the others", file=sys.stderr)
    facts = hardware("cuda" if torch.cuda.is_available() else "cpu")
    machine = {name: facts.get(name) for name in ("processor", "cores", "accelerator")}
    machine |= {"torch": torch.__version__, "commit": (git_commit() or "unknown")[:7]}
    machine |= {"created": datetime.now(UTC).date().isoformat(), "minutes": round(watch.seconds / 60, 1)}
    machine["others"] = None if watch.others is None else round(watch.others, 2)
    return {"machine": machine, "benchmarks": [reduce(one) for one in results]}


def reduce(result: dict[str, Any]) -> dict[str, Any]:
    """Keep of one of pytest-benchmark's results what the page needs."""
    facts = result["extra_info"]
    words = {name: value for name, value in facts.items() if isinstance(value, str)}
    return {
        "test": result["name"].partition("[")[0].removeprefix("test_"),
        "parameters": (result["params"] or {}) | words,
        "seconds": float(f"{result['stats']['median']:.5g}"),
        "facts": {name: value for name, value in facts.items() if isinstance(value, int | float)},
    }


def main(arguments: list[str]) -> None:
    """Measure, unless only the page is asked for; then write it."""
    if arguments != ["--page"]:
        measured = measure(arguments)
        lines = ",\n".join(json.dumps(one) for one in measured["benchmarks"])
        text = f'{{"machine": {json.dumps(measured["machine"])},\n"benchmarks": [\n{lines}\n]}}\n'
        atomic_write(NUMBERS, text.encode())
    billed = [replace(find_submission(name, [SUBMISSIONS]), tasks=tasks) for name, tasks in BILLED.items()]
    write_page(NUMBERS, PAGE, read_records(SUBMISSIONS), billed)
    print(f"written: {PAGE}")


if __name__ == "__main__":
    main(sys.argv[1:])
