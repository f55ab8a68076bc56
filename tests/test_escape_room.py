import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transcript import check_playthrough, transcript

from benchmark.episodes.policy import ConstantPolicy, RandomPolicy
from benchmark.episodes.rollout import rollout
from benchmark.tasks.board import CROSS_MOVES
from benchmark.tasks.escape_room import EXITS, HORIZON, INTERIOR, SIZE, EscapeRoom, EscapeRoomState
from benchmark.tasks.streams import below, bits, episode_keys
from benchmark.tasks.task import take
from benchmark.testing import check_across_processes, check_task

NO_KEYS = torch.zeros(1, dtype=torch.int64)
TASK, ANYWHERE = EscapeRoom(), EscapeRoom(random_start=True)
ACTIONS = {name: number for number, name in enumerate(TASK.action_names)}
CELLS = TASK.board.cells


def room(picture):
    """The state drawn: 0, 1 (2: both) agents, k key, x collected key, E exit; y grows upwards."""
    rows = [line.split() for line in picture.strip().split("\n")][::-1]
    signs = {(x, y): rows[y][x] for x in range(SIZE) for y in range(SIZE)}
    at = {sign: TASK.board.at(cell) for cell, sign in signs.items()}
    agents = [at["2"]] * 2 if "2" in at else [at["0"], at["1"]]
    keys = [(cell, sign == "x") for cell, sign in signs.items() if sign in "kx"]
    cells, collected = zip(*sorted((TASK.board.at(cell), done) for cell, done in keys), strict=True)
    return EscapeRoomState(*(torch.tensor([entry]) for entry in (agents, cells, at["E"], collected)))


def play(state, *names):
    """Make one joint move; return the state, the agents' coordinates, the team reward, the end."""
    result = TASK.transition(state, torch.tensor([[ACTIONS[name] for name in names]]), NO_KEYS, 0)
    assert result.reward[0, 0] == result.reward[0, 1]
    agents = [CELLS[cell] for cell in result.state.agents[0].tolist()]
    return result.state, agents, round(float(result.reward[0, 0]), 6), bool(result.terminated)


SEARCH = """
1 . . . . . . . . .
. . . . . . . . . .
. . . . . . . . . .
. . . . . . . . . E
. . . k . . . . . .
. . . . . . . . . .
. . k 0 . . . . . .
. . . . . . . . . .
. . . . . . . . . .
. . . . . . . . . .
"""


@pytest.mark.parametrize(
    ("moves", "agents", "reward"),
    [
        (("stay", "stay"), [(3, 3), (0, 9)], 0.0),
        (("right", "right"), [(4, 3), (1, 9)], -0.02),
        (("stay", "up"), [(3, 3), (0, 9)], -0.1),
        (("down", "left"), [(3, 2), (0, 9)], -0.11),
        (("left", "stay"), [(2, 3), (0, 9)], -0.01),  # onto a key, which pays nothing
    ],
)
def test_moves_cost_a_hundredth_and_walls_a_tenth(moves, agents, reward):
    assert play(room(SEARCH), *moves)[1:] == (agents, reward, False)


def test_from_a_shared_cell_the_same_move_is_refused_and_paid():
    start = TASK.initial_state(episode_keys("user", 0, 1))
    assert play(start, "up", "up")[1:3] == ([(5, 5), (5, 5)], -0.02)
    assert play(start, "up", "down")[1:3] == ([(5, 6), (5, 4)], -0.02)
    assert play(start, "stay", "left")[1:3] == ([(5, 5), (4, 5)], -0.01)
    assert play(start, "stay", "stay")[1:3] == ([(5, 5), (5, 5)], 0.0)


def test_neighbours_swap_but_do_not_push():
    beside, *_ = play(TASK.initial_state(episode_keys("user", 0, 1)), "stay", "left")
    assert play(beside, "left", "right")[1:3] == ([(4, 5), (5, 5)], -0.02)
    assert play(beside, "left", "stay")[1:3] == ([(5, 5), (4, 5)], -0.01)
    assert play(beside, "left", "left")[1:3] == ([(4, 5), (3, 5)], -0.02)


LEAVING = """
. . . . . . . . . .
. . . . . . . . . .
. . . . . . . . . .
. . . . . . . . 1 E
. . . x . . . . . .
. . . . . . . . . .
. . k 0 . . . . . .
. . . . . . . . . .
. . . . . . . . . .
. . . . . . . . . .
"""


def test_the_exit_opens_once_both_keys_are_collected_by_whomever():
    waiting, agents, reward, ended = play(room(LEAVING), "stay", "right")
    assert (agents, reward, ended) == ([(3, 3), (9, 6)], -0.01, False)
    # Agent 1 stands on the exit already when agent 0 collects the last key.
    state, _, reward, ended = play(waiting, "left", "stay")
    assert (reward, ended, state.collected.tolist()) == (4.99, True, [[True, True]])
    # Both at once.
    assert play(room(LEAVING), "left", "right")[2:] == (4.98, True)
    # With the keys collected, arriving is enough.
    collected, *_ = play(room(LEAVING), "left", "stay")
    assert play(collected, "stay", "right")[2:] == (4.99, True)


def test_an_agent_sees_five_by_five_at_their_places_and_everybodys_coordinates():
    seen = TASK.observation_layout.unpack(TASK.observe(room(LEAVING))[0])
    assert seen["positions"].tolist() == [[3, 3, 8, 6]] * 2
    rooms = seen["room"].to(torch.int64).unflatten(1, (SIZE, SIZE))
    first, second = ({CELLS[i]: v for i, v in enumerate(each.flatten().tolist()) if v} for each in rooms)
    assert first == {(2, 3): 2, (3, 3): 4, (3, 5): 1}
    assert second == {(8, 6): 4, (9, 6): 3}
    everything = TASK.state_layout.unpack(TASK.state_vector(room(LEAVING))[0])
    assert everything["positions"].tolist() == [3, 3, 8, 6]
    marks = {CELLS[i]: v for i, v in enumerate(everything["room"].tolist()) if v}
    assert marks == {**first, **second}


def test_an_agent_covers_what_it_stands_on_and_sees_others_within_two_cells():
    state, *_ = play(room(LEAVING), "stay", "right")
    grid = TASK.observe(state)[0, :, :100]
    assert grid[1, TASK.board.at((9, 6))] == 4
    close = state._replace(agents=torch.tensor([[TASK.board.at((7, 4)), TASK.board.at((9, 6))]]))
    assert (TASK.observe(close)[0, :, [TASK.board.at((7, 4)), TASK.board.at((9, 6))]] == 4).all()
    far = state._replace(agents=torch.tensor([[TASK.board.at((6, 6)), TASK.board.at((9, 6))]]))
    assert TASK.observe(far)[0, 0, TASK.board.at((9, 6))] == 0
    assert TASK.observe(far)[0, 0, 100:].tolist() == [6, 6, 9, 6]


@pytest.mark.parametrize(
    ("radius", "first", "second"),
    [
        (1, {(2, 3): 2, (3, 3): 4}, {(8, 6): 4, (9, 6): 3}),
        (5, {(2, 3): 2, (3, 3): 4, (3, 5): 1, (8, 6): 4}, {(3, 3): 4, (3, 5): 1, (8, 6): 4, (9, 6): 3}),
        (9, *[{(2, 3): 2, (3, 3): 4, (3, 5): 1, (8, 6): 4, (9, 6): 3}] * 2),
    ],
)
def test_an_agent_sees_as_far_as_its_view_reaches(radius, first, second):
    task = EscapeRoom(view_radius=radius)
    rooms = task.observation_layout.unpack(task.observe(room(LEAVING))[0])["room"].to(torch.int64)
    assert [{CELLS[i]: v for i, v in enumerate(each.tolist()) if v} for each in rooms] == [first, second]
    assert len(task.picture(room(LEAVING)).seen[0]) == (min(radius, 3) + 1 + min(radius, 6)) ** 2


@pytest.mark.parametrize("radius", [0, 10])
def test_a_view_beyond_the_room_is_refused(radius):
    with pytest.raises(ValueError, match=f"view_radius={radius} is outside 1 to 9"):
        EscapeRoom(view_radius=radius)


def test_hidden_values_are_the_sorted_keys_the_exit_and_what_is_collected():
    names = [variable.name for variable in TASK.hidden_variables]
    assert names == ["key_1", "key_2", "exit", "collected_1", "collected_2"]
    assert [variable.in_paper for variable in TASK.hidden_variables] == [True, True, True, False, False]
    values = [variable.values for variable in TASK.hidden_variables]
    index = TASK.hidden(room(LEAVING))[0].tolist()
    named = [value[number] for value, number in zip(values, index, strict=True)]
    assert named == [(2, 3), (3, 5), (9, 6), "no", "yes"]


def test_the_picture_shows_what_is_seen():
    assert TASK.draw(room(LEAVING)).split("\n") == [
        "+---------------------+",
        "|                     |",
        "|             . . . . |",
        "|             . . . . |",
        "|             . . 1 E |",
        "|   . . x . . . . . . |",
        "|   . . . . . . . . . |",
        "|   . k 0 . .         |",
        "|   . . . . .         |",
        "|   . . . . .         |",
        "|                     |",
        "+---------------------+",
        "1 of 2 keys collected",
    ]


@pytest.mark.parametrize("task", [TASK, ANYWHERE])
def test_keys_lie_anywhere_inside_but_under_agents_and_the_exit_anywhere_on_its_side(task):
    state = task.initial_state(episode_keys("user", 0, 40_000))
    assert (state.keys[:, 0] < state.keys[:, 1]).all()
    assert not (state.keys[:, :, None] == state.agents[:, None, :]).any()
    assert not state.collected.any()
    keys = state.keys.flatten().bincount(minlength=100)
    start = TASK.board.at((5, 5))
    inside = [TASK.board.at(cell) for cell in INTERIOR if task.random_start or cell != (5, 5)]
    assert int(keys[inside].sum()) == 80_000
    # Chi-square with k degrees of freedom: mean k, standard deviation (2 k)**0.5.
    expected, freedom = 80_000 / len(inside), len(inside) - 1
    assert abs(float(((keys[inside] - expected) ** 2 / expected).sum()) - freedom) < 5 * (2 * freedom) ** 0.5
    exits = state.exit.bincount(minlength=100)[[TASK.board.at(cell) for cell in EXITS]]
    assert int(exits.sum()) == 40_000
    assert float(((exits - 4000) ** 2 / 4000).sum()) < 30
    if task.random_start:
        assert (state.agents[:, 0] != state.agents[:, 1]).all()
        assert state.agents.flatten().bincount(minlength=100).min() > 650
    else:
        assert (state.agents == start).all()


def test_random_and_idle_returns():
    """The specification's figures: -2.20 and 9 % success for random actions, 0 for none.

    Its errors are not known; 200,000 episodes gave -2.230 +- 0.004 and 8.5 % here.
    """
    keys = episode_keys("user", 0, 4000)
    episodes = rollout(TASK, RandomPolicy(2, 5), keys)
    error = float(episodes.returns.std()) / len(keys) ** 0.5
    assert abs(float(episodes.returns.mean()) + 2.20) < 3 * error
    success = float(episodes.terminated.any(1).to(torch.float64).mean())
    assert abs(success - 0.085) < 3 * (0.085 * 0.915 / len(keys)) ** 0.5
    idle = rollout(TASK, ConstantPolicy([4, 4]), keys[:50])
    assert (idle.returns == 0).all()
    assert (idle.lengths == HORIZON).all()
    assert not idle.terminated.any()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_step_is_what_plain_python_says(data):
    cell = st.tuples(st.integers(0, 9), st.integers(0, 9))
    # Close together, so that something happens.
    near = st.sampled_from([(7, 4), (7, 5), (8, 4), (8, 5), (9, 4), (9, 5), (0, 0), (0, 1)])
    agents = data.draw(st.lists(near | cell, min_size=2, max_size=2))
    keys = sorted(data.draw(st.lists(near.filter(lambda at: at in INTERIOR), min_size=2, max_size=2, unique=True)))
    leave = data.draw(st.sampled_from([(9, 4), (9, 5)]))
    collected = data.draw(st.lists(st.booleans(), min_size=2, max_size=2))
    actions = data.draw(st.lists(st.integers(0, 4), min_size=2, max_size=2))

    reward, targets = 0.0, []
    for (x, y), action in zip(agents, actions, strict=True):
        to = (x + CROSS_MOVES[action][0], y + CROSS_MOVES[action][1])
        inside = 0 <= to[0] <= 9 and 0 <= to[1] <= 9
        reward -= (0.01 if action != 4 else 0) if inside else 0.1
        targets.append(to if inside else (x, y))
    after = agents if targets[0] == targets[1] else targets
    collected_after = [done or key in after for done, key in zip(collected, keys, strict=True)]
    ended = all(collected_after) and leave in after

    at = TASK.board.at
    entries = ([at(a) for a in agents], [at(k) for k in keys], at(leave), collected)
    state, moved, paid, over = play(
        EscapeRoomState(*(torch.tensor([entry]) for entry in entries)), *(TASK.action_names[a] for a in actions)
    )
    assert moved == list(after)
    assert state.collected[0].tolist() == collected_after
    assert over == ended
    assert paid == pytest.approx(reward + 5 * ended, abs=1e-6)


def test_an_episode_alone_is_the_one_among_a_thousand():
    keys = episode_keys("user", 3, 1000)
    everybody, alone = ANYWHERE.initial_state(keys), ANYWHERE.initial_state(keys[617:618])
    for step in range(30):
        actions = below(bits(keys, step, "test", 2), 5)
        one, many = (
            ANYWHERE.transition(state, act, key, step)
            for state, act, key in ((alone, actions[617:618], keys[617:618]), (everybody, actions, keys))
        )
        alone, everybody = one.state, many.state
        assert all(torch.equal(a, b) for a, b in zip(alone, take(everybody, slice(617, 618)), strict=True))
        assert torch.equal(one.reward[0], many.reward[617])
        assert torch.equal(ANYWHERE.observe(alone)[0], ANYWHERE.observe(everybody)[617])


@pytest.mark.parametrize("task", [TASK, ANYWHERE, EscapeRoom(view_radius=1), EscapeRoom(view_radius=9)])
def test_contract(task):
    check_task(task)


def test_contract_across_processes():
    check_across_processes(ANYWHERE)


def test_the_playthrough_reads_as_it_did():
    # Keys on (7, 5) and (8, 8), the exit on (9, 9).
    key = episode_keys("user", 6, 1)
    agent_0 = ["right", "right", "stay", "right", "right", "right", "up", "stay", "stay"]
    agent_1 = ["right", "up", "up", "right", "up", "right", "right", "right", "up"]
    moves = [list(pair) for pair in zip(agent_0, agent_1, strict=True)]
    check_playthrough("escape_room.txt", transcript(TASK, key, moves, [0, 1]))
