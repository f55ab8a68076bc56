"""Information worked out by hand, and a null that is as often wrong as it says."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from recall import Recall
from scipy.stats import kstest

from benchmark.episodes.policy import RandomPolicy
from benchmark.episodes.rollout import rollout
from benchmark.measures.probes import (
    codes,
    conditional_entropy,
    conditional_information,
    entropy,
    null,
    permuted,
    probe,
    samples,
)
from benchmark.tasks.streams import below, bits, episode_keys

KEY = torch.tensor([7])


def draw(name: str, count: int, bound: int = 2, key: torch.Tensor = KEY) -> torch.Tensor:
    return below(bits(key, 0, name, count)[0], bound)


def test_entropies_by_hand():
    assert entropy(torch.tensor([0, 1, 0, 1])) == 1
    assert entropy(torch.tensor([5, 5, 5])) == 0
    assert entropy(torch.tensor([0, 0, 1, 2])) == 1.5
    # Within z = 0 a fair coin, within z = 1 no choice: half a bit.
    assert conditional_entropy(torch.tensor([0, 1, 1, 1]), torch.tensor([0, 0, 1, 1])) == 0.5


def test_either_half_of_an_exclusive_or_tells_nothing_and_both_tell_all():
    x, y = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1])
    parity, nothing = x ^ y, torch.zeros(4, dtype=torch.int64)
    assert conditional_information(parity, x, nothing) == 0
    assert conditional_information(parity, y, nothing) == 0
    assert conditional_information(parity, x, y) == 1
    assert conditional_information(parity, codes(x, y), nothing) == 1


def test_a_function_of_the_condition_tells_nothing_more():
    z = torch.tensor([0, 0, 1, 1, 2, 2])
    assert conditional_information(z * 3, torch.tensor([0, 1, 0, 1, 0, 1]), z) == pytest.approx(0, abs=1e-12)
    found = probe(z * 3, torch.tensor([0, 1, 0, 1, 0, 1]), z, torch.arange(6), KEY, 19)
    assert (found.information, found.p_value) == (0, 1)


def test_a_copy_of_a_coin_tells_one_bit():
    """All of it, and where eleven of a hundred copies are wrong 1 - H(0.11), half a bit."""
    coin, strata = draw("coin", 4000), draw("strata", 4000, 4)
    found = probe(coin, coin, strata, torch.arange(4000) // 10, KEY, 99)
    assert found.information == pytest.approx(1, abs=0.01)
    assert found.low <= 1 <= found.high + 0.01
    assert found.p_value == 0.01
    wrong = coin ^ (draw("error", 4000, 1000) < 110)
    flip = torch.tensor([0.11, 0.89], dtype=torch.float64)
    found = probe(wrong, coin, strata, torch.arange(4000) // 10, KEY, 99)
    assert found.low < 1 + float((flip * flip.log2()).sum()) < found.high
    assert found.high - found.low < 0.12


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 2)), min_size=2, max_size=30))
def test_permuting_keeps_strata_and_the_chain_rule_holds(rows):
    x, y, z = torch.tensor(rows).T
    moved = permuted(x, z, torch.rand(len(x), generator=torch.Generator().manual_seed(len(x))))
    for stratum in z.unique():
        assert torch.equal(moved[z == stratum].sort().values, x[z == stratum].sort().values)
    both = conditional_information(x, codes(y, z), torch.zeros_like(x))
    first = conditional_information(x, z, torch.zeros_like(x))
    assert conditional_information(x, y, z) == pytest.approx(both - first, abs=1e-9)
    assert conditional_information(x, y, z) == pytest.approx(conditional_information(y, x, z), abs=1e-9)
    assert conditional_information(x, y, z) > -1e-9


def test_the_null_is_what_the_formula_says_of_permuted_samples():
    x, y, z = draw("x", 60, 3), draw("y", 60, 3), draw("z", 60, 4)
    draws = bits(KEY, 0, "permutation", 60)[0]
    moved = permuted(x, z, (draws >> 40 & 0xFFFFFF).double() * 2.0**-24)
    assert null(x, y, z, KEY, 1).tolist() == [pytest.approx(conditional_information(moved, y, z))]


def test_where_nothing_depends_on_the_past_p_values_are_even():
    """Random play in Recall: actions depend on nothing, though histories hold earlier ones."""
    p_values = []
    for seed in range(80):
        episodes = rollout(Recall(), RandomPolicy(2, 3), episode_keys("user", seed, 12))
        taken = samples(episodes)
        x, y, z = codes(taken.action), codes(taken.context["previous action"]), codes(taken.observation)
        plain, chance = conditional_information(x, y, z), null(x, y, z, episodes.keys[:1], 39)
        # Ties, of which few samples have many, are broken evenly.
        above, equal = int((chance > plain + 1e-9).sum()), int(((chance - plain).abs() <= 1e-9).sum())
        p_values.append((above + (equal + 1) * float(draw("tie", 1, 1000, episodes.keys[:1])[0] / 1000)) / 40)
    assert kstest(p_values, "uniform").pvalue > 0.01


def test_samples_are_what_was_done_and_what_may_have_led_to_it():
    episodes = rollout(Recall(), RandomPolicy(2, 3), episode_keys("user", 0, 2))
    taken = samples(episodes)
    assert taken.action.tolist() == episodes.actions.flatten().tolist()
    assert taken.context["time"].view(2, 3, 2)[0].tolist() == [[0, 0], [1, 1], [2, 2]]
    before = taken.context["previous action"].view(2, 3, 2)
    assert before[:, 0].tolist() == [[-1, -1]] * 2
    assert torch.equal(before[:, 1:], episodes.actions[:, :-1])
    assert torch.equal(taken.context["another's action"].view(2, 3, 2), episodes.actions.flip(2))
    seen = taken.observation.view(2, 3, 2)
    assert not set(seen[..., 0].flatten().tolist()) & set(seen[..., 1].flatten().tolist())
    assert torch.equal(taken.context["previous observation"].view(2, 3, 2)[:, 1:], seen[:, :-1])
