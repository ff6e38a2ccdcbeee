"""Outputs that appear whole or not at all: built under another name beside the target, then renamed into place.

At every moment the target is absent, the old one, or complete. What a killed run leaves behind is called
`.NAME.partial-XXXXXXXX` (being built) or `.NAME.replaced-XXXXXXXX` (an old one on its way out) and can be deleted.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from bort_convert.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator


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
    path = Path(target)
    with _system_errors(path):
        _check_source(path, source)
        _check_directory(path, force=force)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{path.name}.partial-", dir=path.parent))
        try:
            yield partial
            partial.chmod(0o777 & ~_umask())
            _check_directory(path, force=force)
            _sync(partial)
            _replace_directory(partial, path)
            _sync(path.parent)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


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
    path = Path(target)
    with _system_errors(path):
        _check_source(path, source)
        _check_file(path, force=force)
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.partial-", dir=path.parent))
        try:
            partial = folder / path.name
            yield partial
            partial.replace(path)
            _sync(path.parent)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8 and have the system write it down."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _check_source(path: Path, source: str | os.PathLike[str] | None) -> None:
    if source is not None and Path(source).resolve().is_relative_to(path.resolve()):
        raise OutputError(f"{path} holds the source, {source}; expected a place beside it. Choose another name")


def _check_directory(path: Path, *, force: bool) -> None:
    if path.is_symlink():
        raise OutputError(f"{path} is a link; expected a directory, or nothing. Give the name that it points to")
    if path.exists() and not path.is_dir():
        raise OutputError(f"{path} is a file; expected a directory, or nothing. Choose another name")
    if path.is_dir() and any(path.iterdir()) and not force:
        raise OutputError(f"{path} is not empty; expected an empty directory, or nothing. Pass --force to replace it")


def _check_file(path: Path, *, force: bool) -> None:
    if path.is_dir():
        raise OutputError(f"{path} is a directory; expected a file, or nothing. Choose another name")
    if path.exists() and not force:
        raise OutputError(f"{path} is there already; expected nothing. Pass --force to replace it")


def _replace_directory(partial: Path, path: Path) -> None:
    """Rename into place; an old directory steps aside first, and back if the new one cannot take its place."""
    if not path.exists():
        partial.rename(path)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.replaced-", dir=path.parent))
    old = path.rename(aside / path.name)
    try:
        partial.rename(path)
    except OSError:
        old.rename(path)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _sync(folder: Path) -> None:
    """Have the system write a directory's entries down; where directories cannot be opened, it does so by itself."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
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
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error
