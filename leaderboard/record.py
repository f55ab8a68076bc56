"""The run record as pydantic sees it: every key, its type, its bounds, and what must agree with what.

``benchmark.harness.runner`` writes these objects and ``leaderboard.submission`` reads them. They are data only.
Nothing here trusts a number that can be recomputed: a final return must be the mean of the marks it is the mean of.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, PrivateAttr, field_validator, model_validator

from benchmark.harness.record import SCHEMA_VERSION
from benchmark.harness.suites import FINAL_MARKS, MARKS
from benchmark.harness.variant import VARIANT, same, split_variant
from benchmark.tasks.registry import spec

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9+_-][A-Za-z0-9+_.-]*$", max_length=64)]
Who = Annotated[str, Field(pattern=rf"^[A-Za-z0-9+_-][A-Za-z0-9+_.-]{{0,63}}{VARIANT}$", max_length=200)]
Text = Annotated[str, Field(max_length=500)]
Count = Annotated[int, Field(ge=0, le=10**15)]
Time = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Column = Annotated[list[Time | None], Field(min_length=1, max_length=50)]
Integer = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Scalar = bool | Integer | float | Text | None
# Free-form objects (parameters, notes, hardware) hold scalars, or lists and objects of scalars.
Scalars = Annotated[dict[Text, Scalar], Field(max_length=200)]
Facts = Annotated[dict[Text, Scalar | Annotated[list[Scalar], Field(max_length=200)] | Scalars], Field(max_length=200)]

# Records are written with seven digits.
_TOLERANCE = 1e-6


class Strict(BaseModel):
    """Exact types, known keys, finite numbers."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class Returns(Strict):
    """A summary of evaluation returns."""

    mean: float
    deviation: Time
    count: Annotated[int, Field(ge=1, le=100_000)]
    min: float
    max: float

    @model_validator(mode="after")
    def _ordered(self) -> "Returns":
        slack = _slack((self.min, self.max))
        if not self.min - slack <= self.mean <= self.max + slack:
            raise ValueError(f"mean={self.mean} must lie between min={self.min} and max={self.max}")
        return self


class Mark(Strict):
    """One evaluation during training; counts and seconds are those of training so far."""

    share: Share
    episodes: Count
    env_steps: Count
    agent_steps: Count
    updates: Count
    seconds: Time
    greedy: Returns
    noisy: Returns


class BeliefScore(Strict):
    """How well hidden variables are reconstructed, beside a prior that sees nothing; nll in nats, errors in cells."""

    accuracy: Share
    nll: Time
    prior_accuracy: Share
    prior_nll: Time
    # Records made before these were measured lack them.
    ece: Share | None = None
    error: Time | None = None
    mode_error: Time | None = None


class Reliability(Strict):
    """How often beliefs are right, by how likely they hold what they believe most; null where nobody was that sure."""

    share: Column
    confidence: Column
    accuracy: Column

    @model_validator(mode="after")
    def _aligned(self) -> "Reliability":
        _check_lengths(self, len(self.share))
        return self


class History(Strict):
    """Belief scores against history length, binned from each of ``steps`` to before the next; null without data."""

    steps: Annotated[list[Count], Field(min_length=2, max_length=50)]
    accuracy: Column
    nll: Column
    ece: Column
    error: Column | None = None
    mode_error: Column | None = None

    @model_validator(mode="after")
    def _aligned(self) -> "History":
        if any(now <= before for before, now in pairwise(self.steps)):
            raise ValueError(f"steps={self.steps} must rise")
        _check_lengths(self, len(self.steps) - 1)
        return self


class Beliefs(BeliefScore):
    """The mean over the paper's variables, each variable, and both curves of the paper's variables."""

    variables: Annotated[dict[Text, BeliefScore], Field(max_length=1000)]
    reliability: Reliability | None = None
    history: History | None = None


class Seconds(Strict):
    """Wall-clock time of the group of runs that were trained together; start-up and pre-training are part of training.

    ``lost`` is the share of the processor time that others took meanwhile. Records made before these phases were told
    apart and others were looked for lack them.
    """

    training: Time
    startup: Time | None = None
    pretraining: Time | None = None
    evaluation: Time
    total: Time
    lost: Share | None = None

    @model_validator(mode="after")
    def _parts(self) -> "Seconds":
        parts = (self.startup or 0.0) + (self.pretraining or 0.0)
        if parts > self.training + 0.002:  # written to the millisecond
            raise ValueError(f"training={self.training} must not be less than its startup and pretraining, {parts:.3f}")
        return self


class _Run(Strict):
    """What finished and failed runs have in common."""

    schema_version: int
    digest: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    submission: Who  # or a variant of it, such as "belief-i2q:samples=5"
    task_id: Annotated[str, Field(max_length=200)]
    suite: Name
    seed: Annotated[int, Field(ge=0, lt=2**31)]
    config: Facts
    budget_episodes: Annotated[int, Field(ge=1, le=10**12)]
    packages: Facts
    hardware: Facts
    git_commit: Text | None
    created: Annotated[str, Field(max_length=40)]

    # Where the record was read ("file:line") and what was read there, to be written again unchanged.
    _source: str = PrivateAttr("")
    _raw: dict[str, Any] = PrivateAttr(default_factory=dict)

    @property
    def cell(self) -> tuple[str, str, int, int]:
        """What may occur only once on a board."""
        return self.submission, self.task_id, self.seed, self.budget_episodes

    @field_validator("schema_version")
    @classmethod
    def _supported(cls, value: int) -> int:
        if value != SCHEMA_VERSION:
            raise ValueError(f"only schema {SCHEMA_VERSION} is supported; run again, or use the version that wrote it")
        return value

    @field_validator("task_id")
    @classmethod
    def _registered(cls, value: str) -> str:
        spec(value)
        return value

    @field_validator("created")
    @classmethod
    def _moment(cls, value: str) -> str:
        datetime.fromisoformat(value)
        return value

    @model_validator(mode="after")
    def _as_named(self) -> "_Run":
        for key, value in split_variant(self.submission)[1].items():
            if not same(self.config.get(key), value):
                raise ValueError(
                    f"config.{key}={self.config.get(key)!r} must be {value!r}, as submission={self.submission!r} says"
                )
        return self


class FinishedRun(_Run):
    """A run that was trained and evaluated to the end of its budget."""

    status: Literal["ok"]
    error: None
    marks: Annotated[list[Mark], Field(min_length=MARKS + 1, max_length=MARKS + 1)]
    final_returns: Annotated[list[float], Field(min_length=1, max_length=100_000)]
    final_return: float
    final_return_noisy: float
    beliefs: Beliefs | None
    seconds: Seconds
    stacked_runs: Annotated[int, Field(ge=1, le=100_000)]
    notes: Facts
    # By other tasks, where the run has not learned: greedy returns at the marks of the final return.
    elsewhere: Annotated[
        dict[Text, Annotated[list[Returns], Field(min_length=FINAL_MARKS, max_length=FINAL_MARKS)]],
        Field(max_length=50),
    ] = {}

    @model_validator(mode="after")
    def _adds_up(self) -> "FinishedRun":
        for place, mark in enumerate(self.marks):
            if abs(mark.share - place / MARKS) > _TOLERANCE:
                raise ValueError(f"marks[{place}].share={mark.share} must be {place / MARKS}")
        for key in ("episodes", "env_steps", "agent_steps", "updates", "seconds"):
            values = [getattr(mark, key) for mark in self.marks]
            for place, (before, now) in enumerate(pairwise(values), start=1):
                if now < before:
                    raise ValueError(f"marks[{place}].{key}={now} must not be less than {before}, the mark before it")
        if self.marks[-1].episodes > self.budget_episodes:
            raise ValueError(
                f"marks[{MARKS}].episodes={self.marks[-1].episodes} exceeds budget_episodes={self.budget_episodes}"
            )
        final, last = self.marks[-FINAL_MARKS:], self.marks[-1].greedy
        _check_mean("final_return", self.final_return, [mark.greedy.mean for mark in final])
        _check_mean("final_return_noisy", self.final_return_noisy, [mark.noisy.mean for mark in final])
        _check_mean(f"marks[{MARKS}].greedy.mean", last.mean, self.final_returns)
        if last.count != len(self.final_returns):
            raise ValueError(f"marks[{MARKS}].greedy.count={last.count}, but {len(self.final_returns)} final_returns")
        return self

    @field_validator("elsewhere")
    @classmethod
    def _other_tasks(cls, value: dict[str, list[Returns]]) -> dict[str, list[Returns]]:
        for task_id in value:
            spec(task_id)
        return value

    def final_return_on(self, task_id: str) -> float | None:
        """Return the final return on this run's task or on another, where it was evaluated too; None elsewhere."""
        if task_id == self.task_id:
            return self.final_return
        values = [returns.mean for returns in self.elsewhere.get(task_id, ())]
        return sum(values) / len(values) if values else None


class FailedRun(_Run):
    """A run whose submission raised: it stays on the board, as a collapse."""

    status: Literal["failed"]
    error: Annotated[str, Field(min_length=1, max_length=1000)]
    trace: Annotated[str, Field(max_length=4000)] = ""


RunRecord = Annotated[FinishedRun | FailedRun, Discriminator("status")]


def _check_mean(name: str, given: float, values: list[float]) -> None:
    mean = sum(values) / len(values)
    if abs(given - mean) > _slack(values):
        raise ValueError(f"{name}={given} must be {mean:.7g}, the mean of its {len(values)} values")


def _check_lengths(model: BaseModel, length: int) -> None:
    for name, value in model:
        if isinstance(value, list) and name != "steps" and len(value) != length:
            raise ValueError(f"{name} has {len(value)} values; expected {length}")


def _slack(values: Iterable[float]) -> float:
    return _TOLERANCE * max(1e-3, *map(abs, values))


def machine(hardware: Mapping[str, Any]) -> str:
    """Name what a run was trained on: its accelerator, or its processor and how many threads it used."""
    threads = hardware.get("threads")
    processor = str(hardware.get("processor", "unknown processor"))
    return str(
        hardware.get("accelerator") or (f"{processor}, {threads} thread{'s'[: threads != 1]}" if threads else processor)
    )
