"""What hardly any particle foresaw: two agents meet, or one comes to a wall.

Of the particles before, hardly any had them meet there, but nearly all can be shifted so that they do. A move (see
``moves``) proposes that very shift once in as many times as there are shifts. Here it is not drawn but made, and
weighed by that; what the move would have left as it was keeps the rest of its weight.
"""

from collections.abc import Iterator
from itertools import permutations
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from benchmark.measures.posterior.moves import fitting, groups, shifted, shifts
from benchmark.measures.posterior.particles import Cloud, Sight, advance, tables
from benchmark.tasks.board import CROSS_MOVES
from benchmark.tasks.gathering import PATCH, Gathering

# Larger groups are not tried where smaller ones are accepted so often.
_ENOUGH = 0.5


class Guess(NamedTuple):
    """A shift that would explain what is seen."""

    member: int  # who is shifted, alone or with others,
    apart: int | None  # but not with this one
    by: Tensor  # int32 [M, 2]
    fixed: Tensor  # bool [2]: the axes on which only that shift will do
    actions: Tensor  # int64 [M, N]: everybody's
    odds: Tensor  # float32 [M]: of those actions, over that of drawing this guess
    applies: Tensor  # bool [Q]


def explain(task: Gathering, cloud: Cloud, sight: Sight, habits: Tensor, uniform: Tensor) -> list[Cloud]:
    """Advance particles by way of all guesses. Groups count by how often their moves are accepted.

    Without a guess, or if no move is ever accepted, no weight is left.

    Args:
        task: the task.
        cloud: Q filters of P particles.
        sight: of Q minds.
        habits: float32 ``[Q, N, 5]``, the probabilities of everybody's actions.
        uniform: float32 ``[M, 2 * N + 3]`` in [0, 1).

    Returns:
        Weighted clouds which together are the next one.
    """
    agents, (minds, particles) = task.agents, cloud.log_weight.shape
    habits = habits.repeat_interleave(particles, 0)
    clouds, stays, shares = [], torch.zeros_like(cloud.log_weight), torch.zeros_like(cloud.log_weight[:, :1])
    walk, choice, draws, again = uniform.split((agents, 1, 2, agents), 1)
    for guess in _guesses(task, cloud, sight, habits, walk, choice[:, 0]):
        told, wanted = one_hot(guess.actions, len(CROSS_MOVES)).to(torch.float32), guess.applies
        for group in groups(agents):
            if guess.member not in group or guess.apart in group:
                continue
            least, most = shifts(cloud, group, task.width)
            free = least + (draws * (most - least + 1)).to(torch.int32)
            usual = fitting(task, cloud, group, free)[2]
            share = usual.view(minds, particles).mean(1, keepdim=True) * wanted[:, None]
            stays, shares = stays + share * (1.0 - usual.view(minds, particles)), shares + share
            to = torch.where(guess.fixed, guess.by, free)
            by = torch.maximum(torch.minimum(to, most), least)
            boards, log_count, accept = fitting(task, cloud, group, by)
            choices = torch.where(guess.fixed, most - least + 1, 1).prod(1)
            accept = accept * (by == to).all(1) * guess.odds / choices
            weight = cloud.log_weight + (accept.view(minds, particles) * share).log()
            guided = shifted(cloud, group, by, boards, log_count)._replace(log_weight=weight)
            clouds.append(advance(task, guided, sight, told, walk))
            wanted = wanted & (share[:, 0] < _ENOUGH)
            if not bool(wanted.any()):
                break
    left = cloud._replace(log_weight=cloud.log_weight + stays.log())
    clouds.append(advance(task, left, sight, habits, again))
    scale = shares.clamp(min=1e-30).log()
    return [part._replace(log_weight=part.log_weight - scale) for part in clouds]


def _guesses(
    task: Gathering, cloud: Cloud, sight: Sight, habits: Tensor, walk: Tensor, choice: Tensor
) -> Iterator[Guess]:
    actions = (walk[..., None] >= habits.cumsum(-1)).sum(-1).clamp(max=len(CROSS_MOVES) - 1)
    for member, other in permutations(range(task.agents), 2):
        if bool((guess := _meeting(task, cloud, sight, actions, choice, member, other)).applies.any()):
            yield guess
    for member in range(task.agents):
        for action in range(len(CROSS_MOVES) - 1):
            if bool((guess := _arrival(task, cloud, sight, actions, habits, member, action)).applies.any()):
                yield guess


def _meeting(
    task: Gathering, cloud: Cloud, sight: Sight, actions: Tensor, choice: Tensor, member: int, other: int
) -> Guess:
    """The member is next to another agent that sees it too; where both see others, at one such offset."""
    particles = cloud.log_weight.shape[1]
    bit = torch.arange(len(PATCH), dtype=torch.int32, device=actions.device)
    mutual = sight.agent[:, member, None] >> bit & sight.agent[:, other, None] >> bit.flip(0) & 1
    number = mutual.sum(1).repeat_interleave(particles)
    offset = (mutual.cumsum(1).repeat_interleave(particles, 0) <= (choice * number).to(torch.int64)[:, None]).sum(1)
    gap = torch.tensor(PATCH, dtype=torch.int32, device=actions.device)[offset.clamp(max=len(PATCH) - 1)]
    ahead = cloud.place + tables(task, actions.device).moves[actions]
    # A wall that is in the way was seen before, and moves do not change that.
    ahead = torch.where(((ahead >= 0) & (ahead < task.width)).all(-1, keepdim=True), ahead, cloud.place)
    fixed = torch.ones(2, dtype=torch.bool, device=actions.device)
    by = ahead[:, other] - ahead[:, member] - gap
    return Guess(member, other, by, fixed, actions, number.to(torch.float32), mutual.any(1))


def _arrival(
    task: Gathering, cloud: Cloud, sight: Sight, actions: Tensor, habits: Tensor, member: int, action: int
) -> Guess:
    """The member has come to a wall by this action."""
    minds, particles = cloud.log_weight.shape
    dx, dy = CROSS_MOVES[action]
    place, bit = cloud.place[:, member], PATCH.index((dx, dy))
    step = torch.tensor((dx, dy), dtype=torch.int32, device=place.device)
    before = (place + step).view(minds, particles, 2)[:, 0]
    seen_before = ((before < 0) | (before >= task.width)).any(1)
    wall = torch.where(step > 0, task.width - 1, 0)
    actions = actions.clone()
    actions[:, member] = action
    applies = (sight.outside[:, member] >> bit & 1).to(torch.bool) & ~seen_before
    return Guess(member, None, wall - place - step, step != 0, actions, habits[:, member, action], applies)
