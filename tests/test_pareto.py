"""Score against time: who is on the front, and whether names can be read."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from leaderboard import pareto
from leaderboard.statistics import Estimate

PLACES = st.dictionaries(st.text(max_size=3), st.tuples(st.integers(0, 9), st.integers(0, 9)))


def cost(score: float, seconds: float, competes: bool = True) -> pareto.Cost:
    return pareto.Cost(Estimate(score, score - 0.1, score + 0.1), seconds, competes)


def test_the_front_holds_whom_nobody_beats_in_both():
    places = {"slow": (9, 0.9), "slower": (10, 0.9), "cheap": (1, 0.1), "worse": (1, 0.0), "middle": (5, 0.05)}
    assert pareto.pareto_front(places) == ["cheap", "slow"]


@given(PLACES)
def test_everybody_off_the_front_is_matched_by_somebody_on_it(places):
    front = pareto.pareto_front(places)
    for name, (seconds, score) in places.items():
        matched = [f for f in front if places[f][0] <= seconds and places[f][1] >= score]
        assert matched
        if name in front:
            assert matched == [name]


def test_what_does_not_compete_is_hollow_and_off_the_front():
    ax = Figure(figsize=(5, 3)).subplots()
    costs = {"planner": cost(1.0, 0.0, competes=False), "learner": cost(0.5, 100.0)}
    assert pareto.score_against_seconds(costs, ax) is ax
    stairs = next(line for line in ax.lines if line.get_drawstyle() == "steps-post")
    assert np.asarray(stairs.get_ydata()).tolist() == [0.5, 0.5]
    faces = [np.asarray(points.get_facecolor())[0][:3] for points in ax.collections]
    assert faces[0].min() > 0.99 > faces[1].min()


def test_names_do_not_cover_each_other():
    ax = FigureCanvasAgg(Figure(figsize=(5, 3))).figure.subplots()
    pareto.score_against_seconds({f"method-{n}": cost(0.1 * n, 10.0) for n in range(8)}, ax)
    boxes = [text.get_window_extent() for text in ax.texts]
    assert not any(a.overlaps(b) for place, a in enumerate(boxes) for b in boxes[:place])
