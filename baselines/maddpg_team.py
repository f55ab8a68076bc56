"""The actors, critics and inferred policies of R MADDPG teams, trained together."""

import copy
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import huber_loss

from baselines.maddpg_critic import Critic
from baselines.networks import MLP, clip_gradients, note_parameters, polyak
from baselines.organization import (
    TablePolicy,
    count_others,
    heard,
    learning_reward,
    note_policy,
    organization_task,
    public_index,
    public_size,
    report_noise,
)
from baselines.others import Others
from baselines.policy_losses import gumbel_softmax, inferred_policy_loss
from baselines.steps import StepReplay
from benchmark.episodes.policy import Policy
from benchmark.episodes.rollout import Episodes
from benchmark.harness.protocol import Setting, per_run
from benchmark.tasks.organization import ACTIONS
from benchmark.tasks.streams import below, bits, uniform
from benchmark.tasks.task import one_hot

if TYPE_CHECKING:
    from baselines.maddpg import MADDPG


class Team:
    """The networks of R runs and what is done to them, round by round."""

    def __init__(self, settings: "MADDPG", setting: Setting) -> None:
        self.settings, self.setting = settings, setting
        self.task = organization_task(setting.task, "maddpg")
        self.layout, device = self.task.observation_layout, setting.device
        self.view = Others(self.task, settings.summary)
        runs, agents, publics = setting.runs, self.task.agents, public_size(self.layout)
        self.critics = 1 if settings.shared_critic else agents
        self.critic = Critic(setting.run_keys, self.view, publics, self.critics, settings.hidden, settings.merged)
        sizes = (publics, settings.hidden, settings.hidden, len(ACTIONS))
        self.actor = MLP(setting.run_keys, agents, sizes, "actor", settings.actor_activation)
        self.critic_target, self.actor_target = copy.deepcopy(self.critic), copy.deepcopy(self.actor)
        self.inferred = nn.Parameter(torch.zeros(runs, agents, publics, len(ACTIONS), device=device))
        note_parameters(setting, self.actor, self.critic, self.inferred)
        self.facts: dict[str, Tensor] = {}
        self.replay = StepReplay(setting.run_keys, min(settings.capacity, setting.budget * self.task.horizon))
        self.publics = torch.eye(publics, device=device).expand(runs, agents, -1, -1)
        self.pure = torch.eye(len(ACTIONS), device=device)
        self.noise = report_noise(self.task, device)
        betas = (0.9, settings.memory)
        self.critic_optimiser = torch.optim.Adam(self.critic.parameters(), settings.critic_rate, fused=True)
        self.actor_optimiser = torch.optim.Adam(self.actor.parameters(), settings.actor_rate, betas, fused=True)
        self.inference_optimiser = torch.optim.Adam([self.inferred], settings.inference_rate, fused=True)

    def rounds(self) -> Iterator[Policy]:
        """Play, learn, yield; until the budget is used."""
        settings, setting = self.settings, self.setting
        collect = max(1, setting.budget // 2500, min(settings.collect, setting.budget // 500))
        yield TablePolicy(self.layout, self.policies(), greedy=True)
        while setting.remaining:
            behaviour = TablePolicy(self.layout, self.policies())
            self.remember(setting.rollout(behaviour, min(collect, setting.remaining)))
            for _ in range(settings.updates):
                self.update_critics(self.replay.sample(settings.batch))
                self.update_actors(self.replay.sample(settings.actor_batch, settings.latest))
            setting.count_updates(settings.updates)
            self.note()
            if not setting.remaining:
                self.note_predictions()
            yield TablePolicy(self.layout, self.policies(), greedy=True)

    def note(self) -> None:
        """Tell the greedy policies and the last losses."""
        note_policy(self.setting, self.policies())
        for run in range(self.setting.runs):
            self.setting.note(run, **{name: float(values[run].mean()) for name, values in self.facts.items()})

    @torch.no_grad()
    def note_predictions(self) -> None:
        """Tell how well the others are predicted, on the latest steps.

        ``others_policy_error``: mean absolute difference between inferred and true probabilities of others' actions.
        ``configuration_log_likelihood``: of what agent 0's others did, in nats a step, if all of them act by what it
        infers of their mean policy.
        """
        batch = self.replay.sample(self.settings.batch, self.settings.latest)
        inferred, counts = self.inferred.softmax(-1), partial(count_others, self.task, neighbours=self.view.local)
        true = counts(self.policies().transpose(1, 2)).transpose(1, 2)
        share = one_hot(batch["public"], true.shape[2]).mean(1)
        error = (inferred - true / true.sum(-1, keepdim=True)).abs().mean((1, 3))
        happened = counts(one_hot(batch["actions"].to(torch.int64), len(ACTIONS)))[:, :, 0]  # [R, S, A]
        log_policy = inferred[:, 0].log().gather(1, batch["public"][..., None].expand_as(happened))
        ways = (happened.sum(-1) + 1).lgamma() - (happened + 1).lgamma().sum(-1)
        log_likelihood = (ways + (happened * log_policy).sum(-1)).mean(1)
        for run in range(self.setting.runs):
            self.setting.note(
                run,
                others_policy_error=round(float((error[run] * share[run]).sum()), 6),
                configuration_log_likelihood=round(float(log_likelihood[run]), 5),
            )

    @torch.no_grad()
    def policies(self) -> Tensor:
        """Return what the actors do: probabilities ``[R, N, P, A]``."""
        return self.actor(self.publics).softmax(-1)

    def remember(self, episodes: Episodes) -> None:
        """Store steps: the public observation before and after, who did what, what each learns from and heard."""
        public = public_index(self.layout, episodes.observations[:, :, 0])
        steps = {
            "public": public[:, :-1],
            "following": public[:, 1:],
            "actions": episodes.actions.to(torch.uint8),
            "rewards": learning_reward(self.task, episodes, self.settings.reward).clamp(min=self.settings.floor),
            "reports": heard(self.task, episodes.observations[:, 1:], self.view.local),
        }
        runs = self.setting.runs
        self.replay.add(**{name: per_run(values, runs).flatten(1, 2) for name, values in steps.items()})

    def update_critics(self, batch: Mapping[str, Tensor]) -> None:
        """Fit the inferred policies, then the critics, to sampled steps."""
        settings = self.settings
        self.infer(batch)
        chosen = one_hot(batch["actions"].to(torch.int64), len(ACTIONS))
        agent = self.viewers(chosen)
        own, seen, rewards = (
            self.of_viewers(values, agent) for values in (chosen, self.view.seen(chosen), batch["rewards"])
        )
        public, following = (batch[name][:, None].expand_as(agent) for name in ("public", "following"))
        if settings.merged:
            self.critic.measure(seen + self.view.place(own, agent), settings.scale_rate)
            self.critic_target.measure_like(self.critic)
        run = torch.arange(len(agent), device=agent.device)[:, None, None]
        target = rewards + settings.gamma * self.following_values()[run, agent, following]
        error = self.critic(public, own, agent, seen) - target
        loss = (huber(error) if settings.huber else error.square()).mean(2)
        self.critic_optimiser.zero_grad()
        loss.sum().backward()
        clip_gradients(self.critic.parameters(), settings.gradient_limit)
        self.critic_optimiser.step()
        polyak(self.critic_target, self.critic, settings.target_rate)
        polyak(self.actor_target, self.actor, settings.target_rate)
        self.facts["critic_loss"] = loss.detach()

    def viewers(self, chosen: Tensor) -> Tensor:
        """Return whose steps the critics learn from, int64 ``[R, K, S]``: each its agent's, a shared one anybody's."""
        runs, count, agents, _ = chosen.shape
        if self.critics == agents:
            return torch.arange(agents, device=chosen.device)[:, None].expand(runs, -1, count)
        return below(bits(self.setting.run_keys, self.replay.drawn, "viewers", count), agents)[:, None]

    def of_viewers(self, values: Tensor, agent: Tensor) -> Tensor:
        """Pick ``[R, S, N, ...]`` by viewers ``[R, K, S]``: ``[R, K, S, ...]``."""
        run = torch.arange(len(agent), device=agent.device)[:, None, None]
        return values[run, torch.arange(agent.shape[2], device=agent.device), agent]

    def infer(self, batch: Mapping[str, Tensor]) -> None:
        """Raise the likelihood of what was heard, under each agent's opinion of its others' mean policy."""
        where = one_hot(batch["public"], self.publics.shape[-1])
        reports = torch.einsum("rsp,rsna->rnpa", where, batch["reports"])
        loss = inferred_policy_loss(self.inferred, reports, self.noise, self.settings.inference_entropy)
        self.inference_optimiser.zero_grad()
        loss.sum().backward()
        self.inference_optimiser.step()

    @torch.no_grad()
    def following_values(self) -> Tensor:
        """Return ``Q'`` ``[R, N, P]`` of the target actors' actions, if all others act as each agent infers."""
        runs, agents, publics, actions = self.inferred.shape
        seen = self.view.expected(self.inferred.softmax(-1))[..., None, :].expand(-1, -1, -1, actions, -1)
        values = self.of_pure_actions(
            self.critic_target,
            torch.arange(publics, device=seen.device)[:, None].expand(runs, agents, -1, actions),
            seen,
        )
        return (self.actor_target(self.publics).softmax(-1) * values).sum(-1)

    def of_pure_actions(self, critic: Critic, public: Tensor, seen: Tensor) -> Tensor:
        """Value each pure action: ``public [R, N, S, A]`` and ``seen [R, N, S, A, D]`` to ``[R, N, S, A]``."""
        own = self.pure.expand(*public.shape, -1)
        agent = torch.arange(public.shape[1], device=public.device)[:, None, None].expand_as(public)
        shape = (public.shape[0], self.critics, -1)
        rows = [public.reshape(shape), own.reshape(*shape, own.shape[-1]), agent.reshape(shape)]
        return critic(*rows, seen.reshape(*shape, seen.shape[-1])).view(public.shape)

    def update_actors(self, batch: Mapping[str, Tensor]) -> None:
        """Raise the critics' opinion of the actors' relaxed actions."""
        settings, setting = self.settings, self.setting
        actions = batch["actions"].to(torch.int64)
        table = self.actor(self.publics)  # [R, N, P, A]
        spread = (*actions.transpose(1, 2).shape, len(ACTIONS))
        logits = table.gather(2, batch["public"][:, None, :, None].expand(spread))  # [R, N, S, A]
        draws = uniform(bits(setting.run_keys, self.replay.drawn, "gumbel", logits[0].numel())).view(spread)
        value = self.of_actors(batch["public"], actions, gumbel_softmax(logits, draws, settings.temperature))
        share = one_hot(batch["public"], table.shape[2]).mean(1)[:, None]  # [R, 1, P]
        log_policy = table.log_softmax(-1)
        entropy = (-(log_policy.exp() * log_policy).sum(-1) * share).sum(-1)
        penalty = (table.square().mean(-1) * share).sum(-1)
        weight = settings.entropy / self.task.agents * max(0.0, 1 - setting.progress / settings.entropy_share)
        loss = -value.mean(-1) - weight * entropy + settings.logit_penalty * penalty
        for group in self.actor_optimiser.param_groups:
            group["lr"] = settings.actor_rate * ((1 - setting.progress) if settings.decay else 1)
        self.actor_optimiser.zero_grad()
        loss.sum().backward()
        clip_gradients(self.actor.parameters(), settings.gradient_limit)
        self.actor_optimiser.step()
        self.facts["entropy"] = entropy.detach()

    def of_actors(self, public: Tensor, actions: Tensor, relaxed: Tensor) -> Tensor:
        """Value relaxed actions ``[R, N, S, A]`` beside what the others did, int64 ``[R, S, N]``: ``[R, N, S]``."""
        chosen = one_hot(actions, len(ACTIONS))
        if not self.settings.merged:
            seen = self.view.seen(chosen).transpose(1, 2)  # [R, N, S, D]
            agent = torch.arange(seen.shape[1], device=seen.device)[:, None].expand(seen.shape[:3])
            shape = (len(seen), self.critics, -1)
            rows = [public[:, None].expand_as(agent).reshape(shape), relaxed.reshape(*shape, len(ACTIONS))]
            return self.critic(*rows, agent.reshape(shape), seen.reshape(*shape, seen.shape[-1])).view(agent.shape)
        with torch.no_grad():
            alike = self.settings.shared_critic and self.view.summary == "configuration"
            # One critic, and everybody counts everybody: who chose alike sees alike. Three rows a step in place of N.
            seen = (chosen.sum(2, keepdim=True) - self.pure if alike else self.view.seen(chosen)).transpose(1, 2)
            shape = (*seen.shape[:3], len(ACTIONS))
            spread = seen[..., None, :].expand(*shape, -1)
            values = self.of_pure_actions(self.critic, public[:, None, :, None].expand(shape), spread)
            if alike:
                values = values.gather(1, actions.transpose(1, 2)[..., None].expand_as(relaxed))
        return (relaxed * values).sum(-1)


def huber(error: Tensor) -> Tensor:
    """Return ``e^2 / 2`` up to 1, ``|e| - 1 / 2`` beyond."""
    return huber_loss(error, torch.zeros_like(error), reduction="none")
