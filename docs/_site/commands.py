"""The command reference: what `bort-convert COMMAND --help` says, as a page."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING

import click

from bort_convert.cli import COMMANDS, main
from bort_convert.cli.program import EXIT_CODES

if TYPE_CHECKING:
    from collections.abc import Iterator

INTRODUCTION = """\
# Commands

Made from what `bort-convert COMMAND --help` says.
"""


def page() -> str:
    """One section for each command: usage, words, options; then the exit codes."""
    program = click.Context(main, info_name="bort-convert")
    parts = [INTRODUCTION, _code(program.get_usage()), _prose(main.help or "")]
    for name in COMMANDS:
        command = main.get_command(program, name)
        assert command is not None
        parts += _section(click.Context(command, info_name=name, parent=program))
    codes = "\n".join(f"| `{code}` | {meaning} |" for code, meaning in EXIT_CODES)
    return "\n\n".join([*parts, "## Exit codes", f"| code | meaning |\n|---|---|\n{codes}"]) + "\n"


def _section(context: click.Context) -> Iterator[str]:
    yield f"## {context.info_name}"
    yield _code(context.get_usage())
    yield _prose(context.command.help or "")
    records = [
        record
        for option in context.command.get_params(context)
        if (record := option.get_help_record(context)) and record[1]
    ]
    options = [
        f"<dt><code>{_escaped(_breakable(flags))}</code></dt><dd>{_words(words)}</dd>" for flags, words in records
    ]
    yield "\n".join(['<dl class="options">', *options, "</dl>"])


def _code(usage: str) -> str:
    return f"```text\n{usage.removeprefix('Usage: ')}\n```"


def _prose(text: str) -> str:
    """A help text as Markdown: a block that click may not wrap is one of code."""
    blocks = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(f"```text\n{block[2:]}\n```" if block.startswith("\b\n") else _words(block) for block in blocks)


def _words(text: str) -> str:
    """Words of a help text as HTML."""
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", _escaped(text))


def _escaped(text: str) -> str:
    return re.sub(r"[<>&*_\[\]]", lambda match: f"&#{ord(match[0])};", text)


def _breakable(flags: str) -> str:
    """Flags with a place to break a line after each choice."""
    return flags.replace("|", "|\u200b")
