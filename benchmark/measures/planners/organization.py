"""Organization's exact optimum, the plan that earns it, and the fixed joint actions behind the paper's Table 1.

All that the level and the common reward depend on is the sign of n_group - n_self, so only the configuration that
pays best under each sign can be part of an optimum: three options at five levels, whatever the number of agents.
Rewards remembered with factor phi only weigh a reward paid with k steps left by 1 + phi + ... + phi^(k-1).
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from benchmark.tasks.organization import (
    BALANCE,
    GROUP,
    GROUP_MAJORITY,
    HORIZON,
    INDIVIDUAL_REWARD,
    LEVELS,
    MAJORITIES,
    PUBLIC_OF_LEVEL,
    SELF,
    START,
    Organization,
    outcomes,
)
from benchmark.tasks.organization_pair import OrganizationPair, pair_outcomes

_CPU = torch.device("cpu")


class Options(NamedTuple):
    """The K joint actions worth considering, and what each does at each of the L levels."""

    actions: Tensor  # int64 [K, N]
    reward: Tensor  # float64 [L, K]: summed over agents as in the episode's return
    level: Tensor  # int64 [L, K]: the next level


def full_state_optimum(task: Organization | OrganizationPair) -> float:
    """Exact finite-horizon dynamic programme over the level and the best configurations.

    Args:
        task: any size, topology and noise (the last two do not matter to who sees the level).

    Returns:
        The undiscounted return of an episode, summed over agents unless the reward is shared.
    """
    return _solve(task)[1]


def planner(task: Organization | OrganizationPair) -> "Plan":
    """Fixed roles per agent that realise the exact finite-horizon optimum."""
    return Plan(task)


class MemoryOfPlan(NamedTuple):
    """What the agents keep in mind; each holds its own."""

    step: int
    level: Tensor  # int64 [B, N]: what the agent takes the level to be
    public: Tensor  # int64 [B, N]: the public observation of the latest step
    sure: Tensor  # bool [B, N]: nothing has contradicted the plan since the level was last known


class Plan:
    """Each agent plays its part in the optimal joint action for the level that the plan must have led to.

    Nothing in the task is random but the reports, so under the plan every agent knows the level without listening.
    Should the public observation contradict it (others left the plan, actions slipped), the agent takes the nearest
    level that fits, and believes all fitting ones alike until the observation leaves one.
    """

    def __init__(self, task: Organization | OrganizationPair) -> None:
        self.options = options(task)
        self.choice = _solve(task)[0]
        self.public = task.observation_layout.slices["public"]

    def initial_memory(self, keys: Tensor) -> MemoryOfPlan:
        """Know that the level is medium."""
        start = torch.full((len(keys), self.options.actions.shape[1]), START, device=keys.device)
        return MemoryOfPlan(0, start, torch.zeros_like(start), torch.ones_like(start, dtype=torch.bool))

    def act(self, observations: Tensor, memory: MemoryOfPlan) -> tuple[Tensor, MemoryOfPlan]:
        """Play the part; see ``Policy``."""
        device = observations.device
        expected = memory.level
        if memory.step:
            played = self.choice[memory.step - 1].to(device)
            expected = self.options.level.to(device)[expected, played[expected]]
        public = observations[..., self.public].argmax(-1)
        low, high = (bound.to(device)[public] for bound in _LEVELS_OF_PUBLIC)
        level = torch.minimum(torch.maximum(expected, low), high)
        sure = (memory.sure & (level == expected)) | (low == high)
        option = self.choice[memory.step].to(device)[level]
        part = torch.arange(level.shape[1], device=device)
        return self.options.actions.to(device)[option, part], MemoryOfPlan(memory.step + 1, level, public, sure)

    def belief(self, memory: MemoryOfPlan) -> tuple[Tensor, ...]:
        """Return each agent's log-probabilities of the level, float32 ``[B, N, 5]``."""
        low, high = (bound.to(memory.level.device)[memory.public][..., None] for bound in _LEVELS_OF_PUBLIC)
        levels = torch.arange(len(LEVELS), device=memory.level.device)
        known = levels == memory.level[..., None]
        fitting = (levels >= low) & (levels <= high)
        possible = torch.where(memory.sure[..., None], known, fitting).to(torch.float32)
        return ((possible / possible.sum(-1, keepdim=True)).log(),)


# The lowest and the highest level behind each public observation.
_LEVELS_OF_PUBLIC = tuple(
    torch.tensor(
        [extreme(level for level, seen in enumerate(PUBLIC_OF_LEVEL) if seen == public) for public in range(3)]
    )
    for extreme in (min, max)
)


def options(task: Organization | OrganizationPair) -> Options:
    """Return the joint actions among which an optimum lies."""
    if isinstance(task, OrganizationPair):
        outcome = pair_outcomes(_CPU)
        joint = torch.cartesian_prod(torch.arange(3), torch.arange(3))
        return Options(joint, outcome.reward.to(torch.float64), outcome.level)
    outcome, agents = outcomes(_CPU), task.agents
    actions = torch.stack([roles(*best_configuration(agents, majority)) for majority in range(len(MAJORITIES))])
    earned = outcome.individual.to(torch.float64)[actions].sum(1)
    return Options(actions, earned + agents * outcome.reward.to(torch.float64), outcome.level)


def best_configuration(agents: int, majority: int) -> tuple[int, int, int]:
    """Return the (n_self, n_balance, n_group) whose own actions pay most under a majority (an index of MAJORITIES).

    Balance pays more than group, so there are only as many who choose group as the majority needs.
    """
    n_self = torch.arange(agents + 1)
    n_group = (torch.zeros_like(n_self), n_self, n_self + 1)[majority]
    n_balance = agents - n_self - n_group
    earned = INDIVIDUAL_REWARD[SELF] * n_self + INDIVIDUAL_REWARD[BALANCE] * n_balance
    earned[n_balance < 0] = -torch.inf
    best = int(earned.argmax())
    return best, int(n_balance[best]), int(n_group[best])


def _solve(task: Organization | OrganizationPair) -> tuple[Tensor, float]:
    """Return the best option int64 ``[T, L]`` at every step and level, and the value of the start."""
    _, reward, following = options(task)
    value = torch.zeros(len(LEVELS), dtype=torch.float64)
    choices: list[Tensor] = []
    weight = 0.0
    for _ in range(task.horizon):
        weight = 1.0 + task.history_bonus * weight
        value, choice = (weight * reward + value[following]).max(1)
        choices.append(choice)
    return torch.stack(choices[::-1]), float(value[START])


class Visit(NamedTuple):
    """One step of an episode, told by counts."""

    level: int
    configuration: tuple[int, ...]  # how many chose self, balance, group
    earned: float  # by all agents together


def follow(agents: int, configurations: Sequence[Sequence[int]]) -> list[Visit]:
    """Return the episode of a team whose joint action depends on the public observation only.

    Args:
        agents: N, without a history bonus.
        configurations: the counts of self, balance and group at each public observation (meager, several, many).

    Raises:
        ValueError: if a configuration does not count N agents.
    """
    outcome = outcomes(_CPU)
    level, visits = START, []
    for _ in range(HORIZON):
        counts = tuple(configurations[PUBLIC_OF_LEVEL[level]])
        if sum(counts) != agents or len(counts) != len(INDIVIDUAL_REWARD):
            raise ValueError(f"configuration={counts} must count {agents} agents by {len(INDIVIDUAL_REWARD)} actions")
        majority = (counts[GROUP] > counts[SELF]) - (counts[GROUP] < counts[SELF]) + 1
        own = sum(count * reward for count, reward in zip(counts, INDIVIDUAL_REWARD, strict=True))
        visits.append(Visit(level, counts, own + agents * float(outcome.reward[level, majority])))
        level = int(outcome.level[level, majority])
    return visits


def roles(n_self: int, n_balance: int, n_group: int) -> Tensor:
    """Return the joint action int64 ``[N]`` in which the first agents choose self, the next balance, the rest group."""
    return torch.tensor([SELF] * n_self + [BALANCE] * n_balance + [GROUP] * n_group)


def full_policy(agents: int) -> Tensor:
    """Return the joint action of the table's columns CF and Full: the barest group majority."""
    return roles(*best_configuration(agents, GROUP_MAJORITY))


def circle_policy(agents: int) -> Tensor:
    """Return self, group, group repeated: the most self with a group majority in every neighbourhood of a circle."""
    joint = torch.full((agents,), GROUP)
    joint[0 : agents // 3 * 3 : 3] = SELF
    return joint


def star_policy(agents: int) -> Tensor:
    """Return the joint action in which the hub alone chooses self."""
    return roles(1, 0, agents - 1)


def all_group(agents: int) -> Tensor:
    """Return the joint action in which all choose group."""
    return roles(0, 0, agents)


def all_balance(agents: int) -> Tensor:
    """Return the joint action in which all choose balance."""
    return roles(0, agents, 0)


# Fixed joint actions that earn the columns of Table 1 when repeated (lattice: no rule is known that earns all five).
FIXED_POLICIES: dict[str, Callable[[int], Tensor]] = {
    "full": full_policy,
    "circle": circle_policy,
    "star": star_policy,
    "tree": all_group,
    "all-balance": all_balance,
}
