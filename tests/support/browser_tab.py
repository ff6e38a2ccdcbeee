"""The browser page in a tab of a real Chromium: files are dropped on it, and what it shows and saves is read."""

from __future__ import annotations

import contextlib
import functools
import http.server
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from playwright.sync_api import expect

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from playwright.sync_api import BrowserContext, BrowserType, Page

SITE = Path(__file__).parents[2] / "build" / "site"
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
QUIET = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
PATIENCE = 300_000
"""Milliseconds after which something will not happen any more, however busy the machine is."""
expect.set_options(timeout=PATIENCE)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Print nothing."""


@contextlib.contextmanager
def served() -> Iterator[str]:
    """Serve the site on a port of this machine; give the address of the page."""
    handler = functools.partial(Quiet, directory=SITE)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/inspect/"
        server.shutdown()


@contextlib.contextmanager
def chromium(launcher: BrowserType, folder: Path) -> Iterator[BrowserContext]:
    """A browser whose files lie on the disk, as a person's do, and not in memory, as in a private window."""
    context = launcher.launch_persistent_context(
        folder, executable_path=CHROMIUM, args=QUIET.split(), viewport={"width": 1280, "height": 900}
    )
    context.set_default_timeout(PATIENCE)
    yield context
    context.close()


@dataclass
class Tab:
    """The page in a tab, what it asked for, and what the browser's log says of it."""

    page: Page
    address: str
    asked: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)

    def open(self) -> None:
        context = self.page.context
        context.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda message: self.log.append(message.text))
        self.page.on("pageerror", lambda error: self.log.append(str(error)))
        self.page.goto(self.address)

    def shown(self, name: str) -> str:
        """Text of an element that is shown."""
        place = self.page.locator(f"#{name}")
        expect(place).to_be_visible()
        return place.inner_text()

    def drop(self, *paths: Path) -> None:
        """Drop files onto the page, as a file manager does, and wait for what it says."""
        self.page.locator("#drop").scroll_into_view_if_needed()
        box = self.page.locator("#drop").bounding_box()
        assert box is not None
        place = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
        data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
        devtools = self.page.context.new_cdp_session(self.page)
        for event in ("dragEnter", "dragOver", "drop"):
            devtools.send("Input.dispatchDragEvent", {"type": event, **place, "data": data})
        self.answered()

    def choose(self, *paths: Path) -> None:
        """Give files to the button beside the place to drop them."""
        self.page.get_by_label("Choose files").set_input_files([*paths])
        self.answered()

    def answered(self) -> None:
        """Wait until the page works no more."""
        expect(self.page.locator("#found:visible, #problem:visible, #made:visible").first).to_be_visible()
        expect(self.page.locator("#work")).to_be_hidden()

    def look_again(self, family: str, heads: int) -> None:
        """Say what no file tells, by the keyboard."""
        self.page.get_by_label("Model family").select_option(family)
        heads_field = self.page.get_by_label("Attention heads")
        heads_field.fill(str(heads))
        heads_field.press("Enter")
        expect(self.page.get_by_role("button", name="Convert it here")).to_be_visible()

    def convert(self) -> None:
        self.page.get_by_role("button", name="Convert it here").press("Enter")
        expect(self.page.locator("#made:visible, #problem:visible").first).to_be_visible()
        expect(self.page.locator("#work")).to_be_hidden()

    def saved(self, name: str) -> Path:
        """Path of what the browser saves when a link is clicked."""
        with self.page.expect_download() as download:
            self.page.get_by_role("link", name=name, exact=True).click()
        return Path(download.value.path())

    def strangers(self) -> Sequence[str]:
        """Addresses that were asked for and lie outside of the site."""
        own = self.address.removesuffix("inspect/")
        return [address for address in self.asked if not address.startswith((own, f"blob:{own}", "data:"))]


def peak_of_tabs(context: BrowserContext) -> int:
    """The most bytes of memory that any tab of a browser has had, the browser's own program among them."""
    peaks = [0]
    devtools = (
        context.browser.new_browser_cdp_session() if context.browser else context.new_cdp_session(context.pages[0])
    )
    for process in devtools.send("SystemInfo.getProcessInfo")["processInfo"]:
        if process["type"] == "renderer":
            status = Path(f"/proc/{process['id']}/status").read_text("ascii")
            peaks.append(next(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmHWM")))
    return max(peaks)
