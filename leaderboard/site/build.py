"""Write the site: the same records give the same bytes."""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2

from benchmark.harness.submission import MANIFEST, Submission, read_manifest
from benchmark.harness.suites import SUITES, Suite
from benchmark.tasks.registry import spec, task_ids
from leaderboard.beliefs import TaskBeliefs
from leaderboard.classes import CLASSES
from leaderboard.figures import make_palette
from leaderboard.palette import DARK, LIGHT, darker, lighter
from leaderboard.record import RunRecord
from leaderboard.runtime import RuntimeRecord
from leaderboard.site.boards import TRACK, SuiteView, suite_view
from leaderboard.site.drawing import inline
from leaderboard.site.facts import curves, submission_facts, task_facts
from leaderboard.site.knowledge import Knowledge, gather, heatmaps, knowledge
from leaderboard.site.words import Page, linked, slug
from leaderboard.statistics import RESAMPLES
from leaderboard.submission import write_records

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
MARKER = ".penumbra-site"
# By the Markdown file that holds its text: the page, and its name in the menu. The first file that exists is taken.
DOCUMENTS = {
    "metrics.html": ("Metrics", ("docs/metrics.md",)),
    "submit.html": ("Submit", ("docs/submitting.md", "CONTRIBUTING.md")),
    "about.html": ("About", ("docs/about.md",)),
}


class Builder:
    """Builds the site of some records.

    Args:
        records: everybody's, as ``submission.read_records`` returns them.
        search: folders of submissions, for manifests.
        suites: whose boards are shown.
        tasks: that have a page beside those of the suites and records; by default all that are listed.
        root: where ``docs/`` lies.
        resamples: of every interval.
        runtimes: timings of the submissions.
    """

    def __init__(
        self,
        records: Iterable[RunRecord],
        search: Sequence[Path],
        suites: Mapping[str, Suite] = SUITES,
        tasks: Sequence[str] | None = None,
        root: Path = ROOT,
        resamples: int = RESAMPLES,
        runtimes: Iterable[RuntimeRecord] = (),
    ) -> None:
        self.records = tuple(sorted(records, key=lambda record: (record.suite, *record.cell)))
        self.search, self.chosen, self.root, self.resamples = search, suites, root, resamples
        self.runtimes = tuple(runtimes)
        paths = sorted(path for folder in search for path in folder.glob(f"*/{MANIFEST}"))
        self.manifests: dict[str, Submission] = {path.parent.name: read_manifest(path) for path in paths}
        self.palette = make_palette(self.records, list(self.manifests))
        self.submissions = sorted({*self.manifests, *(record.submission for record in self.records)})
        played = sorted({record.task_id for record in self.records})
        listed = task_ids() if tasks is None else tasks
        self.tasks = list(dict.fromkeys((*listed, *(t for suite in suites.values() for t in suite.tasks), *played)))
        self.pages: dict[str, str] = {}

    @cached_property
    def suites(self) -> list[SuiteView]:
        """The boards of all suites."""
        return [
            suite_view(suite, self.records, self.search, self.palette, self.resamples, self.runtimes)
            for suite in self.chosen.values()
        ]

    @cached_property
    def beliefs(self) -> dict[str, dict[str, TaskBeliefs]]:
        """The beliefs of every suite, by task."""
        return {name: gather(self.records, name) for name in self.chosen}

    @cached_property
    def front(self) -> SuiteView:
        """The suite that the first page shows: on which most are complete, and the largest of such suites."""
        ranked = [view for view in self.suites if view.overall.rows]
        return max(ranked, key=lambda view: (len(view.overall.rows), len(view.suite.tasks)), default=self.suites[0])

    def build(self, report: Callable[[str], None] = lambda line: None) -> dict[str, str]:
        """Return every page, by its path."""
        self.pages = {}
        for view in self.suites:
            report(f"suite {view.suite.name}")
            self._page(self.board_page(view.suite.name), "board.html", view=view, pictures=_inlined(view))
        self._page("tasks.html", "tasks.html", specs={task_id: spec(task_id) for task_id in self.tasks})
        for task_id in self.tasks:
            report(f"task {task_id}")
            self._task(task_id)
        self._page("submissions.html", "submissions.html", facts=[self._facts(name) for name in self.submissions])
        for name in self.submissions:
            report(f"submission {name}")
            self._submission(name)
        for page, (menu, files) in DOCUMENTS.items():
            self._document(page, menu, files)
        for name in ("site.js", "icon.svg"):
            self.pages[f"assets/{name}"] = (HERE / "assets" / name).read_text(encoding="utf-8")
        self.pages["assets/style.css"] = _palette_css() + (HERE / "assets/style.css").read_text(encoding="utf-8")
        return self.pages

    def board_page(self, suite: str) -> str:
        """Return the page of a suite's board."""
        return "index.html" if suite == self.front.suite.name else f"suite-{slug(suite)}.html"

    def _facts(self, name: str) -> Any:
        return submission_facts(name, self.records, self.manifests)

    def _task(self, task_id: str) -> None:
        results = []
        for view in self.suites:
            if found := view.task(task_id):
                picture = view.drawer.curves(task_id)
                results.append((view, found, picture, picture and inline(picture, view.suite.name)))
        known = [
            (suite, self._knowledge(suite, found[task_id])) for suite, found in self.beliefs.items() if task_id in found
        ]
        maps = heatmaps(task_id) if known else None
        self._page(task_page(task_id), "task.html", facts=task_facts(task_id), results=results, known=known, maps=maps)

    def _submission(self, name: str) -> None:
        results = []
        for view in self.suites:
            if found := view.submission(name):
                standing = next((row for row in view.overall.rows if row.submission == name), None)
                results.append((view, found, curves(view, name), standing))
        known = [
            (suite, self._knowledge(suite, task, name))
            for suite, found in self.beliefs.items()
            for task in found.values()
            if name in task.runs
        ]
        self._page(submission_page(name), "submission.html", facts=self._facts(name), results=results, known=known)

    def _knowledge(self, suite: str, task: TaskBeliefs, name: str | None = None) -> Knowledge:
        return knowledge(task, slug(f"{suite}-{task.task_id}"), self.palette, 0, self.resamples, name)

    def _document(self, page: str, menu: str, files: Sequence[str]) -> None:
        found = next((self.root / file for file in files if (self.root / file).is_file()), None)
        if found is None:
            raise ValueError(
                f"site: {' or '.join(files)} is not in {self.root}; build the site in a checkout of Penumbra"
            )
        names = {Path(file).name: target for target, (_, several) in DOCUMENTS.items() for file in several}
        document = Page(found.read_text(encoding="utf-8"), names | {"leaderboard.md": "index.html"})
        self._page(page, "document.html", document=document, menu=menu)

    def _page(self, path: str, template: str, **context: Any) -> None:
        root = "../" * path.count("/")
        self.pages[path] = self._templates.get_template(template).render(root=root, here=path, site=self, **context)

    @cached_property
    def _templates(self) -> jinja2.Environment:
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(HERE / "templates"),
            autoescape=True,  # manifests and records are strangers' text
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters |= {"linked": linked, "slug": slug, "number": _number}
        environment.globals |= {
            "classes": CLASSES, "documents": DOCUMENTS,  "suites": self.chosen, "track": TRACK,
            "task_page": lambda task_id: quote(task_page(task_id)),
            "submission_page": lambda name: quote(submission_page(name)),
            "records_file": lambda name: quote(records_file(name)),
            "slot": lambda name: list(self.palette).index(name) % len(LIGHT) if name in self.palette else 0,
            "version": version("penumbra"),
            "digest": hashlib.sha256("".join(sorted(r.digest for r in self.records)).encode()).hexdigest()[:12],
        }  # fmt: skip
        return environment

    def write(self, folder: Path, report: Callable[[str], None] = lambda line: None) -> int:
        """Write the site; returns the number of files.

        Raises:
            ValueError: if the folder holds anything but an earlier site.
        """
        if folder.exists() and any(folder.iterdir()) and not (folder / MARKER).is_file():
            raise ValueError(f"--out {folder}: is not empty and not a site of ours; name a new folder")
        pages = self.build(report)
        if folder.exists():
            shutil.rmtree(folder)
        for path, text in pages.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8", newline="\n")
        for name in self.submissions:
            if ours := [record for record in self.records if record.submission == name]:
                write_records(folder / records_file(name), ours)
        (folder / MARKER).write_text("Built by `penumbra site`, which replaces this folder when it is run again.\n")
        return sum(len(files) for _, _, files in os.walk(folder))


def task_page(task_id: str) -> str:
    """Return the path of a task's page; perturbed ids hold characters that file systems do not like."""
    return f"tasks/{slug(task_id)}.html"


def submission_page(name: str) -> str:
    """Return the path of a submission's page."""
    return f"submissions/{name}.html"


def records_file(name: str) -> str:
    """Return the path of a submission's records."""
    return f"submissions/{name}.jsonl"


def _inlined(view: SuiteView) -> list[Any]:
    return [(picture, inline(picture, picture.name)) for picture in view.drawer.overall()]


def _palette_css() -> str:
    lines = [
        f"  --s{place}: light-dark({light}, {dark}); --t{place}: light-dark({darker(light)}, {lighter(dark)});"
        for place, (light, dark) in enumerate(zip(LIGHT, DARK, strict=True))
    ]
    return "\n".join(["/* The colours of submissions; see leaderboard/palette.py. */", ":root {", *lines, "}\n\n"])


def _number(value: float) -> str:
    """Write a return: seven digits at most, thousands apart."""
    return f"{value:,.7g}" if abs(value) < 1e6 else f"{value:,.0f}"
