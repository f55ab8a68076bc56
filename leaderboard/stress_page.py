"""The results page of stress and ablations: what is kept as worlds get harder, and what each parameter is worth."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from benchmark.harness.ablations import ABLATIONS
from benchmark.harness.stress import STRESSES, Stress, by_suite
from benchmark.harness.submission import Submission, find_submission
from benchmark.measures.diagnosis import Entry
from benchmark.tasks.registry import spec
from leaderboard import belief_shift, cells
from leaderboard.ablation import Swept, ablation_table, sort_runs, sweep_of
from leaderboard.ablation_plots import ablation_figure
from leaderboard.commands.terminal import SUBMISSIONS
from leaderboard.diagnosis import summary
from leaderboard.page import Drawing, write
from leaderboard.palette import Colour, colours, order
from leaderboard.publish import published_names
from leaderboard.record import RunRecord
from leaderboard.robustness import Comparison, Degradation, compare, degradations
from leaderboard.shift import Shifted, shift_table, shifted_runs, unseen
from leaderboard.stress_missing import missing
from leaderboard.stress_plots import shift_figure, stress_figure
from leaderboard.stress_summary import diagnoses, in_short, verdict
from leaderboard.stress_tables import comparison_table, report
from leaderboard.stressed_beliefs import Stressed, stressed_beliefs, stressed_figure, stressed_table
from leaderboard.tables import Table

# The seed paper's open question: does what assumes determinism degrade faster than what assumes nothing of the kind?
ASSUMES, ASSUMES_NOT = "belief-i2q", "rec-hyst-iql"
Part = str | Drawing | Table

_INTRODUCTION = """\
# Stress and ablations: what was learned

Written by `penumbra reproduce stress --out {name}` from run records: of the {suites}. No number here is typed in. A
section is there where there are records for it; what is missing stands at the end.

Under a *stress* a task gets harder level by level. Everybody is trained and evaluated at every level, and a belief is
learned from that level's own offline data. Scores are against that level's own references, so a falling curve is about
the algorithm and not about the harder world; where only sight is lost, references are those of clear sight. Formulas
are in [metrics.md](metrics.md).
"""


def write_page(records: Iterable[RunRecord], path: Path) -> list[Path]:
    """Write the page, and its figures beside it; returns what was written.

    Args:
        records: of any submissions, variants too; each stress and ablation uses those of its suite.
        path: of the page, a Markdown file.
    """
    records = list(records)
    found, shifted, believed = [], [], []
    for suite, stresses in by_suite(STRESSES).items():
        found += degradations(records, suite, stresses)
        shifted += shifted_runs(records, suite, stresses)
        believed += stressed_beliefs(records, suite, stresses)
    runs = {name: sort_runs(records, name) for name in {entry.suite for entry in (*STRESSES, *ABLATIONS)}}
    swept = [
        (entry, ablation_table(entry))
        for ablation in ABLATIONS
        if (entry := sweep_of(runs[ablation.suite], ablation, _plain(ablation.submission)))
    ]
    names = {record.submission for record in records} | {entry.ablation.submission for entry, _ in swept}
    palette = colours(order(names, published_names(SUBMISSIONS)))
    suites = " and ".join(
        f"{name} suite for {', '.join(dict.fromkeys(stress.family for stress in stresses))}"
        for name, stresses in by_suite(STRESSES).items()
    )
    parts: list[Part] = [_INTRODUCTION.format(suites=suites, name=path.as_posix())]
    carried, diagnosed = unseen(shifted), diagnoses()
    sections = (
        in_short(comparisons(found), comparisons(carried), believed, swept, diagnosed),
        _memory(diagnosed),
        _question(found),
        _curves(found, palette),
        _beliefs(believed, belief_shift.read(path.with_name(f"{path.stem}-belief-shift.json")), palette),
        _shifts(shifted),
        _unseen(carried, palette),
        _ablations(swept, palette),
    )
    for section in sections:
        parts += section
    parts.append(missing(runs))
    return write(path, parts)


def _plain(name: str) -> Submission:
    return find_submission(name, [SUBMISSIONS])


def comparisons(found: Sequence[Degradation]) -> list[Comparison]:
    """Compare the two of the question under every stress that both were put under."""
    by_stress: dict[Stress, dict[str, Degradation]] = {}
    for entry in found:
        by_stress.setdefault(entry.stress, {})[entry.submission] = entry
    pairs = [both for both in by_stress.values() if ASSUMES in both and ASSUMES_NOT in both]
    return [entry for both in pairs if (entry := compare(both[ASSUMES], both[ASSUMES_NOT]))]


def _memory(diagnosed: Mapping[str, Entry]) -> Iterator[Part]:
    yield summary({task_id: entry for task_id, entry in diagnosed.items() if spec(task_id).family != "organization"})
    yield "Measured by `penumbra diagnose`, which shows Organization too; [metrics.md](metrics.md) has the rule.\n"


def _question(found: Sequence[Degradation]) -> Iterator[Part]:
    compared = comparisons(found)
    if not compared:
        return
    yield f"## What assumes determinism ({ASSUMES}) and what does not ({ASSUMES_NOT})\n"
    yield from _answers(compared)


def _answers(compared: Sequence[Comparison]) -> Iterator[Part]:
    for entry in compared:
        told = f"{entry.first.levels[-1]:g}"
        yield (
            f"- **{entry.stress.name} of {entry.stress.task_id}, up to {told}: {entry.answer}.** Over these levels "
            f"{ASSUMES} keeps {_share(entry.first)} and {ASSUMES_NOT} {_share(entry.second)}."
            + bool(entry.rising) * f" The score of {' and '.join(entry.rising)} rises."
            + "\n"
        )
    if compared:
        yield comparison_table(compared)


def _share(entry: Degradation) -> str:
    start = f"a score of {entry.scores[:, 0].mean():.2f}"
    return f"{entry.share():.0%} of {start}" if entry.learned else f"nothing to speak of ({start})"


def _curves(found: Sequence[Degradation], palette: Mapping[str, Colour]) -> Iterator[Part]:
    for name in dict.fromkeys(entry.stress.name for entry in found):
        mine = [entry for entry in found if entry.stress.name == name]
        tasks = ", ".join(dict.fromkeys(entry.stress.task_id for entry in mine))
        words = f"Score against {name} in {tasks}: mean over runs with 95% bootstrap bands over whole runs"
        yield f"## Under {name}\n"
        yield Drawing(f"stress-{name}", words, partial(stress_figure, mine, palette))
        yield from report(mine)


def _beliefs(
    found: Sequence[Stressed], shifts: Sequence[belief_shift.Shift], palette: Mapping[str, Colour]
) -> Iterator[Part]:
    if found or shifts:
        yield "## Beliefs under stress\n"
    for name in dict.fromkeys(entry.stress.name for entry in found):
        mine = [entry for entry in found if entry.stress.name == name]
        words = f"Negative log-likelihood of beliefs against {name}, between the prior's and the exact posterior's"
        yield Drawing(f"stress-beliefs-{name}", words, partial(stressed_figure, mine, palette))
        yield from map(stressed_table, mine)
    yield from map(belief_shift.sentence, shifts)
    yield from map(belief_shift.shift_table, shifts)


def _shifts(found: Sequence[Shifted]) -> Iterator[Part]:
    matrices = [entry for entry in found if len(entry.trained) > 1]
    for name in dict.fromkeys(entry.stress.name for entry in matrices):
        mine = [entry for entry in matrices if entry.stress.name == name]
        words = (
            f"Score when trained at one {name} and evaluated at another, with 95% bootstrap intervals; bold where it "
            "certainly is another score than that of training at the level of evaluation"
        )
        yield f"## Trained at one {name}, met by another\n"
        yield Drawing(f"shift-{name}", words, partial(shift_figure, mine))
        for entry in mine:
            yield _worst(entry)
            yield shift_table(entry)


def _unseen(found: Sequence[Degradation], palette: Mapping[str, Colour]) -> Iterator[Part]:
    """Show what is kept of a score where a policy has never learned: the mildest world is all that it knows."""
    if not found:
        return
    words = (
        "Score of policies trained at the mildest level only, evaluated at all: mean over runs with 95% bootstrap "
        "bands over whole runs"
    )
    yield "## Trained in the mildest world, met by harder ones\n"
    yield Drawing("unseen", words, partial(stress_figure, found, palette))
    yield from _answers(comparisons(found))
    yield from report(found)


def _worst(entry: Shifted) -> str:
    """Say what training in the mildest world loses in the hardest, against training there."""
    home, away = entry.trained[0], entry.evaluated[-1]
    gap = entry.gap(home, away)
    where = f"{entry.submission} trained at {entry.stress.name} {home:g} and evaluated at {away:g}"
    if gap is None:
        return f"- {where}: nobody was trained at {away:g} to compare with.\n"
    return f"- {where} scores {cells.interval(gap)} more than when trained there.\n"


def _ablations(found: Sequence[tuple[Swept, Table]], palette: Mapping[str, Colour]) -> Iterator[Part]:
    for entry, table in found:
        ablation = entry.ablation
        words = (
            f"{ablation.submission}: score for values of {ablation.parameter}; the ring is the submission as it is, "
            "bars are 95% bootstrap intervals, points are runs"
        )
        yield f"## Ablation: {ablation.submission}, {ablation.parameter}\n"
        yield verdict(entry, table) + "\n"
        name = f"ablation-{ablation.submission}-{ablation.name}".replace("+", "p")
        yield Drawing(name, words, partial(ablation_figure, entry, palette[ablation.submission]))
        yield table
