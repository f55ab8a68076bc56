"""The exact posterior as a belief: what a learned belief could be at best, in the place of a learned one.

Diagnostic. What a learner cannot do with this one, the belief is not to blame for.
"""

from typing import Any

import torch
from torch import Tensor

from baselines.hidden import Hidden
from benchmark.episodes.policy import BeliefPolicy, with_actions
from benchmark.episodes.rollout import Episodes
from benchmark.tasks.streams import policy_keys
from benchmark.tasks.task import Task

# Stands for the logarithm of zero, which nothing could be normalised with.
_NEVER = -1e4


class ExactBelief:
    """A task's exact posterior with the interface of a learned belief; it serves any number of runs.

    Args:
        task: whose hidden variables are believed in.
        posterior: a policy whose ``belief`` is exact; how it acts does not matter.
        device: where beliefs are read.
    """

    def __init__(self, task: Task, posterior: BeliefPolicy, device: torch.device | str = "cpu") -> None:
        self.posterior = posterior
        self.runs = 1
        self.hidden = Hidden(task.hidden_variables, device)

    @property
    def features(self) -> int:
        """F, the length of the belief vector ``b``; ``Hidden`` says what is in it."""
        return self.hidden.features

    def initial_memory(self, keys: Tensor) -> Any:
        """Start every episode at the prior."""
        return self.posterior.initial_memory(keys)

    def step(self, observations: Tensor, memory: Any) -> Any:
        """See observations ``[B, N, O]``."""
        return self.posterior.act(observations, memory)[1]

    def with_actions(self, memory: Any, actions: Tensor) -> Any:
        """Remember the actions ``[B, N]`` that were taken after the latest observation."""
        return with_actions(self.posterior, memory, actions)

    def read(self, memory: Any) -> Tensor:
        """Return the belief vectors ``b``, float32 ``[B, N, F]``, after the latest observation."""
        return self.hidden.vector(tuple(value.clamp(min=_NEVER) for value in self.log_probabilities(memory)))

    def log_probabilities(self, memory: Any) -> tuple[Tensor, ...]:
        """Return log-probabilities ``[B, N, V]`` for every hidden variable."""
        return self.posterior.belief(memory)

    @torch.no_grad()
    def encode(self, episodes: Episodes) -> Tensor:
        """Return the belief vectors along whole episodes, float32 ``[B, T + 1, N, F]``: what stepping gives."""
        memory, vectors = self.initial_memory(policy_keys(episodes.keys)), []
        horizon = episodes.actions.shape[1]
        for step in range(horizon + 1):
            memory = self.step(episodes.observations[:, step], memory)
            vectors.append(self.read(memory))
            if step < horizon:
                memory = self.with_actions(memory, episodes.actions[:, step])
        return torch.stack(vectors, 1)
