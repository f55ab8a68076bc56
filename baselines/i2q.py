"""Belief-I2Q and Rec.-I2Q: independent Q-learners that reckon with the best the others could do.

To an independent learner the others are part of the world, and while they explore it is a poor one. I2Q values
*pairs of states*, which no explorer spoils: ``Qss(x, x')`` is what it is worth to get from ``x`` to ``x'``. A model
``f(x, a)`` proposes a next state that is possible and worth much; ``Q(x, a)`` is the better of what came and what is
proposed. In deterministic games this is what ``a`` is worth if all others act best. Sources: Jiang & Lu, *I2Q: A Fully
Decentralized Q-Learning Algorithm*, NeurIPS 2022; Pritz & Leung, arXiv 2504.08417, where ``x = [o, b]`` with a frozen
belief ``b`` (Belief-I2Q), or ``x = [o, h]`` with the state ``h`` of a recurrent network (Rec.-I2Q).

Taken literally the three losses diverge: ``f`` leaves the data for states that nobody has seen, and the maximum
believes them. ``README.md`` lists what was changed and what each change is worth.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from baselines.belief import BeliefForm
from baselines.belief_cache import prepare_belief
from baselines.exact_belief import ExactBelief
from baselines.i2q_networks import Networks, foreseen, report, start_value
from baselines.i2q_rules import States, by_expectile, by_forward_model
from baselines.losses import chosen, masked_mean, regression_loss
from baselines.networks import clip_gradients, note_parameters, polyak
from baselines.pretraining import Pretraining
from baselines.recurrent import scaling
from baselines.replay import Replay, Sequences
from baselines.summaries import Belief, BeliefHistory, BeliefPolicy, GRUHistory, ObservationHistory, ValuePolicy
from baselines.value_learner import ValueLearner, return_unit
from benchmark.episodes.policy import Policy
from benchmark.episodes.rollout import Episodes
from benchmark.harness.protocol import Setting, per_run
from benchmark.measures.posterior import exact_posterior

# The released code's numbers and choices (with one transition for each of a batch's episodes).
AS_RELEASED: dict[str, Any] = {
    "gamma": 0.99,
    "trace": 0.0,
    "learning_rate_end": 1e-3,
    "target_rate": 0.005,
    "gradient_limit": 1e9,
    "exploration_share": 1.0,
    "persistence": 0.0,
    "updates_per_episode": 10.0,
    "batch": 128,
    "window": 1,
    "capacity": 10_000,
    "input_scale": 0.0,
    "optimism": 0.0,
    "form": "forward",
    "foresees": "observation",
    "slips": True,
}


class Parts(NamedTuple):
    """What a learner is made of."""

    networks: Networks
    encode: Callable[[Episodes], Tensor]  # episodes to what the replay holds, [B, T + 1, N, ...]
    policy: Callable[..., ValuePolicy]  # of networks, and arguments for exploration


@dataclass(frozen=True)
class I2Q(ValueLearner):
    """What both learners share. Hyper-parameters that are not listed are those of ``ValueLearner``.

    Attributes:
        target_rate: share by which the target network follows at each update.
        window: steps that a batch takes of each episode, from any step on; 0 takes whole episodes.
        input_scale: as there; 0 leaves inputs as they are.
        optimism: lambda, how much ``f`` prefers what is worth more, in units of the mean ``|Qss|`` of the batch.
        foresees: what of ``x`` Qss and ``f`` are about, see ``foreseen``.
        form: ``"forward"`` has ``f``. ``"expectile"`` is the form of I2Q's own recurrent release: a value ``V(x)`` at
            an expectile of ``Qss(x, x')`` stands for the best next state, and nothing is proposed.
        tau: that expectile.
        mix: the share of ``V`` in the targets of Q, in the expectile form; the rest is double Q-learning.
        slips: make the released code's slips: ends are bootstrapped through, the belief that follows is the one that
            was there before, ``f`` predicts states and not changes, the last action is never explored, the latest
            weights act.
        preset: ``"as-released"`` puts ``AS_RELEASED`` in the place of whatever is set.
    """

    target_rate: float = 0.05
    window: int = 0
    optimism: float = 0.1
    foresees: str = "compact"
    form: Literal["forward", "expectile"] = "expectile"
    tau: float = 0.52
    mix: float = 0.2
    slips: bool = False
    preset: Literal["", "as-released"] = ""

    def __post_init__(self) -> None:
        for name, allowed in (("form", ("forward", "expectile")), ("preset", ("", "as-released"))):
            if getattr(self, name) not in allowed:
                raise ValueError(f"i2q: {name}={getattr(self, name)!r} is unknown; allowed: {', '.join(allowed[-2:])}")

    def build(self, setting: Setting) -> Parts:
        """Return what to learn with."""
        raise NotImplementedError

    def train(self, setting: Setting) -> Iterator[Policy]:
        """Train R x N stacked networks; yield the greedy policy of the target networks after every round."""
        if self.preset:
            yield from replace(self, preset="", **AS_RELEASED).train(setting)
            return
        online, encode, policy = self.build(setting)
        note_parameters(setting, online)
        target = copy.deepcopy(online).requires_grad_(False)
        optimiser = torch.optim.Adam(online.parameters(), fused=True)
        replay = Replay(setting.run_keys, min(self.capacity, setting.budget))
        collect = min(self.collect, max(1, setting.budget // 20))
        explored = online.actions - self.slips
        # The target network is a running average of the online one: its greedy policy is the steadier of the two.
        greedy = policy(online if self.slips else target)
        unit = torch.ones(setting.runs, 1, 1, 1)
        facts: dict[str, Tensor] = {}
        yield greedy
        while setting.remaining:
            behaviour = policy(online, self.epsilon_at(setting.progress), self.persistence, explored)
            played = setting.rollout(behaviour, min(collect, setting.remaining))
            if replay.size == 0:
                unit = return_unit(played, setting.runs)
            rewards = (per_run(played.rewards, setting.runs) / unit).flatten(0, 1)
            stored = encode(played)
            replay.add(replace(played, rewards=rewards), stored)
            for group in optimiser.param_groups:
                group["lr"] = self.learning_rate_at(setting.progress)
            while setting.updates < round(setting.episodes_used * self.updates_per_episode):
                loss, facts = self.loss(online, target, replay.sample(self.batch, self.window or None))
                optimiser.zero_grad()
                loss.sum().backward()
                facts["gradient_norm"] = clip_gradients(online.parameters(), self.gradient_limit)
                optimiser.step()
                polyak(target, online, self.target_rate)
                setting.count_updates(1)
            report(setting, facts | {"start_value": start_value(online, stored) * unit[..., 0, 0]})
            yield greedy

    def loss(self, online: Networks, target: Networks, batch: Sequences) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the sum of each network's losses, ``[R, N]``, and what there is to say about them, ``[R, N]`` each.

        All states are those of the target network but Q's own: its loss alone teaches a GRU.
        """
        x, s = online.states(batch.observations, batch.actions), target.states(batch.observations, batch.actions)
        if self.slips:
            batch = batch._replace(discount=torch.ones_like(batch.discount))
        q = online.q(x)
        states = States(q, s, batch)
        if self.form == "forward":
            stale = online.observation if self.slips else None
            losses, ideal, hope = by_forward_model(online, target, states, self.gamma, self.trace, self.optimism, stale)
        else:
            losses, ideal, hope = by_expectile(online, target, states, self.gamma, self.trace, self.tau, self.mix)
        losses["loss_q"] = regression_loss(chosen(q[..., :-1, :], batch.actions), ideal, batch.mask)
        facts = {name: values.detach() for name, values in losses.items()}
        return torch.stack(list(losses.values())).sum(0), facts | {"hope": masked_mean(hope, batch.mask)}

    def networks(self, setting: Setting, size: int, hidden: int = 0) -> Networks:
        """Return networks for ``x`` of length ``size + hidden``."""
        entries = foreseen(self.foresees, setting.task.observation_layout, size + hidden, setting.device)
        return Networks(
            setting.run_keys,
            setting.task,
            size,
            self.width,
            entries,
            hidden=hidden,
            expectile=self.form == "expectile",
            residual=not self.slips,
        )


@dataclass(frozen=True)
class BeliefI2Q(I2Q):
    """Belief-I2Q: ``x = [o, b]``.

    Attributes:
        belief: learned on the offline dataset before, the exact posterior, or none at all.
        samples: m, decodings of a learned belief that are averaged.
        beta: weight of the divergence when it is learned, see ``Pretraining``.
        variance: whether ``b`` has standard deviations besides means.
        belief_episodes: of the offline dataset, that it learns from; all if there are fewer.
        belief_updates: at most so many gradient updates of it.
        belief_updates_per_episode: nor more than so many for each episode of a run's budget, lest a first look be
            spent on the belief; suites standard and full have episodes enough for all updates.
    """

    belief: Literal["learned", "exact", "none"] = "learned"
    samples: int = 2
    beta: float = 8.0
    variance: bool = True
    belief_episodes: int = 20_000
    belief_updates: int = 8000
    belief_updates_per_episode: int = 10

    def build(self, setting: Setting) -> Parts:
        """See ``I2Q``."""
        scale = scaling(setting.task.observation_layout, self.input_scale, setting.device)
        if self.belief == "none":
            memoryless = ObservationHistory(scale)
            networks = self.networks(setting, memoryless.size)
            return Parts(networks, memoryless.encode, lambda nets, *explore: ValuePolicy(nets.q, memoryless, *explore))
        history = BeliefHistory(self.believe(setting), scale, self.input_scale, self.variance)
        networks = self.networks(setting, history.size)
        return Parts(networks, history.encode, lambda nets, *explore: BeliefPolicy(nets.q, history, *explore))

    def believe(self, setting: Setting) -> Belief:
        """Return the belief, frozen.

        Raises:
            ValueError: if there is none of that name, or none for the task.
        """
        if self.belief == "exact":
            return ExactBelief(setting.task, exact_posterior(setting.task), setting.device)
        if self.belief != "learned":
            raise ValueError(f"belief-i2q: belief={self.belief!r} is unknown; allowed: learned, exact, none")
        loss = "as-released" if self.slips else "elbo"
        updates = min(self.belief_updates, self.belief_updates_per_episode * setting.budget)
        config = Pretraining(BeliefForm(samples=self.samples), loss, self.beta, updates=updates)
        return prepare_belief(setting, config, episodes=self.belief_episodes)


@dataclass(frozen=True)
class RecI2Q(I2Q):
    """Rec.-I2Q: ``x = [o, h]``, ``h`` the state of a GRU that learns along.

    In the forward form Q, which alone teaches the GRU, learns from a Qss that knows only what the GRU remembers
    already: memory comes slowly. In the expectile form Q's targets hold rewards.

    Attributes:
        hidden: units of the GRU.
    """

    hidden: int = 64

    def build(self, setting: Setting) -> Parts:
        """See ``I2Q``."""
        if self.window:
            raise ValueError(f"rec-i2q: window={self.window} must be 0: memory starts where episodes start")
        task, scale = setting.task, scaling(setting.task.observation_layout, self.input_scale, setting.device)
        networks = self.networks(setting, task.observation_layout.size, self.hidden)

        def policy(nets: Networks, *explore: Any) -> ValuePolicy:
            return ValuePolicy(nets.q, GRUHistory(nets.gru, scale, nets.actions), *explore)

        return Parts(networks, lambda played: scale(played.observations), policy)
