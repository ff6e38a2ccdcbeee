"""The site in build/site, as `make docs` leaves it: its links, and what a browser asks for and shows.

It runs in .venv-docs, without the conftest of the other tests: `make site-test`.
"""

from __future__ import annotations

import functools
import http.server
import os
import re
import shutil
import sys
import threading
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree as ET

import pytest
from playwright.sync_api import expect, sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs" / "_site"))

import images  # noqa: E402
import recording  # noqa: E402

LONGEST = 32
SITE = ROOT / "build" / "site"
PICTURES = ROOT / "docs" / "images"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PAGES = sorted(str(path.relative_to(SITE)) for path in SITE.rglob("*.html"))
IN_THE_BROWSER = [page for page in PAGES if not page.startswith(("decisions/0", "inspect/"))]
SCREENS = [(1280, "light"), (420, "dark")]
LOADED = {"img": "src", "script": "src", "link": "href", "iframe": "src", "source": "srcset", "object": "data"}
NO_PROSE = {"code", "pre", "script", "style"}
MARKUP = ("```", "](", "| ---", "\n- ", "\n#")
"""Markdown that a reader should not see."""
NOT_LOADED = {"canonical", "next", "prev", "alternate"}


class Links(HTMLParser):
    """Links of a page, what it loads, and names that links can lead to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.names: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if "id" in found:
            self.names.append(found["id"])
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        if found.get(LOADED.get(tag, "")) and found.get("rel") not in NOT_LOADED:
            self.loaded.append(found[LOADED[tag]])


class Prose(HTMLParser):
    """Text of a page outside of code.

    Attributes:
        text: the text.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text, self._code = "", 0
        self.feed(text)

    def handle_starttag(self, tag: str, _attrs: object) -> None:
        self._code += tag in NO_PROSE

    def handle_endtag(self, tag: str) -> None:
        self._code -= tag in NO_PROSE

    def handle_data(self, data: str) -> None:
        self.text += data if not self._code else ""


@functools.cache
def links_of(path: Path) -> Links:
    return Links(path.read_text("utf-8"))


def has_place(page: Path, name: str) -> bool:
    """Whether a page has the place that a link names; a name that begins with `__` is the theme's own."""
    return not name or page.suffix != ".html" or name.startswith("__") or unquote(name) in links_of(page).names


def dead_links(site: Path, page: Path) -> Iterator[str]:
    """Links of a page within the site that lead nowhere."""
    found = links_of(page)
    for link in [*found.links, *found.loaded]:
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            continue
        target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
        if parts.path.startswith("/"):
            target = site / parts.path.lstrip("/")
        if target.is_dir():
            target /= "index.html"
        if (
            not target.is_file()
            or site.resolve() not in target.resolve().parents
            or not has_place(target, parts.fragment)
        ):
            yield link


def test_no_link_is_dead_and_nothing_is_loaded_from_elsewhere() -> None:
    faults = {page: faults_of(page) for page in PAGES}
    assert len(faults) > 20
    assert {page: found for page, found in faults.items() if found} == {}


def faults_of(page: str) -> list[str]:
    """Dead links, what is loaded from elsewhere, and names that stand there twice."""
    found = links_of(SITE / page)
    elsewhere = [f"loaded: {name}" for name in found.loaded if urlsplit(name).netloc]
    twice = [f"twice: {name}" for name in sorted(set(found.names)) if found.names.count(name) > 1]
    return [*dead_links(SITE, SITE / page), *elsewhere, *twice]


def test_no_page_shows_its_markup() -> None:
    found = {page: Prose((SITE / page).read_text("utf-8")).text for page in PAGES}
    assert {page: mark for page, text in found.items() for mark in MARKUP if mark in text} == {}


def test_markup_would_be_seen() -> None:
    assert Prose("<p>a <code>**b**</code></p><p>```python c.py d</p>").text == "a ```python c.py d"


def test_style_sheets_load_nothing_from_elsewhere() -> None:
    sheets = list(SITE.rglob("*.css"))
    assert sheets
    for sheet in sheets:
        loaded = re.findall(r"(?:url\(|@import)\s*[\"']?([^\"')\s]+)", sheet.read_text("utf-8"))
        assert [name for name in loaded if "//" in name and not name.startswith("data:")] == [], sheet.name


def test_dead_links_are_found(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "index.html").write_text('<p id="here">')
    page = tmp_path / "index.html"
    page.write_text(
        '<a href="a/#here"><a href="a/#there"><img src="b.svg"><a href="#no"><a href="../x"><a href="//x/y">'
    )
    assert list(dead_links(tmp_path, page)) == ["a/#there", "#no", "../x", "b.svg"]
    assert links_of(page).loaded == ["b.svg"]


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Address of the site on a port of this machine."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=SITE)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium without a window; it asks for nothing by itself."""
    if CHROMIUM is None:
        reason = "needs chromium, or google-chrome"
        pytest.fail(reason) if os.environ.get("BORT_CONVERT_NO_SKIP") == "1" else pytest.skip(reason)
    still = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", *still])
        yield chromium
        chromium.close()


def opened(browser: Browser, width: int, colours: str) -> tuple[Page, list[str], list[str]]:
    """An empty page, the addresses that it will ask for, and what the browser's log will say."""
    page = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=colours).new_page()
    asked: list[str] = []
    log: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: log.append(message.text))
    page.on("pageerror", lambda error: log.append(str(error)))
    return page, asked, log


@pytest.mark.parametrize(("width", "colours"), SCREENS)
def test_pages_ask_no_other_host_and_fit_the_screen(browser: Browser, address: str, width: int, colours: str) -> None:
    page, asked, log = opened(browser, width, colours)
    for name in IN_THE_BROWSER:
        page.goto(address + name)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
    assert len(asked) > len(IN_THE_BROWSER)
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []
    assert log == []


def test_a_request_to_another_host_would_be_seen(browser: Browser, address: str) -> None:
    page, asked, log = opened(browser, 420, "light")
    page.goto(address)
    page.evaluate("fetch('http://elsewhere.invalid/x').catch(() => 0)")
    assert "http://elsewhere.invalid/x" in asked
    assert log


def test_the_table_of_checkpoints_is_sorted_by_the_heading_that_is_clicked(browser: Browser, address: str) -> None:
    page, _, log = opened(browser, 1280, "light")
    page.goto(f"{address}parity/")
    table = page.locator(".sortable table").first
    headings = [heading.split()[0] for heading in table.locator("th").all_inner_texts()]
    assert headings[:6] == ["checkpoint", "verdict", "float64,", "float32,", "float32,", "parameters"]
    table.get_by_role("button", name="parameters").click()
    cells = table.locator("tbody td:nth-child(6)").all_inner_texts()
    numbers = [int(cell.replace(",", "")) for cell in cells]
    assert numbers == sorted(numbers)
    assert numbers[0] < numbers[-1]
    table.get_by_role("button", name="parameters").click()
    assert [int(cell.replace(",", "")) for cell in table.locator("tbody td:nth-child(6)").all_inner_texts()] == numbers[
        ::-1
    ]
    assert log == []


def test_names_beside_a_plot_leave_it_its_place_and_the_table_has_them_whole() -> None:
    page = (SITE / "parity" / "index.html").read_text("utf-8")
    plots = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    names = [text for plot in plots for text in re.findall(r"<text[^>]*>([^<]*)", plot)]
    assert max(map(len, names)) <= LONGEST
    long = [name for name in re.findall(r"<code>(\w+)</code>", page) if len(name) > LONGEST]
    assert any(f"{name[:16]}...{name[-13:]}" in names for name in long)


def test_the_search_finds_a_command(browser: Browser, address: str) -> None:
    page, asked, log = opened(browser, 1280, "light")
    page.goto(address)
    expect(page.locator(".md-search-result__meta")).to_have_text("Type to start searching")
    page.get_by_placeholder("Search").press_sequentially("keep-extra")  # it listens to keys alone
    page.locator(".md-search-result__link").first.wait_for()
    assert "commands/" in " ".join(link.get_attribute("href") for link in page.locator(".md-search-result__link").all())
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []
    assert log == []


def test_the_pictures_of_the_readme_are_those_that_make_images_draws() -> None:
    drawn = images.images()
    assert len(drawn) > 3
    assert {name for name, image in drawn.items() if (PICTURES / name).read_text("utf-8") != image} == set(), (
        "make images"
    )


def test_the_recording_has_the_commands_that_are_recorded_and_ends_with_an_answer() -> None:
    picture = ET.parse(PICTURES / "recording.svg")  # noqa: S314 - it is our own
    texts = [element.text or "" for element in picture.iter() if element.tag.endswith("text")]
    for line in "\n".join(recording.COMMANDS).splitlines():
        assert line.strip() in " ".join(texts), line
    assert any("PASS alice is little_bort.params" in text for text in texts)
    assert any("Rabbit" in text for text in texts)


def test_a_line_stands_from_its_first_picture_to_the_next_other_line() -> None:
    word = ((0, "word", "#fff", False),)
    empty = [()] * (recording.ROWS - 1)
    pictures = {0.0: [(), *empty], 1.0: [word, *empty], 1.5: [word, *empty], 2.0: [(), *empty], 3.0: [word, *empty]}
    assert recording.stretches(pictures, 4.0) == [(0, word, 1.0, 2.0), (0, word, 3.0, 4.0)]
