"""How well beliefs reconstruct the hidden variables, on held-out episodes of the offline dataset.

Every submission that offers a belief is asked about the same histories: the random policy's episodes of the test
split. The policy sees each agent's recorded observations and is told the recorded actions.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from benchmark.episodes.policy import BeliefPolicy, with_actions
from benchmark.episodes.rollout import Episodes
from benchmark.measures.belief_tally import Tally, average, history, history_edges, reliability
from benchmark.tasks.streams import policy_keys
from benchmark.tasks.task import Task

EPISODES = 256


class BeliefError(ValueError):
    """A belief is not a distribution over the task's hidden variables."""


def belief_scores(
    task: Task, policy: BeliefPolicy, test: Episodes, runs: int, device: torch.device | str = "cpu"
) -> list[dict[str, Any]]:
    """Score the beliefs of every run.

    A policy with ``shared_beliefs`` is asked once for all its runs.

    Args:
        task: whose hidden variables are believed in.
        policy: of R stacked runs.
        test: held-out episodes; the first ``EPISODES`` are used.
        runs: R.
        device: where the policy lives.

    Returns:
        For each run what ``measure`` returns; besides, as ``prior_accuracy`` and ``prior_nll``, those two for the
        prior, which knows how often each value occurs among the other test episodes and nothing else.

    Raises:
        BeliefError: if a belief has the wrong shape or does not sum to one.
    """
    (beside,) = measure(task, PriorBelief(task, test), test, 1)
    priors = {name: _prior_scores(entry) for name, entry in beside["variables"].items()}
    return [
        found
        | _prior_scores(beside)
        | {"variables": {name: entry | priors[name] for name, entry in found["variables"].items()}}
        for found in measure(task, policy, test, runs, device)
    ]


def measure(
    task: Task, policy: BeliefPolicy, test: Episodes, runs: int, device: torch.device | str = "cpu"
) -> list[dict[str, Any]]:
    """Measure the beliefs of every run, over all agents and steps.

    Returns:
        For each run the scores of ``Tally.scores``, averaged over the paper's variables; ``variables``, the same of
        each variable; ``reliability``, the paper's variables taken together; and ``history``, the scores against
        history length.

    Raises:
        BeliefError: if a belief has the wrong shape or does not sum to one.
    """
    episodes = test[:EPISODES].to(device)
    edges = history_edges(task.horizon)
    shared = getattr(policy, "shared_beliefs", False)
    # Batches are run-major: every run gets all episodes, or of shared beliefs its part of them, filled up.
    count = len(episodes.keys)
    asked = torch.arange(count + -count % runs if shared else count * runs, device=device)
    rows, counted = asked % count, asked < count if shared else torch.ones_like(asked, dtype=torch.bool)
    scored = 1 if shared else runs
    tallies = [Tally(variable, scored, edges, device) for variable in task.hidden_variables]
    memory = policy.initial_memory(policy_keys(episodes.keys)[rows])
    for step in range(task.horizon):
        _, memory = policy.act(episodes.observations[rows, step], memory)
        beliefs = policy.belief(memory)
        running = episodes.mask[rows, step] & counted
        check_belief(task, beliefs, running)
        for index, (log_probability, tally) in enumerate(zip(beliefs, tallies, strict=True)):
            tally.add(log_probability, episodes.hidden[rows, step, index], running, step)
        memory = with_actions(policy, memory, episodes.actions[rows, step])
    return [_summary(task, tallies, run) for run in range(scored)] * (runs // scored)


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


def prior(values: int, hidden: Tensor, mask: Tensor) -> Tensor:
    """Return how often each value occurs among played steps, float64 ``[V]``; unseen values count a half.

    Args:
        values: V.
        hidden: int64 ``[B, T]``.
        mask: bool ``[B, T]``.
    """
    counts = torch.bincount(hidden[mask], minlength=values).double() + 0.5
    return counts / counts.sum()


class PriorBelief:
    """Believe that each value is as likely as it is frequent in the test episodes that are not scored."""

    def __init__(self, task: Task, test: Episodes) -> None:
        rest = test[EPISODES:] if test.batch > EPISODES else test
        self.agents = task.agents
        self.log_probabilities = [
            prior(len(variable.values), rest.hidden[:, :-1, index], rest.mask).log().to(torch.float32)
            for index, variable in enumerate(task.hidden_variables)
        ]

    def initial_memory(self, keys: Tensor) -> int:
        """Remember the number of episodes."""
        return len(keys)

    def act(self, observations: Tensor, memory: int) -> tuple[Tensor, int]:
        """Do the first thing."""
        return torch.zeros(observations.shape[:2], dtype=torch.int64, device=observations.device), memory

    def belief(self, memory: int) -> tuple[Tensor, ...]:
        """Return the same for everybody."""
        return tuple(entry.expand(memory, self.agents, -1) for entry in self.log_probabilities)


def _prior_scores(scores: dict[str, Any]) -> dict[str, Any]:
    return {f"prior_{name}": scores[name] for name in ("accuracy", "nll")}


def _summary(task: Task, tallies: list[Tally], run: int) -> dict[str, Any]:
    named = {variable.name: tally for variable, tally in zip(task.hidden_variables, tallies, strict=True)}
    paper = [named[variable.name] for variable in task.hidden_variables if variable.in_paper]
    return average([tally.scores(run) for tally in paper]) | {
        "variables": {name: average([tally.scores(run)]) for name, tally in named.items()},
        "reliability": reliability(paper, run),
        "history": history(paper, run),
    }
