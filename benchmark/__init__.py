"""Penumbra: multi-agent reinforcement learning under partial observability.

The public names. Each is imported when first used, so that ``import benchmark`` costs nothing and needs only what is
then asked for: ``make`` needs PettingZoo, everything else torch and NumPy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmark.episodes.datasets import load_dataset
    from benchmark.episodes.parallel_env import make
    from benchmark.episodes.rollout import rollout
    from benchmark.measures.evaluation import evaluate
    from benchmark.tasks.registry import make_task, task_ids
    from benchmark.tasks.streams import episode_keys
    from benchmark.testing import check_task

__all__ = ["check_task", "episode_keys", "evaluate", "load_dataset", "make", "make_task", "rollout", "task_ids"]

_HOMES = {
    "check_task": "benchmark.testing",
    "episode_keys": "benchmark.tasks.streams",
    "evaluate": "benchmark.measures.evaluation",
    "load_dataset": "benchmark.episodes.datasets",
    "make": "benchmark.episodes.parallel_env",
    "make_task": "benchmark.tasks.registry",
    "rollout": "benchmark.episodes.rollout",
    "task_ids": "benchmark.tasks.registry",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'benchmark' has no attribute {name!r}; public names: {', '.join(__all__)}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
