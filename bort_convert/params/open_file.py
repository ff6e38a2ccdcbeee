"""Open a regular file, or the one `.params` file that an archive wraps."""

from __future__ import annotations

import os
import stat
from typing import IO, TYPE_CHECKING

from bort_convert.errors import FormatError
from bort_convert.files.system_errors import close_input
from bort_convert.params.cursor import Span, clipped, quoted
from bort_convert.params.file import FileBytes
from bort_convert.params.member import is_params_name
from bort_convert.params.sniff import GZIP_MAGIC, TAR_BYTE, TAR_MAGIC

if TYPE_CHECKING:
    import contextlib
    from pathlib import Path

    from bort_convert.params.member import Member

TAR_HEAD = 4096
"""Bytes that show whether a file is a tar archive: unpacked, its first header."""
SPECIAL_FILES = (
    (stat.S_ISFIFO, "a pipe; save its bytes to a file first"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def source_file(path: Path) -> Path:
    """The file itself, or the one `.params` file in a directory, which is not searched deeper.

    Raises:
        FormatError: the directory holds none, or several.
    """
    if not os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises an error for a long name
        return path
    try:
        names = sorted(entry.name for entry in path.iterdir() if is_params_name(entry.name) and entry.is_file())
    except OSError as error:
        raise FormatError(f"{path}: cannot be read ({_reason(error)})") from error
    if len(names) == 1:
        return path / names[0]
    found = clipped(", ".join(map(quoted, names))) if names else "no .params file"
    raise FormatError(f"{path}: this is a directory with {found}. Expected one .params file; give the file itself")


def open_regular(stack: contextlib.ExitStack, path: Path) -> IO[bytes]:
    """Open a regular file until the stack is closed.

    Raises:
        FormatError: there is none, it may not be read, or it is a directory, a pipe or a device (which could block).
    """
    try:
        mode = path.stat().st_mode
        for applies, description in SPECIAL_FILES:
            if applies(mode):
                raise FormatError(f"{path}: this is {description}. Expected an MXNet .params file")
        file = path.open("rb")
    except FileNotFoundError as error:
        raise FormatError(f"{path}: there is no such file") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise FormatError(f"{path}: cannot be opened ({_reason(error)})") from error
    stack.callback(close_input, file)
    return file


def whole_span(stack: contextlib.ExitStack, file: IO[bytes], label: str, *, mapped: bool) -> Span:
    """Give all bytes of an open file as a span, until the stack is closed.

    Raises:
        FormatError: the file is empty.
    """
    size = file.seek(0, 2)
    if not size:
        raise FormatError(f"{label}: an empty file (0 bytes). Expected an MXNet .params file; fetch it again")
    data = FileBytes(file.fileno(), size, label, mapped=mapped)
    stack.callback(data.close)
    return Span(data, 0, size, label)


def unwrap(stack: contextlib.ExitStack, file: IO[bytes], member: Member, *, mapped: bool) -> tuple[IO[bytes], Span]:
    """Verify the checksum of the `.params` file in an archive, and unpack it to a temporary file if it is deflated.

    Returns:
        The open file in which offsets count, and the bytes of the member.

    Raises:
        FormatError: the member is damaged, or there is no room to unpack it.
    """
    if not member.deflated:
        span = member.whole()
        return file, Span(span.data, span.start, span.stop, span.label)
    import tempfile  # noqa: PLC0415 - only where something is unpacked

    try:
        unpacked = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - the stack closes it
        for chunk in member.chunks():
            unpacked.write(chunk)
        unpacked.flush()
    except OSError as error:
        raise FormatError(f"{member.span.label}: cannot be unpacked ({_reason(error)})") from error
    return unpacked, whole_span(stack, unpacked, member.span.label, mapped=mapped)


def unwrap_tar(
    stack: contextlib.ExitStack, span: Span, max_arrays: int, *, mapped: bool
) -> tuple[IO[bytes], Span, str] | None:
    """Unpack the `.params` file in a tar archive to a temporary file; None where the file is no such archive.

    Returns:
        The open temporary file, its bytes, and the name of the member.

    Raises:
        FormatError: the archive is damaged or holds something else, or there is no room to unpack it.
    """
    head = bytes(span.data[span.start : min(span.start + TAR_HEAD, span.stop)])
    if not (head.startswith(GZIP_MAGIC) or head[TAR_BYTE:].startswith(TAR_MAGIC)):
        return None
    import tempfile  # noqa: PLC0415 - only where something is unpacked

    from bort_convert.params.tar import is_tar, unpack_params  # noqa: PLC0415 - it loads zipfile, which few files need

    if not is_tar(head):
        return None
    try:
        unpacked = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - the stack closes it
        name = unpack_params(span, unpacked, max_arrays)
        unpacked.flush()
    except OSError as error:
        raise FormatError(f"{span.label}: cannot be unpacked ({_reason(error)})") from error
    return unpacked, whole_span(stack, unpacked, f"{span.label}: member {quoted(name)}", mapped=mapped), name


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
