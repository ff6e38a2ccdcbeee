"""Errors of the system as errors of ours: an input that cannot be read, an output that cannot be written."""

from __future__ import annotations

import contextlib
import errno
from typing import IO, TYPE_CHECKING, Final

from bort_convert.errors import FormatError, OutputError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator
    from pathlib import Path

    from bort_convert.files.remote import Place

_HINTS: Final = {
    errno.ENOSPC: ". Free some space there, or choose another place",
    errno.EDQUOT: ". Your quota there is used up; choose another place",
    errno.EFBIG: ". A limit on the size of files is in force (see `ulimit -f`)",
    errno.EROFS: ". Choose a place that can be written to",
    errno.EACCES: ". Choose a place that can be written to",
    errno.EEXIST: ". Its folder is a file, or a link that leads nowhere",
    errno.ENAMETOOLONG: ". Choose a shorter name; the name under which an output is written is 26 bytes longer",
}


@contextlib.contextmanager
def reading(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn an error of the system into a FormatError that names the file, or else `path`, the input that it is in."""
    try:
        yield
    except OSError as error:
        name = error.filename if error.filename is not None else path
        raise FormatError(f"{name}: cannot be read: {error.strerror or error}. Is its disk in order?") from error


@contextlib.contextmanager
def writing(path: Place) -> Iterator[None]:
    """Turn an error of the system into an OutputError that names the output."""
    try:
        yield
    except OSError as error:
        hint = _HINTS.get(error.errno or 0, "")
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}{hint}") from error


@contextlib.contextmanager
def reading_back(path: Path) -> Iterator[None]:
    """Turn an error at reading what was just written into an OutputError."""
    try:
        yield
    except FormatError as error:
        reason = error.__cause__.strerror if isinstance(error.__cause__, OSError) else error
        raise OutputError(f"{path.name}: cannot be read again after it was written: {reason}") from error


def close_input(file: IO[bytes]) -> None:
    """Close a file that was only read: what was read of it stands, whatever the system says at its end."""
    with contextlib.suppress(OSError):
        file.close()
