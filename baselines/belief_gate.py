"""Is a belief good enough to learn with? One test for each task, on held-out histories of the random policy.

Pure functions of what is believed, so that the exact posterior and the prior can be put to the same tests. A belief
that fails is used all the same; its record says that it failed.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from baselines.hidden import Hidden
from benchmark.episodes.rollout import Episodes
from benchmark.measures.beliefs import prior
from benchmark.measures.events import exit_seen, observed, oracle_spoke
from benchmark.measures.posterior import exact_posterior
from benchmark.tasks.escape_room import EscapeRoom
from benchmark.tasks.gathering import Gathering
from benchmark.tasks.honeycomb import HoneyComb
from benchmark.tasks.oracle import BOXES, SIZE, Oracle
from benchmark.tasks.perturb import Dropout, Noise, Reveal, Transform
from benchmark.tasks.task import Task


class Check(NamedTuple):
    """One thing that a belief must do: ``value`` must be above ``threshold``, or below it."""

    name: str
    value: float
    threshold: float
    above: bool = False

    @property
    def passed(self) -> bool:
        """Whether it does; never where the value is not a number."""
        return self.value > self.threshold if self.above else self.value < self.threshold


class Evidence(NamedTuple):
    """Whole episodes and what was believed along them."""

    episodes: Episodes
    vectors: Tensor  # float32 [B, T + 1, N, F]
    log_probabilities: tuple[Tensor, ...]  # per hidden variable float32 [E, T + 1, N, V], for the first E episodes


def gate(task: Task, evidence: Evidence) -> list[Check]:
    """Return the checks of a task's belief, perturbed or not."""
    inner = task
    while isinstance(inner, Transform):
        if isinstance(inner, Dropout | Noise | Reveal):  # events cannot be read off what is seen
            return nll_gate(task, evidence)
        inner = inner.task
    kind = next((kind for kind in _GATES if isinstance(inner, kind)), None)
    return _GATES[kind](inner, evidence) if kind else nll_gate(inner, evidence)


def oracle_gate(task: Task, evidence: Evidence) -> list[Check]:
    """After the oracle has spoken its box is known; before, all boxes that have not been tried are as likely.

    Coordinates are in units of the board. All boxes even: mean (0.3667, 0.6333), variance 0.1422 in both. Which have
    been tried is read off the exact posterior. Sources: specification, 7.1 and 7.3.
    """
    assert isinstance(task, Oracle)
    hidden = Hidden(task.hidden_variables)
    episodes, unit = evidence.episodes, hidden.scale / (SIZE - 1)
    mean, std = (evidence.vectors[..., start : start + 2] * unit for start in (0, 2))
    boxes = torch.tensor(BOXES) / (SIZE - 1)
    posterior = recall(task, episodes)[0].exp()  # [B, T + 1, N, boxes]
    spoken = oracle_spoke(task, episodes)
    possible = (posterior > 0).sum(-1)
    running = observed(episodes)[..., None]
    even, tried = (running & ~spoken & condition for condition in (possible == 3, possible < 3))
    after = running & spoken
    nearest = (mean[..., None, :] - boxes).square().sum(-1).argmin(-1)
    exact = posterior @ boxes
    known = (nearest == episodes.hidden[:, :, None, 0]).double()
    ignorant = (boxes.mean(0) - exact).abs().mean(-1)
    checks = [
        Check("oracle_mean_error_before", _mean((mean - exact).abs().mean(-1), even), 0.05),
        Check("oracle_variance_error_before", _mean((std.square() - boxes.var(0, False)).abs().mean(-1), even), 0.03),
    ]
    if task.hint_probability > 0.0:
        checks.append(Check("oracle_accuracy_after", _mean(known, after), 0.95, above=True))
    if bool(tried.any()):  # never where a wrong box ends the episode
        error = _mean((mean - exact).abs().mean(-1), tried) / _mean(ignorant, tried)
        checks.append(Check("oracle_tried_box_error", error, 0.5))
    return checks


def escape_room_gate(task: Task, evidence: Evidence) -> list[Check]:
    """Who has seen the exit knows its column to a cell; the prior is off by 2.5. Source: specification, 7.2."""
    hidden = Hidden(task.hidden_variables)
    episodes = evidence.episodes
    seen = exit_seen(task, episodes) & observed(episodes)[..., None]
    index = [variable.name for variable in task.hidden_variables].index("exit")
    place = hidden.coordinates[index].places[episodes.hidden[:, :, index]][..., 1]  # [B, T + 1]
    column = evidence.vectors[..., 2 * index + 1]
    return [Check("escape_exit_error", _mean((column - place[..., None]).abs() * hidden.scale, seen), 1.0)]


def honeycomb_gate(task: Task, evidence: Evidence) -> list[Check]:
    """The informed know the special goal, the others nothing: mean 0, variance 1/2. Source: specification, 7.3."""
    assert isinstance(task, HoneyComb)
    hidden = Hidden(task.hidden_variables)
    episodes = evidence.episodes
    mean, std = evidence.vectors[..., :2], evidence.vectors[..., 2:4]
    truth = hidden.coordinates[0].places[episodes.hidden[:, :, 0]][:, :, None]
    running = observed(episodes)[..., None].expand(mean.shape[:-1])
    told, others = slice(0, task.informed), slice(task.informed, None)
    variance = hidden.coordinates[0].places.var(0, False)
    off = (
        ("honeycomb_informed_error", (mean - truth).abs().mean(-1), told, 0.05),
        ("honeycomb_mean_error", mean.abs().mean(-1), others, 0.1),
        ("honeycomb_variance_error", (std.square() - variance).abs().mean(-1), others, 0.1),
    )
    return [
        Check(name, _mean(error[:, :, who], running[:, :, who]), most)
        for name, error, who, most in off
        if running[:, :, who].numel()
    ]


def gathering_gate(task: Task, evidence: Evidence) -> list[Check]:
    """Things are placed better than by somebody who knows only where they are on average.

    The value is the mean error of the coordinates of all things that are still there, over that of such a person.
    """
    hidden = Hidden(task.hidden_variables)
    episodes = evidence.episodes
    running = observed(episodes)
    error = ignorant = torch.zeros((), dtype=torch.float64)
    for number, (index, entry) in enumerate(hidden.coordinates.items()):
        place, gone = entry.locate(episodes.hidden[:, :, index])
        there = (running & ~gone)[..., None]
        mean = evidence.vectors[..., 2 * number : 2 * number + 2]
        average = place[there[..., 0]].mean(0)
        error = error + ((mean - place[:, :, None]).abs().mean(-1).double() * there).sum() / task.agents
        ignorant = ignorant + ((average - place).abs().mean(-1).double() * there[..., 0]).sum()
    return [Check("gathering_error_over_prior", float(error / ignorant), 0.9)]


def nll_gate(task: Task, evidence: Evidence) -> list[Check]:
    """The truth is more likely than to somebody who only knows how often each value occurs."""
    episodes = evidence.episodes[: len(evidence.log_probabilities[0])]
    running = observed(episodes)
    truth = episodes.hidden[running]  # [steps, H]
    believed = known = 0.0
    for index, log_probability in enumerate(evidence.log_probabilities):
        values = log_probability.shape[-1]
        frequency = prior(values, episodes.hidden[:, :-1, index], episodes.mask)
        picked = log_probability[running].gather(-1, truth[:, None, index, None].expand(-1, task.agents, 1))
        believed -= float(picked.double().mean())
        known -= float(frequency.log()[truth[:, index]].mean())
    return [Check("belief_nll", believed, known)]


def recall(task: Task, episodes: Episodes) -> tuple[Tensor, ...]:
    """Return the exact posterior along episodes, log-probabilities ``[B, T + 1, N, V]`` per hidden variable."""
    policy = exact_posterior(task)
    memory, beliefs = policy.initial_memory(episodes.keys), []
    for step in range(task.horizon + 1):
        _, memory = policy.act(episodes.observations[:, step], memory)
        beliefs.append(policy.belief(memory))
        if step < task.horizon:
            memory = policy.with_actions(memory, episodes.actions[:, step])
    return tuple(torch.stack(values, 1) for values in zip(*beliefs, strict=True))


def _mean(values: Tensor, where: Tensor) -> float:
    return float(values.double()[where.expand(values.shape)].mean())


_GATES = {
    Oracle: oracle_gate,
    EscapeRoom: escape_room_gate,
    HoneyComb: honeycomb_gate,
    Gathering: gathering_gate,
}
