"""Does this task need memory? The answer in tables and sentences, and what a learner's was worth, from records."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from benchmark.measures.diagnosis import MARGIN, Entry, diagnosis, verdict
from benchmark.measures.references import reference
from leaderboard import cells
from leaderboard.record import FinishedRun, RunRecord
from leaderboard.statistics import Estimate, mean_estimate
from leaderboard.tables import INTERVAL, Row, Table, table_of

# One core with its memory off, on, and shown the whole state.
LEARNER = "rec-hyst-iql"


def arms(task_id: str) -> dict[str, tuple[str, str]]:
    """Return who plays what, by what it may act on: nothing but the latest observation, its history, the state."""
    revealed = f"{task_id}{',' if ':' in task_id else ':'}reveal=1"
    return {
        "none": (f"{LEARNER}:memory=none", task_id),
        "history": (LEARNER, task_id),
        "state": (LEARNER, revealed),
    }


def learned(records: Iterable[RunRecord], task_id: str, suite: str) -> Entry | None:
    """Return what the learner's memory was worth to it, from the seeds that all its arms have in common.

    Args:
        records: of anybody, variants included.
        task_id: which task.
        suite: whose budgets.

    Returns:
        Final returns by arm, and the gap ``[point, low, high]`` in score between history and none; None with fewer
        than two seeds of both. The arm that sees the state is there if those seeds have it.
    """
    found: dict[tuple[str, str], dict[int, float]] = {}
    for record in records:
        if isinstance(record, FinishedRun) and record.suite == suite:
            found.setdefault((record.submission, record.task_id), {})[record.seed] = record.final_return
    runs = {arm: found.get(cell, {}) for arm, cell in arms(task_id).items()}
    seeds = sorted(runs["none"].keys() & runs["history"].keys())
    if len(seeds) < 2:
        return None
    returns = {arm: [runs[arm][seed] for seed in seeds] for arm in runs if set(seeds) <= runs[arm].keys()}
    scale = reference(task_id)
    gaps = [scale.score(a) - scale.score(b) for a, b in zip(returns["history"], returns["none"], strict=True)]
    gap = [round(float(end), 4) for end in mean_estimate(gaps, 0)]
    return {"learner": LEARNER, "suite": suite, "seeds": seeds, "returns": returns, "gap": gap}


def sentence(task_id: str, entry: Entry) -> str:
    """Say in one sentence whether a task needs memory, and why that is known."""
    found, scale = verdict(task_id, entry), reference(task_id)
    without = scale.score(entry["without_memory"]["value"])
    if found.needed is False:
        return (
            f"This task needs no memory: a policy that sees only the latest observation scores {without:.3f}, "
            f"and memory can add at most {found.at_most:.3f}."
            + (f" To a learner its own was worth {_ends(found.learned)}." if found.learned else "")
        )
    known = f"the best known policy without memory scores {without:.3f}, and memory can add at most {found.at_most:.3f}"
    if found.needed:
        assert found.learned
        return f"This task needs memory: {known}; to a learner its own was worth {_ends(found.learned)}."
    missing = f"was worth {_ends(found.learned)}" if found.learned else "has not been asked"
    return f"Undecided: {known}; a learner's own {missing}."


def summary(entries: Mapping[str, Entry]) -> Table:
    """Write a row for each task: the verdict and what it rests on."""
    rows: list[Row] = []
    for task_id, entry in entries.items():
        found, scale = verdict(task_id, entry), reference(task_id)
        without, most = entry["without_memory"]["value"], entry["with_memory"]["value"]
        numbers: dict[str, object] = {"task": task_id, "verdict": found.word, "at_most": found.at_most}
        numbers |= {"without": without, "with": most, "never_told": entry.get("never_told", {}).get("value")}
        text = {
            "task": task_id,
            "verdict": found.word,
            "memory is worth": f"≤ {found.at_most:.3f}",
            "without memory": f"{cells.amount(without)} ({scale.score(without):.3f})",
            "with memory ≤": f"{cells.amount(most)} ({scale.score(most):.3f})",
            "learner's memory": _ends(found.learned) if found.learned else cells.NOTHING,
        }
        rows.append((numbers, text))
    told = [
        f"{task_id}: a team that is never told could return {entry['never_told']['value']:.4g}, one that is told "
        f"{entry['with_memory']['value']:.4g} with memory and {entry['without_memory']['value']:.4g} without."
        for task_id, entry in entries.items()
        if "never_told" in entry
    ]
    notes = (
        f"No memory is needed where the bounds leave it at most {MARGIN} of the score; it is needed where they leave "
        f"more, and {LEARNER} gained more than that by its own, with its whole interval.",
        f"Returns, with scores in parentheses; learner's memory: score gained {INTERVAL}.",
        *told,
        *(_played(task_id, entry["learned"]) for task_id, entry in entries.items() if "learned" in entry),
    )
    return table_of("Does the task need memory?", rows, notes, words=("task", "verdict"))


def _played(task_id: str, entry: Entry) -> str:
    """Say what the learner scored with its memory off and on, and shown the state."""
    scale = reference(task_id)
    arms = {"none": "without its memory", "history": "with it", "state": "shown the whole state too"}
    scores = {arm: fmean(map(scale.score, entry["returns"][arm])) for arm in arms if arm in entry["returns"]}
    told = ", ".join(f"{cells.score(scores[arm], 2)} {arms[arm]}" for arm in scores)
    return f"{task_id}: {entry['learner']} scored {told} ({len(entry['seeds'])} runs, suite {entry['suite']})."


def probed(task_id: str, entry: Entry) -> Table:
    """Write what the reference policy's actions depend on besides the observation."""
    found = entry["probes"]
    rows: list[Row] = []
    for name, (bits, low, high, p_value) in found["depend_on"].items():
        numbers: dict[str, object] = {"on": name, "bits": bits, "low": low, "high": high, "p_value": p_value}
        text = {"on": name, "bits": cells.interval(Estimate(bits, low, high)), "p": f"{p_value:.3f}"}
        rows.append((numbers, text))
    notes = (
        f"An action holds {found['entropy']:.3f} bits, of which the observation leaves {found['left_open']:.3f} open; "
        f"{found['seen_again']:.0%} of {found['actions']:,} actions were at observations that occur again.",
        "Bits that each tells about an action whose observation is known, less what permuting within equal "
        "observations leaves; to depend on the past is not to need it.",
    )
    return table_of(f"{task_id}: what the reference policy's actions depend on", rows, notes, words=("on",))


def gather(task_ids: Sequence[str], records: Sequence[RunRecord] = (), suite: str = "") -> dict[str, Entry]:
    """Return the tasks' diagnoses, computed now where none is frozen, with what records say of a learner's memory."""
    from benchmark.measures.diagnosis import compute

    entries = {}
    for task_id in task_ids:
        entry = diagnosis(task_id) or compute(task_id)
        gained = learned(records, task_id, suite)
        entries[task_id] = entry | ({"learned": gained} if gained else {})
    return entries


def _ends(gap: Sequence[Any]) -> str:
    return cells.interval(Estimate(*gap))
