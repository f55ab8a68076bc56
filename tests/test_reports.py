import itertools

import numpy as np
import pytest
import torch
from scipy import stats

from benchmark.tasks.reports import misreport, noisy_counts, words

SAMPLES = 50_000


def draws(count, purpose="test", lanes=1):
    """Words int32 [lanes, count] of one key."""
    return words(torch.arange(1), 0, purpose, lanes * count).view(lanes, count)


def chi_square_p(observed, expected):
    """Lump rare outcomes together, so that the approximation holds."""
    order = np.argsort(expected)
    observed, expected = observed[order], expected[order]
    rare = max(int((expected.cumsum() < 20).sum()), 1)
    observed = np.concatenate([[observed[:rare].sum()], observed[rare:]])
    expected = np.concatenate([[expected[:rare].sum()], expected[rare:]])
    return stats.chisquare(observed, expected * observed.sum() / expected.sum()).pvalue


@pytest.mark.parametrize("noise", [0.0, 0.2, 2 / 3])
def test_single_reports_are_wrong_as_often_as_said_and_both_ways_alike(noise):
    for action in range(3):
        reported = misreport(torch.full((SAMPLES,), action), draws(SAMPLES, f"action {action}")[0], noise)
        share = torch.bincount(reported, minlength=3) / SAMPLES
        expected = torch.full((3,), noise / 2)
        expected[action] = 1 - noise
        assert torch.allclose(share, expected, atol=5 * 0.5 / SAMPLES**0.5)


def exact_counts(counts, noise):
    """The distribution of the reported counts by convolution, one reporter after another."""
    mass = {(0, 0, 0): 1.0}
    for action in itertools.chain.from_iterable([a] * n for a, n in enumerate(counts)):
        after = {}
        for reported, probability in mass.items():
            for said in range(3):
                key = tuple(n + (said == a) for a, n in enumerate(reported))
                after[key] = after.get(key, 0.0) + probability * (1 - noise if said == action else noise / 2)
        mass = after
    return mass


@pytest.mark.parametrize("noise", [0.2, 0.5])
@pytest.mark.parametrize("counts", [(3, 1, 4), (0, 8, 0), (12, 2, 12)])
def test_noisy_counts_follow_the_exact_distribution(counts, noise):
    limit = sum(counts)
    true = torch.tensor(counts, dtype=torch.int32)[None, :, None].expand(1, 3, SAMPLES)
    reported = noisy_counts(true, draws(SAMPLES, f"{counts}", 5)[None], noise, limit)
    assert (reported.sum(1) == limit).all()
    exact = exact_counts(counts, noise)
    code = reported[0, 0] * (limit + 1) + reported[0, 1]
    frequency = np.bincount(code.numpy(), minlength=(limit + 1) ** 2)
    observed = np.array([frequency[s * (limit + 1) + b] for s, b, _ in exact], dtype=float)
    assert observed.sum() == SAMPLES
    assert chi_square_p(observed, np.array(list(exact.values())) * SAMPLES) > 1e-3


def test_noisy_counts_look_like_reports_made_one_by_one():
    """Means and covariances of 40 agents' reports, against a simulation that draws every one of them."""
    counts, noise, samples = (13, 7, 20), 0.2, 10_000
    actions = torch.tensor([0] * 13 + [1] * 7 + [2] * 20).expand(samples, 40)
    single = misreport(actions, draws(samples * 40, "single")[0].view(samples, 40), noise)
    one_by_one = torch.nn.functional.one_hot(single, 3).sum(1).to(torch.float64)
    true = torch.tensor(counts, dtype=torch.int32)[None, :, None].expand(1, 3, samples)
    at_once = noisy_counts(true, draws(samples, "counts", 5)[None], noise, 40)[0].T.to(torch.float64)
    mean = torch.tensor([0.1 * 40 + 0.7 * count for count in counts], dtype=torch.float64)
    for sample in (one_by_one, at_once):
        assert torch.allclose(sample.mean(0), mean, atol=5 * (10 / samples) ** 0.5)
    # Five standard errors of a difference of two variances of about 6.
    tolerance = 5 * 6 * (4 / samples) ** 0.5
    assert torch.allclose(one_by_one.T.cov(), at_once.T.cov(), atol=tolerance)


def test_words_use_both_halves_of_every_draw():
    drawn = words(torch.arange(3), 4, "halves", 5)
    assert drawn.shape == (3, 5)
    assert drawn.dtype == torch.int32
    assert torch.equal(drawn[:, :4], words(torch.arange(3), 4, "halves", 4))
    assert len(drawn.unique()) == 15
