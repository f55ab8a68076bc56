"""Train submissions cell by cell and keep the ledger.

A cell is submission x task x run. Its record lies at ``<out>/<submission>/<task>/seed-<n>.json`` once it is
finished, so a folder of records *is* the ledger: the same command again does what is missing, and a runner that was
killed loses at most the cells it was training. A lock (freed by the operating system when its holder dies) keeps two
runners off the same submission and task.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from benchmark.episodes.datasets import dataset_for, load_dataset
from benchmark.episodes.policy import BeliefPolicy, Policy
from benchmark.harness.child import describe
from benchmark.harness.elsewhere import Elsewhere
from benchmark.harness.protocol import Setting
from benchmark.harness.record import SCHEMA_VERSION, Record, RecordError, read_record, shorten, summary, write_record
from benchmark.harness.submission import Submission
from benchmark.harness.suites import FINAL_MARKS, MARKS, Suite
from benchmark.measures.beliefs import belief_scores
from benchmark.measures.clock import Clock
from benchmark.measures.evaluation import Evaluation, evaluate_runs
from benchmark.measures.machine import git_commit, hardware, packages
from benchmark.measures.watch import Watch
from benchmark.tasks.registry import file_name, make_task

Report = Callable[[str], None]
# Called after each evaluation with the share of the budget that is used and the mean greedy return over runs.
Progress = Callable[[float, float], None]


@dataclass(frozen=True)
class Job:
    """One submission on one task of a suite: the cells of all its runs.

    ``elsewhere`` names other tasks on which the final policies are evaluated besides.
    """

    submission: Submission
    suite: Suite
    task_id: str
    seeds: tuple[int, ...]
    device: str = "cpu"
    elsewhere: tuple[str, ...] = ()

    def folder(self, out: Path) -> Path:
        """Return the folder of this job's records (``:`` of a name or a task id becomes ``@``)."""
        return out / file_name(self.submission.name) / file_name(self.task_id)

    def path(self, out: Path, seed: int) -> Path:
        """Return where the record of one run lies."""
        return self.folder(out) / f"seed-{seed}.json"

    def header(self, seed: int) -> Record:
        """Return what identifies a cell; a record in the ledger must agree with it."""
        return {
            "schema_version": SCHEMA_VERSION,
            "submission": self.submission.name,
            "task_id": self.task_id,
            "suite": self.suite.name,
            "seed": seed,
            "budget_episodes": self.suite.budget(self.task_id),
            "config": dict(self.submission.parameters),
        }


def missing_seeds(job: Job, out: Path) -> tuple[int, ...]:
    """Return the runs that still have no finished record; failed ones count as missing.

    So do those that were not evaluated elsewhere where the job asks for it: policies are not kept.

    Raises:
        RecordError: if a record of the ledger is broken or belongs to another configuration.
    """
    missing = []
    for seed in job.seeds:
        path = job.path(out, seed)
        if path.exists():
            record = read_record(path)
            for key, value in job.header(seed).items():
                if record[key] != value:
                    raise RecordError(
                        f"{path}: {key}={record[key]!r}, but this command asks for {value!r}; "
                        "choose another --out folder or remove the old records"
                    )
            if record["status"] == "ok" and set(job.elsewhere) <= set(record.get("elsewhere", ())):
                continue
        missing.append(seed)
    return tuple(missing)


# Trains the runs of a group together, as ``train`` does.
Trainer = Callable[[Job, tuple[int, ...], Progress], list[Record]]


def _silent(share: float, mean: float) -> None:
    pass


def run_job(
    job: Job, out: Path, report: Report = print, progress: Progress = _silent, trainer: Trainer | None = None
) -> list[Record]:
    """Do what is missing of one job; returns the records written now.

    Args:
        job: what to do.
        out: where the ledger lies.
        report: gets a line for every group of runs.
        progress: hears how far a training is.
        trainer: trains a group; ``train``, in this process, unless given (``contain.Contained``).
    """
    folder = job.folder(out)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=0):
            seeds = missing_seeds(job, out)
            if not seeds:
                report(f"{job.submission.name} on {job.task_id}: all {len(job.seeds)} runs are there")
                return []
            groups = [seeds] if job.submission.stacked else [(seed,) for seed in seeds]
            records: list[Record] = []
            for group in groups:
                for record in _train_or_fail(job, group, report, progress, trainer or train):
                    records.append(write_record(job.path(out, record["seed"]), record))
            return records
    except Timeout:
        report(f"{job.submission.name} on {job.task_id}: another runner is at work on it; skipped")
        return []


def _train_or_fail(
    job: Job, seeds: tuple[int, ...], report: Report, progress: Progress, trainer: Trainer
) -> Iterator[Record]:
    """Train a group of runs. If a stacked group fails, its runs are tried alone: a fault costs its own cell only."""
    name = f"{job.submission.name} on {job.task_id}"
    try:
        records = trainer(job, seeds, progress)
    except (Exception, SystemExit) as error:  # whatever a submission raises is that cell's result
        line, trace = describe(error)
        if len(seeds) > 1:
            report(f"{name}: failed with {len(seeds)} runs stacked ({line}); trying them one by one")
        for seed in seeds:
            if len(seeds) > 1:
                yield from _train_or_fail(job, (seed,), report, progress, trainer)
            else:
                report(f"{name}, seed {seed}: FAILED: {line}")
                yield _failure(job, seed, line, trace)
        return
    mean = sum(record["final_return"] for record in records) / len(records)
    seconds = records[0]["seconds"]["training"]
    runs = f"{len(records)} runs, mean" if len(records) > 1 else f"seed {seeds[0]},"
    report(f"{name}: {runs} final return {mean:.3f}, {seconds:.1f} s of training")
    yield from records


def _environment(device: str) -> Record:
    return {
        "packages": packages(),
        "hardware": hardware(device),
        "git_commit": git_commit(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _failure(job: Job, seed: int, error: str, trace: str) -> Record:
    return job.header(seed) | {"status": "failed", "error": error, "trace": trace} | _environment(job.device)


class _Curve:
    """The evaluations of one training, mark by mark."""

    def __init__(self, job: Job, setting: Setting) -> None:
        self.job, self.setting = job, setting
        self.evaluating = Clock(job.device)
        self.elsewhere = Elsewhere(
            setting.task, job.elsewhere, setting.seeds, job.suite.evaluation_episodes, job.device
        )
        self.pending = list(range(MARKS + 1))
        self.marks: list[list[Record]] = [[] for _ in setting.seeds]
        self.last: Evaluation | None = None

    def due(self) -> list[int]:
        """Return the marks that the used budget has reached."""
        return [mark for mark in self.pending if self.setting.episodes_used * MARKS >= mark * self.setting.budget]

    def evaluate(self, policy: Policy, marks: Sequence[int]) -> None:
        """Evaluate the policy for these marks."""
        if not marks:
            return
        setting, episodes = self.setting, self.job.suite.evaluation_episodes
        with self.evaluating:
            self.last = evaluate_runs(setting.task, policy, setting.seeds, marks, episodes, self.job.device)
            self.elsewhere.evaluate(policy, marks)
        for run, entries in enumerate(self.marks):
            for place, mark in enumerate(marks):
                entries.append(
                    {
                        "share": mark / MARKS,
                        "episodes": setting.episodes_used,
                        "env_steps": setting.env_steps[run],
                        "agent_steps": setting.env_steps[run] * setting.task.agents,
                        "updates": setting.updates,
                        "seconds": round(setting.clock.seconds, 3),
                        "greedy": summary(self.last.greedy[run, place].tolist()),
                        "noisy": summary(self.last.noisy[run, place].tolist()),
                    }
                )
        self.pending = [mark for mark in self.pending if mark not in marks]


def train(
    job: Job, seeds: tuple[int, ...], progress: Progress = _silent, *, score_beliefs: bool = True
) -> list[Record]:
    """Train the runs of one group together and return their records, without writing them.

    Args:
        job: what to train.
        seeds: of the runs in the group.
        progress: hears how far it is.
        score_beliefs: whether to score the beliefs of a policy that has some.

    Raises:
        Exception: whatever the submission raises; ``PolicyError`` or ``BudgetExceeded`` if it breaks its contract.
    """
    environment = _environment(job.device)  # as it is now: a checkout may move on during a long training
    started, watch = Clock(job.device), Watch()
    with started, watch:
        task, dataset_id = make_task(job.task_id), dataset_for(job.task_id)
        load = (lambda split: load_dataset(dataset_id, split)) if dataset_id else None
        setting = Setting(job.task_id, task, seeds, job.suite.budget(job.task_id), job.device, load)
        curve = _Curve(job, setting)
        with setting.clock:
            policies = iter(job.submission.build().train(setting))
        policy: Policy | None = None
        while True:
            with setting.clock:
                latest = next(policies, None)
            if latest is None:
                break
            policy = latest
            if due := curve.due():
                curve.evaluate(policy, due)
                assert curve.last is not None
                progress(setting.progress, float(curve.last.greedy[:, -1].mean()))
        if policy is None:
            raise ValueError("train: the generator ended without yielding a policy")
        curve.evaluate(policy, curve.pending)
        beliefs = _beliefs(job, setting, policy, dataset_id) if score_beliefs else None
    assert curve.last is not None
    seconds = {
        "training": round(setting.clock.seconds, 3),
        **{phase: round(seconds, 3) for phase, seconds in setting.phases.items()},
        "evaluation": round(curve.evaluating.seconds, 3),
        "total": round(started.seconds, 3),
        "lost": None if watch.lost is None else round(watch.lost, 4),
    }
    return [
        job.header(seed)
        | {
            "status": "ok",
            "error": None,
            "marks": curve.marks[run],
            "final_returns": shorten(curve.last.greedy[run, -1].tolist()),
            "final_return": _final(curve.marks[run], "greedy"),
            "final_return_noisy": _final(curve.marks[run], "noisy"),
            "beliefs": beliefs[run] if beliefs else None,
            "seconds": seconds,
            "stacked_runs": len(seeds),
            "notes": setting.notes[run],
        }
        | curve.elsewhere.record(run)
        | environment
        for run, seed in enumerate(seeds)
    ]


def _final(marks: list[Record], kind: str) -> float:
    last = [mark[kind]["mean"] for mark in marks[-FINAL_MARKS:]]
    return shorten([sum(last) / len(last)])[0]


def _beliefs(job: Job, setting: Setting, policy: Policy, dataset_id: str | None) -> list[dict[str, Any]] | None:
    if dataset_id is None or not isinstance(policy, BeliefPolicy):
        return None
    with torch.no_grad():
        return belief_scores(setting.task, policy, load_dataset(dataset_id, "test"), setting.runs, job.device)
