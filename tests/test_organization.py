import os
from pathlib import Path

import pytest
import torch

from benchmark.episodes.policy import ConstantPolicy, RandomPolicy
from benchmark.episodes.rollout import rollout
from benchmark.tasks.organization import BALANCE, GROUP, LEVELS, SELF, Organization
from benchmark.tasks.organization_pair import OrganizationPair
from benchmark.tasks.perturb import Slip
from benchmark.tasks.streams import below, bits, episode_keys
from benchmark.tasks.task import Task
from benchmark.tasks.topology import TOPOLOGIES

PLAYTHROUGH = Path(__file__).parent / "playthroughs" / "organization.txt"
LETTERS = {"s": SELF, "b": BALANCE, "g": GROUP}


def joint(letters):
    return torch.tensor([[LETTERS[letter] for letter in letters]])


def step_from(task, level, letters):
    """Play one joint action at a level: the rewards of all agents, and the next level."""
    keys = episode_keys("user", 0, 1)
    state = task.initial_state(keys)._replace(level=torch.tensor([LEVELS.index(level)]))
    result = task.transition(state, joint(letters), keys, 0)
    assert not result.terminated.any()
    return result.reward[0].tolist(), LEVELS[int(result.state.level[0])]


@pytest.mark.parametrize(
    ("level", "letters", "rewards", "following"),
    [
        # Group majority: +2 for everybody, one level up, also from very low and never above very high.
        ("medium", "sgg", [6, 2, 2], "high"),
        ("medium", "sbgg", [6, 3, 2, 2], "high"),
        ("very low", "bbg", [3, 3, 2], "low"),
        ("very high", "ggg", [2, 2, 2], "very high"),
        # Tie: +1, the level stays.
        ("medium", "sbg", [5, 2, 1], "medium"),
        ("low", "bbb", [2, 2, 2], "low"),
        # Self majority: -2, one level down.
        ("very high", "sss", [2, 2, 2], "high"),
        ("medium", "ssg", [2, 2, -2], "low"),
        # Bankruptcy: a self majority at low or very low, a tie at very low.
        ("low", "ssb", [-96, -96, -99], "very low"),
        ("very low", "ssg", [-96, -96, -100], "very low"),
        ("very low", "sbg", [-96, -99, -100], "very low"),
        ("very low", "bbb", [-99, -99, -99], "very low"),
    ],
)
def test_rules_of_the_team_by_hand(level, letters, rewards, following):
    assert step_from(Organization(len(letters)), level, letters) == (rewards, following)


@pytest.mark.parametrize(
    ("level", "letters", "reward", "following"),
    [
        ("high", "ss", 6, "medium"),
        ("low", "ss", -100, "very low"),
        ("very low", "ss", -100, "very low"),
        ("medium", "sb", 1, "low"),
        ("low", "bs", -100, "very low"),
        ("medium", "sg", 1, "medium"),
        ("very low", "gs", -100, "very low"),
        ("low", "sg", 1, "low"),
        ("low", "bb", 5, "low"),
        ("very low", "bb", -100, "very low"),
        ("very low", "bg", 1, "low"),
        ("medium", "gb", 1, "high"),
        ("low", "gg", 1, "high"),
        ("high", "gg", 1, "very high"),
    ],
)
def test_rules_of_the_pair_by_hand(level, letters, reward, following):
    assert step_from(OrganizationPair(), level, letters) == ([reward, reward], following)


def test_the_one_shot_diamond_of_the_paper_pays_12_and_13():
    assert sum(step_from(Organization(4), "medium", "sggg")[0]) == 12
    assert sum(step_from(Organization(4), "medium", "gssg")[0]) == 12
    assert sum(step_from(Organization(4), "medium", "sbgg")[0]) == 13


def test_the_history_bonus_remembers_the_previous_total_reward():
    keys = episode_keys("user", 0, 1)
    cases: list[tuple[Task, str, float]] = [
        (Organization(3, history_bonus=0.1), "sgg", 6.0),
        (OrganizationPair(), "bb", 5.0),
    ]
    for task, letters, first in cases:
        state, rewards = task.initial_state(keys), []
        for step in range(3):
            result = task.transition(state, joint(letters), keys, step)
            state = result.state
            rewards.append(float(result.reward[0, 0]))
            seen = task.observation_layout.unpack(task.observe(state))["previous_reward"]
            assert torch.equal(seen[..., 0], result.reward)
        assert rewards == pytest.approx([first, 1.1 * first, 1.11 * first])
    assert "previous_reward" not in Organization(3).observation_layout.slices


def test_agents_see_the_level_coarsely():
    task, keys = Organization(3), episode_keys("user", 0, 5)
    state = task.initial_state(keys)._replace(level=torch.arange(5))
    seen = task.observation_layout.unpack(task.observe(state))
    assert seen["public"].argmax(-1)[:, 0].tolist() == [0, 0, 1, 1, 2]
    assert (seen["reports"] == 0).all()


def test_the_pair_sees_the_level_now_and_before_and_a_report_from_the_first_step_on():
    task, keys = OrganizationPair(noise=0.0), episode_keys("user", 0, 1)
    state = task.initial_state(keys)
    first = task.observation_layout.unpack(task.observe(state))
    assert first["public"].tolist() == first["previous_public"].tolist() == [[[0, 1, 0], [0, 1, 0]]]
    assert (first["report"] == 0).all()
    state = task.transition(state, joint("sb"), keys, 0).state
    second = task.observation_layout.unpack(task.observe(state))
    assert second["public"].tolist() == [[[1, 0, 0], [1, 0, 0]]]
    assert second["previous_public"].tolist() == [[[0, 1, 0], [0, 1, 0]]]
    assert second["report"].tolist() == [[[0, 1, 0], [1, 0, 0]]]


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_without_noise_everybody_hears_exactly_what_others_and_neighbours_chose(topology):
    task = Organization(13, topology, noise=0.0)
    keys = episode_keys("user", 0, 6)
    actions = below(bits(keys, 0, "actions", 13), 3)
    state = task.transition(task.initial_state(keys), actions, keys, 0).state
    chosen = torch.nn.functional.one_hot(actions, 3)
    assert torch.equal(state.configuration, chosen.sum(1))
    assert torch.equal(state.reports, (chosen.sum(1, keepdim=True) - chosen).mT)
    if topology != "full":
        adjacency = task.neighbourhood.adjacency().to(torch.int64)
        assert torch.equal(state.neighbour_reports, (adjacency @ chosen).mT)


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_neighbour_reports_are_part_of_the_reports(topology):
    task, keys = Organization(27, topology), episode_keys("user", 0, 50)
    state = task.transition(task.initial_state(keys), below(bits(keys, 0, "a", 27), 3), keys, 0).state
    assert (state.reports.sum(1) == 26).all()
    seen = task.observation_layout.unpack(task.observe(state))
    assert torch.allclose(seen["reports"].sum(-1), torch.ones(()))
    assert seen["reports"].max() <= 1
    if topology != "full":
        assert (state.neighbour_reports.sum(1) == task.neighbourhood.degrees()).all()
        assert (state.reports >= state.neighbour_reports).all()
        assert torch.allclose(seen["neighbour_reports"].sum(-1), torch.ones(()))


@pytest.mark.parametrize("topology", ["full", "star", "lattice"])
def test_reports_have_the_right_mean_and_spread_and_are_private(topology):
    task, keys, agents = Organization(9, topology), episode_keys("user", 1, 20_000), 9
    actions = joint("sssbggggg").expand(len(keys), -1)
    state = task.transition(task.initial_state(keys), actions, keys, 0).state
    chosen = torch.nn.functional.one_hot(actions[0], 3).to(torch.float64)
    others = chosen.sum(0) - chosen
    heard = state.reports.mT.to(torch.float64)
    # A report is right with 0.8 and else either wrong action with 0.1; its variance is 0.16 or 0.09.
    variance = 0.16 * others + 0.09 * (agents - 1 - others)
    tolerance = 5 * (variance.max() / len(keys)) ** 0.5
    assert torch.allclose(heard.mean(0), 0.1 * (agents - 1) + 0.7 * others, atol=float(tolerance))
    assert torch.allclose(heard.var(0), variance, rtol=0.08)
    # Errors of different observers are uncorrelated: 36 pairs, five standard errors.
    correlation = heard[..., SELF].T.corrcoef() - torch.eye(agents, dtype=torch.float64)
    assert correlation.abs().max() < 5 / len(keys) ** 0.5
    if topology != "full":
        near = state.neighbour_reports.mT.to(torch.float64)
        true = task.neighbourhood.adjacency().to(torch.float64) @ chosen
        degrees = task.neighbourhood.degrees()[:, None]
        assert torch.allclose(near.mean(0), 0.1 * degrees + 0.7 * true, atol=float(tolerance))


def test_reports_of_the_pair_are_right_four_times_in_five():
    task, keys = OrganizationPair(), episode_keys("user", 0, 20_000)
    state = task.transition(task.initial_state(keys), joint("sg").expand(len(keys), -1), keys, 0).state
    share = torch.stack([(state.reports == action).to(torch.float64).mean(0) for action in range(3)], 1)
    expected = torch.tensor([[0.1, 0.1, 0.8], [0.8, 0.1, 0.1]], dtype=torch.float64)
    assert torch.allclose(share, expected, atol=5 * 0.4 / len(keys) ** 0.5)


@pytest.mark.parametrize(
    "task",
    [
        Organization(9),
        Organization(9, "lattice", history_bonus=0.1),
        Slip(Organization(13, "star"), 0.2),
        OrganizationPair(),
    ],
)
def test_an_episode_is_the_same_alone_and_in_a_batch_and_within_bounds(task):
    keys = episode_keys("user", 3, 20)
    policy = RandomPolicy(task.agents, 3)
    batch = rollout(task, policy, keys)
    alone = rollout(task, policy, keys[7:8])
    assert torch.equal(batch.observations[7:8], alone.observations)
    assert torch.equal(batch.rewards[7:8], alone.rewards)
    assert torch.equal(batch.hidden[7:8], alone.hidden)
    assert (batch.lengths == 30).all()
    assert not batch.terminated.any()
    low, high = (torch.tensor(bound) for bound in task.observation_layout.bounds())
    assert ((batch.observations >= low) & (batch.observations <= high)).all()
    assert batch.observations.shape[-1] == task.observation_layout.size


def test_the_state_vector_holds_level_configuration_and_mean_previous_reward():
    task, keys = Organization(4, history_bonus=0.1), episode_keys("user", 0, 1)
    state = task.transition(task.initial_state(keys), joint("sbgg"), keys, 0).state
    assert task.state_vector(state).tolist() == [[0, 0, 0, 1, 0, 0.25, 0.25, 0.5, 13 / 4]]
    assert task.state_layout.size == 9
    pair = OrganizationPair()
    state = pair.transition(pair.initial_state(keys), joint("ss"), keys, 0).state
    assert pair.state_vector(state).tolist() == [[0, 1, 0, 0, 0, 6]]


def test_returns_sum_over_agents_in_the_team_and_count_once_in_the_pair():
    keys = episode_keys("user", 0, 1)
    assert rollout(Organization(5), ConstantPolicy([GROUP] * 5), keys).returns.item() == 5 * 2 * 30
    pair = rollout(OrganizationPair(history_bonus=0.0), ConstantPolicy([BALANCE] * 2), keys)
    assert pair.returns.item() == 150


def test_ten_thousand_agents_play_an_episode():
    task = Organization(10_000)
    episodes = rollout(task, RandomPolicy(10_000, 3), episode_keys("user", 0, 1))
    heard = task.observation_layout.unpack(episodes.observations[0, 1])["reports"] * 9_999
    chosen = torch.bincount(episodes.actions[0, 0], minlength=3)
    # The mean over observers varies by less than one report: each is off by about 45.
    assert torch.allclose(heard.mean(0), 0.1 * 9_999 + 0.7 * chosen, atol=5)
    assert heard.std(0).min() > 30


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Organization(1), r"team_size=1 is outside \[2, 32768\]"),
        (lambda: Organization(noise=0.7), r"noise=0.7 is outside \[0, 2/3\]"),
        (lambda: Organization(topology="ring"), "name='ring' is unknown"),
        (lambda: OrganizationPair(history_bonus=1.0), r"history_bonus=1.0 is outside \[0, 1\)"),
    ],
)
def test_parameters_out_of_range_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def play_through():
    """Six steps of nine agents on a lattice, ever more of them for themselves: drawn, with what agent 0 sees."""
    task, keys = Organization(9, "lattice"), episode_keys("user", 0, 1)
    state = task.initial_state(keys)
    pages = []
    for step, letters in enumerate(["", "sbbbggggg", "sssbbbggg", "sssssbggg", "s" * 9, "b" * 9, "g" * 9]):
        if letters:
            state = task.transition(state, joint(letters), keys, step - 1).state
        seen = task.observation_layout.unpack(task.observe(state)[0, 0])
        lines = [f"{name}: {' '.join(f'{value:.3f}' for value in part.tolist())}" for name, part in seen.items()]
        pages.append("\n".join([f"step {step}  {letters}".rstrip(), task.draw(state), *lines]))
    return "\n\n".join(pages) + "\n"


def test_the_playthrough_reads_as_it_did():
    """Set PENUMBRA_WRITE_PLAYTHROUGHS=1 to write it anew; then read what changed."""
    if os.environ.get("PENUMBRA_WRITE_PLAYTHROUGHS"):
        PLAYTHROUGH.parent.mkdir(exist_ok=True)
        PLAYTHROUGH.write_text(play_through())
    assert play_through() == PLAYTHROUGH.read_text()


def test_the_picture_of_the_pair_says_level_reports_and_reward():
    task, keys = OrganizationPair(noise=0.0), episode_keys("user", 0, 1)
    state = task.initial_state(keys)
    assert task.draw(state) == "level   [###..] medium (seen as several)"
    state = task.transition(state, joint("sg"), keys, 0).state
    assert task.draw(state).splitlines()[1:] == ["heard   group by agent 0, self by agent 1", "reward  1"]
