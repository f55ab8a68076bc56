import numpy as np
import pytest
import torch
from scipy import stats

from benchmark.tasks.binomial import _ROW, _cut, _order, _tables, _thresholds, binomial
from benchmark.tasks.reports import words

LOWEST, HIGHEST = -(2**31), 2**31 - 1
PROBABILITIES = [0.7, 1 / 3, 0.5, 0.05, 0.99]
SAMPLES = 50_000


def words_of(values):
    return torch.tensor(values, dtype=torch.int64).clamp(LOWEST, HIGHEST).to(torch.int32)


def passed(trials, probability):
    """Return how many of the 2**32 words yield each count or less."""
    first, thresholds = _thresholds(trials, probability)
    row = thresholds.astype(np.int64) + 1 + 2**31
    return np.concatenate([np.zeros(first), row, np.full(trials + 1 - first - len(row), 2**32)])


@pytest.mark.parametrize("probability", PROBABILITIES)
@pytest.mark.parametrize("trials", [0, 1, 2, 7, 50, 120])
def test_thresholds_are_the_distribution_function_to_half_a_unit_of_32_bits(trials, probability):
    exact = stats.binom.cdf(np.arange(trials + 1), trials, probability) * 2**32
    assert np.abs(passed(trials, probability) - exact).max() < 0.501


def test_a_window_of_the_distribution_of_ten_thousand_trials_is_kept():
    _, thresholds = _thresholds(10_000, 0.7)
    assert np.isclose(len(thresholds), 2 * 6.2 * np.sqrt(2100), rtol=0.05)


@pytest.mark.parametrize("limit", [1, 5, 99, 1000])
@pytest.mark.parametrize("probability", [*PROBABILITIES, 1e-6, 0.0, 1.0])
def test_a_word_yields_as_many_successes_as_lie_thresholds_below_it(limit, probability):
    """At the thresholds themselves, beside them, at the ends and the middle: searched here by bisection."""
    for trials in {0, 1, limit // 2, limit - 1, limit}:
        first, thresholds = _thresholds(trials, probability)
        beside = np.concatenate([thresholds.astype(np.int64) + shift for shift in (-1, 0, 1)])
        drawn = words_of([*beside.tolist(), LOWEST, LOWEST + 1, -1, 0, 1, HIGHEST - 1, HIGHEST])
        expected = first + np.searchsorted(thresholds, drawn.numpy())
        found = binomial(torch.full_like(drawn, trials), drawn, probability, limit)
        assert found.tolist() == expected.tolist()


def test_cells_keep_the_order_of_words_and_rows_do_not_share_them():
    ends = [1 << power for power in range(31)]
    near = [end + shift for end in ends for shift in (-1, 0, 1)]
    drawn = words_of(sorted({*[LOWEST + n for n in near], *[HIGHEST - n for n in near], LOWEST, HIGHEST}))
    cells = _cut(drawn)
    order = _order(cells.numpy())
    assert (np.diff(order) >= 0).all()
    tables = _tables(3, 0.5, torch.device("cpu"))
    rows = [set((tables.start + row * _ROW + cells).tolist()) for row in range(4)]
    assert min(min(row) for row in rows) >= 0
    assert max(max(row) for row in rows) < len(tables.guide)
    assert sum(map(len, rows)) == len(set.union(*rows))


def test_a_hundred_agents_need_one_comparison_and_ten_thousand_four():
    assert _tables(99, 0.7, torch.device("cpu")).reaches == (1,)
    assert _tables(10_000, 0.7, torch.device("cpu")).reaches == (8, 4, 2, 1)


def test_extreme_words_give_the_extreme_counts_and_the_middle_word_the_median():
    trials = torch.full((3,), 10, dtype=torch.int32)
    assert binomial(trials, words_of([LOWEST, 0, HIGHEST]), 0.5, 10).tolist() == [0, 5, 10]


def test_certain_probabilities_need_no_luck():
    trials, drawn = torch.arange(5, dtype=torch.int32), words(torch.arange(1), 0, "test", 5)[0]
    assert binomial(trials, drawn, 0.0, 4).tolist() == [0] * 5
    assert binomial(trials, drawn, 1.0, 4).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("trials", [1, 9, 99])
def test_drawn_counts_follow_the_binomial_distribution(trials):
    drawn = binomial(
        torch.full((SAMPLES,), trials, dtype=torch.int32), words(torch.arange(1), 0, "test", SAMPLES)[0], 0.7, 99
    )
    observed = np.bincount(drawn.numpy(), minlength=trials + 1).astype(float)
    expected = stats.binom.pmf(np.arange(trials + 1), trials, 0.7) * SAMPLES
    rare = expected < 20
    observed = np.append(observed[~rare], observed[rare].sum())
    expected = np.append(expected[~rare], expected[rare].sum())
    assert stats.chisquare(observed[expected > 0], expected[expected > 0]).pvalue > 1e-3
