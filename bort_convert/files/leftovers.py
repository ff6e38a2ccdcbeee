"""Directories beside a target, under names of their own: make them, lock them, and clear those of killed runs.

`.NAME.partial-XXXXXXXXXXXXXXXX` is an output that is being built, or an old one that is being deleted.
`.NAME.replaced-XXXXXXXXXXXXXXXX` is an old directory that makes way for a new one, where a system cannot exchange two
names in one step; it is the only copy of the old output.

A run holds a lock (`flock`) on its directory, and the system frees the lock however the run ends. A directory whose
lock is free is a leftover: a partial one is deleted, a replaced one is put back. Where there are no such locks (on
Windows, in a browser, on some network file systems) nothing tells leftovers from the directories of live runs, and
they wait for a person.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

try:
    import fcntl

    HAS_LOCKS = True
except ImportError:  # Windows, a browser
    HAS_LOCKS = False

if TYPE_CHECKING:
    from collections.abc import Iterator

PARTIAL: Final = "partial"
REPLACED: Final = "replaced"
_LOG: Final = logging.getLogger(__name__)


def name_beside(path: Path, state: str) -> Path:
    """Make up a new name beside `path` for a directory in a state, PARTIAL or REPLACED."""
    return path.with_name(f".{path.name}.{state}-{os.urandom(8).hex()}")


@contextlib.contextmanager
def partial_directory(path: Path) -> Iterator[Path]:
    """Make an empty directory beside a path, locked while the block runs and deleted after it."""
    while True:
        folder = name_beside(path, PARTIAL)
        # The `try` begins before the directory is there, so that it is deleted whatever stops the run.
        try:
            folder.mkdir(0o700)
            with directory_lock(folder, own=True) as locked:
                if locked:  # else another run took it for a leftover before it was locked
                    yield folder
                    return
        finally:
            delete(folder)


@contextlib.contextmanager
def staging() -> Iterator[Path]:
    """Make an empty folder for temporary files, and delete it after the block; one of a killed run goes first."""
    import tempfile  # noqa: PLC0415 - only for what is elsewhere

    user = os.getuid() if hasattr(os, "getuid") else 0
    base = Path(tempfile.gettempdir(), f"bort_convert-{user}")
    clear_leftovers(base)
    with partial_directory(base) as folder:
        yield folder


def delete(folder: Path) -> None:
    """Delete a directory, if it exists, and all files in it, as far as the system allows."""
    with contextlib.suppress(OSError):
        if folder.exists():
            import shutil  # noqa: PLC0415 - mostly there is nothing to delete

            shutil.rmtree(folder, ignore_errors=True)


def clear_leftovers(path: Path) -> None:
    """Delete the directories that killed runs left beside a path, or put them back, and log it; skip locked ones."""
    pattern = re.compile(rf"{re.escape(f'.{path.name}.')}({PARTIAL}|{REPLACED})-[0-9a-f]{{16}}")
    candidates = []
    with contextlib.suppress(OSError):  # the parent does not exist yet, or may be written and not listed
        candidates = sorted(beside for beside in path.parent.iterdir() if pattern.fullmatch(beside.name))
    for leftover in candidates:
        with directory_lock(leftover, own=False) as locked:
            if locked and f".{REPLACED}-" in leftover.name:
                _put_back(leftover, path)
            elif locked:
                delete(leftover)
                _LOG.warning("%s: deleted, a run that was killed had left it", leftover)


def _put_back(leftover: Path, path: Path) -> None:
    try:
        leftover.rename(path)
    except OSError:
        _LOG.warning("%s: what stood at %s before a run that was killed; move or delete it", leftover, path)
    else:
        _LOG.warning("%s: put back, a run that was killed had moved it to %s", path, leftover.name)


@contextlib.contextmanager
def directory_lock(folder: Path, *, own: bool) -> Iterator[bool]:
    """Lock a directory while the block runs; give True if the lock is held and the directory still exists.

    Args:
        folder: the directory.
        own: this run made it. Then it counts as locked where the system has no locks, and must be readable.
    """
    if not HAS_LOCKS:
        yield own
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        if own and error.errno != errno.ENOENT:
            raise
        yield False
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            locked = True
        except OSError as error:
            locked = own and error.errno != errno.EWOULDBLOCK
        yield locked and folder.exists()
    finally:
        os.close(descriptor)
