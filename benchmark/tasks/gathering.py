"""Gathering: three agents with a view of 3 x 3 cells and no coordinates look for four resources on a 20 x 20 grid.

Rules after the environment of Pritz & Leung, *Belief States for Cooperative Multi-Agent Reinforcement Learning under
Partial Observability* (arXiv 2504.08417). One marked deviation: the hidden resources are sorted by (x, y), gone ones
last. They are exchangeable, so that "the second resource" would otherwise mean nothing.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from benchmark.tasks.board import CROSS_MOVES, Board, Cell, bounce, square_board
from benchmark.tasks.picture import Mark, Picture
from benchmark.tasks.streams import distinct
from benchmark.tasks.task import Field, HiddenVariable, Layout, Task, Transition, replicate

HORIZON = 100
MOVE_REWARD = -0.01
RESOURCE_REWARD = 3.0

# Codes of an observed cell; 0 is an empty one.
OUTSIDE, RESOURCE, AGENT = -1, 1, 2


def patch(radius: int) -> tuple[Cell, ...]:
    """Return the offsets of an agent's patch, x-major."""
    axis = range(-radius, radius + 1)
    return tuple((dx, dy) for dx in axis for dy in axis)


PATCH = patch(1)


class GatheringState(NamedTuple):
    """State of B episodes. Cell ``(x, y)`` has number ``x * width + y``."""

    agents: Tensor  # int64 [B, N]: the cell each agent stands on
    resources: Tensor  # int64 [B, K]: the cell of each resource, in the order of placement; width**2 once it is gone


@dataclass(frozen=True)
class Gathering(Task):
    """Three agents gather four resources.

    Agents start on distinct cells and resources lie on distinct free ones, uniformly. A move off the grid does
    nothing; all agents whose targets coincide (stayers included) remain where they were. Standing on a resource
    after the move takes it and pays the team 3. Each agent's attempt to move within the grid costs the team 0.01,
    even if it is held back; staying and moving off the grid are free. The episode ends when nothing is left.

    Every agent sees the 3 x 3 patches around all agents, in agent order, and neither coordinates nor time.

    Attributes:
        team_size: number of agents, N.
        resources: number of resources, K.
        width: side of the grid, in cells.
        view_radius: how many cells a patch reaches to each side.

    Raises:
        ValueError: if a parameter is not positive, or the grid is too small.
    """

    team_size: int = 3
    resources: int = 4
    width: int = 20
    view_radius: int = 1

    def __post_init__(self) -> None:
        for name in ("team_size", "resources", "width", "view_radius"):
            if getattr(self, name) < 1:
                raise ValueError(f"gathering: {name}={getattr(self, name)} must be at least 1")
        if self.team_size + self.resources > self.width**2:
            raise ValueError(
                f"gathering: width={self.width} leaves {self.width**2} cells for team_size={self.team_size} agents "
                f"and resources={self.resources}"
            )

    @property
    def agents(self) -> int:
        """See ``team_size``."""
        return self.team_size

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
        """Every agent's patch: -1 outside, 1 resource, 2 other agent, 0 empty; its own cell is 0."""
        size = (2 * self.view_radius + 1) ** 2
        return Layout(tuple(Field(f"patch_{agent}", size, OUTSIDE, AGENT) for agent in range(self.agents)))

    @property
    def state_layout(self) -> Layout:
        """The whole grid in cell order: 1 resource, 2 agent, 0 empty."""
        return Layout((Field("grid", self.width**2, 0, AGENT),))

    @property
    def hidden_variables(self) -> tuple[HiddenVariable, ...]:
        """The remaining resources sorted by (x, y), (-1, -1) for those gone, then the agents.

        This is all of the paper's u, and all that a sufficient belief needs.
        """
        cells = self.board.cells
        return (
            *(
                HiddenVariable(f"resource_{number}", "coordinates", (*cells, (-1, -1)))
                for number in range(1, self.resources + 1)
            ),
            *(HiddenVariable(f"agent_{number}", "coordinates", cells) for number in range(self.agents)),
        )

    @property
    def board(self) -> Board:
        """Where the agents walk."""
        return square_board(self.width, self.width, CROSS_MOVES)

    def initial_state(self, keys: Tensor) -> GatheringState:
        """Place agents and resources on distinct cells."""
        cells = distinct(keys, "gathering", self.agents + self.resources, self.width**2)
        return GatheringState(*cells.split((self.agents, self.resources), 1))

    def transition(self, state: GatheringState, actions: Tensor, keys: Tensor, step: int) -> Transition:
        """Move all agents at once, then take the resources they stand on."""
        tables = _tables(self.width, self.view_radius, state.agents.device)
        attempts = state.agents * len(CROSS_MOVES) + actions
        agents = bounce(state.agents, tables.target[attempts])
        taken = torch.zeros_like(state.resources, dtype=torch.bool)
        for cell in agents.unbind(1):
            taken |= state.resources == cell[:, None]
        resources = state.resources.masked_fill(taken, self.width**2)
        reward = taken.sum(1) * RESOURCE_REWARD + tables.moves[attempts].sum(1) * MOVE_REWARD
        terminated = (resources == self.width**2).all(1)
        return Transition(GatheringState(agents, resources), replicate(reward, self.agents), terminated, actions)

    def observe(self, state: GatheringState) -> Tensor:
        """Return float32 ``[B, N, (2 * view_radius + 1)**2 * N]``: the same for all agents."""
        tables = _tables(self.width, self.view_radius, state.agents.device)
        things = torch.cat((state.agents, state.resources), 1)
        # A free resource and an agent never share a cell, so that the order of writing does not matter.
        codes = torch.tensor([AGENT] * self.agents + [RESOURCE] * self.resources, device=things.device)
        places = tables.place[state.agents[:, :, None] * (self.width**2 + 1) + things[:, None, :]]
        patches = tables.ground[state.agents].scatter(2, places, codes.to(torch.float32).expand(places.shape))
        seen = patches[:, :, :-1].flatten(1)
        return seen[:, None].expand(-1, self.agents, -1)

    def state_vector(self, state: GatheringState) -> Tensor:
        """Return float32 ``[B, width**2]``."""
        grid = torch.zeros(len(state.agents), self.width**2 + 1, device=state.agents.device)
        return grid.scatter(1, state.agents, AGENT).scatter(1, state.resources, RESOURCE)[:, :-1]

    def hidden(self, state: GatheringState) -> Tensor:
        """Return int64 ``[B, K + N]``."""
        return torch.cat((state.resources.sort(1).values, state.agents), 1)

    def draw(self, state: GatheringState, episode: int = 0) -> str:
        """Draw the board with y upwards.

        ``0``, ``1``, ... the agents (``&`` several on one cell), ``*`` resources, ``.`` seen cells, blank unseen ones.
        """
        picture = self.picture(state, episode)
        signs = {cell: "." for patch in picture.seen for cell in patch}
        signs |= {(int(x), int(y)): "*" for (x, y), *_ in picture.marks}
        for agent, (x, y) in enumerate(picture.agents):
            signs[int(x), int(y)] = "&" if picture.agents.count((x, y)) > 1 else str(agent)
        rows = ["".join(f" {signs.get((x, y), ' ')}" for x in range(self.width)) for y in reversed(range(self.width))]
        edge = "+" + "-" * (2 * self.width + 1) + "+"
        return "\n".join([edge, *(f"|{row} |" for row in rows), edge, picture.title])

    def picture(self, state: GatheringState, episode: int = 0) -> Picture:
        """See ``Task``."""
        cells, index = self.board.cells, self.board.index
        agents = tuple(cells[agent] for agent in state.agents[episode].tolist())
        left = [cells[cell] for cell in state.resources[episode].tolist() if cell < len(cells)]
        patches = [[(x + dx, y + dy) for dx, dy in patch(self.view_radius)] for x, y in agents]
        return Picture(
            f"{len(left)} of {self.resources} resources left",
            cells,
            agents,
            tuple(Mark(cell, "star", "gold", meaning="resource") for cell in left),
            tuple(tuple(cell for cell in patch if cell in index) for patch in patches),
        )


class _Tables(NamedTuple):
    target: Tensor  # int64 [cells * A]: where each action leads from each cell
    moves: Tensor  # int64 [cells * A]: 1 if that costs
    ground: Tensor  # float32 [cells, P + 1]: what an agent there sees of the bare board, and 0
    place: Tensor  # int64 [cells * (cells + 1)]: at which place of the patch around one cell another cell lies


@lru_cache(maxsize=16)
def _tables(width: int, radius: int, device: torch.device) -> _Tables:
    board, offsets = square_board(width, width, CROSS_MOVES), patch(radius)
    out_of_sight = len(offsets)
    x, y = board.coordinates(device).unbind(1)
    dx, dy = x[None, :] - x[:, None], y[None, :] - y[:, None]
    near = (dx.abs() <= radius) & (dy.abs() <= radius)
    # An agent never sees anything on its own cell: itself is not shown, and a resource there is taken.
    near.fill_diagonal_(fill_value=False)
    place = torch.where(near, (dx + radius) * (2 * radius + 1) + dy + radius, out_of_sight)
    ground = [
        [0.0 if (x + dx, y + dy) in board.index else OUTSIDE for dx, dy in offsets] + [0.0] for x, y in board.cells
    ]
    stays = torch.tensor([move == (0, 0) for move in CROSS_MOVES], device=device)
    return _Tables(
        board.neighbours(device).flatten(),
        (board.inside(device) & ~stays).to(torch.int64).flatten(),
        torch.tensor(ground, device=device),
        torch.nn.functional.pad(place, (0, 1), value=out_of_sight).flatten(),
    )
