"""What the benchmarks share: where to measure, how often, and how to say a rate."""

import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch

CORES = min(2, os.cpu_count() or 1)
DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")),
]


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let torch use so many threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def finished(function: Callable[[], object], device: str) -> Callable[[], None]:
    """Return the function, made to end only when the device is done."""

    def run() -> None:
        function()
        if device == "cuda":
            torch.cuda.synchronize()

    return run


def seconds(function: Callable[[], object], repeats: int = 5) -> float:
    """Return the median time of a function, after one call that does not count."""
    function()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        function()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def repeat(benchmark, function: Callable[[], object], budget: float = 0.6) -> float:
    """Time a function 3 to 50 times, as often as fits into ``budget`` seconds, or once if it takes a whole second.

    Returns:
        The median.
    """
    function()
    began = time.perf_counter()
    function()
    once = time.perf_counter() - began
    rounds = max(3, min(50, int(budget / once))) if once < 1.0 else 1
    benchmark.pedantic(function, rounds=rounds)
    return benchmark.stats.stats.median


def say(benchmark, **facts: float) -> None:
    """Put numbers into ``extra_info``, with five digits."""
    benchmark.extra_info |= {name: float(f"{value:.5g}") for name, value in facts.items()}
