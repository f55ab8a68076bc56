"""Run records made up for tests, sealed as the harness seals them."""

from typing import Any, NamedTuple

import numpy as np

from benchmark.harness.record import SCHEMA_VERSION, Record, seal
from benchmark.harness.suites import MARKS, Suite
from benchmark.measures.posteriors import posterior_scores

SUITE = Suite(
    "tiny",
    ("oracle-v0", "gathering-v0", "organization-pair-v0"),
    (("", 100),),
    runs=3,
    evaluation_episodes=2,
)


class Scale(NamedTuple):
    """What a board needs of a reference."""

    trivial: float
    reference: float
    optimum: float

    def score(self, episode_return: float) -> float:
        return (episode_return - self.trivial) / (self.reference - self.trivial)


REFERENCES: dict[str, Any] = {"oracle-v0": Scale(0.0, 1.0, 2.0), "gathering-v0": Scale(-10.0, 10.0, 12.0)}


def _header(submission: str, task_id: str, seed: int, suite: Suite) -> Record:
    return {
        "schema_version": SCHEMA_VERSION,
        "submission": submission,
        "task_id": task_id,
        "suite": suite.name,
        "seed": seed,
        "budget_episodes": suite.budget(task_id),
        "config": {"learning_rate": 0.001, "layers": 2},
        "packages": {"python": "3.11.9"},
        "hardware": {"cores": 2},
        "git_commit": None,
        "created": "2026-11-20T12:00:00+00:00",
    }


def _returns(mean: float, count: int) -> Record:
    return {"mean": mean, "deviation": 0.0, "count": count, "min": mean, "max": mean}


def finished(
    submission: str,
    task_id: str,
    seed: int,
    final_return: float,
    *,
    start: float = 0.0,
    suite: Suite = SUITE,
    **changes: Any,
) -> Record:
    """A run that rises from ``start`` to ``final_return`` by 75% of its budget and stays there."""
    budget, episodes = suite.budget(task_id), suite.evaluation_episodes
    marks = []
    for mark in range(MARKS + 1):
        mean = start + (final_return - start) * min(1.0, mark / (MARKS - 5))
        marks.append(
            {
                "share": mark / MARKS,
                "episodes": budget * mark // MARKS,
                "env_steps": 10 * budget * mark // MARKS,
                "agent_steps": 20 * budget * mark // MARKS,
                "updates": 4 * mark,
                "seconds": 0.5 * mark,
                "greedy": _returns(mean, episodes),
                "noisy": _returns(mean - 0.1, episodes),
            }
        )
    content = _header(submission, task_id, seed, suite) | {
        "status": "ok",
        "error": None,
        "marks": marks,
        "final_returns": [final_return] * episodes,
        "final_return": final_return,
        "final_return_noisy": final_return - 0.1,
        "beliefs": None,
        "seconds": {"training": 10.0, "evaluation": 1.0, "total": 11.5},
        "stacked_runs": 5,
        "notes": {},
    }
    return seal(content | changes)


def failed(submission: str, task_id: str, seed: int, suite: Suite = SUITE) -> Record:
    """A run whose submission raised."""
    content = {"status": "failed", "error": "RuntimeError: it broke", "trace": "..."}
    return seal(_header(submission, task_id, seed, suite) | content)


def field(strength: dict[str, float], suite: Suite, references: dict[str, Any], seed: int = 0) -> list[Record]:
    """A whole board of runs: every submission scores about its strength on every ranked task, with noise."""
    rng = np.random.default_rng(seed)
    records = []
    for name, level in strength.items():
        for task_id, scale in references.items():
            for run in range(suite.runs):
                score = level + rng.normal(0, 0.08)
                value = scale.trivial + score * (scale.reference - scale.trivial)
                records.append(finished(name, task_id, run, float(f"{value:.7g}"), start=scale.trivial, suite=suite))
    return records


def between(share: float, *, curves: bool = True) -> dict[str, Any]:
    """Belief scores that lie so far on the way from Oracle's prior to its posterior."""
    entry = posterior_scores("oracle-v0")
    assert entry
    prior, posterior = entry["prior"], entry["posterior"]

    def mix(worst: Any, best: Any) -> Any:
        if isinstance(worst, dict):
            return {name: mix(worst[name], best[name]) for name in worst}
        if isinstance(worst, list):
            return [mix(*pair) for pair in zip(worst, best, strict=True)]
        if worst is None or best is None or isinstance(worst, int):
            return worst if isinstance(worst, int) else None
        return worst + share * (best - worst)

    scores = mix(prior, posterior)
    if not curves:
        scores = {name: value for name, value in scores.items() if name in ("accuracy", "nll", "variables")}
    told = {f"prior_{name}": prior[name] for name in ("accuracy", "nll")}
    return scores | told | {"variables": {name: entry | told for name, entry in scores["variables"].items()}}
