"""HoneyComb: a team walks on hexagons to six goals; a few members know which goal pays double.

Rules after the environment of Pritz & Leung, *Belief States for Cooperative Multi-Agent Reinforcement Learning under
Partial Observability* (arXiv 2504.08417), itself after the human experiment of Boos et al., *Leadership in Moving
Human Groups* (PLoS Computational Biology 10(4), 2014).
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from benchmark.tasks.board import Board, Cell, hex_board
from benchmark.tasks.picture import Bar, Mark, Picture
from benchmark.tasks.streams import below, bits, distinct
from benchmark.tasks.task import Field, HiddenVariable, Layout, Task, Transition, replicate

RADIUS = 5
START: Cell = (0, 0)
GOALS: tuple[Cell, ...] = ((-3, -6), (3, -3), (6, 3), (3, 6), (-3, 3), (-6, -3))
SCALE = 6  # largest coordinate, by which observed coordinates are divided
HORIZON = 30
FIELD_CELLS = 91  # cells with norm at most RADIUS; they come first on the board

GOAL_REWARD = 1.0
SPECIAL_REWARD = 2.0


class HoneyCombState(NamedTuple):
    """State of B episodes."""

    cells: Tensor  # int64 [B, N]: the cell each agent stands on
    special: Tensor  # int64 [B]: the index of the goal that pays double
    step: Tensor  # int64 [B]: steps made; agents see it


@dataclass(frozen=True)
class HoneyComb(Task):
    """Agents leave the centre of a hexagon for six goal cells at its rim, which nobody leaves again.

    The episode ends when all agents stand on goals or after 30 steps, whichever is first; both are terminations. Only
    then is the team paid: 1 for each agent on an ordinary goal and 2 for each on the special one. Cells are shared.

    Attributes:
        team_size: number of agents, N.
        informed: how many of them, the first ones, see which goal is special.
        random_start: start on different cells, uniform over the hexagon without its goals, and not at the centre.

    Raises:
        ValueError: if the team exceeds the hexagon's 91 cells, or ``informed`` is not within 0 to ``team_size``.
    """

    team_size: int = 10
    informed: int = 2
    random_start: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.team_size <= FIELD_CELLS:
            raise ValueError(f"honeycomb: team_size={self.team_size} is outside 1 to {FIELD_CELLS} agents")
        if not 0 <= self.informed <= self.team_size:
            raise ValueError(f"honeycomb: informed={self.informed} is outside 0 to team_size={self.team_size}")

    @property
    def agents(self) -> int:
        """The team's size."""
        return self.team_size

    @property
    def action_names(self) -> tuple[str, ...]:
        """Six directions as ``draw`` shows them, then pass."""
        return ("southeast", "northwest", "southwest", "east", "west", "northeast", "pass")

    @property
    def horizon(self) -> int:
        """Thirty steps; the last one terminates the episode and pays."""
        return HORIZON

    @property
    def observation_layout(self) -> Layout:
        """All agents' positions, the goals, the time, and the special goal ((0, 0) for the uninformed)."""
        return _layout(self.team_size)

    @property
    def state_layout(self) -> Layout:
        """What an informed agent observes."""
        return _layout(self.team_size)

    @property
    def hidden_variables(self) -> tuple[HiddenVariable, ...]:
        """The special goal (the paper's u); everything else is always seen."""
        return _HIDDEN

    @property
    def board(self) -> Board:
        """Where the agents walk; goals absorb."""
        return hex_board(RADIUS, GOALS)

    def initial_state(self, keys: Tensor) -> HoneyCombState:
        """Draw the special goal, and with ``random_start`` the agents' cells."""
        special = below(bits(keys, 0, "special", 1), len(GOALS))[:, 0]
        if self.random_start:
            cells = distinct(keys, "start", self.team_size, FIELD_CELLS)
        else:
            cells = torch.full((len(keys), self.team_size), self.board.at(START), device=keys.device)
        return HoneyCombState(cells, special, torch.zeros_like(special))

    def transition(self, state: HoneyCombState, actions: Tensor, keys: Tensor, step: int) -> Transition:
        """Move all agents at once; pay the team when the episode ends."""
        tables = _tables(self.team_size, self.informed, state.cells.device)
        cells = tables.neighbours[state.cells, actions]
        payoff = tables.payoff[state.special[:, None], cells]
        terminated = (payoff > 0).all(1) if step + 1 < HORIZON else torch.ones_like(state.special, dtype=torch.bool)
        following = HoneyCombState(cells, state.special, state.step + 1)
        return Transition(following, replicate(payoff.sum(1) * terminated, self.team_size), terminated, actions)

    def observe(self, state: HoneyCombState) -> Tensor:
        """Return float32 ``[B, N, 2N + 15]``."""
        tables = _tables(self.team_size, self.informed, state.cells.device)
        positions = tables.scaled[state.cells].flatten(1)[:, None]
        seen = torch.cat((positions.expand(-1, 2, -1), tables.rest[state.special, state.step]), 2)  # [B, 2, O]
        return seen.index_select(1, tables.knows)

    def state_vector(self, state: HoneyCombState) -> Tensor:
        """Return float32 ``[B, 2N + 15]``."""
        tables = _tables(self.team_size, self.informed, state.cells.device)
        return torch.cat((tables.scaled[state.cells].flatten(1), tables.rest[state.special, state.step, 1]), 1)

    def hidden(self, state: HoneyCombState) -> Tensor:
        """Return int64 ``[B, 1]``: the special goal."""
        return state.special[:, None]

    def draw(self, state: HoneyCombState, episode: int = 0) -> str:
        """Draw the hexagon: how many agents stand on each cell, ``( )`` goals, ``[ ]`` the special one.

        East is ``(1, 0)``, northeast ``(1, 1)``. The last lines say the time and where the informed agents are.
        """
        agents = [self.board.cells[cell] for cell in state.cells[episode].tolist()]
        special = GOALS[int(state.special[episode])]
        rows: dict[int, list[str]] = {}
        for i, j in self.board.cells:
            row = rows.setdefault(j, [" "] * (2 * _WIDTH))
            opened, closed = ("[", "]") if (i, j) == special else ("(", ")") if (i, j) in GOALS else (" ", " ")
            count = agents.count((i, j)) or ("." if (i, j) not in GOALS else " ")
            # Neighbours in a row are two columns apart, and each row leans half a cell against the next.
            column = 2 * (2 * i - j + 2 * RADIUS)
            row[column : column + 4] = f"{opened}{count:>2}{closed}"
        picture = ["".join(rows[j]).rstrip() for j in sorted(rows, reverse=True)]
        informed = ", ".join(f"{agent} at {agents[agent]}" for agent in range(self.informed))
        return "\n".join([*picture, f"step: {int(state.step[episode])} of {HORIZON}", f"informed: {informed}"])

    def picture(self, state: HoneyCombState, episode: int = 0) -> Picture:
        """See ``Task``."""
        agents = tuple(self.board.cells[cell] for cell in state.cells[episode].tolist())
        special = GOALS[int(state.special[episode])]
        marks = tuple(
            Mark(goal, "hexagon", "gold", meaning="pays 2", size=0.94)
            if goal == special
            else Mark(goal, "hexagon", "grey", meaning="pays 1", size=0.94)
            for goal in GOALS
        )
        bars = (Bar("step", int(state.step[episode]), HORIZON),)
        title = f"informed: agents 0 to {self.informed - 1}"
        return Picture(title, self.board.cells, agents, marks, bars=bars, hexagonal=True)


_WIDTH = 4 * RADIUS + 2  # columns of a drawing, two characters each

_HIDDEN = (HiddenVariable("special", "coordinates", GOALS, hexagonal=True),)


@lru_cache(maxsize=64)
def _layout(team_size: int) -> Layout:
    positions = Field("positions", 2 * team_size, -1.0, 1.0)
    return Layout(
        (positions, Field("goals", 12, -1.0, 1.0), Field("time", 1, 0.0, 1.0), Field("special", 2, -1.0, 1.0))
    )


class _Tables(NamedTuple):
    neighbours: Tensor  # int64 [cells, A]
    scaled: Tensor  # float32 [cells, 2]: coordinates in [-1, 1]
    payoff: Tensor  # float32 [goals, cells]: what an agent there earns at the end, given the special goal
    rest: Tensor  # float32 [goals, T + 1, 2, 15]: what the uninformed and the informed see besides positions
    knows: Tensor  # int64 [N]: 1 for informed agents


@lru_cache(maxsize=32)
def _tables(team_size: int, informed: int, device: torch.device) -> _Tables:
    board = hex_board(RADIUS, GOALS)
    payoff = torch.zeros(len(GOALS), len(board.cells), dtype=torch.float32)
    rest = torch.zeros(len(GOALS), HORIZON + 1, 2, 15, dtype=torch.float32)
    goals = torch.tensor(GOALS, dtype=torch.float32) / SCALE
    payoff[:, [board.at(goal) for goal in GOALS]] = GOAL_REWARD
    rest[..., :12] = goals.flatten()
    rest[..., 12] = (torch.arange(HORIZON + 1) / HORIZON)[:, None]
    for number, goal in enumerate(GOALS):
        payoff[number, board.at(goal)] = SPECIAL_REWARD
        rest[number, :, 1, 13:] = goals[number]
    knows = (torch.arange(team_size, device=device) < informed).to(torch.int64)
    scaled = board.coordinates(device).to(torch.float32) / SCALE
    return _Tables(board.neighbours(device), scaled, payoff.to(device), rest.to(device), knows)
