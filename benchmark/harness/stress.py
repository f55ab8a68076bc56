"""Stress suites as data: one task, made harder step by step.

A *stress* is a perturbation at several levels of one task, the mildest first; one of them is the task itself. Trained
and evaluated at every level, a submission gets a degradation curve: how much of its score it keeps as the world departs
from what it assumes. References are those of each level, so the curve asks about the algorithm, not about the harder
world; where only sight is lost, they are those of clear sight (``benchmark.measures.references``).
"""

from dataclasses import dataclass

from benchmark.harness.elsewhere import fits
from benchmark.tasks.registry import did_you_mean, make_task, spec

SLIPS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5)
SHARES = (0.0, 0.1, 0.25, 0.5)


@dataclass(frozen=True)
class Stress:
    """One perturbation of one task at several levels.

    Attributes:
        name: what is turned, for instance ``"slip"``.
        task_id: what it is turned on.
        levels: from the mildest to the hardest, each with the id of the task at that level.
    """

    name: str
    task_id: str
    levels: tuple[tuple[float, str], ...]

    @property
    def family(self) -> str:
        """The family of its task."""
        return spec(self.task_id).family

    @property
    def suite(self) -> str:
        """The suite whose budgets its evidence has: the smallest at which learners leave the trivial score there."""
        return "quick" if self.family == "oracle" else "standard"


def _turned(name: str, task_id: str, values: tuple[float, ...], mildest: float = 0.0) -> Stress:
    levels = [(value, task_id if value == mildest else f"{task_id}:{name}={value:g}") for value in values]
    return Stress(name, task_id, tuple(levels))


_GRID_WORLDS = ("oracle-v0", "gathering-v0", "escape-room-v0", "honeycomb-v0")

STRESSES = (
    # What actions do: I2Q assumes that the world is deterministic.
    *(_turned("slip", task_id, SLIPS) for task_id in _GRID_WORLDS),
    *(_turned("sticky", task_id, SHARES) for task_id in _GRID_WORLDS),
    # What agents see.
    *(_turned("dropout", task_id, SHARES) for task_id in _GRID_WORLDS),
    *(_turned("noise", task_id, SHARES) for task_id in _GRID_WORLDS),
    _turned("hint", "oracle-v0", (1.0, 0.75, 0.5, 0.25, 0.0), mildest=1.0),
    _turned("reports", "organization-full-27-v0", (0.0, 0.1, 0.2, 0.4), mildest=0.2),
    _turned("view", "gathering-v0", (4, 3, 2, 1), mildest=1),
    _turned("view", "escape-room-v0", (9, 4, 3, 2, 1), mildest=2),  # 9 is the whole room
    # Who knows, and how many there are.
    _turned("informed", "honeycomb-v0", (10, 8, 5, 2, 1, 0), mildest=2),
    Stress(
        "agents",
        "honeycomb-n5-v0",
        (
            (5, "honeycomb-n5-v0:informed=1"),
            (10, "honeycomb-v0"),
            (15, "honeycomb-n15-v0:informed=3"),
            (20, "honeycomb-n20-v0:informed=4"),
        ),
    ),
)


def get_stresses(names: tuple[str, ...] = (), families: tuple[str, ...] = ()) -> tuple[Stress, ...]:
    """Return the stresses of some names and families; nothing named means all.

    Raises:
        ValueError: if a name or a family has none.
    """
    for kind, asked, known in (
        ("stress", names, {stress.name for stress in STRESSES}),
        ("family", families, {stress.family for stress in STRESSES}),
    ):
        for entry in asked:
            if entry not in known:
                raise ValueError(
                    f"{kind}={entry!r} is unknown{did_you_mean(entry, known)}; allowed: {', '.join(sorted(known))}"
                )
    return tuple(
        stress
        for stress in STRESSES
        if (not names or stress.name in names) and (not families or stress.family in families)
    )


def shifts(stresses: tuple[Stress, ...]) -> dict[str, tuple[str, ...]]:
    """Return, for every task of the stresses' levels, the other levels on which its policies can act."""
    found: dict[str, dict[str, None]] = {}
    for stress in stresses:
        tasks = {task_id: make_task(task_id) for _, task_id in stress.levels}
        for task_id, task in tasks.items():
            others = [other for other in tasks if other != task_id and fits(task, tasks[other])]
            found.setdefault(task_id, {}).update(dict.fromkeys(others))
    return {task_id: tuple(others) for task_id, others in found.items()}


def task_ids(stresses: tuple[Stress, ...]) -> list[str]:
    """Return the tasks of all levels, each once: they run in any suite, at its budgets."""
    return list(dict.fromkeys(task_id for stress in stresses for _, task_id in stress.levels))


def by_suite(stresses: tuple[Stress, ...], suite: str | None = None) -> dict[str, tuple[Stress, ...]]:
    """Return the stresses of each suite: their own, or all of one that is named."""
    if suite is not None:
        return {suite: stresses}
    names = dict.fromkeys(stress.suite for stress in stresses)
    return {name: tuple(stress for stress in stresses if stress.suite == name) for name in names}
