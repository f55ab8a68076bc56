"""IA2C and IA2C++: update rules by hand, critics, independence of runs and agents, and that it learns."""

from dataclasses import replace

import pytest
import torch

from baselines import ia2c_team
from baselines.actor_critic import (
    centred_target,
    counterfactual_advantage,
    huber_loss,
    policy_loss,
    sampled_policy_loss,
    table_values,
    td_advantage,
)
from baselines.configuration import configurations
from baselines.critics import Actor, ConfigurationCritic, CountCritic
from baselines.ia2c import IA2C
from baselines.ia2c_team import public_features
from baselines.networks import ACTIVATIONS
from baselines.organization import TablePolicy
from benchmark.episodes.rollout import rollout
from benchmark.harness.protocol import Setting
from benchmark.harness.suites import get_suite
from benchmark.measures.references import reference
from benchmark.tasks.oracle import Oracle
from benchmark.tasks.organization import Organization
from benchmark.tasks.organization_pair import OrganizationPair
from benchmark.tasks.registry import make_task
from benchmark.tasks.streams import episode_keys
from benchmark.tasks.task import Task

SMALL = IA2C(actor_width=8, critic_width=8, collect=2, batch=32, samples=4)
VARIANTS = {
    "cf": SMALL,
    "mf": replace(SMALL, summary="neighbours", reward="neighbourhood"),
    "td": replace(SMALL, advantage="td", centred=False, own_action="index", shared_critic=False),
    "nothing": replace(SMALL, summary="nothing"),
    "predicted": replace(SMALL, critic_learns_from="predicted", own_action="both", shared_actor=True),
    "faithful": IA2C(preset="faithful", collect=2),
}


def train(learner: IA2C, task: Task, seeds: tuple[int, ...], budget: int) -> tuple[Setting, TablePolicy]:
    setting = Setting("test", task, seeds, budget)
    policies = list(learner.train(setting))
    assert isinstance(policies[-1], TablePolicy)
    return setting, policies[-1]


def test_the_counterfactual_advantage_by_hand():
    q, policy = torch.tensor([4.0, 1.0, 0.0]), torch.tensor([0.25, 0.5, 0.25])
    # The policy earns 0.25 * 4 + 0.5 * 1 = 1.5.
    advantage = counterfactual_advantage(q, policy)
    assert advantage.tolist() == [2.5, -0.5, -1.5]
    assert (policy * advantage).sum() == 0.0


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_an_actor_of_relu_dies_and_a_leaky_one_does_not(activation: str):
    actor = Actor(torch.tensor([7]), 2, torch.eye(3), 8, activation)
    with torch.no_grad():
        actor.second.bias.fill_(-5.0)  # further below 0 than eight tanh units can lift anything here
    log_policy = actor(2)
    log_policy[..., 0].sum().backward()
    moved = {name: bool((values.grad != 0).any()) for name, values in actor.named_parameters()}
    apart = bool((log_policy[:, :, 0] != log_policy[:, :, 1]).any())
    assert apart == (activation == "leaky-relu")
    alive = all(moved.values())
    assert alive == (activation == "leaky-relu"), moved
    assert moved["output.bias"]


def test_the_td_advantage_by_hand():
    assert td_advantage(torch.tensor(2.0), torch.tensor(5.0), torch.tensor(4.0), 0.5).item() == -1.0


def test_the_policy_loss_has_the_policy_gradient():
    logits = torch.zeros(1, 2, requires_grad=True)
    advantage = torch.tensor([[1.0, -1.0]])
    loss = policy_loss(logits.log_softmax(-1), advantage, torch.tensor([2.0]), 0.0)
    loss.backward()
    # d/dlogit of 2 * sum pi A: 2 * pi (A - sum pi A) = 2 * 0.5 * (+-1).
    assert loss.item() == 0.0
    assert logits.grad is not None
    assert logits.grad.tolist() == [[-1.0, 1.0]]


def test_entropy_pulls_towards_the_uniform_policy():
    logits = torch.tensor([[1.0, 0.0]], requires_grad=True)
    loss = policy_loss(logits.log_softmax(-1), torch.zeros(1, 2), torch.ones(1), 0.5)
    p = torch.sigmoid(torch.tensor(1.0))
    assert loss.item() == pytest.approx(0.5 * (p * p.log() + (1 - p) * (1 - p).log()).item())
    loss.backward()
    assert logits.grad is not None
    assert logits.grad[0, 0] > 0 > logits.grad[0, 1]


@pytest.mark.parametrize(("likely", "pushed"), [(0.98, True), (0.999, False)])
def test_nothing_is_pushed_below_the_floor(likely, pushed):
    logits = torch.tensor([[likely, 1 - likely]]).log().requires_grad_()
    policy_loss(logits.log_softmax(-1), torch.tensor([[0.1, -0.9]]), torch.ones(1), 0.0, floor=0.01).backward()
    assert logits.grad is not None
    assert bool(logits.grad.any()) == pushed
    # The other way round it is pushed in any case.
    back = logits.detach().requires_grad_()
    policy_loss(back.log_softmax(-1), torch.tensor([[-0.1, 0.9]]), torch.ones(1), 0.0, floor=0.01).backward()
    assert back.grad is not None
    assert back.grad[0, 1] < 0


def test_the_sampled_loss_by_hand():
    log_policy = torch.tensor([[0.5, 0.5], [0.25, 0.75]]).log()
    loss = sampled_policy_loss(log_policy, torch.tensor([0, 1]), torch.tensor([2.0, -4.0]), 0.0)
    expected = -(2 * torch.tensor(0.5).log() - 4 * torch.tensor(0.75).log()) / 2
    assert loss.item() == pytest.approx(expected.item())


def test_table_values_by_hand():
    values = torch.tensor([[[0.0, 8.0]]])
    public, following = torch.tensor([[[0, 0, 1]]]), torch.tensor([[[0, 1, 1]]])
    rewards = torch.tensor([[[1.0, 3.0, 2.0]]])
    # Errors with gamma 0.5: 1 + 0 - 0, 3 + 4 - 0, 2 + 4 - 8.
    assert centred_target(values, public, rewards, following, 0.5).tolist() == [[[1.0, 7.0, -2.0]]]
    assert table_values(values, public, rewards, following, 0.5, rate=0.5, sweeps=1).tolist() == [[[2.0, 7.0]]]
    # In the long run V(1) = 2 + 0.5 V(1) = 4, V(0) = mean(1 + 0.5 V(0), 3 + 2) = 3 + 0.25 V(0) = 4.
    settled = table_values(values, public, rewards, following, 0.5, rate=0.5, sweeps=100)
    assert settled.flatten().tolist() == pytest.approx([4.0, 4.0])


def test_the_huber_loss_is_per_critic_and_tempers_bankruptcies():
    estimates, targets = torch.zeros(1, 2, 2), torch.tensor([[[0.5, -0.5], [0.0, -100.0]]])
    assert huber_loss(estimates, targets).tolist() == [[0.125, 49.75]]  # 0.5^2 / 2; (100 - 0.5) / 2


def test_a_merged_own_action_is_one_more_agent_that_took_it():
    layout = Organization().observation_layout
    critic = CountCritic(episode_keys("user", 0, 2), 1, public_features(layout), 8, "merged")
    counts = torch.tensor([3.0, 1.0, 4.0]).expand(2, 1, 1, 3)
    critic.measure(counts.repeat(1, 1, 4, 1), torch.tensor([0, 1, 2, 0]).expand(2, 1, 4))
    public = torch.ones(2, 1, 1, dtype=torch.int64)
    values = critic(public, counts)
    moved = critic(public, counts + torch.tensor([1.0, 0.0, -1.0]))
    assert torch.allclose(values[..., 0], moved[..., 2])  # self among 3/1/4 is group among 4/1/3
    assert not torch.allclose(values[..., 0], moved[..., 0])
    assert torch.equal(critic.taken(public, counts, torch.full((2, 1, 1), 1)), values[..., 1])


def test_the_papers_critic_has_one_output_for_each_own_action_and_configuration():
    critic = ConfigurationCritic(episode_keys("user", 0, 1), 2, torch.eye(3), 4, 8)
    assert critic.output.bias.shape[-1] == 3 * 45
    public = torch.zeros(1, 2, 45, dtype=torch.int64)
    values = critic(public, configurations(8, 3).float().expand(1, 2, 45, 3))
    with torch.no_grad():
        hidden = torch.tanh(critic.hidden(torch.eye(3).expand(1, 2, 3, 3)))
        assert torch.allclose(values, critic.output(hidden)[:, :, 0].unflatten(-1, (3, 45)).transpose(2, 3))


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_trains_and_says_how_well_it_predicts(name):
    setting, policy = train(VARIANTS[name], Organization(team_size=4, topology="circle"), (0, 1), 6)
    assert setting.remaining == 0
    assert setting.updates == 6
    assert policy.runs == 2
    for notes in setting.notes:
        assert 0.0 <= notes["others_policy_error"] < 0.5
        assert notes["parameters"] > 0
        assert -28 < notes["configuration_log_likelihood"] <= 0.0
        assert sum(map(int, notes["policy_many"].split("/"))) == 4


def test_teams_too_large_for_an_exact_distribution_are_not_asked_for_it(monkeypatch):
    monkeypatch.setattr(ia2c_team, "_MOST_EXACT", 2)
    (notes,) = train(SMALL, Organization(team_size=4), (0,), 3)[0].notes
    assert "configuration_log_likelihood" not in notes
    assert "others_policy_error" in notes


def test_two_agents_remember_what_they_saw_before():
    assert public_features(OrganizationPair().observation_layout).shape == (9, 6)
    setting, policy = train(replace(SMALL, critic="per-configuration"), OrganizationPair(), (0,), 4)
    assert policy.publics == 9
    assert "policy_low" not in setting.notes[0]


@pytest.mark.parametrize("name", ["cf", "mf", "predicted"])
def test_a_stacked_run_learns_what_it_learns_alone(name):
    task = Organization(team_size=5, topology="star")
    _, stacked = train(VARIANTS[name], task, (0, 1, 2), 12)
    _, alone = train(VARIANTS[name], task, (2,), 12)
    assert torch.allclose(stacked.thresholds.reshape(3, -1)[2], alone.thresholds.flatten(), atol=1e-4)


def test_critics_that_know_nothing_of_the_others_value_own_actions_alone(monkeypatch):
    heard = []
    taken = CountCritic.taken

    def listen(self, public, counts, actions):
        heard.append(counts)
        return taken(self, public, counts, actions)

    monkeypatch.setattr(CountCritic, "taken", listen)
    for summary, told in (("nothing", False), ("configuration", True)):
        heard.clear()
        train(replace(SMALL, summary=summary), Organization(team_size=4), (0,), 4)
        assert any(bool(counts.any()) for counts in heard) == told


def test_training_repeats_itself():
    first, second = (train(SMALL, Organization(team_size=5), (4,), 8)[1].thresholds for _ in range(2))
    assert torch.equal(first, second)


def test_agents_act_on_what_they_see_themselves():
    task = Organization(team_size=5)
    _, policy = train(SMALL, task, (0,), 4)
    seen = task.observe(task.initial_state(episode_keys("user", 0, 3)))
    changed = seen.clone()
    changed[:, 1:] = changed[:, 1:].roll(1, -1)
    actions, _ = policy.act(seen, policy.initial_memory(torch.arange(3)))
    others, _ = policy.act(changed, policy.initial_memory(torch.arange(3)))
    assert torch.equal(actions[:, 0], others[:, 0])


def test_what_it_cannot_do_is_said():
    unknown = {"summary": "joint", "preset": "fast", "critic": "table", "advantage": "gae", "actor_activation": "selu"}
    for name, value in unknown.items():
        with pytest.raises(ValueError, match=f"{name}='{value}' is unknown; allowed"):
            replace(SMALL, **{name: value})
    for name in ("entropy_share", "settled_share"):
        with pytest.raises(ValueError, match=rf"{name}=0\.0 must be above 0"):
            replace(SMALL, **{name: 0.0})
    with pytest.raises(ValueError, match="allowed: unperturbed tasks of the organization family"):
        train(SMALL, Oracle(), (0,), 4)
    with pytest.raises(ValueError, match="summary='nothing' needs critic='counts'"):
        replace(SMALL, summary="nothing", critic="per-configuration")
    unequal = replace(SMALL, summary="neighbours", critic="per-configuration")
    with pytest.raises(ValueError, match="same number of others"):
        train(unequal, Organization(team_size=4, topology="star"), (0,), 4)


@pytest.mark.slow
def test_nine_agents_learn_the_optimum_from_predictions():
    task_id = "organization-full-9-v0"
    budget = get_suite("standard").budget(task_id)
    _, policy = train(IA2C(), make_task(task_id), (0, 1, 2), budget)
    returns = rollout(make_task(task_id), policy, episode_keys("evaluation", 0, 1).repeat(3)).returns
    assert (returns / reference(task_id).optimum).min() > 0.99


@pytest.mark.slow
def test_two_agents_learn_the_published_policy():
    task = OrganizationPair()
    _, policy = train(IA2C(critic="per-configuration"), task, (0, 1, 2), 6000)
    returns = rollout(task, policy, episode_keys("evaluation", 0, 1).repeat(3)).returns
    assert (returns / reference("organization-pair-v0").optimum).min() > 0.99
