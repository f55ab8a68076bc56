"""Beliefs in worlds that they were not learned in: the numbers, the file, the tables."""

import json

import pytest
import torch

from baselines import belief_shift as command
from baselines.belief import BeliefForm, BeliefModel
from benchmark.episodes.datasets import dataset
from benchmark.episodes.policy import RandomPolicy
from benchmark.episodes.rollout import rollout
from benchmark.harness.stress import get_stresses
from benchmark.measures.posterior import exact_posterior
from benchmark.tasks.oracle import Oracle
from benchmark.tasks.perturb import Noise
from benchmark.tasks.streams import episode_keys, policy_keys
from leaderboard.belief_shift import Shift, read, sentence, shift_table

KEY = torch.tensor([5])


def histories(task_id):
    name, _, changes = task_id.partition(":")
    task = dataset(name.replace("-v0", "-random-v0") + ":" * bool(changes) + changes).task()
    return rollout(task, RandomPolicy(task.agents, len(task.action_names)), episode_keys("user", 3, 60))


@pytest.fixture
def beliefs(monkeypatch):
    """An untrained belief for the two mildest levels, short datasets, and noise as if no filter were known for it."""

    def known(task):
        if isinstance(task, Noise):
            raise ValueError("no exact filter is known")
        return exact_posterior(task)

    monkeypatch.setattr(command, "exact_posterior", known)
    model = BeliefModel(KEY, Oracle(), BeliefForm()).requires_grad_(False)
    monkeypatch.setattr(command, "histories", histories)
    monkeypatch.setattr(
        command, "cached_belief", lambda task_id: (task_id, model) if task_id.endswith(("v0", "0.1")) else None
    )
    return model


def test_whoever_only_believes_believes_what_the_model_does(beliefs):
    episodes, asked = histories("oracle-v0"), command.Asked(beliefs)
    memory, whole = asked.initial_memory(policy_keys(episodes.keys)), beliefs.encode_log_probabilities(episodes)
    for step in range(3):
        actions, memory = asked.act(episodes.observations[:, step], memory)
        assert actions.shape == (60, 2)
        for along, now in zip(whole, asked.belief(memory), strict=True):
            assert torch.allclose(along[:, step], now, atol=1e-5)
        memory = asked.with_actions(memory, episodes.actions[:, step])


def test_a_ladder_has_every_level_and_what_was_learned(beliefs):
    (slip,), (noise,) = (get_stresses((name,), ("oracle",)) for name in ("slip", "noise"))
    facts, hazy = command.ladder(slip), command.ladder(noise)
    assert facts["levels"] == [level for level, _ in slip.levels]
    assert list(facts["learned"]) == ["0", "0.1"]
    for row in (facts["prior"], facts["posterior"], *facts["learned"].values()):
        assert len(row) == len(slip.levels)
    assert facts["learned"]["0"] == facts["learned"]["0.1"]  # the same model
    assert all(exact["nll"] < prior["nll"] for exact, prior in zip(facts["posterior"], facts["prior"], strict=True))
    assert hazy["posterior"][0] is not None
    assert hazy["posterior"][1:] == [None] * 3


def test_what_the_command_writes_is_read_and_shown(beliefs, tmp_path, monkeypatch, capsys):
    out = tmp_path / "page-belief-shift.json"
    for name in ("slip", "noise"):  # the second leaves the first as it is
        monkeypatch.setattr("sys.argv", ["belief_shift", "--only", name, "--out", str(out)])
        command.main()
    assert "noise of oracle-v0: no learned belief at 0.25, 0.5" in capsys.readouterr().out
    noise, slip = map(shift_table, read(out))
    assert slip.title == "A belief in another world: slip of oracle-v0"
    rows = slip.cells["belief"].tolist()
    assert rows == ["prior", "learned at 0", "learned at 0.1", "exact posterior"]
    facts = json.loads(out.read_text())["slip of oracle-v0"]["learned"]["0.1"][2]
    assert slip.cells["at 0.1"][2] == f"{facts['nll']:.3f} ({facts['ece']:.3f})"
    assert slip.data["nll_0.1"][2] == facts["nll"]
    said = [sentence(shift) for shift in read(out)]
    assert said[0] == "- noise of oracle-v0: not measured at both ends.\n"
    assert noise.cells["at 0.5"].tolist()[-1] == "n/a"


@pytest.mark.parametrize(
    "content", ["[]", '{"slip": {}}', '{"slip": {"levels": [0], "learned": {}, "prior": []}}', "{"]
)
def test_another_file_is_refused(tmp_path, content):
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"x\.json: is not what python -m baselines\.belief_shift writes"):
        read(path)


def test_the_mildest_belief_meets_the_hardest_world():
    met, own, prior = ({"nll": nll, "ece": 0.25, "accuracy": 0.5} for nll in (3.5, 1.25, 1.1))
    shift = Shift(
        "noise of x", [0.0, 0.5], {"prior": [prior] * 2, "learned at 0": [own, met], "learned at 0.5": [met, own]}
    )
    assert sentence(shift) == (
        "- noise of x: met at 0.5, the belief learned at 0 has a negative log-likelihood of 3.50 nats and a "
        "calibration error of 0.25; the one learned there has 1.25 and 0.25.\n"
    )


def test_no_file_is_no_table(tmp_path):
    assert read(tmp_path / "none.json") == []
