"""Policies without memory: that they have none, and how far they get all the same."""

import pytest
import torch

from benchmark.episodes.policy import RandomPolicy
from benchmark.episodes.rollout import rollout
from benchmark.measures.planners.reactive import Drift, RoundTrip, Shadow, written_policy
from benchmark.measures.references import cases, planner_for, reference
from benchmark.tasks.escape_room import EXITS, INTERIOR, EscapeRoom, EscapeRoomState
from benchmark.tasks.gathering import Gathering
from benchmark.tasks.registry import make_task
from benchmark.tasks.streams import episode_keys

KEYS = episode_keys("user", 5, 64)


def choices(policy, episodes):
    """Rows ``[observation, action]`` of each agent along some episodes."""
    seen, done = episodes.observations[:, :-1][episodes.mask], episodes.actions[episodes.mask]
    return [torch.cat((seen[:, n], done[:, n, None]), 1).unique(dim=0) for n in range(done.shape[1])]


@pytest.mark.parametrize("task_id", ["oracle-v0", "oracle-strict-v0", "honeycomb-n3-v0", "organization-full-9-v0"])
def test_these_planners_never_needed_their_memory(task_id):
    """Equal observations, equal actions: a table does exactly what the planner does, and earns the reference."""
    task, (keys, exact) = make_task(task_id), cases(task_id)
    played = rollout(task, planner_for(task_id), keys)
    looked_at = task.observation_layout.slices.get("public", slice(None))
    shadow = Shadow(played, len(task.action_names), looked_at)
    assert exact
    assert shadow.torn == 0
    again = rollout(task, shadow, keys)
    assert torch.equal(again.actions, played.actions)
    assert float(again.returns.mean()) == pytest.approx(reference(task_id).reference, rel=1e-6)


def test_a_shadow_does_what_was_done_most_often():
    task = make_task("organization-full-9-v0")
    played = rollout(task, RandomPolicy(9, 3), KEYS)
    shadow = Shadow(played, 3, task.observation_layout.slices["public"])
    assert 0.5 < shadow.torn < 2 / 3
    public = played.observations[:, :-1, 4, :3].argmax(-1)
    for level in public.unique().tolist():
        done = played.actions[..., 4][public == level]
        seen = torch.nn.functional.one_hot(torch.tensor([level]), 3).float().expand(1, 9, -1)
        chosen, _ = shadow.act(torch.nn.functional.pad(seen, (0, 3)), None)
        assert int(chosen[0, 4]) == int(done.bincount(minlength=3).argmax())


def test_the_round_trip_leaves_every_room():
    """From the start, with all pairs of five keys' places near the corners and the middle, and every exit."""
    task, at = EscapeRoom(), EscapeRoom().board.at
    places = [at(cell) for cell in ((1, 1), (1, 8), (8, 1), (8, 8), (5, 4), (4, 5), (5, 6), (8, 4))]
    rooms = [(a, b, at(leave)) for a in places for b in places if a < b for leave in EXITS]
    assert {task.board.cells[a] for a in places} <= set(INTERIOR)
    keys = torch.tensor(rooms)
    state = EscapeRoomState(
        torch.full((len(rooms), 2), at((5, 5))), keys[:, :2], keys[:, 2], torch.zeros(len(rooms), 2, dtype=torch.bool)
    )
    policy, running = RoundTrip(task), torch.ones(len(rooms), dtype=torch.bool)
    for step in range(80):
        actions, _ = policy.act(task.observe(state), None)
        result = task.transition(state, actions, torch.zeros(len(rooms), dtype=torch.int64), step)
        state, running = result.state, running & ~result.terminated
    assert not running.any()


def test_the_written_policies_act_on_the_observation_alone():
    task = EscapeRoom()
    assert isinstance(written_policy(make_task("escape-room-v0:slip=0.1")), RoundTrip)
    assert written_policy(make_task("oracle-v0")) is None
    for rows in choices(None, rollout(task, RoundTrip(task), KEYS)):
        assert len(rows) == len(rows[:, :-1].unique(dim=0))
    # The drift draws, but from nothing that it has seen: turned round in time, it draws for the time.
    drift, seen = Drift(Gathering()), Gathering().observe(Gathering().initial_state(KEYS))
    chosen, (keys, step) = drift.act(seen, drift.initial_memory(KEYS))
    assert (torch.equal(keys, KEYS), step) == (True, 1)
    assert torch.equal(chosen, drift.act(seen, (KEYS, 0))[0])
    assert not torch.equal(chosen, drift.act(seen, (KEYS, 1))[0])


def test_the_drift_takes_what_is_beside_it():
    patch = torch.zeros(1, 3, 3, 3)
    patch[0, 0, 2, 1] = 1  # to the right of agent 0
    patch[0, 1, 0, 0] = 1  # down and left of agent 1
    patch[0, 2, 2, :] = -1  # a wall to the right of agent 2, which drifts left
    drift = Drift(Gathering(), crossing=0.0, anything=0.0)
    actions, _ = drift.act(patch.flatten(1)[:, None].expand(-1, 3, -1), (KEYS[:1], 0))
    assert actions.tolist() == [[0, 1, 2]]
