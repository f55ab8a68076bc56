import pickle
import subprocess
import sys
import warnings
from functools import cache

import numpy as np
import pytest
import torch
from pettingzoo.test import parallel_api_test
from toy import Whisper

import benchmark
from benchmark.episodes.parallel_env import DEFAULT_SEED, TaskParallelEnv
from benchmark.episodes.policy import PlaybackPolicy
from benchmark.episodes.rollout import rollout
from benchmark.tasks.registry import make_task
from benchmark.tasks.streams import below, bits, episode_keys, namespace_of

TASK_IDS = ("oracle-v0", "gathering-v0", "escape-room-v0", "honeycomb-n3-v0", "organization-tree-9-v0")


def joint_actions(env, seed=0):
    """Random actions for a whole episode, ``[T, N]``."""
    keys = torch.arange(env.task.horizon) + 1000 * seed
    return below(bits(keys, 0, "test", env.task.agents), len(env.task.action_names)).tolist()


def play(env, actions):
    """Play one episode that has been reset; returns every answer of ``step``."""
    answers = []
    for row in actions:
        if not env.agents:
            break
        answers.append(env.step(dict(zip(env.agents, row, strict=True))))
    return answers


def assert_same(one, other):
    """Compare nested answers exactly."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        one, other = list(one.values()), list(other.values())
    if isinstance(one, list | tuple):
        assert len(one) == len(other)
        for left, right in zip(one, other, strict=True):
            assert_same(left, right)
    else:
        assert np.array_equal(one, other)


@pytest.mark.parametrize("task", [*TASK_IDS, "oracle-v0:slip=0.3", Whisper(3)])
def test_pettingzoo_accepts_it(task, capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parallel_api_test(TaskParallelEnv(task), num_cycles=120)
    assert "Passed" in capsys.readouterr().out


@pytest.mark.parametrize("task", [*TASK_IDS, Whisper()])
def test_it_plays_what_rollout_plays(task):
    env = TaskParallelEnv(task)
    first, infos = env.reset(seed=5)
    key = infos["agent_0"]["episode_key"]
    assert key == int(episode_keys("user", 5, 1))
    actions = joint_actions(env)
    answers = play(env, actions)
    episodes = rollout(env.task, PlaybackPolicy(torch.tensor([actions])), torch.tensor([key]))
    steps = len(answers)
    assert int(episodes.lengths) == steps
    seen = [first, *(answer[0] for answer in answers)]
    assert np.array_equal([list(row.values()) for row in seen], episodes.observations[0, : steps + 1].numpy())
    assert [list(answer[1].values()) for answer in answers] == episodes.rewards[0, :steps].tolist()
    assert [answer[2]["agent_0"] for answer in answers] == episodes.terminated[0, :steps].tolist()


@pytest.mark.parametrize("task_id", TASK_IDS)
def test_spaces_hold_what_is_seen(task_id):
    env = TaskParallelEnv(task_id)
    observations, _ = env.reset(seed=1)
    for seen in [observations, *(answer[0] for answer in play(env, joint_actions(env)))]:
        assert list(seen) == env.possible_agents == [f"agent_{number}" for number in range(env.task.agents)]
        assert {row.dtype for row in seen.values()} == {np.dtype(np.float32)}
        assert all(env.observation_space(agent).contains(row) for agent, row in seen.items())
    assert env.state_space.contains(env.state())
    assert {str(env.action_space(agent)) for agent in env.possible_agents} == {
        f"Discrete({len(env.task.action_names)})"
    }


def test_the_horizon_truncates_and_a_goal_terminates():
    env = TaskParallelEnv(Whisper())
    env.reset(seed=0)
    *before, last = play(env, [[0, 0]] * 9)
    assert len(before) == 4
    assert not any(any(answer[2].values()) or any(answer[3].values()) for answer in before)
    assert last[2] == {"agent_0": False, "agent_1": False}
    assert last[3] == {"agent_0": True, "agent_1": True}
    assert env.agents == []
    env.reset()
    ((_, rewards, terminations, truncations, _),) = play(env, [[1, 1]])
    assert abs(rewards["agent_0"]) == 1
    assert terminations == {"agent_0": True, "agent_1": True}
    assert truncations == {"agent_0": False, "agent_1": False}


def test_a_termination_at_the_horizon_is_no_truncation():
    # HoneyComb pays and ends for good after its last step.
    env = TaskParallelEnv("honeycomb-n3-v0")
    env.reset(seed=0)
    *_, last = play(env, [[6, 6, 6]] * 30)
    assert last[2] == dict.fromkeys(env.possible_agents, True)
    assert last[3] == dict.fromkeys(env.possible_agents, False)


def test_a_seed_starts_a_stream_that_resets_continue():
    env = TaskParallelEnv("oracle-v0")
    keys = [env.reset(seed=7)[1]["agent_0"]["episode_key"], *(env.reset()[1]["agent_0"]["episode_key"] for _ in "ab")]
    assert keys == episode_keys("user", 7, 3).tolist()
    assert {namespace_of(key) for key in keys} == {"user"}
    assert env.reset(seed=int(np.int64(7)))[1]["agent_1"]["episode_key"] == keys[0]
    fresh = TaskParallelEnv("oracle-v0").reset()[1]["agent_0"]["episode_key"]
    assert fresh == int(episode_keys("user", DEFAULT_SEED, 1))


@pytest.mark.parametrize("seed", [-1, 2**63, 1.5, "7"])
def test_bad_seeds_are_refused(seed):
    with pytest.raises(ValueError, match=r"seed=.* is not allowed; allowed: integers from 0 to 2\*\*63 - 1, None"):
        TaskParallelEnv(Whisper()).reset(seed=seed)


@pytest.mark.parametrize("task", [*TASK_IDS, "escape-room-v0:slip=0.5"])
def test_a_pickled_environment_continues_identically(task):
    env = TaskParallelEnv(task, "ansi")
    env.reset(seed=3)
    actions = joint_actions(env)
    play(env, actions[:4])
    copy = pickle.loads(pickle.dumps(env))
    assert_same(play(copy, actions[4:]), play(env, actions[4:]))
    assert_same(copy.reset(), env.reset())
    assert copy.render() == env.render()


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ({"agent_0": 0}, "action of 'agent_1' is missing; allowed: 0 to 2"),
        ({"agent_0": 3, "agent_1": 0}, "action 3 of 'agent_0' is out of range; allowed: 0 to 2"),
        ({"agent_0": 0, "agent_1": -1}, "action -1 of 'agent_1' is out of range"),
        ({"agent_0": 0, "agent_1": 0.5}, "action 0.5 of 'agent_1' is no integer"),
        ({"agent_0": "wait", "agent_1": 0}, "action 'wait' of 'agent_0' is no integer"),
        ({"agent_0": 0, "agent_1": 0, "agent_2": 0}, "agent 'agent_2' is unknown; allowed: agent_0, agent_1"),
    ],
)
def test_bad_actions_are_refused_and_change_nothing(actions, message):
    env = TaskParallelEnv(Whisper())
    env.reset(seed=0)
    before = env.state()
    with pytest.raises(ValueError, match=message):
        env.step(actions)
    assert np.array_equal(env.state(), before)


@pytest.mark.parametrize("action", [2, np.int32(2), np.array(2), torch.tensor(2)])
def test_any_integer_is_an_action(action):
    env = TaskParallelEnv(Whisper())
    env.reset(seed=0)
    assert env.step({"agent_0": action, "agent_1": 0})[4]["agent_0"]["executed_action"] == 2


def test_steps_outside_an_episode_are_refused():
    env = TaskParallelEnv(Whisper(), "ansi")
    for method in ("state", "hidden_state", "render"):
        with pytest.raises(ValueError, match=rf"{method}: no episode has begun; call reset\(\) first"):
            getattr(env, method)()
    with pytest.raises(ValueError, match="step: no episode is running"):
        env.step({"agent_0": 0, "agent_1": 0})
    env.reset()
    play(env, [[1, 1]])
    with pytest.raises(ValueError, match="step: no episode is running"):
        env.step({})


def test_infos_tell_the_executed_action_and_no_secret():
    env = TaskParallelEnv("oracle-v0:slip=1")
    env.reset(seed=0)
    infos = [answer[4] for answer in play(env, [[8, 8]] * 20)]
    assert {key for info in infos for key in info["agent_0"]} == {"executed_action", "episode_key"}
    assert len({info["agent_0"]["executed_action"] for info in infos}) > 3


def test_hidden_state_names_the_values():
    env = TaskParallelEnv("oracle-v0")
    env.reset(seed=0)
    hidden = env.hidden_state()
    variables = env.task.hidden_variables
    assert list(hidden) == [variable.name for variable in variables]
    assert all(hidden[variable.name] in variable.values for variable in variables)


def test_observations_share_no_memory():
    # Both agents of Oracle see the same, and Gathering hands out views of one row.
    for task_id in ("oracle-v0", "gathering-v0"):
        env = TaskParallelEnv(task_id)
        observations, _ = env.reset(seed=0)
        kept = observations["agent_1"].copy()
        observations["agent_0"][:] = 99
        assert np.array_equal(observations["agent_1"], kept)
        env.state()[:] = 99
        assert env.state_space.contains(env.state())


@cache
def table():
    return torch.ones(2, 2)


class Tabled(Whisper):
    """Hands out a view of a table that it builds on first use."""

    def observe(self, state):
        return table().expand(len(state.coin), 2, 2)


def test_a_table_built_while_stepping_is_fit_for_learning():
    TaskParallelEnv(Tabled()).reset()
    weight = torch.ones(1, requires_grad=True)
    seen = Tabled().observe(Tabled().initial_state(episode_keys("user", 0, 3)))
    (seen * weight).sum().backward()
    assert weight.grad == 12


def test_names_and_modes():
    env = benchmark.make("oracle-v0:slip=0.1", render_mode="ansi")
    assert str(env) == env.metadata["name"] == "oracle-v0:slip=0.1"
    assert str(TaskParallelEnv(Whisper())) == "Whisper"
    assert env.metadata["render_modes"] == ["ansi", "rgb_array"]
    env.close()
    with pytest.raises(ValueError, match="render_mode='human' is unknown; allowed: ansi, rgb_array, None"):
        TaskParallelEnv("oracle-v0", "human")
    with pytest.raises(ValueError, match="did you mean 'oracle-v0'"):
        benchmark.make("orcle-v0")
    quiet = TaskParallelEnv("oracle-v0")
    quiet.reset()
    with pytest.raises(ValueError, match="render_mode=None; make it with one of: ansi, rgb_array"):
        quiet.render()


def test_rendering_in_both_modes():
    for mode, kind in (("ansi", str), ("rgb_array", np.ndarray)):
        env = TaskParallelEnv("escape-room-v0", mode)
        env.reset(seed=0)
        assert isinstance(env.render(), kind)


def test_the_public_names_exist_and_importing_them_is_lazy():
    assert all(callable(getattr(benchmark, name)) for name in benchmark.__all__)
    assert set(benchmark.__all__) <= set(dir(benchmark))
    with pytest.raises(AttributeError, match="'benchmark' has no attribute 'mke'; public names: check_task"):
        benchmark.mke  # noqa: B018
    script = (
        "import sys, benchmark; assert 'torch' not in sys.modules; benchmark.make_task('oracle-v0'); "
        "benchmark.rollout, benchmark.load_dataset, benchmark.evaluate, benchmark.check_task; "
        "print([name for name in ('pettingzoo', 'gymnasium', 'pandas', 'scipy') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ran.stdout == "[]\n", ran.stderr


def test_a_task_object_and_its_id_are_the_same_world():
    one, other = TaskParallelEnv("gathering-v0"), TaskParallelEnv(make_task("gathering-v0"))
    assert_same(one.reset(seed=4), other.reset(seed=4))
