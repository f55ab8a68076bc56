"""Returns on held-out episodes: greedy, and with 5% random actions."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmark.episodes.policy import NoisyPolicy, Policy
from benchmark.episodes.rollout import rollout
from benchmark.tasks.streams import episode_keys
from benchmark.tasks.task import Task

NOISE = 0.05
# More episodes than this are played in several batches, to bound memory.
_EPISODES_AT_ONCE = 4096


@dataclass(frozen=True)
class Evaluation:
    """Returns of every run at every mark: float64 ``[R, M, E]`` for M marks and E episodes each."""

    greedy: Tensor
    noisy: Tensor


def evaluation_keys(seed: int, marks: Sequence[int], episodes: int, device: torch.device | str = "cpu") -> Tensor:
    """Return the held-out keys of one run at some marks, int64 ``[M * episodes]``.

    Every run and every mark has its own episodes, the same for all submissions. They lie in a namespace from which
    training never draws.
    """
    return torch.cat(
        [episode_keys("evaluation", seed, episodes, start=mark * episodes, device=device) for mark in marks]
    )


def evaluate_runs(
    task: Task,
    policy: Policy,
    seeds: Sequence[int],
    marks: Sequence[int],
    episodes: int,
    device: torch.device | str = "cpu",
) -> Evaluation:
    """Evaluate a policy of R stacked runs at the given marks.

    Raises:
        PolicyError: if the policy breaks its contract.
    """
    noisy = NoisyPolicy(policy, NOISE, len(task.action_names))
    # Whole marks are batched together, as many as fit.
    fit = max(1, _EPISODES_AT_ONCE // (len(seeds) * episodes))
    parts: list[tuple[Tensor, Tensor]] = []
    for first in range(0, len(marks), fit):
        group = marks[first : first + fit]
        keys = torch.cat([evaluation_keys(seed, group, episodes, device) for seed in seeds])
        shape = (len(seeds), len(group), episodes)
        parts.append(
            (
                rollout(task, policy, keys).returns.view(shape).cpu(),
                rollout(task, noisy, keys).returns.view(shape).cpu(),
            )
        )
    return Evaluation(torch.cat([greedy for greedy, _ in parts], 1), torch.cat([noise for _, noise in parts], 1))


def evaluate(task: Task, policy: Policy, episodes: int = 100, *, seed: int = 0) -> Tensor:
    """Return the undiscounted returns of one policy on held-out episodes, float64 ``[episodes]``.

    Example:
        >>> from benchmark import evaluate, make_task
        >>> from benchmark.episodes.policy import RandomPolicy
        >>> task = make_task("oracle-v0")
        >>> returns = evaluate(task, RandomPolicy(task.agents, len(task.action_names)))
    """
    return rollout(task, policy, evaluation_keys(seed, [0], episodes)).returns
