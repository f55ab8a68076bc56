"""Train submissions in a child process: whoever dies, hangs or eats memory costs its own cell only.

``Contained`` stands where ``runner.train`` stands. Records are the same bit for bit but for times; a child is kept
from cell to cell of one submission, so that torch is imported once and not for every cell.
"""

from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmark.harness.child import Child, ChildError, Limits, Say
from benchmark.harness.record import Record
from benchmark.harness.runner import Job, Progress, train
from benchmark.harness.submission import ManifestError, Submission
from benchmark.harness.suites import Suite


class Contained:
    """Train in a child process, within limits. Use it in a ``with``.

    Args:
        limits: of each training.
    """

    def __init__(self, limits: Limits) -> None:
        self._child = Child(limits)
        self._holds: Submission | None = None

    def __enter__(self) -> "Contained":
        """Start nothing yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the child."""
        self._child.close()

    def build(self, submission: Submission) -> None:
        """Construct a submission's learner in the child, to see whether it can be.

        Raises:
            ManifestError: if not.
        """
        try:
            self._for(submission).ask("benchmark.harness.contain:build_there", submission_to_json(submission))
        except ChildError as error:
            raise ManifestError(error.line.removeprefix("ManifestError: ")) from None

    def __call__(self, job: Job, seeds: tuple[int, ...], progress: Progress) -> list[Record]:
        """Train the runs of one group; see ``runner.train``.

        Raises:
            ChildError: if the submission raised, died, or broke a limit.
        """
        question = job_to_json(replace(job, seeds=seeds))
        return self._for(job.submission).ask(
            "benchmark.harness.contain:train_there", question, lambda message: progress(*message)
        )

    def _for(self, submission: Submission) -> Child:
        if self._holds is not None and self._holds != submission:
            self._child.close()  # modules of two submissions may share a name, and leave things behind
        self._holds = submission
        return self._child


def build_there(argument: dict[str, Any], say: Say) -> None:
    """Construct a learner: called in the child."""
    submission_from_json(argument).build()


def train_there(argument: dict[str, Any], say: Say) -> list[Record]:
    """Train one group: called in the child."""
    job = job_from_json(argument)
    return train(job, job.seeds, lambda share, mean: say([share, mean]))


def submission_to_json(submission: Submission) -> dict[str, Any]:
    """Write a submission so that ``submission_from_json`` gives back an equal one."""
    return asdict(submission) | {"folder": submission.folder and str(submission.folder)}


def submission_from_json(fields: dict[str, Any]) -> Submission:
    """Read what ``submission_to_json`` wrote."""
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}
    values["folder"] = values["folder"] and Path(values["folder"])
    return Submission(**values)


def job_to_json(job: Job) -> dict[str, Any]:
    """Write a job so that ``job_from_json`` gives back an equal one."""
    return asdict(job) | {"submission": submission_to_json(job.submission)}


def job_from_json(fields: dict[str, Any]) -> Job:
    """Read what ``job_to_json`` wrote."""
    suite = fields["suite"]
    suite = Suite(**suite | {"tasks": tuple(suite["tasks"]), "episodes": tuple(map(tuple, suite["episodes"]))})
    submission = submission_from_json(fields["submission"])
    elsewhere = tuple(fields["elsewhere"])
    return Job(submission, suite, fields["task_id"], tuple(fields["seeds"]), fields["device"], elsewhere)
