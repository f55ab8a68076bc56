import pytest
import torch
from transcript import check_playthrough, transcript

from benchmark.episodes.policy import ConstantPolicy, RandomPolicy
from benchmark.episodes.rollout import rollout
from benchmark.measures.planners.oracle import random_return
from benchmark.tasks.oracle import BOXES, ORACLE, SIZE, SPEAKS, SPENT, UNTOUCHED, Oracle, OracleState, near
from benchmark.tasks.streams import below, bits, episode_keys
from benchmark.tasks.task import take
from benchmark.testing import check_across_processes, check_task

NO_KEYS = torch.zeros(1, dtype=torch.int64)
PLAIN, STRICT = Oracle(), Oracle(wrong_box_penalty=1.0)
ACTIONS = {name: number for number, name in enumerate(PLAIN.action_names)}

# Corners of the board, with the cell at the lower left of each drawing. In them a colon marks a region, and
# 0 and 1 are the agents; an agent that is not drawn is far away, in the centre.
SOUTHEAST, NORTHWEST, SOUTHWEST = (15, 0), (0, 15), (0, 0)


def cells_in(picture, corner):
    """Return the agents' cells; checks that the drawing has the regions where the task has them."""
    places = [(10, 10), (10, 10)]
    for up, line in enumerate(reversed(picture.split("\n")[1:-1])):
        for right, sign in enumerate(line.split()):
            x, y = corner[0] + right, corner[1] + up
            if sign == ":":
                assert any(near((x, y), place) for place in (*BOXES, ORACLE)), (x, y)
            elif sign in "01":
                places[int(sign)] = (x, y)
            elif sign == "2":
                places = [(x, y)] * 2
    return [PLAIN.board.at(place) for place in places]


def state(cells, box=0, oracle=UNTOUCHED):
    return OracleState(torch.tensor([cells]), torch.tensor([box]), torch.tensor([oracle]))


def step(before, first, second, task=PLAIN):
    result = task.transition(before, torch.tensor([[ACTIONS[first], ACTIONS[second]]]), NO_KEYS, 0)
    reward = result.reward[0]
    assert reward[0] == reward[1]
    return result.state, round(float(reward[0]), 6), bool(result.terminated)


def seen(at):
    observations = PLAIN.observe(at)
    assert torch.equal(observations[:, 0], observations[:, 1])
    return {name: values[0, 0].tolist() for name, values in PLAIN.observation_layout.unpack(observations).items()}


ASK_BEFORE = """
. . . . . .
. . . . . .
. 0 : : : .
. . : : : .
. 1 : : : .
. . . . . .
"""
ASK_AFTER = """
. . . . . .
. . . . . .
. . 0 : : .
. 1 : : : .
. . : : : .
. . . . . .
"""


def test_the_first_visit_to_the_oracle_pays_and_shows_both_agents_the_box_for_one_step():
    before = state(cells_in(ASK_BEFORE, SOUTHEAST), box=2)
    assert seen(before)["hint"] == [-1, -1]
    after, reward, ended = step(before, "east", "north")
    assert after.cells.tolist() == [cells_in(ASK_AFTER, SOUTHEAST)]
    assert (reward, ended, int(after.oracle)) == (0.09, False, SPEAKS)
    assert seen(after)["hint"] == pytest.approx([0.1, 0.9])
    # Agent 0 stays in the region, agent 1 enters it for the first time: nothing more happens.
    later, reward, ended = step(after, "stay", "east")
    assert (reward, ended, int(later.oracle)) == (-0.01, False, SPENT)
    assert seen(later)["hint"] == [-1, -1]


def test_both_agents_at_the_oracle_are_paid_once():
    assert step(state(cells_in(ASK_BEFORE, SOUTHEAST)), "east", "east")[1] == 0.09


BOX_BEFORE = """
. . . . . .
. : : : . .
. : : : 1 .
. : : : 0 .
. . . . . .
. . . . . .
"""


@pytest.mark.parametrize(
    ("task", "box", "moves", "reward", "ended"),
    [
        (PLAIN, 2, ("west", "stay"), 0.99, True),
        (PLAIN, 2, ("west", "west"), 0.99, True),
        (PLAIN, 2, ("south", "north"), -0.01, False),
        (PLAIN, 0, ("west", "west"), -0.01, False),
        (STRICT, 2, ("west", "west"), 0.99, True),
        (STRICT, 0, ("west", "stay"), -1.01, True),
        (STRICT, 1, ("west", "west"), -1.01, True),
        (STRICT, 1, ("stay", "stay"), -0.01, False),
        (Oracle(wrong_box_penalty=0.5), 1, ("stay", "west"), -0.51, True),
    ],
)
def test_boxes(task, box, moves, reward, ended):
    first, second = moves
    assert step(state(cells_in(BOX_BEFORE, NORTHWEST), box), first, second, task)[1:] == (reward, ended)


def test_in_one_step_the_right_box_counts_before_a_wrong_one_and_beside_the_oracle():
    box, oracle = PLAIN.board.at((2, 4)), PLAIN.board.at((16, 2))
    assert step(state([box, oracle], box=0), "south", "east")[1:] == (1.09, True)
    assert step(state([box, oracle], box=1), "south", "east", STRICT)[1:] == (-0.91, True)
    wrong = PLAIN.board.at((2, 16))
    assert step(state([box, wrong], box=0), "south", "north", STRICT)[1:] == (0.99, True)


def test_regions_are_the_three_by_three_cells_around_each_place():
    everywhere = torch.arange(SIZE**2)
    cells = torch.stack((everywhere, torch.full_like(everywhere, PLAIN.board.at((10, 10)))), 1)
    for box, (x, y) in enumerate(BOXES):
        at = OracleState(cells, torch.full_like(everywhere, box), torch.zeros_like(everywhere))
        ended = PLAIN.transition(at, torch.full_like(cells, ACTIONS["stay"]), everywhere, 0).terminated
        region = {PLAIN.board.at((x + right, y + up)) for right in (-1, 0, 1) for up in (-1, 0, 1)}
        assert set(ended.nonzero()[:, 0].tolist()) == region


CORNER = """
. . . . .
. : : : .
. : : : .
0 : : : .
1 . . . .
"""


def test_a_move_that_would_leave_the_board_is_cancelled_entirely():
    before = state(cells_in(CORNER, SOUTHWEST))
    for first, second in [("west", "south"), ("northwest", "southeast"), ("southwest", "northwest")]:
        assert step(before, first, second)[0].cells.tolist() == before.cells.tolist()


def test_agents_pass_through_and_share_cells():
    before = state(cells_in(CORNER, SOUTHWEST))
    assert step(before, "south", "north")[0].cells.tolist() == [before.cells[0].tolist()[::-1]]
    together = step(before, "south", "stay")[0]
    assert together.cells[0, 0] == together.cells[0, 1]
    assert PLAIN.draw(together).split("\n")[20].startswith("2 . . .")


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("north", (10, 11)),
        ("east", (11, 10)),
        ("northeast", (11, 11)),
        ("west", (9, 10)),
        ("south", (10, 9)),
        ("southwest", (9, 9)),
        ("southeast", (11, 9)),
        ("northwest", (9, 11)),
        ("stay", (10, 10)),
    ],
)
def test_actions_lead_where_their_names_say(name, target):
    start = PLAIN.initial_state(episode_keys("user", 0, 1))
    assert step(start, name, "stay")[0].cells.tolist() == [[PLAIN.board.at(target), PLAIN.board.at((10, 10))]]


def test_an_agent_that_starts_in_a_region_has_not_visited_it_yet():
    begin = state([PLAIN.board.at((18, 3)), PLAIN.board.at((10, 10))])
    assert seen(begin)["hint"] == [-1, -1]
    assert step(begin, "north", "stay")[1] == -0.01  # (18, 4) lies outside
    assert step(begin, "stay", "stay")[1] == 0.09


def test_vectors_are_coordinates_divided_by_twenty():
    at = state([PLAIN.board.at((0, 20)), PLAIN.board.at((7, 5))], box=1)
    fields = seen(at)
    boxes = pytest.approx([0.1, 0.1, 0.9, 0.9, 0.1, 0.9])
    assert fields["positions"] == pytest.approx([0, 1, 0.35, 0.25])
    assert fields["boxes"] == boxes
    known = {name: values[0].tolist() for name, values in PLAIN.state_layout.unpack(PLAIN.state_vector(at)).items()}
    assert known["positions"] == fields["positions"]
    assert known["boxes"] == boxes
    assert known["right_box"] == pytest.approx([0.9, 0.9])
    assert PLAIN.observation_layout.size == PLAIN.state_layout.size == 12


def test_hidden_is_the_box_and_whether_the_oracle_was_visited():
    phases = [PLAIN.hidden(state([0, 0], 2, oracle)).tolist() for oracle in (UNTOUCHED, SPEAKS, SPENT)]
    assert phases == [[[2, 0]], [[2, 1]], [[2, 1]]]
    box = PLAIN.hidden_variables[0]
    places = torch.tensor(box.values, dtype=torch.float64) / 20
    # The prior that beliefs start from: mean (0.3667, 0.6333), variance 0.1422 each.
    assert box.in_paper
    assert places.mean(0).tolist() == pytest.approx([0.36667, 0.63333], abs=1e-5)
    assert places.var(0, correction=0).tolist() == pytest.approx([0.14222] * 2, abs=1e-5)


def test_doing_nothing_costs_forty_steps_and_is_cut_off_not_terminated():
    episodes = rollout(PLAIN, ConstantPolicy([8, 8]), episode_keys("user", 0, 5))
    assert episodes.returns.tolist() == pytest.approx([-0.40] * 5)
    assert episodes.lengths.tolist() == [40] * 5
    assert not episodes.terminated.any()


@pytest.mark.parametrize("task", [PLAIN, STRICT])
def test_random_actions_return_what_the_exact_recursion_says(task):
    returns = rollout(task, RandomPolicy(2, 9), episode_keys("reference", 1, 6000)).returns
    error = float(returns.std()) / len(returns) ** 0.5
    assert abs(float(returns.mean()) - random_return(task)) < 4 * error
    if task is PLAIN:  # measured elsewhere with an independent simulator: -0.354
        assert random_return(task) == pytest.approx(-0.354, abs=4 * error)


def test_boxes_are_even_and_random_starts_uniform_over_the_board():
    start = Oracle(random_start=True).initial_state(episode_keys("user", 0, 44_100))
    assert torch.allclose(torch.bincount(start.box) / 44_100, torch.tensor(1 / 3), atol=0.01)
    for counts in (torch.bincount(start.cells[:, agent], minlength=441).double() for agent in range(2)):
        # Chi squared with 440 degrees of freedom: mean 440, standard deviation 30.
        assert 320 < float(((counts - 100) ** 2 / 100).sum()) < 560
    assert 60 < int((start.cells[:, 0] == start.cells[:, 1]).sum()) < 140
    fixed = PLAIN.initial_state(episode_keys("user", 0, 10)).cells
    assert (fixed == PLAIN.board.at((10, 10))).all()


@pytest.mark.parametrize("task", [PLAIN, Oracle(random_start=True, wrong_box_penalty=1.0)])
def test_an_episode_is_the_same_alone_and_among_a_thousand(task):
    keys = episode_keys("user", 3, 1000)
    together, alone = task.initial_state(keys), task.initial_state(keys[617:618])
    for at in range(task.horizon):
        assert all(map(torch.equal, take(together, slice(617, 618)), alone))
        assert torch.equal(task.observe(together)[617:618], task.observe(alone))
        actions = below(bits(keys, at, "test", 2), 9)
        together = task.transition(together, actions, keys, at).state
        alone = task.transition(alone, actions[617:618], keys[617:618], at).state


@pytest.mark.parametrize("task", [PLAIN, Oracle(random_start=True, wrong_box_penalty=1.0)])
def test_the_published_contract_holds(task):
    check_task(task)


def test_episodes_are_the_same_in_another_process():
    check_across_processes(Oracle(random_start=True))


@pytest.mark.parametrize("penalty", [-0.1, float("nan"), float("inf")])
def test_a_penalty_out_of_range_is_refused(penalty):
    with pytest.raises(ValueError, match=rf"wrong_box_penalty={penalty} must be finite and at least 0"):
        Oracle(wrong_box_penalty=penalty)


def test_the_playthrough_reads_as_it_did():
    """Agent 0 asks the oracle while agent 1 comes nearer; then agent 1 walks to the box."""
    approach = [["east", "south"], ["east", "south"], ["east", "southwest"]]
    key = episode_keys("user", 0, 1, start=375)
    check_playthrough("oracle.txt", transcript(Oracle(True), key, approach + [["north", "northeast"]] * 5, [0]))
