"""Rewrite the arguments in a message of the library, `heads=8`, as the flags that a user types, --heads 8."""

from __future__ import annotations

import ast
import contextlib
import re
import shlex
from typing import Final

import click

from bort_convert.errors import printable

_ARGUMENT: Final = re.compile(r"`([a-z_]+)(?:=([^`]+))?`")
_SOME_VALUE: Final = "..."
"""The library writes it for a value that the user has to fill in."""
_POSITIONAL: Final = frozenset({"source", "target", "reference", "name"})
"""Arguments that have no flag: the user types the value alone."""
PYTHON_ALONE: Final = frozenset({"allow_trailing", "allow_duplicates"})
"""Arguments of `open_params` that no command has."""


def as_flags(message: str, ctx: click.Context) -> str:
    """The message with flags in place of the arguments between backquotes.

    A name with a value, `name=value`, may be an option of any command; a bare `name` is one of this command. A
    positional argument becomes its value; one that Python alone has says where it is. Other names stay as they are.
    """
    own = _options(ctx.command)
    every: dict[str, click.Option] = {}

    def rewritten(match: re.Match[str]) -> str:
        name, value = match.groups()
        if name not in own and value is not None and not every:
            every.update(_options_of_all_commands(ctx))
        if name in PYTHON_ALONE and value is not None:
            return f"`open_params(..., {name}={value})` in Python"
        if name in _POSITIONAL - own.keys() and value is not None:
            return _typed(value)
        option = own.get(name) or every.get(name)
        if option is None or (value is None and name not in own):
            return match[0]
        return _flag(option, value)

    return _ARGUMENT.sub(rewritten, message)


def _options(command: click.Command) -> dict[str, click.Option]:
    return {str(option.name): option for option in command.params if isinstance(option, click.Option)}


def _options_of_all_commands(ctx: click.Context) -> dict[str, click.Option]:
    group = ctx.find_root().command
    if not isinstance(group, click.Group):
        return {}
    options: dict[str, click.Option] = {}
    for name in group.list_commands(ctx):
        with contextlib.suppress(ImportError):  # a command that computes, where there is no NumPy: in a browser
            if command := group.get_command(ctx, name):
                options |= _options(command)
    return options


def _flag(option: click.Option, value: str | None) -> str:
    flag = option.opts[0]
    if value is None:
        return flag
    if option.is_flag:
        off = option.secondary_opts[0] if option.secondary_opts else f"no {flag}"
        return off if value == "False" else flag
    if option.multiple and (words := _words(value)):
        return " ".join(f"{flag} {shlex.quote(printable(word))}" for word in words)
    if value == _SOME_VALUE:
        number = isinstance(option.type, (click.types.IntParamType, click.types.FloatParamType))
        return f"{flag} {option.metavar or ('N' if number else 'NAME')}"
    return f"{flag} {_typed(value)}"


def _words(value: str) -> list[str]:
    """The words of a repeatable option: an element of a list each, or `NAME=VALUE` for each entry of a dictionary."""
    try:
        found = ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return []
    if isinstance(found, list):
        return [str(element) for element in found]
    entries = found.items() if isinstance(found, dict) else ()
    return [f"{name}={str(entry).lower() if isinstance(entry, bool) else entry}" for name, entry in entries]


def _typed(value: str) -> str:
    """A value as it is typed in a shell; commas separate the elements of a list."""
    try:
        found = ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return value
    elements = found if isinstance(found, (list, tuple)) else [found]
    return shlex.quote(printable(",".join(map(str, elements))))
