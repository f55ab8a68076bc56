"""Who is whose neighbour: the graphs on which agents exchange reports and learners average actions.

The paper (P21 = arXiv 2106.09825) names five graphs and draws them in a figure that gives no sizes; which edges they
have is our choice, written down once, here.
"""

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import isqrt

import torch
from torch import Tensor

BRANCHING = 3


def _full(agent: int, size: int) -> Sequence[int]:
    return (*range(agent), *range(agent + 1, size))


def _tree(agent: int, size: int) -> Sequence[int]:
    parent = ((agent - 1) // BRANCHING,) if agent else ()
    first = BRANCHING * agent + 1
    return (*parent, *range(first, min(first + BRANCHING, size)))


def _lattice(agent: int, size: int) -> Sequence[int]:
    _, width = lattice_shape(size)
    row, column = divmod(agent, width)
    around = ((row - 1, column), (row, column - 1), (row, column + 1), (row + 1, column))
    return [y * width + x for y, x in around if 0 <= x < width and 0 <= y < size // width]


def _circle(agent: int, size: int) -> Sequence[int]:
    return sorted({(agent - 1) % size, (agent + 1) % size})


def _star(agent: int, size: int) -> Sequence[int]:
    return (0,) if agent else range(1, size)


_NEIGHBOURS: dict[str, Callable[[int, int], Sequence[int]]] = {
    "full": _full,
    "tree": _tree,
    "lattice": _lattice,
    "circle": _circle,
    "star": _star,
}
TOPOLOGIES = tuple(_NEIGHBOURS)


def lattice_shape(size: int) -> tuple[int, int]:
    """Return rows and columns of the lattice: the most square factorisation, ``rows <= columns``.

    27, 40, 60, 80 and 100 agents stand 3x9, 5x8, 6x10, 8x10 and 10x10. A prime number of agents stands in one row.
    """
    rows = next(divisor for divisor in range(isqrt(size), 0, -1) if size % divisor == 0)
    return rows, size // rows


@dataclass(frozen=True)
class Topology:
    """An undirected connected graph over the agents ``0 .. size-1``.

    ``full``: everybody with everybody. ``tree``: numbered like a heap, the parent of ``i`` is ``(i - 1) // 3``.
    ``lattice``: an open rectangular grid, row by row, each agent with those above, below, left and right.
    ``circle``: ``i`` with ``i - 1`` and ``i + 1``. ``star``: agent 0 with all others.

    Attributes:
        name: one of ``TOPOLOGIES``.
        size: number of agents, N.

    Raises:
        ValueError: if the name is unknown or there are fewer than two agents.
    """

    name: str
    size: int

    def __post_init__(self) -> None:
        if self.name not in TOPOLOGIES:
            near = difflib.get_close_matches(self.name, TOPOLOGIES, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"topology: name={self.name!r} is unknown{hint}; allowed: {', '.join(TOPOLOGIES)}")
        if self.size < 2:
            raise ValueError(f"topology: size={self.size} must be at least 2")

    @property
    def complete(self) -> bool:
        """Whether all pairs are neighbours. A complete graph has no edge list: sums over it are total minus own."""
        return self.name == "full"

    def neighbours(self, agent: int) -> tuple[int, ...]:
        """Return one agent's neighbours in ascending order."""
        return tuple(_NEIGHBOURS[self.name](agent, self.size))

    def degrees(self, device: torch.device | str = "cpu") -> Tensor:
        """Return the number of neighbours of every agent, int64 ``[N]``."""
        return _degrees(self, torch.device(device))

    def edges(self, device: torch.device | str = "cpu") -> Tensor:
        """Return int64 ``[2, E]``: agent and neighbour, every pair in both directions, ordered by agent.

        Raises:
            ValueError: if the graph is complete, whose N(N-1) edges nobody should hold in memory.
        """
        if self.complete:
            raise ValueError(f"topology: {self.name!r} has no edge list; use sum_over_neighbours or totals")
        return _edges(self, torch.device(device))

    def adjacency(self) -> Tensor:
        """Return bool ``[N, N]``; for small graphs and tests."""
        matrix = torch.zeros(self.size, self.size, dtype=torch.bool)
        for agent in range(self.size):
            matrix[agent, list(self.neighbours(agent))] = True
        return matrix

    def sum_edges(self, values: Tensor) -> Tensor:
        """Sum values ``[..., E]`` on the edges into their agents ``[..., N]``, in int64 or float64."""
        last = self.degrees(values.device).cumsum(0) - 1
        wide = torch.float64 if values.is_floating_point() else torch.int64
        ends = values.cumsum(-1, dtype=wide)[..., last]
        return torch.diff(ends, dim=-1, prepend=torch.zeros_like(ends[..., :1]))

    def sum_over_neighbours(self, values: Tensor) -> Tensor:
        """Sum what the neighbours of each agent hold: ``[..., N, F] -> [..., N, F]``, in the type of ``values``."""
        if self.complete:
            return values.sum(-2, keepdim=True) - values
        columns = values.movedim(-2, -1)[..., self.edges(values.device)[1]]
        return self.sum_edges(columns).movedim(-1, -2).to(values.dtype)


@lru_cache(maxsize=64)
def topology(name: str, size: int) -> Topology:
    """Return the graph with this name over ``size`` agents.

    Raises:
        ValueError: if the name is unknown or there are fewer than two agents.
    """
    return Topology(name, size)


@lru_cache(maxsize=64)
def _degrees(graph: Topology, device: torch.device) -> Tensor:
    if graph.complete:
        return torch.full((graph.size,), graph.size - 1, device=device)
    return torch.tensor([len(graph.neighbours(agent)) for agent in range(graph.size)], device=device)


@lru_cache(maxsize=64)
def _edges(graph: Topology, device: torch.device) -> Tensor:
    pairs = [(agent, other) for agent in range(graph.size) for other in graph.neighbours(agent)]
    return torch.tensor(pairs, device=device).T.contiguous()
