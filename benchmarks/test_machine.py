"""What this machine can do at most, the best of all rounds: the roofs of the rooflines, measured in the same run."""

import pytest
import torch
from rates import CORES, DEVICES, finished, repeat, say, threads

MIB = 1 << 20
# Bytes of each array: three of the first lie in a core's own cache, three of the second in no cache.
SIZES = {"cache": MIB // 4, "memory": 128 * MIB}


def fastest(benchmark, function):
    repeat(benchmark, function)
    return benchmark.stats.stats.min


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("where", SIZES)
def test_triad(benchmark, where, device):
    """``a = b + s * c``: two arrays are read and one is written, on every core its own."""
    cores = CORES if device == "cpu" else 1
    b, c = torch.ones(2, SIZES[where] // 4, device=device)
    a = torch.empty_like(b)

    def triads() -> None:
        for _ in range(20 if where == "cache" else 1):
            torch.add(b, c, alpha=1.5, out=a)

    with threads(1 if where == "cache" else cores):  # other cores have caches of their own
        took = fastest(benchmark, finished(triads, device)) / (20 if where == "cache" else 1)
    say(benchmark, bytes_per_second=(cores if where == "cache" else 1) * 3 * SIZES[where] / took)


@pytest.mark.parametrize("device", DEVICES)
def test_matrix_product(benchmark, device):
    left, right = torch.ones(2, 1024, 1024, device=device)
    with threads(CORES):
        took = fastest(benchmark, finished(lambda: left @ right, device))
    say(benchmark, operations_per_second=2 * 1024**3 / took)


@pytest.mark.parametrize("device", DEVICES)
def test_integer_operations(benchmark, device):
    """What environments are made of: int64 products, in a core's own cache."""
    x, out = torch.ones(2, SIZES["cache"] // 8, dtype=torch.int64, device=device)

    def products() -> None:
        for _ in range(20):
            torch.mul(x, 3, out=out)

    with threads(1):
        took = fastest(benchmark, finished(products, device)) / 20
    cores = CORES if device == "cpu" else 1
    say(benchmark, operations_per_second=cores * x.numel() / took)


@pytest.mark.parametrize("device", DEVICES)
def test_smallest_kernel(benchmark, device):
    x = torch.ones(1, device=device)

    def kernels() -> None:
        for _ in range(1000):
            x.add_(1.0)

    say(benchmark, seconds_per_kernel=fastest(benchmark, finished(kernels, device)) / 1000)
