"""Suites as data: which tasks, how many training episodes, how many runs, how much evaluation."""

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.tasks.registry import HONEYCOMB_SIZES, ORGANIZATION_SIZES, did_you_mean, spec, task_ids
from benchmark.tasks.topology import TOPOLOGIES

# Evaluations of one run: at 0%, 5%, ..., 100% of the budget. The final score is the mean over the last five.
MARKS = 20
FINAL_MARKS = 5


@dataclass(frozen=True)
class Suite:
    """A fixed experiment.

    Attributes:
        name: for instance ``"laptop"``.
        tasks: the task ids, in table order.
        episodes: training episodes of each run, by task family; ``""`` is for families not named.
        runs: seeds 0 .. runs - 1.
        evaluation_episodes: held-out episodes of each run at each mark.
    """

    name: str
    tasks: tuple[str, ...]
    episodes: tuple[tuple[str, int], ...]
    runs: int
    evaluation_episodes: int

    def budget(self, task_id: str) -> int:
        """Return the training episodes of one run on a task."""
        budgets = dict(self.episodes)
        return budgets.get(spec(task_id).family, budgets[""])

    def select(self, patterns: Sequence[str]) -> list[str]:
        """Return the suite's tasks that match any pattern; all of them if there are no patterns.

        A full task id outside the suite is accepted too, at its family's budget.

        Raises:
            ValueError: if a pattern matches nothing.
        """
        if not patterns:
            return list(self.tasks)
        chosen: dict[str, None] = {}
        for pattern in patterns:
            matches = fnmatch.filter(self.tasks, pattern)
            if not matches and not set("*?[") & set(pattern):
                spec(pattern)
                matches = [pattern]
            if not matches:
                raise ValueError(
                    f"tasks: {pattern!r} matches no task of suite {self.name!r}"
                    f"{did_you_mean(pattern, task_ids())}; its tasks: {', '.join(self.tasks)}"
                )
            chosen.update(dict.fromkeys(matches))
        return list(chosen)


def _organizations(sizes: Sequence[int]) -> tuple[str, ...]:
    return tuple(f"organization-{topology}-{size}-v0" for topology in TOPOLOGIES for size in sizes)


_GRID_WORLDS = ("oracle-v0", "oracle-strict-v0", "gathering-v0", "escape-room-v0", "honeycomb-v0")

SUITES = {
    suite.name: suite
    for suite in (
        # One task of every family, in minutes on two cores: a first look, not a result.
        Suite(
            "quick",
            ("oracle-v0", "gathering-v0", "escape-room-v0", "honeycomb-v0", "organization-full-9-v0"),
            (("oracle", 800), ("", 100)),
            runs=5,
            evaluation_episodes=50,
        ),
        # Every family, small enough that what the papers compare takes an hour or so on two cores: the first result.
        Suite(
            "laptop",
            ("oracle-v0", "gathering-v0", "escape-room-v0", "honeycomb-n5-v0", *_organizations((27,))),
            (("oracle", 1500), ("organization", 2000), ("", 500)),
            runs=5,
            evaluation_episodes=100,
        ),
        # Every family at the sizes and budgets that two cores carry in a night: what the pages of results are made of.
        Suite(
            "standard",
            (*_GRID_WORLDS, "honeycomb-n3-v0", "honeycomb-n5-v0", *_organizations((9, 27))),
            (("oracle", 3000), ("organization", 4000), ("", 1500)),
            runs=10,
            evaluation_episodes=100,
        ),
        # The published budgets.
        Suite(
            "full",
            (
                *_GRID_WORLDS,
                *(f"honeycomb-n{size}-v0" for size in HONEYCOMB_SIZES),
                *_organizations(ORGANIZATION_SIZES),
            ),
            (("oracle", 10_000), ("gathering", 15_000), ("escape-room", 15_000), ("honeycomb", 15_000), ("", 50_000)),
            runs=10,
            evaluation_episodes=200,
        ),
    )
}


def get_suite(name: str) -> Suite:
    """Return a suite by name.

    Raises:
        ValueError: if there is none of that name.
    """
    if name not in SUITES:
        raise ValueError(f"suite={name!r} is unknown{did_you_mean(name, SUITES)}; allowed: {', '.join(SUITES)}")
    return SUITES[name]
