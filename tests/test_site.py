"""The site as files: what it says, that it holds together, and that it trusts nobody."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin

import numpy as np
import pytest
from sites import HOSTILE, REFERENCES, TASKS, TINY, builder, everything, manifest, parsed, records_of
from typer.testing import CliRunner

from benchmark.episodes.policy import ConstantPolicy
from benchmark.tasks.registry import make_task, task_ids
from leaderboard import cli
from leaderboard.classes import CLASSES, class_of
from leaderboard.commands.terminal import SUBMISSIONS
from leaderboard.site import facts, words
from leaderboard.site.boards import TRACK, suite_view
from leaderboard.site.build import MARKER, Builder, slug
from leaderboard.site.episode import animate
from leaderboard.submission import read_records

VOID = {"meta", "link", "input", "br", "img", "hr"}


class Reader(HTMLParser):
    """Reads a page; every tag must be closed where it was opened."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> at {self.getpos()}"

    def all(self, name: str) -> list[dict[str, str]]:
        return [attributes for tag, attributes in self.tags if tag == name]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> tuple[Builder, Path]:
    """A site with every case, and where it was written."""
    folder = tmp_path_factory.mktemp("everything")
    built = everything(folder / "submissions")
    built.write(folder / "site")
    return built, folder / "site"


@pytest.fixture(scope="module")
def pages(site) -> dict[str, str]:
    return site[0].pages


@pytest.fixture(scope="module")
def read(pages) -> dict[str, Reader]:
    return {path: Reader(text) for path, text in pages.items() if path.endswith(".html")}


def test_there_is_a_page_for_everything(pages):
    assert set(pages) == {
        "index.html", "suite-other.html", "tasks.html", "submissions.html", "metrics.html", "submit.html", "about.html",
        "assets/style.css", "assets/site.js", "assets/icon.svg",
        *(f"tasks/{task_id}.html" for task_id in (*TASKS, "oracle-v0-slip-0.1")),
        *(f"submissions/{name}.html" for name in (
            "a-own", "b-labels", "broken", "c-central", "d-own", "e-own", "evil", "half", "planner")),
    }  # fmt: skip


def test_every_link_inside_the_site_leads_somewhere(site, pages, read):
    anchors = {
        path: {attributes["id"] for _, attributes in page.tags if "id" in attributes} for path, page in read.items()
    }
    downloads = set()
    for path, page in read.items():
        for tag, attributes in page.tags:
            target = attributes.get("href") or attributes.get("src") or ""
            if not target or tag == "use" or target.startswith("https://"):
                continue
            file, _, anchor = unquote(urljoin(f"/{path}", target))[1:].partition("#")
            if file.endswith(".jsonl"):
                downloads.add(file)
                continue
            assert file in pages, f"{path}: {target}"
            assert not anchor or anchor in anchors[file], f"{path}: {target}"
    assert len(downloads) == 8  # evil has no records
    assert all((site[1] / file).is_file() for file in downloads)


def test_nothing_is_fetched_from_anywhere(pages, read):
    for page in read.values():
        for tag in ("script", "link", "img", "iframe", "source", "use", "image"):
            for attributes in page.all(tag):
                target = attributes.get("src") or attributes.get("href") or ""
                assert not re.match(r"\w+:|//", target)
        policy = next(m["content"] for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
        assert policy.startswith("default-src 'none'")
    for asset in ("assets/style.css", "assets/site.js"):
        assert not re.search(r"url\(|@import|fetch\(|https?:", pages[asset])


def test_beliefs_stand_between_prior_and_posterior_beside_the_board(pages):
    task, mine = pages["tasks/oracle-v0.html"], pages["submissions/b-labels.html"]
    for page, figures in ((task, 4), (mine, 3)):
        section = page[page.index('aria-labelledby="beliefs"') :]
        section = section[: section.index("</section>")]
        assert section.count('<svg class="plot"') == figures  # surprise, error, reliability; heat maps on the task's
        rows = re.findall(r'<th scope="row" class="words sticky"[^>]*>(?:<a[^>]*><i[^>]*></i>)?([^<]*)<', section)
        assert [row.strip() for row in rows] == ["prior", "b-labels", "exact posterior"]
        assert "<image" not in section  # the pages' own rules would not show it
    assert "Probability that the belief gives to the truth, at step 0: box 33%" in task
    for page in (pages["tasks/escape-room-v0.html"], pages["submissions/a-own.html"]):
        assert 'aria-labelledby="beliefs"' not in page


def test_a_tasks_page_says_whether_it_needs_memory(pages):
    section = pages["tasks/oracle-v0.html"].partition('aria-labelledby="memory"')[2].partition("</section>")[0]
    assert "This task needs no memory: a policy that sees only the latest observation scores 1.000" in section
    rows = dict(re.findall(r'<th scope="row" class="words">([^<]*)</th><td>([^<]*)</td>', section))
    assert rows == {"without memory": "0.96", "with memory, at most": "0.96", "never told": "0.9366667"}
    assert "previous action 0.000 (p = 1.000)" in section
    assert 'aria-labelledby="memory"' not in pages["tasks/oracle-v0-slip-0.1.html"]  # nobody has asked


def test_pages_have_one_heading_and_ids_are_unique(read):
    for path, page in read.items():
        assert len(page.all("h1")) == 1, path
        ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
        assert len(ids) == len(set(ids)), path


def test_tables_say_what_they_are(pages, read):
    for path, page in read.items():
        if path in ("metrics.html", "submit.html", "about.html"):
            continue  # Markdown has no captions
        assert len(page.all("table")) == pages[path].count("<caption>"), path
        assert all(head["scope"] in ("col", "row") for head in page.all("th"))
    assert len(read["index.html"].all("table")) >= 3


def test_every_figure_can_be_read_aloud(read):
    figures = [svg for page in read.values() for svg in page.all("svg") if "aria-hidden" not in svg]
    assert len(figures) >= 5 + 2 * len(TASKS)
    assert all(svg["role"] == "img" and len(svg["aria-label"]) > 20 for svg in figures)


def test_what_strangers_write_is_shown_and_not_run(pages, read):
    page = read["submissions/evil.html"]
    assert "&lt;script&gt;document.title" in pages["submissions/evil.html"]
    assert HOSTILE not in "".join(pages.values())
    assert not [a for a in page.all("a") if a["href"].startswith("javascript")]
    assert "https://example.org/" in [a["href"] for a in page.all("a")]
    assert not [1 for _, attributes in page.tags if any(name.startswith("on") for name in attributes)]


def test_the_same_records_give_the_same_bytes(tmp_path):
    records = records_of({"one": 0.3, "two": 0.6})
    shuffled = [records[place] for place in np.random.default_rng(0).permutation(len(records))]
    first, second = (builder(order, tmp_path).build() for order in (records, shuffled))
    assert first == second


@pytest.mark.parametrize("count", [0, 1, 50])
def test_pages_are_whole_for_any_number_of_submissions(count, tmp_path):
    built = builder(records_of({f"s{n:02d}": n / 50 for n in range(count)}), tmp_path).build()
    for path, text in built.items():
        if path.endswith(".html"):
            Reader(text)
    assert built["index.html"].count('class="rank"') == 3 * count  # over all, and in two families
    if count == 50:
        assert "The best 12 of 50" in built["index.html"]
    if count == 0:
        assert "be the first" in built["index.html"]
        assert "No published run on this task yet" in built["tasks/oracle-v0.html"]


def test_records_are_downloaded_as_they_were_published(site):
    built, folder = site
    for name in ("a-own", "broken", "half"):
        ours = [record._raw for record in built.records if record.submission == name]
        file = folder / "submissions" / f"{name}.jsonl"
        assert sorted(map(json.dumps, ours)) == sorted(json.dumps(json.loads(line)) for line in file.open())
        assert len(read_records(file)) == len(ours)


def test_only_an_earlier_site_is_replaced(tmp_path):
    site = builder([], tmp_path / "submissions")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match="not a site of ours"):
        site.write(tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.tex").exists()
    site.write(tmp_path / "site")
    (tmp_path / "site" / "tasks" / "gone.html").write_text("of a task that is no more")
    site.write(tmp_path / "site")
    assert not (tmp_path / "site" / "tasks" / "gone.html").exists()
    assert (tmp_path / "site" / MARKER).exists()


def test_the_command_names_the_page_to_open(tmp_path, monkeypatch):
    monkeypatch.setattr("leaderboard.site.build.Builder.build", lambda self, report: {"index.html": "x"})
    result = CliRunner().invoke(cli.app, ["site", "--out", str(tmp_path / "site")])
    assert result.exit_code == 0
    assert "index.html: " in result.output


# What tables show.


def test_ranks_within_a_class_are_those_of_its_members(tmp_path):
    for name in ("a", "b-labels", "c"):
        manifest(tmp_path, name)
    records = parsed(records_of({"a": 0.9, "b-labels": 0.5, "c": 0.1, "planner": 1.0}))
    manifest(tmp_path, "planner")
    view = suite_view(TINY, tuple(records), [tmp_path], {}, 200)
    ranks = {row.submission: (row.cells["rank"].text, row.rank_in_class) for row in view.overall.rows}
    assert ranks == {"planner": ("-", "-"), "a": ("1", "1"), "b-labels": ("2", "1"), "c": ("3", "2")}


def test_cells_are_sorted_by_their_numbers(tmp_path):
    view = suite_view(TINY, tuple(parsed(records_of({"a": 0.9}))), [tmp_path], {}, 200)
    cells = view.overall.rows[0].cells
    assert cells["submission"].key == "a"
    assert cells["belief (prior)"].key is None
    assert cells["collapsed"].key == 0
    iqm = cells["IQM [95% interval]"]
    point = float(iqm.text.split()[0])
    assert iqm.key == point
    assert iqm.bar is not None
    # The track runs from -1 to 1.25.
    assert iqm.bar["point"] == pytest.approx(100 * (point + 1) / 2.25, abs=0.05)
    assert TRACK == {"zero": 44.44, "one": 88.89}


@pytest.mark.parametrize(
    ("information", "expected"),
    [
        ((), "own-observations"),
        (("own-observations",), "own-observations"),
        (("own-observations", "state-labels"), "state-labels"),
        (("own-observations", "others-actions", "state-labels"), "others-actions"),
        (("own-observations", "task-rules"), "task-rules"),
    ],
)
def test_a_class_is_the_most_that_is_used(information, expected):
    assert class_of(information) == expected
    assert set(CLASSES) >= set(information)


# Words.


def test_formulas_become_mathml_and_html_is_shown():
    page = words.Page("# Title\n\n## Part one\n\n```math\n\\frac{a}{b}\n```\n\n<script>x</script>\n", {})
    assert page.title == "Title"
    assert page.contents == [("part-one", "Part one")]
    assert "<mfrac><mrow><mi>a</mi></mrow><mrow><mi>b</mi></mrow></mfrac>" in page.html
    assert "&lt;script&gt;" in page.html
    assert "<h1" not in page.html


def test_links_lead_to_pages_or_nowhere():
    text = "[a](../docs/metrics.md#iqm) [b](../benchmark/x.py) [c](https://example.org) [d](#here) [e](javascript:x)"
    html = words.Page(text, {"metrics.md": "metrics.html"}).html
    assert re.findall(r'href="([^"]*)"', html) == ["metrics.html#iqm", "https://example.org", "#here"]


@pytest.mark.parametrize(
    ("text", "links"),
    [
        ("see arXiv 2504.08417, twice", ["https://arxiv.org/abs/2504.08417"]),
        ("https://example.org/a?b=1&c.", ["https://example.org/a?b=1&amp;c"]),
        ("javascript:alert(1) data:text/html,x", []),
        ('https://example.org/"onclick="x', ["https://example.org/"]),
    ],
)
def test_strangers_links_are_addresses_of_the_web(text, links):
    assert re.findall(r'href="([^"]*)"', words.linked(text)) == links


def test_docstrings_end_where_their_sections_begin():
    assert words.docstring("Rules.\n\nMore ``code``.\n\nAttributes:\n    x: y\n") == "Rules.\n\nMore ``code``."
    assert words.docstring(None) == ""


@pytest.mark.parametrize(("name", "file"), [("oracle-v0:slip=0.1", "oracle-v0-slip-0.1"), ("A b/../c", "a-b-..-c")])
def test_names_of_files_hold_no_strange_characters(name, file):
    assert slug(name) == file


# Episodes.


def test_an_animation_shows_every_state_and_where_the_agents_are():
    task = make_task("escape-room-v0")
    shown = animate(task, ConstantPolicy([task.action_names.index("left"), task.action_names.index("stay")]))
    assert len(shown.frames) == len(shown.agents) == len(shown.captions) == task.horizon + 1
    start, after = shown.agents[0][0][0], shown.agents[2][0][0]
    assert after < start - 1  # one cell is one unit
    assert "agent 0: left, agent 1: stay; reward -0.01, return -0.01" in shown.captions[1]
    assert shown.outcome.startswith("Return -")
    assert all(number < len(shown.fragments) for frame in shown.frames for number in frame)
    assert len(set(shown.fragments)) == len(shown.fragments)


def test_references_are_shown_with_their_method(pages):
    text = pages["tasks/oracle-v0.html"]
    assert "every agent repeats" in text or "uniformly random" in text
    assert f"{REFERENCES['oracle-v0'].reference:.7g}" in text


def test_a_task_without_references_has_a_page_too(tmp_path, monkeypatch):
    def none(task_id):
        raise ValueError(f"{task_id} has none")

    monkeypatch.setattr(facts, "reference", none)
    facts.task_facts.cache_clear()
    text = builder([], tmp_path).build()["tasks/oracle-v0.html"]
    facts.task_facts.cache_clear()
    assert "This task has no references" in text


def test_every_metric_of_the_board_is_explained():
    text = (Path(__file__).parents[1] / "docs" / "metrics.md").read_text()
    named = {line.removeprefix("## ").lower() for line in text.splitlines() if line.startswith("## ")}
    assert named >= {
        "return", "score", "iqm", "median", "mean", "optimality gap", "performance profile",
        "probability of improvement", "sample efficiency", "intervals", "rank", "collapsed", "seconds",
    }  # fmt: skip
    assert text.count("```math") >= 13


@pytest.mark.slow
def test_the_published_records_make_a_site_of_every_task():
    built = Builder(read_records(SUBMISSIONS), [SUBMISSIONS], resamples=500).build()
    assert {f"tasks/{slug(task_id)}.html" for task_id in task_ids()} <= set(built)
    for path, text in built.items():
        if path.endswith(".html"):
            Reader(text)
    assert built["index.html"].count('class="plot"') == 5
