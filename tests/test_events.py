"""Events that tell agents what was hidden, and beliefs lined up around them."""

import math

import torch

from baselines.belief_variance import measure, variances
from baselines.exact_belief import ExactBelief
from baselines.hidden import Hidden
from benchmark.episodes.policy import ConstantPolicy, PlaybackPolicy, RandomPolicy
from benchmark.episodes.rollout import Episodes, rollout
from benchmark.measures.events import EVENTS, around, observed
from benchmark.measures.posterior import exact_posterior
from benchmark.tasks.escape_room import EscapeRoom
from benchmark.tasks.honeycomb import GOALS, HoneyComb
from benchmark.tasks.oracle import BOXES, Oracle
from benchmark.tasks.streams import episode_keys
from benchmark.tasks.task import Task


def play(task: Task, count: int) -> Episodes:
    return rollout(task, RandomPolicy(task.agents, len(task.action_names)), episode_keys("user", 3, count))


def test_the_oracle_speaks_when_it_is_reached():
    task = Oracle()
    southeast = task.action_names.index("southeast")
    episodes = rollout(task, ConstantPolicy([southeast, task.action_names.index("stay")]), episode_keys("user", 0, 3))
    known = EVENTS[Oracle].known(task, episodes)
    # From (10, 10) the oracle's region, which begins at (17, 3), is seven diagonal steps away.
    assert known[:, :8].long().argmax(1).tolist() == [[7, 7]] * 3
    assert not known[:, :7].any()
    assert known[:, 7:].all()


def test_an_exit_once_seen_is_seen_for_ever_and_by_whom_it_is():
    task = EscapeRoom(random_start=True)
    episodes = play(task, 100)
    known = EVENTS[EscapeRoom].known(task, episodes)
    belief = exact_posterior(task)
    memory = belief.initial_memory(episodes.keys)
    index = [variable.name for variable in task.hidden_variables].index("exit")
    for step in range(20):
        _, memory = belief.act(episodes.observations[:, step], memory)
        certain = belief.belief(memory)[index].exp().amax(-1) > 1 - 1e-6
        running = observed(episodes)[:, step]
        assert bool((certain | ~known[:, step])[running].all())
        memory = belief.with_actions(memory, episodes.actions[:, step])
    assert bool((known[..., 0] != known[..., 1]).any())


def test_only_the_uninformed_wait_for_an_informed_agent_to_arrive():
    task = HoneyComb(team_size=4)
    along = next(a for a in range(7) if task.board.neighbours()[task.board.at((0, 0)), a] == task.board.at((1, 1)))
    east = next(a for a in range(7) if task.board.neighbours()[task.board.at((0, 0)), a] == task.board.at((1, 0)))
    assert (3, 3) not in GOALS
    assert (6, 3) in GOALS
    # Straight on, nobody meets a goal; an informed agent that turns after three steps does, at the sixth.
    straight = rollout(task, ConstantPolicy([along] * 4), episode_keys("user", 0, 2))
    assert not EVENTS[HoneyComb].known(task, straight).any()
    actions = torch.full((1, 30, 4), task.action_names.index("pass"))
    actions[:, :3, 1], actions[:, 3:6, 1] = along, east
    episodes = rollout(task, PlaybackPolicy(actions), episode_keys("user", 0, 1))
    known = EVENTS[HoneyComb].known(task, episodes)[0]
    assert known.long().argmax(0).tolist() == [0, 0, 6, 6]
    assert not known[:, :2].any()


def test_lining_up_averages_the_agents_that_were_told():
    # Agent 0 is told at step 2, agent 1 at step 1, agent 2 never; the episode ends after observation 3.
    values = torch.tensor([[[1.0, 10.0, 99.0], [2.0, 20.0, 99.0], [4.0, 40.0, 99.0], [8.0, 80.0, 99.0], [9.0] * 3]])
    known = torch.tensor([[[0, 0, 0], [0, 1, 0], [1, 1, 0], [1, 1, 0], [1, 1, 1]]], dtype=torch.bool)
    running = torch.tensor([[True, True, True, True, False]])
    aligned = around(values, known, running, 3)
    # Three before: nobody. Two: agent 0's first. One: (2 + 10) / 2. The event: (4 + 20) / 2, then (8 + 40) / 2, 80.
    assert math.isnan(aligned[0, 0])
    assert aligned[0, 1:].tolist() == [1.0, 6.0, 12.0, 24.0, 80.0]
    assert bool(around(values, torch.zeros_like(known), running, 3).isnan().all())


def test_variance_is_in_squared_cells_and_falls_to_nothing_when_the_oracle_speaks():
    task = Oracle(random_start=True, wrong_box_penalty=1.0)
    hidden = Hidden(task.hidden_variables)
    even = torch.full((1, len(BOXES)), 1 / 3).log()
    vector = hidden.vector((even, torch.tensor([[1.0, 1e-30]]).log()))
    # Both coordinates are 2 or 18, one of them twice: the variance is 2 / 9 * 16^2.
    assert abs(float(variances(task, vector, "box")) - 2 / 9 * 256) < 1e-3
    episodes = play(task, 150)
    facts = measure(task, EVENTS[Oracle], episodes, ExactBelief(task, exact_posterior(task)).encode(episodes), 5)
    count = facts["difference"][2]
    assert 0 < count <= 150
    assert facts["before"] == [56.8889, 0.0, count]  # a wrong box ends these episodes: nothing is excluded before
    assert facts["after"] == [0.0, 0.0, count]
    assert [point[0] for point in facts["curve"][4:6]] == [56.8889, 0.0]
