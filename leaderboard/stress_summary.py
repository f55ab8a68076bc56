"""What was learned from stress and ablations, in plain words: every sentence is put together from what was measured."""

from collections.abc import Iterator, Mapping, Sequence

from benchmark.harness.suites import SUITES
from benchmark.measures.diagnosis import Entry, diagnosis
from benchmark.measures.diagnosis import verdict as memory_verdict
from benchmark.tasks.registry import spec
from leaderboard.ablation import Swept, spoken
from leaderboard.robustness import Comparison
from leaderboard.stressed_beliefs import Stressed, stressed_table
from leaderboard.tables import Table


def diagnoses() -> dict[str, Entry]:
    """Return the frozen diagnoses of all suites' tasks: does it need memory?"""
    tasks = dict.fromkeys(task_id for suite in SUITES.values() for task_id in suite.tasks)
    return {task_id: entry for task_id in tasks if (entry := diagnosis(task_id))}


def in_short(
    compared: Sequence[Comparison],
    unseen: Sequence[Comparison],
    believed: Sequence[Stressed],
    swept: Sequence[tuple[Swept, Table]],
    diagnosed: Mapping[str, Entry],
) -> Iterator[str]:
    """Say in a few lines what the rest of the page shows.

    Args:
        compared: what assumes determinism against what does not, trained at every level.
        unseen: the same, trained at the mildest level only.
        believed: beliefs along a stress.
        swept: ablations with their tables.
        diagnosed: whether tasks need memory.
    """
    yield "## In short\n"
    if compared:
        yield _faster(compared, "trained at every level")
    if unseen:
        yield _faster(unseen, "trained in the mildest world and met by harder ones")
    kept = [line for entry in believed if (line := _belief(entry))]
    if kept:
        yield (
            "- Of what can be known about what is hidden, the learned belief keeps, from the mildest level to the "
            f"hardest: {'; '.join(kept)}.\n"
        )
    for entry, table in swept:
        asked, found = f"{entry.ablation.question} (`{entry.ablation.parameter}`)", verdict(entry, table)
        yield f"- {entry.ablation.submission}, {asked}: {found[0].lower()}{found[1:]}\n"
    yield _memory(diagnosed)


def _faster(compared: Sequence[Comparison], how: str) -> str:
    first, second = compared[0].first.submission, compared[0].second.submission
    groups: dict[str, list[str]] = {}
    for entry in compared:
        rises = bool(entry.rising) * f" (where the score of {' and '.join(entry.rising)} rises)"
        groups.setdefault(entry.answer, []).append(f"{entry.stress.name} of {entry.stress.task_id}{rises}")
    said = "; ".join(f"{answer} under {', '.join(where)}" for answer, where in groups.items())
    return f"- Does {first} degrade faster than {second}, {how}? {said[0].upper()}{said[1:]}.\n"


def _belief(entry: Stressed) -> str:
    scores = [row["score"] for row in stressed_table(entry).data.to_dict("records")]
    known = [score for score in scores if score == score]
    return f"{entry.stress.name} of {entry.stress.task_id} {known[0]:.2f} to {known[-1]:.2f}" if len(known) > 1 else ""


def verdict(entry: Swept, table: Table) -> str:
    """Say which values certainly differ from the usual one."""
    if entry.usual is None:
        return "The usual value was not played, so nothing is compared with it."
    rows = table.data.to_dict("records")
    better, worse = (
        [row[entry.ablation.parameter] for row in rows if test(row)]
        for test in (lambda row: row["difference_low"] > 0, lambda row: row["difference_high"] < 0)
    )
    said = [
        f"certainly {word}: {', '.join(values)}" for word, values in (("better", better), ("worse", worse)) if values
    ]
    usual = spoken(entry.usual.value)
    return f"Against {usual}, the usual value: {'; '.join(said) or 'no value certainly differs'}."


def _memory(diagnosed: Mapping[str, Entry]) -> str:
    """Name the tasks of each verdict; Organization's are many and are counted."""
    groups: dict[str, list[str]] = {}
    teams: dict[str, int] = {}
    for task_id, entry in diagnosed.items():
        word = memory_verdict(task_id, entry).word
        if spec(task_id).family == "organization":
            teams[word] = teams.get(word, 0) + 1
        else:
            groups.setdefault(word, []).append(task_id)
    for word, count in teams.items():
        groups.setdefault(word, []).append(f"{count} of Organization")
    told = "; ".join(f"{word}: {', '.join(tasks)}" for word, tasks in groups.items())
    return f"- Does the task need memory? {told[0].upper()}{told[1:]}.\n"
