"""What a task is: frozen parameters and pure batched functions.

A task holds no episode. Everything that changes lives in a *state*, a NamedTuple of tensors with a leading batch
axis B, and everything random is drawn from the episode's key (see ``streams``). All episodes of a batch are at the
same step. Axis letters: B episodes, T time, N agents, O observation, H hidden variables, A actions.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from benchmark.tasks.picture import Picture


@dataclass(frozen=True)
class Field:
    """One named slice of a vector: ``size`` numbers, each within ``[low, high]``."""

    name: str
    size: int
    low: float
    high: float


@dataclass(frozen=True)
class Layout:
    """The named slices of a flat float32 vector, in order."""

    fields: tuple[Field, ...]

    @cached_property
    def size(self) -> int:
        """Length of the vector."""
        return sum(field.size for field in self.fields)

    @cached_property
    def slices(self) -> dict[str, slice]:
        """Where each field lies."""
        ends = list(accumulate(field.size for field in self.fields))
        return {field.name: slice(end - field.size, end) for field, end in zip(self.fields, ends, strict=True)}

    def unpack(self, vector: Tensor) -> dict[str, Tensor]:
        """Split ``[..., size]`` into named views ``[..., field.size]``."""
        return {name: vector[..., where] for name, where in self.slices.items()}

    def bounds(self) -> tuple[list[float], list[float]]:
        """Return the lowest and the highest value of every entry."""
        low = [field.low for field in self.fields for _ in range(field.size)]
        high = [field.high for field in self.fields for _ in range(field.size)]
        return low, high


@dataclass(frozen=True)
class HiddenVariable:
    """One variable that no single observation need reveal, with its finite set of values.

    The task reports it as an index into ``values``; a belief is a distribution over those indices.

    Attributes:
        name: for instance ``"box"``.
        kind: ``"categorical"`` (values are labels) or ``"coordinates"`` (values are ``(x, y)`` on the board).
        values: all values it can take, in index order. For coordinates, ``(-1, -1)`` means "no longer there".
        in_paper: whether the paper's u contains it; the others are what a sufficient belief needs besides.
        hexagonal: whether coordinates are axial ones on hexagons, for distances.
    """

    name: str
    kind: Literal["categorical", "coordinates"]
    values: tuple[Any, ...]
    in_paper: bool = True
    hexagonal: bool = False


class Transition(NamedTuple):
    """What one joint action leads to."""

    state: Any  # the next state, a NamedTuple of tensors [B, ...] (a transform's may hold another state)
    reward: Tensor  # float32 [B, N]
    terminated: Tensor  # bool [B]; the horizon is not a termination unless the task says so here
    executed: Tensor  # int64 [B, N]; the actions that took effect (they differ from the chosen ones under slip)


@dataclass(frozen=True)
class Task(ABC):
    """The contract of a task. Subclasses are frozen dataclasses of parameters; methods are pure.

    ``benchmark.testing.check_task`` checks an implementation against this contract.
    """

    @property
    @abstractmethod
    def agents(self) -> int:
        """Number of agents, N."""

    @property
    @abstractmethod
    def action_names(self) -> tuple[str, ...]:
        """Names of the A actions, in index order; all agents have the same."""

    @property
    @abstractmethod
    def horizon(self) -> int:
        """The largest number of steps of an episode. Reaching it truncates, unless the task terminates there."""

    @property
    @abstractmethod
    def observation_layout(self) -> Layout:
        """Layout of one agent's observation vector of length O."""

    @property
    @abstractmethod
    def state_layout(self) -> Layout:
        """Layout of the global state vector, for centralised training and for ``state()``."""

    @property
    @abstractmethod
    def hidden_variables(self) -> tuple[HiddenVariable, ...]:
        """The H hidden variables."""

    @property
    def shared_reward(self) -> bool:
        """Whether all agents receive one team reward. If not, the return of an episode sums over agents."""
        return True

    @abstractmethod
    def initial_state(self, keys: Tensor) -> Any:
        """Return the state at step 0 for episode keys int64 ``[B]``."""

    @abstractmethod
    def transition(self, state: Any, actions: Tensor, keys: Tensor, step: int) -> Transition:
        """Apply the joint action.

        Args:
            state: as returned by ``initial_state`` or an earlier transition.
            actions: int64 ``[B, N]`` in ``[0, A)``.
            keys: int64 ``[B]``.
            step: the number of transitions made before this one; the same for the whole batch.
        """

    @abstractmethod
    def observe(self, state: Any) -> Tensor:
        """Return what each agent sees, float32 ``[B, N, O]``."""

    @abstractmethod
    def state_vector(self, state: Any) -> Tensor:
        """Return the global state, float32 ``[B, S]`` laid out by ``state_layout``."""

    @abstractmethod
    def hidden(self, state: Any) -> Tensor:
        """Return the index of every hidden variable's value, int64 ``[B, H]``."""

    def draw(self, state: Any, episode: int = 0) -> str:
        """Return a text picture of one episode's state that a person understands."""
        return repr(type(state)(*(entry[episode] for entry in state)))

    def picture(self, state: Any, episode: int = 0) -> Picture | None:
        """Describe one episode's state for drawing; None means that the text of ``draw`` must do."""
        return None


def team_return(task: Task, rewards: Tensor) -> Tensor:
    """Sum rewards ``[..., T, N]`` into returns ``[...]``, in float64: over time, and over agents unless shared."""
    total = rewards.to(torch.float64).sum(-2)
    return total[..., 0] if task.shared_reward else total.sum(-1)


def one_hot(index: Tensor, size: int) -> Tensor:
    """Return float32 ``[..., size]`` with a one at ``index``."""
    return torch.nn.functional.one_hot(index, size).to(torch.float32)


def replicate(reward: Tensor, agents: int) -> Tensor:
    """Give every agent the team reward: ``[B] -> [B, N]``."""
    return reward.to(torch.float32)[:, None].expand(-1, agents)


def take(state: Any, rows: Tensor | slice | Sequence[int]) -> Any:
    """Select episodes of a state."""
    return type(state)(*(entry[rows] for entry in state))
