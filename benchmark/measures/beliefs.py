"""How well beliefs reconstruct the hidden variables, on held-out episodes of the offline dataset.

Every submission that offers a belief is asked about the same histories: the random policy's episodes of the test
split. The policy sees each agent's recorded observations and is told the recorded actions.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from benchmark.episodes.policy import BeliefPolicy, with_actions
from benchmark.episodes.rollout import Episodes
from benchmark.tasks.streams import policy_keys
from benchmark.tasks.task import Task

EPISODES = 256
# A belief that excludes the truth is charged as if it had given it this probability.
SMALLEST_PROBABILITY = 1e-6


class BeliefError(ValueError):
    """A belief is not a distribution over the task's hidden variables."""


def belief_scores(
    task: Task, policy: BeliefPolicy, test: Episodes, runs: int, device: torch.device | str = "cpu"
) -> list[dict[str, Any]]:
    """Score the beliefs of every run.

    Args:
        task: whose hidden variables are believed in.
        policy: of R stacked runs.
        test: held-out episodes; the first ``EPISODES`` are used.
        runs: R.
        device: where the policy lives.

    Returns:
        For each run ``accuracy`` (of the most likely value) and ``nll`` (nats), averaged over the paper's variables
        and over all agents and steps; the same for the prior, which knows how often each value occurs and nothing
        else; and both per variable.

    Raises:
        BeliefError: if a belief has the wrong shape or does not sum to one.
    """
    episodes = test[:EPISODES].to(device)
    totals = [_Tally(runs, device) for _ in task.hidden_variables]
    memory = policy.initial_memory(policy_keys(episodes.keys).repeat(runs))
    for step in range(task.horizon):
        observations = episodes.observations[:, step].repeat(runs, 1, 1)
        _, memory = policy.act(observations, memory)
        beliefs = policy.belief(memory)
        running = episodes.mask[:, step].repeat(runs)
        check_belief(task, beliefs, running)
        for index, (log_probability, tally) in enumerate(zip(beliefs, totals, strict=True)):
            tally.add(log_probability, episodes.hidden[:, step, index].repeat(runs), running)
        memory = with_actions(policy, memory, episodes.actions[:, step].repeat(runs, 1))
    return [_summary(task, test, totals, run) for run in range(runs)]


def check_belief(task: Task, beliefs: Sequence[Tensor], running: Tensor) -> None:
    """Refuse anything but log-probabilities ``[B, N, V]`` for every hidden variable, where ``running`` (bool ``[B]``).

    Raises:
        BeliefError: naming the variable and what is wrong.
    """
    variables = task.hidden_variables
    if len(beliefs) != len(variables):
        raise BeliefError(f"belief: {len(beliefs)} distributions for {len(variables)} hidden variables")
    for variable, belief in zip(variables, beliefs, strict=True):
        shape = (len(running), task.agents, len(variable.values))
        if belief.shape != shape:
            raise BeliefError(f"belief of {variable.name!r} has shape {tuple(belief.shape)}; expected {shape}")
        mass = belief[running].exp().sum(-1)
        if not bool(((mass - 1).abs() < 1e-3).all()):  # also false for NaN
            worst = mass.flatten()[(mass - 1).abs().nan_to_num(torch.inf).argmax()]
            raise BeliefError(f"belief of {variable.name!r} sums to {float(worst):.4g}; expected 1")


class _Tally:
    """Running sums over steps, per run."""

    def __init__(self, runs: int, device: torch.device | str) -> None:
        self.runs = runs
        self.count, self.correct, self.nll = (torch.zeros(runs, dtype=torch.float64, device=device) for _ in range(3))

    def add(self, belief: Tensor, truth: Tensor, running: Tensor) -> None:
        """Add one step: belief ``[R*B, N, V]``, truth ``[R*B]``, running ``[R*B]``."""
        agents = belief.shape[1]
        likelihood = belief.gather(-1, truth[:, None, None].expand(-1, agents, 1))[..., 0].double()
        nll = -likelihood.clamp(min=math.log(SMALLEST_PROBABILITY))
        correct = (belief.argmax(-1) == truth[:, None]).double()
        counted = running[:, None].expand(-1, agents)
        self.count += self._per_run(counted.double())
        self.correct += self._per_run(correct.where(counted, 0.0))
        self.nll += self._per_run(nll.where(counted, 0.0))

    def _per_run(self, values: Tensor) -> Tensor:
        return values.unflatten(0, (self.runs, -1)).sum((1, 2))

    def mean(self, run: int) -> tuple[float, float]:
        """Return accuracy and negative log-likelihood of one run."""
        return float(self.correct[run] / self.count[run]), float(self.nll[run] / self.count[run])


def prior(values: int, hidden: Tensor, mask: Tensor) -> Tensor:
    """Return how often each value occurs among played steps, float64 ``[V]``; unseen values count a half.

    Args:
        values: V.
        hidden: int64 ``[B, T]``.
        mask: bool ``[B, T]``.
    """
    counts = torch.bincount(hidden[mask], minlength=values).double() + 0.5
    return counts / counts.sum()


def _summary(task: Task, test: Episodes, totals: list[_Tally], run: int) -> dict[str, Any]:
    variables: dict[str, dict[str, float]] = {}
    # The prior is taken from the test episodes that are not scored.
    rest = test[EPISODES:] if test.batch > EPISODES else test
    scored = test[:EPISODES]
    for index, (variable, tally) in enumerate(zip(task.hidden_variables, totals, strict=True)):
        accuracy, nll = tally.mean(run)
        frequency = prior(len(variable.values), rest.hidden[:, :-1, index], rest.mask)
        truth = scored.hidden[:, :-1, index][scored.mask]
        variables[variable.name] = {
            "accuracy": round(accuracy, 5),
            "nll": round(nll, 5),
            "prior_accuracy": round(float((truth == frequency.argmax()).double().mean()), 5),
            "prior_nll": round(float(-frequency.log()[truth].mean()), 5),
        }
    paper = [variables[variable.name] for variable in task.hidden_variables if variable.in_paper]
    means = {key: round(sum(entry[key] for entry in paper) / len(paper), 5) for key in next(iter(variables.values()))}
    return means | {"variables": variables}
