"""Belief-I2Q and Rec.-I2Q: decentralised, reproducible run by run, kept near the data, and able to learn."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from recall import Recall, random_batch

from baselines.belief import BeliefModel
from baselines.exact_belief import ExactBelief
from baselines.i2q import AS_RELEASED, I2Q, BeliefI2Q, RecI2Q
from baselines.i2q_networks import Networks, foreseen, largest_return, report
from baselines.networks import MLP
from baselines.pretraining import Pretraining
from baselines.recurrent import scaling
from baselines.replay import Sequences
from baselines.summaries import BeliefHistory, BeliefPolicy, GRUHistory, ValuePolicy, belief_scaling
from benchmark.episodes.policy import BeliefPolicy as TellsBelief
from benchmark.episodes.policy import RandomPolicy
from benchmark.episodes.rollout import Episodes, rollout
from benchmark.harness.protocol import Setting
from benchmark.measures.posterior import exact_posterior
from benchmark.measures.references import reference
from benchmark.tasks.escape_room import EscapeRoom
from benchmark.tasks.oracle import Oracle
from benchmark.tasks.streams import episode_keys, policy_keys
from benchmark.tasks.task import Task

MEMORYLESS = BeliefI2Q(form="forward", belief="none", width=32)
RECURRENT = RecI2Q(form="forward", hidden=16, width=32)


def train(learner: I2Q, task: Task, seeds: tuple[int, ...], budget: int) -> tuple[Setting, ValuePolicy]:
    setting = Setting("test", task, seeds, budget)
    policies = list(learner.train(setting))
    assert isinstance(policies[-1], ValuePolicy)
    return setting, policies[-1]


def evaluate(task: Task, policy: ValuePolicy, runs: int, episodes: int = 100) -> Episodes:
    return rollout(task, policy, episode_keys("evaluation", 0, episodes).repeat(runs))


def untrained(kind: str, task: Task, runs: int = 1) -> ValuePolicy:
    """A policy of random weights."""
    keys, actions = episode_keys("user", 3, runs), len(task.action_names)
    scale = scaling(task.observation_layout, 2.0)
    if kind == "recurrent":
        networks = Networks(keys, task, task.observation_layout.size, 32, hidden=16)
        return ValuePolicy(networks.q, GRUHistory(networks.gru, scale, actions))
    belief = BeliefModel(keys, task) if kind == "learned" else ExactBelief(task, exact_posterior(task))
    history = BeliefHistory(belief, scale, 2.0)
    return BeliefPolicy(MLP(keys, task.agents, (history.size, 32, actions), "q"), history)


@pytest.mark.parametrize("learner", [replace(MEMORYLESS, collect=2), replace(RECURRENT, collect=2)])
def test_it_yields_before_training_and_after_every_round_and_spends_its_budget(learner):
    setting = Setting("recall", Recall(), (0, 1), 45)
    learner = replace(learner, updates_per_episode=1.5)
    assert sum(1 for _ in learner.train(setting)) == 1 + 23  # 22 rounds of 2 episodes and one of 1
    assert setting.remaining == 0
    assert setting.updates == round(45 * 1.5)
    for notes in setting.notes:
        losses = {"loss_f", "loss_qss", "loss_q"}
        assert notes.keys() == losses | {"hope", "start_value", "gradient_norm", "diverged", "parameters"}
        assert notes["parameters"] > 0
        assert notes["diverged"] is False


@pytest.mark.parametrize("kind", ["recurrent", "learned", "exact"])
def test_what_others_see_changes_nothing_that_an_agent_does(kind):
    """Agent 1 lives through another episode; agent 0's actions stay the same, though its batch mates change."""
    task = EscapeRoom()
    policy = untrained(kind, task)
    first, second = (rollout(task, RandomPolicy(2, 5), episode_keys("user", seed, 6)) for seed in (0, 1))
    chosen, acted_on = [], []
    for others in (first, second):
        seen = torch.stack((first.observations[:, :, 0], others.observations[:, :, 1]), 2)
        done = torch.stack((first.actions[..., 0], others.actions[..., 1]), 2)
        memory, actions, states = policy.initial_memory(policy_keys(first.keys)), [], []
        for step in range(20):
            states.append(policy.history.step(seen[:, step], memory.history)[0])
            action, memory = policy.act(seen[:, step], memory)
            memory = policy.with_actions(memory, done[:, step])
            actions.append(action)
        chosen.append(torch.stack(actions, 1))
        acted_on.append(torch.stack(states, 1))
    assert torch.equal(chosen[0][..., 0], chosen[1][..., 0])
    assert torch.equal(acted_on[0][:, :, 0], acted_on[1][:, :, 0])
    assert not torch.equal(acted_on[0][:, :, 1], acted_on[1][:, :, 1])


@pytest.mark.parametrize("kind", ["recurrent", "learned"])
def test_memory_is_fresh_in_every_episode(kind):
    policy, keys = untrained(kind, Oracle()), episode_keys("user", 0, 4)
    once = rollout(Oracle(), policy, keys)
    rollout(Oracle(), policy, episode_keys("user", 1, 4))
    again = rollout(Oracle(), policy, keys.flip(0))
    assert torch.equal(once.actions, again.actions.flip(0))


@pytest.mark.parametrize("learner", [MEMORYLESS, RECURRENT])
def test_a_stacked_run_learns_what_it_learns_alone(learner):
    # Nothing but exploration, so that all data are equal to the last bit and only rounding differs.
    learner = replace(learner, epsilon=1.0, epsilon_end=1.0, updates_per_episode=1)
    _, stacked = train(learner, Recall(), (0, 1, 2), 40)
    _, alone = train(learner, Recall(), (2,), 40)
    for many, one in zip(stacked.q.parameters(), alone.q.parameters(), strict=True):
        assert torch.allclose(many[2:], one, atol=1e-4)


@pytest.mark.parametrize("learner", [MEMORYLESS, RECURRENT])
def test_training_repeats_itself(learner):
    first, second = (train(learner, Recall(), (4,), 40)[1].q.state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("kind", ["learned", "exact"])
def test_the_replay_holds_what_the_policy_acts_on(kind):
    policy = untrained(kind, Oracle())
    assert isinstance(policy.history, BeliefHistory)
    played = rollout(Oracle(), RandomPolicy(2, 9), episode_keys("user", 0, 5))
    encoded = policy.history.encode(played)
    memory = policy.history.initial_memory(policy_keys(played.keys))
    for step in range(10):
        x, memory = policy.history.step(played.observations[:, step], memory)
        memory = policy.history.with_actions(memory, played.actions[:, step])
        assert torch.allclose(x, encoded[:, step], atol=1e-5)


def test_inputs_lie_within_the_scale_and_certainty_is_at_its_lower_end():
    belief = ExactBelief(Oracle(), exact_posterior(Oracle()))
    scale = belief_scaling(belief.hidden, 2.0)
    x = scale(belief.encode(rollout(Oracle(), RandomPolicy(2, 9), episode_keys("user", 0, 50))))
    assert x.abs().max() <= 2.0 + 1e-5
    low, high = torch.tensor([2.0, 2, 0, 0, 0]), torch.tensor([18.0, 18, 8, 8, 1])
    low[:4], high[:4] = low[:4] / 18, high[:4] / 18  # Hidden divides by the largest coordinate
    assert torch.allclose(scale(low), torch.full((5,), -2.0), atol=1e-5)
    assert torch.allclose(scale(high), torch.full((5,), 2.0), atol=1e-5)


def test_without_variance_only_the_means_and_probabilities_are_left():
    belief = ExactBelief(EscapeRoom(), exact_posterior(EscapeRoom()))
    scale = scaling(EscapeRoom().observation_layout, 2.0)
    sizes = [BeliefHistory(belief, scale, 2.0, variance).size for variance in (True, False)]
    assert sizes == [104 + 6 + 6 + 2, 104 + 6 + 2]


def test_a_policy_with_a_belief_tells_it():
    assert isinstance(untrained("learned", Oracle()), TellsBelief)
    assert isinstance(untrained("exact", Oracle()), TellsBelief)
    assert not isinstance(untrained("recurrent", Oracle()), TellsBelief)


def networks(hidden: int = 8) -> tuple[Networks, Networks]:
    online = Networks(episode_keys("user", 0, 1), Recall(), 4, 16, hidden=hidden)
    target = Networks(episode_keys("user", 1, 1), Recall(), 4, 16, hidden=hidden).requires_grad_(False)
    return online, target


def test_each_loss_teaches_its_own_network_and_only_q_teaches_the_memory():
    online, target = networks()
    loss, _ = RECURRENT.loss(online, target, random_batch(1, 0))
    loss.sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in online.parameters())
    assert all(p.grad is None for p in target.parameters())
    # With Q silent the GRU learns nothing, and Qss and f learn the same.
    before = {name: p.grad.clone() for name, p in online.named_parameters() if p.grad is not None}
    online.zero_grad()
    for p in online.q.parameters():
        p.requires_grad_(False)
    with torch.no_grad():
        frozen = online.states
    online.states = lambda stored, actions: frozen(stored, actions).detach()  # type: ignore[method-assign]
    loss, _ = RECURRENT.loss(online, target, random_batch(1, 0))
    loss.sum().backward()
    after = {name: p.grad for name, p in online.named_parameters() if p.grad is not None}
    assert {name.partition(".")[0] for name in after} == {"qss", "f"}
    assert all(torch.equal(after[name], before[name]) for name in after)


def test_what_lies_beyond_an_episodes_end_teaches_nothing():
    online, target = networks()
    batch = random_batch(1, 0)
    discount, mask = batch.discount.clone(), batch.mask.clone()
    discount[..., 1], mask[..., 2] = 0.0, False  # the second step of three ends every episode
    batch = batch._replace(discount=discount, mask=mask)
    changed = batch._replace(rewards=batch.rewards.clone(), observations=batch.observations.clone())
    changed.rewards[..., 2] += 5.0
    changed.observations[..., 3:, :] += 1.0
    first, second = (RECURRENT.loss(online, target, sequences)[0] for sequences in (batch, changed))
    assert torch.allclose(first, second)


def test_an_agent_learns_from_its_own_observations_actions_and_rewards_only():
    online, target = networks()
    batch, other = random_batch(1, 0), random_batch(1, 1)
    mixed = Sequences(
        torch.cat((batch.observations[:, :1], other.observations[:, 1:]), 1),
        torch.cat((batch.actions[:, :1], other.actions[:, 1:]), 1),
        torch.cat((batch.rewards[:, :1], other.rewards[:, 1:]), 1),
        batch.discount,
        batch.mask,
    )
    gradients = []
    for sequences in (batch, mixed):
        online.zero_grad()
        loss, _ = RECURRENT.loss(online, target, sequences)
        loss.sum().backward()
        gradients.append([p.grad.clone() for p in online.parameters() if p.grad is not None])
    for before, after in zip(*gradients, strict=True):
        assert torch.equal(before[:, 0], after[:, 0])
        assert not torch.equal(before[:, 1], after[:, 1])


def test_the_value_gate_marks_runs_and_never_takes_it_back():
    setting = Setting("oracle-v0", Oracle(), (0, 1), 10)
    optimum = reference("oracle-v0").optimum
    for first in (1.11 * optimum, 0.5):
        report(setting, {"start_value": torch.tensor([[first, first], [1.09 * optimum, 0.5]])})
    assert [notes["diverged"] for notes in setting.notes] == [True, False]
    assert setting.notes[0]["start_value"] == pytest.approx(0.5)


def test_the_largest_return_is_known_for_perturbed_tasks_and_infinite_for_strangers():
    assert largest_return("oracle-v0") == largest_return("oracle-v0:slip=0.1") == reference("oracle-v0").optimum
    assert largest_return("nobody-knows-v0") == float("inf")


def kept(what: str, task: Task, size: int) -> Sequence[int] | None:
    entries = foreseen(what, task.observation_layout, size)
    return None if entries is None else entries.tolist()


def test_what_is_foreseen():
    assert kept("state", EscapeRoom(), 118) is None
    assert kept("compact", EscapeRoom(), 118) == list(range(100, 118))
    assert kept("compact", Oracle(), 17) is None
    assert kept("observation", Oracle(), 17) == list(range(12))
    with pytest.raises(ValueError, match="foresees='all'"):
        kept("all", Oracle(), 17)


def test_what_is_not_foreseen_does_not_count():
    networks = Networks(
        episode_keys("user", 0, 1),
        EscapeRoom(),
        104,
        16,
        foreseen("compact", EscapeRoom().observation_layout, 112),
        hidden=8,
    )
    x = torch.rand(1, 2, 3, 112)
    assert networks.part(x).shape[-1] == 12
    assert networks.propose(x, torch.zeros(1, 2, 3, dtype=torch.int64)).shape[-1] == 12


def test_the_expectile_form_learns_a_value_and_no_model():
    setting, _ = train(replace(RECURRENT, form="expectile"), Recall(), (0, 1), 20)
    assert setting.notes[0].keys() >= {"loss_v", "loss_qss", "loss_q"}
    assert "loss_f" not in setting.notes[0]
    with pytest.raises(ValueError, match="form='expectil'"):
        replace(RECURRENT, form="expectil")


def test_the_released_choices_are_one_word():
    small = BeliefI2Q(belief="none", width=8, preset="as-released")
    setting, policy = train(small, Recall(), (0,), 4)
    assert setting.updates == 40
    assert policy.history.step(torch.full((1, 2, 4), 0.7), None)[0].tolist() == torch.full((1, 2, 4), 0.7).tolist()
    assert all(hasattr(small, name) for name in AS_RELEASED)


def test_with_the_released_slips_ends_do_not_end_and_the_last_action_is_not_explored():
    online, target = networks()
    batch = random_batch(1, 0)
    ends = batch._replace(discount=torch.zeros_like(batch.discount))
    for slips in (True, False):
        first, second = (replace(RECURRENT, slips=slips).loss(online, target, b)[0] for b in (batch, ends))
        assert torch.equal(first, second) is slips
    policy = untrained("recurrent", Oracle())
    policy.epsilon, policy.explored = 1.0, 8
    assert rollout(Oracle(), policy, episode_keys("user", 0, 40)).actions.max() == 7


def test_memory_cannot_start_in_the_middle():
    with pytest.raises(ValueError, match="window=4"):
        next(replace(RECURRENT, window=4).train(Setting("recall", Recall(), (0,), 10)))


def test_windows_are_cut_for_learners_without_memory():
    setting, _ = train(replace(MEMORYLESS, window=2), Recall(), (0,), 20)
    assert setting.updates == 40


def test_a_learned_belief_is_asked_for_as_configured(monkeypatch):
    asked, sizes = [], []

    def prepare(setting: Setting, config: Pretraining, *, episodes: int) -> BeliefModel:
        asked.append(config)
        sizes.append(episodes)
        return BeliefModel(setting.run_keys[:1], setting.task, config.form).requires_grad_(False)

    monkeypatch.setattr("baselines.i2q.prepare_belief", prepare)
    _, policy = train(
        BeliefI2Q(samples=5, beta=4.0, belief_episodes=100, belief_updates=30, width=16, batch=2), Oracle(), (0, 1), 3
    )
    assert isinstance(policy, TellsBelief)
    assert (asked[0].form.samples, asked[0].beta, asked[0].loss) == (5, 4.0, "elbo")
    assert (asked[0].updates, sizes[0]) == (30, 100)
    next(BeliefI2Q(preset="as-released", width=16).train(Setting("test", Oracle(), (0,), 3)))
    assert (asked[1].loss, asked[1].updates) == ("as-released", 10 * 3)
    with pytest.raises(ValueError, match="belief='true'"):
        next(BeliefI2Q(belief="true").train(Setting("test", Oracle(), (0,), 3)))  # type: ignore[arg-type]


@pytest.mark.slow
def test_with_an_exact_belief_it_learns_to_sweep_oracles_boxes():
    _, policy = train(BeliefI2Q(belief="exact"), Oracle(), (0, 1, 2, 3, 4), 800)
    returns = evaluate(Oracle(), policy, 5).returns.view(5, -1).mean(1)
    assert returns.mean() > 0.6, returns


@pytest.mark.slow
def test_with_memory_in_place_of_a_belief_it_learns_to_sweep_oracles_boxes():
    _, policy = train(RecI2Q(), Oracle(), (0, 1, 2), 1200)
    returns = evaluate(Oracle(), policy, 3).returns.view(3, -1).mean(1)
    assert returns.mean() > 0.6, returns
