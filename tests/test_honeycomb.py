import pytest
import torch
from transcript import check_playthrough, transcript

from benchmark.episodes.policy import ConstantPolicy, RandomPolicy
from benchmark.episodes.rollout import rollout
from benchmark.measures.planners.honeycomb import random_return
from benchmark.tasks.board import hex_norm
from benchmark.tasks.honeycomb import GOALS, HoneyComb, HoneyCombState
from benchmark.tasks.streams import below, bits, episode_keys
from benchmark.tasks.task import take
from benchmark.testing import check_across_processes, check_task

THREE = HoneyComb(3)
BOARD = THREE.board
ACTIONS = {name: number for number, name in enumerate(THREE.action_names)}
NO_KEYS = torch.zeros(1, dtype=torch.int64)

# The whole board. Letters are agents (several of them share a cell), "o" ordinary goals, "S" the special goal;
# goals with an agent on them show the agent.
BEFORE = """
           o
      . . . . . .
     . . . . . . .
  o . . . . . . . . o
   . . . . . . . . .
  . . . . . . . . . .
 . . . . . . . . . . .
  . . . . . . . . . .
   . . . . . . . . .
  o . . . . b . . c S
     . . . . . . .
      . . a . . .
           o
"""


def cells_in(picture):
    """Return the agents' cells in the order of their letters, and the index of the special goal if it is in sight."""
    lines, agents, special = picture.split("\n")[1:-1], {}, 0
    for line, j in zip(lines, range(6, -7, -1), strict=True):
        row = sorted(cell for cell in BOARD.cells if cell[1] == j)
        for cell, signs in zip(row, line.split(), strict=True):
            agents |= {sign: BOARD.at(cell) for sign in signs if sign in "abc"}
            if signs == "S":
                special = GOALS.index(cell)
    return [agents[letter] for letter in sorted(agents)], special


def state(cells, special, step=0):
    return HoneyCombState(torch.tensor([cells]), torch.tensor([special]), torch.tensor([step]))


def move(before, names, at=0):
    task = HoneyComb(len(names))
    actions = torch.tensor([[ACTIONS[name] for name in names]])
    result = task.transition(before, actions, NO_KEYS, at)
    assert (result.reward == result.reward[0, 0]).all()
    return result.state, float(result.reward[0, 0]), bool(result.terminated)


AFTER = """
           o
      . . . . . .
     . . . . . . .
  o . . . . . . . . o
   . . . . . . . . .
  . . . . . . . . . .
 . . . . . . . . . . .
  . . . . . . . . . .
   . . . . b . . . .
  o . . . . . . . . c
     . . . . . . .
      . . . a . .
           o
"""


def test_a_drawn_step():
    cells, special = cells_in(BEFORE)
    after, reward, ended = move(state(cells, special), ["east", "northwest", "east"])
    assert after.cells.tolist() == [cells_in(AFTER)[0]]
    assert GOALS[special] == (3, -3)
    assert (reward, ended, int(after.step)) == (0, False, 1)


def test_the_board_has_ninety_one_cells_and_six_goals_at_its_rim():
    assert len(BOARD.cells) == 97
    assert sum(hex_norm(cell) <= 5 for cell in BOARD.cells) == 91
    assert [hex_norm(goal) for goal in GOALS] == [6] * 6
    # Other cells of norm 6 cannot be entered: nobody leaves the corner (5, 0) towards the rim.
    corner = state([BOARD.at((5, 0))] * 3, 0)
    for name in ("east", "northeast", "southeast", "pass"):
        assert move(corner, [name] * 3)[0].cells.tolist() == corner.cells.tolist()


@pytest.mark.parametrize("goal", GOALS)
def test_nobody_leaves_a_goal(goal):
    at = state([BOARD.at(goal), BOARD.at((0, 0)), BOARD.at((0, 0))], 0)
    for name in ACTIONS:
        assert int(move(at, [name, "pass", "pass"])[0].cells[0, 0]) == BOARD.at(goal)


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("southeast", (0, -1)),
        ("northwest", (0, 1)),
        ("southwest", (-1, -1)),
        ("east", (1, 0)),
        ("west", (-1, 0)),
        ("northeast", (1, 1)),
        ("pass", (0, 0)),
    ],
)
def test_actions_lead_where_their_names_say(name, target):
    start = THREE.initial_state(episode_keys("user", 0, 1))
    assert move(start, [name, "pass", "pass"])[0].cells.tolist() == [
        [BOARD.at(target), BOARD.at((0, 0)), BOARD.at((0, 0))]
    ]


@pytest.mark.parametrize(
    ("places", "special", "at", "reward", "ended"),
    [
        ([GOALS[0], GOALS[1], GOALS[1]], 0, 7, 4, True),
        ([GOALS[0], GOALS[1], GOALS[1]], 1, 7, 5, True),
        ([GOALS[0], GOALS[1], GOALS[1]], 5, 7, 3, True),
        ([GOALS[2], GOALS[2], GOALS[2]], 2, 29, 6, True),
        ([GOALS[2], GOALS[3], (0, 0)], 2, 28, 0, False),
        ([GOALS[2], GOALS[3], (0, 0)], 2, 29, 3, True),
        ([(0, 0), (0, 0), (0, 0)], 2, 29, 0, True),
    ],
)
def test_the_team_is_paid_only_at_the_end(places, special, at, reward, ended):
    cells = [BOARD.at(place) for place in places]
    assert move(state(cells, special, at), ["pass"] * 3, at)[1:] == (reward, ended)


def test_the_thirtieth_step_is_a_termination():
    episodes = rollout(THREE, ConstantPolicy([6, 6, 6]), episode_keys("user", 0, 4))
    assert episodes.lengths.tolist() == [30] * 4
    assert episodes.terminated.sum(1).tolist() == [1] * 4
    assert episodes.terminated[:, 29].all()


def test_only_the_informed_see_the_special_goal():
    at = state([BOARD.at((3, -3)), BOARD.at((-5, -2)), BOARD.at((0, 0))], 2, 12)
    seen = [
        {name: values.tolist() for name, values in THREE.observation_layout.unpack(row).items()}
        for row in THREE.observe(at)[0]
    ]
    for agent, special in enumerate([(1, 0.5), (1, 0.5), (0, 0)]):
        assert seen[agent]["positions"] == pytest.approx([0.5, -0.5, -5 / 6, -1 / 3, 0, 0])
        assert seen[agent]["goals"] == pytest.approx([-0.5, -1, 0.5, -0.5, 1, 0.5, 0.5, 1, -0.5, 0.5, -1, -0.5])
        assert seen[agent]["time"] == pytest.approx([0.4])
        assert seen[agent]["special"] == pytest.approx(special)
    assert torch.equal(THREE.state_vector(at)[0], THREE.observe(at)[0, 0])
    assert [HoneyComb(n).observation_layout.size for n in (3, 5, 10)] == [21, 25, 35]


def test_the_hidden_variable_has_the_papers_prior():
    assert THREE.hidden(state([0, 0, 0], 4)).tolist() == [[4]]
    (special,) = THREE.hidden_variables
    places = torch.tensor(special.values, dtype=torch.float64) / 6
    # Mean 0 and variance 0.5 in each normalised coordinate.
    assert special.in_paper
    assert places.mean(0).tolist() == pytest.approx([0, 0])
    assert places.var(0, correction=0).tolist() == pytest.approx([0.5, 0.5])


# Mean returns of random actions, measured with an independent simulator in an unstated number of episodes.
MEASURED = {3: 0.78, 5: 1.32, 10: 2.55, 15: 3.87, 20: 5.03}


@pytest.mark.parametrize(("agents", "measured"), list(MEASURED.items()))
def test_random_actions_return_what_the_markov_chain_says(agents, measured):
    task = HoneyComb(agents)
    returns = rollout(task, RandomPolicy(agents, 7), episode_keys("reference", 1, 2000)).returns
    error = float(returns.std()) / 2000**0.5
    assert abs(float(returns.mean()) - random_return(task)) < 4 * error
    assert random_return(task) == pytest.approx(measured, abs=4 * error)


def test_random_starts_are_distinct_and_uniform_over_the_hexagon():
    task = HoneyComb(10, random_start=True)
    start = task.initial_state(episode_keys("user", 0, 9100))
    assert (start.cells.sort(1).values.diff(dim=1) > 0).all()
    for agent in (0, 1, 9):
        counts = torch.bincount(start.cells[:, agent], minlength=97).double()
        assert counts[91:].sum() == 0
        # Chi squared with 90 degrees of freedom: mean 90, standard deviation 13.
        assert 40 < float(((counts[:91] - 100) ** 2 / 100).sum()) < 145
    assert torch.allclose(torch.bincount(start.special) / 9100, torch.tensor(1 / 6), atol=0.02)
    everybody = HoneyComb(91, random_start=True).initial_state(episode_keys("user", 0, 1))
    assert sorted(everybody.cells[0].tolist()) == list(range(91))


@pytest.mark.parametrize("task", [HoneyComb(), HoneyComb(5, 3, random_start=True)])
def test_an_episode_is_the_same_alone_and_among_a_thousand(task):
    keys = episode_keys("user", 3, 1000)
    together, alone = task.initial_state(keys), task.initial_state(keys[617:618])
    for at in range(task.horizon):
        assert all(map(torch.equal, take(together, slice(617, 618)), alone))
        assert torch.equal(task.observe(together)[617:618], task.observe(alone))
        actions = below(bits(keys, at, "test", task.agents), 7)
        together = task.transition(together, actions, keys, at).state
        alone = task.transition(alone, actions[617:618], keys[617:618], at).state


@pytest.mark.parametrize("task", [HoneyComb(), HoneyComb(5, 5, random_start=True), HoneyComb(1, 1)])
def test_the_published_contract_holds(task):
    check_task(task)


def test_episodes_are_the_same_in_another_process():
    check_across_processes(HoneyComb(5, random_start=True))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: HoneyComb(92), "team_size=92 is outside 1 to 91 agents"),
        (lambda: HoneyComb(0), "team_size=0 is outside 1 to 91 agents"),
        (lambda: HoneyComb(1), "informed=2 is outside 0 to team_size=1"),
        (lambda: HoneyComb(5, -1), "informed=-1 is outside 0 to team_size=5"),
    ],
)
def test_teams_out_of_range_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


DRAWN = """\
                    (  )
            .   .   .   .   .   .
          .   .   .   .   .   .   .
  (  )  .   .   .   .   .   .   .   . (  )
      .   .   .   .   .   .   .   .   .
    .   .   .   .   .   .   .   .   .   .
  .   .   .   .   .   8   .   .   .   .   .
    .   .   .   .   .   .   .   .   .   .
      .   .   .   .   .   .   .   .   .
  (  )  .   .   .   .   .   .   .   1 [ 1]
          .   .   .   .   .   .   .
            .   .   .   .   .   .
                    (  )
step: 6 of 30
informed: 0 at (3, -3), 1 at (2, -3)"""


def test_the_drawing_counts_agents_and_marks_goals():
    cells = [BOARD.at((3, -3)), BOARD.at((2, -3))] + [BOARD.at((0, 0))] * 8
    assert HoneyComb().draw(state(cells, 1, 6)) == DRAWN


def test_the_playthrough_reads_as_it_did():
    """Agents 0 and 1 know the goal and walk; 2 and 3 wait until agent 0 is there, then follow."""
    lead = [["southeast", "west", "pass", "pass"], ["southwest", "west", "pass", "pass"]]
    follow = [
        ["southeast", "west", "southeast", "southwest"],
        ["southeast", "west", "southeast", "southwest"],
        ["southeast", "west", "southwest", "southwest"],
        ["southeast", "west", "southeast", "southeast"],
    ]
    key = episode_keys("user", 0, 1, start=525)
    check_playthrough("honeycomb.txt", transcript(HoneyComb(4, random_start=True), key, lead + follow, [0, 3]))
