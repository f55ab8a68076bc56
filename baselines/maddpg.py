"""MADDPG and MADDPG++: centralised critics, decentralised actors, others' policies inferred from noisy reports.

One learner; what stands for the other agents in the critic is a parameter: their joint action (``joint``: MADDPG), how
many of them chose each action (``configuration``: MADDPG++ CF), or how many of the neighbours did (``neighbours``:
MADDPG++ MF). Sources: Lowe, Wu, Tamar, Harb, Abbeel & Mordatch, *Multi-Agent Actor-Critic for Mixed
Cooperative-Competitive Environments*, NeurIPS 2017 (with its inferred policies, section 4.2); arXiv 2106.09825, section
3. Where this differs from them, ``README.md`` says so and why.

What made it learn: critics that learn from a long memory while actors learn from what the others did lately; an own
action that enters the critic merged into the counts, and linearly (see ``Critic``); counts measured in their running
standard deviation; bankruptcies that count no worse than they must. ``README.md`` has the numbers.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from baselines.maddpg_team import Team
from baselines.networks import ACTIVATIONS
from benchmark.episodes.policy import Policy
from benchmark.harness.protocol import Setting

# The settings of the released MADDPG (openai/maddpg); what it does not have is switched off.
PUBLISHED: Mapping[str, Any] = {
    "gamma": 0.95,
    "actor_rate": 1e-2,
    "critic_rate": 1e-2,
    "batch": 1024,
    "actor_batch": 1024,
    "latest": 1_000_000,
    "capacity": 1_000_000,
    "target_rate": 0.01,
    "gradient_limit": 0.5,
    "actor_activation": "relu",
    "logit_penalty": 1e-3,
    "entropy": 0.0,
    "collect": 3,
    "updates": 1,
    "floor": -math.inf,
    "memory": 0.999,
    "decay": False,
    "merged": False,
    "huber": False,
    "shared_critic": False,
}


@dataclass(frozen=True)
class MADDPG:
    """Hyper-parameters.

    Attributes:
        summary: what stands for the others: ``joint``, ``configuration`` or ``neighbours``.
        reward: what agents learn from: ``team``, ``neighbourhood`` or ``individual``.
        floor: the least that a step counts: bankruptcies (-100) are learned as no worse than this.
        memory: of the actors' Adam for squared gradients (beta2); those of early bankruptcies are soon forgotten.
        preset: ``scalable``, or ``faithful``, which sets everything named in ``PUBLISHED``.
        gamma: discount per step.
        actor_rate: learning rate of the actors (Adam).
        critic_rate: learning rate of the critics (Adam).
        inference_rate: learning rate of the inferred policies (Adam).
        scale_rate: share by which the unit of counts moves at each critic update.
        decay: whether the actors' learning rate falls linearly to 0.
        entropy: weight of the actors' entropy at the start, times 1 / N: what one agent can change in a team's reward.
        entropy_share: share of the budget over which it falls to 0, linearly.
        inference_entropy: weight of the inferred policies' entropy.
        temperature: of the relaxed actions.
        logit_penalty: weight of the actors' mean squared logit.
        batch: steps per critic update.
        actor_batch: steps per actor update.
        latest: how many of the latest steps actors learn from; what others did long ago is not what they do.
        capacity: steps kept for replay.
        collect: episodes of each run between two rounds of updates, but for budgets that would allow fewer than 500
            rounds or more than 2,500.
        updates: of critics and actors, in each round.
        target_rate: share by which target networks follow at each critic update.
        gradient_limit: largest Euclidean norm of one network's gradient.
        hidden: units of each of the two hidden layers, of actors and critics.
        actor_activation: of the actors' hidden layers: ``leaky-relu``, or ``relu``, which can die; critics have ReLU.
        merged: whether the own action enters the critic merged with the others', see ``Critic``.
        huber: whether critics minimise the Huber loss, which bankruptcies do not dominate, or squares.
        shared_critic: whether the agents of a run have one critic.
    """

    summary: str = "configuration"
    reward: str = "team"
    preset: str = "scalable"
    floor: float = -4.0
    memory: float = 0.99
    gamma: float = 0.9
    actor_rate: float = 1e-3
    critic_rate: float = 3e-3
    inference_rate: float = 0.03
    scale_rate: float = 0.02
    decay: bool = True
    entropy: float = 0.27
    entropy_share: float = 0.5
    inference_entropy: float = 1e-3
    temperature: float = 1.0
    logit_penalty: float = 0.0
    batch: int = 512
    actor_batch: int = 128
    latest: int = 300
    capacity: int = 6000
    collect: int = 10
    updates: int = 2
    target_rate: float = 0.05
    gradient_limit: float = 10.0
    hidden: int = 64
    actor_activation: str = "leaky-relu"
    merged: bool = True
    huber: bool = True
    shared_critic: bool = True

    def __post_init__(self) -> None:
        for name, allowed in (("preset", ("scalable", "faithful")), ("actor_activation", tuple(ACTIVATIONS))):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name}={getattr(self, name)!r} is unknown; allowed: {', '.join(allowed)}")

    def train(self, setting: Setting) -> Iterator[Policy]:
        """Train R x N actors and R or R x N critics, stacked; yield the actors' greedy policy after every round."""
        settings = replace(self, **PUBLISHED) if self.preset == "faithful" else self
        yield from Team(settings, setting).rounds()
