"""What learners of Organization share: acting from a table, whom they count, what they learn from."""

import pytest
import torch

from baselines.organization import (
    TablePolicy,
    count_others,
    heard,
    learning_reward,
    note_policy,
    organization_task,
    policy_counts,
    public_index,
    public_names,
    report_noise,
)
from benchmark.episodes.policy import PlaybackPolicy
from benchmark.episodes.rollout import rollout
from benchmark.harness.protocol import Setting
from benchmark.tasks.organization import BALANCE, GROUP, SELF, Organization
from benchmark.tasks.organization_pair import OrganizationPair
from benchmark.tasks.registry import make_task
from benchmark.tasks.streams import episode_keys
from benchmark.tasks.task import one_hot

KEYS = episode_keys("user", 0, 4)


def play(task, *steps):
    """Episodes in which the joint actions come in turn, the last one for ever."""
    actions = torch.tensor([*steps, *[steps[-1]] * (task.horizon - len(steps))]).expand(len(KEYS), -1, -1)
    return rollout(task, PlaybackPolicy(actions), KEYS)


def test_public_observations_are_counted_and_named():
    layout = Organization(4).observation_layout
    episodes = play(Organization(4), [GROUP] * 4, [GROUP] * 4, [SELF] * 4)
    assert public_index(layout, episodes.observations)[0, :8, 0].tolist() == [1, 1, 2, 1, 1, 0, 0, 0]
    pair = OrganizationPair()
    episodes = play(pair, [GROUP, GROUP], [SELF, SELF])
    assert public_index(pair.observation_layout, episodes.observations)[0, :3, 0].tolist() == [4, 5, 7]
    names = public_names(pair.observation_layout)
    assert [names[index] for index in (4, 5, 7)] == [
        "several_after_several",
        "many_after_several",
        "several_after_many",
    ]


def test_a_table_is_played_by_run_agent_and_public_observation():
    table = torch.zeros(2, 3, 3, 3)
    for run in range(2):
        for agent in range(3):
            table[run, agent, :, (run + agent) % 3] = 1.0
    table[:, :, 2] = torch.tensor([0.0, 0.0, 1.0])
    episodes = rollout(Organization(3), TablePolicy(Organization(3).observation_layout, table), KEYS)
    seen = episodes.observations[:, :-1, 0, :3].argmax(-1)
    for run in range(2):
        of_run = slice(2 * run, 2 * run + 2)
        expected = [(run + agent) % 3 for agent in range(3)]
        assert (episodes.actions[of_run][seen[of_run] < 2] == torch.tensor(expected)).all()
        assert (episodes.actions[of_run][seen[of_run] == 2] == GROUP).all()


def test_a_table_is_drawn_from_with_its_probabilities_and_greedily_without_chance():
    task, layout = Organization(2), Organization(2).observation_layout
    table = torch.tensor([0.5, 0.2, 0.3]).expand(1, 2, 3, 3)
    keys = episode_keys("user", 1, 2000)
    actions = rollout(task, TablePolicy(layout, table), keys).actions[:, 0]
    assert one_hot(actions, 3).mean((0, 1)).tolist() == pytest.approx([0.5, 0.2, 0.3], abs=0.03)
    assert (rollout(task, TablePolicy(layout, table, greedy=True), keys[:5]).actions == SELF).all()


def test_execution_is_decentralised():
    """Whatever others see, an agent acts as before."""
    layout = Organization(3).observation_layout
    table = torch.rand(1, 3, 3, 3, generator=torch.Generator().manual_seed(0)).softmax(-1)
    policy = TablePolicy(layout, table)
    one = one_hot(torch.tensor([[1, 1, 1]]), layout.size)
    other = one_hot(torch.tensor([[1, 0, 2]]), layout.size)
    for seed in range(20):
        memory = policy.initial_memory(episode_keys("user", seed, 1))
        assert policy.act(one, memory)[0][0, 0] == policy.act(other, memory)[0][0, 0]


def test_counting_others_and_neighbours():
    chosen = one_hot(torch.tensor([SELF, BALANCE, GROUP, GROUP]), 3)
    circle = Organization(4, "circle")
    assert count_others(circle, chosen, neighbours=False).tolist() == [[0, 1, 2], [1, 0, 2], [1, 1, 1], [1, 1, 1]]
    assert count_others(circle, chosen, neighbours=True).tolist() == [[0, 1, 1], [1, 0, 1], [0, 1, 1], [1, 0, 1]]
    full = Organization(4)
    assert torch.equal(count_others(full, chosen, neighbours=True), count_others(full, chosen, neighbours=False))


def test_without_noise_what_is_heard_is_what_others_did():
    for task in (Organization(5, "star", noise=0.0), Organization(5, noise=0.0), OrganizationPair(noise=0.0)):
        actions = [[SELF, BALANCE, GROUP, GROUP, SELF][: task.agents]]
        episodes = play(task, *actions)
        chosen = one_hot(episodes.actions, 3)
        for neighbours in (False, True):
            expected = count_others(task, chosen, neighbours)
            assert torch.allclose(heard(task, episodes.observations[:, 1:], neighbours), expected, atol=1e-5)
    assert torch.equal(report_noise(Organization(5, noise=0.0)), torch.eye(3))
    assert report_noise(Organization(5)).tolist()[0] == pytest.approx([0.8, 0.1, 0.1])


def test_learning_rewards_by_hand():
    task = Organization(4, "circle")
    # Windows of agents 0..3: group; tie; group; group. A group majority in all: +2.
    episodes = play(task, [GROUP, SELF, GROUP, GROUP])
    assert learning_reward(task, episodes, "individual")[0, 0].tolist() == [2, 6, 2, 2]
    assert learning_reward(task, episodes, "team")[0, 0].tolist() == [3, 3, 3, 3]
    # What each would earn in its own window: 0+2, 4+2, 0+2, 0+2; averaged over closed neighbourhoods of three.
    expected = [10 / 3, 10 / 3, 10 / 3, 2.0]
    assert learning_reward(task, episodes, "neighbourhood")[0, 0].tolist() == pytest.approx(expected)


def test_in_the_full_graph_the_neighbourhood_is_the_team():
    task, keys = Organization(6), episode_keys("user", 2, 50)
    table = torch.full((1, 6, 3, 3), 1 / 3)
    episodes = rollout(task, TablePolicy(task.observation_layout, table), keys)
    assert (episodes.rewards < -50).any()
    team = learning_reward(task, episodes, "team")
    assert torch.allclose(learning_reward(task, episodes, "neighbourhood"), team, atol=1e-4)


def test_a_local_majority_does_not_save_from_a_bankruptcy():
    task = Organization(5, "circle")
    actions = [GROUP, GROUP, SELF, SELF, SELF]
    episodes = play(task, actions)
    # At medium every window happens to be worth 2 to its agent; at low the firm's self majority bankrupts it.
    learned = learning_reward(task, episodes, "neighbourhood")[0]
    assert learned[0].tolist() == [2] * 5
    assert learned[1].tolist() == pytest.approx([-100 + 4 / 3, -100 + 4 / 3, -100 + 8 / 3, -96, -100 + 8 / 3])


def test_unknown_kinds_and_tasks_are_refused():
    task = Organization(4)
    with pytest.raises(ValueError, match="learning_reward='tem' is unknown"):
        learning_reward(task, play(task, [GROUP] * 4), "tem")
    with pytest.raises(ValueError, match=r"maddpg: task=.* allowed: unperturbed tasks"):
        organization_task(make_task("oracle-v0"), "maddpg")


def test_the_greedy_policy_is_told_state_by_state():
    setting = Setting("organization-full-4-v0", Organization(4), (0, 1), 10)
    table = torch.zeros(2, 4, 3, 3)
    table[..., GROUP] = 1.0
    table[1, :2, 2] = torch.tensor([0.6, 0.0, 0.4])
    assert policy_counts(table)[1].tolist() == [[0, 0, 4], [0, 0, 4], [2, 0, 2]]
    note_policy(setting, table)
    assert 10 < setting.notes[0].pop("memory_mib") < 100_000
    assert setting.notes[0] == {f"policy_{name}": "0/0/4" for name in ("meager", "several", "many")}
    assert setting.notes[1]["policy_many"] == "2/0/2"
