"""Organization for two: the domain of the AAMAS'21 code that *Many Agent Reinforcement Learning Under Partial
Observability* (arXiv 2106.09825) builds on. Its rewards differ from the team's, and are common to both agents.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from benchmark.tasks.organization import (
    ACTIONS,
    BALANCE,
    GROUP,
    HIDDEN,
    HORIZON,
    LEVELS,
    PUBLIC,
    PUBLIC_OF_LEVEL,
    RUNGS,
    SELF,
    START,
    check_noise_and_bonus,
    gauge,
)
from benchmark.tasks.picture import Picture, ladder
from benchmark.tasks.reports import misreport, words
from benchmark.tasks.task import Field, HiddenVariable, Layout, Task, Transition, one_hot, replicate

BANKRUPTCY_REWARD = -100.0
REWARD_OF_TWO_SELFS = 6.0
REWARD_OF_TWO_BALANCES = 5.0
OTHER_REWARD = 1.0


class OrganizationPairState(NamedTuple):
    """State of B episodes."""

    level: Tensor  # int64 [B]
    previous_level: Tensor  # int64 [B]; the level itself at step 0
    reports: Tensor  # int64 [B, 2]: the action that each agent heard of the other, -1 before the first step
    reward: Tensor  # float32 [B]: the previous reward


@dataclass(frozen=True)
class OrganizationPair(Task):
    """Two agents lead the firm with one common reward, which remembers the previous one.

    Both balance: the level stays, +5. Both choose self: it falls, +6. Every other joint action pays +1 and moves the
    level by (number of group) - (number of self). A tie at very low, and more self than group at low or very low, is
    bankruptcy: -100. ``history_bonus`` times the previous total reward is added.

    Attributes:
        noise: probability that the private report of the other's last action is wrong; at 2/3 it says nothing.
        history_bonus: phi of Eqs 2 and 3.

    Raises:
        ValueError: if a parameter is out of range.
    """

    noise: float = 0.2
    history_bonus: float = 0.1

    def __post_init__(self) -> None:
        check_noise_and_bonus(self.noise, self.history_bonus)

    @property
    def agents(self) -> int:
        """Two."""
        return 2

    @property
    def action_names(self) -> tuple[str, ...]:
        """Self, balance, group."""
        return ACTIONS

    @property
    def horizon(self) -> int:
        """Thirty steps; nothing ends an episode earlier."""
        return HORIZON

    @property
    def observation_layout(self) -> Layout:
        """The coarse level now and before, the report (zero at step 0), the previous reward (Eq. 9)."""
        return Layout(
            (
                Field("public", 3, 0.0, 1.0),
                Field("previous_public", 3, 0.0, 1.0),
                Field("report", 3, 0.0, 1.0),
                self._reward_field(),
            )
        )

    @property
    def state_layout(self) -> Layout:
        """The level and the previous reward."""
        return Layout((Field("level", len(LEVELS), 0.0, 1.0), self._reward_field()))

    @property
    def hidden_variables(self) -> tuple[HiddenVariable, ...]:
        """The level; the previous reward is known to both, and nothing else matters later."""
        return HIDDEN

    def _reward_field(self) -> Field:
        scale = 1 / (1 - self.history_bonus)
        return Field("previous_reward", 1, BANKRUPTCY_REWARD * scale, REWARD_OF_TWO_SELFS * scale)

    def initial_state(self, keys: Tensor) -> OrganizationPairState:
        """Start at a medium level."""
        level = torch.full((len(keys),), START, device=keys.device)
        reports = torch.full((len(keys), 2), -1, device=keys.device)
        return OrganizationPairState(level, level, reports, torch.zeros(len(keys), device=keys.device))

    def transition(self, state: OrganizationPairState, actions: Tensor, keys: Tensor, step: int) -> Transition:
        """Pay, move the level, and let each agent hear about the other."""
        outcome = pair_outcomes(keys.device)
        joint = len(ACTIONS) * actions[:, 0] + actions[:, 1]
        reward = outcome.reward[state.level, joint] + self.history_bonus * state.reward
        reports = misreport(actions.flip(1), words(keys, step, "reports", 2), self.noise)
        following = OrganizationPairState(outcome.level[state.level, joint], state.level, reports, reward)
        return Transition(following, replicate(reward, 2), torch.zeros_like(state.level, dtype=torch.bool), actions)

    def observe(self, state: OrganizationPairState) -> Tensor:
        """Return float32 ``[B, 2, 10]``."""
        public = pair_outcomes(state.level.device).public
        common = torch.cat((public[state.level], public[state.previous_level]), 1)
        report = one_hot(state.reports + 1, len(ACTIONS) + 1)[..., 1:]
        reward = state.reward[:, None, None].expand(-1, 2, -1)
        return torch.cat((common[:, None].expand(-1, 2, -1), report, reward), 2)

    def state_vector(self, state: OrganizationPairState) -> Tensor:
        """Return float32 ``[B, 6]``."""
        return torch.cat((one_hot(state.level, len(LEVELS)), state.reward[:, None]), 1)

    def hidden(self, state: OrganizationPairState) -> Tensor:
        """Return int64 ``[B, 1]``: the level."""
        return state.level[:, None]

    def draw(self, state: OrganizationPairState, episode: int = 0) -> str:
        """Draw the level as a gauge, then what each agent heard and what both earned."""
        lines = [gauge(int(state.level[episode]))]
        heard = state.reports[episode].tolist()
        if min(heard) >= 0:
            lines.append(f"heard   {ACTIONS[heard[0]]} by agent 0, {ACTIONS[heard[1]]} by agent 1")
            lines.append(f"reward  {float(state.reward[episode]):g}")
        return "\n".join(lines)

    def picture(self, state: OrganizationPairState, episode: int = 0) -> Picture:
        """See ``Task``."""
        heard = [ACTIONS[report] if report >= 0 else "nothing" for report in state.reports[episode].tolist()]
        title = f"agent 0 heard {heard[0]}, agent 1 heard {heard[1]}; their last choice earned"
        return ladder(f"{title} {float(state.reward[episode]):g}", int(state.level[episode]), RUNGS)


class _Outcomes(NamedTuple):
    reward: Tensor  # float32 [levels, joint actions]
    level: Tensor  # int64 [levels, joint actions]: the next level
    public: Tensor  # float32 [levels, 3]


@lru_cache(maxsize=8)
def pair_outcomes(device: torch.device) -> _Outcomes:
    """Return what each level and joint action ``3 * first + second`` lead to."""
    joint = [(first, second) for first in range(len(ACTIONS)) for second in range(len(ACTIONS))]
    cases = [[_outcome(level, pair) for pair in joint] for level in range(len(LEVELS))]
    return _Outcomes(
        torch.tensor([[reward for reward, _ in row] for row in cases], device=device),
        torch.tensor([[level for _, level in row] for row in cases], device=device),
        one_hot(torch.tensor(PUBLIC_OF_LEVEL, device=device), len(PUBLIC)),
    )


def _outcome(level: int, pair: tuple[int, int]) -> tuple[float, int]:
    majority = pair.count(GROUP) - pair.count(SELF)
    if (majority < 0 and level <= 1) or (majority == 0 and level == 0):
        return BANKRUPTCY_REWARD, 0
    if pair == (SELF, SELF):
        return REWARD_OF_TWO_SELFS, level - 1
    if pair == (BALANCE, BALANCE):
        return REWARD_OF_TWO_BALANCES, level
    return OTHER_REWARD, min(max(level + majority, 0), len(LEVELS) - 1)
