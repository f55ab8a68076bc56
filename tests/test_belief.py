"""Beliefs: numbers worked out by hand, frozen use by steps or whole, alone or stacked, the cache, the gate."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from toy import Whisper

from baselines.belief import BeliefForm, BeliefModel, normal
from baselines.belief_cache import cache_path, load, prepare_belief, store
from baselines.belief_gate import Evidence, gate, recall
from baselines.hidden import GaussianHead, Hidden
from baselines.losses import cvae_loss, cvae_loss_as_released, gaussian_nll, standard_normal_kl
from baselines.pretraining import Histories, Pretrained, Pretraining, keep, loss_of, pretrain, some_steps
from benchmark.episodes.policy import RandomPolicy
from benchmark.episodes.rollout import Episodes, rollout
from benchmark.harness.protocol import Setting
from benchmark.measures.beliefs import prior
from benchmark.tasks.escape_room import EscapeRoom
from benchmark.tasks.gathering import Gathering
from benchmark.tasks.honeycomb import HoneyComb
from benchmark.tasks.oracle import BOXES, Oracle
from benchmark.tasks.perturb import Dropout, Noise, Slip, Sticky
from benchmark.tasks.streams import bits, episode_keys, policy_keys
from benchmark.tasks.task import HiddenVariable, Task

QUICK = Pretraining(updates=4, batch=4, validate=2, validation=8, warm_up=2)
VARIABLES = (
    HiddenVariable("thing", "coordinates", ((0, 0), (0, 4), (2, 0), (-1, -1))),
    HiddenVariable("flag", "categorical", ("no", "yes")),
)


def keys(count: int, start: int = 0) -> torch.Tensor:
    return episode_keys("user", 5, count, start=start)


def play(task: Task, count: int, start: int = 0) -> Episodes:
    return rollout(task, RandomPolicy(task.agents, len(task.action_names)), keys(count, start))


def close(a: torch.Tensor, b: torch.Tensor) -> bool:
    return torch.allclose(a, b, atol=1e-5)


# Losses.


def test_density_and_divergence_of_normals():
    assert float(gaussian_nll(torch.tensor(1.0), torch.tensor(2.0), torch.tensor(3.0))) == pytest.approx(
        math.log(2) + 0.5 + math.log(2 * math.pi) / 2
    )
    assert float(standard_normal_kl(torch.tensor(1.0), torch.tensor(4.0).log())) == pytest.approx(2 - math.log(2))
    assert float(standard_normal_kl(torch.zeros(()), torch.zeros(()))) == 0.0


def test_both_weightings_of_the_lower_bound():
    nll, kl = torch.tensor([[[[1.0, 3.0, 100.0]]]]), torch.tensor([[[[2.0, 4.0, 100.0]]]])
    mask = torch.tensor([[[True, True, False]]])
    assert cvae_loss(nll, kl, mask, beta=10.0).tolist() == [[2.0 + 10 * 3.0]]
    assert cvae_loss_as_released(nll, kl, mask, dimensions=4).tolist() == [[2.0 / 4 + 6.0 / 2]]


# Hidden variables in numbers.


def test_hidden_variables_as_inputs():
    hidden = Hidden(VARIABLES)
    assert hidden.scale == 4.0
    encoded = hidden.encode(torch.tensor([[1, 0], [3, 1]]))
    assert encoded.tolist() == [[0.0, 1.0, 0.0, 1.0, 0.0], [0.0, 0.0, 1.0, 0.0, 1.0]]  # x, y, gone, no, yes


def test_the_belief_vector_holds_moments_and_probabilities():
    hidden = Hidden(VARIABLES)
    thing, flag = torch.tensor([0.2, 0.2, 0.4, 0.2]).log(), torch.tensor([0.7, 0.3]).log()
    # Given that it is there: (0, 0), (0, 1), (1/2, 0) with 1/4, 1/4, 1/2.
    expected = [0.25, 0.25, 0.25, math.sqrt(1 / 4 - 1 / 16), 0.2, 0.3]
    assert hidden.features == len(expected)
    assert close(hidden.vector((thing, flag)), torch.tensor([0.25, 0.25, 0.25, 3**0.5 / 4, 0.2, 0.3]))


def test_a_normal_belief_on_the_lattice():
    head = GaussianHead(Hidden(VARIABLES), smallest_std=0.5)
    # Means 0, 0; standard deviations at the floor; gone with 1/4, the flag up with 1/2.
    outputs = torch.tensor([0.0, 0.0, -50.0, -50.0, math.log(3), 0.0, 0.0, 0.0])
    weights = torch.tensor([1.0, math.exp(-2.0), math.exp(-0.5)])  # distances 0, 1, 1/2 in units of 1/2
    thing, flag = head.log_probabilities(outputs)
    assert close(thing.exp(), torch.cat((0.75 * weights / weights.sum(), torch.tensor([0.25]))))
    assert close(flag.exp(), torch.tensor([0.5, 0.5]))
    assert close(head.vector(outputs), torch.tensor([0.0, 0.0, 0.5, 0.5, 0.25, 0.5]))


def test_the_likelihood_of_a_normal_belief():
    head = GaussianHead(Hidden(VARIABLES), smallest_std=0.5)
    outputs = torch.tensor([0.0, 0.0, -50.0, -50.0, math.log(3), 0.0, 0.0, 0.0])
    at_mean = 2 * (math.log(0.5) + math.log(2 * math.pi) / 2)
    nll = head.nll(outputs.expand(3, -1), torch.tensor([[0, 0], [1, 1], [3, 0]]))
    expected = [at_mean - math.log(0.75), at_mean + 2.0 - math.log(0.75), -math.log(0.25)]
    assert close(nll, torch.tensor(expected) + math.log(2))


def test_no_standard_deviation_falls_below_the_floor():
    head = GaussianHead(Hidden(Oracle().hidden_variables), smallest_std=0.05)
    assert float(head.vector(torch.full((head.outputs,), -1e6))[2:4].min()) == pytest.approx(0.05)


def test_normal_draws_are_finite_and_standard():
    extremes = normal(torch.tensor([0, -1]))
    assert extremes.isfinite().all()
    assert extremes[0] < -5
    assert extremes[1] > 5
    draws = normal(bits(keys(1), 0, "test", 100_000))
    assert float(draws.mean()) == pytest.approx(0.0, abs=0.02)
    assert float(draws.std()) == pytest.approx(1.0, abs=0.02)


# Frozen use.


def test_whole_episodes_give_what_stepping_gives():
    for task in (Oracle(), Gathering(), EscapeRoom(), HoneyComb(team_size=3)):
        for decoder in ("gaussian", "categorical") if isinstance(task, Oracle) else ("gaussian",):
            model, episodes = BeliefModel(keys(2), task, BeliefForm(decoder=decoder)), play(task, 4)
            vectors, beliefs = model.encode(episodes), model.encode_log_probabilities(episodes)
            memory = model.initial_memory(policy_keys(episodes.keys))
            for step in range(6):
                memory = model.step(episodes.observations[:, step], memory)
                assert close(model.read(memory), vectors[:, step])
                for now, along in zip(model.log_probabilities(memory), beliefs, strict=True):
                    assert close(now, along[:, step])
                    assert close(now.exp().sum(-1), torch.ones(()))
                memory = model.with_actions(memory, episodes.actions[:, step])


def test_a_stacked_model_is_the_model_alone():
    task, episodes = Oracle(), play(Oracle(), 6)
    together = BeliefModel(keys(3), task).encode(episodes)
    alone = BeliefModel(keys(1, start=2), task).encode(episodes[4:])
    assert torch.equal(together[4:], alone)


def test_one_model_serves_all_runs_and_any_batch():
    task, episodes = Oracle(), play(Oracle(), 300)
    model = BeliefModel(keys(1), task)
    assert close(model.encode(episodes)[290:], model.encode(episodes[290:]))


def test_an_agent_believes_by_its_own_history_alone():
    task, episodes = EscapeRoom(), play(EscapeRoom(), 3)
    model = BeliefModel(keys(1), task)
    observations, actions = episodes.observations.clone(), episodes.actions.clone()
    observations[:, :, 1] = 0.0
    actions[:, :, 1] = 0
    other = model.encode(replace(episodes, observations=observations, actions=actions))
    before = model.encode(episodes)
    assert torch.equal(other[:, :, 0], before[:, :, 0])
    assert not torch.equal(other[:, :, 1], before[:, :, 1])


def test_samples_are_averaged_and_drawn_by_episode_and_step():
    task, episodes = Oracle(), play(Oracle(), 2)
    still = BeliefModel(keys(1), task, BeliefForm(temperature=0.0, samples=1)).encode(episodes)
    assert close(BeliefModel(keys(1), task, BeliefForm(temperature=0.0, samples=5)).encode(episodes), still)
    few, many = (BeliefModel(keys(1), task, BeliefForm(samples=m)).encode(episodes) - still for m in (1, 16))
    assert 0.0 < float(many.square().mean()) < float(few.square().mean()) / 4
    assert not torch.equal(few[0], few[1])


# Training.


def test_a_stacked_training_is_the_training_alone():
    task, data = Oracle(), play(Oracle(), 24)
    together = pretrain(task, QUICK, keys(2), data[:16], data[16:]).model
    alone = pretrain(task, QUICK, keys(1, start=1), data[:16], data[16:]).model
    for stacked, single in zip(together.parameters(), alone.parameters(), strict=True):
        assert torch.allclose(stacked[1:], single, atol=1e-6)


def test_the_best_weights_are_kept_network_by_network():
    old, new = BeliefModel(keys(2), Whisper()), BeliefModel(keys(2, start=2), Whisper())
    first = [parameter.clone() for parameter in old.parameters()]
    keep(old, new, torch.tensor([[True, False], [False, True]]))
    for before, kept, fresh in zip(first, old.parameters(), new.parameters(), strict=True):
        assert torch.equal(kept[0, 0], fresh[0, 0])
        assert torch.equal(kept[0, 1], before[0, 1])
        assert torch.equal(kept[1, 0], before[1, 0])


def test_training_stops_when_nothing_gets_better():
    data = play(Whisper(), 64)
    trained = pretrain(Whisper(), replace(QUICK, updates=100, learning_rate=0.0, patience=3), keys(1), data, data)
    assert trained.updates == 2 * (1 + 3)
    assert [update for update, _ in trained.curve] == [2, 4, 6, 8]


def test_the_learning_rate_warms_up_and_falls_to_zero():
    config = Pretraining(updates=1100, warm_up=100, learning_rate=1.0)
    rates = [config.learning_rate_at(update) for update in (0, 99, 100, 600, 1100)]
    assert rates == pytest.approx([0.01, 1.0, 1.0, 0.5, 0.0])


def test_data_made_small_is_the_data():
    data = play(Oracle(random_start=True), 40)
    assert 0 < int(data.terminated.sum()) < 40
    rows = torch.arange(40).view(2, 20)
    observations, actions, truth, mask = Histories(data).take(rows)
    assert torch.allclose(observations.expand(-1, -1, -1, 2, -1), data.observations[rows], atol=1e-3)
    assert torch.equal(actions, data.actions[rows].to(torch.uint8))
    assert torch.equal(truth, data.hidden[rows])
    going_on = data.lengths + 1 - data.terminated.any(1).long()
    assert torch.equal(mask.sum(-1), going_on[rows])


def test_some_steps_are_judged_each_time_others():
    histories = torch.arange(2 * 3 * 4 * 10.0).view(2, 3, 4, 10, 1)
    truth = histories[:, 0].long()
    mask = torch.rand(2, 4, 10, generator=torch.Generator().manual_seed(0)) < 0.5
    chosen, their_truth, their_mask = some_steps(bits(keys(2), 0, "test", 5), histories, truth, mask)
    assert chosen.shape == (2, 3, 4, 5, 1)
    assert torch.equal(chosen[:, 0].long(), their_truth)
    for run in range(2):
        for step in range(5):
            old = int(their_truth[run, 0, step, 0]) % 10
            assert torch.equal(chosen[run, :, :, step], histories[run, :, :, old])
            assert torch.equal(their_mask[run, :, step], mask[run, :, old])
    assert some_steps(bits(keys(2), 0, "test", 10), histories, truth, mask)[0] is histories


def test_every_form_has_a_loss_with_a_gradient_for_every_weight():
    data = Histories(play(Gathering(), 6))
    for form in (BeliefForm(), BeliefForm(latent=0), BeliefForm(decoder="categorical")):
        for loss in ("elbo", "as-released"):
            config = replace(QUICK, form=form, loss=loss, batch=2)
            model = BeliefModel(keys(1), Gathering(), form)
            values = loss_of(model, config, keys(1), data, 0)
            assert values.shape == (1, 3)
            values.sum().backward()
            gradients = [parameter.grad for parameter in model.parameters()]
            assert all(gradient is not None and gradient.any() for gradient in gradients)


@pytest.mark.parametrize("wrong", [{"decoder": "normal"}, {"samples": 0}, {"latent": -1}, {"octaves": -1}])
def test_a_wrong_form_is_refused(wrong: dict):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        BeliefForm(**wrong)


# Cache and record.


def setting(task: Task, runs: int = 2, task_id: str = "oracle-v0") -> Setting:
    data = {"train": play(task, 16), "validation": play(task, 12, start=16)}
    return Setting(task_id, task, tuple(range(runs)), 10, dataset=data.__getitem__)


def test_a_shared_belief_is_trained_once_and_noted_for_every_run(tmp_path, monkeypatch):
    monkeypatch.setenv("PENUMBRA_CACHE", str(tmp_path))
    first, second = setting(Oracle()), setting(Oracle(), runs=3)
    model = prepare_belief(first, QUICK)
    again = prepare_belief(second, QUICK)
    assert len(list(tmp_path.glob("beliefs/oracle-v0-*.npz"))) == 1
    for a, b in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)
        assert not b.requires_grad
    assert first.notes[0] == first.notes[1] == second.notes[2]
    assert first.notes[0]["belief_updates"] == 4
    assert first.notes[0]["parameters"] == sum(weight.numel() for weight in model.parameters())
    assert first.notes[0]["belief_gate_passed"] is False
    assert first.notes[0]["belief_oracle_accuracy_after_limit"] == 0.95


def test_a_belief_of_a_perturbed_task_has_a_name_that_windows_allows(tmp_path, monkeypatch):
    monkeypatch.setenv("PENUMBRA_CACHE", str(tmp_path))
    prepare_belief(setting(Oracle(), task_id="oracle-v0:slip=0.1"), QUICK)
    assert [path.name[:19] for path in tmp_path.glob("beliefs/*.npz")] == ["oracle-v0@slip=0.1-"]


def test_a_belief_may_learn_from_a_part_of_the_dataset(tmp_path, monkeypatch):
    monkeypatch.setenv("PENUMBRA_CACHE", str(tmp_path))
    everything, few = prepare_belief(setting(Oracle()), QUICK), prepare_belief(setting(Oracle()), QUICK, episodes=2)
    assert not torch.equal(everything.gru.input_weight, few.gru.input_weight)
    same = prepare_belief(setting(Oracle()), QUICK, episodes=20_000)  # no part: all there are
    assert torch.equal(everything.gru.input_weight, same.gru.input_weight)
    assert len(list(tmp_path.glob("beliefs/oracle-v0-*.npz"))) == 2
    with pytest.raises(ValueError, match="episodes=0 must be at least 1"):
        prepare_belief(setting(Oracle()), QUICK, episodes=0)


def test_a_belief_for_each_run_is_the_runs_own(tmp_path, monkeypatch):
    monkeypatch.setenv("PENUMBRA_CACHE", str(tmp_path))
    model = prepare_belief(setting(Oracle()), QUICK, shared=False)
    assert model.runs == 2
    assert not torch.equal(model.gru.input_weight[0], model.gru.input_weight[1])
    assert not list(tmp_path.iterdir())


def test_a_stored_model_comes_back_and_a_damaged_one_does_not(tmp_path, caplog):
    task, data = Oracle(), play(Oracle(), 12)
    trained = pretrain(task, QUICK, keys(1), data, data)
    path = tmp_path / "belief.npz"
    assert load(path, task, QUICK, keys(1)) is None
    store(path, trained)
    back = load(path, task, QUICK, keys(1))
    assert isinstance(back, Pretrained)
    assert (back.updates, back.seconds) == (trained.updates, trained.seconds)
    assert torch.equal(back.model.encode(data), trained.model.encode(data))
    assert load(path, EscapeRoom(), QUICK, keys(1)) is None
    arrays = dict(np.load(path))
    np.savez(path, **arrays | {"weights/gru.hidden_bias": arrays["weights/gru.hidden_bias"] + 1})
    assert load(path, task, QUICK, keys(1)) is None
    assert "digest" in caplog.text
    path.write_bytes(path.read_bytes()[:1000])
    assert load(path, task, QUICK, keys(1)) is None


def test_the_cache_tells_configurations_and_data_apart():
    data = play(Oracle(), 4)
    paths = {
        cache_path("oracle-v0", QUICK, data),
        cache_path("oracle-v0", replace(QUICK, beta=5.0), data),
        cache_path("oracle-v0", replace(QUICK, form=BeliefForm(latent=0)), data),
        cache_path("oracle-v0", QUICK, data[:3]),
        cache_path("gathering-v0", QUICK, data),
        cache_path("oracle-v0", QUICK, data, 100),
    }
    assert len(paths) == 6
    assert cache_path("oracle-v0:slip=0.1", QUICK, data) not in paths  # another world, even if it looks the same
    assert cache_path("oracle-v0", replace(QUICK, form=BeliefForm(samples=9)), data) in paths


# The gate.


def evidence_of(task: Task, exact: bool, count: int = 200) -> Evidence:
    episodes = play(task, count)
    beliefs = recall(task, episodes)
    if not exact:
        beliefs = tuple(
            prior(values.shape[-1], episodes.hidden[:, :-1, index], episodes.mask).log().float().expand(values.shape)
            for index, values in enumerate(beliefs)
        )
    return Evidence(episodes, Hidden(task.hidden_variables).vector(beliefs), beliefs)


@pytest.mark.parametrize(
    "task",
    [
        Oracle(random_start=True),
        Oracle(True, 1.0),
        Oracle(True, hint_probability=0.0),
        Slip(Sticky(Oracle(True), 0.3), 0.3),
        EscapeRoom(random_start=True),
        HoneyComb(team_size=3),
    ],
)
def test_the_exact_posterior_passes_the_gate_and_the_prior_does_not(task: Task):
    assert all(check.passed for check in gate(task, evidence_of(task, exact=True)))
    assert not all(check.passed for check in gate(task, evidence_of(task, exact=False)))


def test_the_gate_asks_only_what_the_world_can_tell():
    assert "oracle_accuracy_after" not in [
        c.name for c in gate(Oracle(hint_probability=0.0), evidence_of(Oracle(True, 0.0, 0.0), exact=True))
    ]
    nobody = HoneyComb(team_size=3, informed=0)
    assert [check.name for check in gate(nobody, evidence_of(nobody, exact=True))] == [
        "honeycomb_mean_error",
        "honeycomb_variance_error",
    ]
    for hazy in (Noise(Oracle(), 0.1), Slip(Dropout(Oracle(), 0.1), 0.1)):
        (check,) = gate(hazy, evidence_of(Oracle(True), exact=True))
        assert check.name == "belief_nll"


def test_the_oracles_gate_names_what_fails():
    checks = {
        check.name: check for check in gate(Oracle(), evidence_of(Oracle(random_start=True), exact=False, count=500))
    }
    assert checks["oracle_accuracy_after"].value == pytest.approx(1 / len(BOXES), abs=0.15)
    assert not checks["oracle_accuracy_after"].passed
    assert checks["oracle_mean_error_before"].passed
    assert checks["oracle_variance_error_before"].passed
    assert checks["oracle_tried_box_error"].value == pytest.approx(1.0, abs=0.1)


def test_gatherings_gate_compares_with_the_average_place():
    task, episodes = Gathering(), play(Gathering(), 30)
    hidden, truth = Hidden(task.hidden_variables), episodes.hidden
    perfect = torch.cat([entry.locate(truth[..., i])[0] for i, entry in hidden.coordinates.items()], -1)
    running = torch.nn.functional.pad(episodes.mask, (0, 1))
    there = [running & ~entry.locate(truth[..., i])[1] for i, entry in hidden.coordinates.items()]
    averages = [perfect[..., 2 * i : 2 * i + 2][where].mean(0) for i, where in enumerate(there)]
    for means, expected in ((perfect, 0.0), (torch.cat(averages).expand_as(perfect), 1.0)):
        vectors = torch.cat((means, torch.zeros(*means.shape[:-1], hidden.features - 14)), -1)
        (check,) = gate(task, Evidence(episodes, vectors[:, :, None].expand(-1, -1, 3, -1), ()))
        assert check.value == pytest.approx(expected, abs=1e-5)
        assert check.passed == (expected == 0.0)


def test_what_has_no_gate_of_its_own_is_held_to_the_prior():
    episodes = play(Whisper(), 200)
    task = Whisper()
    untrained = BeliefModel(keys(1), task)
    config = Pretraining(updates=200, batch=32, validate=50, warm_up=10, form=BeliefForm(latent=0))
    trained = pretrain(task, config, keys(1), play(task, 500, start=200), episodes).model
    values = []
    for model in (untrained, trained):
        (check,) = gate(task, Evidence(episodes, model.encode(episodes), model.encode_log_probabilities(episodes)))
        values.append(check.value)
    assert check.passed
    assert values[1] < values[0] - 0.1


@pytest.mark.slow
def test_a_belief_learnt_on_oracle_passes_its_gate(tmp_path, monkeypatch):
    from benchmark.episodes.datasets import load_dataset

    task = Oracle()
    both = {split: load_dataset("oracle-random-v0", split) for split in ("train", "validation")}
    monkeypatch.setenv("PENUMBRA_CACHE", str(tmp_path))
    learner = Setting("oracle-v0", task, (0,), 1, dataset=both.__getitem__)
    prepare_belief(learner)
    assert learner.notes[0]["belief_gate_passed"], learner.notes[0]
