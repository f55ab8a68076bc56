import pytest
import torch

from benchmark.episodes.policy import BeliefPolicy, RandomPolicy
from benchmark.episodes.rollout import rollout, rollout_with_beliefs
from benchmark.measures.planners import honeycomb, oracle
from benchmark.measures.planners.routes import distances_to, moves_to
from benchmark.tasks.board import CROSS_MOVES, square_board
from benchmark.tasks.honeycomb import HoneyComb
from benchmark.tasks.oracle import BOXES, Oracle
from benchmark.tasks.perturb import Slip
from benchmark.tasks.streams import episode_keys

KEYS = episode_keys("user", 0, 300)
PLAIN, STRICT = Oracle(), Oracle(wrong_box_penalty=1.0)
TEAMS = (3, 5, 10, 15, 20)


def beliefs_about(policy, episodes):
    """Show a policy recorded observations: log-probabilities [B, T, N, V] of its first hidden variable."""
    memory, stacked = policy.initial_memory(episodes.keys), []
    for step in range(episodes.actions.shape[1]):
        _, memory = policy.act(episodes.observations[:, step], memory)
        stacked.append(policy.belief(memory)[0])
    return torch.stack(stacked, 1)


@pytest.mark.parametrize("task", [PLAIN, STRICT])
def test_oracle_optima_by_search(task):
    assert oracle.full_state_optimum(task) == pytest.approx(1.030, abs=1e-9)
    assert oracle.information_optimum(task) == pytest.approx(0.960, abs=1e-9)


def test_the_best_waiting_cell_is_the_centre():
    assert oracle.best_waiting_plan(PLAIN) == ((10, 10), pytest.approx(0.960))


@pytest.mark.parametrize("task", [PLAIN, STRICT])
def test_the_oracle_route_earns_the_information_optimum_in_fourteen_steps(task):
    episodes = rollout(task, oracle.planner(task), KEYS)
    assert episodes.returns.tolist() == pytest.approx([0.960] * 300)
    assert episodes.lengths.tolist() == [14] * 300
    assert set(episodes.hidden[:, 0, 0].tolist()) == {0, 1, 2}


def test_no_plan_from_random_starts_beats_the_search():
    task = Oracle(random_start=True)
    earned = float(rollout(task, oracle.planner(task), episode_keys("user", 1, 3000)).returns.mean())
    assert 0.9 < earned < oracle.information_optimum(task) < oracle.full_state_optimum(task)


def test_sweeping_the_boxes_without_the_oracle():
    episodes = rollout(PLAIN, oracle.SweepPolicy(PLAIN), KEYS)
    by_box = [episodes.returns[episodes.hidden[:, 0, 0] == box].unique() for box in range(3)]
    assert [value.tolist() for value in by_box] == [pytest.approx([value]) for value in (0.93, 0.93, 0.79)]
    assert sum(float(value) for value in by_box) / 3 == pytest.approx(0.883, abs=5e-4)


def test_the_oracle_belief_is_even_until_the_hint_and_certain_ever_after():
    episodes, (box, spoken) = rollout_with_beliefs(PLAIN, oracle.planner(PLAIN), KEYS)
    certain = torch.nn.functional.one_hot(episodes.hidden[:, :14, :1].expand(-1, -1, 2), 3).float()
    assert torch.allclose(box[:, :7].exp(), torch.tensor(1 / 3))
    assert torch.equal(box[:, 7:14].exp(), certain[:, 7:])
    # The paper's numbers before the hint: mean (0.3667, 0.6333), variance 0.1422 each.
    places = torch.tensor(BOXES) / 20
    mean = box[0, 0, 0].exp() @ places
    assert mean.tolist() == pytest.approx([0.36667, 0.63333], abs=1e-5)
    assert (box[0, 0, 0].exp() @ (places - mean) ** 2).tolist() == pytest.approx([0.14222] * 2, abs=1e-5)
    assert torch.equal(spoken[:, :14].argmax(-1), episodes.hidden[:, :14, 1:].expand(-1, -1, 2))
    assert (spoken[:, :14].exp().amax(-1) == 1).all()


def test_two_wrong_boxes_leave_no_doubt():
    episodes, (box, _) = rollout_with_beliefs(PLAIN, oracle.SweepPolicy(PLAIN), KEYS)
    third = episodes.hidden[:, 0, 0] == 2
    assert torch.allclose(box[third, :7].exp(), torch.tensor(1 / 3))
    assert (box[third, 7:21].exp() == torch.tensor([0.0, 0, 1])).all()


@pytest.mark.parametrize("task", [Oracle(random_start=True), Oracle(random_start=True, wrong_box_penalty=1.0)])
def test_the_oracle_belief_is_the_exact_posterior_of_random_histories(task):
    """A box is possible as long as replaying the episode with that box shows the same; all such boxes are as likely."""
    episodes = rollout(task, RandomPolicy(2, 9), episode_keys("user", 2, 600))
    possible = torch.zeros(600, task.horizon, 3, dtype=torch.bool)
    for box in range(3):
        state = task.initial_state(episodes.keys)
        state = state._replace(box=torch.full_like(state.box, box))
        same = torch.ones(600, dtype=torch.bool)
        for step in range(task.horizon):
            same &= (task.observe(state) == episodes.observations[:, step]).all(2).all(1)
            possible[:, step, box] = same
            result = task.transition(state, episodes.actions[:, step], episodes.keys, step)
            state = result.state
            same &= result.terminated == episodes.terminated[:, step]
    assert {1, 2, 3} == set(possible[episodes.mask].sum(-1).tolist()) or task.wrong_box_penalty
    posterior = possible / possible.sum(-1, keepdim=True)
    believed = beliefs_about(oracle.planner(task), episodes).exp()
    assert torch.allclose(believed[episodes.mask], posterior[:, :, None].expand(-1, -1, 2, -1)[episodes.mask])


@pytest.mark.parametrize("agents", TEAMS)
def test_following_the_informed_earns_two_for_each_agent(agents):
    for task in (HoneyComb(agents), HoneyComb(agents, random_start=True)):
        episodes = rollout(task, honeycomb.planner(task), KEYS[:100])
        assert honeycomb.full_state_optimum(task) == 2 * agents
        assert episodes.returns.tolist() == [2 * agents] * 100
        assert episodes.lengths.max() <= (22 if task.random_start else 12)


def test_the_uninformed_are_certain_once_an_informed_agent_has_arrived():
    task = HoneyComb()
    episodes, (special,) = rollout_with_beliefs(task, honeycomb.planner(task), KEYS)
    truth = torch.nn.functional.one_hot(episodes.hidden[:, :12].expand(-1, -1, 10), 6).float()
    assert torch.equal(special[:, :12, :2].exp(), truth[:, :, :2])
    assert torch.allclose(special[:, :6, 2:].exp(), torch.tensor(1 / 6))
    assert torch.equal(special[:, 6:12, 2:].exp(), truth[:, 6:, 2:])
    places = torch.tensor(task.hidden_variables[0].values) / 6
    assert (special[0, 0, 2].exp() @ places).tolist() == pytest.approx([0, 0], abs=1e-6)
    assert (special[0, 0, 2].exp() @ places**2).tolist() == pytest.approx([0.5, 0.5])


def test_arrivals_of_agents_that_walk_at_random_prove_nothing():
    task = HoneyComb(5)
    episodes = rollout(task, RandomPolicy(5, 7), episode_keys("user", 3, 500))
    believed = beliefs_about(honeycomb.planner(task), episodes).exp()
    arrived = (task.state_layout.unpack(episodes.observations[:, 29, 0])["positions"].abs() == 1).any(1)
    assert arrived.sum() > 100
    assert torch.allclose(believed[:, :, 2:], torch.tensor(1 / 6))
    assert (believed[:, :30, :2].amax(-1)[episodes.mask] == 1).all()


POLICIES = [
    (PLAIN, oracle.planner(PLAIN)),
    (PLAIN, oracle.SweepPolicy(PLAIN)),
    (HoneyComb(4), honeycomb.planner(HoneyComb(4))),
]


@pytest.mark.parametrize(("task", "policy"), POLICIES)
def test_an_agent_acts_and_believes_on_what_it_sees_itself(task, policy):
    assert isinstance(policy, BeliefPolicy)
    episodes = rollout(task, policy, KEYS[:50])
    others = rollout(task, RandomPolicy(task.agents, len(task.action_names)), KEYS[50:100])
    for agent in range(task.agents):
        mixed = others.observations.clone()
        mixed[:, :, agent] = episodes.observations[:, :, agent]
        memory = policy.initial_memory(KEYS[:50])
        for step in range(int(episodes.lengths.max())):
            actions, memory = policy.act(mixed[:, step], memory)
            played = episodes.mask[:, step]
            assert torch.equal(actions[played, agent], episodes.actions[played, step, agent])


@pytest.mark.parametrize(("task", "policy"), POLICIES)
def test_episodes_are_played_alike_alone_and_together(task, policy):
    together, alone = rollout(task, policy, KEYS), rollout(task, policy, KEYS[77:78])
    assert torch.equal(together.actions[77:78], alone.actions)


def test_plans_recover_from_slips():
    slippery = Slip(PLAIN, 0.1)
    assert rollout(slippery, oracle.planner(PLAIN), KEYS).returns.mean() > 0.9
    assert rollout(Slip(HoneyComb(), 0.1), honeycomb.planner(HoneyComb()), KEYS).returns.mean() > 19.9


# G is the goal, # must not be entered; from there one may leave.
WALLS = """
. # . .
. # . G
. # . .
. . . .
"""


def test_ways_lead_around_what_is_to_be_avoided():
    board = square_board(4, 4, CROSS_MOVES)
    signs = {
        (x, 3 - row): sign for row, line in enumerate(WALLS.split("\n")[1:-1]) for x, sign in enumerate(line.split())
    }
    goal, wall = (board.marked(lambda cell, sign=sign: signs[cell] == sign) for sign in "G#")
    around, straight = distances_to(board, goal, wall), distances_to(board, goal)
    assert [[int(steps[board.at((x, 3))]) for x in range(4)] for steps in (around, straight)] == [
        [8, 3, 2, 1],
        [4, 3, 2, 1],
    ]
    moves = moves_to(board, goal, wall)
    assert [CROSS_MOVES[moves[board.at(cell)]] for cell in [(0, 3), (0, 0), (1, 2), (3, 3)]] == [
        (0, -1),
        (1, 0),
        (1, 0),
        (0, -1),
    ]
    sealed = board.marked(lambda cell: cell[0] == 1)
    assert int(distances_to(board, goal, sealed)[board.at((0, 0))]) == 16
