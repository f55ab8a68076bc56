"""How long a fresh process takes to import what people import; ``times_torch`` is the ratio to torch alone."""

import subprocess
import sys

import pytest
from rates import say, seconds


def importing(module: str) -> None:
    subprocess.run([sys.executable, "-c", f"import {module}"], check=True)


@pytest.mark.parametrize("module", ["benchmark", "baselines.i2q", "leaderboard.cli", "leaderboard.board"])
def test_import(benchmark, module):
    torch = seconds(lambda: importing("torch"), 3)
    benchmark.pedantic(importing, (module,), rounds=3)
    took = benchmark.stats.stats.median
    say(benchmark, times_torch=took / torch)
