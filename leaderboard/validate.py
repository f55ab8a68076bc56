"""What a pull request must pass: a submission's folder as data from a stranger.

Nothing is executed, nothing is unpickled, no link is followed and no file is read before its size is known. The same
function checks what ``penumbra submit`` is about to write, with the same messages: file, line, key, value, rule.
"""

import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from unicodedata import category

from benchmark.harness.submission import MANIFEST, MOST_BYTES, Submission
from benchmark.harness.suites import SUITES, Suite, get_suite
from benchmark.harness.variant import same, split_variant
from benchmark.tasks.registry import SCALE_IDS, did_you_mean, make_task, spec, task_ids
from leaderboard.plausible import implausible
from leaderboard.reading import MOST_BYTES_PER_FILE, SubmissionError, plain, shorten, where
from leaderboard.record import FinishedRun, RunRecord
from leaderboard.runtime import FILE, RuntimeRecord, read_runtimes
from leaderboard.submission import check_manifest, check_suite, merge, read_records

RESULTS = "results.jsonl"
MOST_FILES = 50
# What a submission's folder may hold, and how large it may be: the learner's code is read by people, run by nobody.
SIZES = {MANIFEST: MOST_BYTES, RESULTS: MOST_BYTES_PER_FILE, FILE: MOST_BYTES_PER_FILE}
OPTIONAL = (FILE,)
SUFFIXES = (".py", ".md", ".txt")
MOST_BYTES_OF_TEXT = 1_000_000


@dataclass
class Report:
    """What is wrong with a submission (``errors``) and what its readers should know (``warnings``)."""

    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    manifest: Submission | None = None
    records: list[RunRecord] = field(default_factory=list)
    runtimes: list[RuntimeRecord] = field(default_factory=list)


def validate(folder: Path) -> Report:
    """Check the folder of a submission; never raises for what is in it."""
    report = Report(errors=[plain(problem) for problem in _files(folder)])
    if report.errors:
        return report
    try:
        report.manifest = check_manifest(folder / MANIFEST)
    except SubmissionError as error:
        report.errors += str(error).splitlines()
    try:
        report.records = read_records(folder / RESULTS, variants=True)
    except SubmissionError as error:
        report.errors += str(error).splitlines()
    if (folder / FILE).exists():
        try:
            report.runtimes = read_runtimes(folder / FILE)
        except SubmissionError as error:
            report.errors += str(error).splitlines()
    if report.manifest is not None and report.records:
        check_content(report.manifest, report.records, report)
    if report.manifest is not None:
        check_runtimes(report.manifest, report.runtimes, report)
    return report


def check_runtimes(manifest: Submission, runtimes: Sequence[RuntimeRecord], report: Report) -> None:
    """Check what a manifest and its timings say together, and add what is found to the report."""
    for record in runtimes:
        report.errors += map(plain, _rules(manifest, record))
        if record.doubts:
            report.warnings.append(plain(f"{where(record)}: does not count: {'; '.join(record.doubts)}"))


def check_content(manifest: Submission, records: Sequence[RunRecord], report: Report) -> None:
    """Check what a manifest and its records say together, and add what is found to the report."""
    broken = [problem for record in records for problem in _rules(manifest, record)]
    try:
        merge(records)
    except SubmissionError as error:
        broken += str(error).splitlines()
    for suite in SUITES.values():
        try:
            check_suite((record for record in records if record.suite == suite.name and _is_listed(record)), suite)
        except SubmissionError as error:
            broken += str(error).splitlines()
    report.errors += map(plain, broken)
    if not broken:
        impossible, strange = implausible(records)
        report.errors += map(plain, impossible)
        report.warnings += map(plain, [*strange, *_remarks(records)])


def _files(folder: Path) -> list[str]:
    """Look at a folder without opening anything in it."""
    try:
        if not stat.S_ISDIR(folder.lstat().st_mode):
            return [f"{folder}: must be a folder, and no link to one"]
        entries = sorted(folder.iterdir())
    except OSError as error:
        return [f"{folder}: cannot be read: {error.strerror}"]
    problems = [f"{folder}: {len(entries)} files exceed {MOST_FILES}"] if len(entries) > MOST_FILES else []
    for entry in entries[:MOST_FILES]:
        status, name = entry.lstat(), entry.name
        most = SIZES.get(name, MOST_BYTES_OF_TEXT)
        if stat.S_ISLNK(status.st_mode):
            problems.append(f"{entry}: is a link; a submission holds plain files")
        elif not stat.S_ISREG(status.st_mode):
            problems.append(f"{entry}: is no plain file; a submission has no folders in it")
        elif name not in SIZES and (entry.suffix not in SUFFIXES or name.startswith(".")):
            problems.append(
                f"{entry}: suffix={entry.suffix!r} is not allowed{did_you_mean(name, SIZES)}; allowed: "
                f"{', '.join(SIZES)} and files that end in {', '.join(SUFFIXES)}. No weights, no archives, no pickles"
            )
        elif status.st_size > most:
            problems.append(f"{entry}: {status.st_size} bytes exceed {most}")
    present = {entry.name for entry in entries}
    if not problems:
        problems += [problem for entry in entries if entry.suffix in SUFFIXES for problem in _unreadable(entry)]
    problems += [f"{folder / name}: is missing" for name in SIZES if name not in (*present, *OPTIONAL)]
    return problems


def _unreadable(path: Path) -> list[str]:
    """Say why people who review a text would not see what is in it (CVE-2021-42574: code that shows as a comment)."""
    try:
        text = path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        return [f"{path}: must be UTF-8 text: {error}"]
    for number, line in enumerate(text.split("\n"), start=1):
        if hidden := next((c for c in line if c not in "\t\r\f" and category(c) in ("Cc", "Cf")), None):
            return [f"{path}:{number}: holds the invisible character U+{ord(hidden):04X}; write what readers can see"]
    return []


def _rules(manifest: Submission, record: RunRecord | RuntimeRecord) -> list[str]:
    """Say what a record must have in common with its manifest, its suite and the registered tasks."""
    problems = []
    name, changes = split_variant(record.submission)
    if name != manifest.name:
        problems.append(f"submission={record.submission!r} must be {manifest.name!r}, as in {MANIFEST}, or a variant")
    if not isinstance(record, RuntimeRecord):
        try:
            get_suite(record.suite)
        except ValueError as error:
            problems.append(str(error))
    if not _is_listed(record):
        name = record.task_id.partition(":")[0]
        known = f"{did_you_mean(name, task_ids())}; see `penumbra tasks`"
        problems.append(f"task_id={record.task_id!r} is no listed task{known}")
    else:
        try:
            make_task(record.task_id)
        except ValueError as error:
            problems.append(str(error))
    if not manifest.applies_to(record.task_id):
        problems.append(f"task_id={record.task_id!r} must match tasks={list(manifest.tasks)} of {MANIFEST}")
    parameters = {**manifest.parameters, **changes}
    for key in sorted(record.config.keys() | parameters.keys()):
        mine, said = record.config.get(key), parameters.get(key)
        if not same(mine, said):
            problems.append(f"config.{key}={shorten(mine)} must be {shorten(said)}, as in {MANIFEST}")
    if isinstance(record, FinishedRun | RuntimeRecord) and record.stacked_runs > 1 and not manifest.stacked:
        problems.append(f"stacked_runs={record.stacked_runs} must be 1: stacked=false in {MANIFEST}")
    return [f"{where(record)}: {problem}" for problem in problems]


def _is_listed(record: RunRecord | RuntimeRecord) -> bool:
    return record.task_id.partition(":")[0] in (*task_ids(), *SCALE_IDS)


def _remarks(records: Sequence[RunRecord]) -> list[str]:
    """Say what is missing from a board, and what does not count on it."""
    remarks = []
    for suite in SUITES.values():
        ours = [record for record in records if record.suite == suite.name]
        if ours:
            remarks += _missing(suite, ours) + _uncounted(suite, ours)
    return remarks


def _missing(suite: Suite, records: Sequence[RunRecord]) -> list[str]:
    seeds: dict[str, set[int]] = {task_id: set() for task_id in suite.tasks if spec(task_id).ranked}
    for record in records:
        if record.task_id in seeds and not split_variant(record.submission)[1]:
            seeds[record.task_id].add(record.seed)
    absent = [task_id for task_id, there in seeds.items() if not there]
    more = f" and {len(absent) - 3} more tasks" if len(absent) > 3 else ""
    missing = [f"no run of {', '.join(absent[:3])}{more}"] if absent else []
    for task_id, there in seeds.items():
        lacking = [str(seed) for seed in range(suite.runs) if seed not in there]
        if there and lacking:
            missing.append(f"task_id={task_id!r} lacks seed {', '.join(lacking)}")
    return [f"suite {suite.name!r}: {line}; without them there is no rank" for line in missing]


def _uncounted(suite: Suite, records: Sequence[RunRecord]) -> list[str]:
    groups: dict[tuple[str, str], list[RunRecord]] = {}
    for record in records:
        if not isinstance(record, FinishedRun):
            why = f"failed ({shorten(record.error)}) and counts as a collapse"
        elif split_variant(record.submission)[1]:
            why = "does not count in the ranking: a variant"
        elif record.task_id not in suite.tasks or not spec(record.task_id).ranked or record.seed >= suite.runs:
            why = "does not count in the ranking: beyond the suite's tasks or seeds"
        else:
            continue
        groups.setdefault((record.task_id, why), []).append(record)
    return [
        f"{where(found[0])}: task_id={task_id!r} seed={', '.join(str(record.seed) for record in found)} {why}"
        for (task_id, why), found in groups.items()
    ]
