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
from benchmark.episodes.policy import Policy
from benchmark.episodes.rollout import Episodes
from benchmark.harness.protocol import Setting, per_run

NETWORKS = {"history": RecurrentQ, "none": MemorylessQ}


@dataclass(frozen=True)
class RecHystIQL:
    """Hyper-parameters; the same for every task.

    Attributes:
        beta: weight of negative temporal-difference errors; 1 is plain Q-learning.
        gamma: discount per step.
        trace: lambda of the returns; 0 is the one-step target.
        learning_rate: of Adam, at the start.
        learning_rate_end: of Adam, at the end of the budget; linear in between.
        target_rate: share by which the target network follows at each update.
        gradient_limit: largest Euclidean norm of one network's gradient.
        epsilon: share of exploratory steps at the start.
        epsilon_end: share of exploratory steps at the end of exploration.
        exploration_share: share of the budget over which it falls, linearly.
        persistence: probability that an exploratory action is repeated; 0 is plain epsilon-greedy.
        collect: episodes played between two rounds of updates (at most a twentieth of the budget).
        updates_per_episode: gradient updates for each episode played.
        batch: whole episodes per update.
        capacity: episodes kept for replay.
        hidden: units of the GRU.
        width: units of each of the two hidden layers above it.
        input_scale: where the bounds of the observations are put, as ``[-input_scale, input_scale]``.
        memory: what an action may depend on: the whole ``"history"``, or with ``"none"`` the latest observation only, a
            diagnostic that asks what memory is worth. (What the *state* is worth, a task suffixed ``reveal=1`` tells.)

    Raises:
        ValueError: if ``memory`` is neither.
    """

    beta: float = 0.4
    gamma: float = 0.97
    trace: float = 0.8
    learning_rate: float = 1e-3
    learning_rate_end: float = 1e-4
    target_rate: float = 0.02
    gradient_limit: float = 10.0
    epsilon: float = 0.6
    epsilon_end: float = 0.0
    exploration_share: float = 0.7
    persistence: float = 0.7
    collect: int = 20
    updates_per_episode: float = 2.0
    batch: int = 8
    capacity: int = 5000
    hidden: int = 64
    width: int = 128
    input_scale: float = 2.0
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

    def epsilon_at(self, progress: float) -> float:
        """Return the share of exploratory steps when a share ``progress`` of the budget is used."""
        fallen = min(1.0, progress / self.exploration_share)
        return self.epsilon + (self.epsilon_end - self.epsilon) * fallen

    def learning_rate_at(self, progress: float) -> float:
        """Return the learning rate when a share ``progress`` of the budget is used."""
        return self.learning_rate + (self.learning_rate_end - self.learning_rate) * progress

    def loss(self, online: RecurrentQ, target: RecurrentQ, batch: Sequences) -> tuple[Tensor, Tensor]:
        """Return each network's loss and its mean greedy value at the start of an episode, both ``[R, N]``."""
        q = online(batch.observations, batch.actions)
        with torch.no_grad():
            q_target = target(batch.observations, batch.actions)
        values = double_q_values(q, q_target)
        returns = lambda_returns(batch.rewards, self.gamma * batch.discount, values[..., 1:], self.trace)
        loss = hysteretic_td_loss(q[..., :-1, :], batch.actions, returns, batch.mask, self.beta)
        return loss, values[..., 0].mean(2)


def return_unit(episodes: Episodes, runs: int) -> Tensor:
    """Return the unit in which each run counts rewards: the standard deviation of its agents' returns, at least 1.

    Taken from the first episodes and kept. It leaves tasks with returns around 1 alone and brings those with returns
    in the hundreds within reach of one learning rate.

    Returns:
        float32 ``[R, 1, 1, 1]``, to divide rewards ``[R, E, T, N]``.
    """
    returns = per_run(episodes.rewards.sum(1), runs)  # [R, E, N]
    return returns.flatten(1).std(1, correction=0).clamp(min=1.0)[:, None, None, None]
