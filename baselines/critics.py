"""Actors of public observations, and critics of an own action and of how many others choose each action.

Axes: R runs, G critics of a run (N, or 1 that its agents share), B rows, P public observations, A actions. Both critics
answer ``critic(public, counts)`` with the values of all own actions: int64 ``[R, G, B]`` and float32 ``[R, G, B, A]``
to float32 ``[R, G, B, A]``. ``counts`` are those of the others.
"""

import torch
from torch import Tensor, nn

from baselines.configuration import configurations, rank
from baselines.networks import ACTIVATIONS, Linear

OWN_ACTIONS = ("merged", "index", "both")
# Counts are never measured in a smaller unit, so that one agent always makes a difference that a network can see.
_LEAST_UNIT = 0.5


class Actor(nn.Module):
    """The paper's actor: one tanh and one ReLU layer from the public observation to the logits of A actions.

    With ReLU a large step can leave an agent without a single active unit. From then on it cannot tell observations
    apart.

    Args:
        run_keys: int64 ``[R]``.
        heads: N, or 1 that all agents of a run share.
        features: ``[P, F]``, what the network sees of each public observation.
        width: units of the tanh layer; the second layer has half as many.
        activation: of the second layer, one of ``ACTIVATIONS``.
    """

    def __init__(self, run_keys: Tensor, heads: int, features: Tensor, width: int, activation: str) -> None:
        super().__init__()
        first, second = width, width // 2
        self.activation = ACTIVATIONS[activation]
        self.features = features.expand(len(run_keys), heads, *features.shape)
        self.first = Linear(run_keys, heads, features.shape[1], first, "actor/first")
        self.second = Linear(run_keys, heads, first, second, "actor/second")
        self.output = Linear(run_keys, heads, second, 3, "actor/output")

    def forward(self, agents: int) -> Tensor:
        """Return the log-probabilities of all N agents at all public observations, ``[R, N, P, A]``."""
        hidden = self.activation(self.second(torch.tanh(self.first(self.features))))
        return torch.log_softmax(self.output(hidden), -1).expand(-1, agents, -1, -1)


class CountCritic(nn.Module):
    """One hidden tanh layer over the public observation and the counts, in their running mean and spread.

    The own action enters ``merged`` into the counts (``Q(o, a, C) = F(o, C + e_a)``: what one agent changes is learned
    from everybody's variation), by its own ``index`` (errors in predicted counts do not wash it out), or ``both``.

    Args:
        run_keys: int64 ``[R]``.
        heads: G.
        features: ``[P, F]``, what the network sees of each public observation.
        width: hidden units.
        own_action: one of ``OWN_ACTIONS``.
        rate: share by which the unit of counts moves at each update.
    """

    def __init__(
        self, run_keys: Tensor, heads: int, features: Tensor, width: int, own_action: str, rate: float = 0.02
    ) -> None:
        super().__init__()
        if own_action not in OWN_ACTIONS:
            raise ValueError(f"own_action={own_action!r} is unknown; allowed: {', '.join(OWN_ACTIONS)}")
        self.own_action, self.rate, self.features = own_action, rate, features
        inputs = features.shape[1] + (3 if own_action == "merged" else 6)
        self.hidden = Linear(run_keys, heads, inputs, width, "critic/hidden")
        self.output = Linear(run_keys, heads, width, 1, "critic/output")
        self.mean = torch.zeros(len(run_keys), heads, 1, 3, device=run_keys.device)
        self.unit = torch.zeros_like(self.mean)
        self.measured = False

    @torch.no_grad()
    def measure(self, counts: Tensor, actions: Tensor) -> None:
        """Let the unit of counts follow a batch: others' counts ``[R, G, B, 3]``, own actions int64 ``[R, G, B]``."""
        seen = counts + self._merged(torch.nn.functional.one_hot(actions, 3))
        rate = self.rate if self.measured else 1.0
        self.mean = torch.lerp(self.mean, seen.mean(2, keepdim=True), rate)
        self.unit = torch.lerp(self.unit, seen.std(2, keepdim=True, correction=0), rate)
        self.measured = True

    def _merged(self, own: Tensor) -> Tensor:
        return torch.zeros_like(own) if self.own_action == "index" else own

    def _value(self, public: Tensor, counts: Tensor, own: Tensor) -> Tensor:
        scaled = (counts + self._merged(own) - self.mean) / self.unit.clamp(min=_LEAST_UNIT)
        parts = [self.features[public], scaled]
        if self.own_action != "merged":
            parts.append(own.to(scaled.dtype).expand_as(scaled))
        return self.output(torch.tanh(self.hidden(torch.cat(parts, -1))))[..., 0]

    def taken(self, public: Tensor, counts: Tensor, actions: Tensor) -> Tensor:
        """Return the values of the own actions that were taken, int64 ``[R, G, B]``, as ``[R, G, B]``."""
        return self._value(public, counts, torch.nn.functional.one_hot(actions, 3))

    def forward(self, public: Tensor, counts: Tensor) -> Tensor:
        """Return the values of all own actions."""
        own = torch.eye(3, dtype=torch.int64, device=counts.device)
        return torch.stack([self._value(public, counts, action) for action in own], -1)


class ConfigurationCritic(nn.Module):
    """The paper's critic: one hidden tanh layer over the observation, one linear output for each (own action, C).

    With one other agent these are the joint actions of IA2C. Parameters grow with the number of configurations:
    ``3 * width * (n + 1)(n + 2) / 2`` for each agent and run.

    Args:
        run_keys: int64 ``[R]``.
        heads: G.
        features: ``[P, F]``.
        width: hidden units.
        others: n, the same for all agents.
    """

    def __init__(self, run_keys: Tensor, heads: int, features: Tensor, width: int, others: int) -> None:
        super().__init__()
        self.features = features
        self.outputs = len(configurations(others, 3))
        self.hidden = Linear(run_keys, heads, features.shape[1], width, "critic/hidden")
        self.output = Linear(run_keys, heads, width, 3 * self.outputs, "critic/output")

    def measure(self, counts: Tensor, actions: Tensor) -> None:
        """Configurations need no unit."""

    def taken(self, public: Tensor, counts: Tensor, actions: Tensor) -> Tensor:
        """Return the values of the own actions that were taken, int64 ``[R, G, B]``, as ``[R, G, B]``."""
        return self(public, counts).gather(-1, actions[..., None])[..., 0]

    def forward(self, public: Tensor, counts: Tensor) -> Tensor:
        """Return the values of all own actions; counts must be whole."""
        runs, heads = self.hidden.weight.shape[:2]
        seen = self.features.expand(runs, heads, *self.features.shape)
        table = self.output(torch.tanh(self.hidden(seen))).unflatten(-1, (3, self.outputs))  # [R, G, P, A, C]
        run = torch.arange(runs, device=public.device)[:, None, None]
        head = torch.arange(heads, device=public.device)[:, None]
        return table[run, head, public, :, rank(counts.to(torch.int64))]
