"""What all exact filters share: a pure update by Bayes' rule, and a policy that carries it along."""

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import torch
from torch import Tensor

from benchmark.episodes.policy import Policy
from benchmark.episodes.policy import with_actions as tell
from benchmark.tasks.task import Task

# Observations are float32: what lies this little beyond the reach of noise lies within.
_ROUNDING = 1e-6


class Posterior(ABC):
    """An exact filter for one task.

    A subclass says what is known at first (``prior``), how one step of evidence changes that (``update``) and what
    follows for each hidden variable (``marginals``). All three are pure. What agent ``n`` knows may depend on its own
    observations and actions only, and on the episode's going on.
    """

    def __init__(self, task: Task) -> None:
        self.task = task

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


class Memory(NamedTuple):
    """What a ``Believing`` policy remembers."""

    playing: Any  # by the policy
    evidence: Any  # by the posterior
    actions: Tensor | None  # int64 [B, N]: taken in the latest step; None before the first one


class Believing:
    """Play a policy, and believe what follows from each agent's history if all others act at random."""

    shared_beliefs = True

    def __init__(self, policy: Policy, posterior: Posterior) -> None:
        self.policy = policy
        self.posterior = posterior

    def initial_memory(self, keys: Tensor) -> Memory:
        """Know the rules only."""
        return Memory(self.policy.initial_memory(keys), self.posterior.prior(keys), None)

    def act(self, observations: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """Learn from what is seen, and let the policy act."""
        evidence = self.posterior.update(memory.evidence, observations, memory.actions)
        actions, playing = self.policy.act(observations, memory.playing)
        return actions, Memory(playing, evidence, actions)

    def with_actions(self, memory: Memory, actions: Tensor) -> Memory:
        """Be told which actions were really taken."""
        return memory._replace(playing=tell(self.policy, memory.playing, actions), actions=actions)

    def belief(self, memory: Memory) -> tuple[Tensor, ...]:
        """Return the posterior's marginals."""
        return self.posterior.marginals(memory.evidence)


def through_noise(seen: Tensor, true: Tensor, reach: float, low: float, high: float) -> Tensor:
    """Return how likely each true value looks as it was seen, up to a factor that is the same for all of them.

    Seen is ``true + e`` cut at the bounds, ``e`` uniform in ``[-reach, reach]`` (``perturb.Noise``): a density within
    the bounds, a probability at them.

    Returns:
        float64, of the shape that ``seen`` and ``true`` broadcast to.
    """
    seen, true = torch.broadcast_tensors(seen.to(torch.float64), true.to(torch.float64))
    inside = ((seen - true).abs() <= reach + _ROUNDING).to(torch.float64)
    below, above = ((low - true) / reach + 1) / 2, ((true - high) / reach + 1) / 2
    return torch.where(seen <= low, below.clamp(min=0.0), torch.where(seen >= high, above.clamp(min=0.0), inside))


def log_normalised(weights: Tensor) -> Tensor:
    """Return the logarithm of nonnegative weights ``[..., V]`` divided by their sum, float32.

    Where all are zero, as may happen beyond an episode's end, the result is uniform.
    """
    total = weights.sum(-1, keepdim=True)
    uniform = torch.full_like(weights, 1.0 / weights.shape[-1])
    return torch.where(total > 0, weights / torch.where(total > 0, total, 1.0), uniform).log().to(torch.float32)
