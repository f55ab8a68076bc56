"""Time and memory to find the distribution of configurations, against the number of agents.

``pytest benchmarks/test_configuration.py --benchmark-only --benchmark-columns=median`` shows medians; slopes on a
log-log plot are in ``extra_info`` of the last test (``--benchmark-json``); caches end between these sizes.
"""

import timeit
from functools import partial
from itertools import pairwise
from math import log

import pytest
import torch

from baselines.configuration import distribution_by_halves, distribution_by_steps, multinomial

BY_STEPS = (26, 59, 99, 199, 399, 799)
BY_HALVES = (26, 99, 399, 1_000, 2_000, 4_000, 10_000)


def beliefs(agents):
    return torch.rand(agents, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64).softmax(-1)


@pytest.mark.parametrize("agents", BY_STEPS)
def test_by_steps(benchmark, agents):
    benchmark(distribution_by_steps, beliefs(agents))


@pytest.mark.parametrize("agents", BY_HALVES)
def test_by_halves(benchmark, agents):
    benchmark.pedantic(distribution_by_halves, (beliefs(agents),), rounds=1 if agents > 1000 else 5)


@pytest.mark.parametrize("agents", BY_HALVES)
def test_closed_form_of_equal_beliefs(benchmark, agents):
    benchmark.pedantic(multinomial, (agents, beliefs(1)[0]), rounds=1 if agents > 1000 else 5)


@pytest.mark.parametrize(("way", "sizes"), [("steps", (200, 400, 800)), ("halves", (500, 1000, 2000))])
def test_slope(benchmark, way, sizes):
    function = distribution_by_steps if way == "steps" else distribution_by_halves
    seconds = {agents: min(timeit.repeat(partial(function, beliefs(agents)), number=1, repeat=3)) for agents in sizes}
    benchmark.extra_info["slopes"] = [log(seconds[b] / seconds[a]) / log(b / a) for a, b in pairwise(sizes)]
    benchmark.pedantic(lambda: None)
