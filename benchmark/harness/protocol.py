"""What a submission implements, and what it is given.

A submission is a *learner*: an object with one method, ``train(setting)``, that yields a policy whenever it has a
new one. The harness stands at the other end of the generator: it evaluates, keeps the clock and writes the records
while the learner waits. A complete learner::

    class Untrained:
        def train(self, setting):
            yield RandomPolicy(setting.task.agents, len(setting.task.action_names))
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from benchmark.episodes.policy import Policy
from benchmark.episodes.rollout import Episodes, rollout
from benchmark.measures.clock import Clock
from benchmark.tasks.streams import episode_keys
from benchmark.tasks.task import Task


class BudgetExceeded(ValueError):
    """The learner asked for more episodes than its budget holds."""


class Setting:
    """What one training is given: a task, a budget, and a way to play.

    R runs are trained at once, one per seed. A learner that does not stack runs is always given R = 1.

    Attributes:
        task_id: the id under which results are recorded.
        task: what to learn. Its functions are open to the learner, its episodes come from ``rollout`` only.
        seeds: the R run seeds.
        run_keys: int64 ``[R]``; draw everything random from them (``streams.bits(run_keys, step, purpose, lanes)``),
            so that a run draws the same numbers alone and stacked.
        budget: how many training episodes each run may play.
        device: where to train; observations arrive there.
    """

    def __init__(
        self,
        task_id: str,
        task: Task,
        seeds: tuple[int, ...],
        budget: int,
        device: torch.device | str = "cpu",
        dataset: Callable[[str], Episodes] | None = None,
    ) -> None:
        self.task_id = task_id
        self.task = task
        self.seeds = seeds
        self.budget = budget
        self.device = torch.device(device)
        self.run_keys = torch.cat([episode_keys("train", seed, 1, start=-1, device=device) for seed in seeds])
        self.episodes_used = 0
        self.env_steps = [0] * len(seeds)
        self.updates = 0
        self.notes: list[dict[str, Any]] = [{} for _ in seeds]
        self.clock = Clock(device)  # the harness starts and stops it
        self._began: dict[str, float] = {}
        self._dataset = dataset

    @property
    def runs(self) -> int:
        """Number of runs trained at once, R."""
        return len(self.seeds)

    @property
    def remaining(self) -> int:
        """Training episodes that each run may still play."""
        return self.budget - self.episodes_used

    @property
    def progress(self) -> float:
        """Share of the budget used, 0 to 1: for schedules."""
        return self.episodes_used / self.budget if self.budget else 1.0

    @property
    def phases(self) -> dict[str, float]:
        """Seconds of training before the first episode: ``startup``, then ``pretraining`` from the first dataset on."""
        first_episode = self._began.get("training", self.clock.read())
        startup = min(first_episode, self._began.get("pretraining", first_episode))
        return {"startup": startup, "pretraining": first_episode - startup}

    def rollout(self, policy: Policy, episodes: int) -> Episodes:
        """Play new training episodes, charged to the budget.

        Args:
            policy: the behaviour policy, exploration included.
            episodes: how many episodes each run plays.

        Returns:
            Episodes with B = R * episodes, run-major: run 0's first.

        Raises:
            BudgetExceeded: if fewer than ``episodes`` remain; nothing is played then.
            ValueError: if ``episodes`` is not positive.
        """
        if episodes < 1:
            raise ValueError(f"rollout: episodes={episodes} must be at least 1")
        played = rollout(self.task, policy, self._charge(episodes))
        for run, steps in enumerate(played.mask.unflatten(0, (self.runs, -1)).sum((1, 2)).tolist()):
            self.env_steps[run] += steps
        return played

    def next_key(self) -> Tensor:
        """Return the key ``[R]`` of each run's next training episode, charged to the budget.

        For ``MeteredParallelEnv``: whoever plays an episode step by step. Learners call ``rollout``.

        Raises:
            BudgetExceeded: if none remains.
        """
        return self._charge(1)

    def _begin(self, phase: str) -> None:
        if phase not in self._began:
            self._began[phase] = self.clock.read()

    def _charge(self, episodes: int) -> Tensor:
        """Take so many of each run's training episodes off the budget; returns their keys, run-major."""
        if episodes > self.remaining:
            raise BudgetExceeded(
                f"rollout: episodes={episodes} exceed the budget of {self.budget} training episodes per run; "
                f"{self.episodes_used} are used and {self.remaining} remain"
            )
        self._begin("training")
        start = self.episodes_used
        self.episodes_used += episodes
        return torch.cat(
            [episode_keys("train", seed, episodes, start=start, device=self.device) for seed in self.seeds]
        )

    def dataset(self, split: str = "train") -> Episodes:
        """Return a split of the task's state-labelled offline dataset: ``"train"`` or ``"validation"``.

        Raises:
            ValueError: if the task has no dataset, or the split is not for training.
        """
        if self._dataset is None:
            raise ValueError(f"dataset: task_id={self.task_id!r} has no offline dataset")
        if split not in ("train", "validation"):
            raise ValueError(f"dataset: split={split!r} is not for training; allowed: train, validation")
        self._begin("pretraining")
        return self._dataset(split).to(self.device)

    def count_updates(self, count: int) -> None:
        """Report ``count`` gradient updates (each run's; stacked runs update together)."""
        self.updates += count

    def note(self, run: int, **facts: Any) -> None:
        """Put facts (JSON scalars) about one run into its record: a failed gate, the number of parameters.

        ``parameters``, the number of a run's trainable parameters, gets a column of its own.

        Raises:
            ValueError: if a fact is not a finite number, a short string, a boolean or None.
        """
        for name, value in facts.items():
            finite = not isinstance(value, float) or math.isfinite(value)
            if (
                not (value is None or isinstance(value, bool | int | float | str))
                or not finite
                or len(str(value)) > 500
            ):
                raise ValueError(f"note: {name}={value!r} must be a finite number, a short string, a boolean or None")
        self.notes[run].update(facts)


@runtime_checkable
class Learner(Protocol):
    """A submission's entry point: a class that its manifest's parameters construct."""

    def train(self, setting: Setting) -> Iterator[Policy]:
        """Train all runs of the setting, yielding the policy to be evaluated whenever there is a new one.

        At every mark (5% of the budget) the harness evaluates the policy that is yielded next; after the generator
        ends, the last one stands for all marks that remain. A yielded policy is evaluated at once, while the learner
        waits, so it may share weights with what is trained further. The clock runs only between yields.

        Args:
            setting: task, budget and meters. ``yield`` at least once per mark; once per round of updates is usual.
        """
        ...


def per_run(values: Tensor, runs: int) -> Tensor:
    """View a run-major ``[R * episodes, ...]`` tensor as ``[R, episodes, ...]``."""
    return values.unflatten(0, (runs, -1))
