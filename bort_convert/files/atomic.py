"""Write outputs that appear whole or not at all: built under another name beside the target, then renamed into place.

At every moment the target is absent, the old one, or complete: see `docs/decisions/0023-interrupted-runs.md`. The next
run into the same target clears the leftovers of a killed run: see `leftovers`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bort_convert.errors import OutputError
from bort_convert.files.leftovers import (
    REPLACED,
    clear_leftovers,
    delete,
    directory_lock,
    name_beside,
    partial_directory,
)
from bort_convert.files.places import check_place, check_source, named_place
from bort_convert.files.remote_target import remote_directory, remote_file
from bort_convert.files.system_errors import writing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bort_convert.files.remote import Place

_AT_FDCWD: Final = -100
_RENAME_EXCHANGE: Final = 2
_NO_SUCH_SYNC: Final = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}


def _untold(_done: int, _total: int) -> None:
    """The progress of an upload that nobody asks for."""


def _never(_path: Place) -> str:
    return "is not empty, and nothing tells who wrote it. Empty it by hand, or choose another name"


@contextlib.contextmanager
def new_directory(
    target: str | os.PathLike[str],
    *,
    source: str | os.PathLike[str] | None = None,
    force: bool = False,
    reason_to_keep: Callable[[Place], str] = _never,
    marker: str = "",
    progress: Callable[[int, int], None] = _untold,
) -> Iterator[Path]:
    """Give an empty directory to fill; when the block ends without an error, it stands at `target`.

    Args:
        target: absent or an empty directory, unless `force` is true; or a URL.
        source: file or directory that the output is made from, which the output must not replace.
        force: replace the directory at `target`, unless `check_place` or `reason_to_keep` speaks against it.
        reason_to_keep: says why a directory that is not empty may not be replaced; "" if it may be.
        marker: name of the file that is uploaded last, and without which a directory elsewhere is not whole.
        progress: of a target elsewhere, called with the bytes that were sent so far and those of all files.

    Raises:
        OutputError: something else stands at `target`, or the system refuses to write.
    """
    path = named_place(target)
    with writing(path):
        if not isinstance(path, Path):
            keep = reason_to_keep
            with remote_directory(path, marker=marker, force=force, reason_to_keep=keep, progress=progress) as folder:
                yield folder
            return
        if force:
            check_place(target)
        check_source(path, source)
        clear_leftovers(path)
        _check_directory(path, force=force, reason_to_keep=reason_to_keep)
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial_directory(path) as partial:
            yield partial
            partial.chmod(0o777 & ~_umask())
            for file in filter(Path.is_file, partial.iterdir()):
                sync(file)
            sync(partial)
            _put_directory(partial, path, force=force, reason_to_keep=reason_to_keep)
            sync(path.parent)
            delete(partial)  # the name of the old directory now, if there was one


@contextlib.contextmanager
def new_file(
    target: str | os.PathLike[str],
    *,
    source: str | os.PathLike[str] | None = None,
    force: bool = False,
    reason_to_keep: Callable[[Place], str] = lambda _path: "",
    progress: Callable[[int, int], None] = _untold,
) -> Iterator[Path]:
    """Give the name of a file to write; when the block ends without an error, the file stands at `target`.

    Args:
        target: absent, unless `force` is true; or a URL.
        source: file or directory that the output is made from, which the output must not replace.
        force: replace the file at `target`, unless `reason_to_keep` speaks against it.
        reason_to_keep: says why a file may not be replaced; "" if it may be.
        progress: of a target elsewhere, called with the bytes that were sent so far and its size.

    Raises:
        OutputError: something stands at `target` and `force` is false, it is no file or may not be replaced, or the
            system refuses to write.
    """
    path = named_place(target)
    with writing(path):
        if not isinstance(path, Path):
            with remote_file(path, force=force, reason_to_keep=reason_to_keep, progress=progress) as file:
                yield file
            return
        check_source(path, source)
        clear_leftovers(path)
        _check_file(path, force=force, reason_to_keep=reason_to_keep)
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial_directory(path) as folder:
            partial = folder / path.name
            yield partial
            sync(partial)
            _put_file(partial, path, force=force, reason_to_keep=reason_to_keep)
            sync(path.parent)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8."""
    path.write_text(text, encoding="utf-8", newline="\n")


def _check_directory(path: Path, *, force: bool, reason_to_keep: Callable[[Place], str]) -> None:
    if path.is_symlink():
        raise OutputError(f"{path} is a link; expected a directory, or nothing. Give the name that it points to")
    if path.exists() and not path.is_dir():
        raise OutputError(f"{path} is a file; expected a directory, or nothing. Choose another name")
    if os.path.ismount(path):  # Path.is_mount needs Python 3.12 on Windows
        raise OutputError(f"{path} is where a file system is mounted, and cannot be replaced. Give a name inside it")
    if not path.is_dir() or not any(path.iterdir()):
        return
    if not force:
        raise OutputError(
            f"{path} is not empty; expected an empty directory, or nothing. Pass `force=True` to replace it"
        )
    if reason := reason_to_keep(path):
        raise OutputError(f"{path} {reason}")


def _check_file(path: Path, *, force: bool, reason_to_keep: Callable[[Place], str]) -> None:
    if path.is_dir():
        raise OutputError(f"{path} is a directory; expected a file, or nothing. Choose another name")
    if not os.path.lexists(path):
        return
    if not force:
        raise OutputError(f"{path} is there already; expected nothing. Pass `force=True` to replace it")
    if path.exists() and not path.is_file():
        raise OutputError(f"{path} is a device or a pipe; expected a file, or nothing. Choose another name")
    if reason := reason_to_keep(path):
        raise OutputError(f"{path} {reason}")


def _put_directory(partial: Path, path: Path, *, force: bool, reason_to_keep: Callable[[Place], str]) -> None:
    """Rename into place; with `force`, an old directory takes the name of the partial one."""
    if os.name == "nt":  # Windows renames onto an empty directory no more than onto a full one
        with contextlib.suppress(OSError):
            path.rmdir()
    try:
        # The system lets it replace nothing but an empty directory, in one step.
        partial.rename(path)
    except OSError:
        _check_directory(path, force=force, reason_to_keep=reason_to_keep)
        if not (force and path.is_dir()):
            raise
        if not _exchange(partial, path):
            _replace(partial, path)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names in one step and return True, where the system can: Linux, on most file systems."""
    if sys.platform != "linux":
        return False
    import ctypes  # noqa: PLC0415 - only where something is replaced

    call = getattr(ctypes.CDLL(None), "renameat2", None)
    names = (_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other))
    return call is not None and call(*names, _RENAME_EXCHANGE) == 0


def _replace(partial: Path, path: Path) -> None:
    """Replace a directory in two steps; put the old one back if the new one cannot take its place."""
    aside = name_beside(path, REPLACED)
    with directory_lock(path, own=True):
        try:
            path.rename(aside)
            partial.rename(path)
        except BaseException:
            if aside.exists() and not path.exists():
                aside.rename(path)
            raise
        aside.rename(partial)


def _put_file(partial: Path, path: Path, *, force: bool, reason_to_keep: Callable[[Place], str]) -> None:
    """Give a file its name; without `force`, never take the name from another file."""
    if force:
        _check_file(path, force=True, reason_to_keep=reason_to_keep)
        partial.replace(path)
        return
    try:
        path.hardlink_to(partial)
    except OSError:
        _check_file(path, force=False, reason_to_keep=reason_to_keep)
        partial.rename(path)  # a file system without hard links


def sync(path: Path) -> None:
    """Have the system store a file, or the entries of a directory, as far as it has a call for that."""
    if not hasattr(os, "fsync") or (os.name == "nt" and path.is_dir()):  # Windows opens no directory
        return
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SUCH_SYNC:
            raise
    finally:
        os.close(descriptor)


def _umask() -> int:
    """Read the permissions that new files do not get; the system tells them only when others are set."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
