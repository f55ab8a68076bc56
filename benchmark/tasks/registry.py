"""From a task id to a task.

An id is ``name-vK`` or ``name-vK:parameter=value,...``: the version is part of the name, and whatever follows the
colon perturbs the task (``oracle-v0:slip=0.1``). Changing rules, rewards or references means a new version.
"""

import difflib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from importlib.metadata import entry_points

from benchmark.tasks.escape_room import EscapeRoom
from benchmark.tasks.gathering import Gathering
from benchmark.tasks.honeycomb import HoneyComb
from benchmark.tasks.oracle import Oracle
from benchmark.tasks.organization import Organization
from benchmark.tasks.organization_pair import OrganizationPair
from benchmark.tasks.perturb import Dropout, Noise, Reveal, Slip, Sticky, Transform
from benchmark.tasks.task import Task
from benchmark.tasks.topology import TOPOLOGIES

ENTRY_POINT_GROUP = "penumbra.tasks"


@dataclass(frozen=True)
class TaskSpec:
    """A registered task: its id, how to make it, and what it belongs to.

    Attributes:
        task_id: for instance ``"oracle-v0"``.
        family: for instance ``"oracle"``; tables group by it.
        build: makes the task.
        summary: one line for people.
        ranked: whether the task counts in rankings (diagnostic tasks do not).
    """

    task_id: str
    family: str
    build: Callable[[], Task]
    summary: str
    ranked: bool = True


ORGANIZATION_SIZES = (9, 27, 40, 60, 80, 100)
HONEYCOMB_SIZES = (3, 5, 15, 20)
HISTORY_BONUS = 0.1  # phi of arXiv 2106.09825, Eqs 2 and 3, as in its two-agent domain


def _organization(topology: str, agents: int) -> TaskSpec:
    return TaskSpec(
        f"organization-{topology}-{agents}-v0",
        "organization",
        lambda: Organization(team_size=agents, topology=topology),
        f"{agents} agents in a {topology} neighbourhood graph balance self-interest against the group",
    )


def _organization_with_history(agents: int) -> TaskSpec:
    return TaskSpec(
        f"organization-history-{agents}-v0",
        "organization",
        lambda: Organization(team_size=agents, history_bonus=HISTORY_BONUS),
        f"{agents} agents, everybody's neighbour, whose rewards remember the previous one (diagnostic)",
        ranked=False,
    )


def _honeycomb(agents: int) -> TaskSpec:
    name = "honeycomb-v0" if agents == 10 else f"honeycomb-n{agents}-v0"
    return TaskSpec(
        name,
        "honeycomb",
        lambda: HoneyComb(team_size=agents),
        f"{agents} agents on hexagons, 2 of them know which of six goals pays double",
    )


_BUILT_IN = (
    TaskSpec("oracle-v0", "oracle", Oracle, "two agents, three boxes; an oracle shows once which box pays"),
    TaskSpec(
        "oracle-strict-v0",
        "oracle",
        lambda: Oracle(wrong_box_penalty=1.0),
        "Oracle in which a wrong box ends the episode with -1",
    ),
    TaskSpec("gathering-v0", "gathering", Gathering, "three agents find four resources seen only from nearby"),
    TaskSpec("escape-room-v0", "escape-room", EscapeRoom, "two agents find two keys and an exit in the dark"),
    *(_honeycomb(agents) for agents in (10, *HONEYCOMB_SIZES)),
    *(_organization(topology, agents) for topology in TOPOLOGIES for agents in ORGANIZATION_SIZES),
    _organization_with_history(27),
    TaskSpec(
        "organization-pair-v0",
        "organization",
        OrganizationPair,
        "two agents whose reward remembers the previous one (diagnostic)",
        ranked=False,
    ),
)

# Measurements of scale go far beyond the paper's sizes: records are taken, but no board, dataset or page lists them.
SCALE_IDS = tuple(f"organization-full-{agents}-v0" for agents in (300, 1000, 3000, 10_000))

# Families whose size is a parameter answer to every size, listed or not.
_PATTERNS: tuple[tuple[re.Pattern[str], Callable[..., TaskSpec]], ...] = (
    (re.compile(rf"organization-({'|'.join(TOPOLOGIES)})-(\d+)-v0"), lambda t, n: _organization(t, int(n))),
    (re.compile(r"organization-history-(\d+)-v0"), lambda n: _organization_with_history(int(n))),
    (re.compile(r"honeycomb-n(\d+)-v0"), lambda n: _honeycomb(int(n))),
)


def _parameter(name: str) -> Callable[[Task, float], Task]:
    """Return what sets a parameter of a task that has it; transforms do not."""

    def change(task: Task, value: float) -> Task:
        if isinstance(task, Transform):
            raise ValueError("parameters of the task come before slip, sticky, dropout and noise")
        kinds = {field.name: field.type for field in fields(task)}  # pyright: ignore[reportArgumentType]
        if name not in kinds:
            raise ValueError(f"{type(task).__name__} has no {name}")
        whole = isinstance(getattr(task, name), int)
        if whole and value != int(value):
            raise ValueError(f"{name}={value} must be a whole number")
        return replace(task, **{name: int(value) if whole else value})  # pyright: ignore[reportArgumentType]

    return change


# What may follow the colon of an id: parameters of the task first, then transforms in the order given.
_PERTURBATIONS: dict[str, Callable[[Task, float], Task]] = {
    "hint": _parameter("hint_probability"),
    "informed": _parameter("informed"),
    "view": _parameter("view_radius"),
    "reports": _parameter("noise"),
    "slip": Slip,
    "sticky": Sticky,
    "dropout": Dropout,
    "noise": Noise,
    "reveal": Reveal,
}


@lru_cache(maxsize=1)
def _specs() -> dict[str, TaskSpec]:
    specs = {spec.task_id: spec for spec in _BUILT_IN}
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        spec = entry.load()
        if not isinstance(spec, TaskSpec):
            raise ValueError(f"entry point {entry.name!r} = {entry.value!r} must be a TaskSpec, not {type(spec)}")
        if spec.task_id in specs:
            raise ValueError(f"entry point {entry.name!r}: task_id={spec.task_id!r} is already registered")
        specs[spec.task_id] = spec
    return specs


def task_ids() -> list[str]:
    """Return the ids of all listed tasks."""
    return list(_specs())


def spec(task_id: str) -> TaskSpec:
    """Return what is registered under an id (without its perturbation).

    Raises:
        ValueError: if there is no such task; the message names the nearest ids.
    """
    name = task_id.partition(":")[0]
    if name in _specs():
        return _specs()[name]
    for pattern, build in _PATTERNS:
        if match := pattern.fullmatch(name):
            return build(*match.groups())
    raise ValueError(f"task_id={task_id!r} is unknown{did_you_mean(name, _specs())}; see `penumbra tasks`")


def make_task(task_id: str) -> Task:
    """Build the task with this id, perturbation included.

    Raises:
        ValueError: if the id or its perturbation is unknown or out of range.
    """
    task = spec(task_id).build()
    seen: set[str] = set()
    for part in filter(None, task_id.partition(":")[2].split(",")):
        name, _, value = part.partition("=")
        if name in seen:
            raise ValueError(f"task_id={task_id!r}: perturbation {name!r} is given twice")
        seen.add(name)
        if name not in _PERTURBATIONS:
            raise ValueError(
                f"task_id={task_id!r}: perturbation {name!r} is unknown{did_you_mean(name, _PERTURBATIONS)}; "
                f"allowed: {', '.join(_PERTURBATIONS)}"
            )
        try:
            number = float(value)
        except ValueError:
            raise ValueError(f"task_id={task_id!r}: {name}={value!r} is not a number") from None
        try:
            task = _PERTURBATIONS[name](task, number)
        except ValueError as error:
            raise ValueError(f"task_id={task_id!r}: {error}") from None
    return task


def random_start(task: Task) -> Task:
    """Return the task with starts drawn at random where it has that option, as belief data are recorded."""
    if isinstance(task, Transform):
        return replace(task, task=random_start(task.task))
    return replace(task, random_start=True) if hasattr(task, "random_start") else task  # type: ignore[call-arg]


def file_name(identifier: str) -> str:
    """Return a task id, or what is made of one, as part of a path: Windows forbids the ``:`` of perturbations."""
    return identifier.replace(":", "@")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'a', 'b'?"`` or nothing."""
    near = difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)
    return f"; did you mean {', '.join(map(repr, near))}?" if near else ""
