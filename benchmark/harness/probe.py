"""Trainings that are watched: what was played, what was asked for, and what a policy does with a history."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor

from benchmark.episodes.policy import Policy, RandomPolicy, with_actions
from benchmark.episodes.rollout import Episodes, check_actions, rollout
from benchmark.harness.protocol import Setting
from benchmark.harness.submission import Submission
from benchmark.tasks.perturb import Transform
from benchmark.tasks.registry import make_task
from benchmark.tasks.streams import episode_keys, policy_keys
from benchmark.tasks.task import Task

# Episodes per run with which policies are questioned.
HISTORIES = 12


class Broken(Exception):
    """A submission breaks a rule; the message says what was found."""


@dataclass(frozen=True)
class Trial:
    """A small training of one submission.

    Attributes:
        submission: whose.
        task_id: on what.
        episodes: the budget of each run.
    """

    submission: Submission
    task_id: str
    episodes: int

    @property
    def seeds(self) -> tuple[int, ...]:
        """Two runs for who stacks runs, else one."""
        return (0, 1) if self.submission.stacked else (0,)

    def claims(self, *information: str) -> bool:
        """Whether the manifest names any of these as used."""
        return bool(set(information) & set(self.submission.information))


class Probe(Setting):
    """A setting that remembers what was played and may show the learner something else.

    Args:
        trial: what is trained.
        task: the trial's.
        show: gets the number of a rollout and what was played, and returns what the learner is given.
        seeds: of the runs, if not the trial's.
    """

    def __init__(
        self,
        trial: Trial,
        task: Task,
        show: Callable[[int, Episodes], Episodes] = lambda number, played: played,
        seeds: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__(trial.task_id, task, seeds or trial.seeds, trial.episodes)
        self.trial = trial
        self.show = show
        self.played: list[Episodes] = []

    def rollout(self, policy: Policy, episodes: int) -> Episodes:
        """Play as always; remember what was played, and return what is to be shown."""
        self.played.append(super().rollout(policy, episodes))
        return self.show(len(self.played) - 1, self.played[-1])

    def dataset(self, split: str = "train") -> Episodes:
        """Give the dataset only to those who say that they use state labels."""
        if not self.trial.claims("state-labels", "task-rules"):
            raise Broken("train asks for the state-labelled dataset, and `information` does not name 'state-labels'")
        from benchmark.episodes.datasets import dataset_for, load_dataset

        dataset_id = dataset_for(self.task_id)
        if dataset_id is not None:
            self._dataset = lambda split: load_dataset(dataset_id, split)
        return super().dataset(split)

    def train(self) -> Policy:
        """Train to the end and return the last policy.

        Raises:
            Broken: if there is none.
        """
        policy: Policy | None = None
        for latest in self.trial.submission.build().train(self):
            policy = latest
        if policy is None:
            raise Broken("train ended without yielding a policy")
        return policy


@dataclass(frozen=True)
class Histories:
    """What agents have seen and done in random play: material on which policies are questioned."""

    task: Task
    runs: int
    keys: Tensor  # int64 [R * B]
    observations: Tensor  # float32 [R * B, T + 1, N, O]
    actions: Tensor  # int64 [R * B, T, N]
    mask: Tensor  # bool [R * B, T]

    def others(self, values: Tensor) -> Tensor:
        """Give every episode another episode of the same run: ``[R * B, ...]``."""
        return values.unflatten(0, (self.runs, -1)).roll(1, 1).flatten(0, 1)

    def mixed(self, mine: Tensor) -> "Histories":
        """Keep what ``mine`` (bool ``[R * B, 1, N]``) says, and take the rest from other episodes."""
        observations = torch.where(mine[..., None], self.observations, self.others(self.observations))
        return replace(
            self, observations=observations, actions=torch.where(mine, self.actions, self.others(self.actions))
        )


def histories(task: Task, runs: int) -> Histories:
    """Play at random and return what was seen and done."""
    keys = torch.cat([episode_keys("user", run, HISTORIES) for run in range(runs)])
    played = rollout(task, RandomPolicy(task.agents, len(task.action_names)), keys)
    return Histories(task, runs, keys, played.observations, played.actions, played.mask)


@torch.no_grad()
def choices(policy: Policy, past: Histories) -> Tensor:
    """Return what a policy would choose at every step of these histories, int64 ``[R * B, T, N]``.

    Raises:
        Broken: if it changes its memory in place.
        PolicyError: if it returns something else than actions.
    """
    memory, chosen = policy.initial_memory(policy_keys(past.keys)), []
    for step in range(past.task.horizon):
        before = [(tensor, tensor.clone()) for tensor in tensors(memory)]
        actions, following = policy.act(past.observations[:, step], memory)
        check_actions(actions, len(past.keys), past.task)
        if any(not torch.equal(now, was) for now, was in before):
            raise Broken(f"act changed the memory that it was given at step {step}, in place")
        chosen.append(actions)
        memory = with_actions(policy, following, past.actions[:, step])
    return torch.stack(chosen, 1)


def tensors(memory: Any) -> Iterator[Tensor]:
    """Yield the tensors in nested tuples, lists, dicts and dataclasses."""
    if isinstance(memory, Tensor):
        yield memory
    elif isinstance(memory, tuple | list):
        for part in memory:
            yield from tensors(part)
    elif isinstance(memory, dict):
        yield from tensors(list(memory.values()))
    elif is_dataclass(memory):
        yield from tensors([getattr(memory, entry.name) for entry in fields(memory)])


@contextmanager
def watched(task: Task) -> Iterator[Counter[int]]:
    """Count how often an episode with each key is started, by whomever, while the context lasts."""
    while isinstance(task, Transform):
        task = task.task
    kind: Any = type(task)
    inherited = "initial_state" not in vars(kind)
    original = kind.initial_state
    seen: Counter[int] = Counter()

    def initial_state(self: Task, keys: Tensor) -> Any:
        seen.update(keys.tolist())
        return original(self, keys)

    kind.initial_state = initial_state
    try:
        yield seen
    finally:
        if inherited:
            del kind.initial_state
        else:
            kind.initial_state = original


def train_watched(trial: Trial) -> tuple[Probe, Policy, Counter[int]]:
    """Train once; returns the setting, the last policy, and the keys of episodes started beyond the metered ones."""
    task = make_task(trial.task_id)
    probe = Probe(trial, task)
    with watched(task) as seen:
        policy = probe.train()
    metered = torch.cat([episode_keys("train", seed, probe.episodes_used) for seed in probe.seeds])
    return probe, policy, seen - Counter(metered.tolist())
