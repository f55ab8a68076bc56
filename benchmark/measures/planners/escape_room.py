"""Escape Room: a reference policy whose agents tell each other by waiting what they see, and the full-state optimum.

Only moves cost, and there is time: 100 steps for some fifteen moves. So the agents take turns and tell what is in the
cells that only the one whose turn it is has seen (its *news*, in cell order) by when it moves:

- It moves at once: no news, nothing lies in any of these cells.
- It waits a step, then one more for each cell; its move says that something lies in the cell that would be next.
- It lets all cells go by: nothing lies in them, and it is the other one's turn.

Both always see where both are, and so which cells each of them has seen: they agree on what both know. On that they
plan. Known keys are fetched first; else it is the move of the agent whose best bent walk (see ``sweep``) uncovers more
cells per move; at last the exit.
"""

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from benchmark.measures.planners.routes import tour_lengths
from benchmark.measures.planners.sweep import STAY, Walks, best_walks
from benchmark.measures.posterior.escape_room import EscapeRoomPosterior
from benchmark.measures.posterior.filtering import Believing
from benchmark.tasks.board import CROSS_MOVES, square_board
from benchmark.tasks.escape_room import EXIT_REWARD, EXITS, INTERIOR, MOVE_REWARD, SIZE, EscapeRoom, in_view
from benchmark.tasks.task import take

# What uncovering a cell is worth where a key or the exit may lie, and what reaching a known goal is worth.
_KEY, _EXIT, _GOAL = 10.0, 1.0, 500.0
# Whoever has something to tell moves, if need be anywhere.
_ANYWHERE = 0.001


def planner(task: EscapeRoom) -> Believing:
    """Search by the walks that uncover most per move, taking turns; tell finds by waiting."""
    # What the agents tell each other only those could understand who know this policy: the belief does without.
    return Believing(EscapeRoomPolicy(task), EscapeRoomPosterior(task))


def full_state_optimum(task: EscapeRoom, keys: Tensor) -> Tensor:
    """Exact optimum: keys and exit known, fewest moves over all ways to share keys and exit between the agents.

    Args:
        task: the task.
        keys: int64 ``[B]`` episode keys.

    Returns:
        Returns, float64 ``[B]``.
    """
    state = task.initial_state(keys)
    coordinates = task.board.coordinates(keys.device)
    starts, places, leave = coordinates[state.agents], coordinates[state.keys], coordinates[state.exit]
    tours = tour_lengths(starts, places)  # [B, 2, sets of keys]
    plans = []
    for leaver in range(2):
        for fetched in ((), (0,), (1,), (0, 1), (1, 0)):
            stops = torch.stack([starts[:, leaver], *(places[:, key] for key in fetched), leave], 1)
            others_keys = 3 - sum(1 << key for key in fetched)
            plans.append(stops.diff(dim=1).abs().sum((1, 2)) + tours[:, 1 - leaver, others_keys])
    return EXIT_REWARD + torch.stack(plans).amin(0).to(torch.float64) * MOVE_REWARD


class Memory(NamedTuple):
    """What V minds remember, two for each episode. All but ``items`` is the same in both minds of an episode."""

    cells: Tensor  # int64 [V, 2]: where the agents were
    seen: Tensor  # bool [V, 2, cells]: what each agent has seen, and cells that are empty by the rules
    told: Tensor  # bool [V, cells]: what one has told the other about
    items: Tensor  # bool [V, cells]: where this agent knows a key or the exit, by sight or by telling
    visited: Tensor  # bool [V, cells]: where any agent has been; a key there is collected
    turn: Tensor  # int64 [V]: whose turn it is
    fresh: Tensor  # bool [V]: the turn has just begun, or that agent has just moved
    first: Tensor  # bool [V]: nothing has been seen yet


class _Common(NamedTuple):
    """What both agents of an episode know."""

    items: Tensor  # bool [V, cells]: keys and exit
    open: Tensor  # bool [V, cells]: where something that is still to be found may lie, as far as they know
    news: Tensor  # bool [V, cells]: what only the agent whose turn it is has seen, of those


class EscapeRoomPolicy:
    """See the module's text. It does not randomise."""

    def __init__(self, task: EscapeRoom) -> None:
        self.task = task

    def initial_memory(self, keys: Tensor) -> Memory:
        """Know nothing; it is the turn of agent 0."""
        minds, cells = 2 * len(keys), SIZE**2
        none = torch.zeros(minds, cells, dtype=torch.bool, device=keys.device)
        nobody = torch.zeros(minds, dtype=torch.int64, device=keys.device)
        seen = none[:, None].expand(-1, 2, -1)
        return Memory(nobody[:, None].expand(-1, 2), seen, none, none, none, nobody, nobody == 0, nobody == 0)

    def act(self, observations: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """Move, or wait, if it is one's turn."""
        rows = observations.flatten(0, 1)
        memory = _look(rows, _listen(rows, memory), self.task.view_radius)
        actions = torch.full((len(rows),), STAY, device=rows.device)
        mine = (memory.turn == _me(memory)).nonzero()[:, 0]
        actions[mine] = _speak(take(memory, mine), self.task.view_radius)
        return actions.view(observations.shape[:2]), memory


def _me(memory: Memory) -> Tensor:
    """Return int64 ``[V]``: whose mind it is."""
    return torch.arange(len(memory.turn), device=memory.turn.device) % 2


def _of(entries: Tensor, agent: Tensor) -> Tensor:
    """Select from ``[V, 2, ...]`` what belongs to agent ``[V]``."""
    return entries[torch.arange(len(agent), device=agent.device), agent]


def _cells(rows: Tensor) -> Tensor:
    """Return int64 ``[V, 2]``: where the agents are."""
    x, y = rows[:, SIZE**2 :].to(torch.int64).unflatten(1, (2, 2)).unbind(2)
    return x * SIZE + y


def _marked(cells: Tensor) -> Tensor:
    """Return bool ``[V, cells]``, true at the cells ``[V, 2]``."""
    none = torch.zeros(len(cells), SIZE**2, dtype=torch.bool, device=cells.device)
    return none.scatter(1, cells, torch.ones_like(cells, dtype=torch.bool))


def _look(rows: Tensor, memory: Memory, radius: int) -> Memory:
    """Add what one sees now, and what the other one must be seeing."""
    tables, cells = _tables(rows.device), _cells(rows)
    here = _marked(cells)
    # An agent hides what lies under it. But no key lies where an agent starts.
    sight = _views(radius, rows.device)[cells] & ~here[:, None]
    seen = memory.seen | sight | (here & tables.inside & memory.first[:, None])[:, None]
    items = torch.where(_of(sight, _me(memory)), rows[:, : SIZE**2] > 0, memory.items)
    first = torch.zeros_like(memory.first)
    return memory._replace(cells=cells, seen=seen, items=items, visited=memory.visited | here, first=first)


def _listen(rows: Tensor, memory: Memory) -> Memory:
    """Understand what the agent whose turn it was has told by moving or waiting."""
    turn = memory.turn[:, None]
    moved = (_of(_cells(rows), memory.turn) != _of(memory.cells, memory.turn))[:, None] | memory.first[:, None]
    news, fresh = _common(memory).news, memory.fresh[:, None]
    next_cell = news & (news.cumsum(1) == 1)
    told = torch.where(fresh, news & moved, next_cell)
    over = ~moved & ~(news & ~next_cell).any(1, keepdim=True) & (~fresh | ~news.any(1, keepdim=True))
    return memory._replace(
        told=memory.told | told,
        # What an agent has seen itself it believes before what it is told.
        items=memory.items | (next_cell & moved & ~fresh & ~_of(memory.seen, _me(memory))),
        turn=torch.where(over, 1 - turn, turn)[:, 0],
        fresh=(moved | over)[:, 0],
    )


def _common(memory: Memory) -> _Common:
    """Return what both agents know, which both can work out."""
    tables = _tables(memory.cells.device)
    common = memory.told | memory.seen.all(1)
    items = memory.items & common
    keys_open = (items & tables.inside).sum(1, keepdim=True) < 2
    exit_open = ~(items & ~tables.inside).any(1, keepdim=True)
    sought = ~common & ((tables.inside & keys_open) | (tables.edge & exit_open))
    return _Common(items, sought, sought & _of(memory.seen, memory.turn))


def _speak(memory: Memory, radius: int) -> Tensor:
    """Return the actions int64 ``[V]`` of agents whose turn it is."""
    news = _common(memory).news
    next_cell = news & (news.cumsum(1) == 1)
    something = memory.items & news
    tells = (memory.items & next_cell).any(1) & ~memory.fresh
    # Plan on what both will know after the move.
    walks = _plan(memory._replace(told=memory.told | torch.where(tells[:, None], next_cell, news)), tells, radius)
    better = _of(walks.rate, memory.turn) >= _of(walks.rate, 1 - memory.turn)
    goes_on = memory.fresh & ~something.any(1) & better
    return torch.where(tells | goes_on, _of(walks.action, memory.turn), STAY)


def _plan(memory: Memory, tells: Tensor, radius: int) -> Walks:
    """Return both agents' best walks on what both know."""
    tables, common = _tables(memory.cells.device), _common(memory)
    # What lies under an agent shows when that one leaves, and cannot be searched for.
    unseen = common.open & ~memory.seen.any(1) & ~_marked(memory.cells)
    weights = unseen * torch.where(tables.inside, _KEY, _EXIT)
    keys = common.items & tables.inside
    uncollected = keys & ~memory.visited
    done = ((keys & memory.visited).sum(1) == 2)[:, None]
    goals = torch.where(done, common.items & ~tables.inside, uncollected)
    bonus = goals * _GOAL + tells[:, None] * _ANYWHERE
    ahead = tables.target[memory.cells]  # [V, 2, 4]
    blocked = ahead == memory.cells.flip(1)[:, :, None]
    weights, bonus = (entry.unflatten(1, (SIZE, SIZE)) for entry in (weights, bonus))
    return best_walks(weights, memory.cells, radius, bonus, blocked)


class _Tables(NamedTuple):
    inside: Tensor  # bool [cells]: where a key may lie
    edge: Tensor  # bool [cells]: where the exit may lie
    target: Tensor  # int64 [cells, 4]: where each move leads


@lru_cache(maxsize=8)
def _tables(device: torch.device) -> _Tables:
    board = square_board(SIZE, SIZE, CROSS_MOVES)
    return _Tables(
        board.marked(lambda cell: cell in INTERIOR, device),
        board.marked(lambda cell: cell in EXITS, device),
        board.neighbours(device)[:, :STAY],
    )


@lru_cache(maxsize=8)
def _views(radius: int, device: torch.device) -> Tensor:
    """Return bool ``[cells, cells]``: which cells an agent sees from each one."""
    cells = square_board(SIZE, SIZE, CROSS_MOVES).cells
    return torch.tensor([[in_view(agent, cell, radius) for cell in cells] for agent in cells], device=device)
