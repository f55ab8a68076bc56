"""The worked example of section 3.1 of arXiv 2106.09825, and the page that tells it."""

from pathlib import Path

import pytest
import torch

from benchmark.tasks.organization import ACTIONS, GROUP, MAJORITY_REWARD, SELF, SELF_MAJORITY, Organization
from benchmark.tasks.streams import episode_keys

PAGE = Path(__file__).parents[1] / "docs" / "diamond.md"
# Each agent with the other end of its potential's edge: Q1(a1, a2) + Q2(a2, a4) + Q3(a3, a1) + Q4(a4, a3).
POTENTIALS = ((0, 1), (1, 3), (2, 0), (3, 2))
NEIGHBOURS = ((1, 2), (0, 3), (0, 3), (1, 2))
PUBLISHED = -2.0
NAMED = "self, group, self, group"


def firm(agents, x):
    """Every joint action of a firm int64 [3**n, n], and what each agent earns [3**n, n], if a self majority pays x."""
    joint = torch.cartesian_prod(*[torch.arange(len(ACTIONS))] * agents)
    task, keys = Organization(agents), episode_keys("user", 0, len(joint))
    reward = task.transition(task.initial_state(keys), joint, keys, 0).reward
    selfish = (joint == SELF).sum(1) > (joint == GROUP).sum(1)
    return joint, reward + torch.where(selfish, x - MAJORITY_REWARD[SELF_MAJORITY], 0.0)[:, None]


def totals(x):
    joint, reward = firm(4, x)
    return {name(actions): float(total) for actions, total in zip(joint, reward.sum(1), strict=True)}


def pairwise(x):
    joint, _ = firm(4, x)
    potential = firm(2, x)[1][:, 0].view(3, 3)
    values = sum(potential[joint[:, own], joint[:, other]] for own, other in POTENTIALS)
    assert isinstance(values, torch.Tensor)
    return {name(actions): float(value) for actions, value in zip(joint, values, strict=True)}


def equilibria(x):
    """Joint actions from which nobody gains alone, if each takes itself and its two neighbours for the firm."""
    joint, _ = firm(4, x)
    earned = firm(3, x)[1][:, 0].view(3, 3, 3)
    stable = torch.ones(len(joint), dtype=torch.bool)
    for agent, (left, right) in enumerate(NEIGHBOURS):
        choices = earned[:, joint[:, left], joint[:, right]]
        stable &= choices.gather(0, joint[:, agent][None])[0] == choices.max(0).values
    return [name(actions) for actions in joint[stable]]


def name(actions):
    return ", ".join(ACTIONS[action] for action in actions)


def best(values):
    top = max(values.values())
    return top, [joint for joint, value in values.items() if value == top]


def rows(columns):
    """Rows of the page's table with this many columns, without its head."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("|") and line.count("|") == columns + 1]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_named_joint_actions_earn_what_the_paper_says():
    earned = totals(PUBLISHED)
    assert earned["self, group, group, group"] == 12
    assert earned["group, self, self, group"] == 12
    assert earned["self, group, self, group"] == 12
    assert earned["self, balance, group, group"] == 13
    top, joints = best(earned)
    assert top == 13
    assert len(joints) == 12
    assert all(sorted(joint.split(", ")) == ["balance", "group", "group", "self"] for joint in joints)


def test_pairwise_maximisation_has_exactly_two_solutions_and_the_printed_second_is_none():
    top, joints = best(pairwise(PUBLISHED))
    assert top == 12
    assert joints == ["self, group, group, self", "group, self, self, group"]
    assert [totals(PUBLISHED)[joint] for joint in joints] == [12, 12]
    assert pairwise(PUBLISHED)["self, group, group, group"] == 10


def test_a_potential_is_what_a_firm_of_two_pays():
    potential = firm(2, PUBLISHED)[1][:, 0].view(3, 3)
    assert potential.tolist() == [[2.0, 2.0, 5.0], [-1.0, 2.0, 3.0], [1.0, 2.0, 2.0]]


def test_the_agent_centric_equilibrium_earns_most_among_equilibria():
    stable = equilibria(PUBLISHED)
    assert NAMED in stable
    assert len(stable) == 10
    assert max(totals(PUBLISHED)[joint] for joint in stable) == totals(PUBLISHED)[NAMED] == 12


def test_only_x_of_minus_two_gives_all_that_the_paper_says():
    scan = [-quarter / 4 for quarter in range(17)] + [-2.001, -1.999, -100.0]
    assert [x for x in scan if best(totals(x))[0] == 13] == [x for x in scan if x <= -0.75]
    assert [x for x in scan if len(best(pairwise(x))[1]) == 2] == [x for x in scan if x < -1]
    assert [x for x in scan if NAMED in equilibria(x)] == [PUBLISHED]
    assert best(totals(0.0)) == (16, ["self, self, self, self"])


def test_the_page_names_joint_actions_with_their_values():
    table = rows(3)
    assert len(table) == 5
    for joint, total, value in table:
        assert totals(PUBLISHED)[joint] == float(total)
        assert pairwise(PUBLISHED)[joint] == float(value)


@pytest.mark.parametrize("row", rows(7))
def test_the_page_scans_x(row):
    x = float(row[0])
    (total, joints), (value, solutions), stable = best(totals(x)), best(pairwise(x)), equilibria(x)
    assert [float(cell) for cell in row[1:5]] == [total, len(joints), value, len(solutions)]
    assert row[5] == ("yes" if NAMED in stable else "no")
    assert float(row[6]) == max(totals(x)[joint] for joint in stable)
