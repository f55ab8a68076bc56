"""Escape Room: keys and exit lie evenly wherever an agent has not looked, but for what would have ended the episode."""

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from benchmark.measures.posterior.filtering import Posterior, log_normalised
from benchmark.tasks.board import CROSS_MOVES, square_board
from benchmark.tasks.escape_room import EXITS, INTERIOR, SIZE, EscapeRoom, in_view


def posterior(task: EscapeRoom, slip: float) -> "EscapeRoomPosterior":
    """Return the exact filter; it is the same under slip, since positions are seen."""
    return EscapeRoomPosterior(task)


class Knowledge(NamedTuple):
    """What each agent knows."""

    items: Tensor  # bool [B, N, cells]: where it has seen a key or the exit
    seen: Tensor  # bool [B, N, cells]: what it has seen, and where by the rules nothing lies
    visited: Tensor  # bool [B, N, cells]: where any agent has been, which all see; a key there is collected
    visited_at: Tensor  # bool [B, N, exits, cells]: where any had been when one last stood on each cell of ``EXITS``


class EscapeRoomPosterior(Posterior):
    """Counts the placements of two keys and the exit that fit what an agent has seen.

    Nobody's moves depend on where things lie, so all placements that fit are as likely. The one thing that two agents
    who see differently learn from each other is that the episode goes on: if one stands on a cell of the exit's column,
    then either the exit is elsewhere or a key is still to be collected. What counts is how much had been visited when
    somebody last stood there.
    """

    task: EscapeRoom

    def prior(self, keys: Tensor) -> Knowledge:
        """Know nothing."""
        none = torch.zeros(len(keys), self.task.agents, SIZE**2, dtype=torch.bool, device=keys.device)
        return Knowledge(none, none, none, none[:, :, None].expand(-1, -1, len(EXITS), -1))

    def update(self, evidence: Knowledge, observations: Tensor, actions: Tensor | None) -> Knowledge:
        """Look at what is in view; an agent hides what lies under it."""
        tables, room = _tables(self.task.view_radius, observations.device), observations[..., : SIZE**2]
        places = observations[..., SIZE**2 :].to(torch.int64).unflatten(2, (-1, 2))
        cells = places[..., 0] * SIZE + places[..., 1]  # [B, N, N]: where each agent sees each
        here = torch.zeros_like(evidence.visited).scatter(2, cells, torch.ones_like(cells, dtype=torch.bool))
        sight = tables.sight[cells.diagonal(dim1=1, dim2=2)] & ~here
        first = ~evidence.visited.any(2, keepdim=True)
        # No key lies where an agent starts.
        seen = evidence.seen | sight | (here & tables.inside & first)
        visited = evidence.visited | here
        visited_at = torch.where(here[..., tables.exits, None], visited[:, :, None], evidence.visited_at)
        return Knowledge(evidence.items | (sight & (room > 0)), seen, visited, visited_at)

    def marginals(self, evidence: Knowledge) -> tuple[Tensor, ...]:
        """Return the posteriors of the first key, the second, the exit, and of either key's being collected."""
        tables = _tables(self.task.view_radius, evidence.seen.device)
        known, unseen = evidence.items[..., tables.interior], ~evidence.seen[..., tables.interior]
        found = known.sum(-1)
        exit_known, exit_unseen = evidence.items[..., tables.exits], ~evidence.seen[..., tables.exits]
        exits = torch.where(exit_known.any(-1, keepdim=True), exit_known, exit_unseen)
        over = evidence.visited_at[..., tables.interior]  # [B, N, exits, 64]
        known_over, unseen_over = known[:, :, None] & over, unseen[:, :, None] & over
        fits = []
        for second in (False, True):
            pairs = _pairs(known, unseen, found, second)[:, :, None]
            # With both keys among those, an agent on the exit would have ended the episode.
            ending = _pairs(known_over, unseen_over, found[..., None], second)
            fits.append((pairs - ending) * exits[..., None])  # [B, N, exits, 64]
        keys = [log_normalised(fit.sum(2)) for fit in fits]
        visited = evidence.visited[..., tables.interior]
        taken = [(key.exp() * visited).sum(-1).clamp(max=1.0) for key in keys]
        collected = [torch.stack((1 - share, share), -1).log() for share in taken]
        return *keys, log_normalised(fits[0].sum(3)), *collected


def _pairs(known: Tensor, unseen: Tensor, found: Tensor, second: bool) -> Tensor:
    """Count, for each cell, the pairs of keys that fit and whose first (or second) key lies there.

    Args:
        known: bool ``[..., cells]``, where a key has been seen.
        unseen: bool ``[..., cells]``, where one may lie unseen.
        found: int64 ``[...]``, how many keys of a pair have been seen, known here or not.
        second: count second keys.
    """
    beyond_known, beyond_unseen = _beyond(known, second), _beyond(unseen, second)
    both, neither = known * beyond_known, unseen * beyond_unseen
    one = known * beyond_unseen + unseen * beyond_known
    found = found[..., None]
    return torch.where(found == 2, both, torch.where(found == 1, one, neither))


def _beyond(cells: Tensor, before: bool) -> Tensor:
    """Count the marked cells before or after each cell, float32."""
    marked = cells.to(torch.float32)
    to_here = marked.cumsum(-1)
    return to_here - marked if before else to_here[..., -1:] - to_here


class _Tables(NamedTuple):
    sight: Tensor  # bool [cells, cells]: which cells an agent sees from each one
    inside: Tensor  # bool [cells]: where a key may lie
    interior: Tensor  # int64 [64]: the cells of ``INTERIOR``
    exits: Tensor  # int64 [10]: the cells of ``EXITS``


@lru_cache(maxsize=8)
def _tables(radius: int, device: torch.device) -> _Tables:
    board = square_board(SIZE, SIZE, CROSS_MOVES)
    sight = [[in_view(agent, cell, radius) for cell in board.cells] for agent in board.cells]
    return _Tables(
        torch.tensor(sight, device=device),
        board.marked(lambda cell: cell in INTERIOR, device),
        torch.tensor([board.at(cell) for cell in INTERIOR], device=device),
        torch.tensor([board.at(cell) for cell in EXITS], device=device),
    )
