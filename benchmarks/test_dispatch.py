"""What it costs to send a cell through Ray instead of training it here: cells of which nothing is learned.

In ``extra_info``: ``startup_seconds``, a core's time for each cell beyond what the cell itself took (a fresh process
imports torch and the package); ``driver_seconds``, the driver's processor time for each cell, which is what bounds how
many cells a minute one driver can hand out; and as a ratio ``times_import``, the start-up in imports of torch here.
"""

import time
from pathlib import Path

import pytest
from rates import CORES, say
from test_import import import_of_torch

from benchmark.harness.runner import Job
from benchmark.harness.submission import find_submission
from benchmark.harness.suites import Suite
from leaderboard.commands.terminal import SUBMISSIONS

CELLS = 6 * CORES


def test_dispatch(benchmark, tmp_path):
    cluster = pytest.importorskip("benchmark.harness.cluster", reason="needs ray")
    tasks = tuple(f"organization-full-{agents}-v0" for agents in range(2, 2 + CELLS))
    suite = Suite("dispatch", tasks, (("", 1),), runs=1, evaluation_episodes=1)
    random = find_submission("random", [SUBMISSIONS])
    jobs = [Job(random, suite, task_id, (0,)) for task_id in tasks]
    torch = import_of_torch()

    def send(out: Path) -> list[dict]:
        return [record for done in cluster.run_jobs(jobs, out, trainer, lambda line: None) for record in done]

    with cluster.Cluster() as trainer:
        list(cluster.run_jobs(jobs[:1], tmp_path / "first", trainer, lambda line: None))
        began = time.process_time()
        records = benchmark.pedantic(send, (tmp_path / "cells",), rounds=1)
        driver = (time.process_time() - began) / CELLS
    inside = sum(record["seconds"]["total"] for record in records) / CELLS
    startup = benchmark.stats.stats.median * CORES / CELLS - inside
    say(benchmark, cells=CELLS, startup_seconds=startup, driver_seconds=driver, times_import=startup / torch)
