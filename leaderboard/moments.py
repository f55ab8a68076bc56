"""One agent's belief along one episode: what heat maps show."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from benchmark.episodes.datasets import dataset, dataset_for, load_dataset
from benchmark.episodes.policy import BeliefPolicy, with_actions
from benchmark.measures.posterior import exact_posterior
from benchmark.measures.references import planner_for
from benchmark.tasks.picture import Picture
from benchmark.tasks.registry import did_you_mean, make_task, random_start
from benchmark.tasks.streams import policy_keys
from benchmark.tasks.task import HiddenVariable, Task
from leaderboard.statistics import Array

MOMENTS = 6


@dataclass(frozen=True)
class Moment:
    """One step of an episode: the board, what is hidden, and one agent's belief about it.

    Attributes:
        step: actions taken before.
        picture: the true board.
        hidden: the index of every hidden variable's value.
        belief: probabilities [V] of each hidden variable.
    """

    step: int
    picture: Picture
    hidden: tuple[int, ...]
    belief: tuple[Array, ...]


@dataclass(frozen=True)
class Story:
    """What is drawn: some moments of one episode, the agent whose belief it is, and a title."""

    title: str
    variables: tuple[HiddenVariable, ...]
    agent: int
    moments: tuple[Moment, ...]


@torch.no_grad()
def follow(
    task: Task, believer: BeliefPolicy, keys: torch.Tensor, agent: int, actions: torch.Tensor | None = None
) -> list[Moment]:
    """Return every moment of one episode, for one agent.

    Args:
        task: what is played.
        believer: whose belief is shown, and who plays unless actions are given.
        keys: int64 ``[1]``, the episode's key.
        agent: whose belief.
        actions: int64 ``[1, T, N]``, recorded ones to be played.

    Raises:
        ValueError: if the task has no such agent, or offers no picture.
    """
    if not 0 <= agent < task.agents:
        raise ValueError(f"agent={agent} is out of range; allowed: 0 to {task.agents - 1}")
    state, memory, moments = task.initial_state(keys), believer.initial_memory(policy_keys(keys)), []
    for step in range(task.horizon):
        chosen, memory = believer.act(task.observe(state), memory)
        picture = task.picture(state)
        if picture is None:
            raise ValueError("heatmaps: this task draws no board")
        belief = tuple(entry[0, agent].double().exp().numpy() for entry in believer.belief(memory))
        moments.append(Moment(step, picture, tuple(task.hidden(state)[0].tolist()), belief))
        if actions is not None:
            chosen = actions[:, step]
            memory = with_actions(believer, memory, chosen)
        result = task.transition(state, chosen, keys, step)
        state = result.state
        if bool(result.terminated):
            break
    return moments


def telling(moments: list[Moment], count: int = MOMENTS) -> tuple[Moment, ...]:
    """Choose the first moment, the last one, and those between at which the belief had changed most.

    If it changed less often than that, the longest waits are halved.
    """
    change = {
        place: sum(float(np.abs(now - before).sum()) for now, before in zip(after.belief, first.belief, strict=True))
        for place, (first, after) in enumerate(pairwise(moments), 1)
    }
    between = [place for place in range(1, len(moments) - 1) if change[place] > 1e-6]
    chosen = {0, *sorted(between, key=lambda place: -change[place])[: count - 2], len(moments) - 1}
    while len(chosen) < min(count, len(moments)):
        longest = max(pairwise(sorted(chosen)), key=lambda gap: gap[1] - gap[0])
        chosen.add(sum(longest) // 2)
    return tuple(moments[place] for place in sorted(chosen))


def tell(task_id: str, belief: str = "posterior", episode: int = 0, agent: int | None = None) -> Story:
    """Follow an episode of a task's test split.

    Args:
        task_id: what is played, with random starts as in the dataset.
        belief: ``"posterior"``, the exact one, along recorded random play; or ``"planner"``, along its own play.
        episode: which of the test episodes.
        agent: whose belief; by default the last agent's.

    Raises:
        ValueError: if the task, belief, episode or agent is unknown, or the planner has no belief.
    """
    believers: dict[str, Callable[[], object]] = {
        "posterior": lambda: exact_posterior(make_task(task_id)),
        "planner": lambda: planner_for(task_id),
    }
    if belief not in believers:
        raise ValueError(f"belief={belief!r} is unknown{did_you_mean(belief, believers)}; allowed: posterior, planner")
    dataset_id = dataset_for(task_id)
    if dataset_id is None:
        raise ValueError(f"task_id={task_id!r} has no offline dataset")
    last = dataset(dataset_id).size("test") - 1
    if not 0 <= episode <= last:
        raise ValueError(f"episode={episode} is out of range; allowed: 0 to {last}")
    believer = believers[belief]()
    if not isinstance(believer, BeliefPolicy):
        raise ValueError(f"belief={belief!r}: the planner of {task_id} says nothing about its belief")
    task = random_start(make_task(task_id))
    chosen = task.agents - 1 if agent is None else agent
    test = load_dataset(dataset_id, "test", episode + 1)[episode : episode + 1]
    moments = follow(task, believer, test.keys, chosen, None if belief == "planner" else test.actions)
    whose = {"posterior": "exact posterior, random play", "planner": "planner's belief, its own play"}[belief]
    title = f"{task_id}, test episode {episode}: what agent {chosen} believes ({whose})"
    return Story(title, task.hidden_variables, chosen, telling(moments))
