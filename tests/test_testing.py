"""The contract is kept by the toy task, and every rule catches the task that breaks it."""

import itertools
from dataclasses import dataclass

import pytest
import torch
from toy import Whisper, WhisperState

from benchmark.tasks.perturb import Slip
from benchmark.tasks.picture import Picture
from benchmark.tasks.registry import make_task, task_ids
from benchmark.tasks.task import Field, HiddenVariable, Layout, Transition
from benchmark.testing import ContractViolation, check_across_processes, check_task, episode_digest

CALLS = itertools.count()


@pytest.mark.parametrize("task", [Whisper(), Whisper(5, 1), Slip(Whisper(), 0.3), Slip(Slip(Whisper(), 1.0), 0.5)])
def test_the_toy_keeps_the_contract(task):
    check_task(task)


SMALL = [task_id for task_id in task_ids() if not task_id.endswith(("-27-v0", "-40-v0", "-60-v0", "-80-v0", "-100-v0"))]


@pytest.mark.parametrize("task_id", SMALL)
def test_registered_tasks_keep_the_contract(task_id):
    check_task(make_task(task_id), episodes=8)


@pytest.mark.slow
@pytest.mark.parametrize("task_id", sorted(set(task_ids()) - set(SMALL)))
def test_large_registered_tasks_keep_the_contract(task_id):
    check_task(make_task(task_id))


def mutant(**changes):
    """A toy task with some members replaced."""
    cls = type("Mutant", (Whisper,), changes)
    globals()["Mutant"] = cls  # so that it can be pickled
    cls.__module__, cls.__qualname__ = __name__, "Mutant"
    return dataclass(frozen=True)(cls)()


def constant(value):
    return property(lambda self: value)


def after(**changes):
    """Whisper's transition with some of its results changed by functions of (result, arguments)."""

    def transition(self, state, actions, keys, step):
        result = Whisper.transition(self, state, actions, keys, step)
        return result._replace(**{name: change(result, state, keys, step) for name, change in changes.items()})

    return transition


def spoilt_state(result, state, keys, step):
    state.time[:] = step + 1
    return result.state


def whisper_by_position(result, state, keys, step):
    return result.state._replace(heard=result.state.heard ^ (torch.arange(len(keys))[:, None] & 1))


def whisper_by_company(result, state, keys, step):
    return result.state._replace(heard=result.state.heard * (len(keys) == 16))


def loud(self, state):
    return Whisper.observe(self, state) * 2


def late_nan(self, state):
    return Whisper.observe(self, state) + (state.time > 4)[:, None, None] * torch.nan


def eight_bits(self, state):
    return Whisper.hidden(self, state).to(torch.int8)


BROKEN = {
    "action names are unique": {"action_names": constant(("wait", "say", "say"))},
    "action names are strings": {"action_names": constant((0, 1, 2))},
    "agents is a positive integer; found 0": {"agents": constant(0)},
    "horizon is a positive integer; found 5.0": {"horizon": constant(5.0)},
    "field names are unique": {"state_layout": constant(Layout((Field("a", 1, 0, 5), Field("a", 1, 0, 5))))},
    "field 'coin' is not empty": {"state_layout": constant(Layout((Field("coin", 0, 0, 1), Field("t", 2, 0, 5))))},
    "field 't' has low <= high": {"state_layout": constant(Layout((Field("t", 2, 5, 0),)))},
    "the values of hidden variable 'coin' are distinct; found ('x', 'x')": {
        "hidden_variables": constant((HiddenVariable("coin", "categorical", ("x", "x")),))
    },
    "the values of hidden variable 'coin'; found ('heads', 'tails'); expected pairs": {
        "hidden_variables": constant((HiddenVariable("coin", "coordinates", ("heads", "tails")),))
    },
    "hidden variable 'coin' is an index in range; found 0 to 1; expected 0 to 0": {
        "hidden_variables": constant((HiddenVariable("coin", "categorical", ("heads",)),))
    },
    "names of hidden variables are strings": {"hidden_variables": constant(())},
    "the shape of observe(state); found (16, 2, 2); expected (16, 2, 3)": {
        "observation_layout": constant(Layout((Field("both", 3, -1, 5),)))
    },
    "the type of hidden(state); found torch.int8": {"hidden": eight_bits},
    "state_vector(state) is a tensor; found ndarray": {
        "state_vector": lambda self, state: Whisper.state_vector(self, state).numpy()
    },
    "observation 'heard' is within its bounds; found [-2.0]; expected -1 to 1": {"observe": loud},
    "state 'time' is within its bounds; found [2.0]; expected 0 to 1": {
        "state_layout": constant(Layout((Field("coin", 1, 0, 1), Field("time", 1, 0, 1))))
    },
    "observe(state) is finite; found [nan]": {"observe": late_nan},
    "reward is finite": {"transition": after(reward=lambda result, *_: result.reward / 0)},
    "the type of reward; found torch.float64": {"transition": after(reward=lambda result, *_: result.reward.double())},
    "the shape of terminated": {"transition": after(terminated=lambda result, *_: result.terminated[:, None])},
    "executed is an index in range; found 1 to 3; expected 0 to 2": {
        "transition": after(executed=lambda result, *_: result.executed + 1)
    },
    "a shared reward is the same for all agents": {
        "transition": after(reward=lambda result, *_: result.reward * torch.tensor([1.0, 2.0]))
    },
    "a state is a NamedTuple; found tuple": {"transition": after(state=lambda result, *_: tuple(result.state))},
    "state.coin has a batch axis": {
        "initial_state": lambda self, keys: WhisperState(torch.zeros(1), *Whisper.initial_state(self, keys)[1:])
    },
    "transition changes no argument in place": {"transition": after(state=spoilt_state)},
    "an episode is the same in a second call": {
        "transition": after(reward=lambda result, *_: result.reward + next(CALLS))
    },
    "an episode is the same in another order of the batch": {"transition": after(state=whisper_by_position)},
    "an episode is the same alone": {"transition": after(state=whisper_by_company)},
    "choosing what was executed leads to the same": {
        "transition": after(executed=lambda result, *_: torch.zeros_like(result.executed))
    },
    "draw returns text": {"draw": lambda self, state, episode=0: " "},
    "a state can be shown; found ValueError": {"picture": lambda self, state, episode=0: Picture("nowhere", ())},
}


@pytest.mark.parametrize("rule", BROKEN)
def test_a_broken_rule_is_named(rule):
    with pytest.raises(ContractViolation) as caught:
        check_task(mutant(**BROKEN[rule]))
    assert str(caught.value).startswith(f"rule broken: {rule}"), caught.value
    assert "; expected " in str(caught.value)


@pytest.mark.parametrize(
    ("call", "rule"),
    [
        (1, "an episode is the same in a second call"),
        (2, "an episode is the same in another order of the batch"),
        (3, "an episode is the same alone"),
        (4, "an episode is the same alone"),
        (5, "choosing what was executed leads to the same"),
        (6, "slip with probability 0 changes nothing"),
        (7, "choosing what slip executed leads to the same"),
    ],
)
def test_a_task_that_changes_its_mind_once_is_caught(call, rule):
    calls = itertools.count()

    def initial_state(self, keys):
        state = Whisper.initial_state(self, keys)
        return state._replace(coin=1 - state.coin) if next(calls) == call else state

    with pytest.raises(ContractViolation, match=f"rule broken: {rule}; found .* expected"):
        check_task(mutant(initial_state=initial_state))


class Thawed(Whisper):
    __setattr__ = object.__setattr__


def test_a_task_must_be_a_frozen_hashable_value():
    with pytest.raises(ContractViolation, match="a task is a Task; found str"):
        check_task("oracle-v0")  # type: ignore[arg-type]
    with pytest.raises(ContractViolation, match="a task is hashable; found unhashable type"):
        check_task(mutant(__hash__=None))
    with pytest.raises(ContractViolation, match="a task is equal to its pickled copy"):
        check_task(mutant(__eq__=lambda self, other: self is other, __hash__=lambda self: 1))
    with pytest.raises(ContractViolation, match="equal tasks hash alike"):
        check_task(mutant(__hash__=lambda self: id(self)))
    with pytest.raises(ContractViolation, match="a task is picklable; found "):
        check_task(dataclass(frozen=True)(type("Local", (Whisper,), {"__qualname__": "f.<locals>.Local"}))())
    with pytest.raises(ContractViolation, match="a task is frozen; found 'team_size' can be set"):
        check_task(Thawed())


def test_whole_episodes_are_the_same_in_another_process():
    check_across_processes(Whisper())


@dataclass(frozen=True)
class Salted(Whisper):
    """Seeded by something that differs between processes, and only in the last step."""

    def transition(self, state: WhisperState, actions: torch.Tensor, keys: torch.Tensor, step: int) -> Transition:
        result = super().transition(state, actions, keys, step)
        salt = hash("whisper") % 1000 if step + 1 == self.horizon else 0
        return result._replace(reward=result.reward + salt)


def test_a_difference_in_the_last_step_of_another_process_is_found():
    check_task(Salted())
    with pytest.raises(ContractViolation, match=r"another process; found \w{64}; expected \w{64}"):
        check_across_processes(Salted())


def test_a_process_that_fails_is_reported():
    with pytest.raises(ContractViolation, match=r"another process; found .*Mutant"):
        check_across_processes(mutant())


def test_the_digest_names_the_episodes_and_not_the_batches():
    digests = {episode_digest(Whisper(), 20, at_once=size) for size in (None, 1, 7, 20, 64)}
    assert len(digests) == 1
    others = {episode_digest(Whisper(), 20, seed=1), episode_digest(Whisper(), 19), episode_digest(Whisper(3), 20)}
    assert len(digests | others) == 4
