"""Train on a Ray cluster: the same jobs, the same ledger, more machines.

``Cluster`` stands where ``runner.train`` stands: it sends a group of runs to a worker and waits for its records. The
driver writes them, so the ledger lies in one place, and a driver that died continues with the same command. Workers
and nodes that die are retried by Ray; a training that raises is that cell's result, as everywhere.

Ray is an optional extra (``pip install penumbra[ray]``); it is met in this file only. Every node needs the package and,
for a submission that is a folder, that folder under the same path (a shared file system).
"""

import math
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from types import TracebackType
from typing import Any

import ray
import torch
from ray.exceptions import RayError

from benchmark.harness.child import ChildError, describe
from benchmark.harness.contain import job_from_json, job_to_json
from benchmark.harness.record import Record
from benchmark.harness.runner import Job, Progress, Report, Trainer, run_job, train

# How often a group is tried again when its worker or its node dies.
RETRIES = 3
# Groups handed to Ray at a time; far more than any cluster trains at once.
MOST_WAITING = 1000


class Cluster:
    """A connection to a Ray cluster. Use it in a ``with``.

    Args:
        address: of the cluster's head, ``"auto"`` for the one this machine belongs to, None to start one here.
        cpus: processor cores that one training is given; torch uses as many threads.
        gpus: share of a GPU that one training is given: 0.25 packs four stacked groups on each. Only for jobs whose
            device is ``"cuda"``.
        shares: of submissions on tasks whose share is known better, see ``packing.gpu_shares``.
    """

    def __init__(
        self,
        address: str | None = None,
        cpus: int = 1,
        gpus: float = 1.0,
        shares: Mapping[tuple[str, str], float] | None = None,
    ) -> None:
        if cpus < 1:
            raise ValueError(f"cluster: cpus={cpus} must be at least 1")
        if not 0.0 < gpus <= 1.0:
            raise ValueError(f"cluster: gpus={gpus} must be above 0 and at most 1: the share of a GPU for one training")
        self.address, self.cpus, self.gpus, self.shares = address, cpus, gpus, shares or {}

    def __enter__(self) -> "Cluster":
        """Connect."""
        try:
            ray.init(self.address, log_to_driver=False, include_dashboard=False if self.address is None else None)
        except (ConnectionError, RuntimeError) as error:
            raise ValueError(f"cluster: address={self.address!r} cannot be reached: {error}") from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disconnect; what is still being trained is given up."""
        ray.shutdown()

    def share(self, job: Job) -> float:
        """Return the share of a GPU that one training of a job is given."""
        if not job.device.startswith("cuda"):
            return 0.0
        return self.shares.get((job.submission.name, job.task_id), self.gpus)

    def __call__(self, job: Job, seeds: tuple[int, ...], progress: Progress) -> list[Record]:
        """Train the runs of one group on some node; see ``runner.train``. Its progress is that it was handed over.

        Raises:
            ChildError: if the training raised, or its workers died once more than ``RETRIES``.
        """
        remote = _train_there.options(num_cpus=self.cpus, num_gpus=self.share(job))
        there = remote.remote(job_to_json(job), seeds, self.cpus)
        progress(0.0, math.nan)
        try:
            records, failure = ray.get(there)
        except RayError as error:
            raise ChildError(f"{type(error).__name__}: its worker died {RETRIES + 1} times", str(error)) from None
        if failure is not None:
            raise ChildError(*failure)
        return records


def run_jobs(
    jobs: Iterable[Job],
    out: Path,
    trainer: Trainer,
    report: Report = print,
) -> Iterator[list[Record]]:
    """Do what is missing of many jobs at a time; yields each job's records as it ends, in the order of ending.

    Every job waits in a thread of its own for its records, and writes them as they come.

    Args:
        jobs: what to do, in this order: the cluster is busy to the end if the longest come first.
        out: where the ledger lies.
        trainer: a ``Cluster``.
        report: gets a line for every group of runs.
    """
    waiting = list(jobs)
    pool = ThreadPoolExecutor(min(MOST_WAITING, max(1, len(waiting))))
    try:
        futures = []
        for place, job in enumerate(waiting):
            begun = threading.Event()
            futures.append(pool.submit(run_job, job, out, report, lambda *_, begun=begun: begun.set(), trainer))
            futures[-1].add_done_callback(lambda _, begun=begun: begun.set())
            if place < MOST_WAITING:  # threads of one pool overtake each other; what waits for a thread does not
                begun.wait()
        for future in as_completed(futures):
            yield future.result()
    finally:  # whoever is interrupted does not wait for what has not begun
        pool.shutdown(wait=False, cancel_futures=True)


# One function for all jobs, since Ray takes those of one function and one demand in the order in which they come. A
# process of its own for each: nothing that one submission leaves behind meets another.
@ray.remote(max_retries=RETRIES, max_calls=1)
def _train_there(
    fields: dict[str, Any], seeds: tuple[int, ...], threads: int
) -> tuple[list[Record], tuple[str, str] | None]:
    """Train one group: called on the worker. Returns its records, or the line and the trace of what it raised."""
    torch.set_num_threads(threads)
    try:
        return train(job_from_json(fields), seeds), None
    except (Exception, SystemExit) as error:
        return [], describe(error)
