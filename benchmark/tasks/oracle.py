"""Oracle: two agents, three boxes of which one pays, and an oracle that says once which one it is.

Rules after the environment of Pritz & Leung, *Belief States for Cooperative Multi-Agent Reinforcement Learning under
Partial Observability* (arXiv 2504.08417), put on the integer lattice that its agents move on: what was 0.05 of the
unit square is one cell, what was "closer than 0.1" is a Chebyshev distance of at most one cell.

What a step leads to depends on which places are visited, on the right box and on whether the oracle has spoken:
a few hundred cases, all worked out once and looked up ever after.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from benchmark.tasks.board import KING_MOVES, Board, Cell, square_board
from benchmark.tasks.picture import Mark, Picture
from benchmark.tasks.streams import below, bits, chance
from benchmark.tasks.task import Field, HiddenVariable, Layout, Task, Transition

SIZE = 21
START: Cell = (10, 10)
BOXES: tuple[Cell, ...] = ((2, 2), (18, 18), (2, 18))
ORACLE: Cell = (18, 2)
PLACES = (*BOXES, ORACLE)

STEP_REWARD = -0.01
ORACLE_REWARD = 0.1
BOX_REWARD = 1.0

# The oracle is untouched, speaks (in the observation that follows its first visit), or has spoken.
UNTOUCHED, SPEAKS, SPENT = range(3)

# A joint visit is a number in base 3: digit p counts the agents (0 to 2) in the region of PLACES[p].
_VISITS = 3 ** len(PLACES)


class OracleState(NamedTuple):
    """State of B episodes."""

    cells: Tensor  # int64 [B, 2]: the cell each agent stands on
    box: Tensor  # int64 [B]: the index of the right box
    oracle: Tensor  # int64 [B]: UNTOUCHED, SPEAKS or SPENT


@dataclass(frozen=True)
class Oracle(Task):
    """Two agents on a 21 x 21 lattice look for the right one of three boxes.

    Each step costs the team 0.01. The first visit to the oracle pays 0.1, and in that step's observation both agents
    see the right box. Reaching the right box pays 1 and ends the episode. A place is visited by standing, after the
    move, within one cell of its centre; an agent that starts there visits it only by still being there one step later.

    Attributes:
        random_start: start each agent on a cell of its own choice, uniform over the board, and not at the centre.
        wrong_box_penalty: what visiting a wrong box costs; the visit then ends the episode. At 0 (the paper's rule)
            wrong boxes do nothing. If the right box is visited in the same step, it alone counts: the episode has
            ended well before the wrong lid is lifted.

        hint_probability: that the oracle, visited for the first time, shows the right box; if not, it pays its bonus
            and stays silent for ever.

    Raises:
        ValueError: if the penalty is negative or not finite, or the probability outside ``[0, 1]``.
    """

    random_start: bool = False
    wrong_box_penalty: float = 0.0
    hint_probability: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.hint_probability <= 1.0:
            raise ValueError(f"oracle: hint_probability={self.hint_probability} is outside [0, 1]")
        if not (self.wrong_box_penalty >= 0.0 and math.isfinite(self.wrong_box_penalty)):
            raise ValueError(f"oracle: wrong_box_penalty={self.wrong_box_penalty} must be finite and at least 0")

    @property
    def agents(self) -> int:
        """Two."""
        return 2

    @property
    def action_names(self) -> tuple[str, ...]:
        """Eight king's moves, then stay."""
        return ("north", "east", "northeast", "west", "south", "southwest", "southeast", "northwest", "stay")

    @property
    def horizon(self) -> int:
        """Forty steps; reaching it truncates."""
        return 40

    @property
    def observation_layout(self) -> Layout:
        """Both agents' positions, the boxes, the hint ((-1, -1) but for the step in which the oracle speaks)."""
        return _OBSERVATION

    @property
    def state_layout(self) -> Layout:
        """As observed, with the right box in place of the hint."""
        return _STATE

    @property
    def hidden_variables(self) -> tuple[HiddenVariable, ...]:
        """The right box (the paper's u), and whether the oracle's bonus and hint are gone.

        Positions are always seen, and wrong boxes visited earlier matter only through what they say about the right
        one: with these two variables, the positions and the clock, nothing else of the past is needed.
        """
        return _HIDDEN

    @property
    def board(self) -> Board:
        """Where the agents walk."""
        return square_board(SIZE, SIZE, KING_MOVES)

    def initial_state(self, keys: Tensor) -> OracleState:
        """Draw the right box, and with ``random_start`` the agents' cells."""
        box = below(bits(keys, 0, "box", 1), len(BOXES))[:, 0]
        if self.random_start:
            cells = below(bits(keys, 0, "start", self.agents), SIZE * SIZE)
        else:
            cells = torch.full((len(keys), self.agents), self.board.at(START), device=keys.device)
        return OracleState(cells, box, torch.full_like(box, UNTOUCHED))

    def transition(self, state: OracleState, actions: Tensor, keys: Tensor, step: int) -> Transition:
        """Move both agents at once, then see which places they visit; agents do not collide."""
        tables = _tables(self.wrong_box_penalty, state.cells.device)
        cells = tables.neighbours[state.cells, actions]
        case = torch.add(_situation(state), tables.visit[cells].sum(1), alpha=_SITUATIONS)
        oracle = tables.oracle[case]
        if self.hint_probability < 1.0:
            speaks = chance(bits(keys, step, "hint", 1), self.hint_probability)[:, 0]
            oracle = torch.where((oracle == SPEAKS) & ~speaks, SPENT, oracle)
        following = OracleState(cells, state.box, oracle)
        return Transition(following, tables.reward[case], tables.terminated[case], actions)

    def observe(self, state: OracleState) -> Tensor:
        """Return float32 ``[B, 2, 12]``: the same for both agents."""
        tables = _tables(self.wrong_box_penalty, state.cells.device)
        positions = tables.scaled[state.cells].flatten(1)
        seen = torch.cat((positions, tables.seen[_situation(state)]), 1)
        return torch.stack((seen, seen), 1)

    def state_vector(self, state: OracleState) -> Tensor:
        """Return float32 ``[B, 12]``."""
        tables = _tables(self.wrong_box_penalty, state.cells.device)
        return torch.cat((tables.scaled[state.cells].flatten(1), tables.true[state.box]), 1)

    def hidden(self, state: OracleState) -> Tensor:
        """Return int64 ``[B, 2]``: the right box, and whether the oracle has been visited."""
        return torch.stack((state.box, (state.oracle != UNTOUCHED).to(torch.int64)), 1)

    def draw(self, state: OracleState, episode: int = 0) -> str:
        """Draw the board with y upwards.

        ``$`` right box, ``x`` wrong box, ``?`` untouched oracle, ``!`` visited oracle, ``:`` their regions,
        ``0`` and ``1`` the agents, ``2`` both of them on one cell.
        """
        agents = [self.board.cells[cell] for cell in state.cells[episode].tolist()]
        right, oracle = BOXES[int(state.box[episode])], int(state.oracle[episode])
        signs = {cell: ":" for cell in self.board.cells if any(near(cell, place) for place in PLACES)}
        signs |= {box: "$" if box == right else "x" for box in BOXES}
        signs[ORACLE] = "?" if oracle == UNTOUCHED else "!"
        signs |= {cell: str(agent) for agent, cell in enumerate(agents)}
        if agents[0] == agents[1]:
            signs[agents[0]] = "2"
        rows = [" ".join(signs.get((x, y), ".") for x in range(SIZE)) for y in reversed(range(SIZE))]
        said = ("untouched", f"says {right}", "spent")[oracle]
        return "\n".join([*rows, f"oracle: {said}"])

    def picture(self, state: OracleState, episode: int = 0) -> Picture:
        """See ``Task``."""
        agents = tuple(self.board.cells[cell] for cell in state.cells[episode].tolist())
        right, oracle = int(state.box[episode]), int(state.oracle[episode])
        marks = [Mark(place, "square", "pale", meaning="region of a place", size=2.9) for place in PLACES]
        marks += [Mark(box, "square", "grey", meaning="wrong box") for box in BOXES if box != BOXES[right]]
        marks.append(Mark(BOXES[right], "square", "gold", meaning="right box"))
        said = ("the oracle", "the oracle speaks", "the oracle has spoken")[oracle]
        marks.append(Mark(ORACLE, "star", "grey" if oracle == SPENT else "purple", meaning=said))
        return Picture(f"right box: {BOXES[right]}", self.board.cells, agents, tuple(marks))


def near(cell: Cell, place: Cell) -> bool:
    """Return whether a cell lies in the region of a place: at most one king's move away."""
    return max(abs(cell[0] - place[0]), abs(cell[1] - place[1])) <= 1


_OBSERVATION = Layout((Field("positions", 4, 0.0, 1.0), Field("boxes", 6, 0.0, 1.0), Field("hint", 2, -1.0, 1.0)))
_STATE = Layout((Field("positions", 4, 0.0, 1.0), Field("boxes", 6, 0.0, 1.0), Field("right_box", 2, 0.0, 1.0)))
_HIDDEN = (
    HiddenVariable("box", "coordinates", BOXES),
    HiddenVariable("oracle", "categorical", ("untouched", "visited"), in_paper=False),
)

# A situation is what a step starts from besides positions: right box and oracle, in one number.
_SITUATIONS = len(BOXES) * 3


def _situation(state: OracleState) -> Tensor:
    return torch.add(state.oracle, state.box, alpha=3)


class _Tables(NamedTuple):
    neighbours: Tensor  # int64 [cells, A]
    visit: Tensor  # int64 [cells]: what an agent there adds to the joint visit
    scaled: Tensor  # float32 [cells, 2]: coordinates in [0, 1]
    seen: Tensor  # float32 [situations, 8]: boxes and hint
    true: Tensor  # float32 [boxes, 8]: boxes and right box
    oracle: Tensor  # int64 [cases]: the oracle after the step; a case is visit * situations + situation
    reward: Tensor  # float32 [cases, 2]: equal for both agents
    terminated: Tensor  # bool [cases]


@lru_cache(maxsize=16)
def _tables(wrong_box_penalty: float, device: torch.device) -> _Tables:
    board = square_board(SIZE, SIZE, KING_MOVES)
    visit = [sum(3**index * near(cell, place) for index, place in enumerate(PLACES)) for cell in board.cells]
    boxes = [coordinate / (SIZE - 1) for box in BOXES for coordinate in box]
    true = [boxes + boxes[2 * right : 2 * right + 2] for right in range(len(BOXES))]
    seen = [
        true[right] if oracle == SPEAKS else [*boxes, -1.0, -1.0] for right in range(len(BOXES)) for oracle in range(3)
    ]
    cases = [
        outcome([count // 3**index % 3 > 0 for index in range(len(PLACES))], right, oracle, wrong_box_penalty)
        for count in range(_VISITS)
        for right in range(len(BOXES))
        for oracle in range(3)
    ]
    next_oracle, reward, terminated = zip(*cases, strict=True)
    return _Tables(
        board.neighbours(device),
        torch.tensor(visit, device=device),
        board.coordinates(device).to(torch.float32) / (SIZE - 1),
        torch.tensor(seen, dtype=torch.float32, device=device),
        torch.tensor(true, dtype=torch.float32, device=device),
        torch.tensor(next_oracle, device=device),
        torch.tensor(reward, dtype=torch.float32, device=device)[:, None].repeat(1, 2),
        torch.tensor(terminated, device=device),
    )


def outcome(visited: list[bool], right: int, oracle: int, wrong_box_penalty: float) -> tuple[int, float, bool]:
    """Return the oracle's next phase, the team reward and whether the episode ends, for one case."""
    reward = STEP_REWARD
    if visited[-1] and oracle == UNTOUCHED:
        reward, following = reward + ORACLE_REWARD, SPEAKS
    else:
        following = UNTOUCHED if oracle == UNTOUCHED else SPENT
    if visited[right]:
        return following, reward + BOX_REWARD, True
    if wrong_box_penalty > 0.0 and any(visited[: len(BOXES)]):
        return following, reward - wrong_box_penalty, True
    return following, reward, False
