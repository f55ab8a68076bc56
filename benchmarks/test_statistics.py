"""How long the scoring of a full board takes, beside rliable's own way of computing the same numbers.

Seven submissions x 30 tasks x 10 runs, 50,000 resamples: four metrics each, and all 21 pairs. rliable is timed with
few repetitions on one submission or pair, in the same session, and its time is scaled up: it is linear in both.
"""

import time

import numpy as np
import pytest
from rliable import metrics

from leaderboard.improvement import probability_of_improvement
from leaderboard.statistics import METRICS, RESAMPLES, interval_estimates, performance_profile

SUBMISSIONS, TASKS, RUNS = 7, 30, 10


@pytest.fixture(scope="module")
def board() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {f"submission {n}": rng.normal(0.5 + 0.03 * n, 0.3, (RUNS, TASKS)) for n in range(SUBMISSIONS)}


@pytest.fixture(scope="module")
def library():
    # rliable 1.2's library does not import with pandas 3 (TypeError inside arch 7).
    try:
        from rliable import library
    except TypeError as error:
        pytest.skip(f"rliable.library cannot be imported here: {error}")
    return library


def seconds(function) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def compare(benchmark, theirs: float) -> None:
    """Record rliable's time for the same work, and how many times longer that is."""
    ours = benchmark.stats.stats.median
    benchmark.extra_info |= {"seconds": round(ours, 2), "rliable_seconds": round(theirs, 1)}
    benchmark.extra_info["times_faster_than_rliable"] = round(theirs / ours, 1)
    assert ours < theirs


def test_full_board(benchmark, board):
    """All that a board of this size asks for, 50,000 resamples; others time its parts beside rliable."""

    def score() -> None:
        for matrix in board.values():
            interval_estimates(matrix, 0)
            performance_profile(matrix, np.linspace(-1, 1, 201), 0)
        probability_of_improvement(board, 0)

    benchmark.pedantic(score, rounds=1, warmup_rounds=0)
    benchmark.extra_info |= {"submissions": SUBMISSIONS, "tasks": TASKS, "runs": RUNS, "resamples": RESAMPLES}


def test_four_metrics_of_every_submission(benchmark, board, library):
    repetitions = 500
    scores = board["submission 0"]
    theirs = seconds(
        lambda: library.get_interval_estimates(
            {"x": scores}, lambda x: np.array([metric(x) for metric in METRICS.values()]), reps=repetitions
        )
    )
    benchmark.pedantic(lambda: [interval_estimates(matrix, 0) for matrix in board.values()], rounds=3)
    compare(benchmark, theirs * SUBMISSIONS * RESAMPLES / repetitions)


def test_probability_of_improvement_of_all_pairs(benchmark, board, library):
    repetitions = 100
    pair = board["submission 0"], board["submission 1"]
    theirs = seconds(
        lambda: library.get_interval_estimates({"x,y": pair}, metrics.probability_of_improvement, reps=repetitions)
    )
    benchmark.pedantic(lambda: probability_of_improvement(board, 0), rounds=3)
    pairs = SUBMISSIONS * (SUBMISSIONS - 1) // 2
    compare(benchmark, theirs * pairs * RESAMPLES / repetitions)


def test_performance_profiles(benchmark, board, library):
    repetitions, taus = 100, np.linspace(-1, 1, 201)
    scores = {"x": board["submission 0"]}
    theirs = seconds(lambda: library.create_performance_profile(scores, taus, reps=repetitions))
    benchmark.pedantic(lambda: [performance_profile(matrix, taus, 0) for matrix in board.values()], rounds=3)
    compare(benchmark, theirs * SUBMISSIONS * 2_000 / repetitions)
