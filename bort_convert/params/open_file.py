"""Open a regular file, here or elsewhere, or the one `.params` file that an archive wraps."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, overload

from bort_convert.errors import FormatError
from bort_convert.files.identity import Identity
from bort_convert.files.system_errors import close_input
from bort_convert.params.cursor import Span, clipped, quoted
from bort_convert.params.file import FileBytes
from bort_convert.params.member import is_params_name
from bort_convert.params.sniff import GZIP_MAGIC, TAR_BYTE, TAR_MAGIC

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Callable, Mapping

    from bort_convert.files.remote import Place, RemotePath
    from bort_convert.files.streams import OpenBytes
    from bort_convert.params.member import Member

TAR_HEAD = 4096
"""Bytes that show whether a file is a tar archive: unpacked, its first header."""
SPECIAL_FILES = (
    (stat.S_ISFIFO, "a pipe; save its bytes to a file first"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


@dataclass(frozen=True)
class OpenFile:
    """An open file.

    Attributes:
        bytes: what to read.
        size: its bytes.
        check_unchanged: raises FormatError if the file is no longer the one that was opened.
        marks: of a file elsewhere, what tells its content from others: see `RemoteIdentity.lasting`.
    """

    bytes: OpenBytes
    size: int
    check_unchanged: Callable[[], None]
    marks: Mapping[str, str] = field(default_factory=dict)


@overload
def source_file(path: Path) -> Path: ...
@overload
def source_file(path: Place) -> Place: ...
def source_file(path: Place) -> Place:
    """The file itself, or the one `.params` file in a directory, which is not searched deeper.

    Raises:
        FormatError: the directory holds none, or several.
    """
    if not _is_directory(path):
        return path
    try:
        names = sorted(entry.name for entry in path.iterdir() if is_params_name(entry.name) and entry.is_file())
    except OSError as error:
        raise FormatError(f"{path}: cannot be read ({_reason(error)})") from error
    if len(names) == 1:
        return path / names[0]
    found = clipped(", ".join(map(quoted, names))) if names else "no .params file"
    raise FormatError(f"{path}: this is a directory with {found}. Expected one .params file; give the file itself")


def _is_directory(path: Place) -> bool:
    """True for a directory; a name elsewhere that is a checkpoint's is not looked at."""
    if isinstance(path, Path):
        return os.path.isdir(path)  # noqa: PTH112 - Path.is_dir raises an error for a long name
    return not is_params_name(path.name) and path.is_dir()


def open_regular(stack: contextlib.ExitStack, path: Place) -> OpenFile:
    """Open a regular file until the stack is closed.

    Raises:
        BackendError: fsspec, or the package that knows the protocol of a URL, is missing.
        FormatError: there is none, it may not be read, or it is a directory, a pipe or a device (which could block).
    """
    if not isinstance(path, Path):
        return _open_remote(stack, path)
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
    status = os.fstat(file.fileno())
    return OpenFile(file.fileno(), status.st_size, partial(Identity.of(status).check, path))


def _open_remote(stack: contextlib.ExitStack, path: RemotePath) -> OpenFile:
    from bort_convert.files.remote_file import RemoteFile  # noqa: PLC0415 - most files are of this machine

    try:
        file = RemoteFile(path)
    except FileNotFoundError as error:
        raise FormatError(f"{path}: there is no such file") from error
    except OSError as error:
        raise FormatError(f"{path}: cannot be opened ({_reason(error)})") from error
    stack.callback(file.close)
    return OpenFile(file, file.size, partial(file.identity.check, path), file.identity.lasting)


def whole_span(stack: contextlib.ExitStack, file: OpenBytes, size: int, label: str, *, mapped: bool) -> Span:
    """Give all bytes of an open file as a span, until the stack is closed.

    Raises:
        FormatError: the file is empty.
    """
    if not size:
        raise FormatError(f"{label}: an empty file (0 bytes). Expected an MXNet .params file; fetch it again")
    data = FileBytes(file, size, label, mapped=mapped)
    stack.callback(data.close)
    return Span(data, 0, size, label)


def unwrap(stack: contextlib.ExitStack, file: OpenBytes, member: Member, *, mapped: bool) -> tuple[OpenBytes, Span]:
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
    descriptor = unpacked.fileno()
    return descriptor, whole_span(stack, descriptor, unpacked.tell(), member.span.label, mapped=mapped)


def unwrap_tar(
    stack: contextlib.ExitStack, span: Span, max_arrays: int, *, mapped: bool
) -> tuple[OpenBytes, Span, str] | None:
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
    descriptor, label = unpacked.fileno(), f"{span.label}: member {quoted(name)}"
    return descriptor, whole_span(stack, descriptor, unpacked.seek(0, os.SEEK_END), label, mapped=mapped), name


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
