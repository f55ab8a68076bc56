import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from benchmark.tasks.streams import (
    GOLDEN,
    NAMESPACES,
    below,
    bits,
    chance,
    distinct,
    episode_keys,
    mix,
    namespace_of,
    policy_keys,
    purpose_offset,
    uniform,
)

INT64 = st.integers(-(2**63), 2**63 - 1)
# What the reference implementation of SplitMix64 prints for seed 1234567.
PUBLISHED = (
    6457827717110365317,
    3203168211198807973,
    9817491932198370423,
    4593380528125082431,
    16408922859458223821,
)


def splitmix64(state):
    """The published algorithm in Python's unbounded integers."""
    mask = 2**64 - 1
    while True:
        state = state + 0x9E3779B97F4A7C15 & mask
        z = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & mask
        z = (z ^ z >> 27) * 0x94D049BB133111EB & mask
        yield z ^ z >> 31


def unsigned(values):
    return [value % 2**64 for value in values.tolist()]


def uniform_p_value(values, bound):
    return chisquare(torch.bincount(values.flatten(), minlength=bound).numpy()).pvalue


def test_mix_gives_the_published_splitmix64_sequence():
    steps = torch.arange(1, 6) * GOLDEN
    assert tuple(unsigned(mix(1234567 + steps))) == PUBLISHED
    assert tuple(itertools.islice(splitmix64(1234567), 5)) == PUBLISHED


@settings(max_examples=50, deadline=None)
@given(INT64, st.integers(0, 1000), st.sampled_from(["slip", "box"]))
def test_bits_are_the_splitmix64_stream_of_key_purpose_and_step(key, step, purpose):
    scrambled = next(splitmix64((key + purpose_offset(purpose, step) - GOLDEN) % 2**64))
    expected = list(itertools.islice(splitmix64(scrambled), 3))
    assert unsigned(bits(torch.tensor([key]), step, purpose, 3)[0]) == expected


@settings(max_examples=50, deadline=None)
@given(st.lists(INT64, min_size=1, max_size=9), st.integers(0, 2**40), st.integers(1, 5))
def test_bits_do_not_depend_on_the_batch_or_on_the_number_of_lanes(keys, step, lanes):
    batch = torch.tensor(keys)
    together = bits(batch, step, "any", lanes)
    for row, key in enumerate(keys):
        assert torch.equal(bits(torch.tensor([key]), step, "any", lanes)[0], together[row])
    assert torch.equal(bits(batch, step, "any", lanes + 2)[:, :lanes], together)


def test_keys_steps_purposes_and_lanes_share_no_draw():
    keys = episode_keys("train", 0, 50)
    draws = [bits(keys, step, purpose, 5) for step in range(20) for purpose in ("a", "b")]
    assert torch.stack(draws).unique().numel() == 50 * 20 * 2 * 5


def test_draws_and_keys_are_pinned():
    # If this changes, every recorded episode changes: that would be a new version of all tasks.
    assert purpose_offset("slip", 0) == 8288548047420338613
    assert bits(torch.tensor([1]), 0, "slip", 2).tolist() == [[3843045016456117394, -6505747177044794115]]
    assert episode_keys("user", 0, 2).tolist() == [393620727439369203, 373443144651950794]


@pytest.mark.parametrize("bound", [2, 3, 7, 10])
def test_below_is_uniform(bound):
    draws = below(bits(episode_keys("train", 1, 20_000), 3, "dice", 2), bound)
    assert draws.min() == 0
    assert draws.max() == bound - 1
    assert uniform_p_value(draws, bound) > 1e-3


@settings(max_examples=100, deadline=None)
@given(INT64, st.integers(1, 2**31))
def test_below_is_multiply_and_shift_and_in_range(number, bound):
    drawn = int(below(torch.tensor([number]), bound))
    assert drawn == ((number % 2**64) >> 32) * bound >> 32
    assert 0 <= drawn < bound


def test_below_takes_a_bound_per_element():
    draws = below(bits(episode_keys("train", 2, 1000), 0, "dice", 3), torch.tensor([1, 2, 5]))
    assert draws.max(0).values.tolist() == [0, 1, 4]


def test_uniform_is_flat_on_multiples_of_two_to_minus_24():
    draws = uniform(bits(episode_keys("train", 3, 50_000), 0, "u", 1))
    assert draws.dtype == torch.float32
    assert 0 <= float(draws.min()) < float(draws.max()) < 1
    assert torch.equal(draws * 2**24, (draws * 2**24).round())
    assert uniform_p_value((draws * 20).long(), 20) > 1e-3
    assert uniform(torch.tensor([0, -1])).tolist() == [0.0, 1 - 2**-24]


@pytest.mark.parametrize("probability", [0.0, 0.1, 0.5, 1.0])
def test_chance_has_its_probability(probability):
    draws = chance(bits(episode_keys("train", 4, 40_000), 0, "c", 1), probability)
    sigma = (probability * (1 - probability) / 40_000) ** 0.5
    assert abs(draws.float().mean().item() - probability) <= 4 * sigma


def test_chance_and_below_read_different_halves_of_one_draw():
    random_bits = bits(episode_keys("train", 5, 60_000), 0, "slip", 1)
    kept = below(random_bits, 4)[chance(random_bits, 0.3)]
    assert uniform_p_value(kept, 4) > 1e-3


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**62), st.integers(1, 9), st.integers(0, 5))
def test_distinct_draws_differ_and_are_in_range(seed, count, spare):
    drawn = distinct(episode_keys("train", seed, 20), "places", count, count + spare)
    assert drawn.shape == (20, count)
    assert drawn.min() >= 0
    assert drawn.max() < count + spare
    assert all(len(set(row)) == count for row in drawn.tolist())


def test_distinct_is_uniform_over_ordered_choices():
    drawn = distinct(episode_keys("train", 6, 24_000), "places", 3, 4)
    code = drawn[:, 0] * 16 + drawn[:, 1] * 4 + drawn[:, 2]
    counts = code.unique(return_counts=True)[1]
    assert counts.numel() == 4 * 3 * 2
    assert chisquare(counts.numpy()).pvalue > 1e-3


def test_distinct_refuses_more_than_there_are():
    with pytest.raises(ValueError, match="count=4 different integers below bound=3"):
        distinct(episode_keys("train", 0, 1), "places", 4, 3)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**63 - 1), st.integers(0, 10**6), st.sampled_from(NAMESPACES))
def test_episode_keys_continue_a_stream_and_tell_their_namespace(seed, start, namespace):
    keys = episode_keys(namespace, seed, 4, start=start)
    assert torch.equal(episode_keys(namespace, seed, 2, start=start + 2), keys[2:])
    assert keys.dtype == torch.int64
    assert {namespace_of(int(key)) for key in keys} == {namespace}


def test_namespaces_never_meet_and_seeds_do_not_either():
    streams = [episode_keys(name, seed, 2000) for name in NAMESPACES for seed in (0, 1, 2**40)]
    assert torch.cat(streams).unique().numel() == len(streams) * 2000


def test_unknown_namespaces_and_foreign_keys_are_refused():
    with pytest.raises(ValueError, match="namespace='test' is unknown; allowed: train, evaluation"):
        episode_keys("test", 0, 1)
    for key in (-1, len(NAMESPACES) << 56):
        with pytest.raises(ValueError, match=f"key={key} was not made by episode_keys"):
            namespace_of(key)


def test_policy_keys_share_nothing_with_the_task_and_keep_32_bits():
    keys = episode_keys("train", 0, 5000)
    private = policy_keys(keys)
    assert private.unique().numel() == 5000
    assert int(private.min()) >= 0
    assert int(private.max()) < 2**32
    assert torch.cat((bits(keys, 0, "a", 1), bits(private, 0, "a", 1))).unique().numel() == 10_000
