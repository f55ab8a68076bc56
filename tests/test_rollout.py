import pytest
import torch
from toy import Whisper

from benchmark.episodes.policy import BeliefPolicy, ConstantPolicy, PlaybackPolicy, Policy, RandomPolicy
from benchmark.episodes.rollout import Episodes, PolicyError, check_actions, replay, rollout, rollout_with_beliefs
from benchmark.tasks.registry import make_task
from benchmark.tasks.streams import episode_keys
from benchmark.tasks.task import Task, team_return

TASK = Whisper()
KEYS = episode_keys("user", 0, 300)
FIELDS = (
    "keys",
    "observations",
    "actions",
    "executed",
    "rewards",
    "terminated",
    "mask",
    "hidden",
    "returns",
)


def played(policy=None, task: Task = TASK, keys=KEYS):
    return rollout(task, policy or RandomPolicy(task.agents, len(task.action_names)), keys)


def assert_same(one, other):
    for name in FIELDS:
        assert torch.equal(getattr(one, name), getattr(other, name)), name


def waiting_until(step, word):
    """Wait, and let agent 0 say a word at a step."""
    actions = torch.zeros(len(KEYS), TASK.horizon, 2, dtype=torch.int64)
    actions[:, step, 0] = word
    return PlaybackPolicy(actions)


def test_an_episode_by_hand():
    heads = played(waiting_until(2, 1)).hidden[:, 0, 0] == 0
    episodes = played(waiting_until(2, 1))
    assert bool((episodes.lengths == 3).all())
    assert episodes.rewards[heads][:, :, 0].unique(dim=0).tolist() == [pytest.approx([-0.1, -0.1, 1, 0, 0])]
    assert episodes.rewards[~heads][:, :, 0].unique(dim=0).tolist() == [pytest.approx([-0.1, -0.1, -1, 0, 0])]
    assert episodes.terminated[0].tolist() == [False, False, True, False, False]
    assert episodes.returns[heads].tolist() == pytest.approx([0.8] * int(heads.sum()))
    assert 120 < int(heads.sum()) < 180


def test_the_horizon_cuts_off_without_terminating():
    episodes = played(ConstantPolicy([0, 0]))
    assert bool(episodes.mask.all())
    assert not bool(episodes.terminated.any())
    assert bool((episodes.discount == 1).all())
    assert episodes.returns.tolist() == pytest.approx([-0.5] * 300)
    assert episodes.steps == 300 * 5


def test_mask_covers_the_steps_up_to_the_first_termination():
    episodes = played()
    ends = episodes.terminated.double().argmax(1)
    finished = episodes.terminated.any(1)
    expected = torch.where(finished, ends + 1, TASK.horizon)
    assert torch.equal(episodes.lengths, expected)
    assert bool((episodes.mask == (torch.arange(5) < expected[:, None])).all())
    assert bool((episodes.terminated.sum(1) <= 1).all())
    assert torch.equal(episodes.discount == 0, episodes.terminated)


@pytest.mark.parametrize("task", [TASK, make_task("oracle-v0"), make_task("honeycomb-n3-v0")])
def test_everything_beyond_the_end_is_zero(task):
    episodes = played(task=task, keys=KEYS[:100])
    beyond = ~episodes.mask
    for name in ("actions", "executed", "rewards", "terminated"):
        assert not bool(getattr(episodes, name)[beyond].any()), name
    for name in ("observations", "hidden"):
        assert not bool(getattr(episodes, name)[:, 1:][beyond].any()), name


def test_rollouts_agree_with_the_task_stepped_by_hand():
    episodes = played(keys=KEYS[:1])
    state = TASK.initial_state(KEYS[:1])
    for step in range(int(episodes.lengths)):
        assert torch.equal(TASK.observe(state), episodes.observations[:, step])
        assert torch.equal(TASK.hidden(state), episodes.hidden[:, step])
        result = TASK.transition(state, episodes.actions[:, step], KEYS[:1], step)
        assert torch.equal(result.reward, episodes.rewards[:, step])
        state = result.state
    assert torch.equal(TASK.observe(state), episodes.observations[:, int(episodes.lengths)])


@pytest.mark.parametrize("task_id", ["oracle-v0:slip=0.2", "gathering-v0", "organization-star-9-v0"])
def test_keys_and_actions_replay_the_episodes(task_id):
    task = make_task(task_id)
    episodes = played(task=task, keys=KEYS[:20])
    assert_same(replay(task, episodes.keys, episodes.actions), episodes)
    assert_same(replay(task, episodes.keys[5:7], episodes.actions[5:7].to(torch.uint8)), episodes[5:7])


def test_selecting_and_joining_episodes():
    episodes = played()
    assert_same(Episodes.concatenate([episodes[:100], episodes[100:]]), episodes)
    assert_same(episodes[torch.arange(300) < 3], episodes[:3])
    assert episodes[:7].batch == 7
    assert_same(episodes.to("cpu"), episodes)


def test_the_random_policy_is_uniform_and_private_to_each_episode():
    task = make_task("organization-star-9-v0")
    episodes = played(task=task, keys=KEYS)
    shares = torch.bincount(episodes.actions.flatten(), minlength=3) / episodes.actions.numel()
    assert shares.tolist() == pytest.approx([1 / 3] * 3, abs=0.006)
    assert_same(played(task=task, keys=KEYS[200:]), episodes[200:])


def test_returns_sum_over_agents_unless_the_reward_is_shared():
    rewards = torch.tensor([[[1.0, 1.0], [0.5, 0.5]]])
    assert team_return(TASK, rewards).tolist() == [1.5]
    assert team_return(make_task("organization-full-9-v0"), torch.ones(1, 30, 9)).tolist() == [270.0]


class Fixed:
    """Returns one answer whatever it is asked."""

    def __init__(self, answer):
        self.answer = answer

    def initial_memory(self, keys):
        return None

    def act(self, observations, memory):
        return self.answer, memory

    def belief(self, memory):
        return (torch.full((300, 2, 2), 0.5).log(),)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([[0, 0]], "must be a torch tensor, not list"),
        (torch.zeros(300, 3, dtype=torch.int64), r"shape \(300, 3\); expected \[B, N\] = \(300, 2\)"),
        (torch.zeros(300, 2), "dtype torch.float32; expected torch.int64"),
        (torch.full((300, 2), 3), r"action 3 is out of range; allowed: 0 to 2 \(3 actions\)"),
        (torch.full((300, 2), -1), "action -1 is out of range"),
    ],
)
def test_bad_actions_are_refused_by_name(answer, message):
    with pytest.raises(PolicyError, match=message):
        played(Fixed(answer))


def test_good_actions_pass():
    check_actions(torch.zeros(4, 2, dtype=torch.int64), 4, TASK)


def test_beliefs_are_recorded_beside_the_hidden_values():
    policy = Fixed(torch.zeros(300, 2, dtype=torch.int64))
    assert isinstance(policy, Policy)
    assert isinstance(policy, BeliefPolicy)
    episodes, (coin,) = rollout_with_beliefs(TASK, policy, KEYS)
    assert coin.shape == (300, 5, 2, 2)
    assert coin.exp().sum(-1).flatten().tolist() == pytest.approx([1.0] * 3000)
    assert episodes.hidden.shape == (300, 6, 1)


def test_beliefs_are_padded_when_all_episodes_end_early():
    episodes, (coin,) = rollout_with_beliefs(TASK, Fixed(torch.ones(300, 2, dtype=torch.int64)), KEYS)
    assert bool((episodes.lengths == 1).all())
    assert coin.shape == (300, 5, 2, 2)
    assert not bool(coin[:, 1:].any())
