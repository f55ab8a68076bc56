"""Transforms of any task: the same world with something taken away from the agents' control or sight."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmark.tasks.picture import Picture
from benchmark.tasks.streams import below, bits, chance
from benchmark.tasks.task import HiddenVariable, Layout, Task, Transition


@dataclass(frozen=True)
class Transform(Task):
    """A task that behaves like ``task`` except where a subclass says otherwise."""

    task: Task

    @property
    def agents(self) -> int:
        """See ``Task``."""
        return self.task.agents

    @property
    def action_names(self) -> tuple[str, ...]:
        """See ``Task``."""
        return self.task.action_names

    @property
    def horizon(self) -> int:
        """See ``Task``."""
        return self.task.horizon

    @property
    def observation_layout(self) -> Layout:
        """See ``Task``."""
        return self.task.observation_layout

    @property
    def state_layout(self) -> Layout:
        """See ``Task``."""
        return self.task.state_layout

    @property
    def hidden_variables(self) -> tuple[HiddenVariable, ...]:
        """See ``Task``."""
        return self.task.hidden_variables

    @property
    def shared_reward(self) -> bool:
        """See ``Task``."""
        return self.task.shared_reward

    def initial_state(self, keys: Tensor) -> Any:
        """See ``Task``."""
        return self.task.initial_state(keys)

    def transition(self, state: Any, actions: Tensor, keys: Tensor, step: int) -> Transition:
        """See ``Task``."""
        return self.task.transition(state, actions, keys, step)

    def observe(self, state: Any) -> Tensor:
        """See ``Task``."""
        return self.task.observe(state)

    def state_vector(self, state: Any) -> Tensor:
        """See ``Task``."""
        return self.task.state_vector(state)

    def hidden(self, state: Any) -> Tensor:
        """See ``Task``."""
        return self.task.hidden(state)

    def draw(self, state: Any, episode: int = 0) -> str:
        """See ``Task``."""
        return self.task.draw(state, episode)

    def picture(self, state: Any, episode: int = 0) -> Picture | None:
        """See ``Task``."""
        return self.task.picture(state, episode)


@dataclass(frozen=True)
class Slip(Transform):
    """Each agent's action is replaced by a uniformly drawn one with a fixed probability; agents are not told.

    Raises:
        ValueError: if the probability lies outside ``[0, 1]``.
    """

    probability: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.probability <= 1.0:
            raise ValueError(f"slip: probability={self.probability} is outside [0, 1]")

    def transition(self, state: Any, actions: Tensor, keys: Tensor, step: int) -> Transition:
        """Replace actions, then step the inner task; ``executed`` holds what took effect."""
        random_bits = bits(keys, step, "slip", self.agents)
        # Two independent halves of one draw: the low 32 bits decide whether, the high 32 bits which.
        replaced = torch.where(
            chance(random_bits, self.probability), below(random_bits, len(self.action_names)), actions
        )
        return self.task.transition(state, replaced, keys, step)
