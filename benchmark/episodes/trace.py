"""Everything a task says in whole episodes, with its types, shapes and manners checked on the way."""

import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from benchmark.tasks.streams import below, bits, episode_keys
from benchmark.tasks.task import Task


class ContractViolation(ValueError):
    """A task broke a rule; the message names the rule, what was found and what was expected."""


def expect(kept: bool, rule: str, found: object, expected: object) -> None:
    """Raise ``ContractViolation`` unless the rule is kept."""
    if not kept:
        raise ContractViolation(f"rule broken: {rule}; found {found}; expected {expected}")


class Trace(NamedTuple):
    """All that a task says in a batch of episodes played to the horizon, whether or not they ended before."""

    observations: Tensor  # float32 [B, T + 1, N, O]
    states: Tensor  # float32 [B, T + 1, S]
    hidden: Tensor  # int64 [B, T + 1, H]
    rewards: Tensor  # float32 [B, T, N]
    terminated: Tensor  # bool [B, T]
    executed: Tensor  # int64 [B, T, N]


def random_actions(task: Task, keys: Tensor) -> Tensor:
    """Draw int64 ``[B, T, N]``, uniform, for episode keys ``[B]``."""
    steps = [bits(keys, step, "contract", task.agents) for step in range(task.horizon)]
    return below(torch.stack(steps, 1), len(task.action_names))  # [B, T, N]


def episode_digest(
    task: Task, episodes: int = 8, *, seed: int = 0, device: torch.device | str = "cpu", at_once: int | None = None
) -> str:
    """Return the SHA-256 of everything a task says in whole episodes with random actions.

    Args:
        task: what is played.
        episodes: how many.
        seed: which.
        device: where they are played; the digest does not depend on it.
        at_once: the size of the batches; the digest does not depend on it either.
    """
    keys = episode_keys("user", seed, episodes, device=device)
    traces = [play(task, part, random_actions(task, part)) for part in keys.split(at_once or episodes)]
    digest = hashlib.sha256()
    for entries in zip(*traces, strict=True):
        digest.update(torch.cat(entries).cpu().numpy().tobytes())
    return digest.hexdigest()


def play(task: Task, keys: Tensor, actions: Tensor) -> Trace:
    """Play actions ``[B, T, N]`` to the horizon.

    Raises:
        ContractViolation: if an answer has the wrong type, shape or device, is not finite, or if a call changed its
            arguments in place.
    """
    state = _call(task.initial_state, keys)
    looks, steps = [_look(task, state, keys)], []
    for step in range(task.horizon):
        result = _call(task.transition, state, actions[:, step], keys, step)
        state = result.state
        looks.append(_look(task, state, keys))
        team = (len(keys), task.agents)
        _check_tensor("reward", result.reward, torch.float32, team, keys)
        _check_tensor("terminated", result.terminated, torch.bool, team[:1], keys)
        _check_tensor("executed", result.executed, torch.int64, team, keys)
        steps.append(result[1:])
    return Trace(*(torch.stack(entry, 1) for entries in (looks, steps) for entry in zip(*entries, strict=True)))


def _look(task: Task, state: Any, keys: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    batch = len(keys)
    _check_state("state", state, batch)
    observations, vector, hidden = (_call(method, state) for method in (task.observe, task.state_vector, task.hidden))
    seen = (batch, task.agents, task.observation_layout.size)
    _check_tensor("observe(state)", observations, torch.float32, seen, keys)
    _check_tensor("state_vector(state)", vector, torch.float32, (batch, task.state_layout.size), keys)
    _check_tensor("hidden(state)", hidden, torch.int64, (batch, len(task.hidden_variables)), keys)
    return observations, vector, hidden


def _check_state(what: str, state: Any, batch: int) -> None:
    """Check that a state is a NamedTuple of tensors with a batch axis; the state of a transform holds a state."""
    names = getattr(state, "_fields", None)
    expect(names is not None, f"a {what} is a NamedTuple", type(state).__name__, "a NamedTuple of tensors [B, ...]")
    for name, entry in zip(names or (), state, strict=True):
        if isinstance(entry, tuple):
            _check_state(f"{what}.{name}", entry, batch)
            continue
        has_batch = isinstance(entry, Tensor) and entry.shape[:1] == (batch,)
        expect(has_batch, f"{what}.{name} has a batch axis", getattr(entry, "shape", type(entry)), f"[{batch}, ...]")


def _call(method: Callable[..., Any], *arguments: Any) -> Any:
    """Call a method of a task, which must leave its arguments as they were."""
    before = [_tensors(argument, copy=True) for argument in arguments]
    answer = method(*arguments)
    for old, argument in zip(before, arguments, strict=True):
        for was, now in zip(old, _tensors(argument), strict=True):
            expect(torch.equal(was, now), f"{method.__name__} changes no argument in place", now, was)
    return answer


def _tensors(argument: Any, *, copy: bool = False) -> list[Tensor]:
    if isinstance(argument, tuple):
        return [tensor for entry in argument for tensor in _tensors(entry, copy=copy)]
    return [argument.clone() if copy else argument] if isinstance(argument, Tensor) else []


def _check_tensor(what: str, value: Any, dtype: torch.dtype, shape: tuple[int, ...], keys: Tensor) -> None:
    expect(isinstance(value, Tensor), f"{what} is a tensor", type(value).__name__, "torch.Tensor")
    expect(value.dtype == dtype, f"the type of {what}", value.dtype, dtype)
    expect(tuple(value.shape) == shape, f"the shape of {what}", tuple(value.shape), shape)
    expect(value.device == keys.device, f"{what} is where the keys are", value.device, keys.device)
    if dtype == torch.float32:
        # Also after an episode has ended: rollouts blank what follows by multiplying with zero.
        strange = value[~value.isfinite()].tolist()
        expect(not strange, f"{what} is finite", strange[:1], "no NaN and no infinity")
