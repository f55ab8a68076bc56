"""Organization: a team of employees balances self-interest against the health of the firm.

Rules after *Many Agent Reinforcement Learning Under Partial Observability* (P21 = arXiv 2106.09825, Eqs 1-3 and 9).
The paper leaves some constants open; those here reproduce its one-shot example and four columns of its Table 1
exactly. The two-agent domain is that of the AAMAS'21 code which the paper builds on.

Whatever concerns everybody depends on the level of the firm and on whether the agents that choose *group* are fewer
than, as many as, or more than those that choose *self*.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from benchmark.tasks.picture import Bar, Colour, Picture, ladder
from benchmark.tasks.reports import misreport, noisy_counts, words
from benchmark.tasks.task import Field, HiddenVariable, Layout, Task, Transition, one_hot
from benchmark.tasks.topology import Topology, topology

LEVELS = ("very low", "low", "medium", "high", "very high")
START = LEVELS.index("medium")
PUBLIC = ("meager", "several", "many")
PUBLIC_OF_LEVEL = (0, 0, 1, 1, 2)
ACTIONS = ("self", "balance", "group")
SELF, BALANCE, GROUP = range(3)
HORIZON = 30

# What an agent gets for its own action, and what every agent gets for the joint action.
INDIVIDUAL_REWARD = (4.0, 1.0, 0.0)
MAJORITIES = ("self majority", "tie", "group majority")
SELF_MAJORITY, TIE, GROUP_MAJORITY = range(3)
MAJORITY_REWARD = (-2.0, 1.0, 2.0)
BANKRUPTCY_REWARD = -100.0

# Counts of the three actions, packed into one integer so that one addition adds all three.
_BITS = 20
_COUNT = (1 << _BITS) - 1
MAX_TEAM_SIZE = 1 << 15


class OrganizationState(NamedTuple):
    """State of B episodes. Counts are in the order self, balance, group, and zero before the first step."""

    level: Tensor  # int64 [B]
    configuration: Tensor  # int64 [B, 3]: how many chose each action last
    reports: Tensor  # int32 [B, 3, N]: what each agent heard about the N-1 others
    neighbour_reports: Tensor  # int32 [B, 3, N], part of the reports; [B, 0, N] in the full topology
    reward: Tensor  # float32 [B, N]: each agent's previous reward


@dataclass(frozen=True)
class Organization(Task):
    """N agents each choose self, balance or group; the majority moves the firm up or down.

    An agent's reward is that of its own action, plus what the majority earns everybody at the level before the move,
    plus ``history_bonus`` times its previous reward. Agents see the level coarsely, and how many of the others
    seemed to choose what: each agent hears of each other one privately and independently, wrongly with probability
    ``noise`` (then either wrong action alike). The return sums over agents and steps.

    Attributes:
        team_size: N.
        topology: whose reports an agent can tell apart from the rest; rewards do not depend on it.
        noise: probability that a report is wrong; at 2/3 reports say nothing.
        history_bonus: phi of Eqs 2 and 3, on the previous total reward. The paper's table has 0.

    Raises:
        ValueError: if a parameter is out of range.
    """

    team_size: int = 27
    topology: str = "full"
    noise: float = 0.2
    history_bonus: float = 0.0

    def __post_init__(self) -> None:
        if not 2 <= self.team_size <= MAX_TEAM_SIZE:
            raise ValueError(f"organization: team_size={self.team_size} is outside [2, {MAX_TEAM_SIZE}]")
        topology(self.topology, self.team_size)
        check_noise_and_bonus(self.noise, self.history_bonus)

    @property
    def neighbourhood(self) -> Topology:
        """The graph of neighbours."""
        return topology(self.topology, self.team_size)

    @property
    def agents(self) -> int:
        """N."""
        return self.team_size

    @property
    def action_names(self) -> tuple[str, ...]:
        """Self, balance, group."""
        return ACTIONS

    @property
    def horizon(self) -> int:
        """Thirty steps; nothing ends an episode earlier."""
        return HORIZON

    @property
    def shared_reward(self) -> bool:
        """No: agents are paid for what they choose."""
        return False

    @property
    def observation_layout(self) -> Layout:
        """The coarse level, and shares of the reports (zero at step 0): of all others, and of the neighbours.

        With a history bonus also the agent's previous reward (Eq. 9).
        """
        fields = [Field("public", 3, 0.0, 1.0), Field("reports", 3, 0.0, 1.0)]
        if not self.neighbourhood.complete:
            fields.append(Field("neighbour_reports", 3, 0.0, 1.0))
        if self.history_bonus:
            fields.append(Field("previous_reward", 1, *self._reward_bounds()))
        return Layout(tuple(fields))

    @property
    def state_layout(self) -> Layout:
        """The level, the shares of the actions chosen last, and with a history bonus the mean previous reward."""
        fields = [Field("level", len(LEVELS), 0.0, 1.0), Field("configuration", 3, 0.0, 1.0)]
        if self.history_bonus:
            fields.append(Field("mean_previous_reward", 1, *self._reward_bounds()))
        return Layout(tuple(fields))

    @property
    def hidden_variables(self) -> tuple[HiddenVariable, ...]:
        """The level. The others' last actions are hidden too, but once they have moved it they change nothing more.

        With a history bonus the others' previous rewards add to the return whatever anybody does, so no decision
        needs them either.
        """
        return HIDDEN

    def _reward_bounds(self) -> tuple[float, float]:
        lowest = min(INDIVIDUAL_REWARD) + BANKRUPTCY_REWARD
        highest = max(INDIVIDUAL_REWARD) + max(MAJORITY_REWARD)
        return lowest / (1 - self.history_bonus), highest / (1 - self.history_bonus)

    def initial_state(self, keys: Tensor) -> OrganizationState:
        """Start at a medium level; nobody has chosen or heard anything."""
        batch, agents = len(keys), self.team_size
        blank = torch.zeros(batch, 3, agents, dtype=torch.int32, device=keys.device)
        return OrganizationState(
            torch.full((batch,), START, device=keys.device),
            blank[..., 0].to(torch.int64),
            blank,
            blank[:, :0] if self.neighbourhood.complete else blank,
            torch.zeros(batch, agents, device=keys.device),
        )

    def transition(self, state: OrganizationState, actions: Tensor, keys: Tensor, step: int) -> Transition:
        """Pay, move the level, and let everybody hear about everybody else."""
        chosen = 1 << actions * _BITS  # [B, N], packed
        configuration = _unpack(chosen.sum(1))
        outcome = outcomes(keys.device)
        majority = torch.sign(configuration[:, GROUP] - configuration[:, SELF]) + 1
        common = outcome.reward[state.level, majority]
        individual = outcome.individual.index_select(0, actions.reshape(-1)).view(actions.shape)
        reward = individual + common[:, None] + self.history_bonus * state.reward
        reports, near = self._hear(actions, chosen, configuration, keys, step)
        level, counts = outcome.level[state.level, majority], configuration.to(torch.int64)
        following = OrganizationState(level, counts, reports, near, reward)
        return Transition(following, reward, torch.zeros_like(state.level, dtype=torch.bool), actions)

    def _hear(
        self, actions: Tensor, chosen: Tensor, configuration: Tensor, keys: Tensor, step: int
    ) -> tuple[Tensor, Tensor]:
        """Draw reports int32 ``[B, 3, N]`` about all others, and those about neighbours among them."""
        agents, graph = self.team_size, self.neighbourhood
        drawn = words(keys, step, "reports", 5 * agents).unflatten(1, (5, agents))
        rest = configuration[..., None] - _one_hot(actions)
        if graph.complete:
            reports = noisy_counts(rest, drawn, self.noise, agents - 1)
            return reports, reports[:, :0]
        target = graph.edges(keys.device)[1]
        words_near = words(keys, step, "neighbour-reports", len(target))
        reported = misreport(actions.index_select(1, target), words_near, self.noise)
        near = _unpack(graph.sum_edges(1 << reported * _BITS))
        rest.sub_(_unpack(graph.sum_edges(chosen.index_select(1, target))))
        return noisy_counts(rest, drawn, self.noise, agents - 1).add_(near), near

    def observe(self, state: OrganizationState) -> Tensor:
        """Return float32 ``[B, N, O]``."""
        device = state.level.device
        # Divisors are tensors because dividing by a number is done in another way on a GPU.
        others = torch.full((1,), self.team_size - 1, device=device)
        public = outcomes(device).public[state.level]
        parts = [public[..., None].expand(-1, -1, self.team_size), state.reports / others]
        if not self.neighbourhood.complete:
            parts.append(state.neighbour_reports / self.neighbourhood.degrees(device))
        if self.history_bonus:
            parts.append(state.reward[:, None])
        # Long rows first, turned at the end: rows of three are slow to copy.
        return torch.cat(parts, 1).mT.contiguous()

    def state_vector(self, state: OrganizationState) -> Tensor:
        """Return float32 ``[B, 8]``, or ``[B, 9]`` with a history bonus."""
        size = torch.full((1,), self.team_size, device=state.level.device)
        parts = [one_hot(state.level, len(LEVELS)), state.configuration / size]
        if self.history_bonus:
            # Sums of float32 rewards are exact in float64, so their order does not matter.
            parts.append((state.reward.to(torch.float64).sum(1, keepdim=True) / size).to(torch.float32))
        return torch.cat(parts, 1)

    def hidden(self, state: OrganizationState) -> Tensor:
        """Return int64 ``[B, 1]``: the level."""
        return state.level[:, None]

    def draw(self, state: OrganizationState, episode: int = 0) -> str:
        """Draw the level as a gauge, then what was chosen last and what it earned."""
        lines = [gauge(int(state.level[episode]))]
        counts = state.configuration[episode].tolist()
        if any(counts):
            chosen = ", ".join(f"{name} {count}" for name, count in zip(ACTIONS, counts, strict=True))
            majority = (counts[GROUP] > counts[SELF]) - (counts[GROUP] < counts[SELF]) + 1
            earned = state.reward[episode].to(torch.float64)
            lines.append(f"chosen  {chosen} of {self.team_size}: {MAJORITIES[majority]}")
            lines.append(f"reward  {earned.sum():g} in all, {earned.min():g} to {earned.max():g} each")
        return "\n".join(lines)

    def picture(self, state: OrganizationState, episode: int = 0) -> Picture:
        """See ``Task``."""
        counts = state.configuration[episode].tolist()
        colours: tuple[Colour, ...] = ("red", "grey", "green")
        bars = zip(ACTIONS, counts, colours, strict=True)
        return ladder(
            f"{self.team_size} agents; their last choice earned {state.reward[episode].to(torch.float64).sum():g}",
            int(state.level[episode]),
            RUNGS,
            tuple(Bar(name, count, self.team_size, colour) for name, count, colour in bars),
        )


class _Outcomes(NamedTuple):
    individual: Tensor  # float32 [A]
    reward: Tensor  # float32 [levels, majorities]: what every agent earns
    level: Tensor  # int64 [levels, majorities]: the next level
    public: Tensor  # float32 [levels, 3]


@lru_cache(maxsize=8)
def outcomes(device: torch.device) -> _Outcomes:
    """Return what each level and majority lead to; a majority is the sign of n_group - n_self, plus 1."""
    reward = torch.tensor([MAJORITY_REWARD] * len(LEVELS))
    # Bankrupt: a self majority at low or very low, or a tie at very low.
    reward[:2, SELF_MAJORITY] = BANKRUPTCY_REWARD
    reward[0, TIE] = BANKRUPTCY_REWARD
    moved = torch.arange(len(LEVELS))[:, None] + torch.tensor([-1, 0, 1])
    return _Outcomes(
        torch.tensor(INDIVIDUAL_REWARD, device=device),
        reward.to(device),
        moved.clamp(0, len(LEVELS) - 1).to(device),
        one_hot(torch.tensor(PUBLIC_OF_LEVEL, device=device), 3),
    )


def _unpack(packed: Tensor) -> Tensor:
    """Return the counts int32 ``[B, 3, ...]`` in ``[B, ...]``."""
    shifts = torch.arange(0, 3 * _BITS, _BITS, device=packed.device).view(3, *[1] * (packed.ndim - 1))
    return (packed[:, None] >> shifts).bitwise_and_(_COUNT).to(torch.int32)


def _one_hot(actions: Tensor) -> Tensor:
    """Return int32 ``[B, 3, N]``: 1 at what each agent chose."""
    chosen = actions.to(torch.int32)[:, None].repeat(1, len(ACTIONS), 1)
    return chosen.eq_(torch.arange(len(ACTIONS), dtype=torch.int32, device=actions.device)[:, None])


def check_noise_and_bonus(noise: float, history_bonus: float) -> None:
    """Refuse parameters out of range.

    Raises:
        ValueError: naming the parameter.
    """
    if not 0.0 <= noise <= 2 / 3:
        raise ValueError(f"organization: noise={noise} is outside [0, 2/3]")
    if not 0.0 <= history_bonus < 1.0:
        raise ValueError(f"organization: history_bonus={history_bonus} is outside [0, 1)")


def gauge(level: int) -> str:
    """Return one line that shows a level and what agents see of it."""
    filled = "#" * (level + 1)
    return f"level   [{filled:.<{len(LEVELS)}}] {LEVELS[level]} (seen as {PUBLIC[PUBLIC_OF_LEVEL[level]]})"


RUNGS = tuple(f"{level} (seen as {PUBLIC[seen]})" for level, seen in zip(LEVELS, PUBLIC_OF_LEVEL, strict=True))
HIDDEN = (HiddenVariable("level", "categorical", LEVELS),)
