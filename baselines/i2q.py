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
from typing import Literal

import torch
from torch import Tensor

from baselines.exact_belief import ExactBelief
from baselines.hysteretic_iql import return_unit
from baselines.i2q_networks import Networks, largest_return, slope_of
from baselines.losses import chosen, forward_loss, ideal_values, lambda_returns, masked_mean, regression_loss
from baselines.networks import clip_gradients, polyak
from baselines.recurrent import scaling
from baselines.replay import Replay, Sequences
from baselines.summaries import Belief, BeliefHistory, BeliefPolicy, GRUHistory, ObservationHistory, ValuePolicy
from benchmark.episodes.policy import Policy
from benchmark.episodes.rollout import Episodes
from benchmark.harness.protocol import Setting, per_run
from benchmark.measures.posterior import exact_posterior

# A run whose greedy value at the start is above the largest return by more than this share has diverged.
TOLERANCE = 0.1


@dataclass(frozen=True)
class I2Q:
    """What both learners share. Hyper-parameters not listed here mean what they mean in ``RecHystIQL``.

    Attributes:
        window: steps that a batch takes of each episode, from any step on; 0 takes whole episodes.
        optimism: lambda, how much ``f`` prefers what is worth more, in units of the mean ``|Qss|`` of the batch.
        foresees: what of ``x`` Qss and ``f`` are about.
    """

    gamma: float = 0.97
    trace: float = 0.8
    learning_rate: float = 1e-3
    learning_rate_end: float = 1e-4
    target_rate: float = 0.05
    gradient_limit: float = 10.0
    epsilon: float = 0.6
    epsilon_end: float = 0.0
    exploration_share: float = 0.7
    persistence: float = 0.7
    collect: int = 20
    updates_per_episode: float = 2.0
    batch: int = 8
    window: int = 0
    capacity: int = 5000
    width: int = 128
    input_scale: float = 2.0
    optimism: float = 0.1
    foresees: Literal["state", "observation", "positions"] = "state"

    def build(self, setting: Setting) -> tuple[Networks, Callable[[Episodes], Tensor], Callable[..., ValuePolicy]]:
        """Return networks, what turns episodes into what the replay holds, and what makes networks a policy."""
        raise NotImplementedError

    def train(self, setting: Setting) -> Iterator[Policy]:
        """Train R x N stacked networks; yield the greedy policy of the target networks after every round."""
        online, encode, policy = self.build(setting)
        target = copy.deepcopy(online).requires_grad_(False)
        optimiser = torch.optim.Adam(online.parameters(), fused=True)
        replay = Replay(setting.run_keys, min(self.capacity, setting.budget))
        collect = min(self.collect, max(1, setting.budget // 20))
        # The target network is a running average of the online one: its greedy policy is the steadier of the two.
        greedy = policy(target)
        unit = torch.ones(setting.runs, 1, 1, 1)
        facts: dict[str, Tensor] = {}
        yield greedy
        while setting.remaining:
            episodes = min(collect, setting.remaining)
            played = setting.rollout(policy(online, self.epsilon_at(setting.progress), self.persistence), episodes)
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
            facts["start_value"] = start_value(online, stored) * unit[..., 0, 0]
            report(setting, facts)
            yield greedy

    def epsilon_at(self, progress: float) -> float:
        """Return the share of exploratory steps when a share ``progress`` of the budget is used."""
        fallen = min(1.0, progress / self.exploration_share)
        return self.epsilon + (self.epsilon_end - self.epsilon) * fallen

    def learning_rate_at(self, progress: float) -> float:
        """Return the learning rate when a share ``progress`` of the budget is used."""
        return self.learning_rate + (self.learning_rate_end - self.learning_rate) * progress

    def loss(self, online: Networks, target: Networks, batch: Sequences) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the sum of each network's three losses, ``[R, N]``, and what there is to say about them.

        ``L_f = |x' - f(x, a)|^2 - lambda Qss^-(x, f(x, a))``; ``L_Qss = (Qss(x, x') - G)^2`` with the lambda-returns
        ``G`` of rewards and ``V(x') = Qss^-(x', f(x', argmax Q(x', .)))``;
        ``L_Q = (Q(x, a) - max{Qss^-(x, x'), Qss^-(x, f(x, a))})^2``. All states are those of the target network but
        Q's own: its loss alone teaches a GRU.
        """
        x, s = online.states(batch.observations, batch.actions), target.states(batch.observations, batch.actions)
        before, after = online.part(s[..., :-1, :]), online.part(s[..., 1:, :])
        q = online.q(x)
        proposed = online.propose(s[..., :-1, :], batch.actions)
        hoped, slope = slope_of(lambda y: target.worth(before, y), proposed)
        with torch.no_grad():
            seen = target.worth(before, after)
            size = masked_mean(seen.abs(), batch.mask).clamp(min=1e-3)[..., None, None, None]
            best = online.propose(s[..., 1:, :], q[..., 1:, :].argmax(-1))
            values = target.worth(after, best)
            returns = lambda_returns(batch.rewards, self.gamma * batch.discount, values, self.trace)
        losses = {
            "loss_f": forward_loss(proposed, after, self.optimism / size * slope, batch.mask),
            "loss_qss": regression_loss(online.worth(before, after), returns, batch.mask),
            "loss_q": regression_loss(chosen(q[..., :-1, :], batch.actions), ideal_values(seen, hoped), batch.mask),
        }
        facts = {name: values.detach() for name, values in losses.items()}
        return torch.stack(list(losses.values())).sum(0), facts | {"hope": masked_mean(hoped - seen, batch.mask)}


@dataclass(frozen=True)
class BeliefI2Q(I2Q):
    """Belief-I2Q: ``x = [o, b]``.

    Attributes:
        belief: a belief learned on the offline dataset before, the exact posterior, or none at all.
        variance: whether ``b`` has standard deviations besides means.
    """

    belief: Literal["learned", "exact", "none"] = "exact"
    variance: bool = True

    def build(self, setting: Setting) -> tuple[Networks, Callable[[Episodes], Tensor], Callable[..., ValuePolicy]]:
        """See ``I2Q``."""
        task, scale = setting.task, scaling(setting.task.observation_layout, self.input_scale, setting.device)
        if self.belief == "none":
            history = ObservationHistory(scale)
            kind = ValuePolicy
        else:
            history = BeliefHistory(self.believe(setting), scale, self.input_scale, self.variance)
            kind = BeliefPolicy
        kept = foreseen(self.foresees, setting, history.size)
        networks = Networks(setting.run_keys, task, history.size, self.width, kept)
        return networks, history.encode, lambda nets, *exploration: kind(nets.q, history, *exploration)

    def believe(self, setting: Setting) -> Belief:
        """Return the belief."""
        return ExactBelief(setting.task, exact_posterior(setting.task), setting.device)


@dataclass(frozen=True)
class RecI2Q(I2Q):
    """Rec.-I2Q: ``x = [o, h]``, ``h`` the state of a GRU that learns along.

    Attributes:
        hidden: units of the GRU.
    """

    hidden: int = 64

    def build(self, setting: Setting) -> tuple[Networks, Callable[[Episodes], Tensor], Callable[..., ValuePolicy]]:
        """See ``I2Q``."""
        if self.window:
            raise ValueError(f"rec-i2q: window={self.window} must be 0: memory starts where episodes start")
        task, scale = setting.task, scaling(setting.task.observation_layout, self.input_scale, setting.device)
        size, actions = task.observation_layout.size, len(task.action_names)
        kept = foreseen(self.foresees, setting, size + self.hidden)
        networks = Networks(setting.run_keys, task, size, self.width, kept, hidden=self.hidden)

        def policy(nets: Networks, epsilon: float = 0.0, persistence: float = 0.0) -> ValuePolicy:
            return ValuePolicy(nets.q, GRUHistory(nets.gru, scale, actions), epsilon, persistence)

        return networks, lambda played: scale(played.observations), policy


def foreseen(what: str, setting: Setting, size: int) -> Tensor | None:
    """Return the entries of ``x`` that Qss and f are about; None is all of them."""
    layout = setting.task.observation_layout
    if what == "state":
        return None
    if what == "observation":
        return torch.arange(layout.size, device=setting.device)
    seen = [i for name, where in layout.slices.items() if "position" in name for i in range(where.start, where.stop)]
    return torch.tensor([*seen, *range(layout.size, size)], device=setting.device)


@torch.no_grad()
def start_value(networks: Networks, stored: Tensor) -> Tensor:
    """Return each network's mean greedy value at the start of episodes ``[B, T + 1, N, O]``, ``[R, N]``."""
    first = stored[:, :1].unflatten(0, (networks.q.runs, -1)).permute(0, 3, 1, 2, 4)
    x = networks.states(first, torch.zeros_like(first[..., :0, 0], dtype=torch.int64))
    return networks.q(x).amax(-1).mean((2, 3))


def report(setting: Setting, facts: dict[str, Tensor]) -> None:
    """Note each run's facts ``[R, N]``, averaged over agents, and whether its values have left what can be."""
    largest = largest_return(setting.task_id)
    for run in range(setting.runs):
        for name, values in facts.items():
            setting.note(run, **{name: float(values[run].mean())})
        beyond = setting.notes[run]["start_value"] > largest + TOLERANCE * abs(largest)
        setting.note(run, diverged=bool(setting.notes[run].get("diverged", False) or beyond))
