"""Every rule of a submission, broken by a small learner of its own, and kept by a sound one."""

from pathlib import Path
from uuid import uuid4

import pytest
from typer.testing import CliRunner

from benchmark.harness.check import Verdict, verdicts
from benchmark.harness.child import Limits
from benchmark.harness.probe import Broken, Trial
from benchmark.harness.rules import CHECKS, REPEATS, TRAINS
from benchmark.harness.submission import Submission
from benchmark.testing import ContractViolation, check_submission
from leaderboard import cli

MODULE = '''
import torch
from benchmark.episodes.policy import RandomPolicy
from benchmark.episodes.rollout import rollout
from benchmark.measures.evaluation import evaluation_keys
from benchmark.tasks.streams import below, bits, episode_keys


class Scores:
    """Each agent's action is the largest entry of its scores plus a projection of what it sees."""

    def __init__(self, weights, scores, fault):
        self.weights, self.scores, self.fault, self.calls = weights, scores, fault, 0

    def initial_memory(self, keys):
        return torch.zeros(len(keys))

    def act(self, observations, memory):
        if self.fault == "central":
            observations = observations.mean(1, keepdim=True).expand_as(observations)
        if self.fault == "batch":
            observations = observations - observations.mean(0)
        if self.fault == "in-place":
            memory += 1
        self.calls += self.fault == "counter"
        seen = torch.einsum("rbno,rnoa->rbna", observations.unflatten(0, (len(self.weights), -1)), self.weights)
        logits = (seen + self.scores[:, None]).flatten(0, 1)
        return (logits.argmax(-1) + self.calls) % logits.shape[-1], memory


class Learner:
    def __init__(self, fault=""):
        self.fault = fault

    def train(self, setting):
        task, runs, fault = setting.task, setting.runs, self.fault
        agents, actions = task.agents, len(task.action_names)
        keys = setting.run_keys
        if fault == "one-key":
            keys = keys[:1].expand(runs) + torch.arange(runs)
        if fault == "hash":
            keys = keys + hash("salted")
        inputs = task.observation_layout.size
        weights = bits(keys, 0, "weights", agents * inputs * actions).double().div(2.0**63).float()
        weights = weights.view(runs, agents, inputs, actions)
        scores = torch.zeros(runs, agents, actions)
        if fault == "dataset":
            setting.dataset()
        while setting.remaining:
            if fault == "simulate":
                rollout(task, RandomPolicy(agents, actions), episode_keys("train", 5, 3))
            if fault == "evaluation":
                rollout(task, RandomPolicy(agents, actions), evaluation_keys(0, [20], 3))
            start = keys if fault == "one-key" else setting.run_keys
            behaviour = Scores(weights, 100.0 * bits(start, setting.episodes_used, "explore", agents * actions)
                               .double().div(2.0**63).float().view(runs, agents, actions), "")
            played = setting.rollout(behaviour, min(5, setting.remaining))
            done = torch.nn.functional.one_hot(played.actions, actions).sum(1).float()
            if fault == "others":
                done = done.roll(1, 1)
            if fault == "labels":
                done = done + 40 * torch.nn.functional.one_hot(played.hidden[:, 0], actions)
            if fault == "stacked-mean":
                done = done.mean(0, keepdim=True).expand_as(done)
            step = done.unflatten(0, (runs, -1)).mean(1)
            scores = scores + (1.0 if fault in ("labels", "others") else 0.02) * step
            yield Scores(weights, scores, fault)
        if fault == "hang":
            while True:
                pass
'''


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return a function that gives a submission with a fault."""
    folder = tmp_path_factory.mktemp("checked")
    module = f"checked_{uuid4().hex}"
    (folder / f"{module}.py").write_text(MODULE)

    def make(fault: str = "", stacked: bool = True, **changes) -> Submission:
        return Submission(
            "mine", f"{module}:Learner", stacked=stacked, parameters={"fault": fault}, folder=folder, **changes
        )

    return make


def failures(submission: Submission) -> dict[str, str]:
    """Return what every check finds, in this process."""
    found = {}
    for check in CHECKS:
        if check.needed(submission):
            try:
                check.run(Trial(submission, "oracle-v0", 20))
            except Broken as broken:
                found[check.name] = str(broken)
    return found


@pytest.mark.parametrize("stacked", [True, False])
def test_a_sound_learner_passes(made, stacked):
    assert failures(made(stacked=stacked)) == {}


@pytest.mark.parametrize(
    ("fault", "check", "found"),
    [
        ("central", "decentralised", "when other agents see and do something else"),
        ("batch", "decentralised", "when other episodes of the batch are other ones"),
        ("in-place", "fresh memory", "act changed the memory that it was given at step 0, in place"),
        ("counter", "fresh memory", "when the same histories again, after others"),
        ("simulate", "budget", "were started outside setting.rollout (their keys are of: train); metered are 20"),
        ("evaluation", "budget", "were started outside setting.rollout (their keys are of: evaluation)"),
        ("labels", "no state labels", "when the hidden state in the training episodes is another"),
        ("dataset", "no state labels", "asks for the state-labelled dataset, and `information` does not name"),
        ("others", "own experience", "when others have seen and done something else"),
        ("one-key", "stacked as alone", "run 1 does not draw the same numbers beside run 0 as alone"),
    ],
)
def test_a_broken_rule_is_named(made, fault, check, found):
    told = failures(made(fault))
    assert found in told[check]
    # A policy that no question can be put to fails every check that puts one; else only this rule is broken.
    assert set(told) == {check} or fault in ("in-place", "counter", "dataset", "one-key")


@pytest.mark.parametrize(
    ("fault", "information"),
    [
        ("labels", ("state-labels",)),
        ("dataset", ("state-labels",)),
        ("others", ("others-actions",)),
        ("others", ("centralised-training",)),
        ("simulate", ("task-rules",)),
    ],
)
def test_what_the_manifest_declares_is_allowed(made, fault, information):
    assert failures(made(fault, information=("own-observations", *information))) == {}


def test_checks_say_what_must_hold_and_what_to_do():
    for check in (TRAINS, REPEATS, *CHECKS):
        assert check.rule
        assert check.remedy


def test_checks_run_in_other_processes_and_find_what_depends_on_them(made):
    """One learner follows the salt of strings, which differs between processes."""
    told = {verdict.check: verdict for verdict in verdicts(made("hash", stacked=False), ["oracle-v0"], 10)}
    assert list(told)[:2] == ["trains on oracle-v0", "same seed, same curve"]
    assert [name for name, verdict in told.items() if not verdict.passed] == ["same seed, same curve"]
    verdict = told["same seed, same curve"]
    assert "in one process and" in verdict.found
    assert verdict.rule
    assert verdict.remedy


def test_the_command_prints_a_line_for_every_check_and_fails_if_one_does(monkeypatch):
    told = [
        Verdict("budget", True, "", "", "", 0.1),
        Verdict("fresh memory", False, "it remembers", "it must not [ever]", "forget", 0.1),
    ]
    monkeypatch.setattr("benchmark.harness.check.verdicts", lambda *arguments: iter(told))
    result = CliRunner().invoke(cli.app, ["check", "random"])
    assert result.exit_code == 1
    assert [" ".join(line.split()) for line in result.output.splitlines()] == [
        "passed budget",
        "FAILED fresh memory",
        "found: it remembers",
        "rule: it must not [ever]",
        "do: forget",
        "1 check(s) FAILED",
    ]
    told.pop()
    assert CliRunner().invoke(cli.app, ["check", "random"]).exit_code == 0


@pytest.mark.slow
def test_a_hang_is_a_failed_check_and_the_end(made):
    told = list(verdicts(made("hang"), ["oracle-v0"], 10, Limits(6)))
    assert [verdict.passed for verdict in told] == [False]
    assert "TimeLimit" in told[0].found


@pytest.mark.slow
@pytest.mark.parametrize("name", ["random", "planner", "rec-hyst-iql"])
def test_our_own_submissions_pass(name):
    check_submission(Path(__file__).parents[1] / "leaderboard" / "submissions" / name)


def test_the_published_check_raises_with_every_failure(tmp_path):
    (tmp_path / "submission.toml").write_text('name = "x"\nentry_point = "no_such_module:Learner"\n')
    with pytest.raises(ContractViolation, match=r"trains on oracle-v0: .*no_such_module"):
        check_submission(tmp_path)
