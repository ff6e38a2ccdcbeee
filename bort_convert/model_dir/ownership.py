"""Reasons to keep a directory or a file that `force=True` would replace: this package did not write it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from bort_convert.errors import FormatError, printable
from bort_convert.files.fetched import INCOMPLETE
from bort_convert.model_dir.manifest import FILE_NAME
from bort_convert.model_dir.read import read_manifest

if TYPE_CHECKING:
    from bort_convert.files.remote import Place


def reason_to_keep_directory(folder: Place) -> str:
    """Say why a directory may not be replaced; "" for one that holds a conversion and nothing else.

    Files of a conversion that were edited since are no reason: to undo that is what a replacement is for.
    """
    written: set[str] = set()
    if _is_there(folder / FILE_NAME):
        try:
            written = {FILE_NAME, *read_manifest(folder).files}
        except FormatError:
            return _not_written(f"a {FILE_NAME} that cannot be read")
    others = sorted(
        entry.name for entry in folder.iterdir() if entry.name not in {*written, INCOMPLETE} or _is_folder(entry)
    )
    return _not_written(_list_of(folder, others)) if others else ""


def reason_to_keep_file(path: Place) -> str:
    """Say why a file may not be replaced; "" for any that is not inside of a converted directory."""
    folder = converted_directory_around(path)
    return f"is inside {folder}, a converted directory. Choose a place outside of it" if folder else ""


def converted_directory_around(path: Place) -> Place | None:
    """Find the directory with a manifest that a file is in, at any depth."""
    folders = Path(os.path.realpath(path.parent), path.name).parents if isinstance(path, Path) else path.parents
    return next((folder for folder in folders if _is_there(folder / FILE_NAME)), None)


def _is_there(path: Place) -> bool:
    return os.path.lexists(path) if isinstance(path, Path) else path.exists()


def _is_folder(entry: Place) -> bool:
    return entry.is_dir() and not (isinstance(entry, Path) and entry.is_symlink())


def _list_of(folder: Place, names: list[str]) -> str:
    first = printable(names[0]) + (os.sep if _is_folder(folder / names[0]) else "")
    return first if len(names) == 1 else f"{first} and {len(names) - 1:,} more"


def _not_written(entries: str) -> str:
    return f"holds {entries}, which no conversion wrote. Empty it by hand, or choose another name"
