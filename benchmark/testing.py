"""The published contracts: what a task must keep to. Ours and third parties' run the same checks.

A test file for a task of your own::

    from benchmark.testing import check_across_processes, check_task

    def test_contract():
        check_task(MyTask())
        check_across_processes(MyTask())
"""

import hashlib
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import FrozenInstanceError, fields
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from benchmark.episodes.render import ansi, rgb_array
from benchmark.tasks.perturb import Slip
from benchmark.tasks.streams import below, bits, episode_keys
from benchmark.tasks.task import Layout, Task, take


class ContractViolation(ValueError):
    """A task broke a rule; the message names the rule, what was found and what was expected."""


class _Trace(NamedTuple):
    """All that a task says in a batch of episodes played to the horizon, whether or not they ended before."""

    observations: Tensor  # float32 [B, T + 1, N, O]
    states: Tensor  # float32 [B, T + 1, S]
    hidden: Tensor  # int64 [B, T + 1, H]
    rewards: Tensor  # float32 [B, T, N]
    terminated: Tensor  # bool [B, T]
    executed: Tensor  # int64 [B, T, N]


def check_task(task: Task, episodes: int = 16, *, seed: int = 0) -> None:
    """Check a task against the contract of ``Task``, by playing random actions to the horizon.

    Checked: the description (frozen, hashable, picklable; distinct names; sane bounds); shapes and types of all that
    it returns; observations, states and hidden values within what the layouts and variables declare; finite rewards,
    equal for all agents if they are said to be shared; pure functions that leave their arguments alone and answer the
    same twice; episodes that are the same bit for bit alone, in a batch, in another order and in a second call;
    ``executed`` recorded under slip; text and pixels to look at.

    Args:
        task: what is checked.
        episodes: how many episodes are played, at least 2.
        seed: which episodes.

    Raises:
        ContractViolation: at the first broken rule.
    """
    _check_description(task)
    keys = episode_keys("user", seed, episodes)
    actions = _random_actions(task, keys)
    trace = _play(task, keys, actions)
    _check_values(task, trace)
    _check_determinism(task, keys, actions, trace)
    _check_slip(task, keys, actions, trace)
    _check_pictures(task, keys)


def check_across_processes(task: Task, episodes: int = 8, *, seed: int = 0) -> None:
    """Check that whole episodes are the same in another process, which hashes strings by another salt.

    Args:
        task: picklable, of a class that a new process can import.
        episodes: how many episodes are compared, to their horizon.
        seed: which episodes.

    Raises:
        ContractViolation: if the episodes differ, or the other process fails.
    """
    here = episode_digest(task, episodes, seed=seed)
    program = (
        "import pickle, sys; from benchmark.testing import episode_digest; "
        f"print(episode_digest(pickle.load(sys.stdin.buffer), {episodes}, seed={seed}))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONHASHSEED": "1234"}
    other = subprocess.run(
        [sys.executable, "-c", program], input=pickle.dumps(task), capture_output=True, env=environment, check=False
    )
    lines = (other.stdout if other.returncode == 0 else other.stderr).decode().split("\n")
    there = next((line for line in reversed(lines) if line), "nothing")
    _expect(there == here, "an episode is the same in another process", there, here)


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
    traces = [_play(task, part, _random_actions(task, part)) for part in keys.split(at_once or episodes)]
    digest = hashlib.sha256()
    for entries in zip(*traces, strict=True):
        digest.update(torch.cat(entries).cpu().numpy().tobytes())
    return digest.hexdigest()


def _expect(kept: bool, rule: str, found: object, expected: object) -> None:
    if not kept:
        raise ContractViolation(f"rule broken: {rule}; found {found}; expected {expected}")


def _random_actions(task: Task, keys: Tensor) -> Tensor:
    steps = [bits(keys, step, "contract", task.agents) for step in range(task.horizon)]
    return below(torch.stack(steps, 1), len(task.action_names))  # [B, T, N]


def _check_description(task: Task) -> None:
    _expect(isinstance(task, Task), "a task is a Task", type(task).__name__, "a subclass of Task")
    name = fields(task)[0].name if fields(task) else "anything"
    try:
        setattr(task, name, getattr(task, name, None))
    except FrozenInstanceError:
        pass
    else:
        raise ContractViolation(f"rule broken: a task is frozen; found {name!r} can be set; expected frozen=True")
    copy = pickle.loads(pickle.dumps(task))
    _expect(copy == task, "a task is equal to its pickled copy", copy, task)
    try:
        same = hash(copy) == hash(task)
    except TypeError as error:
        raise ContractViolation(f"rule broken: a task is hashable; found {error}; expected a hash") from None
    _expect(same, "equal tasks hash alike", hash(copy), hash(task))
    for name in ("agents", "horizon"):
        value = getattr(task, name)
        _expect(isinstance(value, int) and value >= 1, f"{name} is a positive integer", value, "at least 1")
    _check_names("action names", task.action_names)
    _check_names("names of hidden variables", [variable.name for variable in task.hidden_variables])
    for variable in task.hidden_variables:
        values = variable.values
        distinct = len(set(values)) == len(values) > 0
        _expect(
            distinct, f"the values of hidden variable {variable.name!r} are distinct", values, "at least one, no twins"
        )
        if variable.kind == "coordinates":
            pairs = all(isinstance(value, tuple) and len(value) == 2 for value in values)
            _expect(pairs, f"the values of hidden variable {variable.name!r}", values[:3], "pairs (x, y)")
    for layout in (task.observation_layout, task.state_layout):
        _check_names("field names", [field.name for field in layout.fields])
        for field in layout.fields:
            _expect(field.size >= 1, f"field {field.name!r} is not empty", field.size, "at least 1")
            _expect(field.low <= field.high, f"field {field.name!r} has low <= high", field.low, f"<= {field.high}")


def _check_names(what: str, names: Sequence[str]) -> None:
    _expect(
        len(names) > 0 and all(isinstance(name, str) for name in names), f"{what} are strings", names, "one or more"
    )
    twins = sorted({name for name in names if list(names).count(name) > 1})
    _expect(not twins, f"{what} are unique", twins, "no name twice")


def _play(task: Task, keys: Tensor, actions: Tensor) -> _Trace:
    """Play to the horizon, checking the types and shapes of all that is returned."""
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
    return _Trace(*(torch.stack(entry, 1) for entries in (looks, steps) for entry in zip(*entries, strict=True)))


def _look(task: Task, state: Any, keys: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    batch = len(keys)
    names = getattr(state, "_fields", None)
    _expect(names is not None, "a state is a NamedTuple", type(state).__name__, "a NamedTuple of tensors [B, ...]")
    for name, entry in zip(names or (), state, strict=True):
        has_batch = isinstance(entry, Tensor) and entry.shape[:1] == (batch,)
        _expect(has_batch, f"state.{name} has a batch axis", getattr(entry, "shape", type(entry)), f"[{batch}, ...]")
    observations, vector, hidden = (_call(method, state) for method in (task.observe, task.state_vector, task.hidden))
    seen = (batch, task.agents, task.observation_layout.size)
    _check_tensor("observe(state)", observations, torch.float32, seen, keys)
    _check_tensor("state_vector(state)", vector, torch.float32, (batch, task.state_layout.size), keys)
    _check_tensor("hidden(state)", hidden, torch.int64, (batch, len(task.hidden_variables)), keys)
    return observations, vector, hidden


def _call(method: Callable[..., Any], *arguments: Any) -> Any:
    """Call a method of a task, which must leave its arguments as they were."""
    before = [_tensors(argument, copy=True) for argument in arguments]
    answer = method(*arguments)
    for old, argument in zip(before, arguments, strict=True):
        for was, now in zip(old, _tensors(argument), strict=True):
            _expect(torch.equal(was, now), f"{method.__name__} changes no argument in place", now, was)
    return answer


def _tensors(argument: Any, *, copy: bool = False) -> list[Tensor]:
    entries = argument if isinstance(argument, tuple) else (argument,)
    return [entry.clone() if copy else entry for entry in entries if isinstance(entry, Tensor)]


def _check_tensor(what: str, value: Any, dtype: torch.dtype, shape: tuple[int, ...], keys: Tensor) -> None:
    _expect(isinstance(value, Tensor), f"{what} is a tensor", type(value).__name__, "torch.Tensor")
    _expect(value.dtype == dtype, f"the type of {what}", value.dtype, dtype)
    _expect(tuple(value.shape) == shape, f"the shape of {what}", tuple(value.shape), shape)
    _expect(value.device == keys.device, f"{what} is where the keys are", value.device, keys.device)
    if dtype == torch.float32:
        # Also after an episode has ended: rollouts blank what follows by multiplying with zero.
        _expect(bool(value.isfinite().all()), f"{what} is finite", value[~value.isfinite()], "no NaN, no infinity")


def _check_values(task: Task, trace: _Trace) -> None:
    ended = trace.terminated.cumsum(1) > 0  # [B, T]
    # What is seen at t is part of the episode if it had not ended before the step that led to t.
    part = torch.nn.functional.pad(~ended, (2, 0), value=True)[:, :-1]
    _check_bounds("observation", task.observation_layout, trace.observations[part])
    _check_bounds("state", task.state_layout, trace.states[part])
    for variable, index in zip(task.hidden_variables, trace.hidden[part].unbind(-1), strict=True):
        _check_range(f"hidden variable {variable.name!r}", index, len(variable.values))
    _check_range("executed", trace.executed, len(task.action_names))
    if task.shared_reward:
        same = bool((trace.rewards == trace.rewards[..., :1]).all())
        _expect(same, "a shared reward is the same for all agents", "different ones", "shared_reward = False")


def _check_range(what: str, index: Tensor, count: int) -> None:
    low, high = (int(bound) for bound in index.aminmax())
    _expect(low >= 0 and high < count, f"{what} is an index in range", f"{low} to {high}", f"0 to {count - 1}")


def _check_bounds(what: str, layout: Layout, vectors: Tensor) -> None:
    for field, values in zip(layout.fields, layout.unpack(vectors).values(), strict=True):
        outside = values[(values < field.low) | (values > field.high)]
        expected = f"{field.low} to {field.high}"
        _expect(outside.numel() == 0, f"{what} {field.name!r} is within its bounds", outside, expected)


def _check_determinism(task: Task, keys: Tensor, actions: Tensor, trace: _Trace) -> None:
    backwards = torch.arange(len(keys) - 1, -1, -1)
    _compare("an episode is the same in a second call", _play(task, keys, actions), trace)
    _compare(
        "an episode is the same in another order of the batch",
        _play(task, keys[backwards], actions[backwards]),
        take(trace, backwards),
    )
    for one in (slice(0, 1), slice(len(keys) - 1, None)):
        _compare("an episode is the same alone", _play(task, keys[one], actions[one]), take(trace, one))


def _check_slip(task: Task, keys: Tensor, actions: Tensor, trace: _Trace) -> None:
    _compare("slip with probability 0 changes nothing", _play(Slip(task, 0.0), keys, actions), trace)
    if not torch.equal(trace.executed, actions):
        return  # The task itself replaces actions, so executed ones cannot be played again.
    slipped = _play(Slip(task, 1.0), keys, actions)
    replaced = not torch.equal(slipped.executed, actions) or len(task.action_names) == 1
    _expect(replaced, "executed actions are recorded under slip", "the chosen ones", "what took effect")
    _compare("executed actions without slip lead to the same", _play(task, keys, slipped.executed), slipped)


def _compare(rule: str, found: _Trace, expected: _Trace) -> None:
    for name, one, other in zip(_Trace._fields, found, expected, strict=True):
        if not torch.equal(one, other):
            place = (one != other).nonzero()[0].tolist()
            where = f"{name}{place} = {one[tuple(place)].item()}"
            raise ContractViolation(f"rule broken: {rule}; found {where}; expected {other[tuple(place)].item()}")


def _check_pictures(task: Task, keys: Tensor) -> None:
    state = task.initial_state(keys)
    text, pixels = ansi(task, state), rgb_array(task, state)
    _expect(isinstance(text, str) and bool(text.strip()), "draw returns text", repr(text), "some text")
    _expect(pixels.dtype == np.uint8 and pixels.shape[2:] == (3,), "pixels", pixels.shape, "uint8 [H, W, 3]")
