"""The published contracts: what a task and a submission must keep to. Ours and third parties' run the same checks.

A test file for a task of your own::

    from benchmark.testing import check_across_processes, check_task

    def test_contract():
        check_task(MyTask())
        check_across_processes(MyTask())

And for a submission, in its folder::

    from benchmark.testing import check_submission

    def test_contract():
        check_submission(Path(__file__).parent)
"""

import os
import pickle
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import torch
from torch import Tensor

from benchmark.episodes.render import ansi, rgb_array
from benchmark.episodes.trace import ContractViolation, Trace, episode_digest, expect, play, random_actions
from benchmark.harness.check import EPISODES, verdicts
from benchmark.harness.child import Limits
from benchmark.harness.submission import find_submission
from benchmark.tasks.perturb import Slip
from benchmark.tasks.streams import episode_keys
from benchmark.tasks.task import Layout, Task, take


def check_task(task: Task, episodes: int = 16, *, seed: int = 0) -> None:
    """Check a task against the contract of ``Task``, by playing random actions to the horizon.

    Checked: the description (frozen, hashable, picklable; distinct names; sane bounds); shapes and types of all that
    it returns; observations, states and hidden values within what the layouts and variables declare; finite rewards,
    equal for all agents if they are said to be shared; pure functions that leave their arguments alone and answer the
    same twice; episodes that are the same bit for bit alone, in a batch, in another order and in a second call;
    that choosing the ``executed`` actions, also under slip, leads to the same; text and pixels to look at.

    Args:
        task: what is checked.
        episodes: how many episodes are played, at least 2.
        seed: which episodes.

    Raises:
        ContractViolation: at the first broken rule.
    """
    _check_description(task)
    keys = episode_keys("user", seed, episodes)
    actions = random_actions(task, keys)
    trace = play(task, keys, actions)
    _check_values(task, trace)
    _check_determinism(task, keys, actions, trace)
    _check_executed(task, keys, actions, trace)
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
    expect(there == here, "an episode is the same in another process", there, here)


def check_submission(
    folder: Path, tasks: Sequence[str] = (), episodes: int = EPISODES, *, limits: Limits | None = None
) -> None:
    """Check a submission against its contract, by training it a little in processes of its own.

    The same checks as ``penumbra check``: see ``benchmark.harness.check``.

    Args:
        folder: where its ``submission.toml`` lies.
        tasks: task ids; by default those of the quick suite that it applies to.
        episodes: budget of each training.
        limits: of each check; by default a minute.

    Raises:
        ContractViolation: naming every rule that is broken.
        ManifestError: if there is no manifest, or it is not what it should be.
    """
    failed = [
        verdict for verdict in verdicts(find_submission(str(folder)), tasks, episodes, limits) if not verdict.passed
    ]
    if failed:
        raise ContractViolation(
            "\n".join(
                f"{verdict.check}: found {verdict.found}; rule broken: {verdict.rule}; to mend it: {verdict.remedy}"
                for verdict in failed
            )
        )


def _check_description(task: Task) -> None:
    expect(isinstance(task, Task), "a task is a Task", type(task).__name__, "a subclass of Task")
    name = fields(task)[0].name if fields(task) else "anything"
    try:
        setattr(task, name, getattr(task, name, None))
    except FrozenInstanceError:
        pass
    else:
        raise ContractViolation(f"rule broken: a task is frozen; found {name!r} can be set; expected frozen=True")
    try:
        copy = pickle.loads(pickle.dumps(task))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ContractViolation(f"rule broken: a task is picklable; found {error}; expected a copy") from error
    expect(copy == task, "a task is equal to its pickled copy", copy, task)
    try:
        same = hash(copy) == hash(task)
    except TypeError as error:
        raise ContractViolation(f"rule broken: a task is hashable; found {error}; expected a hash") from None
    expect(same, "equal tasks hash alike", hash(copy), hash(task))
    for name in ("agents", "horizon"):
        value = getattr(task, name)
        expect(isinstance(value, int) and value >= 1, f"{name} is a positive integer", value, "at least 1")
    _check_names("action names", task.action_names)
    _check_names("names of hidden variables", [variable.name for variable in task.hidden_variables])
    for variable in task.hidden_variables:
        values = variable.values
        distinct = len(set(values)) == len(values) > 0
        expect(
            distinct, f"the values of hidden variable {variable.name!r} are distinct", values, "at least one, no twins"
        )
        if variable.kind == "coordinates":
            pairs = all(isinstance(value, tuple) and len(value) == 2 for value in values)
            expect(pairs, f"the values of hidden variable {variable.name!r}", values[:3], "pairs (x, y)")
    for layout in (task.observation_layout, task.state_layout):
        _check_names("field names", [field.name for field in layout.fields])
        for field in layout.fields:
            expect(field.size >= 1, f"field {field.name!r} is not empty", field.size, "at least 1")
            expect(field.low <= field.high, f"field {field.name!r} has low <= high", field.low, f"<= {field.high}")


def _check_names(what: str, names: Sequence[str]) -> None:
    expect(len(names) > 0 and all(isinstance(name, str) for name in names), f"{what} are strings", names, "one or more")
    twins = sorted({name for name in names if list(names).count(name) > 1})
    expect(not twins, f"{what} are unique", twins, "no name twice")


def _check_values(task: Task, trace: Trace) -> None:
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
        expect(same, "a shared reward is the same for all agents", "different ones", "shared_reward = False")


def _check_range(what: str, index: Tensor, count: int) -> None:
    low, high = (int(bound) for bound in index.aminmax())
    expect(low >= 0 and high < count, f"{what} is an index in range", f"{low} to {high}", f"0 to {count - 1}")


def _check_bounds(what: str, layout: Layout, vectors: Tensor) -> None:
    for field, values in zip(layout.fields, layout.unpack(vectors).values(), strict=True):
        outside = values[(values < field.low) | (values > field.high)].tolist()
        expect(not outside, f"{what} {field.name!r} is within its bounds", outside[:1], f"{field.low} to {field.high}")


def _check_determinism(task: Task, keys: Tensor, actions: Tensor, trace: Trace) -> None:
    backwards = torch.arange(len(keys) - 1, -1, -1)
    _compare("an episode is the same in a second call", play(task, keys, actions), trace)
    _compare(
        "an episode is the same in another order of the batch",
        play(task, keys[backwards], actions[backwards]),
        take(trace, backwards),
    )
    for one in (slice(0, 1), slice(len(keys) - 1, None)):
        _compare("an episode is the same alone", play(task, keys[one], actions[one]), take(trace, one))


def _check_executed(task: Task, keys: Tensor, actions: Tensor, trace: Trace) -> None:
    # Whether an action is replaced must not depend on which one was chosen, so this holds for perturbed tasks too.
    _compare("choosing what was executed leads to the same", play(task, keys, trace.executed), trace)
    _compare("slip with probability 0 changes nothing", play(Slip(task, 0.0), keys, actions), trace)
    slipped = play(Slip(task, 1.0), keys, actions)
    _compare("choosing what slip executed leads to the same", play(task, keys, slipped.executed), slipped)


def _compare(rule: str, found: Trace, expected: Trace) -> None:
    for name, one, other in zip(Trace._fields, found, expected, strict=True):
        if not torch.equal(one, other):
            place = (one != other).nonzero()[0].tolist()
            where = f"{name}{place} = {one[tuple(place)].item()}"
            raise ContractViolation(f"rule broken: {rule}; found {where}; expected {other[tuple(place)].item()}")


def _check_pictures(task: Task, keys: Tensor) -> None:
    state = task.initial_state(keys)
    text = task.draw(state)
    expect(isinstance(text, str) and bool(text.strip()), "draw returns text", repr(text), "some text")
    for render in (ansi, rgb_array):
        try:
            render(task, state)
        except (TypeError, ValueError, LookupError) as error:
            raise ContractViolation(
                f"rule broken: a state can be shown; found {error!r}; expected a picture"
            ) from error
