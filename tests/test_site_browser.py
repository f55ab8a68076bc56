"""The site as people use it, in a real browser: headless Chromium, pages opened as files."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from sites import everything
from test_palette import contrast

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
REQUIRED = "PENUMBRA_REQUIRE_BROWSER"  # set by .ci/run: there a missing browser is a failure
DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
SAMPLE = ("index.html", "tasks/escape-room-v0.html", "submissions/a-own.html", "metrics.html")


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    if CHROMIUM is None:
        message = (
            "no chromium on this machine (Debian: apt-get install chromium), so the site is not tested in a browser"
        )
        pytest.fail(message) if os.environ.get(REQUIRED) else pytest.skip(message)
    folder = tmp_path_factory.mktemp("browser")
    everything(folder / "submissions").write(folder / "site")
    return folder / "site"


@pytest.fixture(scope="module")
def browser(site) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Visitor:
    """One visitor's window, and whatever went wrong in it."""

    def __init__(self, browser, site: Path, **options) -> None:
        self.site = site
        self.context = browser.new_context(**({"viewport": DESKTOP, "color_scheme": "light"} | options))
        self.page = self.context.new_page()
        self.page.set_default_timeout(20_000)
        self.troubles: list[str] = []
        self.page.on("console", lambda message: self.troubles.append(f"console: {message.text}"))
        self.page.on("pageerror", lambda error: self.troubles.append(f"error: {error}"))
        self.page.on("request", lambda request: request.url.startswith("file:") or self.troubles.append(request.url))

    def open(self, path: str) -> Page:
        self.page.goto(f"file://{self.site}/{path}")
        return self.page


@pytest.fixture
def visitor(browser, site) -> Iterator[Visitor]:
    visitor = Visitor(browser, site)
    yield visitor
    visitor.context.close()
    assert visitor.troubles == []


@pytest.fixture
def visit(browser, site):
    """Open pages in windows of one's choice."""
    visitors = []

    def make(**options) -> Visitor:
        visitors.append(Visitor(browser, site, **options))
        return visitors[-1]

    yield make
    for made in visitors:
        made.context.close()
        assert made.troubles == []


def column(page, name: str, board: str = "all") -> list[str]:
    """Return the texts of a column of the ranking, rows that are hidden left out."""
    table = page.locator(f'.board[data-family="{board}"] table')
    heads = [re.sub(r"\s+", " ", text).strip() for text in table.locator("thead th").all_inner_texts()]
    place = heads.index(name)
    cells = table.locator("tbody tr:not([hidden])").locator(f":scope > :nth-child({place + 1})")
    return [text.strip().split("\n")[0] for text in cells.all_inner_texts()]


def press(page, name: str) -> None:
    page.locator('.board[data-family="all"] thead th').get_by_role("button", name=name, exact=True).click()


# Sorting and filtering.


def test_a_column_is_sorted_by_its_numbers_up_and_down(visitor):
    page = visitor.open("index.html")
    assert column(page, "submission") == ["planner", "b-labels", "c-central", "e-own", "d-own", "a-own", "broken"]
    press(page, "gap")
    upwards = [float(text) for text in column(page, "gap")]
    assert upwards == sorted(upwards)
    head = page.locator('.board[data-family="all"] thead th', has_text="gap")
    expect(head).to_have_attribute("aria-sort", "ascending")
    press(page, "gap")
    assert [float(text) for text in column(page, "gap")] == upwards[::-1]
    expect(head).to_have_attribute("aria-sort", "descending")
    press(page, "median")
    expect(page.locator('.board[data-family="all"] thead th[aria-sort]')).to_have_count(1)
    expect(head).not_to_have_attribute("aria-sort", re.compile(".*"))


def test_words_are_sorted_by_alphabet_and_what_is_missing_comes_last(visitor):
    page = visitor.open("index.html")
    press(page, "submission")
    assert column(page, "submission") == ["a-own", "b-labels", "broken", "c-central", "d-own", "e-own", "planner"]
    for _ in range(2):
        press(page, "s/run")
        assert column(page, "s/run")[-1] == "n/a"  # broken never ran


def test_the_keyboard_sorts_too(visitor):
    page = visitor.open("index.html")
    button = page.locator('.board[data-family="all"] thead th').get_by_role("button", name="mean", exact=True)
    button.focus()
    page.keyboard.press("Enter")
    values = [float(text) for text in column(page, "mean")]
    assert values == sorted(values, reverse=True)
    assert page.evaluate("document.activeElement.textContent") == "mean"


def test_a_family_is_a_board_of_its_own(visitor):
    page = visitor.open("index.html")
    expect(page.locator(".board:visible")).to_have_count(1)
    page.get_by_role("combobox", name="Family").select_option("escape-room")
    expect(page.locator('.board[data-family="escape-room"]')).to_be_visible()
    expect(page.locator('.board[data-family="all"]')).to_be_hidden()
    assert column(page, "runs", "escape-room")[0] == "3"


def test_a_class_is_ranked_among_itself(visitor):
    page = visitor.open("index.html")
    assert column(page, "rank") == ["-", "1", "2", "3", "3", "5", "6"]
    page.get_by_role("combobox", name="Class").select_option("own-observations")
    assert column(page, "submission") == ["e-own", "d-own", "a-own", "broken"]
    assert column(page, "rank") == ["1", "1", "3", "4"]
    expect(page.locator(".count")).to_have_text("4 of 7 shown")
    page.get_by_role("combobox", name="Class").select_option("all")
    assert column(page, "rank")[1] == "1"


def test_names_are_found_and_the_choice_is_kept_in_the_address(visitor):
    page = visitor.open("index.html")
    page.get_by_role("searchbox", name="Find").fill("OWN")
    assert column(page, "submission") == ["e-own", "d-own", "a-own"]
    page.get_by_role("combobox", name="Family").select_option("oracle")
    assert page.url.endswith("#family=oracle&text=OWN")
    page.reload()
    assert sorted(column(page, "submission", "oracle")) == ["a-own", "d-own", "e-own"]


def test_suites_are_switched(visitor):
    page = visitor.open("index.html")
    page.get_by_role("navigation", name="Suite").get_by_role("link", name="other").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Leaderboard, suite other")
    expect(page.get_by_text("Nobody has every run of every ranked task")).to_be_visible()
    expect(page.get_by_role("region", name="Submissions that lack runs of suite other")).to_contain_text("d-own")


# Every page.


def test_no_page_complains_or_asks_anybody_for_anything(visitor, site):
    for path in sorted(site.rglob("*.html")):
        page = visitor.open(str(path.relative_to(site)))
        assert page.title().endswith("Penumbra")
        assert visitor.troubles == [], path


def test_the_stranger_runs_nothing(visitor):
    page = visitor.open("submissions/evil.html")
    expect(page.locator(".lead")).to_contain_text("<script>")
    assert page.title() == "evil · Penumbra"


def test_no_page_scrolls_sideways_on_a_phone(visit, site):
    page_of = visit(viewport=PHONE)
    for path in sorted(site.rglob("*.html")):
        page = page_of.open(str(path.relative_to(site)))
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], path


# Beside every bar the longest score that there can be.
LONGEST = "document.querySelectorAll('.bar').forEach(bar => bar.nextSibling.textContent = '-0.308 [-0.319, -0.299]')"
# Table cells whose content is drawn beyond their edges.
CROWDED = """[...document.querySelectorAll('td')].filter(cell => {
    const range = document.createRange();
    range.selectNodeContents(cell);
    const inner = range.getBoundingClientRect(), outer = cell.getBoundingClientRect();
    return inner.width > 0 && (inner.right > outer.right + 1 || inner.left < outer.left - 1);
}).map(cell => cell.textContent.trim())"""


@pytest.mark.parametrize("size", [PHONE, {"width": 1000, "height": 900}], ids=["phone", "desk"])
def test_no_number_runs_into_the_next(visit, site, size):
    page_of = visit(viewport=size)
    for path in sorted(site.rglob("*.html")):
        page = page_of.open(str(path.relative_to(site)))
        page.evaluate(LONGEST)
        assert page.evaluate(CROWDED) == [], path


def test_a_wide_table_scrolls_in_its_frame_and_keeps_its_names_in_sight(visit):
    page = visit(viewport=PHONE).open("index.html")
    frame = page.locator('.board[data-family="all"] .scroll')
    assert frame.evaluate("frame => frame.scrollWidth > frame.clientWidth")
    frame.evaluate("frame => { frame.scrollLeft = 10000 }")
    name, box = page.locator('.board[data-family="all"] tbody th').first.bounding_box(), frame.bounding_box()
    assert name is not None
    assert box is not None
    assert abs(name["x"] - box["x"]) < 3


def test_everything_can_be_read_without_scripts(browser, site):
    visitor = Visitor(browser, site, java_script_enabled=False)
    page = visitor.open("index.html")
    expect(page.locator(".board:visible")).to_have_count(3)
    expect(page.locator(".filters")).to_be_hidden()
    visitor.open("tasks/oracle-v0.html")
    expect(page.locator(".player .agent").first).to_be_visible()
    expect(page.locator(".controls").first).to_be_hidden()
    visitor.context.close()


# Themes and contrast.


def test_the_theme_follows_the_system_until_it_is_chosen(visit):
    dark = visit(color_scheme="dark")
    page = dark.open("index.html")
    ground = "getComputedStyle(document.body).backgroundColor"
    night = page.evaluate(ground)
    page.get_by_role("button", name="Change to the light theme").click()
    day = page.evaluate(ground)
    assert night != day
    dark.open("metrics.html")
    assert page.evaluate(ground) == day  # remembered
    expect(page.get_by_role("button", name="Change to the dark theme")).to_be_visible()
    assert visit(color_scheme="light").open("index.html").evaluate(ground) == day


# What every visible text is drawn in, and on what: the nearest ground that is not transparent.
TEXTS = """() => [...document.querySelectorAll('body *')].flatMap(element => {
  const own = [...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
  const box = element.getBoundingClientRect();
  if (!own || !box.width || !box.height || element.closest('svg, script, .skip, option')) return [];
  let ground = element;
  const clear = colour => /^rgba\\(.*, 0\\)$/.test(colour);
  while (ground && clear(getComputedStyle(ground).backgroundColor)) ground = ground.parentElement;
  const style = getComputedStyle(element);
  const place = element.tagName + '.' + element.className + ': ' + element.textContent.trim().slice(0, 30);
  return [[place, style.color, getComputedStyle(ground || document.body).backgroundColor]];
})"""


def as_hex(colour: str) -> str:
    return "#" + "".join(f"{int(float(part)):02x}" for part in re.findall(r"[\d.]+", colour)[:3])


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_text_has_enough_contrast(visit, theme):
    visitor = visit(color_scheme=theme)
    for path in (*SAMPLE, "tasks.html", "submissions.html", "suite-other.html"):
        texts = visitor.open(path).evaluate(TEXTS)
        assert len(texts) > 15
        faint = [(place, contrast(as_hex(ink), as_hex(ground))) for place, ink, ground in texts]
        assert [entry for entry in faint if entry[1] < 4.5] == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_names_inside_figures_can_be_read(visit, theme):
    page = visit(color_scheme=theme).open("index.html")
    colours = page.evaluate(
        """() => [...document.querySelectorAll('.plot text')].map(text => [text.textContent,
          getComputedStyle(text).fill, getComputedStyle(text.closest('.plot-card')).backgroundColor])"""
    )
    named = [(text, ink, ground) for text, ink, ground in colours if "own" in text or "planner" in text]
    assert named
    for text, ink, ground in named:
        assert contrast(as_hex(ink), as_hex(ground)) >= 4.5, text


# Keyboard, and whoever cannot see the page.


def test_the_first_stop_of_the_keyboard_skips_to_the_content(visitor):
    page = visitor.open("index.html")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    box = page.locator(".skip").bounding_box()
    assert box is not None
    assert box["y"] >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


@pytest.mark.parametrize("path", SAMPLE)
def test_every_control_is_reached_by_the_keyboard_and_says_what_it_is(visitor, path):
    page = visitor.open(path)
    wanted = page.evaluate(
        """() => [...document.querySelectorAll('a[href], button, select, input, summary, .scroll')]
          .filter(element => element.checkVisibility()).length"""
    )
    seen, nameless = set(), []
    for _ in range(wanted + 30):
        page.keyboard.press("Tab")
        mark, name, outline = page.evaluate(
            """() => {
              const now = document.activeElement;
              now.dataset.stop ||= String(Math.random());
              const name = now.getAttribute('aria-label') || now.textContent.trim() || now.labels?.length;
              return [now.matches('a[href], button, select, input, summary, .scroll') ? now.dataset.stop : null,
                      Boolean(name), getComputedStyle(now).outlineStyle];
            }"""
        )
        if mark:
            seen.add(mark)
            assert outline != "none"
            if not name:
                nameless.append(page.evaluate("document.activeElement.outerHTML"))
    assert nameless == []
    assert len(seen) == wanted


def test_tables_tell_a_screen_reader_their_shape(visitor):
    page = visitor.open("index.html")
    table = page.get_by_role("table", name="Ranking over all families, suite tiny")
    expect(table).to_be_visible()
    expect(table.get_by_role("rowheader")).to_have_count(7)
    assert table.get_by_role("columnheader").count() == len(column(page, "submission")) + 3
    expect(
        page.get_by_role("img", name=re.compile("IQM of each submission with its interval: planner"))
    ).to_be_visible()


# Episodes.


def test_an_episode_plays_pauses_and_steps(visitor):
    page = visitor.open("tasks/oracle-v0.html")
    player = page.locator(".player").first
    place = player.locator(".agent").first
    where = "agent => agent.style.transform"
    start = place.evaluate(where)
    player.get_by_role("button", name="Play the planner episode").click()
    expect(player.locator("output")).to_have_text(re.compile("^[2-9] / "))
    player.get_by_role("button", name="Pause the planner episode").click()
    assert place.evaluate(where) != start
    slider = player.get_by_role("slider")
    slider.focus()
    page.keyboard.press("End")
    last = slider.get_attribute("max")
    expect(player.locator("output")).to_have_text(f"{last} / {last}")
    expect(player.locator(".said")).to_contain_text("return 0.96")
    page.keyboard.press("Home")
    assert place.evaluate(where) == start


def test_whoever_wants_little_motion_gets_none(visit):
    page = visit(reduced_motion="reduce").open("tasks/oracle-v0.html")
    assert page.locator(".agent").first.evaluate("agent => getComputedStyle(agent).transitionDuration") == "0s"
    moving = visit().open("tasks/oracle-v0.html")
    assert moving.locator(".agent").first.evaluate("agent => getComputedStyle(agent).transitionDuration") != "0s"


def test_records_are_offered_for_download(visitor):
    page = visitor.open("submissions/a-own.html")
    link = page.get_by_role("link", name=re.compile(r"Download \d+ records"))
    assert link.get_attribute("download") is not None
    file = (visitor.site / "submissions" / str(link.get_attribute("href"))).resolve()
    assert len(file.read_text().splitlines()) == int(re.findall(r"\d+", link.inner_text())[0])
