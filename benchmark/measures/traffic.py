"""How much work a computation is: kernels, bytes and operations, counted while it runs.

These are what a roofline needs. A *kernel* is one call of a torch operator that touches data. Its *bytes* are those of
every tensor it reads and of every tensor it writes, as if nothing stayed in a cache. Its *operations* are the elements
of its largest tensor (of the result, where an operator picks elements out of a larger tensor); a matrix product has
two for each multiplication and addition.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

# Operators that read no more of their first tensor than they give back.
_PICKING = {"index", "index_select", "gather", "embedding", "take"}
# Operators that write no more of their first tensor than they are given.
_PLACING = {"scatter_", "scatter_add_", "index_put_", "index_add_", "_index_put_impl_"}
# Operators that only reserve memory or look at a tensor from another side.
_FREE = {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "detach", "alias", "lift_fresh"}
_FREE |= {"_unsafe_view", "_reshape_alias"}


@dataclass(frozen=True)
class Traffic:
    """What a computation took.

    Attributes:
        kernels: operators that touched data.
        bytes: read and written, in all.
        operations: elements touched, and two for each multiplication and addition of matrix products.
        picks: those of the operations that pick from, or place into, a table, element by element.
    """

    kernels: int
    bytes: int
    operations: int
    picks: int = 0


def count_traffic(function: Callable[[], object]) -> Traffic:
    """Run a function once and count what it did, gradients included."""
    counter, flops = _Counter(), FlopCounterMode(display=False)
    with flops, counter:
        function()
    return Traffic(counter.kernels, counter.bytes, counter.operations + flops.get_total_flops(), counter.picks)


def size(tensors: Iterable[Any]) -> int:
    """Return the bytes behind some tensors; what is not a tensor has none, and a repeated row counts once."""
    return sum(_elements(tensor) * tensor.element_size() for tensor in tensors if isinstance(tensor, Tensor))


def _elements(tensor: Tensor) -> int:
    sizes = [length if stride else min(length, 1) for length, stride in zip(tensor.shape, tensor.stride(), strict=True)]
    return torch.Size(sizes).numel()


class _Counter(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.kernels = self.bytes = self.operations = self.picks = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run one operator, then add what it touched."""
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        inputs = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        outputs = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        if name in _FREE or func.is_view or not outputs:
            return result
        if name in _PICKING:
            inputs = [*inputs[1:], *outputs]
        elif name in _PLACING:
            inputs, outputs = inputs[1:], inputs[-1:]
        self.kernels += 1
        self.bytes += size(inputs) + size(outputs)
        touched = max(_elements(tensor) for tensor in (*inputs, *outputs))
        self.operations += touched
        self.picks += touched if name in _PICKING or name in _PLACING else 0
        return result
