"""Run `pytest` in this folder."""

from pathlib import Path

from benchmark.harness.runner import Job, run_job
from benchmark.harness.submission import find_submission
from benchmark.harness.suites import Suite
from benchmark.testing import check_submission

FOLDER = Path(__file__).parent


def test_it_keeps_the_rules():
    check_submission(FOLDER, ["oracle-v0"])


def test_it_learns(tmp_path):
    suite = Suite("short", ("oracle-v0",), (("", 400),), runs=1, evaluation_episodes=50)
    (record,) = run_job(Job(find_submission(str(FOLDER)), suite, "oracle-v0", seeds=(0,)), tmp_path)
    assert record["final_return"] > 0.2  # the best policy that ignores observations gets 0.04
