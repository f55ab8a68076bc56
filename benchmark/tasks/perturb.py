"""Transforms of any task: the same world with something taken away from the agents' control or sight."""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from benchmark.tasks.picture import Picture
from benchmark.tasks.streams import below, bits, chance, uniform
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
        _check_share("slip", self.probability)

    def transition(self, state: Any, actions: Tensor, keys: Tensor, step: int) -> Transition:
        """Replace actions, then step the inner task; ``executed`` holds what took effect."""
        random_bits = bits(keys, step, "slip", self.agents)
        # Two independent halves of one draw: the low 32 bits decide whether, the high 32 bits which.
        replaced = torch.where(
            chance(random_bits, self.probability), below(random_bits, len(self.action_names)), actions
        )
        return self.task.transition(state, replaced, keys, step)


class _Remembering(NamedTuple):
    """The state of a task and what a transform adds to it."""

    inner: Any
    extra: Tensor


@dataclass(frozen=True)
class _Extended(Transform):
    """A transform whose state holds more than the inner task's: a ``_Remembering``."""

    def observe(self, state: _Remembering) -> Tensor:
        """See ``Task``."""
        return self.task.observe(state.inner)

    def state_vector(self, state: _Remembering) -> Tensor:
        """See ``Task``."""
        return self.task.state_vector(state.inner)

    def hidden(self, state: _Remembering) -> Tensor:
        """See ``Task``."""
        return self.task.hidden(state.inner)

    def draw(self, state: _Remembering, episode: int = 0) -> str:
        """See ``Task``."""
        return self.task.draw(state.inner, episode)

    def picture(self, state: _Remembering, episode: int = 0) -> Picture | None:
        """See ``Task``."""
        return self.task.picture(state.inner, episode)


@dataclass(frozen=True)
class Sticky(_Extended):
    """Each agent repeats the action that took effect last with a fixed probability; agents are not told.

    At the first step there is nothing to repeat. Source: Machado et al., *Revisiting the Arcade Learning
    Environment*, JAIR 2018, section 5, for each agent by itself.

    Raises:
        ValueError: if the probability lies outside ``[0, 1]``.
    """

    probability: float

    def __post_init__(self) -> None:
        _check_share("sticky", self.probability)

    def initial_state(self, keys: Tensor) -> _Remembering:
        """Remember no action."""
        return _Remembering(self.task.initial_state(keys), keys.new_full((len(keys), self.agents), -1))

    def transition(self, state: _Remembering, actions: Tensor, keys: Tensor, step: int) -> Transition:
        """Repeat or obey, then step the inner task; ``executed`` holds what took effect."""
        stuck = chance(bits(keys, step, "sticky", self.agents), self.probability) & (state.extra >= 0)
        result = self.task.transition(state.inner, torch.where(stuck, state.extra, actions), keys, step)
        return result._replace(state=_Remembering(result.state, result.executed))


@dataclass(frozen=True)
class Dropout(_Extended):
    """Each agent sees nothing with a fixed probability at every step: its whole observation is 0.

    Drawn for each agent and step by itself, the first one included.

    Raises:
        ValueError: if the probability lies outside ``[0, 1]``.
    """

    probability: float

    def __post_init__(self) -> None:
        _check_share("dropout", self.probability)

    def _blind(self, keys: Tensor, step: int) -> Tensor:
        return chance(bits(keys, step, "dropout", self.agents), self.probability)

    def initial_state(self, keys: Tensor) -> _Remembering:
        """Draw who is blind at the start."""
        return _Remembering(self.task.initial_state(keys), self._blind(keys, 0))

    def transition(self, state: _Remembering, actions: Tensor, keys: Tensor, step: int) -> Transition:
        """Step the inner task, then draw who is blind."""
        result = self.task.transition(state.inner, actions, keys, step)
        return result._replace(state=_Remembering(result.state, self._blind(keys, step + 1)))

    def observe(self, state: _Remembering) -> Tensor:
        """Return float32 ``[B, N, O]``, 0 for the blind."""
        return self.task.observe(state.inner).masked_fill(state.extra[..., None], 0.0)

    @property
    def observation_layout(self) -> Layout:
        """The inner task's, widened where 0 is out of bounds."""
        fields = [replace(f, low=min(f.low, 0.0), high=max(f.high, 0.0)) for f in self.task.observation_layout.fields]
        return Layout(tuple(fields))


@dataclass(frozen=True)
class Noise(_Extended):
    """Every entry of every observation is off by a uniform draw, cut at the entry's bounds.

    An entry with bounds ``[low, high]`` is off by at most ``scale * (high - low) / 2``. Drawn for each agent, entry
    and step by itself.

    Raises:
        ValueError: if the scale lies outside ``[0, 1]``.
    """

    scale: float

    def __post_init__(self) -> None:
        _check_share("noise", self.scale)

    def _errors(self, keys: Tensor, step: int) -> Tensor:
        """Return float32 ``[B, N, O]`` in ``[-1, 1)``."""
        size = self.task.observation_layout.size
        return 2.0 * uniform(bits(keys, step, "noise", self.agents * size)).unflatten(1, (self.agents, size)) - 1.0

    def initial_state(self, keys: Tensor) -> _Remembering:
        """Draw the errors of the first observation."""
        return _Remembering(self.task.initial_state(keys), self._errors(keys, 0))

    def transition(self, state: _Remembering, actions: Tensor, keys: Tensor, step: int) -> Transition:
        """Step the inner task, then draw the errors of what will be seen."""
        result = self.task.transition(state.inner, actions, keys, step)
        return result._replace(state=_Remembering(result.state, self._errors(keys, step + 1)))

    def observe(self, state: _Remembering) -> Tensor:
        """Return float32 ``[B, N, O]``."""
        seen = self.task.observe(state.inner)
        low, high = (seen.new_tensor(bound) for bound in self.observation_layout.bounds())
        return torch.clamp(seen + state.extra * self.scale * (high - low) / 2, low, high)


@dataclass(frozen=True)
class Reveal(Transform):
    """Each agent sees the whole state behind its own observation: a diagnostic, to ask what seeing less costs.

    What is revealed is ``state_vector``. It is a task of its own, so that no submission can look at the state in the
    task that it is ranked on.

    Raises:
        ValueError: if ``probability`` is not 1; a state that is seen now and then is another question.
    """

    probability: float = 1.0

    def __post_init__(self) -> None:
        if self.probability != 1.0:
            raise ValueError(f"reveal: {self.probability} must be 1")

    @property
    def observation_layout(self) -> Layout:
        """The inner task's observation, then its state."""
        state = [replace(field, name=f"state_{field.name}") for field in self.task.state_layout.fields]
        return Layout((*self.task.observation_layout.fields, *state))

    def observe(self, state: Any) -> Tensor:
        """Return float32 ``[B, N, O + S]``."""
        whole = self.task.state_vector(state)[:, None].expand(-1, self.agents, -1)
        return torch.cat((self.task.observe(state), whole), -1)


def _check_share(name: str, value: float) -> None:
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{name}: {value} is outside [0, 1]")
