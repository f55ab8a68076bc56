"""Schedules worked out by hand, and what holds for all of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.harness.schedule import MOST_DEATHS, Outcome, simulate, with_deaths


def test_two_workers_share_three_jobs():
    #  worker 0: 4444
    #  worker 1: 333333 (two jobs)
    assert simulate([[4], [3], [3]], workers=2) == Outcome(makespan=6, bound=5, lost=0, given_up=0)


def test_the_driver_hands_out_one_after_another():
    #  driver:   1 2 3        worker 0: 1-5     worker 1: 2-5, then the third: 5-8
    assert simulate([[4], [3], [3]], workers=2, dispatch=1).makespan == 8
    # Jobs shorter than their dispatch wait for the driver, whatever the workers.
    assert simulate([[0.5]] * 10, workers=10, dispatch=1).makespan == 10.5


def test_who_dies_waits_at_the_end_of_the_line():
    #  worker 0: dies at 2, then the third job 2-5
    #  worker 1: the second job 0-3, then the first again 3-7
    assert simulate([[2, 4], [3], [3]], workers=2) == Outcome(makespan=7, bound=5, lost=2, given_up=0)


def test_who_always_dies_is_given_up():
    outcome = simulate([[1.0] * (MOST_DEATHS + 1) + [9.0]], workers=1)
    assert outcome == Outcome(makespan=MOST_DEATHS + 1, bound=9, lost=MOST_DEATHS + 1, given_up=1)


def test_nobody_to_work_and_nothing_to_do():
    with pytest.raises(ValueError, match="workers=0 must be at least 1"):
        simulate([[1]], 0)
    with pytest.raises(ValueError, match="at least one attempt"):
        simulate([[]], 1)
    assert simulate([], 3) == Outcome(0, 0, 0, 0)


@given(st.lists(st.floats(0.1, 100), min_size=1, max_size=30), st.integers(1, 8))
def test_list_scheduling_is_within_grahams_bound(seconds, workers):
    outcome = simulate([[time] for time in seconds], workers)
    assert outcome.bound - 1e-9 <= outcome.makespan <= sum(seconds) / workers + max(seconds) + 1e-9


def test_deaths_come_at_the_rate_asked_for():
    attempts = with_deaths([3600.0] * 4000, deaths_per_hour=0.1)
    died = sum(len(times) > 1 for times in attempts) / 4000
    assert died == pytest.approx(0.0952, abs=0.015)  # 1 - exp(-0.1), three standard deviations
    assert all(times[-1] == 3600 and max(times) == 3600 for times in attempts)
    assert with_deaths([5.0, 6.0], 0.0) == [[5.0], [6.0]]
    assert with_deaths([5.0] * 9, 100.0, seed=1) == with_deaths([5.0] * 9, 100.0, seed=1)
