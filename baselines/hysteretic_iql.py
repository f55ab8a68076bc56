"""Rec.-Hyst.-IQL: independent Q-learners with memory that trust good news more than bad.

Every agent learns alone, from its own observations, actions and rewards: ``h_t = GRU([o_t, onehot(a_{t-1})])``,
``Q(h_t, a)``, hysteretic temporal-difference loss. Sources: Matignon, Laurent & Le Fort-Piat, IROS 2007; Omidshafiei,
Pazis, Amato, How & Vian, ICML 2017 (arXiv 1703.06182). Where this differs from them, ``README.md`` says so and why.

What made it learn Oracle within a minute: exploration in bouts and lambda-returns (with one-step targets hysteretic
learners believe the best return long before their greedy policy can reach it), few updates on many episodes, and
evaluating the averaged weights. ``README.md`` has the numbers.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from baselines.losses import double_q_values, hysteretic_td_loss, lambda_returns
from baselines.networks import clip_gradients, note_parameters, polyak
from baselines.recurrent import MemorylessQ, RecurrentPolicy, RecurrentQ, scaling
from baselines.replay import Replay, Sequences
from baselines.value_learner import ValueLearner, return_unit
from benchmark.episodes.policy import Policy
from benchmark.harness.protocol import Setting, per_run

NETWORKS = {"history": RecurrentQ, "none": MemorylessQ}


@dataclass(frozen=True)
class RecHystIQL(ValueLearner):
    """Hyper-parameters, besides those of ``ValueLearner``; an update takes whole episodes.

    Attributes:
        beta: weight of negative temporal-difference errors; 1 is plain Q-learning.
        target_rate: share by which the target network follows at each update.
        hidden: units of the GRU.
        memory: what an action may depend on: the whole ``"history"``, or with ``"none"`` the latest observation only, a
            diagnostic that asks what memory is worth. (What the *state* is worth, a task suffixed ``reveal=1`` tells.)

    Raises:
        ValueError: if ``memory`` is neither.
    """

    beta: float = 0.4
    target_rate: float = 0.02
    hidden: int = 64
    memory: str = "history"

    def __post_init__(self) -> None:
        if self.memory not in NETWORKS:
            raise ValueError(f"rec-hyst-iql: memory={self.memory!r} is unknown; allowed: {', '.join(NETWORKS)}")

    def train(self, setting: Setting) -> Iterator[Policy]:
        """Train R x N stacked networks; yield the greedy policy of the target networks after every round."""
        scale = scaling(setting.task.observation_layout, self.input_scale, setting.device)
        online = NETWORKS[self.memory](setting.run_keys, setting.task, self.hidden, self.width)
        note_parameters(setting, online)
        target = copy.deepcopy(online)
        optimiser = torch.optim.Adam(online.parameters(), fused=True)
        replay = Replay(setting.run_keys, min(self.capacity, setting.budget))
        collect = min(self.collect, max(1, setting.budget // 20))
        # The target network is a running average of the online one: its greedy policy is the steadier of the two.
        greedy = RecurrentPolicy(target, scale)
        unit = torch.ones(setting.runs, 1, 1, 1)
        facts: dict[str, Tensor] = {}
        yield greedy
        while setting.remaining:
            episodes = min(collect, setting.remaining)
            behaviour = RecurrentPolicy(online, scale, self.epsilon_at(setting.progress), self.persistence)
            played = setting.rollout(behaviour, episodes)
            if replay.size == 0:
                unit = return_unit(played, setting.runs)
            rewards = (per_run(played.rewards, setting.runs) / unit).flatten(0, 1)
            replay.add(replace(played, rewards=rewards), scale(played.observations))
            for group in optimiser.param_groups:
                group["lr"] = self.learning_rate_at(setting.progress)
            while setting.updates < round(setting.episodes_used * self.updates_per_episode):
                loss, value = self.loss(online, target, replay.sample(self.batch))
                optimiser.zero_grad()
                loss.sum().backward()
                norm = clip_gradients(online.parameters(), self.gradient_limit)
                optimiser.step()
                polyak(target, online, self.target_rate)
                setting.count_updates(1)
                facts = {"loss": loss.detach(), "start_value": value * unit[..., 0, 0], "gradient_norm": norm}
            for name, values in facts.items():
                for run, value in enumerate(values.mean(1).tolist()):
                    setting.note(run, **{name: value})
            yield greedy

    def loss(self, online: RecurrentQ, target: RecurrentQ, batch: Sequences) -> tuple[Tensor, Tensor]:
        """Return each network's loss and its mean greedy value at the start of an episode, both ``[R, N]``."""
        q = online(batch.observations, batch.actions)
        with torch.no_grad():
            q_target = target(batch.observations, batch.actions)
        values = double_q_values(q, q_target)
        returns = lambda_returns(batch.rewards, self.gamma * batch.discount, values[..., 1:], self.trace)
        loss = hysteretic_td_loss(q[..., :-1, :], batch.actions, returns, batch.mask, self.beta)
        return loss, values[..., 0].mean(2)
