"""What the exact posterior and the prior score on the test episodes: the two ends of every belief score, frozen.

``score = (prior - x) / (prior - posterior)``: 0 is the prior, who knows how often each value occurs and nothing else; 1
is the exact posterior, whom no belief can beat in expectation. The numbers lie in ``posteriors.json`` with what they
were computed from; ``python -m benchmark.measures.posteriors`` writes them, and the tests compute some again.
"""

import hashlib
import json
import math
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from benchmark.episodes.datasets import DIGESTS, dataset, dataset_for, load_dataset, shard_name
from benchmark.measures.beliefs import EPISODES, PriorBelief, measure
from benchmark.measures.posterior import exact_posterior
from benchmark.tasks.registry import make_task, random_start

FILE = Path(__file__).with_name("posteriors.json")
COMMAND = "python -m benchmark.measures.posteriors"
# Which of a belief's scores are normalised, all of them best for the posterior in expectation. The calibration error
# is not: a prior that sees nothing is well calibrated too.
NORMALISED = ("nll", "accuracy", "error")
# Where the posterior gains less than this share of the prior's score, there is no room to measure in.
LEAST_ROOM = 0.01

Entry = dict[str, Any]


@lru_cache(maxsize=1)
def _frozen() -> dict[str, Entry]:
    return json.loads(FILE.read_text()) if FILE.exists() else {}


def posterior_scores(task_id: str) -> Entry | None:
    """Return a task's frozen entry, or None if it has none.

    Its ``prior`` and ``posterior`` hold what ``beliefs.measure`` returns.
    """
    return _frozen().get(task_id)


def normalised(value: float | None, prior: float | None, posterior: float | None) -> float:
    """Return ``(prior - value) / (prior - posterior)``; NaN where a number is missing or there is no room."""
    if value is None or prior is None or posterior is None:
        return math.nan
    room = prior - posterior
    return (prior - value) / room if abs(room) > LEAST_ROOM * abs(prior) else math.nan


def compute(task_id: str) -> Entry:
    """Score prior and exact posterior on the histories that all submissions' beliefs are scored on.

    Raises:
        ValueError: if the task is unknown, has no dataset, or no exact filter.
    """
    dataset_id = dataset_for(task_id)
    if dataset_id is None:
        raise ValueError(f"posteriors: task_id={task_id!r} has no offline dataset")
    task, test = make_task(task_id), load_dataset(dataset_id, "test")
    policy = exact_posterior(random_start(task))
    with torch.no_grad():
        (prior,), (posterior,) = measure(task, PriorBelief(task, test), test, 1), measure(task, policy, test, 1)
    shards = [shard_name(dataset_id, "test", number) for number in range(-(-dataset(dataset_id).size("test") // 1000))]
    known = json.loads(DIGESTS.read_text())
    entry: Entry = {
        "method": " ".join((type(policy.posterior).__doc__ or "").split("\n\n")[0].split()),
        "command": f"{COMMAND} {task_id}",
        "dataset": dataset_id,
        "dataset_digests": [known.get(shard) for shard in shards],
        "episodes": EPISODES,
        "prior": prior,
        "posterior": posterior,
    }
    return entry | {"digest": digest(entry)}


def digest(entry: Entry) -> str:
    """Return the SHA-256 of an entry's content but for its digest, in canonical JSON."""
    content = {name: value for name, value in entry.items() if name != "digest"}
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def main() -> None:
    """Compute the tasks named on the command line, or those already frozen, and freeze the numbers."""
    frozen = dict(_frozen())
    for task_id in sys.argv[1:] or sorted(frozen):
        frozen[task_id] = compute(task_id)
        ends = {end: frozen[task_id][end]["nll"] for end in ("prior", "posterior")}
        print(f"{task_id:24s} nll {ends}", flush=True)
        lines = (f'"{name}": {json.dumps(frozen[name])}' for name in sorted(frozen))
        FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
