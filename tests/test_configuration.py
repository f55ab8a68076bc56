"""Configurations against enumeration of all joint actions, closed forms and numbers worked out by hand."""

from itertools import product
from math import comb, factorial

import pytest
import torch
from torch import Tensor

from baselines.configuration import (
    add_agent,
    configurations,
    distribution,
    distribution_by_halves,
    distribution_by_steps,
    leave_one_out,
    listed,
    mean_action,
    multinomial,
    others,
    probability,
    project,
    rank,
)


def some_beliefs(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.rand(shape, generator=generator, dtype=torch.float64).square().softmax(-1)


def enumerated(beliefs: Tensor) -> Tensor:
    """Sum the probabilities of all joint actions of ``[n, A]`` into their configurations, ``[C]``."""
    agents, count = beliefs.shape
    total = torch.zeros(len(configurations(agents, count)), dtype=torch.float64)
    for joint in product(range(count), repeat=agents):
        place = rank(project(torch.tensor(joint), count))
        total[place] += beliefs[range(agents), list(joint)].prod()
    return total


def test_the_papers_example_is_projected_to_its_counts():
    # Section 3.2: self, self, group, group has 2 self, 2 group, 0 balance; our order is self, balance, group.
    joint = torch.tensor([0, 0, 2, 2])
    assert project(joint, 3).tolist() == [2, 0, 2]
    assert project(joint[[3, 0, 2, 1]], 3).tolist() == [2, 0, 2]
    assert others(project(joint, 3), joint).tolist() == [[1, 0, 2], [1, 0, 2], [2, 0, 1], [2, 0, 1]]
    assert mean_action(project(joint, 3)).tolist() == [0.5, 0.0, 0.5]
    assert mean_action(torch.zeros(3)).tolist() == [0.0, 0.0, 0.0]


def test_there_are_as_many_configurations_as_the_binomial_says_in_order():
    assert configurations(2, 3).tolist() == [[0, 0, 2], [0, 1, 1], [0, 2, 0], [1, 0, 1], [1, 1, 0], [2, 0, 0]]
    assert len(configurations(99, 3)) == 5050
    for agents, count in ((0, 3), (5, 2), (7, 3), (4, 4), (3, 1)):
        rows = configurations(agents, count)
        assert len(rows) == comb(agents + count - 1, count - 1)
        assert (rows.sum(1) == agents).all()
        assert rank(rows).tolist() == list(range(len(rows)))


def test_two_agents_by_hand():
    beliefs = torch.tensor([[0.5, 0.25, 0.25], [0.0, 0.5, 0.5]])
    # (0,0,2) .125, (0,1,1) .25, (0,2,0) .125, (1,0,1) .25, (1,1,0) .25, (2,0,0) 0.
    assert listed(distribution(beliefs), 3).tolist() == [0.125, 0.25, 0.125, 0.25, 0.25, 0.0]


@pytest.mark.parametrize(("agents", "count"), [(1, 3), (2, 3), (6, 3), (7, 2), (5, 4)])
def test_both_ways_agree_with_enumeration(agents, count):
    beliefs = some_beliefs(agents, count)
    truth = enumerated(beliefs)
    for way in (distribution_by_steps, distribution_by_halves):
        assert (listed(way(beliefs), count) - truth).abs().max() < 1e-12


@pytest.mark.parametrize("agents", [1, 31, 32, 33, 64, 100, 150])
def test_both_ways_agree_with_the_multinomial_for_equal_beliefs(agents):
    belief = some_beliefs(3)
    truth = multinomial(agents, belief)
    assert truth.sum().item() == pytest.approx(1.0, abs=1e-12)
    beliefs = belief.expand(agents, 3)
    assert (distribution_by_steps(beliefs) - truth).abs().max() < 1e-12
    assert (distribution_by_halves(beliefs) - truth).abs().max() < 1e-12
    assert (distribution(beliefs) - truth).abs().max() < 1e-12


def test_the_multinomial_by_hand_and_with_impossible_actions():
    grid = multinomial(4, torch.tensor([0.5, 0.25, 0.25]))
    assert grid[2, 1].item() == pytest.approx(factorial(4) / 2 * 0.25 * 0.25 * 0.25)
    assert grid[3, 2].item() == 0.0  # five agents of four
    certain = multinomial(3, torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]))
    assert certain[0, 0, 3].item() == certain[1, 0, 0].item() == 1.0
    assert certain.sum().item() == pytest.approx(2.0)


def test_small_probabilities_keep_their_digits_when_agents_are_added_one_by_one():
    grid = distribution_by_steps(torch.tensor([0.01, 0.01, 0.98], dtype=torch.float64).expand(60, 3))
    assert grid[60, 0].item() == pytest.approx(1e-120, rel=1e-12)


def test_a_batch_is_each_of_its_beliefs_alone():
    beliefs = some_beliefs(2, 3, 40, 3)
    for way in (distribution_by_steps, distribution_by_halves, leave_one_out):
        assert torch.allclose(way(beliefs)[1, 2], way(beliefs[1, 2]), atol=1e-15)


@pytest.mark.parametrize(("agents", "count"), [(1, 3), (2, 3), (5, 3), (9, 3), (4, 2), (4, 4)])
def test_leaving_one_out_is_leaving_one_out(agents, count):
    beliefs = some_beliefs(agents, count)
    grids = leave_one_out(beliefs)
    assert grids.shape == (agents, *(agents,) * (count - 1))
    for agent, grid in enumerate(grids):
        rest = torch.cat((beliefs[:agent], beliefs[agent + 1 :]))
        assert (grid - distribution_by_steps(rest)).abs().max() < 1e-12
        assert (add_agent(grid, beliefs[agent]) - distribution_by_steps(beliefs)).abs().max() < 1e-12


def test_means_of_counts_are_sums_of_probabilities():
    beliefs = some_beliefs(50, 3)
    mean = listed(distribution(beliefs), 3) @ configurations(50, 3).double()
    assert torch.allclose(mean, beliefs.sum(0))


def test_looking_up_one_configuration_each():
    beliefs = some_beliefs(4, 6, 3)
    grids, rows = distribution(beliefs), configurations(6, 3)[[0, 5, 11, 27]]
    assert torch.equal(probability(grids, rows), listed(grids, 3)[torch.arange(4), [0, 5, 11, 27]])
