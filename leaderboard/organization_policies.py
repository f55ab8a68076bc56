"""What the learners of Organization settled on: their greedy policies, state by state, and what each is worth."""

from collections import Counter
from collections.abc import Sequence

from benchmark.measures.planners.organization import Visit, follow
from benchmark.tasks.organization import ACTIONS, LEVELS, PUBLIC
from leaderboard import cells
from leaderboard.organization import TOPOLOGIES, Cell, Cells
from leaderboard.record import FinishedRun
from leaderboard.tables import Row, Table, table_of

# How many different policies of one cell are shown.
MOST_POLICIES = 3


def policies(found: Cells) -> Table:
    """Show the greedy policies that runs ended with, state by state, and what each is worth."""
    rows: list[Row] = []
    for cell in found.values():
        if cell.place.topology not in TOPOLOGIES:
            continue
        noted = Counter(policy for run in cell.runs if (policy := noted_policy(run)))
        rows += [_policy_row(cell, policy, count) for policy, count in noted.most_common(MOST_POLICIES)]
    notes = [
        "How many agents choose self/balance/group greedily at each public observation, as noted at the end of "
        f"training; of each cell the {MOST_POLICIES} most frequent.",
        "levels: which levels the firm goes through from medium on and what the team earns in each step; what is in "
        "brackets repeats to the end. value: of the 30 steps; ratio: to the optimum.",
    ]
    return table_of("The policies found, state by state", rows, notes, ("submission", "task", "levels (earned)"))


Policy = tuple[tuple[int, ...], ...]


def noted_policy(run: FinishedRun) -> Policy | None:
    """Read the counts at each public observation off a run's notes; None if it has not noted them."""
    texts = [run.notes.get(f"policy_{name}") for name in PUBLIC]
    if not all(isinstance(text, str) for text in texts):
        return None
    return tuple(tuple(int(count) for count in str(text).split("/")) for text in texts)


def _policy_row(cell: Cell, policy: Policy, count: int) -> Row:
    visits = follow(cell.place.agents, policy)
    value = sum(visit.earned for visit in visits)
    counts = {name: "/".join(map(str, row)) for name, row in zip(PUBLIC, policy, strict=True)}
    numbers = {"submission": cell.submission, "task_id": cell.task_id, "runs": count, **counts, "value": value}
    return numbers, {
        "submission": cell.submission,
        "task": cell.task_id,
        "runs": f"{count} of {len(cell.runs)}",
        **{name: counts[name] for name in ("several", "many", "meager")},
        "levels (earned)": path(visits),
        "value": f"{value:.0f}",
        "ratio": cells.score(value / cell.optimum),
    }


def path(visits: Sequence[Visit]) -> str:
    """Tell an episode: ``medium (102), high (102), [very high (102)]``; brackets enclose what repeats to the end."""
    seen = [visit.level for visit in visits]
    end = next((step for step, level in enumerate(seen) if level in seen[:step]), len(seen))
    start = seen.index(seen[end]) if end < len(seen) else end
    told = [f"{LEVELS[visit.level]} ({visit.earned:g})" for visit in visits[:end]]
    return ", ".join([*told[:start], f"[{', '.join(told[start:])}]"] if start < end else told)


def pair(found: Cells) -> Table:
    """Show what teams of two learned, and the policies that they ended with."""
    rows: list[Row] = []
    for cell in found.values():
        if not cell.task_id.startswith("organization-pair-"):
            continue
        told = Counter(text for run in cell.runs if (text := noted_pair_policy(run)))
        ratio = cell.value.point / cell.optimum
        policy = "; or ".join(
            f"{text} ({count} of {len(cell.runs)})" for text, count in told.most_common(MOST_POLICIES)
        )
        numbers = {"submission": cell.submission, "task_id": cell.task_id, "optimum": cell.optimum, "ratio": ratio}
        text = {
            "submission": cell.submission,
            "optimum": f"{cell.optimum:.2f}",
            "value": cells.interval(cell.value, 2),
            "ratio": f"{ratio:.4f}",
            "worst": f"{cell.worst:.2f}",
            "both choose": policy or "-",
        }
        rows.append((numbers | cells.numbers("value", cell.value) | {"policy": policy}, text))
    notes = [
        "organization-pair-v0, the domain of He, Banerjee & Doshi, AAMAS 2021. optimum: exact, of the 30 steps. value: "
        "interquartile mean over runs of the final greedy return, with its 95% bootstrap interval.",
        "Published policy: group at very low, balance at low, self from medium up. The public observation does not "
        "tell very low from low (both meager); several is medium or high, many is very high.",
    ]
    return table_of("Two agents", rows, notes, ("submission", "both choose"))


def noted_pair_policy(run: FinishedRun) -> str | None:
    """Tell what two agents choose greedily: ``"self at several, many; balance at meager"``.

    An observation appears as ``meager after several`` where it matters what was seen before. Two agents that choose
    differently are both named, such as ``self and balance``. None if the run has not noted a policy of a pair.
    """
    chosen: dict[str, list[str]] = {}
    for now in PUBLIC:
        texts = {before: run.notes.get(f"policy_{now}_after_{before}") for before in PUBLIC}
        if not all(isinstance(text, str) for text in texts.values()):
            return None
        alike = len(set(texts.values())) == 1
        for before, counts in texts.items():
            where = now if alike else f"{now} after {before}"
            places = chosen.setdefault(_names(str(counts)), [])
            places += [] if where in places else [where]
    return "; ".join(f"{actions} at {', '.join(places)}" for actions, places in sorted(chosen.items(), reverse=True))


def _names(counts: str) -> str:
    """Return which actions are chosen by how many: ``"1/1/0"`` is ``"self and balance"``."""
    return " and ".join(name for name, count in zip(ACTIONS, counts.split("/"), strict=True) if int(count))
