"""Runtime records made up for tests, sealed as the harness seals them."""

from typing import Any

from benchmark.harness.record import SCHEMA_VERSION, Record, seal
from benchmark.harness.suites import MARKS
from benchmark.measures.calibration import get_profile


def timing(
    submission: str = "mine",
    task_id: str = "oracle-v0",
    runs: int = 10,
    repeat: int = 0,
    *,
    pace: float = 0.1,
    slower: tuple[float, float] = (1.0, 1.0),
    lost: float | None = 0.0,
    threads: int = 2,
    **changes: Any,
) -> Record:
    """Two seconds before the first episode, then ``pace`` seconds for each.

    ``slower``: how many times as long as the profile's the calibrations before and after took.
    """
    frozen = get_profile("cpu-2").calibration.parts
    episodes = [10 * mark for mark in range(MARKS + 1)]
    training = 2.0 + pace * 200
    content = {
        "schema_version": SCHEMA_VERSION,
        "kind": "runtime",
        "submission": submission,
        "task_id": task_id,
        "config": {"learning_rate": 0.001, "layers": 2},
        "budget_episodes": 200,
        "stacked_runs": runs,
        "repeat": repeat,
        "profile": "cpu-2",
        "marks": {
            "episodes": episodes,
            "env_steps": [30 * count for count in episodes],
            "updates": [2 * count for count in episodes],
            "seconds": [round(2.0 + pace * count, 3) for count in episodes],
        },
        "seconds": {
            "training": training, "startup": 0.5, "pretraining": 1.5, "evaluation": 1.0, "total": training + 1.5
        },
        "calibration": {
            when: {part: seconds * factor for part, seconds in frozen.items()}
            for when, factor in zip(("before", "after"), slower, strict=True)
        },
        "lost": {"before": 0.0, "training": lost, "after": None},
        "neighbours": None,
        "peak_gib": {"host": 0.4},
        "packages": {"python": "3.11.9"},
        "hardware": {"device": "cpu", "threads": threads, "processor": "AMD EPYC"},
        "accelerator": {},
        "git_commit": None,
        "created": "2026-11-20T12:00:00+00:00",
    }  # fmt: skip
    return seal(content | changes)
