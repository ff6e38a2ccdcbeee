"""Outputs that appear whole or not at all: built under another name beside the target, then renamed into place.

At every moment the target is absent, the old one, or complete: see `docs/decisions/0023-interrupted-runs.md`. What a
killed run leaves behind has a name that tells, and the next run into the same target clears it: see `leftovers`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bort_convert.errors import OutputError
from bort_convert.files.leftovers import REPLACED, clear_leftovers, delete, held, name_beside, partial_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

_AT_FDCWD: Final = -100
_RENAME_EXCHANGE: Final = 2
_HINTS: Final = {
    errno.ENOSPC: ". Free some space there, or choose another place",
    errno.EDQUOT: ". Your quota there is used up; choose another place",
    errno.EFBIG: ". A limit on the size of files is in force (see `ulimit -f`)",
    errno.EROFS: ". Choose a place that can be written to",
    errno.EACCES: ". Choose a place that can be written to",
}


@contextlib.contextmanager
def new_directory(
    target: str | os.PathLike[str], *, source: str | os.PathLike[str] | None = None, force: bool = False
) -> Iterator[Path]:
    """A directory to fill; when the block ends without an error, it stands at `target`.

    Args:
        target: must be absent or an empty directory, unless `force` is given.
        source: what the output is made from, if anything: it must not be replaced by it.
        force: replace the directory that stands there.

    Raises:
        OutputError: something else stands there, or the system refuses to write.
    """
    path = _place(target)
    with _system_errors(path):
        _check_source(path, source)
        clear_leftovers(path)
        _check_directory(path, force=force)
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial_directory(path) as partial:
            yield partial
            partial.chmod(0o777 & ~_umask())
            for file in filter(Path.is_file, partial.iterdir()):
                sync(file)
            sync(partial)
            _put_directory(partial, path, force=force)
            sync(path.parent)
            delete(partial)  # the old one, if there was one


@contextlib.contextmanager
def new_file(
    target: str | os.PathLike[str], *, source: str | os.PathLike[str] | None = None, force: bool = False
) -> Iterator[Path]:
    """The name of a file to write; when the block ends without an error, the file stands at `target`.

    Args:
        target: must be absent, unless `force` is given.
        source: what the output is made from, if anything: it must not be replaced by it.
        force: replace the file that stands there.

    Raises:
        OutputError: something stands there and `force` is not given, or the system refuses to write.
    """
    path = _place(target)
    with _system_errors(path):
        _check_source(path, source)
        clear_leftovers(path)
        _check_file(path, force=force)
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial_directory(path) as folder:
            partial = folder / path.name
            yield partial
            sync(partial)
            _put_file(partial, path, force=force)
            sync(path.parent)


def _place(target: str | os.PathLike[str]) -> Path:
    """The target as a path that has a name, which `.` and `..` have not."""
    path = Path(target)
    return path if path.name not in {"", ".."} else path.resolve()


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8."""
    path.write_text(text, encoding="utf-8", newline="\n")


def _check_source(path: Path, source: str | os.PathLike[str] | None) -> None:
    if source is not None and Path(source).resolve().is_relative_to(path.resolve()):
        raise OutputError(f"{path} holds the source, {source}; expected a place beside it. Choose another name")


def _check_directory(path: Path, *, force: bool) -> None:
    if path.is_symlink():
        raise OutputError(f"{path} is a link; expected a directory, or nothing. Give the name that it points to")
    if path.exists() and not path.is_dir():
        raise OutputError(f"{path} is a file; expected a directory, or nothing. Choose another name")
    if path.is_mount():
        raise OutputError(f"{path} is where a file system is mounted, and cannot be replaced. Give a name inside it")
    if path.is_dir() and any(path.iterdir()) and not force:
        raise OutputError(f"{path} is not empty; expected an empty directory, or nothing. Pass --force to replace it")


def _check_file(path: Path, *, force: bool) -> None:
    if path.is_dir():
        raise OutputError(f"{path} is a directory; expected a file, or nothing. Choose another name")
    if path.exists() and not force:
        raise OutputError(f"{path} is there already; expected nothing. Pass --force to replace it")


def _put_directory(partial: Path, path: Path, *, force: bool) -> None:
    """Rename into place; with `force` an old directory takes the partial one's name, or is deleted."""
    if os.name == "nt":  # renames onto nothing only; an empty directory makes way
        with contextlib.suppress(OSError):
            path.rmdir()
    try:
        # Takes the place of nothing, or of an empty directory; the system refuses anything else in the same step.
        partial.rename(path)
    except OSError:
        _check_directory(path, force=force)
        if not (force and path.is_dir()):
            raise
        if not _exchange(partial, path):
            _replace(partial, path)


def _exchange(one: Path, other: Path) -> bool:
    """Let two names change places in one step, where the system can: Linux, on most file systems."""
    if sys.platform != "linux":
        return False
    import ctypes  # noqa: PLC0415 - only where something is replaced

    call = getattr(ctypes.CDLL(None), "renameat2", None)
    names = (_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other))
    return call is not None and call(*names, _RENAME_EXCHANGE) == 0


def _replace(partial: Path, path: Path) -> None:
    """The same in two steps: the old directory makes way, and comes back if the new one cannot take its place."""
    aside = name_beside(path, REPLACED)
    with held(path, claim=True):
        try:
            path.rename(aside)
            partial.rename(path)
        except BaseException:
            if aside.exists() and not path.exists():
                aside.rename(path)
            raise
        aside.rename(partial)


def _put_file(partial: Path, path: Path, *, force: bool) -> None:
    """Give a file its name; without `force`, in a way that never takes the name from another file."""
    if force:
        partial.replace(path)
        return
    try:
        path.hardlink_to(partial)
    except OSError:
        _check_file(path, force=False)
        partial.rename(path)  # where there are no links


def sync(path: Path) -> None:
    """Have the system write a file or a directory's entries down; Windows opens no directory, and has no need."""
    if os.name == "nt" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    """The permissions that new files do not get; the system gives them only in exchange for others."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


@contextlib.contextmanager
def _system_errors(path: Path) -> Iterator[None]:
    """Turn what the system says into one line that names the target."""
    try:
        yield
    except OSError as error:
        hint = _HINTS.get(error.errno or 0, "")
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}{hint}") from error
