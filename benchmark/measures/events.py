"""When an agent is told what was hidden: the one moment of an episode that a belief should answer to.

Pure functions of whole episodes. ``EVENTS`` holds the event of each family of tasks that has one.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from benchmark.episodes.rollout import Episodes
from benchmark.tasks.escape_room import EXIT, EscapeRoom
from benchmark.tasks.honeycomb import GOALS, SCALE, HoneyComb
from benchmark.tasks.oracle import Oracle
from benchmark.tasks.task import Task

Known = Callable[[Task, Episodes], Tensor]


class Event(NamedTuple):
    """What happens, which hidden variable it is about, and when each agent has seen it happen."""

    name: str
    variable: str
    known: Known  # of a task and episodes: bool [B, T + 1, N], observation by observation, true from the event on


def observed(episodes: Episodes) -> Tensor:
    """Return which observations were made before the end, bool ``[B, T + 1]``: those that somebody acts on."""
    return pad(episodes.mask, (0, 1), value=False)


def oracle_spoke(task: Task, episodes: Episodes) -> Tensor:
    """Both agents have been shown the right box."""
    hint = episodes.observations[..., task.observation_layout.slices["hint"]]
    return (hint >= 0).all(-1).cummax(1).values


def exit_seen(task: Task, episodes: Episodes) -> Tensor:
    """The agent has had the exit in view."""
    room = episodes.observations[..., task.observation_layout.slices["room"]]
    return (room == EXIT).any(-1).cummax(1).values


def informed_arrived(task: Task, episodes: Episodes) -> Tensor:
    """An informed agent has been seen on a goal; never so for the informed themselves, whom nothing is hidden from.

    With informed agents that know what they want this would tell the special goal. Among random ones it tells nothing.
    """
    assert isinstance(task, HoneyComb)
    places = episodes.observations[..., task.observation_layout.slices["positions"]].unflatten(-1, (-1, 2))
    goals = torch.tensor(GOALS, dtype=torch.float32, device=places.device) / SCALE
    there = ((places[..., : task.informed, None, :] - goals).abs() < 1e-3).all(-1).flatten(3).any(-1)
    uninformed = torch.arange(task.agents, device=there.device) >= task.informed
    return (there & observed(episodes)[..., None]).cummax(1).values & uninformed


EVENTS: dict[type[Task], Event] = {
    Oracle: Event("the oracle speaks", "box", oracle_spoke),
    EscapeRoom: Event("the agent first sees the exit", "exit", exit_seen),
    HoneyComb: Event("an informed agent first stands on a goal", "special", informed_arrived),
}


def around(values: Tensor, known: Tensor, running: Tensor, window: int) -> Tensor:
    """Line up what agents believed by steps from the event on.

    Args:
        values: float ``[B, T + 1, N]``.
        known: bool ``[B, T + 1, N]``: whether the event has happened to that agent.
        running: bool ``[B, T + 1]``: which observations count.
        window: W, steps before the event and from it on.

    Returns:
        Float64 ``[B, 2 W]``, from W steps before to W - 1 after: the mean over the agents to whom the event happened
        while the episode ran. NaN where there is none.
    """
    known = known & running[..., None]
    first = known.to(torch.int8).argmax(1, keepdim=True)  # [B, 1, N]
    steps = first + torch.arange(-window, window, device=values.device)[:, None]
    inside = (steps >= 0) & (steps < values.shape[1]) & known.any(1, keepdim=True)
    steps = steps.clamp(0, values.shape[1] - 1)
    counted = inside & running[..., None].expand_as(known).gather(1, steps)
    return (values.double().gather(1, steps) * counted).sum(2) / counted.sum(2)
