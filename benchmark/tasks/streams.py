"""Counter-based randomness: a draw is a pure function of (key, step, purpose, lane).

There is no generator and no hidden state. The same key gives the same numbers alone or in a batch of 100,000, on
the CPU or a GPU, in this process or another. The mixing function is SplitMix64 (Steele, Lea & Flood, *Fast
Splittable Pseudorandom Number Generators*, OOPSLA 2014): the ``n``-th output for seed ``s`` is ``mix(s + n * GOLDEN)``.
A draw descends three levels of such streams: episode key, then purpose and step, then lane.

Integer arithmetic is 64-bit two's complement with wrap-around, the same on every device that torch supports.
"""

import hashlib
from functools import lru_cache

import torch
from torch import Tensor

GOLDEN = 0x9E3779B97F4A7C15 - (1 << 64)
_FIRST = 0xBF58476D1CE4E5B9 - (1 << 64)
_SECOND = 0x94D049BB133111EB - (1 << 64)
_MASK32 = (1 << 32) - 1


def _shift_right(x: Tensor, count: int) -> Tensor:
    """Shift int64 right as if unsigned: torch's own shift copies the sign bit."""
    return (x >> count).bitwise_and_((1 << (64 - count)) - 1)


def _fold(x: Tensor, count: int) -> Tensor:
    """Xor int64 with itself shifted right as if unsigned. Only one new tensor: draws are bound by memory."""
    return (x >> count).bitwise_and_((1 << (64 - count)) - 1).bitwise_xor_(x)


def mix(x: Tensor) -> Tensor:
    """Scramble int64 of any shape, one to one (the finaliser of SplitMix64)."""
    x = _fold(x, 30).mul_(_FIRST)
    x = _fold(x, 27).mul_(_SECOND)
    return _fold(x, 31)


@lru_cache(maxsize=4096)
def purpose_offset(purpose: str, step: int) -> int:
    """Return the 64-bit offset that separates the draws of one purpose and step from all others."""
    digest = hashlib.blake2b(f"{purpose}\0{step}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def bits(keys: Tensor, step: int, purpose: str, lanes: int) -> Tensor:
    """Draw 64 random bits for every key and lane.

    Args:
        keys: int64 ``[B]``, one key per episode.
        step: the time step the draw belongs to; steps share nothing.
        purpose: what the draw decides, such as ``"slip"``; purposes share nothing.
        lanes: how many independent draws each key needs.

    Returns:
        int64 ``[B, lanes]``.
    """
    return _lanes(mix(keys + purpose_offset(purpose, step)), lanes)


def bits_along(keys: Tensor, steps: range, purpose: str, lanes: int) -> Tensor:
    """Draw what ``bits`` draws at several steps, in one go: int64 ``[steps, B, lanes]``."""
    offsets = torch.tensor([purpose_offset(purpose, step) for step in steps], device=keys.device)
    return _lanes(mix(keys + offsets[:, None]), lanes)


def _lanes(stream: Tensor, lanes: int) -> Tensor:
    lane = torch.arange(1, lanes + 1, dtype=torch.int64, device=stream.device) * GOLDEN
    return mix(stream[..., None] + lane)


def below(random_bits: Tensor, bound: int | Tensor) -> Tensor:
    """Turn random bits into integers in ``[0, bound)``; ``bound`` is at most 2**31 and may vary by element.

    The top 32 bits are scaled (Lemire's multiply-shift); the bias is below ``bound / 2**32``.
    """
    return ((random_bits >> 32 & _MASK32) * bound) >> 32


def uniform(random_bits: Tensor) -> Tensor:
    """Turn random bits into float32 in ``[0, 1)``: exact multiples of 2**-24, equal on every device."""
    return _shift_right(random_bits, 40).to(torch.float32).mul_(2.0**-24)


def chance(random_bits: Tensor, probability: float | Tensor) -> Tensor:
    """Return a bool tensor that is true with the given probability (resolution 2**-32, from the low 32 bits)."""
    threshold = probability * 2**32
    limit = threshold.round().to(torch.int64) if isinstance(threshold, Tensor) else round(threshold)
    return (random_bits & _MASK32) < limit


def distinct(keys: Tensor, purpose: str, count: int, bound: int, *, step: int = 0) -> Tensor:
    """Draw ``count`` different integers in ``[0, bound)`` for every key, uniform over ordered choices.

    Returns:
        int64 ``[B, count]``, in the order of drawing.

    Raises:
        ValueError: if ``count`` exceeds ``bound``.
    """
    if count > bound:
        raise ValueError(f"distinct: cannot draw count={count} different integers below bound={bound}")
    draws = bits(keys, step, purpose, count)
    chosen: list[Tensor] = []
    for index in range(count):
        # The value-th free integer: step over the taken ones in ascending order.
        value = below(draws[:, index], bound - index)
        if chosen:
            for taken in torch.stack(chosen, 1).sort(1).values.unbind(1):
                value = value + (value >= taken).to(torch.int64)
        chosen.append(value)
    return torch.stack(chosen, 1)


# Namespaces of episode keys: the top byte. Keys of different namespaces never meet, so no training episode can
# coincide with an evaluation episode by construction.
NAMESPACES = ("train", "evaluation", "dataset-train", "dataset-validation", "dataset-test", "user", "reference")


def episode_keys(
    namespace: str, seed: int, count: int, *, start: int = 0, device: torch.device | str = "cpu"
) -> Tensor:
    """Return the keys of episodes ``start .. start+count-1`` of one seed's stream in one namespace.

    Args:
        namespace: one of ``NAMESPACES``.
        seed: which stream, for instance the run seed.
        count: how many keys.
        start: index of the first episode, so that a stream can be continued.
        device: where the result lives.

    Returns:
        int64 ``[count]``: the namespace in the top byte, 56 hashed bits below.

    Raises:
        ValueError: if the namespace is unknown.
    """
    if namespace not in NAMESPACES:
        raise ValueError(f"episode_keys: namespace={namespace!r} is unknown; allowed: {', '.join(NAMESPACES)}")
    index = torch.arange(start + 1, start + count + 1, dtype=torch.int64, device=device)
    base = mix(torch.tensor(seed, dtype=torch.int64, device=device) + purpose_offset("episode", 0))
    return _shift_right(mix(base + index * GOLDEN), 8) | (NAMESPACES.index(namespace) << 56)


def namespace_of(key: int) -> str:
    """Return the namespace of one episode key."""
    number = key >> 56
    if not 0 <= number < len(NAMESPACES):
        raise ValueError(f"namespace_of: key={key} was not made by episode_keys")
    return NAMESPACES[number]


def policy_keys(keys: Tensor) -> Tensor:
    """Derive the keys from which a policy draws its own randomness in these episodes.

    They share no stream with the task, and 32 bits are dropped so that they cannot be inverted into episode keys.

    Args:
        keys: int64 ``[B]`` episode keys.
    """
    return _shift_right(mix(keys + purpose_offset("policy", 0)), 32)
