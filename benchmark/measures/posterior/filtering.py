"""What all exact filters share: random play around a pure update by Bayes' rule."""

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import torch
from torch import Tensor

from benchmark.episodes.policy import BeliefPolicy, Policy, RandomPolicy
from benchmark.episodes.policy import with_actions as tell
from benchmark.tasks.task import Task


class PosteriorMemory(NamedTuple):
    """What a posterior remembers."""

    player: Any  # of the random policy
    evidence: Any  # of the filter
    actions: Tensor | None  # int64 [B, N]: taken in the latest step; None before the first one


class Posterior(ABC):
    """An exact filter as a policy: it acts uniformly at random, and believes in what follows from each own history.

    A subclass says what is known at first (``prior``), how one step of evidence changes that (``update``) and what
    follows for each hidden variable (``marginals``). All three are pure.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self.player = RandomPolicy(task.agents, len(task.action_names))

    @abstractmethod
    def prior(self, keys: Tensor) -> Any:
        """Return what is known before the first observation, for policy keys int64 ``[B]``.

        A filter that samples draws from the keys; all others use their length and device.
        """

    @abstractmethod
    def update(self, evidence: Any, observations: Tensor, actions: Tensor | None) -> Any:
        """Return what is known after one more observation.

        Args:
            evidence: as returned by ``prior`` or by the previous update.
            observations: float32 ``[B, N, O]``.
            actions: int64 ``[B, N]``, which led here; agent ``n`` may know ``[:, n]`` only. None at the first step.
        """

    @abstractmethod
    def marginals(self, evidence: Any) -> tuple[Tensor, ...]:
        """Return, for each hidden variable, log-probabilities float32 ``[B, N, V]``."""

    def initial_memory(self, keys: Tensor) -> PosteriorMemory:
        """Know the rules only."""
        return PosteriorMemory(self.player.initial_memory(keys), self.prior(keys), None)

    def act(self, observations: Tensor, memory: PosteriorMemory) -> tuple[Tensor, PosteriorMemory]:
        """Learn from what is seen, and draw random actions."""
        evidence = self.update(memory.evidence, observations, memory.actions)
        actions, player = self.player.act(observations, memory.player)
        return actions, PosteriorMemory(player, evidence, actions)

    def with_actions(self, memory: PosteriorMemory, actions: Tensor) -> PosteriorMemory:
        """Be told which actions were really taken."""
        return memory._replace(actions=actions)

    def belief(self, memory: PosteriorMemory) -> tuple[Tensor, ...]:
        """See ``marginals``."""
        return self.marginals(memory.evidence)


class Believing:
    """Play one policy and believe as another one does from the same history."""

    def __init__(self, policy: Policy, believer: BeliefPolicy) -> None:
        self.policy = policy
        self.believer = believer

    def initial_memory(self, keys: Tensor) -> tuple[Any, Any]:
        """Remember what both remember."""
        return self.policy.initial_memory(keys), self.believer.initial_memory(keys)

    def act(self, observations: Tensor, memory: tuple[Any, Any]) -> tuple[Tensor, tuple[Any, Any]]:
        """Let the policy act; the believer is told what was done."""
        actions, playing = self.policy.act(observations, memory[0])
        _, believing = self.believer.act(observations, memory[1])
        return actions, (playing, tell(self.believer, believing, actions))

    def with_actions(self, memory: tuple[Any, Any], actions: Tensor) -> tuple[Any, Any]:
        """Tell both which actions were really taken."""
        return tell(self.policy, memory[0], actions), tell(self.believer, memory[1], actions)

    def belief(self, memory: tuple[Any, Any]) -> tuple[Tensor, ...]:
        """Return the believer's belief."""
        return self.believer.belief(memory[1])


def log_normalised(weights: Tensor) -> Tensor:
    """Return the logarithm of nonnegative weights ``[..., V]`` divided by their sum, float32.

    Where all are zero, as may happen beyond an episode's end, the result is uniform.
    """
    total = weights.sum(-1, keepdim=True)
    uniform = torch.full_like(weights, 1.0 / weights.shape[-1])
    return torch.where(total > 0, weights / total.clamp(min=1e-300), uniform).log().to(torch.float32)
