"""What stands beside a target for a while, under names that tell, and what to do with it when its run was killed.

`.NAME.partial-XXXXXXXXXXXXXXXX` is an output that is being built, or an old one that is being deleted.
`.NAME.replaced-XXXXXXXXXXXXXXXX` is an old directory that makes way for a new one, where a system cannot exchange two
names in one step; it is the only copy of what stood at the target.

A run holds a lock (`flock`) on its directory, and the system lets go of it however the run ends. A directory whose
lock is free is a leftover: a partial one is deleted, a replaced one is put back. Where there are no such locks (on
Windows, on some network file systems) nothing tells the living from the dead, and leftovers wait for a person.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import sys
from typing import TYPE_CHECKING, Final

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PARTIAL: Final = "partial"
REPLACED: Final = "replaced"
_LOG: Final = logging.getLogger(__name__)


def name_beside(path: Path, kind: str) -> Path:
    """A name that nothing has, for something of a kind on its way to or from a path."""
    return path.with_name(f".{path.name}.{kind}-{os.urandom(8).hex()}")


@contextlib.contextmanager
def partial_directory(path: Path) -> Iterator[Path]:
    """An empty directory beside a path, this run's alone while the block runs, and gone after it."""
    while True:
        folder = name_beside(path, PARTIAL)
        # Whatever stops the run from here on, the name is known and what it stands for is deleted.
        try:
            folder.mkdir(0o700)
            with held(folder, claim=True) as ours:
                if ours:  # else another run took it for a leftover before it was locked
                    yield folder
                    return
        finally:
            delete(folder)


def delete(folder: Path) -> None:
    """Delete a directory and all that it holds, as far as the system lets us; one that is not there is fine."""
    with contextlib.suppress(OSError):
        if folder.exists():
            import shutil  # noqa: PLC0415 - mostly there is nothing to delete

            shutil.rmtree(folder, ignore_errors=True)


def clear_leftovers(path: Path) -> None:
    """Delete what killed runs left beside a path, or put it back, and say so; leave alone what a live run holds."""
    pattern = re.compile(rf"{re.escape(f'.{path.name}.')}({PARTIAL}|{REPLACED})-[0-9a-f]{{16}}")
    found = []
    with contextlib.suppress(OSError):  # a parent that is not there yet, or that may be written and not listed
        found = sorted(beside for beside in path.parent.iterdir() if pattern.fullmatch(beside.name))
    for leftover in found:
        with held(leftover, claim=False) as dead:
            if dead and f".{REPLACED}-" in leftover.name:
                _put_back(leftover, path)
            elif dead:
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
def held(folder: Path, *, claim: bool) -> Iterator[bool]:
    """Hold the lock of a directory while the block runs; gives whether that is so, and the directory still there.

    Args:
        folder: the directory.
        claim: it is this run's own: it counts as held where the system has no locks, and must be readable.
    """
    if sys.platform == "win32":
        yield claim
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        if claim and error.errno != errno.ENOENT:
            raise
        yield False
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            locked = True
        except OSError as error:
            locked = claim and error.errno != errno.EWOULDBLOCK
        yield locked and folder.exists()
    finally:
        os.close(descriptor)
