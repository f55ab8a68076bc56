"""The reference policies of Gathering and Escape Room, and the full-state optima that bound them."""

from functools import cache
from itertools import pairwise, permutations, product

import pytest
import torch

from benchmark.episodes.policy import BeliefPolicy, Policy, RandomPolicy
from benchmark.episodes.rollout import rollout
from benchmark.measures.planners import escape_room, gathering
from benchmark.measures.planners.reckoning import lost_bearings, take_bearings
from benchmark.measures.planners.routes import tour_lengths
from benchmark.measures.planners.sweep import STAY, best_walks, covered
from benchmark.tasks.board import CROSS_MOVES
from benchmark.tasks.escape_room import EXITS, INTERIOR, EscapeRoom, EscapeRoomState
from benchmark.tasks.gathering import Gathering, GatheringState
from benchmark.tasks.perturb import Slip
from benchmark.tasks.streams import episode_keys

TASKS = {
    "gathering": (Gathering(), gathering),
    "escape room": (EscapeRoom(), escape_room),
    "escape room, random start": (EscapeRoom(random_start=True), escape_room),
}
# The specification's scripted policies.
SCRIPTED = {"gathering": 10.36, "escape room": 4.812}
EVERY = pytest.mark.parametrize("name", TASKS)


@cache
def played(name):
    task, module = TASKS[name]
    return rollout(task, module.planner(task), episode_keys("user", 0, 300))


@pytest.mark.parametrize("name", SCRIPTED)
def test_planners_beat_the_scripts_of_the_specification(name):
    returns = played(name).returns
    assert float(returns.mean()) - 3 * float(returns.std()) / len(returns) ** 0.5 > SCRIPTED[name]


def test_nearly_all_episodes_end_well():
    assert played("gathering").terminated.any(1).sum() >= 295
    assert played("escape room").terminated.any(1).all()
    assert played("escape room, random start").terminated.any(1).all()


@EVERY
def test_no_episode_beats_who_sees_everything(name):
    task, module = TASKS[name]
    episodes = played(name)
    bound = module.full_state_optimum(task, episodes.keys)
    assert bound.dtype == torch.float64
    # Rewards are float32.
    assert (episodes.returns <= bound + 1e-5).all()


def test_mean_optima():
    """11.74 (the specification's). Its 4.866 leaves out that one agent may fetch both keys while the other leaves."""
    keys = episode_keys("user", 0, 20_000)
    assert float(gathering.full_state_optimum(Gathering(), keys).mean()) == pytest.approx(11.74, abs=0.005)
    room = EscapeRoom()
    assert float(escape_room.full_state_optimum(room, keys).mean()) == pytest.approx(4.874, abs=0.002)
    state, coordinates = room.initial_state(keys), room.board.coordinates()
    starts, places, leave = coordinates[state.agents], coordinates[state.keys], coordinates[state.exit]

    def moves(*stops):
        return torch.stack([(a - b).abs().sum(1) for a, b in pairwise(stops)]).sum(0)

    alone = [moves(starts[:, 0], places[:, k], places[:, 1 - k], leave) for k in range(2)]
    shared = [moves(starts[:, 0], places[:, k], leave) + moves(starts[:, 1], places[:, 1 - k]) for k in range(2)]
    assert float(5 - 0.01 * torch.stack(alone + shared).amin(0).double().mean()) == pytest.approx(4.866, abs=0.002)


def test_optimum_of_gathering_by_hand(monkeypatch):
    task = Gathering(team_size=2, resources=3, width=9)
    # Agent 0 takes (0, 3), 3 moves; agent 1 takes (8, 6) and then (5, 6): 2 + 3 moves.
    agents, resources = [(0, 0), (8, 8)], [(5, 6), (0, 3), (8, 6)]
    state = GatheringState(*(torch.tensor([[task.board.at(c) for c in cells]]) for cells in (agents, resources)))
    monkeypatch.setattr(Gathering, "initial_state", lambda self, keys: state)
    assert gathering.full_state_optimum(task, torch.zeros(1, dtype=torch.int64)).tolist() == [pytest.approx(9 - 0.08)]


@pytest.mark.parametrize(
    ("keys", "leave", "moves"),
    [
        ([(2, 5), (1, 5)], (9, 5), 4 + 4),  # one fetches both keys on the left, the other leaves on the right
        ([(8, 5), (7, 5)], (9, 5), 4),  # both keys lie on the way
        ([(2, 5), (7, 5)], (9, 6), 3 + 5),  # one key each
    ],
)
def test_optimum_of_the_escape_room_by_hand(monkeypatch, keys, leave, moves):
    at = EscapeRoom().board.at
    cells = sorted(at(key) for key in keys)
    state = EscapeRoomState(
        torch.tensor([[at((5, 5))] * 2]), torch.tensor([cells]), torch.tensor([at(leave)]), torch.zeros(1, 2).bool()
    )
    monkeypatch.setattr(EscapeRoom, "initial_state", lambda self, keys: state)
    found = escape_room.full_state_optimum(EscapeRoom(), torch.zeros(1, dtype=torch.int64))
    assert found.tolist() == [pytest.approx(5 - 0.01 * moves)]


def test_tours_are_the_shortest_of_all_orders():
    generator = torch.Generator().manual_seed(0)
    starts = torch.randint(0, 20, (20, 2, 2), generator=generator)
    goals = torch.randint(0, 20, (20, 4, 2), generator=generator)
    found = tour_lengths(starts, goals)
    for row, agent, chosen in product(range(20), range(2), range(16)):
        stops = [goals[row, k] for k in range(4) if chosen >> k & 1]
        ways = [
            sum(int((a - b).abs().sum()) for a, b in pairwise([starts[row, agent], *order]))
            for order in permutations(stops)
        ]
        assert int(found[row, agent, chosen]) == min(ways)


def walked(start, target, vertical):
    """The cells of a bent walk."""
    path = [start]
    for axis in (1, 0) if vertical else (0, 1):
        while path[-1][axis] != target[axis]:
            x, y = path[-1]
            step = 1 if target[axis] > path[-1][axis] else -1
            path.append((x + step, y) if axis == 0 else (x, y + step))
    return path


@pytest.mark.parametrize(("radius", "width"), [(1, 6), (2, 7)])
def test_the_best_walk_is_the_best_of_all_walks(radius, width):
    generator = torch.Generator().manual_seed(radius)
    weights = torch.randint(0, 4, (12, width, width), generator=generator).to(torch.float32)
    agents = torch.randint(0, width**2, (12, 2), generator=generator)

    def view(cell):
        near = product(range(cell[0] - radius, cell[0] + radius + 1), range(cell[1] - radius, cell[1] + radius + 1))
        return {(x, y) for x, y in near if 0 <= x < width and 0 <= y < width}

    for row, agent in product(range(12), range(2)):
        for x, y in view(divmod(int(agents[row, agent]), width)):
            weights[row, x, y] = 0
    bonus = torch.zeros_like(weights)
    bonus[:, 1, 2] = 2.0
    walks = best_walks(weights, agents, radius, bonus)
    for row, agent in product(range(12), range(2)):
        start = divmod(int(agents[row, agent]), width)
        rates = {}
        for vertical, target in product((False, True), range(width**2)):
            path = walked(start, divmod(target, width), vertical)
            if len(path) > 1:
                cells = set().union(*map(view, path))
                gain = sum(float(weights[row, x, y]) for x, y in cells) + float(bonus[row][path[-1]])
                rates[vertical, target] = (gain / (len(path) - 0.5), path, cells)
        chosen = rates[bool(walks.vertical[row, agent]), int(walks.target[row, agent])]
        assert chosen[0] == pytest.approx(max(rate for rate, *_ in rates.values()))
        assert float(walks.rate[row, agent]) == pytest.approx(chosen[0])
        first = (chosen[1][1][0] - start[0], chosen[1][1][1] - start[1])
        assert CROSS_MOVES[int(walks.action[row, agent])] == first
        marked = covered(walks, agents, torch.full((12,), agent), width, radius)[row].nonzero()
        assert {(x, y) for x, y in marked.tolist()} == chosen[2]


def test_walks_stay_where_nothing_is_to_gain_and_leave_out_blocked_moves():
    nothing = torch.zeros(1, 5, 5)
    corner = torch.tensor([[0]])
    assert best_walks(nothing, corner, 1).action.tolist() == [[STAY]]
    right = nothing.clone()
    right[0, 4, 0] = 1
    assert best_walks(right, corner, 1).action.tolist() == [[0]]
    blocked = torch.tensor([[[True, False, False, False]]])
    assert best_walks(right, corner, 1, blocked=blocked).action.tolist() == [[2]]


@EVERY
def test_an_episode_alone_is_played_as_in_the_batch(name):
    task, module = TASKS[name]
    together = played(name)
    for row in (0, 123):
        alone = rollout(task, module.planner(task), together.keys[row : row + 1])
        assert torch.equal(alone.actions[0], together.actions[row])
        assert torch.equal(alone.rewards[0], together.rewards[row])


@EVERY
def test_an_agent_acts_on_its_own_observations_alone(name):
    """What the others are told does not matter: their observations are exchanged for those of other episodes."""
    task, module = TASKS[name]
    episodes = played(name)[:40]
    policy = module.planner(task)
    assert isinstance(policy, Policy)
    for agent in range(task.agents):
        memory = policy.initial_memory(episodes.keys)
        for step in range(25):
            observations = episodes.observations[:, step].roll(1, 0)
            observations[:, agent] = episodes.observations[:, step, agent]
            actions, memory = policy.act(observations, memory)
            running = episodes.mask[:, step]
            assert torch.equal(actions[running, agent], episodes.actions[running, step, agent])


@EVERY
def test_memories_are_not_changed_in_place(name):
    task, module = TASKS[name]
    episodes, policy = played(name), module.planner(task)

    def tensors(memory):
        if not isinstance(memory, tuple | list):
            return [memory] if isinstance(memory, torch.Tensor) else []
        return [tensor for part in memory for tensor in tensors(part)]

    def kept(memory):
        return [entry.clone() for entry in tensors(memory)]

    memory = policy.initial_memory(episodes.keys)
    for step in range(30):
        before = kept(memory)
        following = policy.act(episodes.observations[:, step], memory)[1]
        assert all(torch.equal(old, new) for old, new in zip(before, kept(memory), strict=True))
        memory = following


def test_gatherers_know_where_they_are():
    """Two that meet unseen are off by a few cells until the next wall; that is rare."""
    task = Gathering()
    keys, policy = episode_keys("user", 0, 200), gathering.planner(task)
    state, memory, coordinates = task.initial_state(keys), policy.initial_memory(keys), task.board.coordinates()
    for step in range(35):
        actions, memory = policy.act(task.observe(state), memory)
        state = task.transition(state, actions, keys, step).state
    bearings = memory.bearings
    knows = bearings.localised & (state.resources < 400).any(1, keepdim=True)
    right = (bearings.place == coordinates[state.agents]).all(2)
    assert knows[:, :2].to(torch.float64).mean() > 0.8
    assert right[knows].to(torch.float64).mean() > 0.99


def test_three_in_a_row_know_who_is_who():
    task = Gathering(team_size=3, resources=1, width=9)
    at = task.board.at
    state = GatheringState(torch.tensor([[at((5, 4)), at((3, 4)), at((4, 4))]]), torch.tensor([[at((0, 0))]]))
    patches = task.observe(state)[:, 0].unflatten(1, (3, 9))
    bearings = take_bearings(lost_bearings(1, 3, torch.device("cpu")), patches, 9)
    assert not bearings.localised.any()
    assert (bearings.frame == bearings.frame[0, 0, 0]).all()
    assert (bearings.place[0] - bearings.place[0, 2]).tolist() == [[1, 0], [-1, 0], [0, 0]]
    # One of them at a wall tells all of them where they are.
    wall = GatheringState(torch.tensor([[at((2, 0)), at((0, 0)), at((1, 0))]]), torch.tensor([[at((8, 8))]]))
    bearings = take_bearings(bearings, task.observe(wall)[:, 0].unflatten(1, (3, 9)), 9)
    assert bearings.localised.all()
    assert bearings.place[0].tolist() == [[2, 0], [0, 0], [1, 0]]


@pytest.mark.parametrize("parameters", [(1, 2, 8), (2, 3, 12), (4, 5, 15)])
def test_gatherers_come_in_any_number(parameters):
    task = Gathering(*parameters)
    episodes = rollout(task, gathering.planner(task), episode_keys("user", 0, 100))
    assert episodes.terminated.any(1).to(torch.float64).mean() > 0.9


@EVERY
def test_slips_confuse_but_do_not_stop_them(name):
    task, module = TASKS[name]
    slippery = Slip(task, 0.1)
    episodes = rollout(slippery, module.planner(task), episode_keys("user", 0, 100))
    assert episodes.terminated.any(1).to(torch.float64).mean() > 0.3


def worlds(task, episodes, row):
    """Every placement of keys and exit that the rules allow in this episode, as a state without agents' moves."""
    at = task.board.at
    starts = episodes.observations[row, 0, 0, 100:].to(torch.int64).view(2, 2).tolist()
    free = [at(cell) for cell in INTERIOR if list(cell) not in starts]
    pairs = [(a, b) for a in free for b in free if a < b]
    every = [(pair, at(leave)) for pair in pairs for leave in EXITS]
    return torch.tensor([pair for pair, _ in every]), torch.tensor([leave for _, leave in every])


@pytest.mark.parametrize("behaviour", ["planner", "random"])
@pytest.mark.parametrize("name", ["escape room", "escape room, random start"])
def test_beliefs_are_the_exact_posterior_of_all_worlds_that_fit_what_an_agent_knows(name, behaviour):
    """Whoever plays: what the moves of a random player seem to tell must not be believed."""
    task, module = TASKS[name]
    policy = module.planner(task)
    assert isinstance(policy, BeliefPolicy)
    plays = policy if behaviour == "planner" else RandomPolicy(2, 5)
    episodes = rollout(task, plays, episode_keys("user", 0, 2))
    memory, collected = policy.initial_memory(episodes.keys), [torch.zeros(1, 2, dtype=torch.bool)] * 2
    possible = [worlds(task, episodes, row) for row in range(2)]
    fits = [torch.ones(2, len(leave), dtype=torch.bool) for _, leave in possible]
    for step in range(min(30, int(episodes.lengths.min()))):
        memory = policy.act(episodes.observations[:, step], memory)[1]
        beliefs = policy.belief(memory)
        for row, (keys, leave) in enumerate(possible):
            observed = episodes.observations[row, step]
            places = observed[0, 100:].to(torch.int64).view(2, 2)
            agents = (places[:, 0] * 10 + places[:, 1]).expand(len(keys), 2)
            collected[row] = collected[row] | (keys[:, :, None] == agents[:, None]).any(2)
            state = EscapeRoomState(agents, keys, leave, collected[row])
            fits[row] &= (task.observe(state) == observed).all(2).T
            fits[row] &= ~(collected[row].all(1) & (agents == leave[:, None]).any(1))  # else it would have ended
            hidden = task.hidden(state)
            for agent, index in product(range(2), range(5)):
                exact = hidden[fits[row][agent], index].bincount(minlength=beliefs[index].shape[2])
                probabilities = beliefs[index][row, agent].exp()
                assert torch.allclose(probabilities, exact / exact.sum(), atol=1e-5), (row, step, agent, index)


def test_what_an_agent_waits_is_what_the_other_one_learns():
    """A key in view of agent 0 alone: its partner knows the cell when agent 0 has moved, and not before."""
    task = EscapeRoom(random_start=True)
    at = task.board.at
    state = EscapeRoomState(
        torch.tensor([[at((2, 2)), at((7, 7))]]),
        torch.tensor([[at((1, 2)), at((5, 2))]]),
        torch.tensor([at((9, 0))]),
        torch.zeros(1, 2, dtype=torch.bool),
    )
    policy, keys = escape_room.planner(task), torch.zeros(1, dtype=torch.int64)
    memory, waited = policy.initial_memory(keys), 0
    while True:
        actions, memory = policy.act(task.observe(state), memory)
        assert not memory.playing.items[1].any()
        if actions[0, 0] != STAY:
            break
        waited += 1
        state = task.transition(state, actions, keys, 0).state
    # One step for saying that there is something, then one for (1, 1); its cell (1, 2) is next.
    assert waited == 2
    state = task.transition(state, actions, keys, 0).state
    _, memory = policy.act(task.observe(state), memory)
    assert memory.playing.items[1].nonzero()[:, 0].tolist() == [at((1, 2))]
