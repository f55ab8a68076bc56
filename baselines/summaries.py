"""What a value learner acts on, ``x = [observation, summary of the history]``, and how it acts.

The summary is a belief, which was learned before and stays as it is, or the state of a recurrent network that learns
along. ``History`` is what both have in common.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from baselines.hidden import Hidden
from baselines.networks import GRU, MLP
from baselines.recurrent import Scaling, exploration
from benchmark.episodes.rollout import Episodes
from benchmark.tasks.task import one_hot


class History(Protocol):
    """Turns what each agent has seen and done into ``x``; batches are run-major."""

    def initial_memory(self, keys: Tensor) -> Any:
        """Start episodes with policy keys int64 ``[B]``."""
        ...

    def step(self, observations: Tensor, memory: Any) -> tuple[Tensor, Any]:
        """See raw observations ``[B, N, O]``; return ``x [B, N, X]`` and the next memory."""
        ...

    def with_actions(self, memory: Any, actions: Tensor) -> Any:
        """Remember the actions ``[B, N]`` that were really taken."""
        ...


class Belief(Protocol):
    """A belief about a task's hidden variables, learned (``BeliefModel``) or exact (``ExactBelief``)."""

    hidden: Hidden

    @property
    def runs(self) -> int:
        """How many runs have one of their own; 1 serves all."""
        ...

    def initial_memory(self, keys: Tensor) -> Any:
        """Start episodes with policy keys int64 ``[B]``."""
        ...

    def step(self, observations: Tensor, memory: Any) -> Any:
        """See raw observations ``[B, N, O]``."""
        ...

    def with_actions(self, memory: Any, actions: Tensor) -> Any:
        """Remember the actions ``[B, N]`` that were really taken."""
        ...

    def read(self, memory: Any) -> Tensor:
        """Return belief vectors ``[B, N, F]``."""
        ...

    def log_probabilities(self, memory: Any) -> tuple[Tensor, ...]:
        """Return log-probabilities ``[B, N, V]`` for every hidden variable."""
        ...

    def encode(self, episodes: Episodes) -> Tensor:
        """Return belief vectors along whole episodes, ``[B, T + 1, N, F]``."""
        ...


class BeliefHistory:
    """``x = [o, b]``, both scaled.

    Args:
        belief: whose vectors are used.
        scale: of observations.
        input_scale: where the bounds of the belief vector's entries are put, as ``[-input_scale, input_scale]``.
        variance: whether the standard deviations are part of ``x``.
    """

    def __init__(self, belief: Belief, scale: Scaling, input_scale: float, variance: bool = True) -> None:
        self.belief = belief
        self.scale = scale
        self.belief_scale = belief_scaling(belief.hidden, input_scale)
        dimensions, device = belief.hidden.dimensions, scale.shift.device
        columns = [*range(dimensions), *range(dimensions if variance else 2 * dimensions, belief.hidden.features)]
        self.columns = torch.tensor(columns, dtype=torch.int64, device=device)

    @property
    def size(self) -> int:
        """X."""
        return len(self.scale.shift) + len(self.columns)

    def initial_memory(self, keys: Tensor) -> Any:
        """See ``History``."""
        return self.belief.initial_memory(keys)

    def step(self, observations: Tensor, memory: Any) -> tuple[Tensor, Any]:
        """See ``History``."""
        memory = self.belief.step(observations, memory)
        return self._join(observations, self.belief.read(memory)), memory

    def with_actions(self, memory: Any, actions: Tensor) -> Any:
        """See ``History``."""
        return self.belief.with_actions(memory, actions)

    def encode(self, episodes: Episodes) -> Tensor:
        """Return ``x`` along whole episodes, ``[B, T + 1, N, X]``."""
        return self._join(episodes.observations, self.belief.encode(episodes))

    def _join(self, observations: Tensor, vectors: Tensor) -> Tensor:
        return torch.cat((self.scale(observations), self.belief_scale(vectors)[..., self.columns]), -1)


def belief_scaling(hidden: Hidden, scale: float) -> Scaling:
    """Return the scaling that puts every entry's bounds of a belief vector at ``-scale`` and ``scale``.

    Means lie between the least and the largest coordinate, standard deviations between 0 and half of that range,
    probabilities between 0 and 1. What cannot vary becomes 0. Scale 0 leaves everything as it is.
    """
    entries = list(hidden.coordinates.values())
    device = entries[0].places.device if entries else None
    low = torch.cat([entry.places.amin(0) for entry in entries]) if entries else torch.zeros(0)
    high = torch.cat([entry.places.amax(0) for entry in entries]) if entries else torch.zeros(0)
    rest = torch.ones(hidden.features - 2 * hidden.dimensions, device=device)
    lowest = torch.cat((low, torch.zeros_like(low), torch.zeros_like(rest)))
    if scale == 0:
        return Scaling(torch.zeros_like(lowest), torch.ones_like(lowest))
    half_range = (torch.cat((high, (high - low) / 2, rest)) - lowest) / 2
    return Scaling(lowest + half_range, torch.where(half_range > 0, scale / half_range, 0.0))


class ObservationHistory:
    """``x = o``, scaled: no memory at all."""

    def __init__(self, scale: Scaling) -> None:
        self.scale = scale

    @property
    def size(self) -> int:
        """X."""
        return len(self.scale.shift)

    def initial_memory(self, keys: Tensor) -> None:
        """See ``History``."""

    def step(self, observations: Tensor, memory: None) -> tuple[Tensor, None]:
        """See ``History``."""
        return self.scale(observations), None

    def with_actions(self, memory: None, actions: Tensor) -> None:
        """See ``History``."""

    def encode(self, episodes: Episodes) -> Tensor:
        """Return ``x`` along whole episodes, ``[B, T + 1, N, X]``."""
        return self.scale(episodes.observations)


class GRUMemory(NamedTuple):
    """What a recurrent history carries from step to step."""

    before: Tensor  # float32 [B, N, A]: one-hot previous actions; zero at the start
    hidden: Tensor  # float32 [R, N, B / R, H]


class GRUHistory:
    """``x_t = [o_t, h_t]``, ``h_t = GRU([o_t, onehot(a_{t-1})])`` of R x N networks, read at every step, not copied."""

    def __init__(self, gru: GRU, scale: Scaling, actions: int) -> None:
        self.gru, self.scale, self.actions = gru, scale, actions

    def initial_memory(self, keys: Tensor) -> GRUMemory:
        """See ``History``."""
        runs, agents = self.gru.hidden_weight.shape[:2]
        hidden = self.gru.initial_hidden(keys.shape[0] // runs)
        return GRUMemory(hidden.new_zeros(keys.shape[0], agents, self.actions), hidden)

    def step(self, observations: Tensor, memory: GRUMemory) -> tuple[Tensor, GRUMemory]:
        """See ``History``."""
        scaled, runs = self.scale(observations), memory.hidden.shape[0]
        inputs = by_network(torch.cat((scaled, memory.before), -1), runs)
        hidden = self.gru.step(inputs, memory.hidden)
        return torch.cat((scaled, hidden.transpose(1, 2).flatten(0, 1)), -1), memory._replace(hidden=hidden)

    def with_actions(self, memory: GRUMemory, actions: Tensor) -> GRUMemory:
        """See ``History``."""
        return memory._replace(before=one_hot(actions, self.actions))


def by_network(values: Tensor, runs: int) -> Tensor:
    """View run-major ``[B, N, ...]`` as ``[R, N, B / R, ...]``."""
    return values.unflatten(0, (runs, -1)).transpose(1, 2)


class ValueMemory(NamedTuple):
    """What a value policy carries from step to step."""

    keys: Tensor  # int64 [B]
    step: int
    history: Any
    bout: Tensor  # int64 [B, N]: exploratory actions of the step before, -1 for none


class ValuePolicy:
    """Act greedily on ``Q(x)``, but for bouts of exploration.

    Args:
        q: of R runs; the batch is run-major. It is read at every step, not copied.
        history: gives ``x``.
        epsilon: share of exploratory steps, see ``exploration``.
        persistence: see ``exploration``.
        explored: exploration draws from so many of the actions, the first ones; None is all.
    """

    def __init__(
        self, q: MLP, history: History, epsilon: float = 0.0, persistence: float = 0.0, explored: int | None = None
    ) -> None:
        self.q = q
        self.history = history
        self.epsilon = epsilon
        self.persistence = persistence
        self.explored = explored or q.outputs

    def initial_memory(self, keys: Tensor) -> ValueMemory:
        """Start every episode with a fresh history and no bout."""
        return ValueMemory(keys, 0, self.history.initial_memory(keys), keys.new_full((len(keys), self.q.agents), -1))

    @torch.no_grad()
    def act(self, observations: Tensor, memory: ValueMemory) -> tuple[Tensor, ValueMemory]:
        """Choose actions ``[B, N]`` from observations ``[B, N, O]``; each agent sees its own row only."""
        x, history = self.history.step(observations, memory.history)
        greedy = self.q(by_network(x, self.q.runs)).argmax(-1).transpose(1, 2).flatten(0, 1)
        bout = exploration(memory.bout, memory.keys, memory.step, self.explored, self.epsilon, self.persistence)
        actions = torch.where(bout >= 0, bout, greedy)
        history = self.history.with_actions(history, actions)
        return actions, ValueMemory(memory.keys, memory.step + 1, history, bout)

    def with_actions(self, memory: ValueMemory, actions: Tensor) -> ValueMemory:
        """Remember the actions ``[B, N]`` that were really taken."""
        return memory._replace(history=self.history.with_actions(memory.history, actions))


class BeliefPolicy(ValuePolicy):
    """A value policy whose history is a belief, and which tells it."""

    history: BeliefHistory

    @property
    def shared_beliefs(self) -> bool:
        """Whether one belief serves all runs."""
        return self.history.belief.runs == 1

    def belief(self, memory: ValueMemory) -> Sequence[Tensor]:
        """Return log-probabilities ``[B, N, V]`` for every hidden variable."""
        return self.history.belief.log_probabilities(memory.history)
