"""What acts: a policy maps what each agent has seen to its action, all episodes of a batch at once."""

from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from benchmark.tasks.streams import below, bits


@runtime_checkable
class Policy(Protocol):
    """A policy for all agents of a team, in a batch of B episodes.

    Execution is decentralised: the action of agent ``n`` may depend on the observations ``[:, n]`` of that agent up
    to now and on nothing else. The batch says nothing either: episode ``b`` is played as it would be played alone.

    A policy trained as R stacked runs acts for all of them: the batch is run-major, so the first ``B / R`` episodes
    are run 0's (``observations.unflatten(0, (R, -1))``).

    A policy may also offer ``belief(memory)``; see ``BeliefPolicy``.
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
    """A policy that says what it believes about the task's hidden variables."""

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
