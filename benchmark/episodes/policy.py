"""What acts: a policy maps what each agent has seen to its action, all episodes of a batch at once."""

from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from benchmark.tasks.streams import below, bits, chance


@runtime_checkable
class Policy(Protocol):
    """A policy for all agents of a team, in a batch of B episodes.

    Execution is decentralised: the action of agent ``n`` may depend on the observations ``[:, n]`` of that agent up
    to now and on nothing else. The batch says nothing either: episode ``b`` is played as it would be played alone.

    A policy trained as R stacked runs acts for all of them: the batch is run-major, so the first ``B / R`` episodes
    are run 0's (``observations.unflatten(0, (R, -1))``).

    A policy may also offer ``belief(memory)`` (see ``BeliefPolicy``) and, if its memory holds the action that it
    chose, ``with_actions(memory, actions)``, which returns the memory with the actions ``[B, N]`` that were really
    taken in place of those just chosen. The harness calls it wherever it overrides a choice.
    """

    def initial_memory(self, keys: Tensor) -> Any:
        """Return the memory at the start of every episode: any structure; only the policy reads it.

        Args:
            keys: int64 ``[B]``, one private key per episode from which a randomised policy may draw
                (``streams.bits(keys, step, purpose, lanes)``). A deterministic policy uses its length and device.
        """
        ...

    def act(self, observations: Tensor, memory: Any) -> tuple[Tensor, Any]:
        """Choose the actions of this step.

        Args:
            observations: float32 ``[B, N, O]``.
            memory: as returned by ``initial_memory`` or the previous step. It must not be changed in place.

        Returns:
            Actions int64 ``[B, N]`` and the next memory.
        """
        ...


@runtime_checkable
class BeliefPolicy(Policy, Protocol):
    """A policy that says what it believes about the task's hidden variables.

    One of several runs may have ``shared_beliefs = True``: what it believes depends on keys, observations and actions
    alone, not on the run. Its beliefs are then scored once for all runs.
    """

    def belief(self, memory: Any) -> tuple[Tensor, ...]:
        """Return each agent's belief after its latest ``act``.

        Returns:
            For every hidden variable, log-probabilities float32 ``[B, N, V]`` over its V values, in their order.
        """
        ...


class RandomPolicy:
    """Every agent draws uniformly among all actions, at every step."""

    def __init__(self, agents: int, actions: int) -> None:
        self.agents = agents
        self.actions = actions

    def initial_memory(self, keys: Tensor) -> tuple[Tensor, int]:
        """Remember the keys and the step."""
        return keys, 0

    def act(self, observations: Tensor, memory: tuple[Tensor, int]) -> tuple[Tensor, tuple[Tensor, int]]:
        """Draw ``[B, N]`` actions from this step's stream."""
        keys, step = memory
        return below(bits(keys, step, "random-policy", self.agents), self.actions), (keys, step + 1)


class ConstantPolicy:
    """Every agent repeats one action for ever."""

    def __init__(self, actions: Tensor | list[int]) -> None:
        self.actions = torch.as_tensor(actions)  # [N]

    def initial_memory(self, keys: Tensor) -> None:
        """Remember nothing."""

    def act(self, observations: Tensor, memory: None) -> tuple[Tensor, None]:
        """Return the same joint action for every episode."""
        return self.actions.to(observations.device).expand(observations.shape[:2]), None


class NoisyPolicy:
    """Play another policy, but let each agent take a uniformly drawn action with a fixed probability.

    The inner policy is told which actions were taken (``with_actions``), as an exploring agent would know.
    """

    def __init__(self, policy: Policy, probability: float | Tensor, actions: int) -> None:
        self.policy = policy
        self.probability = probability
        self.actions = actions

    def initial_memory(self, keys: Tensor) -> tuple[Tensor, int, Any]:
        """Remember the keys, the step and the inner policy's memory."""
        return keys, 0, self.policy.initial_memory(keys)

    def act(self, observations: Tensor, memory: tuple[Tensor, int, Any]) -> tuple[Tensor, tuple[Tensor, int, Any]]:
        """Let the inner policy choose ``[B, N]``, then replace some choices."""
        keys, step, inner = memory
        chosen, inner = self.policy.act(observations, inner)
        random_bits = bits(keys, step, "noisy-policy", observations.shape[1])
        taken = torch.where(chance(random_bits, self.probability), below(random_bits, self.actions), chosen)
        return taken, (keys, step + 1, with_actions(self.policy, inner, taken))


def with_actions(policy: Policy, memory: Any, actions: Tensor) -> Any:
    """Tell a policy which actions were really taken, if it keeps them in its memory."""
    correct = getattr(policy, "with_actions", None)
    return correct(memory, actions) if correct else memory


class PlaybackPolicy:
    """Repeat recorded actions ``[B, T, N]``: with the episodes' keys this replays them."""

    def __init__(self, actions: Tensor) -> None:
        self.actions = actions

    def initial_memory(self, keys: Tensor) -> int:
        """Start at step 0."""
        return 0

    def act(self, observations: Tensor, memory: int) -> tuple[Tensor, int]:
        """Return the actions recorded for this step."""
        return self.actions[:, memory].to(observations.device, torch.int64), memory + 1
