"""MADDPG and MADDPG++: what the critic is, what runs and agents share (nothing), and that it learns."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from baselines.maddpg import MADDPG, PUBLISHED
from baselines.maddpg_critic import Critic
from baselines.maddpg_team import Team
from baselines.organization import TablePolicy
from baselines.others import Others
from benchmark.episodes.rollout import rollout
from benchmark.harness.protocol import Setting
from benchmark.harness.submission import find_submission
from benchmark.measures.references import reference
from benchmark.tasks.organization import Organization
from benchmark.tasks.registry import make_task
from benchmark.tasks.streams import episode_keys

SUBMISSIONS = Path(__file__).parents[1] / "leaderboard" / "submissions"
SMALL = {"collect": 2, "updates": 2, "batch": 32, "actor_batch": 16, "hidden": 8}


def trained(task_id, seeds, budget=12, **changes):
    """The policies' greedy actions after every round, and the setting."""
    setting = Setting(task_id, make_task(task_id), seeds, budget)
    tables = []
    settings: dict[str, Any] = SMALL | changes
    for policy in MADDPG(**settings).train(setting):
        assert isinstance(policy, TablePolicy)
        assert policy.greedy
        tables.append(policy.thresholds.unflatten(0, (len(seeds), -1)))
    return torch.stack(tables, 1), setting


@pytest.mark.parametrize(
    ("task_id", "changes"),
    [
        ("organization-full-5-v0", {}),
        ("organization-circle-5-v0", {"summary": "neighbours", "reward": "neighbourhood"}),
        ("organization-tree-5-v0", {"summary": "neighbours", "reward": "neighbourhood", "shared_critic": False}),
        ("organization-full-3-v0", {"summary": "joint", "shared_critic": False}),
        ("organization-pair-v0", {"summary": "joint"}),
        ("organization-full-4-v0", {"merged": False, "huber": False, "shared_critic": False}),
    ],
)
def test_a_run_stacked_with_others_is_the_run_alone(task_id, changes):
    stacked, setting = trained(task_id, (0, 1, 2), **changes)
    alone, single = trained(task_id, (1,), **changes)
    assert torch.allclose(stacked[1], alone[0], atol=1e-5)
    assert setting.notes[1].keys() == single.notes[0].keys()
    assert single.notes[0]["parameters"] > 0
    for name, value in single.notes[0].items():
        if name == "memory_mib":
            continue
        assert setting.notes[1][name] == (pytest.approx(value, abs=1e-4) if isinstance(value, float) else value)
    assert not torch.allclose(stacked[0], stacked[1])
    assert setting.episodes_used == setting.budget


def test_agents_share_no_actor_and_all_of_them_learn():
    tables, _ = trained("organization-full-5-v0", (0,), budget=4)
    before, after = tables[0, 0].view(5, 3, 2), tables[0, -1].view(5, 3, 2)
    assert len({tuple(rows.flatten().tolist()) for rows in before}) == 5
    assert ((before - after).abs().flatten(1).max(1).values > 1e-4).all()


def critic(merged, summary="configuration"):
    view = Others(Organization(4), summary)
    keys = episode_keys("train", 0, 1)
    return Critic(keys, view, publics=3, critics=1, hidden=16, merged=merged), view


@pytest.mark.parametrize("summary", ["configuration", "joint"])
def test_merged_the_critic_knows_only_what_everybody_did(summary):
    """Whoever chose what: the same joint action, seen by two of its agents, has the same value."""
    net, view = critic(True, summary)
    chosen = torch.eye(3)[torch.tensor([0, 1, 2, 2])]
    seen, agents = view.seen(chosen), torch.arange(4)
    public = torch.ones(4, dtype=torch.int64)
    values = net(public[None, None], chosen[None, None], agents[None, None], seen[None, None])
    assert torch.allclose(values, values[..., :1].expand_as(values), atol=1e-6)


def test_who_chose_alike_sees_alike_and_is_asked_about_once():
    setting = Setting("organization-full-9-v0", make_task("organization-full-9-v0"), (0, 1), 12)
    settings: dict[str, Any] = {**SMALL}
    team = Team(MADDPG(**settings), setting)
    draw = torch.Generator().manual_seed(3)
    public = torch.randint(3, (2, 16), generator=draw)
    actions = torch.randint(3, (2, 16, 9), generator=draw)
    relaxed = torch.rand(2, 9, 16, 3, generator=draw).softmax(-1)
    value = team.of_actors(public, actions, relaxed)
    chosen = torch.nn.functional.one_hot(actions, 3).float()
    for agent in range(9):
        others = chosen.sum(2) - chosen[:, :, agent]
        expected = torch.zeros(2, 16)
        for action in range(3):
            own = torch.eye(3)[action].expand(2, 1, 16, 3)
            who = torch.full((2, 1, 16), agent)
            expected += relaxed[:, agent, :, action] * team.critic(public[:, None], own, who, others[:, None])[:, 0]
        assert torch.allclose(value[:, agent], expected, atol=1e-5)


def test_counts_are_measured_in_their_own_spread():
    net, _ = critic(True)
    counts = torch.tensor([[1.0, 0.0, 3.0], [3.0, 0.0, 1.0], [2.0, 0.0, 2.0]]).expand(1, 1, 3, 3)
    net.measure(counts, share=0.1)  # the first measurement counts in full
    assert net.mean[0, 0, 0].tolist() == [2.0, 0.0, 2.0]
    assert net.spread[0, 0, 0].tolist() == pytest.approx([1.0, 0.0, 1.0])
    net.measure(counts + 1, share=0.1)
    assert net.mean[0, 0, 0].tolist() == pytest.approx([2.1, 0.1, 2.1])


def test_the_target_critic_counts_in_the_unit_of_its_weights():
    setting = Setting("organization-full-5-v0", Organization(5), (0,), 12)
    settings: dict[str, Any] = {**SMALL}
    team = Team(MADDPG(**settings), setting)
    for _ in team.rounds():
        pass
    assert not torch.equal(team.critic.mean, torch.zeros_like(team.critic.mean))
    assert torch.equal(team.critic_target.mean, team.critic.mean)
    assert torch.equal(team.critic_target.spread, team.critic.spread)


def test_every_setting_of_the_faithful_preset_is_a_parameter():
    assert set(PUBLISHED) <= {field.name for field in dataclasses.fields(MADDPG)}
    tables, _ = trained("organization-full-3-v0", (0,), budget=6, preset="faithful")
    assert torch.isfinite(tables).all()


def test_unknown_choices_are_refused():
    with pytest.raises(ValueError, match="preset='published' is unknown"):
        MADDPG(preset="published")
    with pytest.raises(ValueError, match="actor_activation='tanh' is unknown; allowed: relu, leaky-relu"):
        MADDPG(actor_activation="tanh")
    with pytest.raises(ValueError, match="summary='mean' is unknown"):
        trained("organization-full-3-v0", (0,), summary="mean")
    with pytest.raises(ValueError, match="allowed: unperturbed tasks"):
        trained("honeycomb-n3-v0", (0,))


@pytest.mark.parametrize("name", ["maddpg", "maddpg++-cf", "maddpg++-mf"])
def test_the_manifests_build(name):
    submission = find_submission(name, [SUBMISSIONS])
    learner = submission.build()
    assert isinstance(learner, MADDPG)
    assert submission.applies_to("organization-circle-9-v0")
    assert submission.applies_to("organization-circle-27-v0") == (name != "maddpg")
    assert not submission.applies_to("oracle-v0")
    assert learner.reward == ("neighbourhood" if name == "maddpg++-mf" else "team")


@pytest.mark.slow
def test_configurations_reach_the_optimum_of_nine_agents():
    task_id = "organization-full-9-v0"
    setting = Setting(task_id, make_task(task_id), tuple(range(4)), 1500)
    *_, policy = MADDPG().train(setting)
    returns = rollout(setting.task, policy, episode_keys("user", 0, 4)).returns / reference(task_id).optimum
    assert (returns > 0.99).sum() >= 3
    assert float(returns.mean()) > 0.95


@pytest.mark.parametrize(("budget", "rounds"), [(500, 500), (4000, 500), (10_000, 1000), (50_000, 2500)])
def test_a_budget_makes_at_least_500_rounds_and_at_most_2500(budget, rounds):
    setting = Setting("organization-full-2-v0", make_task("organization-full-2-v0"), (0,), budget)
    policies = MADDPG(hidden=8, batch=8, actor_batch=8).train(setting)
    for _ in range(2):  # the policy before training, and a round
        next(policies)
    assert budget / setting.episodes_used == rounds
