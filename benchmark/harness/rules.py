"""The rules of a submission as checks: each trains a little, watched, and raises ``Broken`` with what it found."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from benchmark.episodes.policy import Policy
from benchmark.episodes.rollout import Episodes
from benchmark.harness.contain import submission_from_json, submission_to_json
from benchmark.harness.probe import Broken, Probe, Trial, choices, histories, train_watched
from benchmark.harness.record import Record
from benchmark.harness.runner import Job, train
from benchmark.harness.submission import Submission
from benchmark.harness.suites import Suite
from benchmark.tasks.registry import make_task
from benchmark.tasks.streams import namespace_of

EVALUATION_EPISODES = 8


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes:
        name: two or three words.
        rule: what must hold.
        remedy: what to do if it does not.
        run: does it, in the child; gets the trial and returns JSON.
        needed: whether it concerns a submission.
    """

    name: str
    rule: str
    remedy: str
    run: Callable[[Trial], Any]
    needed: Callable[[Submission], bool] = lambda submission: True


def _curves(trial: Trial) -> list[Record]:
    suite = Suite("check", (trial.task_id,), (("", trial.episodes),), len(trial.seeds), EVALUATION_EPISODES)
    job = Job(trial.submission, suite, trial.task_id, trial.seeds)
    records = train(job, job.seeds)
    # What two honest repetitions share, in JSON.
    curves = [
        {"marks": [{k: v for k, v in mark.items() if k != "seconds"} for mark in record["marks"]]}
        | {key: record[key] for key in ("final_returns", "beliefs", "notes")}
        for record in records
    ]
    return json.loads(json.dumps(curves, allow_nan=False))


def _stacked(trial: Trial) -> None:
    """Compare run 1 trained beside run 0 with run 1 trained alone."""
    task = make_task(trial.task_id)
    together, alone = Probe(trial, task), Probe(trial, task, seeds=(1,))
    together.train()
    alone.train()
    if not (together.played and alone.played):
        return
    beside = together.played[0].actions.unflatten(0, (2, -1))[1]
    by_itself = alone.played[0].actions
    # Rounding may decide a tie otherwise; another stream of random numbers changes most actions.
    if beside.shape != by_itself.shape or float((beside == by_itself).double().mean()) < 0.9:
        raise Broken("run 1 does not draw the same numbers beside run 0 as alone: its first episodes differ")
    returns = [
        torch.cat([played.returns.unflatten(0, (probe.runs, -1))[-1] for played in probe.played])
        for probe in (together, alone)
    ]
    error = float(torch.stack([values.var(correction=0) / len(values) for values in returns]).sum().sqrt())
    gap = abs(float(returns[0].mean() - returns[1].mean()))
    if gap > 5 * error + 1e-6 * (1 + abs(float(returns[1].mean()))):
        raise Broken(
            f"run 1 earns {float(returns[0].mean()):.4g} in training beside run 0 and {float(returns[1].mean()):.4g} "
            f"alone, {gap / max(error, 1e-9):.0f} standard errors apart"
        )


@lru_cache(maxsize=1)
def _trained(key: str) -> tuple[Probe, Policy, Any]:
    fields = json.loads(key)
    return train_watched(Trial(submission_from_json(fields["submission"]), fields["task_id"], fields["episodes"]))


def _train(trial: Trial) -> tuple[Probe, Policy, Any]:
    """Train, or remember what came out when the check before did."""
    key = {"submission": submission_to_json(trial.submission), "task_id": trial.task_id, "episodes": trial.episodes}
    return _trained(json.dumps(key))


def _budget(trial: Trial) -> None:
    probe, _, extra = _train(trial)
    if trial.claims("state-labels"):
        offline = {key for key in extra if namespace_of(key) in ("dataset-train", "dataset-validation")}
        extra = {key: count for key, count in extra.items() if key not in offline}
    if extra:
        spaces = sorted({namespace_of(key) if key >= 0 else "none" for key in extra})
        raise Broken(
            f"{sum(extra.values())} episodes were started outside setting.rollout "
            f"(their keys are of: {', '.join(spaces)}); metered are {probe.episodes_used}"
        )


def _memory(trial: Trial) -> None:
    probe, policy, _ = _train(trial)
    past = histories(probe.task, probe.runs)
    first = choices(policy, past)
    everywhere = torch.zeros(len(past.keys), 1, probe.task.agents, dtype=torch.bool)
    choices(policy, past.mixed(everywhere))
    _same(first, choices(policy, past), past.mask, "the same histories again, after others")


def _decentralised(trial: Trial) -> None:
    probe, policy, _ = _train(trial)
    past = histories(probe.task, probe.runs)
    first = choices(policy, past)
    agents, rows = probe.task.agents, len(past.keys)
    for agent in sorted({0, agents // 2, agents - 1}):
        mine = torch.zeros(rows, 1, agents, dtype=torch.bool)
        mine[:, :, agent] = True
        other = choices(policy, past.mixed(mine))
        _same(
            first[..., agent], other[..., agent], past.mask, f"other agents see and do something else (agent {agent})"
        )
    half = (torch.arange(rows) % 2 == 0)[:, None, None].expand(-1, 1, agents)
    other = choices(policy, past.mixed(half))
    _same(first[::2], other[::2], past.mask[::2], "other episodes of the batch are other ones")


def _same(first: Tensor, other: Tensor, mask: Tensor, change: str) -> None:
    different = (first != other) & (mask if first.ndim == mask.ndim else mask[..., None])
    if bool(different.any()):
        share = float(different.double().sum() / mask.sum() / (first.numel() / mask.numel()))
        step = int(different.flatten(2).any(2).any(0).nonzero()[0] if first.ndim > 2 else different.any(0).nonzero()[0])
        raise Broken(f"{share:.1%} of the actions change, the first at step {step}, when {change}")


def _labels(trial: Trial) -> None:
    """Train again with wrong labels: whoever does not look will not notice."""
    probe, policy, _ = _train(trial)
    sizes = torch.tensor([len(variable.values) for variable in probe.task.hidden_variables])

    def show(number: int, played: Episodes) -> Episodes:
        return replace(played, hidden=(played.hidden + 1) % sizes)

    _compare_learned(trial, policy, show, "the hidden state in the training episodes is another")


def _own(trial: Trial) -> None:
    """Train again with the same episodes, in which all but agent 0 have seen, and done, something else."""
    recorded, policy, _ = _train(trial)
    swap = ["observations"] if trial.claims("others-actions") else ["observations", "actions", "executed"]

    def show(number: int, played: Episodes) -> Episodes:
        if number >= len(recorded.played) or recorded.played[number].batch != played.batch:
            raise Broken("agent 0 plays another number of episodes when the others saw and did something else")
        real, changed = recorded.played[number], {}
        for name in swap:
            values = getattr(real, name)
            others = values.unflatten(0, (recorded.runs, -1)).roll(1, 1).flatten(0, 1).roll(1, 2)
            changed[name] = torch.cat([values[:, :, :1], others[:, :, 1:]], 2)
        return replace(real, **changed)

    what = "others have seen" if len(swap) == 1 else "others have seen and done"
    _compare_learned(trial, policy, show, f"{what} something else in the training episodes", agent=0)


def _compare_learned(
    trial: Trial, policy: Policy, show: Callable[[int, Episodes], Episodes], change: str, agent: int | None = None
) -> None:
    task = make_task(trial.task_id)
    other = Probe(trial, task, show).train()
    past = histories(task, len(trial.seeds))
    first, second = choices(policy, past), choices(other, past)
    if agent is not None:
        first, second = first[..., agent], second[..., agent]
    _same(first, second, past.mask, change)


TRAINS = Check(
    "trains",
    "train(setting) trains within its budget and yields policies whose actions are int64 [B, N] in range",
    "run the smallest case by hand: benchmark/harness/protocol.py shows the contract; --time-limit, --memory-limit",
    _curves,
)
REPEATS = Check(
    "same seed, same curve",
    "the same run gives the same curve, bit for bit, in two processes",
    "draw everything random from streams.bits(setting.run_keys, ...); no global generator, no clock, no order of a set",
    _curves,
)
CHECKS = (
    Check(
        "stacked as alone",
        "a run draws the same random numbers alone and beside others, and learns alike",
        "draw from run_keys[r] for run r; average, clip, shuffle nothing over runs; or say stacked = false",
        _stacked,
        lambda submission: submission.stacked,
    ),
    Check(
        "budget",
        "episodes come from setting.rollout only: neither simulated beside it nor with keys of evaluation",
        "play with setting.rollout; a learner that uses the rules of the task says so: information = ['task-rules']",
        _budget,
        lambda submission: "task-rules" not in submission.information,
    ),
    Check(
        "fresh memory",
        "a policy's actions depend on the history in its memory and on nothing that it keeps elsewhere",
        "return what is to be remembered as the next memory; change neither the policy nor the memory given in place",
        _memory,
    ),
    Check(
        "decentralised",
        "an agent's action depends on its own observations only: not on other agents', not on other episodes",
        "act on observations[:, n] for agent n; no statistics over agents or over the batch",
        _decentralised,
    ),
    Check(
        "no state labels",
        "who does not name 'state-labels' learns the same whatever Episodes.hidden says, and asks for no dataset",
        "do not read Episodes.hidden or setting.dataset, or name 'state-labels' in `information`",
        _labels,
        lambda submission: not {"state-labels", "task-rules"} & set(submission.information),
    ),
    Check(
        "own experience",
        "who names neither 'others-actions' nor 'centralised-training' learns each agent from its own experience",
        "train agent n on its own observations and actions, or name in `information` what is used (shared weights are "
        "'centralised-training')",
        _own,
        lambda submission: not {"centralised-training", "task-rules"} & set(submission.information),
    ),
)
BY_NAME = {"trains": TRAINS} | {check.name: check for check in CHECKS}
