"""The sums behind belief scores, by hand."""

import math

import pytest
import torch

from benchmark.measures.belief_tally import Tally, average, history, history_edges, places, reliability
from benchmark.tasks.board import hex_norm
from benchmark.tasks.registry import make_task
from benchmark.tasks.task import HiddenVariable

LINE = HiddenVariable("cell", "coordinates", ((0, 0), (3, 0), (3, 4), (-1, -1)))
EVEN = torch.tensor([0.25, 0.25, 0.25, 0.25])


def tally_of(variable, steps, runs=1, edges=(0, 1, 2)):
    """Tally steps of (belief [R*B, N, V], truth, running)."""
    tally = Tally(variable, runs, list(edges), "cpu")
    for step, (belief, truth, running) in enumerate(steps):
        tally.add(torch.tensor(belief).log(), torch.tensor(truth), torch.tensor(running), step)
    return tally


def test_history_is_binned_by_doubling():
    assert history_edges(40) == [0, 2, 5, 10, 20, 40]
    assert history_edges(100) == [0, 6, 12, 25, 50, 100]
    assert history_edges(3) == [0, 1, 3]
    assert history_edges(1) == [0, 1]


def test_scores_of_one_belief():
    """Half on the truth (0, 0), half on (3, 4): the mean is off by half of 5, and of equals the first is chosen."""
    found = tally_of(LINE, [([[[0.5, 0, 0.5, 0]]], [0], [True])]).scores(0)
    assert found["nll"] == pytest.approx(math.log(2))
    assert found["accuracy"] == 1
    assert found["error"] == pytest.approx(2.5)
    assert found["mode_error"] == 0
    assert found["ece"] == pytest.approx(0.5)


def test_where_a_thing_is_if_it_is_there():
    """That it may be gone does not move it; where it is gone there is no distance, and no place if it cannot be."""
    there = ([[[0.1, 0.3, 0, 0.6]]], [0], [True])
    found = tally_of(LINE, [there]).scores(0)
    assert found["error"] == pytest.approx(3 * 0.75)
    assert found["mode_error"] == pytest.approx(3)
    assert found["accuracy"] == 0
    gone = ([[[0.1, 0.3, 0, 0.6]]], [3], [True])
    assert tally_of(LINE, [there, gone]).scores(0)["error"] == pytest.approx(3 * 0.75)
    assert math.isnan(tally_of(LINE, [gone]).scores(0)["error"])
    wrong = tally_of(LINE, [([[[0.0, 0, 0, 1]]], [2], [True])]).scores(0)
    assert wrong["error"] == pytest.approx(math.dist((2, 4 / 3), (3, 4)))


def test_the_error_is_the_root_of_the_mean_square():
    steps = [([[[0.0, 1, 0, 0]]], [0], [True]), ([[[0.0, 0, 1, 0]]], [1], [True])]
    found = tally_of(LINE, steps).scores(0)
    assert found["error"] == pytest.approx(((9 + 16) / 2) ** 0.5)
    assert found["mode_error"] == pytest.approx(3.5)


def test_episodes_that_have_ended_do_not_count():
    both = ([[[1.0, 0, 0, 0]], [[0.0, 1, 0, 0]]], [0, 0], [True, False])
    assert tally_of(LINE, [both]).scores(0)["accuracy"] == 1


def test_history_and_reliability():
    """At step 0 sure and right, at step 1 half sure and wrong; nobody is left at step 2."""
    steps = [
        ([[[1.0, 0, 0, 0]]], [0], [True]),
        ([[[0.5, 0.2, 0.3, 0]]], [1], [True]),
        ([[[1.0, 0, 0, 0]]], [0], [False]),
    ]
    tally = tally_of(LINE, steps, edges=(0, 1, 2, 3))
    curve = history([tally], 0)
    assert curve["steps"] == [0, 1, 2, 3]
    assert curve["accuracy"] == [1, 0, None]
    assert curve["nll"] == [0, pytest.approx(-math.log(0.2), abs=1e-5), None]
    assert curve["ece"] == [0, 0.5, None]
    bins = reliability([tally], 0)
    assert bins["share"] == [0, 0, 0, 0, 0, 0.5, 0, 0, 0, 0.5]
    assert bins["confidence"][5] == 0.5
    assert bins["accuracy"] == [None] * 5 + [0, None, None, None, 1]
    assert tally.scores(0)["ece"] == pytest.approx(0.25)


def test_runs_are_tallied_apart():
    step = ([[[1.0, 0, 0, 0]], [[0.0, 0, 1, 0]]], [0, 0], [True, True])
    tally = tally_of(LINE, [step], runs=2)
    assert [tally.scores(run)["accuracy"] for run in range(2)] == [1, 0]
    assert [tally.scores(run)["error"] for run in range(2)] == [0, 5]
    assert reliability([tally], 1)["accuracy"][9] == 0


def test_labels_have_no_distance():
    label = HiddenVariable("coin", "categorical", ("heads", "tails"))
    found = tally_of(label, [([[[0.5, 0.5]]], [1], [True])]).scores(0)
    assert set(found) == {"accuracy", "nll", "ece"}


def test_hexagons_lie_in_the_plane():
    """Neighbours are one cell apart, and all six goals 3 * sqrt(3) from the centre: 27 = 36 + 9 - 18."""
    points, there = places(make_task("honeycomb-v0").hidden_variables[0])
    assert there.all()
    assert points is not None
    assert points.norm(dim=1).tolist() == pytest.approx([27**0.5] * 6)
    cells = tuple((i, j) for i in range(-2, 3) for j in range(-2, 3))
    flat, _ = places(HiddenVariable("cell", "coordinates", cells, hexagonal=True))
    assert flat is not None
    for cell, point in zip(cells, flat, strict=True):
        assert (hex_norm(cell) == 1) == (abs(float(point.norm()) - 1) < 1e-6)


def test_averages_leave_out_who_has_no_such_score():
    found = average([{"nll": 1.0, "error": 2.0}, {"nll": 3.0}, {"nll": math.nan}])
    assert found == {"nll": None, "error": 2.0}
