"""Densities made into distributions, by hand-computed numbers."""

import math

import pytest
import torch

from benchmark.measures.density import density_to_categorical, points, rule
from benchmark.tasks.oracle import BOXES
from benchmark.tasks.registry import make_task
from benchmark.tasks.task import HiddenVariable

LINE = torch.tensor([[0.0], [1.0], [2.0]])


def test_a_gaussian_on_three_points():
    """Mean 1 and variance 1: densities are as exp(-1/2) : 1 : exp(-1/2)."""
    found = density_to_categorical(LINE, torch.tensor([1.0]), torch.tensor([0.0])).exp()
    side = math.exp(-0.5) / (1 + 2 * math.exp(-0.5))
    assert found.tolist() == pytest.approx([side, 1 - 2 * side, side])


def test_dimensions_multiply():
    """Squared distances 0, 1 and 4 in units of twice the variances: (1, 0) is off by 1 / 4, (0, 1) by 1 / 0.25."""
    square = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    found = density_to_categorical(square, torch.zeros(2), torch.tensor([math.log(4), math.log(0.25)])).exp()
    weights = [1.0, math.exp(-0.125), math.exp(-2.0)]
    assert found.tolist() == pytest.approx([weight / sum(weights) for weight in weights])


def test_a_narrow_component_is_dense():
    """Two equal components at 0 and 2, of deviations 1 and 1/2: the narrow one's peak is twice as high."""
    mean, log_variance = torch.tensor([[0.0], [2.0]]), torch.tensor([[0.0], [math.log(0.25)]])
    found = density_to_categorical(LINE, mean, log_variance, torch.tensor([0.5, 0.5]).log()).exp()
    weights = [
        1 + 2 * math.exp(-8),
        math.exp(-0.5) + 2 * math.exp(-2),
        math.exp(-2) + 2,
    ]
    assert found.tolist() == pytest.approx([weight / sum(weights) for weight in weights])


def test_weights_need_not_be_normalised():
    mean, log_variance = torch.tensor([[0.0], [2.0]]), torch.zeros(2, 1)
    one = density_to_categorical(LINE, mean, log_variance, torch.tensor([0.0, 1.0]))
    assert torch.allclose(one, density_to_categorical(LINE, mean, log_variance, torch.tensor([5.0, 6.0])))


def test_scaling_changes_nothing_and_batches_are_batches():
    values = points(HiddenVariable("box", "coordinates", BOXES))
    generator = torch.Generator().manual_seed(0)
    mean, log_variance = (torch.randn(4, 3, 2, generator=generator) for _ in range(2))
    found = density_to_categorical(values, mean, log_variance)
    assert found.shape == (4, 3, 3)
    scaled = density_to_categorical(values / 20, mean / 20, log_variance - 2 * math.log(20))
    assert torch.allclose(found, scaled, atol=1e-4)
    assert torch.allclose(found[2, 1], density_to_categorical(values, mean[2, 1], log_variance[2, 1]))


def test_certainty_far_from_every_value_is_still_a_distribution():
    found = density_to_categorical(LINE, torch.tensor([0.9]), torch.tensor([-30.0]))
    assert found.exp().tolist() == [0, 1, 0]


def test_labels_are_numbered():
    oracle = make_task("oracle-v0").hidden_variables[1]
    assert points(oracle).tolist() == [[0.0], [1.0]]


def test_the_rule_in_words():
    assert rule("diagonal Gaussian") == (
        "density of the diagonal Gaussian at the coordinates of every value, renormalised over the values"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((LINE, torch.zeros(1), torch.zeros(2)), r"log_variance: shape=\(2,\) must be that of mean, \(1,\)"),
        ((LINE, torch.zeros(2), torch.zeros(2)), r"values: shape=\(3, 1\) must be \(values, 2\)"),
        ((LINE, torch.zeros(2, 1), torch.zeros(2, 1), torch.zeros(3)), r"log_weights: shape=\(3,\) must be"),
    ],
)
def test_shapes_that_do_not_fit(arguments, message):
    with pytest.raises(ValueError, match=message):
        density_to_categorical(*arguments)
