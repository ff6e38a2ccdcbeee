"""Hooks of the site: pages that are made at build time, links out of docs/, plots, and the architecture's picture."""

from __future__ import annotations

import posixpath
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import tomllib
from mkdocs.structure.files import File
from mkdocs.structure.nav import Link

sys.path.insert(0, str(Path(__file__).parent))

import api
import commands
import decisions
import parity
import performance
import picture

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.nav import Navigation
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
OF_THE_PROJECT = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
}
"""Pages that stand beside docs/ -> their names on the site."""
CHANGES = {
    "architecture.md": picture.with_picture,
    "parity.md": parity.with_plots,
    "performance.md": performance.with_plots,
}
WIDE = {"parity.md": {"hide": ["toc"]}}
"""Pages with tables that need the room."""
REPOSITORY = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["urls"]["Repository"]
OURS = re.compile(
    rf"(?:{REPOSITORY}/(?:blob|tree)|{REPOSITORY.replace('//github.com/', '//raw.githubusercontent.com/')})/main/(.+)"
)
"""The address of a file in the repository: the README has it, for package pages."""
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
CODE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"^```(\w+) (\S+)$", re.MULTILINE)
"""The beginning of a block that is a file, with its name."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the project's root and those that are made from the code."""
    pages = {name: with_links(source, (ROOT / source).read_text("utf-8")) for source, name in OF_THE_PROJECT.items()}
    pages |= {"commands.md": commands.page(), "api.md": api.page(), "decisions/index.md": decisions.page()}
    for name, text in pages.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 - mkdocs' signature
    """Lead links to where they lead on the site, and add plots and pictures."""
    source = page.file.src_uri
    page.meta |= WIDE.get(source, {})
    if source in OF_THE_PROJECT.values():
        return markdown  # done in on_files, where they still lay in the root
    return with_links(f"docs/{source}", CHANGES.get(source, str)(markdown))


def on_nav(nav: Navigation, config: MkDocsConfig, files: Files) -> Navigation:  # noqa: ARG001 - mkdocs' signature
    """Lead to the page that browser/build.py writes into the site."""
    nav.items.insert(1, Link("Open a file", "inspect/"))
    return nav


def with_links(source: str, text: str) -> str:
    """The text of a page with its links, and titles of files, as they are on the site.

    Args:
        source: path of the page in the project; links start from its folder.
        text: the page.
    """
    parts = CODE.split(text)
    parts[::2] = [LINK.sub(lambda match: _link(source, *match.groups()), part) for part in parts[::2]]
    parts[1::2] = [FILE.sub(r'```\1 title="\2"', part) for part in parts[1::2]]
    return "".join(parts)


def _link(source: str, mark: str, words: str, target: str) -> str:
    """A link, within the site where it leads to a page or picture of ours, and into the repository for other files."""
    path, hash_, anchor = target.partition("#")
    ours = OURS.fullmatch(path)
    if not path or ("://" in path and not ours):
        return f"{mark}[{words}]({target})"
    inside = ours[1] if ours else posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
    if not (ROOT / inside).exists():
        raise FileNotFoundError(f"{source}: {target} leads nowhere")
    page = f"docs/{OF_THE_PROJECT[inside]}" if inside in OF_THE_PROJECT else inside
    page += "/index.md" * (page == "docs/decisions")
    if not page.startswith("docs/") or Path(page).suffix not in {".md", ".svg"}:
        kind = "tree" if (ROOT / inside).is_dir() else "blob"
        return f"{mark}[{words}]({REPOSITORY}/{kind}/main/{inside}{hash_}{anchor})"
    start = posixpath.dirname(f"docs/{OF_THE_PROJECT.get(source, source.removeprefix('docs/'))}")
    return f"{mark}[{words}]({posixpath.relpath(page, start)}{hash_}{anchor})"
