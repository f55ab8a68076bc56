"""The agents of IA2C and IA2C++ while they learn: actors, critics, belief filters, and what goes between them."""

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from baselines.actor_critic import (
    centred_target,
    counterfactual_advantage,
    huber_loss,
    policy_loss,
    sampled_policy_loss,
    table_values,
    td_advantage,
)
from baselines.critics import Actor, ConfigurationCritic, CountCritic
from baselines.model_filter import PopulationFilter, Prediction
from baselines.networks import note_parameters
from baselines.organization import (
    TablePolicy,
    count_others,
    heard,
    learning_reward,
    organization_task,
    public_index,
    public_size,
    report_noise,
)
from baselines.steps import StepReplay
from benchmark.episodes.rollout import Episodes
from benchmark.harness.protocol import Setting
from benchmark.tasks.organization import PUBLIC, Organization
from benchmark.tasks.organization_pair import OrganizationPair
from benchmark.tasks.task import Layout, one_hot

if TYPE_CHECKING:
    from baselines.ia2c import IA2C

_MOST_EXACT = 300  # others, of whom a configuration's exact probability is asked


class Steps(NamedTuple):
    """The steps of one batch, run by run; B = episodes * T."""

    public: Tensor  # int64 [R, B]: what was seen
    following: Tensor  # int64 [R, B]: what was seen next
    actions: Tensor  # int64 [R, N, B]
    rewards: Tensor  # float32 [R, N, B]: what agents learn from
    others: Tensor  # float32 [R, N, B, A]: what the others did
    reports: Tensor  # float32 [R, B, N, A]: what was heard of it


class Team:
    """Actors, critics and belief filters of R runs of N agents.

    Args:
        config: hyper-parameters, preset applied.
        setting: task, runs and budget.
    """

    def __init__(self, config: "IA2C", setting: Setting) -> None:
        self.config, self.setting = config, setting
        self.task = organization_task(setting.task, "ia2c")
        self.local = config.summary == "neighbours"
        self.seen = int(config.summary != "nothing")  # counts of the others reach the critics times this
        self.layout = self.task.observation_layout
        keys, agents, publics = setting.run_keys, self.task.agents, public_size(self.layout)
        features = public_features(self.layout).to(setting.device)
        others = count_of_others(self.task, self.local, setting.device)
        heads = 1 if config.shared_critic else agents
        actors = 1 if config.shared_actor else agents
        self.actor = Actor(keys, actors, features, config.actor_width, config.actor_activation)
        if config.critic == "counts":
            self.critic = CountCritic(keys, heads, features, config.critic_width, config.own_action)
        elif int(others.min()) < int(others.max()):
            raise ValueError("ia2c: critic='per-configuration' needs the same number of others for every agent")
        else:
            self.critic = ConfigurationCritic(keys, heads, features, config.critic_width, int(others[0]))
        self.filter = PopulationFilter(
            (setting.runs, agents, publics),
            others,
            report_noise(self.task),
            config.memory,
            config.spread_memory,
        )
        betas = (0.9, config.second_moment)
        note_parameters(setting, self.actor, self.critic)
        self.actor_optimiser = torch.optim.Adam(self.actor.parameters(), config.actor_rate, betas, fused=True)
        self.critic_optimiser = torch.optim.Adam(self.critic.parameters(), config.critic_rate, fused=True)
        self.values = torch.zeros(setting.runs, heads, publics, device=setting.device)
        # With the team's reward and true configurations, own actions merged into them, all agents' data are the same.
        self.alike = (
            config.shared_critic
            and config.reward == "team"
            and not self.local
            and self.seen
            and config.critic_learns_from == "true"
            and config.own_action == "merged"
            and config.critic == "counts"
        )
        self.replay = StepReplay(keys, config.replay)
        self.probabilities = self._probabilities()

    @torch.no_grad()
    def _probabilities(self) -> Tensor:
        return self.actor(self.task.agents).exp()

    def policy(self, greedy: bool = False) -> TablePolicy:
        """Return the policy as it is now."""
        return TablePolicy(self.layout, self.probabilities, greedy)

    def predict(self) -> Prediction:
        """Return what agents expect of each other, who all know how long they have been learning."""
        return self.filter.predict(self.config.settled * min(1.0, self.setting.progress / self.config.settled_share))

    def steps(self, played: Episodes) -> Steps:
        """Arrange played episodes for learning."""
        runs = self.setting.runs

        def rows(values: Tensor) -> Tensor:  # [R * E, T, ...] to [R, E * T, ...]
            return values.unflatten(0, (runs, -1)).flatten(1, 2)

        public = public_index(self.layout, played.observations[:, :, 0])
        others = count_others(self.task, one_hot(played.actions, 3), self.local)
        return Steps(
            rows(public[:, :-1]),
            rows(public[:, 1:]),
            rows(played.actions).transpose(1, 2),
            rows(learning_reward(self.task, played, self.config.reward)).transpose(1, 2),
            rows(others).transpose(1, 2),
            rows(heard(self.task, played.observations[:, 1:], self.local)),
        )

    def learn(self, steps: Steps, episodes: int) -> None:
        """Hear the reports, then improve critics and actors once."""
        setting, config = self.setting, self.config
        self.filter.observe(steps.public, steps.reports, episodes)
        drawn = self.predict().sample(setting.run_keys, setting.updates, config.samples) * self.seen
        place = torch.arange(steps.public.shape[1], device=drawn.device)
        run = torch.arange(setting.runs, device=drawn.device)[:, None]
        # [R, N, B, A]: one of the draws for what was seen at each step, and at the next.
        now, then = (
            drawn.transpose(1, 2)[run, public, :, place % config.samples].transpose(1, 2)
            for public in (steps.public, steps.following)
        )
        self._learn_critic(steps, now, then)
        self._learn_actor(steps, drawn, now, then)
        self.probabilities = self._probabilities()

    def _learn_critic(self, steps: Steps, now: Tensor, then: Tensor) -> None:
        config = self.config
        counts = self._pool(steps.others if config.critic_learns_from == "true" else now) * self.seen
        self.critic.measure(counts, self._pool(steps.actions))
        data = {
            "counts": counts,
            "actions": self._pool(steps.actions),
            "rewards": self._pool(steps.rewards),
            "public": self._pool(steps.public[:, None].expand_as(steps.actions)),
            "following": self._pool(steps.following[:, None].expand_as(steps.actions)),
        }
        if config.centred:
            arguments = data["public"], data["rewards"], data["following"], config.gamma
            self.values = table_values(self.values, *arguments, rate=0.2, sweeps=5)
        else:
            data["rewards"] = data["rewards"] + config.gamma * self._pool(self._next_value(steps, then))
        # Kept with steps before critics, and drawn alike for all critics of a run.
        self.replay.add(**{name: values.transpose(1, 2) for name, values in data.items()})
        for _ in range(config.critic_updates):
            batch = {name: values.transpose(1, 2) for name, values in self.replay.sample(config.batch).items()}
            target = batch["rewards"]
            if config.centred:
                target = centred_target(self.values, batch["public"], target, batch["following"], config.gamma)
            estimate = self.critic.taken(batch["public"], batch["counts"], batch["actions"])
            loss = huber_loss(estimate, target) if config.huber else (estimate - target).square().mean(-1)
            self.critic_optimiser.zero_grad()
            loss.sum().backward()
            self.critic_optimiser.step()

    def _learn_actor(self, steps: Steps, drawn: Tensor, now: Tensor, then: Tensor) -> None:
        config, progress = self.config, self.setting.progress
        entropy = config.entropy / self.task.agents * max(0.0, 1 - progress / config.entropy_share)
        log_policy = self.actor(self.task.agents)
        if config.advantage == "counterfactual":
            publics, samples = drawn.shape[2:4]
            public = torch.arange(publics, device=drawn.device).repeat_interleave(samples).expand(*drawn.shape[:2], -1)
            q = self._all_actions(public, drawn.flatten(2, 3)).unflatten(2, (publics, samples)).mean(3)
            advantage = counterfactual_advantage(q, log_policy.detach().exp())
            share = one_hot(steps.public, publics).mean(1)[:, None] ** config.balance
            loss = policy_loss(log_policy, advantage, share, entropy, config.floor)
        else:
            public = steps.public[:, None].expand_as(steps.actions)
            q = self._all_actions(public, now).gather(-1, steps.actions[..., None])[..., 0]
            advantage = td_advantage(steps.rewards, q, self._next_value(steps, then), config.gamma)
            log_policy = log_policy.gather(2, public[..., None].expand(*public.shape, 3))
            loss = sampled_policy_loss(log_policy, steps.actions, advantage, entropy)
        for group in self.actor_optimiser.param_groups:
            group["lr"] = config.actor_rate * min(1.0, (1 - progress) / max(1e-9, 1 - config.decay_from))
        self.actor_optimiser.zero_grad()
        loss.sum().backward()
        self.actor_optimiser.step()

    def _next_value(self, steps: Steps, then: Tensor) -> Tensor:
        """Return ``sum_a pi(a | o') Q(o', a, C')`` ``[R, N, B]`` for the predicted C'."""
        public = steps.following[:, None].expand_as(steps.actions)
        policy = self.probabilities.gather(2, public[..., None].expand(*public.shape, 3))
        return (policy * self._all_actions(public, then)).sum(-1)

    @torch.no_grad()
    def _all_actions(self, public: Tensor, counts: Tensor) -> Tensor:
        """Ask the critics: int64 ``[R, N, B]`` and ``[R, N, B, A]`` to ``[R, N, B, A]``."""
        if not self.config.shared_critic:
            return self.critic(public, counts)
        flat = self.critic(public.flatten(1, 2)[:, None], counts.flatten(1, 2)[:, None])
        return flat[:, 0].unflatten(1, public.shape[1:])

    def _pool(self, values: Tensor) -> Tensor:
        """Give data ``[R, N, B, ...]`` to critics as ``[R, G, B', ...]``."""
        if not self.config.shared_critic:
            return values
        return values[:, :1] if self.alike else values.flatten(1, 2)[:, None]

    @torch.no_grad()
    def note_beliefs(self, steps: Steps) -> None:
        """Put into each run's record how well the others are predicted before their last batch is heard of.

        ``others_policy_error``: mean absolute difference between predicted and true probabilities of the others'
        actions. ``configuration_log_likelihood``: of what agent 0's others did, in nats a step; its exact distribution
        has ``n^2 / 2`` entries, so that teams beyond ``_MOST_EXACT`` are not asked for it.
        """
        prediction, agents = self.predict(), self.filter.agents[:, None, None]
        policies = count_others(self.task, self.probabilities.transpose(1, 2), self.local).transpose(1, 2) / agents
        share = one_hot(steps.public, policies.shape[2]).mean(1)
        error = ((prediction.policy - policies).abs().mean((1, 3)) * share).sum(1)
        for run in range(self.setting.runs):
            self.setting.note(run, others_policy_error=round(float(error[run]), 6))
        if int(self.filter.agents[0]) > _MOST_EXACT:
            return
        happened = steps.others[:, 0].to(torch.int64)
        seen = happened[:, None].expand(-1, policies.shape[2], -1, -1)
        log_likelihood = prediction.log_likelihood(seen, 0).gather(1, steps.public[:, None])[:, 0].mean(1)
        for run in range(self.setting.runs):
            self.setting.note(run, configuration_log_likelihood=round(float(log_likelihood[run]), 5))


def public_features(layout: Layout) -> Tensor:
    """Return what networks see of each public observation, float32 ``[P, F]``: one-hot, now (and before)."""
    now = torch.eye(len(PUBLIC))
    if "previous_public" not in layout.slices:
        return now
    return torch.cat((now.repeat(len(PUBLIC), 1), now.repeat_interleave(len(PUBLIC), 0)), 1)


def count_of_others(task: Organization | OrganizationPair, local: bool, device: torch.device) -> Tensor:
    """Return how many others each agent counts, int64 ``[N]``: its neighbours, or all."""
    if local and isinstance(task, Organization):
        return task.neighbourhood.degrees(device)
    return torch.full((task.agents,), task.agents - 1, device=device)
