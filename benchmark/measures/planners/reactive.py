"""Policies without memory: how far a team gets on its latest observations alone.

What the world keeps need not be remembered. In Oracle the team's places after the hint say what the hint was; in
HoneyComb an informed agent on its goal goes on saying which one it is; in Escape Room an agent sees where on its round
it is. So the best of these policies come close to the best policies with memory, where such are known, and what is
left between them bounds what memory can be worth (see ``diagnosis``).

A policy here may draw at random, from its keys and the time, but chooses its distribution by the observation only.
"""

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

from benchmark.episodes.policy import Policy
from benchmark.episodes.rollout import Episodes
from benchmark.measures.planners.routes import moves_to
from benchmark.measures.planners.sweep import STAY
from benchmark.tasks.board import CROSS_MOVES, Cell, square_board
from benchmark.tasks.escape_room import EXIT, KEY, SIZE, START, EscapeRoom
from benchmark.tasks.gathering import OUTSIDE, RESOURCE, Gathering
from benchmark.tasks.perturb import Transform
from benchmark.tasks.streams import below, bits, chance
from benchmark.tasks.task import Task

RIGHT, LEFT, UP, DOWN = range(4)


class Shadow:
    """Each agent does what another policy did most often at the same observation: that policy without its memory.

    Attributes:
        torn: share of the recorded actions that differ from the one done most often. At 0, the policy whose episodes
            these are never needed its memory in them.
    """

    def __init__(self, episodes: Episodes, actions: int, looked_at: slice = slice(None)) -> None:
        """Write the table.

        Args:
            episodes: what the other policy did.
            actions: A.
            looked_at: the part of the observation that counts.
        """
        self.looked_at = looked_at
        seen, done = episodes.observations[:, :-1][episodes.mask], episodes.actions[episodes.mask]
        self.rows: list[Tensor] = []
        self.choices: list[Tensor] = []
        kept = 0
        for agent in range(done.shape[1]):
            rows, which = torch.unique(seen[:, agent, looked_at], dim=0, return_inverse=True)
            counts = torch.bincount(which * actions + done[:, agent], minlength=len(rows) * actions).view(-1, actions)
            most, choice = counts.max(1)
            kept += int(most.sum())
            self.rows.append(rows)
            # What was never seen is met like most things.
            self.choices.append(torch.cat((choice, counts.sum(0).argmax(keepdim=True))))
        self.torn = 1.0 - kept / done.numel()

    def initial_memory(self, keys: Tensor) -> None:
        """Remember nothing."""

    def act(self, observations: Tensor, memory: None) -> tuple[Tensor, None]:
        """Look the actions up, int64 ``[B, N]``."""
        chosen = []
        for seen, rows, choice in zip(
            observations[..., self.looked_at].unbind(1), self.rows, self.choices, strict=True
        ):
            same = (seen[:, None] == rows).all(2)
            chosen.append(choice[torch.where(same.any(1), same.to(torch.int64).argmax(1), len(rows))])
        return torch.stack(chosen, 1), None


class RoundTrip:
    """Escape Room: agent 0 walks a round past everything, fetching the keys it sees; agent 1 stays where it is.

    The round goes left along y = 6, down along x = 3 and right along y = 3, which shows every place where a key may
    lie, and then up along the column of the exits. What is known follows from where the agent is: whoever comes to the
    exits has fetched what it saw. Should a key have been missed after all, the round begins again.
    """

    def __init__(self, task: EscapeRoom) -> None:
        board = task.board
        start = board.marked(lambda cell: cell == START)
        goals = torch.eye(len(board.cells), dtype=torch.bool)
        # Where agent 1 stands nobody can go, and nobody needs to: no key lies there.
        self.ways = torch.stack([moves_to(board, goal, start) for goal in goals])  # [goals, cells]
        self.steps = _distances_around(board.at(START))
        self.round = torch.tensor([_along_the_round(cell) for cell in board.cells])
        self.leaving = torch.tensor([[_to_the_exit(cell, y) for cell in board.cells] for y in range(SIZE)])

    def initial_memory(self, keys: Tensor) -> None:
        """Remember nothing."""

    def act(self, observations: Tensor, memory: None) -> tuple[Tensor, None]:
        """Fetch the nearest key in sight, else leave if it is time, else walk on."""
        room, place = observations[:, 0, : SIZE**2], observations[:, 0, SIZE**2 : SIZE**2 + 2].to(torch.int64)
        cell = place[:, 0] * SIZE + place[:, 1]
        keys = room == KEY
        nearest = self.steps[cell].masked_fill(~keys, SIZE**2 + 1).argmin(1)
        exits = room.unflatten(1, (SIZE, SIZE))[:, -1] == EXIT  # [B, 10]
        leave = self.leaving[exits.to(torch.int64).argmax(1), cell]
        leave = torch.where(exits.any(1) & (leave != STAY), leave, self.round[cell])
        first = torch.where(keys.any(1), self.ways[nearest, cell], leave)
        return torch.stack((first, torch.full_like(first, STAY)), 1), None


def _along_the_round(cell: Cell) -> int:
    """Return the next move of the round, from anywhere."""
    x, y = cell
    if x == SIZE - 1:
        return UP if y < SIZE - 1 else LEFT
    if x <= 3 or y <= 3:
        if y >= 4:
            return DOWN if x == 3 else RIGHT
        if x == 8:
            return DOWN if y > 0 else RIGHT
        return UP if y < 3 else RIGHT
    if y >= 6:
        return LEFT if y == 6 else DOWN
    # Between both lines: back to the upper one, around the cell where agent 1 stands.
    return RIGHT if x == 5 else UP


def _to_the_exit(cell: Cell, exit_y: int) -> int:
    """Return the move to an exit in sight when coming to it for the first time on the round; STAY elsewhere."""
    x, y = cell
    if cell == (7, 3):
        return RIGHT
    if x != 8 or not 1 <= y <= 5:
        return STAY
    return RIGHT if y == exit_y else UP if y < exit_y else DOWN


@lru_cache(maxsize=2)
def _distances_around(closed: int) -> Tensor:
    """Return int64 ``[cells, cells]``: the fewest moves from the first to the second cell, not through one cell."""
    board = square_board(SIZE, SIZE, CROSS_MOVES)
    neighbours, never = board.neighbours(), len(board.cells)
    steps = torch.full((never, never), never).fill_diagonal_(0)
    for _ in range(never):
        ahead = steps[neighbours].masked_fill((neighbours == closed)[..., None], never)  # [cells, A, goals]
        steps = torch.minimum(steps, ahead.amin(1) + 1)
    return steps


class Drift:
    """Gathering: take what is beside oneself; else drift one way to the wall, and go round the board along the walls.

    At the wall opposite to its drift an agent sometimes sets out across the board again; and now and then it does
    anything, so that two who keep each other off a cell do not do so for ever.
    """

    def __init__(self, task: Gathering, crossing: float = 0.15, anything: float = 0.05) -> None:
        self.side, self.agents = 2 * task.view_radius + 1, task.agents
        self.crossing, self.anything = crossing, anything

    def initial_memory(self, keys: Tensor) -> tuple[Tensor, int]:
        """Keep the keys and the time, to draw from."""
        return keys, 0

    def act(self, observations: Tensor, memory: tuple[Tensor, int]) -> tuple[Tensor, tuple[Tensor, int]]:
        """Choose by one's own patch."""
        keys, step = memory
        centre = self.side // 2
        patches = observations[:, 0].unflatten(1, (self.agents, self.side, self.side))
        beside = [patches[..., centre + dx, centre + dy] for dx, dy in CROSS_MOVES[:STAY]]
        walls = torch.stack([cell == OUTSIDE for cell in beside], -1)  # [B, N, 4]
        draws = bits(keys, step, "drift", 2 * self.agents)
        drift = torch.tensor([RIGHT, UP, LEFT, DOWN])[torch.arange(self.agents) % 4].expand(len(keys), -1)
        actions = drift
        for wall, along in ((RIGHT, UP), (DOWN, RIGHT), (LEFT, DOWN), (UP, LEFT)):
            actions = torch.where(walls[..., wall] & ~walls[..., along], along, actions)
        behind = walls.gather(2, (drift ^ 1)[..., None])[..., 0]
        sets_out = behind & chance(draws[:, : self.agents], self.crossing)
        actions = torch.where(sets_out, drift, actions)
        # Corners of the patch first, so that a direct neighbour has the last word.
        diagonal = [(dx, dy) for dx in (-1, 1) for dy in (-1, 1)]
        for dx, dy in (*diagonal, *CROSS_MOVES[:STAY]):
            towards = (RIGHT if dx > 0 else LEFT) if dx else UP if dy > 0 else DOWN
            actions = torch.where(patches[..., centre + dx, centre + dy] == RESOURCE, towards, actions)
        any_action = below(draws[:, self.agents :], STAY)
        actions = torch.where(chance(draws[:, self.agents :], self.anything), any_action, actions)
        return actions, (keys, step + 1)


_WRITTEN: dict[type[Task], Callable[..., Policy]] = {EscapeRoom: RoundTrip, Gathering: Drift}


def written_policy(task: Task) -> Policy | None:
    """Return the policy without memory that was written for a task; None where a planner's ``Shadow`` must do."""
    while isinstance(task, Transform):
        task = task.task
    kind = type(task)
    return _WRITTEN[kind](task) if kind in _WRITTEN else None
