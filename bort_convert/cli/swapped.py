"""Recognise the two paths of a command in the wrong order, and name the command that was meant."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

import click

from bort_convert.cli.text import shown
from bort_convert.errors import ConvertError, FormatError
from bort_convert.params import open_params

if TYPE_CHECKING:
    from pathlib import Path

_DIRECTORY_FILES = ("config.json", "conversion.json")
_OUTPUTS = (".safetensors", ".npz")
"""Endings of files that an extraction writes; a .npz has the form of a checkpoint."""


def refuse_swapped(first: Path, second: Path) -> None:
    """Refuse a checkpoint as output where the source is none.

    Raises:
        click.UsageError: the paths are those of the same command in the other order.
    """
    if _is_checkpoint(second) and not _is_checkpoint(first):
        _refuse(first, second)


def refuse_swapped_verification(first: Path, second: Path) -> None:
    """Refuse a directory as source, and a file as output.

    Raises:
        click.UsageError: the paths are those of the command in the other order.
        FormatError: they are two directories, or two files.
    """
    if os.path.isfile(second):  # noqa: PTH113 - Path.is_file raises an error for a long name
        if _is_model_dir(first):
            _refuse(first, second)
        raise FormatError(f"{shown(second)}: this is a file. Expected OUT, the directory of a conversion")
    if os.path.isdir(first) and os.path.isdir(second) and not _is_checkpoint(first):  # noqa: PTH112 - as above
        if _is_checkpoint(second):
            _refuse(first, second)
        raise FormatError(f"{shown(first)}: this is a directory. Expected SOURCE, a .params file or a trace")


def refuse_swapped_export(first: Path, second: Path) -> None:
    """Refuse a file where the directory belongs, if a directory stands where the file belongs."""
    if _is_model_dir(second) and not os.path.isdir(first):  # noqa: PTH112 - as above
        _refuse(first, second)


def _refuse(first: Path, second: Path) -> None:
    ctx = click.get_current_context()
    names = "OUT and BACK.params" if ctx.command.name == "export" else "SOURCE and OUT"
    meant = shown(shlex.join(["bort-convert", f"{ctx.command.name}", str(second), str(first)]))
    raise click.UsageError(f"{names} seem to be swapped; did you mean {meant}?")


def _is_model_dir(path: Path) -> bool:
    return any(os.path.isfile(os.path.join(path, name)) for name in _DIRECTORY_FILES)  # noqa: PTH113, PTH118 - as above


def _is_checkpoint(path: Path) -> bool:
    """True for a `.params` file, and a directory with one that is no directory of transformers; the header is read."""
    if os.fspath(path).endswith(_OUTPUTS) or _is_model_dir(path) or not os.path.exists(path):  # noqa: PTH110 - as above
        return False
    try:
        with open_params(path, mapped=False):
            return True
    except ConvertError:
        return False
