"""The browser page, driven in a real Chromium: what it says and writes is what the command line says and writes.

It runs in .venv-docs, without the conftest of the other tests: `make browser`, or `make browser-test` for a sample.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from bad_files import BAD_FILES
from browser_tab import Tab, chromium, peak_of_tabs, served
from playwright.sync_api import expect, sync_playwright

from bort_convert import zoo_entries

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bad_files import BadFile
    from playwright.sync_api import BrowserContext, Route

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "fixtures"
LITTLE_BORT = FIXTURES / "little_bort"
BERT = FIXTURES / "bert_2_2_8_8-classifier3.params"
BASE = ROOT / "build" / "browser" / "bert_base.params"
PICTURES = ROOT / "build" / "browser" / "pictures"
BAD = [file for file in BAD_FILES if file.reader == "params" and file.at == "open"]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with served() as address:
        yield address


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserContext]:
    with sync_playwright() as playwright, chromium(playwright.chromium, tmp_path_factory.mktemp("chromium")) as context:
        yield context


@pytest.fixture(scope="module")
def shared_tab(context: BrowserContext, address: str) -> Tab:
    """One tab for all tests, so that Python starts in it once."""
    tab = Tab(context.pages[0], address)
    tab.open()
    return tab


@pytest.fixture
def tab(shared_tab: Tab) -> Iterator[Tab]:
    """The tab; afterwards nothing is in the browser's log, and nothing was asked of another host."""
    yield shared_tab
    assert shared_tab.log == []
    assert shared_tab.strangers() == []


@pytest.fixture
def new_tab(context: BrowserContext, address: str) -> Iterator[Tab]:
    """A tab that is changed before it opens the page."""
    tab = Tab(context.new_page(), address)
    yield tab
    tab.page.close()


def command_line(*words: object, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bort_convert", *map(str, words)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def converted(folder: Path, *words: object) -> dict[str, bytes]:
    """What the command line writes, by the name of the file."""
    process = command_line(*words, folder=folder)
    assert process.returncode == 0, process.stderr
    return {path.name: path.read_bytes() for path in (folder / str(words[1])).iterdir()}


def unpacked(archive: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(archive) as members:
        assert members.testzip() is None
        return {Path(name).name: members.read(name) for name in members.namelist()}


def assert_same(found: Mapping[str, bytes], expected: Mapping[str, bytes]) -> None:
    assert found.keys() == expected.keys()
    assert [name for name in expected if found[name] != expected[name]] == []


def test_the_little_bort_and_its_vocabulary_are_dropped_and_become_the_files_of_the_command_line(
    tab: Tab, tmp_path: Path
) -> None:
    for name in ("little_bort.params", "little_bort.vocab", "little_bort_ranks.txt"):
        shutil.copyfile(LITTLE_BORT / name, tmp_path / name)
    tab.drop(*tmp_path.iterdir())
    message = tab.shown("message")
    assert f"Error: {message}\n" == command_line(".", "out", folder=tmp_path).stderr
    assert "--family" in message
    tab.look_again("bort", 4)
    assert tab.shown("title").startswith("Bort")
    assert "--family bort --heads 4" in tab.shown("command")
    tab.convert()
    expected = converted(tmp_path, ".", "little_bort", "--family", "bort", "--heads", 4)
    assert {"model.safetensors", "config.json", "tokenizer.json"} < expected.keys()
    assert_same(unpacked(tab.saved("Save all as a zip file")), expected)


def test_a_bert_that_is_chosen_by_the_button_is_saved_file_by_file(tab: Tab, tmp_path: Path) -> None:
    shutil.copyfile(BERT, tmp_path / "bert.params")
    tab.choose(tmp_path / "bert.params")
    tab.look_again("bert", 2)
    tab.convert()
    expected = converted(tmp_path, "bert.params", "bert", "--family", "bert", "--heads", 2)
    assert_same({name: tab.saved(name).read_bytes() for name in expected}, expected)


@pytest.mark.parametrize("bad", BAD[:: len(BAD) // 3][:3], ids=lambda bad: bad.name)
def test_a_malformed_file_gets_the_message_of_the_command_line(tab: Tab, tmp_path: Path, bad: BadFile) -> None:
    (tmp_path / "bad.params").write_bytes(bad.data)
    tab.drop(tmp_path / "bad.params")
    process = command_line("inspect", "bad.params", folder=tmp_path)
    assert process.returncode == 3
    assert f"Error: {tab.shown('message')}\n" == process.stderr
    assert tab.page.locator("#found").is_hidden()


def test_a_checkpoint_in_a_deflated_archive_is_unpacked_and_converted(tab: Tab, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bert.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(BERT, "bert-0123abcd.params")
    tab.drop(tmp_path / "bert.zip")
    tab.look_again("bert", 2)
    tab.convert()
    expected = converted(tmp_path, "bert.zip", "bert", "--family", "bert", "--heads", 2)
    assert_same(unpacked(tab.saved("Save all as a zip file")), expected)


@pytest.mark.parametrize(
    ("name", "family", "heads"),
    [("gpt2_2_3_48_12", "gpt2", 3), pytest.param("xlnet_2_2_8_8", "xlnet", 2, marks=pytest.mark.long)],
)
def test_a_model_whose_values_are_moved_is_converted_too(
    tab: Tab, tmp_path: Path, name: str, family: str, heads: int
) -> None:
    shutil.copyfile(FIXTURES / f"{name}.params", tmp_path / "model.params")
    tab.drop(tmp_path / "model.params")
    tab.look_again(family, heads)
    tab.convert()
    expected = converted(tmp_path, "model.params", "model", "--family", family, "--heads", heads)
    assert_same(unpacked(tab.saved("Save all as a zip file")), expected)


def test_a_file_that_is_cut_while_the_page_has_it_is_an_error_and_the_page_goes_on(tab: Tab, tmp_path: Path) -> None:
    shutil.copyfile(BERT, tmp_path / "bert.params")
    tab.drop(tmp_path / "bert.params")
    tab.look_again("bert", 2)
    os.truncate(tmp_path / "bert.params", 100)
    tab.convert()
    assert "Is its disk in order?" in tab.shown("message")
    tab.drop(BERT)
    assert "--family" in tab.shown("message")


def test_files_are_saved_into_a_folder_that_the_user_picks(tab: Tab, tmp_path: Path) -> None:
    shutil.copyfile(BERT, tmp_path / "bert.params")
    tab.drop(tmp_path / "bert.params")
    tab.look_again("bert", 2)
    tab.convert()
    # The dialogue is the system's, and no test can answer it: it gives a folder of the browser's own instead.
    tab.page.evaluate(
        "() => { window.showDirectoryPicker = async () => (await navigator.storage.getDirectory())"
        ".getDirectoryHandle('picked', { create: true }) }"
    )
    tab.page.get_by_role("button", name="Save into a folder").click()
    expect(tab.page.get_by_role("button", name="Saved in picked/bert")).to_be_enabled()
    found = tab.page.evaluate(
        """async () => {
          const picked = await (await navigator.storage.getDirectory()).getDirectoryHandle("picked");
          const files = {};
          for await (const [name, handle] of (await picked.getDirectoryHandle("bert")).entries()) {
            files[name] = [...new Uint8Array(await (await handle.getFile()).arrayBuffer())];
          }
          return files;
        }"""
    )
    expected = converted(tmp_path, "bert.params", "bert", "--family", "bert", "--heads", 2)
    assert_same({name: bytes(content) for name, content in found.items()}, expected)


@pytest.mark.long
def test_a_published_file_is_called_by_its_name(new_tab: Tab) -> None:
    entry = zoo_entries()[0]
    # The files themselves are at no place that a test can ask: the first file that is dropped counts as one of them.
    pretence = (
        "\nfrom importlib import import_module\n"
        "import_module('bort_convert.commands.inspect').published_file = lambda _: bort_convert.zoo_entries()[0]\n"
    )

    def with_pretence(route: Route) -> None:
        route.fulfill(body=route.fetch().text() + pretence)

    new_tab.page.context.route("**/in_browser.py", with_pretence)
    new_tab.open()
    new_tab.choose(BERT)
    new_tab.page.context.unroute("**/in_browser.py")
    assert f"Published\n{entry.name}" in new_tab.shown("facts")
    assert f"this is {entry.name}" in new_tab.shown("remarks")


@pytest.mark.long
def test_in_a_browser_without_a_private_folder_the_files_are_blobs(new_tab: Tab, tmp_path: Path) -> None:
    def without_folder(route: Route) -> None:
        reply = route.fetch()
        route.fulfill(response=reply, body=f"delete StorageManager.prototype.getDirectory;\n{reply.text()}")

    new_tab.page.context.route("**/files.js", without_folder)
    shutil.copyfile(BERT, tmp_path / "bert.params")
    new_tab.open()
    new_tab.choose(tmp_path / "bert.params")
    new_tab.look_again("bert", 2)
    new_tab.convert()
    expected = converted(tmp_path, "bert.params", "bert", "--family", "bert", "--heads", 2)
    assert_same(unpacked(new_tab.saved("Save all as a zip file")), expected)
    new_tab.page.context.unroute("**/files.js")


def test_the_page_can_ask_no_other_host(new_tab: Tab) -> None:
    new_tab.open()
    refused = new_tab.page.evaluate("fetch('http://elsewhere.invalid/x').then(() => false, () => true)")
    assert refused
    assert any("Content Security Policy" in line for line in new_tab.log)
    assert new_tab.strangers() == []


def test_the_page_is_usable_by_keyboard_and_tells_what_each_field_is(new_tab: Tab) -> None:
    new_tab.open()
    page = new_tab.page
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="bort_convert")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_label("Choose files")).to_be_focused()
    outline = page.locator("label.button").evaluate("label => getComputedStyle(label).outlineStyle")
    assert outline == "solid"
    fields = page.locator("input, select, progress").evaluate_all(
        "all => all.filter((one) => !one.labels?.length && !one.getAttribute('aria-labelledby')).map((one) => one.id)"
    )
    assert fields == []


@pytest.mark.parametrize("width", [1280, 420])
@pytest.mark.parametrize("colours", ["light", "dark"])
def test_the_page_fits_the_screen(tab: Tab, width: int, colours: str) -> None:
    page = tab.page
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=colours)
    tab.drop(FIXTURES / "bort_2_3_24_24-classifier3.params")
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"problem-{width}-{colours}.png", full_page=True)
    tab.look_again("bort", 3)
    tab.convert()
    page.get_by_text("every array of the file").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.screenshot(path=PICTURES / f"converted-{width}-{colours}.png", full_page=True)
    page.set_viewport_size({"width": 1280, "height": 900})


@pytest.mark.long
def test_a_bert_base_is_converted_in_less_memory_than_one_and_a_half_times_its_size(
    new_tab: Tab, context: BrowserContext, tmp_path: Path
) -> None:
    new_tab.open()
    new_tab.drop(BASE)
    assert new_tab.shown("title").startswith("BERT")
    new_tab.convert()
    peak = peak_of_tabs(context)
    found = unpacked(new_tab.saved("Save all as a zip file"))
    (tmp_path / BASE.name).symlink_to(BASE)
    assert_same(found, converted(tmp_path, BASE.name, "bert_base"))
    print(f"{BASE.stat().st_size / 1e6:.1f} MB, most memory of a tab {peak / 1e6:.1f} MB")  # noqa: T201
    assert peak < 1.5 * BASE.stat().st_size


@pytest.mark.long
def test_a_conversion_that_is_cancelled_ends_and_the_next_one_succeeds(new_tab: Tab) -> None:
    new_tab.open()
    new_tab.drop(BASE)
    new_tab.page.get_by_role("button", name="Convert it here").click()
    expect(new_tab.page.locator("#share")).to_have_text(re.compile(r"^[1-9]\d? %$"))
    new_tab.page.get_by_role("button", name="Cancel").click()
    expect(new_tab.page.locator("#work")).to_be_hidden()
    new_tab.drop(BERT)
    new_tab.look_again("bert", 2)
    new_tab.convert()
    assert "BertForSequenceClassification" in new_tab.shown("made-lines")
