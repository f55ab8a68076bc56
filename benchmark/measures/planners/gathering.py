"""Gathering: a reference policy that finds out where everybody is and sweeps the board, and the full-state optimum.

What is left to gain is moves. Every agent hears all patches, so that all agents come to the same plan:

- Two agents walk to a wall and along it to a corner: then they know where they are, and where they have been. The
  others wait until one of these finds them, for that costs nothing.
- Agents that know where they are follow the bent walk that uncovers most unseen cells per move (see ``sweep``). Cells
  beside seen ones or the border count more, so that no pockets are left behind. The best walk is claimed first, the
  others are weighed by what it leaves over, and an agent waits while its own is much worse than the best one.
- Whoever sees a resource takes it. When all that are left are in sight, everybody else stops.
"""

from itertools import combinations
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, one_hot, pad

from benchmark.measures.planners.reckoning import Bearings, lost_bearings, take_bearings
from benchmark.measures.planners.routes import tour_lengths
from benchmark.measures.planners.sweep import STAY, best_walks, covered
from benchmark.tasks.board import CROSS_MOVES, bounce
from benchmark.tasks.gathering import MOVE_REWARD, OUTSIDE, PATCH, RESOURCE, RESOURCE_REWARD, Gathering

# How the first two agents look for walls: this way until the coordinate is known, then that way.
_WALL_WALKS = ((1, 3), (0, 2))
# Of eight steps they pause in one, each in another one: two that keep each other out of a cell that neither can see
# into would do so for ever.
_PAUSE = 8
# An unseen cell counts 16, and 3 more for every neighbour that is seen or lies outside.
_CELL, _EDGE = 16.0, 3.0
# An agent waits if its walk gains less than this share of the best one, as long as there are steps to spare for
# uncovering the rest at a pace of so many cells per localised agent and step.
_WORTHWHILE, _PACE, _SPARE = 0.75, 1.2, 8


def planner(task: Gathering) -> "GatheringPolicy":
    """Find two corners, sweep by the walks that uncover most per move, take what is seen."""
    return GatheringPolicy(task)


def full_state_optimum(task: Gathering, keys: Tensor) -> Tensor:
    """Upper bound: all resources known, fewest moves over all assignments and orders, collisions ignored.

    Args:
        task: the task.
        keys: int64 ``[B]`` episode keys.

    Returns:
        Returns, float64 ``[B]``.
    """
    state = task.initial_state(keys)
    coordinates = task.board.coordinates(keys.device)
    tours = tour_lengths(coordinates[state.agents], coordinates[state.resources])  # [B, N, sets of resources]
    fewest = tours[:, 0]
    for agent in range(1, task.agents):
        fewest = torch.stack([_shared(fewest, tours[:, agent], goals) for goals in range(tours.shape[2])], 1)
    return task.resources * RESOURCE_REWARD + fewest[:, -1].to(torch.float64) * MOVE_REWARD


def _shared(first: Tensor, second: Tensor, goals: int) -> Tensor:
    """Return the fewest moves ``[B]`` if the second takes any part of a set of goals and the first what remains."""
    parts = [part for part in range(goals + 1) if part & goals == part]
    return torch.stack([first[:, goals - part] + second[:, part] for part in parts]).amin(0)


class Memory(NamedTuple):
    """What V minds remember: one for each episode, or for each agent if agents see different things."""

    bearings: Bearings
    empty: Tensor  # bool [V, N, (2W + 1)**2]: cells that each agent has seen empty, its start in the centre
    left: Tensor  # int64 [V]: resources not yet taken
    step: int


class GatheringPolicy:
    """See the module's text. It does not randomise."""

    def __init__(self, task: Gathering) -> None:
        self.task = task

    def initial_memory(self, keys: Tensor) -> Memory:
        """Know nothing."""
        agents, span = self.task.agents, 2 * self.task.width + 1
        empty = torch.zeros(len(keys), agents, span**2, dtype=torch.bool, device=keys.device)
        bearings = lost_bearings(len(keys), agents, keys.device)
        return Memory(bearings, empty, torch.full_like(keys, self.task.resources), 0)

    def act(self, observations: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """Plan for the whole team, and do one's own part.

        All agents of the task see the same and would think the same, so that one mind thinks for all of them. As soon
        as observations differ (where something is lost on the way), each agent has its own mind.
        """
        batch, agents = observations.shape[:2]
        if len(memory.left) == batch and not bool((observations == observations[:, :1]).all()):
            bearings = Bearings(*(entry.repeat_interleave(agents, 0) for entry in memory.bearings))
            empty, left = (entry.repeat_interleave(agents, 0) for entry in (memory.empty, memory.left))
            memory = Memory(bearings, empty, left, memory.step)
        if len(memory.left) == batch:
            return self._think(observations[:, 0], memory)
        actions, memory = self._think(observations.flatten(0, 1), memory)
        return actions.view(batch, agents, agents).diagonal(dim1=1, dim2=2).contiguous(), memory

    def _think(self, observations: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """Return everybody's actions ``[V, N]`` from one observation each ``[V, O]``.

        Wherever agents see farther, only the 3 x 3 cells around them are looked at.
        """
        side, beyond = 2 * self.task.view_radius + 1, self.task.view_radius - 1
        patches = observations.unflatten(1, (self.task.agents, side, side))
        patches = patches[..., beyond : side - beyond, beyond : side - beyond].flatten(2)
        bearings = take_bearings(memory.bearings, patches, self.task.width)
        resources = patches == RESOURCE
        here = _here(bearings, self.task.width)
        empty = memory.empty.scatter(2, here, ~resources)
        memory = memory._replace(bearings=bearings, empty=empty)

        picking, actions = _pick_up(bearings, resources)
        searching = ~picking & (resources.sum((1, 2)) < memory.left)[:, None]
        sweeping = searching & bearings.localised
        actions = torch.where(searching & ~sweeping, _wall_walk(memory, patches), actions)
        rows = sweeping.any(1).nonzero()[:, 0]
        if len(rows):
            # What is in view is no longer searched for, even where a resource lies there that another one will take.
            swept, lost = self._sweep(memory, rows, empty[rows].scatter(2, here[rows], True), sweeping[rows])
            actions[rows] = torch.where(sweeping[rows], swept, actions[rows])
            empty[rows[lost]] = False
        actions = _give_way(bearings, actions)
        return actions, _move(memory, patches, actions)

    def _sweep(self, memory: Memory, rows: Tensor, known: Tensor, sweeping: Tensor) -> tuple[Tensor, Tensor]:
        """Return the next moves ``[rows, N]`` of those that sweep, and which minds are lost, bool ``[rows]``."""
        width, agents = self.task.width, self.task.agents
        bearings = Bearings(*(entry[rows] for entry in memory.bearings))
        seen = _on_board(known, bearings, width)
        unseen = (~seen).sum((1, 2))
        late = memory.step + _SPARE + unseen / (_PACE * bearings.localised.sum(1)) > self.task.horizon
        neighbours = avg_pool2d(pad(seen.to(torch.float32), (1, 1, 1, 1), value=1.0)[:, None], 3, 1, divisor_override=1)
        weights = (_CELL + _EDGE * neighbours[:, 0]) * ~seen
        place = bearings.place.clamp(0, width - 1)
        cells = place[..., 0] * width + place[..., 1]
        actions, best = torch.full_like(cells, STAY), torch.zeros_like(weights[:, 0, 0])
        for _ in range(agents):
            walks = best_walks(weights, cells, radius=1)
            rate, chosen = walks.rate.masked_fill(~sweeping, 0.0).max(1)
            best = torch.maximum(best, rate)
            turn = one_hot(chosen, agents).bool() & (rate > 0)[:, None]
            goes = turn & (late | (rate >= _WORTHWHILE * best))[:, None]
            actions = torch.where(goes, walks.action, actions)
            weights = weights * ~(covered(walks, cells, chosen, width, radius=1) & turn.any(1)[:, None, None])
            sweeping = sweeping & ~turn
        # Nothing unseen and yet not finished: dead reckoning has gone wrong somewhere. Look again.
        return actions, unseen == 0


def _here(bearings: Bearings, width: int) -> Tensor:
    """Return int64 ``[V, N, 9]``: where each agent's patch lies in ``Memory.empty``."""
    span = 2 * width + 1
    x, y = (bearings.moved.clamp(1 - width, width - 1) + width).unbind(2)
    return (x * span + y)[..., None] + torch.tensor([dx * span + dy for dx, dy in PATCH], device=x.device)


def _on_board(known: Tensor, bearings: Bearings, width: int) -> Tensor:
    """Project what localised agents know around their starts onto the board, bool ``[V, W, W]``."""
    axis = torch.arange(width, device=known.device)
    x, y = ((axis - bearings.start[..., a, None] + width).clamp(0, 2 * width) for a in (0, 1))  # [V, N, W]
    index = x[..., :, None] * (2 * width + 1) + y[..., None, :]
    return (known.gather(2, index.flatten(2)) & bearings.localised[..., None]).any(1).unflatten(1, (width, width))


def _moves(actions: Tensor) -> Tensor:
    return torch.tensor(CROSS_MOVES, device=actions.device)[actions]


def _pick_up(bearings: Bearings, resources: Tensor) -> tuple[Tensor, Tensor]:
    """Return who goes for a resource in its patch, bool ``[V, N]``, and the moves."""
    # Direct neighbours come before the corners.
    priority = torch.tensor([abs(dx) + abs(dy) == 1 for dx, dy in PATCH], device=resources.device) + 1
    picking, nearest = resources.any(2), (resources * priority).argmax(2)
    offset = torch.tensor(PATCH, device=resources.device)[nearest]  # [V, N, 2]
    goal, distance = bearings.numbers(offset), offset.abs().sum(2)
    for one, two in combinations(range(resources.shape[1]), 2):
        both = picking[:, one] & picking[:, two] & (goal[:, one] == goal[:, two])
        farther = torch.where(distance[:, one] > distance[:, two], one, two)
        picking = picking & ~(one_hot(farther, resources.shape[1]).bool() & both[:, None])
    # Two who do not know where the other one is may be after the same resource: the second waits and sees.
    frame = bearings.frame
    strangers = (frame[:, :, None] != frame[:, None, :]).any(3) & picking[:, :, None] & picking[:, None, :]
    dx, dy = offset.unbind(2)
    towards = torch.where(dx != 0, torch.where(dx > 0, 0, 1), torch.where(dy > 0, 2, 3))
    return picking, torch.where(picking & ~strangers.tril().any(2), towards, STAY)


def _wall_walk(memory: Memory, patches: Tensor) -> Tensor:
    """Return the moves ``[V, N]`` of agents that look for walls; all but the first two wait to be found."""
    moves = torch.full(patches.shape[:2], STAY, device=patches.device)
    for agent, (first, second) in enumerate(_WALL_WALKS[: patches.shape[1]]):
        if (memory.step + agent * _PAUSE // 2) % _PAUSE == _PAUSE - 1:
            continue
        axis = first // 2
        known = memory.bearings.frame[:, agent, axis] == patches.shape[1]
        # Along a wall, walk one cell away from it: that shows three lines and not two.
        low, high = ((1, 7), (3, 5))[axis]
        second = torch.where(patches[:, agent, high] == OUTSIDE, 2 * axis + 1, second)
        second = torch.where(patches[:, agent, low] == OUTSIDE, 2 * axis, second)
        moves[:, agent] = torch.where(known, second, first)
    return moves


def _give_way(bearings: Bearings, actions: Tensor) -> Tensor:
    """Change moves ``[V, N]`` that would end at another agent, as far as places are known."""
    here = bearings.numbers(_moves(torch.full_like(actions, STAY)))
    for mover in range(actions.shape[1]):
        for other in range(actions.shape[1]):
            there = bearings.numbers(_moves(actions))
            meets = (there[:, mover] == there[:, other]) & (actions[:, mover] != STAY) & (mover != other)
            # Who stands in the way walks on in the mover's place; of two who head for one cell, the second waits.
            pushes = meets & (here[:, other] == there[:, mover])
            changed = actions.clone()
            changed[:, other] = torch.where(pushes, actions[:, mover], actions[:, other])
            changed[:, mover] = changed[:, mover].masked_fill(pushes | (meets & (mover > other)), STAY)
            actions = changed
    return actions


def _move(memory: Memory, patches: Tensor, actions: Tensor) -> Memory:
    """Reckon where the actions lead and what they take."""
    moves = _moves(actions)
    ahead = patches.gather(2, ((moves[..., 0] + 1) * 3 + moves[..., 1] + 1)[..., None])[..., 0]
    moves = moves * (ahead != OUTSIDE)[..., None]
    here, there = memory.bearings.numbers(torch.zeros_like(moves)), memory.bearings.numbers(moves)
    arrives = (bounce(here, there) == there) & (here != there)
    bearings = memory.bearings._replace(moved=memory.bearings.moved + moves * arrives[..., None])
    taken = (arrives & (ahead == RESOURCE)).sum(1)
    return memory._replace(bearings=bearings, left=memory.left - taken, step=memory.step + 1)
