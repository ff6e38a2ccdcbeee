"""Read the file of a table of the user's own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from bort_convert.errors import FormatError, printable
from bort_convert.models.registry import own_table

if TYPE_CHECKING:
    from bort_convert.mapping.table_file import OwnTable

_MOST_BYTES = 1 << 20
"""More than any table may have: no larger file is read into memory."""


def open_table(path: str | os.PathLike[str], family: str | None = None) -> OwnTable:
    """Read a table of the user's own; see `mapping.table_file`.

    Args:
        path: the TOML file.
        family: name of the family that it must extend; None for any.

    Raises:
        FormatError: the file cannot be read.
        OptionError: the table extends another family.
        TableError: the file is no table.
    """
    try:
        with Path(path).open("rb") as file:
            content = file.read(_MOST_BYTES)
    except (OSError, ValueError) as error:  # a path with a NUL is a ValueError
        reason = getattr(error, "strerror", None) or error
        raise FormatError(f"{printable(os.fspath(path))}: the table cannot be read: {reason}") from error
    return own_table(content, os.fspath(path), family)
