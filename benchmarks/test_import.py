"""How long a fresh process takes to import what people import; ``times_torch`` is the ratio to torch alone."""

import subprocess
import sys
from functools import lru_cache

import pytest
from rates import say, seconds


def importing(module: str) -> None:
    subprocess.run([sys.executable, "-c", f"import {module}"], check=True)


@lru_cache(maxsize=1)
def import_of_torch() -> float:
    return seconds(lambda: importing("torch"), 3)


@pytest.mark.parametrize("module", ["benchmark", "baselines.i2q", "leaderboard.cli", "leaderboard.board"])
def test_import(benchmark, module):
    torch = import_of_torch()
    benchmark.pedantic(importing, (module,), rounds=3)
    took = benchmark.stats.stats.median
    say(benchmark, times_torch=took / torch)
