"""Escape Room: two agents with a view of 5 x 5 cells look for two keys and then leave a 10 x 10 room by its exit.

Rules after the environment of Pritz & Leung, *Belief States for Cooperative Multi-Agent Reinforcement Learning under
Partial Observability* (arXiv 2504.08417). One marked deviation: the keys are sorted by (x, y). They are exchangeable,
so that "the second key" would otherwise mean nothing.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from benchmark.tasks.board import CROSS_MOVES, Board, Cell, bounce, square_board
from benchmark.tasks.picture import Mark, Picture
from benchmark.tasks.streams import below, bits, distinct
from benchmark.tasks.task import Field, HiddenVariable, Layout, Task, Transition, replicate

SIZE = 10
VISION = 2  # cells to each side, unless a task says otherwise
START: Cell = (5, 5)
INTERIOR: tuple[Cell, ...] = tuple((x, y) for x in range(1, SIZE - 1) for y in range(1, SIZE - 1))
EXITS: tuple[Cell, ...] = tuple((SIZE - 1, y) for y in range(SIZE))

HORIZON = 100
MOVE_REWARD = -0.01
WALL_REWARD = -0.1
EXIT_REWARD = 5.0

# Codes of an observed cell; 0 is empty, or out of sight.
COLLECTED, KEY, EXIT, AGENT = 1, 2, 3, 4


class EscapeRoomState(NamedTuple):
    """State of B episodes. Cell ``(x, y)`` has number ``x * 10 + y``."""

    agents: Tensor  # int64 [B, 2]: the cell each agent stands on
    keys: Tensor  # int64 [B, 2]: the cells of the keys, ascending; they never change
    exit: Tensor  # int64 [B]: the cell of the exit
    collected: Tensor  # bool [B, 2]: which keys have been collected


@dataclass(frozen=True)
class EscapeRoom(Task):
    """Two agents collect two keys and leave.

    Keys lie on distinct cells of the interior where no agent starts, the exit on the column x = 9, uniformly.
    Standing on a key after the move collects it. When both keys are collected, by whomever, and any agent stands on
    the exit, the team gets 5 and the episode ends. Each agent's attempt to move within the room costs the team 0.01,
    an attempt to leave it 0.1; staying is free. All agents whose targets coincide (stayers and those who ran
    against the wall included) remain where they were, and pay all the same.

    An agent sees the 5 x 5 cells around itself, at their places on the grid, and everybody's coordinates.

    Attributes:
        random_start: start the agents on distinct cells, uniform over the room, and not both on (5, 5).
        view_radius: how many cells an agent sees to each side; 9 is the whole room, from wherever it stands.

    Raises:
        ValueError: if the radius is not within 1 to 9.
    """

    random_start: bool = False
    view_radius: int = VISION

    def __post_init__(self) -> None:
        if not 1 <= self.view_radius < SIZE:
            raise ValueError(f"escape-room: view_radius={self.view_radius} is outside 1 to {SIZE - 1} cells")

    @property
    def agents(self) -> int:
        """Two."""
        return 2

    @property
    def action_names(self) -> tuple[str, ...]:
        """Right and left along x, up and down along y, stay."""
        return ("right", "left", "up", "down", "stay")

    @property
    def horizon(self) -> int:
        """A hundred steps; reaching them truncates."""
        return HORIZON

    @property
    def observation_layout(self) -> Layout:
        """The room in cell order (1 collected key, 2 key, 3 exit, 4 agent, 0 empty or unseen), then all (x, y)."""
        return _LAYOUT

    @property
    def state_layout(self) -> Layout:
        """As observed by somebody who sees the whole room."""
        return _LAYOUT

    @property
    def hidden_variables(self) -> tuple[HiddenVariable, ...]:
        """The keys sorted by (x, y) and the exit (the paper's u), and which of the keys are collected."""
        return _HIDDEN

    @property
    def board(self) -> Board:
        """Where the agents walk."""
        return square_board(SIZE, SIZE, CROSS_MOVES)

    def initial_state(self, keys: Tensor) -> EscapeRoomState:
        """Place agents, keys and exit."""
        tables = _tables(self.view_radius, keys.device)
        if self.random_start:
            agents = distinct(keys, "start", self.agents, SIZE**2)
        else:
            agents = torch.full((len(keys), self.agents), self.board.at(START), device=keys.device)
        # Two agents exclude two cells at most, so that two of four distinct ones are free: the first two of them.
        places = tables.interior[distinct(keys, "keys", 4, len(INTERIOR))]
        excluded = (places[:, :, None] == agents[:, None, :]).any(2)
        free = excluded.to(torch.int64).sort(dim=1, stable=True).indices[:, :2]
        exits = tables.exits[below(bits(keys, 0, "exit", 1), len(EXITS))[:, 0]]
        collected = torch.zeros(len(keys), 2, dtype=torch.bool, device=keys.device)
        return EscapeRoomState(agents, places.gather(1, free).sort(1).values, exits, collected)

    def transition(self, state: EscapeRoomState, actions: Tensor, keys: Tensor, step: int) -> Transition:
        """Move both agents at once, collect keys, then look whether anybody leaves."""
        tables = _tables(self.view_radius, state.agents.device)
        attempts = state.agents * len(CROSS_MOVES) + actions
        agents = bounce(state.agents, tables.target[attempts])
        collected = state.collected
        for cell in agents.unbind(1):
            collected = collected | (state.keys == cell[:, None])
        terminated = collected.all(1) & (agents == state.exit[:, None]).any(1)
        reward = terminated * EXIT_REWARD + tables.cost[attempts].sum(1)
        following = EscapeRoomState(agents, state.keys, state.exit, collected)
        return Transition(following, replicate(reward, self.agents), terminated, actions)

    def observe(self, state: EscapeRoomState) -> Tensor:
        """Return float32 ``[B, 2, 104]``."""
        tables = _tables(self.view_radius, state.agents.device)
        things, codes = _things(state)
        own = state.agents[:, :, None] * SIZE**2
        # An agent's own cell always shows an agent, and agents are written last: what is out of sight goes there.
        seen = torch.zeros(len(state.exit), self.agents, _LAYOUT.size, device=state.exit.device)
        seen.scatter_(2, tables.shown_at[own + things[:, None]], codes[:, None].expand(-1, self.agents, -1))
        seen.scatter_(2, tables.shown_at[own + state.agents[:, None]], float(AGENT))
        seen[:, :, SIZE**2 :] = tables.coordinates[state.agents].flatten(1)[:, None]
        return seen

    def state_vector(self, state: EscapeRoomState) -> Tensor:
        """Return float32 ``[B, 104]``."""
        things, codes = _things(state)
        grid = torch.zeros(len(things), SIZE**2, device=things.device).scatter(1, things, codes)
        coordinates = _tables(self.view_radius, things.device).coordinates[state.agents].flatten(1)
        return torch.cat((grid.scatter(1, state.agents, float(AGENT)), coordinates), 1)

    def hidden(self, state: EscapeRoomState) -> Tensor:
        """Return int64 ``[B, 5]``: two keys among the interior cells, the exit's y, two collected flags."""
        keys = _tables(self.view_radius, state.keys.device).interior_index[state.keys]
        return torch.cat((keys, state.exit[:, None] % SIZE, state.collected.to(torch.int64)), 1)

    def draw(self, state: EscapeRoomState, episode: int = 0) -> str:
        """Draw the room with y upwards.

        ``0`` and ``1`` the agents (``2`` both of them on one cell), ``k`` key, ``x`` collected key, ``E`` exit,
        ``.`` seen cells, blank unseen ones.
        """
        picture = self.picture(state, episode)
        signs = {cell: "." for cells in picture.seen for cell in cells}
        signs |= {
            (int(x), int(y)): {"exit": "E", "key": "k"}.get(mark.meaning, "x")
            for mark in picture.marks
            for x, y in [mark.place]
        }
        for agent, (x, y) in enumerate(picture.agents):
            signs[int(x), int(y)] = "2" if picture.agents.count((x, y)) == 2 else str(agent)
        rows = ["".join(f" {signs.get((x, y), ' ')}" for x in range(SIZE)) for y in reversed(range(SIZE))]
        edge = "+" + "-" * (2 * SIZE + 1) + "+"
        return "\n".join([edge, *(f"|{row} |" for row in rows), edge, picture.title])

    def picture(self, state: EscapeRoomState, episode: int = 0) -> Picture:
        """See ``Task``."""
        cells = self.board.cells
        agents = tuple(cells[agent] for agent in state.agents[episode].tolist())
        collected = state.collected[episode].tolist()
        marks = [Mark(cells[int(state.exit[episode])], "door", "green", meaning="exit")]
        for key, done in zip(state.keys[episode].tolist(), collected, strict=True):
            colour, meaning = ("grey", "collected key") if done else ("gold", "key")
            marks.append(Mark(cells[key], "key", colour, meaning=meaning))
        seen = tuple(tuple(cell for cell in cells if in_view(agent, cell, self.view_radius)) for agent in agents)
        return Picture(f"{sum(collected)} of 2 keys collected", cells, agents, tuple(marks), seen)


def in_view(agent: Cell, cell: Cell, radius: int) -> bool:
    """Return whether an agent that sees so many cells to each side sees a cell."""
    return max(abs(agent[0] - cell[0]), abs(agent[1] - cell[1])) <= radius


_LAYOUT = Layout((Field("room", SIZE**2, 0, AGENT), Field("positions", 4, 0, SIZE - 1)))
_HIDDEN = (
    HiddenVariable("key_1", "coordinates", INTERIOR),
    HiddenVariable("key_2", "coordinates", INTERIOR),
    HiddenVariable("exit", "coordinates", EXITS),
    HiddenVariable("collected_1", "categorical", ("no", "yes"), in_paper=False),
    HiddenVariable("collected_2", "categorical", ("no", "yes"), in_paper=False),
)


def _things(state: EscapeRoomState) -> tuple[Tensor, Tensor]:
    """Return the cells of the keys and the exit ``[B, 3]``, and their codes."""
    codes = torch.nn.functional.pad(KEY - (KEY - COLLECTED) * state.collected.to(torch.float32), (0, 1), value=EXIT)
    return torch.cat((state.keys, state.exit[:, None]), 1), codes


class _Tables(NamedTuple):
    target: Tensor  # int64 [cells * A]: where each action leads from each cell
    cost: Tensor  # float32 [cells * A]: the reward, negative, for attempting it
    shown_at: Tensor  # int64 [cells * cells]: the second cell if an agent on the first one sees it, else the first
    coordinates: Tensor  # float32 [cells, 2]
    interior: Tensor  # int64 [64]: the interior cells
    interior_index: Tensor  # int64 [cells]: their place in that list
    exits: Tensor  # int64 [10]: the cells where the exit can be


@lru_cache(maxsize=16)
def _tables(radius: int, device: torch.device) -> _Tables:
    board = square_board(SIZE, SIZE, CROSS_MOVES)
    moves = torch.tensor([0.0 if move == (0, 0) else MOVE_REWARD for move in CROSS_MOVES], device=device)
    cost = torch.where(board.inside(device), moves, WALL_REWARD)
    shown_at = [
        [index if in_view(agent, cell, radius) else own for index, cell in enumerate(board.cells)]
        for own, agent in enumerate(board.cells)
    ]
    interior = torch.tensor([board.at(cell) for cell in INTERIOR], device=device)
    interior_index = torch.zeros(SIZE**2, dtype=torch.int64, device=device)
    interior_index[interior] = torch.arange(len(INTERIOR), device=device)
    return _Tables(
        board.neighbours(device).flatten(),
        cost.flatten(),
        torch.tensor(shown_at, device=device).flatten(),
        board.coordinates(device).to(torch.float32),
        interior,
        interior_index,
        torch.tensor([board.at(cell) for cell in EXITS], device=device),
    )
