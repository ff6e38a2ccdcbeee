"""Open a regular file, or the one `.params` file that an archive wraps."""

from __future__ import annotations

import stat
from typing import IO, TYPE_CHECKING

from bort_convert.errors import FormatError
from bort_convert.files.system_errors import close_input
from bort_convert.params.cursor import Span
from bort_convert.params.file import FileBytes

if TYPE_CHECKING:
    import contextlib
    from pathlib import Path

    from bort_convert.params.member import Member

SPECIAL_FILES = (
    (stat.S_ISDIR, "a directory; give the .params file in it"),
    (stat.S_ISFIFO, "a pipe; save its bytes to a file first"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


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


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
