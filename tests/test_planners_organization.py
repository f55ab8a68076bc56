import itertools

import pytest
import torch

from benchmark.episodes.policy import BeliefPolicy, ConstantPolicy, PlaybackPolicy
from benchmark.episodes.rollout import rollout, rollout_with_beliefs
from benchmark.measures.planners.organization import (
    FIXED_POLICIES,
    all_balance,
    best_configuration,
    follow,
    full_policy,
    full_state_optimum,
    planner,
)
from benchmark.tasks.organization import LEVELS, START, Organization
from benchmark.tasks.organization_pair import OrganizationPair
from benchmark.tasks.perturb import Slip
from benchmark.tasks.streams import episode_keys
from benchmark.tasks.topology import TOPOLOGIES

OPTIMA = {27: 3180, 40: 4710, 60: 7110, 80: 9510, 100: 11910}
KEYS = episode_keys("user", 0, 3)


def earned(task, actions):
    returns = rollout(task, ConstantPolicy(actions), KEYS).returns
    assert (returns == returns[0]).all()
    return float(returns[0])


@pytest.mark.parametrize(("agents", "optimum"), list(OPTIMA.items()))
def test_fixed_policies_earn_the_columns_of_table_1(agents, optimum):
    task = Organization(agents)
    columns = {name: earned(task, policy(agents)) for name, policy in FIXED_POLICIES.items()}
    assert columns == {
        "full": optimum,
        "circle": 30 * (2 * agents + 4 * (agents // 3)),
        "star": 60 * agents + 120,
        "tree": 60 * agents,
        "all-balance": 60 * agents,
    }


@pytest.mark.parametrize(("agents", "optimum"), list(OPTIMA.items()))
def test_the_optimum_is_the_papers_and_the_planner_earns_it(agents, optimum):
    for topology in TOPOLOGIES:
        task = Organization(agents, topology)
        assert full_state_optimum(task) == optimum
        assert (rollout(task, planner(task), KEYS).returns == optimum).all()


def test_the_optimum_with_a_history_bonus():
    task = Organization(27, history_bonus=0.1)
    assert full_state_optimum(task) == pytest.approx(3520.25, abs=5e-3)
    assert rollout(task, planner(task), KEYS).returns.tolist() == pytest.approx(
        [full_state_optimum(task)] * 3, rel=1e-6
    )


def test_the_pair():
    assert full_state_optimum(OrganizationPair()) == pytest.approx(167.1605, abs=5e-5)
    assert full_state_optimum(OrganizationPair(history_bonus=0.0)) == 151
    assert earned(OrganizationPair(), all_balance(2)) == pytest.approx(166.0494, abs=5e-5)
    task = OrganizationPair()
    assert rollout(task, planner(task), KEYS).returns.tolist() == pytest.approx([167.1605] * 3, abs=1e-4)


def brute_force(task, horizon):
    """The best undiscounted return over all joint actions, remembering the reward: a recursion over real steps."""
    joint = torch.tensor(list(itertools.product(range(3), repeat=task.agents)))
    keys = torch.zeros(len(joint), dtype=torch.int64)
    start = task.initial_state(keys)
    shares = task.agents if task.shared_reward else 1

    def outcomes(level):
        result = task.transition(start._replace(level=torch.full_like(keys, level)), joint, keys, 0)
        return result.reward.sum(1) / shares, result.state.level

    tables = [outcomes(level) for level in range(len(LEVELS))]

    def best(level, remembered, steps):
        if not steps:
            return 0.0
        rewards, levels = tables[level]
        cases = {}
        for reward, following in zip(rewards.tolist(), levels.tolist(), strict=True):
            cases.setdefault(following, set()).add(reward)
        return max(
            paid + best(following, paid, steps - 1)
            for following, earned in cases.items()
            for paid in (reward + task.history_bonus * remembered for reward in earned)
        )

    return best(START, 0.0, horizon)


class Short(Organization):
    @property
    def horizon(self):
        return 3


class ShortPair(OrganizationPair):
    @property
    def horizon(self):
        return 4


@pytest.mark.parametrize(
    "task",
    [Short(2), Short(3), Short(4), Short(5), Short(3, history_bonus=0.3), ShortPair(), ShortPair(history_bonus=0.5)],
)
def test_the_dynamic_programme_agrees_with_brute_force(task):
    assert full_state_optimum(task) == pytest.approx(brute_force(task, task.horizon), rel=1e-6)


@pytest.mark.parametrize("agents", [2, 3, 4, 5, 8, 9])
def test_the_best_configuration_of_each_majority_is_the_best_of_all(agents):
    best = {}
    for n_self in range(agents + 1):
        for n_balance in range(agents + 1 - n_self):
            n_group = agents - n_self - n_balance
            sign = (n_group > n_self) - (n_group < n_self)
            best[sign] = max(best.get(sign, 0), 4 * n_self + n_balance)
    for sign, value in best.items():
        n_self, n_balance, n_group = best_configuration(agents, sign + 1)
        assert (n_group > n_self) - (n_group < n_self) == sign
        assert n_self + n_balance + n_group == agents
        assert 4 * n_self + n_balance == value


def test_ten_thousand_agents_are_planned_for():
    assert full_state_optimum(Organization(10_000)) == 30 * (4 * 10_000 - 3)
    assert torch.bincount(full_policy(10_000)).tolist() == [4_999, 1, 5_000]


@pytest.mark.parametrize("task", [Organization(9, "tree"), OrganizationPair()])
def test_under_the_plan_every_agent_knows_the_level(task):
    policy = planner(task)
    assert isinstance(policy, BeliefPolicy)
    episodes, (belief,) = rollout_with_beliefs(task, policy, KEYS)
    assert belief.shape == (3, 30, task.agents, len(LEVELS))
    level = episodes.hidden[:, :-1, :1, None].expand(-1, -1, task.agents, -1)
    assert (belief.gather(-1, level) == 0).all()


def test_when_actions_slip_agents_believe_only_what_they_see_allows():
    task = Slip(Organization(9), 0.3)
    keys = episode_keys("user", 0, 200)
    episodes, (belief,) = rollout_with_beliefs(task, planner(Organization(9)), keys)
    assert torch.allclose(belief.exp().sum(-1), torch.ones(()))
    public = episodes.observations[:, :-1, :, :3].argmax(-1)
    allowed = torch.tensor([[1, 1, 0, 0, 0], [0, 0, 1, 1, 0], [0, 0, 0, 0, 1]], dtype=torch.bool)[public]
    assert (belief[~allowed] == -torch.inf).all()
    assert (belief.exp().amax(-1) < 1).any()


def test_following_counts_earns_what_the_episode_earns():
    """At several the firm climbs; at many a self majority brings it back: high, very high, high, ..."""
    task, counts = Organization(9), ((0, 0, 9), (3, 2, 4), (5, 0, 4))
    visits = follow(9, counts)
    assert [visit.level for visit in visits[:5]] == [2, 3, 4, 3, 4]
    assert [visit.earned for visit in visits[:3]] == [12 + 2 + 18, 32, 20 - 18]
    several, many = (torch.tensor([0] * s + [1] * b + [2] * g) for s, b, g in counts[1:])
    joint = torch.stack([several, several, *[many, several] * 14]).expand(3, -1, -1)
    assert rollout(task, PlaybackPolicy(joint), KEYS).returns[0] == sum(visit.earned for visit in visits)
    with pytest.raises(ValueError, match="must count 9 agents"):
        follow(9, ((0, 0, 9), (3, 2, 3), (5, 0, 4)))
