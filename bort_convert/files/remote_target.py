"""Write outputs elsewhere that count as whole or not at all: built on this machine, then uploaded, the marker last.

A store cannot rename a folder. So a reader tells by the marker, a file of the output itself, if a folder is whole; and
while an upload goes on, and where one was cut off, a file `bort_convert.incomplete` lists what belongs to it. See
`docs/decisions/0045-remote.md`.
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

from bort_convert.errors import OutputError
from bort_convert.files.fetched import INCOMPLETE
from bort_convert.files.leftovers import staging
from bort_convert.files.remote import WEB

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bort_convert.files.remote import Place, RemotePath


@contextlib.contextmanager
def remote_directory(
    target: RemotePath,
    *,
    marker: str,
    force: bool,
    reason_to_keep: Callable[[Place], str],
    progress: Callable[[int, int], None],
) -> Iterator[Path]:
    """Give an empty directory to fill; when the block ends without an error, its files are put to `target`.

    `progress` is called with the bytes that were sent so far and those of all files.

    Raises:
        OutputError: something else stands at `target`.
        OSError: the store refuses to take it.
    """
    _check_directory(target, marker, force=force, reason_to_keep=reason_to_keep)
    with staging() as folder:
        yield folder
        _check_directory(target, marker, force=force, reason_to_keep=reason_to_keep)
        _put_directory(folder, target, marker, progress)


@contextlib.contextmanager
def remote_file(
    target: RemotePath, *, force: bool, reason_to_keep: Callable[[Place], str], progress: Callable[[int, int], None]
) -> Iterator[Path]:
    """Give the name of a file to write; when the block ends without an error, it is put to `target`, one object.

    `progress` is called with the bytes that were sent so far and those of the file.

    Raises:
        OutputError: something stands at `target` already, or around it.
        OSError: the store refuses to take it.
    """
    _check_file(target, force=force, reason_to_keep=reason_to_keep)
    with staging() as folder:
        yield folder / target.name
        _check_file(target, force=force, reason_to_keep=reason_to_keep)
        size = (folder / target.name).stat().st_size
        target.upload(folder / target.name, lambda sent: progress(sent, size))


def _check_directory(target: RemotePath, marker: str, *, force: bool, reason_to_keep: Callable[[Place], str]) -> None:
    if not target.name:
        raise OutputError(f"{target} has no name in its store. Give a name inside it")
    if target.scheme in WEB:
        raise OutputError(f"{target}: a web server takes no files; expected a store such as s3://, or a path")
    names = target.names()
    if not names or _is_cut_off(target, names, marker):
        return
    if not force:
        raise OutputError(f"{target} is not empty; expected nothing there. Pass `force=True` to replace it")
    if reason := reason_to_keep(target):
        raise OutputError(f"{target} {reason}")


def _is_cut_off(folder: RemotePath, names: set[str], marker: str) -> bool:
    """True for what an upload left that was cut off, and nothing else."""
    if marker in names or INCOMPLETE not in names:
        return False
    try:
        listed: Any = json.loads((folder / INCOMPLETE).read_bytes())["files"]
    except (ValueError, KeyError, TypeError):
        return False
    return names <= {INCOMPLETE, *listed}


def _check_file(target: RemotePath, *, force: bool, reason_to_keep: Callable[[Place], str]) -> None:
    if not target.name:
        raise OutputError(f"{target} has no name in its store. Give a name inside it")
    if not force and target.exists():
        raise OutputError(f"{target} is there already; expected nothing. Pass `force=True` to replace it")
    if reason := reason_to_keep(target):
        raise OutputError(f"{target} {reason}")


def _put_directory(folder: Path, target: RemotePath, marker: str, progress: Callable[[int, int], None]) -> None:
    """Upload all files of a directory: first the list of them, last the marker."""
    old = target.names()
    new = sorted(path.name for path in folder.iterdir())
    sizes = {name: (folder / name).stat().st_size for name in new}
    done, total = 0, sum(sizes.values())

    def put(name: str) -> None:
        nonlocal done
        (target / name).upload(folder / name, lambda sent: progress(done + sent, total))
        done += sizes[name]

    listed = folder / INCOMPLETE
    listed.write_text(json.dumps({"files": sorted({*new, *old} - {INCOMPLETE}), "last": marker}) + "\n", "utf-8")
    (target / INCOMPLETE).upload(listed)
    if marker in old:
        (target / marker).unlink()
    for name in new:
        if name != marker:
            put(name)
    for name in old - {*new, INCOMPLETE}:
        (target / name).unlink()
    if marker in new:
        put(marker)
    (target / INCOMPLETE).unlink()
