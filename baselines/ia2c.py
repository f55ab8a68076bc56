"""IA2C and IA2C++: actor-critics that predict from noisy reports what the other agents do.

One learner; what stands for the others is a parameter: the ``configuration`` of all of them (IA2C++ CF; with one other
agent, IA2C) or that of the ``neighbours``, which divided by their number is the mean action (IA2C++ MF). Sources: *Many
Agent Reinforcement Learning Under Partial Observability*, arXiv 2106.09825, section 3.2; He, Banerjee & Doshi,
*Cooperative-Competitive Reinforcement Learning with History-Dependent Rewards*, AAMAS 2021. Where this differs from
them, ``README.md`` says so and why.

What made teams of a hundred find a majority of one: a critic of the whole configuration; its targets centred on a value
of the public observation; and predictions that know when the others have settled into roles (``model_filter``).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from baselines.ia2c_team import Team
from baselines.networks import ACTIVATIONS
from baselines.organization import note_policy
from benchmark.episodes.policy import Policy
from benchmark.harness.protocol import Setting

# What the paper and the released code have; see README.md.
PUBLISHED: Mapping[str, Any] = {
    "critic": "per-configuration",
    "critic_learns_from": "predicted",
    "actor_width": 200,
    "actor_activation": "relu",
    "critic_width": 200,
    "shared_critic": False,
    "centred": False,
    "huber": False,
    "actor_rate": 1e-6,
    "critic_rate": 1e-5,
    "decay_from": 1.0,
    "second_moment": 0.999,
    "critic_updates": 10,
    "batch": 300,
    "replay": 300,
    "entropy": 0.001,
    "entropy_share": float("inf"),
    "samples": 1,
    "floor": 0.0,
    "balance": 1.0,
    "collect": 10,
}


@dataclass(frozen=True)
class IA2C:
    """Hyper-parameters.

    Attributes:
        summary: what stands for the others: ``configuration`` or ``neighbours``; or ``nothing``, which hides them from
            critics of counts.
        reward: what agents learn from: ``team``, ``neighbourhood`` or ``individual``.
        preset: ``scalable``, or ``faithful``, which sets everything named in ``PUBLISHED``.
        critic: ``counts`` (an input of counts) or ``per-configuration`` (an output for each).
        critic_learns_from: ``true`` configurations (centralised training) or ``predicted`` ones. Actors always learn
            from predictions.
        own_action: how it enters a critic of counts, see ``CountCritic``.
        advantage: ``counterfactual`` (Q less its mean under the policy) or ``td`` (the paper's).
        gamma: discount per step.
        actor_rate: learning rate of the actors (Adam) at the start.
        decay_from: share of the budget from which it falls to 0, linearly.
        second_moment: of the actors' Adam.
        critic_rate: learning rate of the critics (Adam).
        critic_updates: of each round; the actors are updated once.
        batch: rows per critic update.
        replay: rows kept for each critic: one that knows the latest batch only forgets where the majority tips.
        entropy: weight of the actors' entropy at the start, times 1 / N: what one agent can change in a team's reward.
        entropy_share: share of the budget over which it falls to 0, linearly.
        floor: probability below which no action is pushed, see ``policy_loss``.
        balance: power to which a public observation's share of the batch weighs it. 1 is the policy gradient's own
            weight; below 1 the start, at which an optimal episode spends two steps of thirty, is learned as well.
        collect: episodes of each run between two updates, but for budgets that would allow fewer than 600 updates or
            more than 2,500.
        actor_width: units of the actors' tanh layer; their second layer has half as many.
        actor_activation: of the second layer: ``leaky-relu``, or ``relu`` (the paper's), which can die.
        critic_width: units of the critics' tanh layer.
        shared_actor: whether the agents of a run have one actor.
        shared_critic: whether the agents of a run have one critic.
        centred: whether critics learn what a step earns beyond what is usual there, see ``centred_target``.
        huber: whether critics minimise the Huber loss, which bankruptcies do not dominate, or squares.
        samples: configurations drawn from each prediction.
        memory: of the others' mean policy, see ``PopulationFilter``.
        spread_memory: of how far they are from it.
        settled: prior probability, at the end, that the others have fixed roles; it grows linearly from 0.
        settled_share: share of the budget over which it grows; the rest is left for the last swaps.
    """

    summary: str = "configuration"
    reward: str = "team"
    preset: str = "scalable"
    critic: str = "counts"
    critic_learns_from: str = "true"
    own_action: str = "merged"
    advantage: str = "counterfactual"
    gamma: float = 0.9
    actor_rate: float = 3e-3
    decay_from: float = 0.8
    second_moment: float = 0.99
    critic_rate: float = 3e-3
    critic_updates: int = 4
    batch: int = 512
    replay: int = 60_000
    entropy: float = 0.8
    entropy_share: float = 0.3
    floor: float = 5e-4
    balance: float = 0.5
    collect: int = 4
    actor_width: int = 64
    actor_activation: str = "leaky-relu"
    critic_width: int = 64
    shared_actor: bool = False
    shared_critic: bool = True
    centred: bool = True
    huber: bool = True
    samples: int = 16
    memory: float = 0.01
    spread_memory: float = 0.1
    settled: float = 0.99
    settled_share: float = 0.7

    def __post_init__(self) -> None:
        allowed = {
            "summary": ("configuration", "neighbours", "nothing"),
            "preset": ("scalable", "faithful"),
            "critic": ("counts", "per-configuration"),
            "critic_learns_from": ("true", "predicted"),
            "advantage": ("counterfactual", "td"),
            "actor_activation": tuple(ACTIVATIONS),
        }
        for name, values in allowed.items():
            if getattr(self, name) not in values:
                raise ValueError(f"{name}={getattr(self, name)!r} is unknown; allowed: {', '.join(values)}")
        for name in ("entropy_share", "settled_share"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}={getattr(self, name)!r} must be above 0: it is a share of the budget")
        if self.summary == "nothing" and self.critic != "counts":
            raise ValueError(f"summary='nothing' needs critic='counts', not {self.critic!r}")

    def train(self, setting: Setting) -> Iterator[Policy]:
        """Train R x N stacked actors; yield their greedy policy after every update."""
        config = replace(self, preset="scalable", **PUBLISHED) if self.preset == "faithful" else self
        team = Team(config, setting)
        collect = max(1, setting.budget // 2500, min(config.collect, setting.budget // 600))
        yield team.policy(greedy=True)
        while setting.remaining:
            episodes = min(collect, setting.remaining)
            steps = team.steps(setting.rollout(team.policy(), episodes))
            if setting.remaining == 0:
                team.note_beliefs(steps)
            team.learn(steps, episodes)
            setting.count_updates(1)
            yield team.policy(greedy=True)
        note_policy(setting, team.probabilities)
