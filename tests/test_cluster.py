"""A real Ray cluster of several nodes on one machine; one node is killed in the middle. About 20 s."""

import os
import threading
from dataclasses import replace

import pytest
from faulty import write
from ray import cluster_utils

from benchmark.harness.cluster import Cluster, run_jobs
from benchmark.harness.record import read_record
from benchmark.harness.runner import Job, run_job
from benchmark.harness.submission import find_submission
from benchmark.harness.suites import get_suite
from leaderboard.commands.terminal import SUBMISSIONS

pytestmark = pytest.mark.slow

TIMES = ("seconds", "created", "digest", "packages", "hardware", "git_commit", "marks")


@pytest.fixture(scope="module")
def nodes():
    """A head without processors, and two nodes with one each."""
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    workers = [cluster.add_node(num_cpus=1) for _ in range(2)]
    yield cluster, workers
    cluster.shutdown()


def content(path):
    """A record without what differs between two honest executions of one run."""
    record = read_record(path)
    marks = [{key: value for key, value in mark.items() if key != "seconds"} for mark in record.get("marks", [])]
    return {key: value for key, value in record.items() if key not in TIMES} | {"curve": marks}


def test_shares_that_no_machine_has_are_refused():
    with pytest.raises(ValueError, match=r"cpus=0 must be at least 1"):
        Cluster(cpus=0)
    with pytest.raises(ValueError, match=r"gpus=1\.5 must be above 0 and at most 1"):
        Cluster(gpus=1.5)


def test_trainings_are_packed_by_what_is_known_of_their_memory():
    random, suite = find_submission("random", [SUBMISSIONS]), get_suite("quick")
    cluster = Cluster(gpus=0.5, shares={("random", "oracle-v0"): 0.1})
    job = Job(random, suite, "oracle-v0", (0,), "cuda")
    assert cluster.share(job) == 0.1
    assert cluster.share(replace(job, task_id="gathering-v0")) == 0.5
    assert cluster.share(replace(job, device="cpu")) == 0.0


def test_jobs_are_trained_in_their_order(tmp_path):
    random, suite = find_submission("random", [SUBMISSIONS]), get_suite("quick")
    jobs = [Job(random, suite, task_id, (0,)) for task_id in reversed(suite.tasks)]
    jobs[2:2] = [Job(find_submission(str(write(tmp_path, "raises", fault="exception")), []), suite, "oracle-v0", (0,))]
    with Cluster(cpus=os.cpu_count() or 1) as trainer:  # one at a time
        lines = []
        list(run_jobs(jobs, tmp_path / "out", trainer, lines.append))
    begun = [f"{job.submission.name} on {job.task_id}, seed 0" for job in jobs]
    assert [line.replace(": seed", ", seed")[: len(start)] for line, start in zip(lines, begun, strict=True)] == begun


def test_a_node_dies_and_the_records_are_those_of_one_machine(nodes, tmp_path):
    cluster, workers = nodes
    random = find_submission("random", [SUBMISSIONS])
    suite = get_suite("quick")
    jobs = [Job(random, suite, task_id, (0, 1)) for task_id in suite.tasks]
    jobs.append(Job(find_submission(str(write(tmp_path, "raises", fault="exception")), []), suite, "oracle-v0", (0,)))
    killer = threading.Timer(4.0, lambda: cluster.remove_node(workers[0], allow_graceful=False))
    lines = []
    with Cluster(cluster.address) as trainer:
        killer.start()
        done = list(run_jobs(jobs, tmp_path / "far", trainer, lines.append))
    killer.join()
    assert "raises on oracle-v0, seed 0: FAILED: RuntimeError: the learner fell over" in lines
    assert len(done) == len(jobs)
    assert len(cluster.list_all_nodes()) == 2  # the head and the node that is left
    for job in jobs:
        run_job(job, tmp_path / "near", lines.append)
        for seed in job.seeds:
            assert content(job.path(tmp_path / "far", seed)) == content(job.path(tmp_path / "near", seed))
