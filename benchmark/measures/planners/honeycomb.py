"""HoneyComb: the reference policy, which learns from where the informed go, and exact returns to compare with."""

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from benchmark.measures.planners.routes import distances_to, moves_to
from benchmark.tasks.board import Board
from benchmark.tasks.honeycomb import (
    FIELD_CELLS,
    GOAL_REWARD,
    GOALS,
    HORIZON,
    SCALE,
    SPECIAL_REWARD,
    START,
    HoneyComb,
)

# A goal's index, or this for none.
NO_GOAL = len(GOALS)


def planner(task: HoneyComb) -> "HoneyCombPolicy":
    """Informed agents walk to the special goal; the others wait until one has arrived at a goal, and follow it."""
    return HoneyCombPolicy(task)


def full_state_optimum(task: HoneyComb) -> float:
    """Exact optimum for a team that knows the special goal: each agent takes the best goal within its reach."""
    board = task.board
    starts = slice(0, FIELD_CELLS) if task.random_start else slice(board.at(START), board.at(START) + 1)
    ways = torch.stack([distances_to(board, goal)[starts] for goal in _on_goal(board).T])  # [goals, starts]
    pays = GOAL_REWARD + (SPECIAL_REWARD - GOAL_REWARD) * torch.eye(len(GOALS), dtype=torch.float64)
    best = (pays[:, :, None] * (ways <= HORIZON)).amax(1)  # [special goals, starts]
    return task.team_size * float(best.mean())


def random_return(task: HoneyComb) -> float:
    """Exact expected return of uniformly random actions: a Markov chain for each agent, which goals absorb."""
    board = task.board
    chance = torch.zeros(len(board.cells), dtype=torch.float64)
    if task.random_start:
        chance[:FIELD_CELLS] = 1 / FIELD_CELLS
    else:
        chance[board.at(START)] = 1
    for _ in range(HORIZON):
        share = (chance / len(board.moves))[:, None].expand(-1, len(board.moves))
        chance = torch.zeros_like(chance).index_add(0, board.neighbours().flatten(), share.flatten())
    mean_pay = (SPECIAL_REWARD + GOAL_REWARD * (len(GOALS) - 1)) / len(GOALS)
    return task.team_size * mean_pay * float(chance[_on_goal(board).any(1)].sum())


def _on_goal(board: Board) -> Tensor:
    """Return bool ``[cells, goals]``."""
    return torch.stack([board.marked(lambda cell, goal=goal: cell == goal) for goal in GOALS], 1)


class Memory(NamedTuple):
    """What each agent has gathered."""

    target: Tensor  # int64 [B, N]: the goal to walk to, NO_GOAL while waiting
    leaders: Tensor  # int64 [B, N, informed]: the cells on which the informed agents were last seen
    as_planned: Tensor  # bool [B, N, goals]: whether all of them have walked as they would, were that goal special
    possible: Tensor  # bool [B, N, goals]: which goals may be special; a belief is even among them
    step: int


class _Tables(NamedTuple):
    cell: Tensor  # int64 [13 * 13]: the cell at (i + 6) * 13 + (j + 6)
    goal: Tensor  # int64 [cells]: which goal a cell is, or NO_GOAL
    on_goal: Tensor  # bool [cells, goals]
    moves: Tensor  # int64 [goals + 1, cells]: the next move to each goal; pass for NO_GOAL
    following: Tensor  # int64 [cells, goals]: the cell to which that move leads


@lru_cache(maxsize=8)
def _tables(board: Board, device: torch.device) -> _Tables:
    width = 2 * SCALE + 1
    cell = torch.zeros(width * width, dtype=torch.int64)
    for number, (i, j) in enumerate(board.cells):
        cell[(i + SCALE) * width + j + SCALE] = number
    on_goal = _on_goal(board)
    goal = torch.where(on_goal.any(1), on_goal.to(torch.int64).argmax(1), NO_GOAL)
    moves = torch.stack([moves_to(board, mark) for mark in on_goal.T])
    following = board.neighbours().gather(1, moves.T)
    wait = torch.full_like(moves[:1], board.moves.index((0, 0)))
    return _Tables(*(table.to(device) for table in (cell, goal, on_goal, torch.cat((moves, wait)), following)))


class HoneyCombPolicy:
    """Informed agents walk to the special goal; the others wait until one of those has arrived, and follow it."""

    def __init__(self, task: HoneyComb) -> None:
        self.board = task.board
        self.layout = task.observation_layout.slices
        self.agents = task.agents
        self.informed = task.informed

    def initial_memory(self, keys: Tensor) -> Memory:
        """Know nothing."""
        unseen = torch.zeros(len(keys), self.agents, self.informed, dtype=torch.int64, device=keys.device)
        every_goal = torch.ones(len(keys), self.agents, len(GOALS), dtype=torch.bool, device=keys.device)
        return Memory(keys.new_full((len(keys), self.agents), NO_GOAL), unseen, every_goal, every_goal, 0)

    def act(self, observations: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """Walk towards the target, once there is one."""
        tables = _tables(self.board, observations.device)
        cells = self._cells(tables, observations[..., self.layout["positions"]])  # [B, N, N]: where each sees each
        leaders = cells[..., : self.informed]
        # The centre, which the uninformed are shown for the special goal, is no goal.
        told = tables.goal[self._cells(tables, observations[..., self.layout["special"]])[..., 0]]
        # With nobody to follow, one goal is as good as another.
        arrived = tables.goal[leaders].amin(-1) if self.informed else torch.zeros_like(told)
        target = torch.where(memory.target != NO_GOAL, memory.target, torch.where(told != NO_GOAL, told, arrived))
        as_planned = memory.as_planned
        if memory.step > 0:
            as_planned = as_planned & (tables.following[memory.leaders] == leaders[..., None]).all(2)
        shown = torch.where((told == NO_GOAL)[..., None], tables.on_goal[leaders].any(2) & as_planned, False)
        known = shown | (told[..., None] == torch.arange(len(GOALS), device=told.device))
        possible = known | ~known.any(-1, keepdim=True)
        actions = tables.moves[target, cells.diagonal(dim1=1, dim2=2)]
        return actions, Memory(target, leaders, as_planned, possible, memory.step + 1)

    def _cells(self, tables: _Tables, coordinates: Tensor) -> Tensor:
        """Turn scaled coordinates ``[B, N, 2k]`` into cells ``[B, N, k]``."""
        places = (coordinates * SCALE).round().to(torch.int64).unflatten(2, (-1, 2)) + SCALE
        return tables.cell[places[..., 0] * (2 * SCALE + 1) + places[..., 1]]

    def belief(self, memory: Memory) -> tuple[Tensor]:
        """Return the posterior given arrivals: uniform until an informed agent has come to a goal as planned.

        An arrival is evidence only while all the informed walk as planned; random agents, whose episodes make the
        belief data, come to goals by chance. The way itself would tell sooner than the arrival, but is not read.
        """
        return ((memory.possible / memory.possible.sum(-1, keepdim=True)).log(),)
