"""Oracle: exact optima by dynamic programming, the reference policy, and what it believes.

Both agents observe the same, so what the team knows is common: which boxes may still be right, and whether the oracle
has spoken. That and the two positions are all that matters, and there are few enough of them to solve the task
exactly, for a team that sees only its observations as for one that is told the right box.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from itertools import combinations, product
from typing import NamedTuple

import torch
from torch import Tensor

from benchmark.measures.planners.routes import distances_to, moves_to
from benchmark.measures.posterior.oracle import Knowledge as Memory
from benchmark.measures.posterior.oracle import OraclePosterior, regions
from benchmark.tasks.board import Board, Cell
from benchmark.tasks.oracle import (
    BOX_REWARD,
    BOXES,
    ORACLE,
    ORACLE_REWARD,
    PLACES,
    SIZE,
    SPEAKS,
    SPENT,
    START,
    STEP_REWARD,
    UNTOUCHED,
    Oracle,
    near,
    outcome,
)

# What the team knows: the boxes that may be right, and UNTOUCHED or SPENT.
Knowledge = tuple[tuple[int, ...], int]
ANY_BOX = tuple(range(len(BOXES)))


def planner(task: Oracle) -> "OraclePolicy":
    """Agent 0 asks the oracle while agent 1 waits at the best cell for it, then both go to the revealed box."""
    return OraclePolicy(task)


def full_state_optimum(task: Oracle, slip: float = 0.0) -> float:
    """Exact optimum for a team that knows the right box, by backward induction over both positions."""
    values = _values(_rules(task), slip)
    return sum(_at_start(task, values[(box,), UNTOUCHED]) for box in ANY_BOX) / len(BOXES)


def information_optimum(task: Oracle, slip: float = 0.0) -> float:
    """Exact optimum for a team that uses only what it observes, by backward induction over positions and beliefs."""
    return _at_start(task, _values(_rules(task), slip)[ANY_BOX, UNTOUCHED])


def random_return(task: Oracle) -> float:
    """Exact expected return of uniformly random actions, by the same recursion."""
    return _at_start(task, _values(_rules(task), 1.0)[ANY_BOX, UNTOUCHED])


def _rules(task: Oracle) -> Oracle:
    return replace(task, random_start=False)


def _at_start(task: Oracle, values: Tensor) -> float:
    start = task.board.at(START)
    return float(values.mean() if task.random_start else values[start, start])


@lru_cache(maxsize=8)
def _values(task: Oracle, slip: float) -> dict[Knowledge, Tensor]:
    """Return the expected return of an episode that starts with some knowledge: float64 ``[cells, cells]`` each.

    The axes are the cells of agents 0 and 1. With probability ``slip`` an agent's action is a uniformly drawn one; if
    it is 1, this is what random actions return.
    """
    board = task.board
    subsets = [boxes for size in range(1, len(BOXES) + 1) for boxes in combinations(ANY_BOX, size)]
    known = [(boxes, oracle) for boxes in subsets for oracle in (UNTOUCHED, SPENT)]
    values = {knowledge: torch.zeros(SIZE**2, SIZE**2, dtype=torch.float64) for knowledge in known}
    for _ in range(task.horizon):
        arrivals = {knowledge: _arrive(task, knowledge, values) for knowledge in known}
        values = {knowledge: _best_moves(value, board, slip) for knowledge, value in arrivals.items()}
    return values


def _best_moves(values: Tensor, board: Board, slip: float) -> Tensor:
    """Return what pairs of cells are worth before both agents move, given what they are worth after it."""
    if slip == 0.0:
        return _best_move(_best_move(values).T.contiguous()).T.contiguous()
    first = _mean_move(values, board)
    both = _mean_move(first.T.contiguous(), board).T
    if slip == 1.0:
        return both.contiguous()
    second = _mean_move(values.T.contiguous(), board).T
    # Whoever slips does so whatever was chosen. For each choice of agent 0, agent 1's best one.
    obeyed, one, two = (1.0 - slip) ** 2, slip * (1.0 - slip), slip**2
    choices = []
    for cells in board.neighbours().T:
        either = (obeyed * values[cells] + one * first).T.contiguous()
        choices.append(_best_move(either).T + one * second[cells])
    return torch.stack(choices).amax(0) + two * both


def _best_move(values: Tensor) -> Tensor:
    return _around(values, torch.maximum)


def _mean_move(values: Tensor, board: Board) -> Tensor:
    cancelled = (~board.inside()).sum(1)[:, None]  # moves that would leave the board, and so do not move
    return (_around(values, torch.add) + cancelled * values) / len(board.moves)


def _around(values: Tensor, combine: Callable[..., Tensor]) -> Tensor:
    """Combine each row with those of the cells around it: a king's moves are a step or none along each axis."""
    grid = values.view(SIZE, SIZE, -1)
    for axis in (0, 1):
        combined = grid.clone()
        for ahead, behind in ((1, 0), (0, 1)):
            here = combined.narrow(axis, behind, SIZE - 1)
            combine(here, grid.narrow(axis, ahead, SIZE - 1), out=here)
        grid = combined
    return grid.view_as(values)


def _arrive(task: Oracle, knowledge: Knowledge, values: dict[Knowledge, Tensor]) -> Tensor:
    """Return what a step pays that leads to each pair of cells, plus the value of going on from there."""
    arrival = values[knowledge] + STEP_REWARD  # right wherever nobody visits anything
    boxes, oracle = knowledge
    rooms = _rooms(task.board)
    for first, second in product(range(len(rooms)), repeat=2):
        visited = [place in (first, second) for place in range(len(PLACES))]
        if not any(visited):
            continue
        rows, columns = rooms[first][:, None], rooms[second]
        worth = torch.zeros(1, dtype=torch.float64)
        for right in boxes:
            following, reward, ended = outcome(visited, right, oracle, task.wrong_box_penalty)
            left = tuple(box for box in boxes if not visited[box])
            later = torch.zeros(1, dtype=torch.float64)
            if not ended:
                told = task.hint_probability if following == SPEAKS else 0.0
                silent = values[left, UNTOUCHED if following == UNTOUCHED else SPENT]
                later = told * values[(right,), SPENT][rows, columns] + (1.0 - told) * silent[rows, columns]
            worth = worth + reward + later
        arrival[rows, columns] = worth / len(boxes)
    return arrival


@lru_cache(maxsize=8)
def _rooms(board: Board) -> tuple[Tensor, ...]:
    """Return the cells of each place's region, and those of none: int64, each cell once."""
    near_places = regions(board)
    return tuple(region.nonzero()[:, 0] for region in (*near_places, ~near_places.any(0)))


class WaitingPlan(NamedTuple):
    """Where agent 1 waits while agent 0 asks the oracle, and what the plan returns on average."""

    cell: Cell
    expected_return: float


def best_waiting_plan(task: Oracle) -> WaitingPlan:
    """Try every cell that agent 1 can reach from the centre before the oracle speaks; of equals take the first.

    Agent 0 goes straight to the oracle; once the hint is out, whoever is nearer opens the box.
    """
    board, near_places = task.board, regions(task.board)
    ways = _ways(board)
    asker, asking = board.at(START), 0
    while not near(board.cells[asker], ORACLE):
        asker, asking = int(board.neighbours()[asker, ways[len(BOXES), asker]]), asking + 1
    to_box = torch.stack([distances_to(board, near_places[box], near_places[:-1].any(0)) for box in ANY_BOX])
    opening = torch.minimum(to_box, to_box[:, asker, None]).double().mean(0)  # steps, if agent 1 waits at each cell
    # King's moves can be walked backwards: as far from the centre as to it.
    away = distances_to(board, board.marked(lambda cell: cell == START), near_places[:-1].any(0))
    allowed = (away <= asking) & ~near_places[:-1].any(0)
    best = int(opening.masked_fill(~allowed, torch.inf).argmin())
    steps = asking + float(opening[best])
    return WaitingPlan(board.cells[best], ORACLE_REWARD + BOX_REWARD + STEP_REWARD * steps)


@lru_cache(maxsize=8)
def _ways(board: Board) -> Tensor:
    """Return the next move towards each place, int64 ``[places, cells]``, never through a box that is not the goal."""
    near_places = regions(board)
    return torch.stack([moves_to(board, region, near_places[:-1].any(0)) for region in near_places])


class _BoxSeeker:
    """Gathers what is known and goes to the right box once only one is possible; until then subclasses say where."""

    def __init__(self, task: Oracle) -> None:
        board = task.board
        self.posterior = OraclePosterior(task)
        waiting_cell = best_waiting_plan(task).cell
        waiting = board.marked(lambda cell: cell == waiting_cell)
        # Destinations 0 to 2 are boxes, 3 the oracle, 4 the waiting cell.
        self.ways = torch.cat((_ways(board), moves_to(board, waiting, regions(board)[:-1].any(0))[None]))

    def initial_memory(self, keys: Tensor) -> Memory:
        """Know nothing."""
        return self.posterior.prior(keys)

    def act(self, observations: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """Take the next step of a shortest way to where each agent is headed."""
        memory = self.posterior.update(memory, observations, None)
        known = memory.possible.sum(-1) == 1
        headed = torch.where(known, memory.possible.to(torch.int64).argmax(-1), self.search(memory.possible))
        own = self.posterior.positions(observations).diagonal(dim1=1, dim2=2)
        return self.ways.to(observations.device)[headed, own], memory

    def search(self, possible: Tensor) -> Tensor:
        """Return each agent's destination while more than one box is possible, broadcastable to ``[B, N]``."""
        raise NotImplementedError

    def belief(self, memory: Memory) -> tuple[Tensor, ...]:
        """Return the exact posterior."""
        return self.posterior.marginals(memory)


class OraclePolicy(_BoxSeeker):
    """Agent 0 asks the oracle, agent 1 waits where ``best_waiting_plan`` says; then both go to the revealed box."""

    def search(self, possible: Tensor) -> Tensor:
        """Send agent 0 to the oracle and agent 1 to its waiting cell."""
        return torch.tensor([len(BOXES), len(BOXES) + 1], device=possible.device)


class SweepPolicy(_BoxSeeker):
    """A diagnostic that never asks: each agent opens a box of its own, then both go to the third."""

    def search(self, possible: Tensor) -> Tensor:
        """Send agent 0 to the first box and agent 1 to the second, or to the third if their own is wrong."""
        own = torch.stack((possible[:, 0, 0], possible[:, 1, 1]), 1)
        return torch.where(own, torch.arange(2, device=possible.device), 2)
