"""Names that no output takes, and places that no output replaces, whatever they hold."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from bort_convert.errors import OutputError
from bort_convert.files.remote import RemotePath, is_remote

try:
    import pwd

    HAS_USERS = True
except ImportError:  # Windows, a browser
    HAS_USERS = False

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bort_convert.files.remote import Place

    PathLike = str | os.PathLike[str]


def named_place(target: PathLike) -> Place:
    """Give a target as `named_path` does, or elsewhere for a URL."""
    return RemotePath(target) if is_remote(target) else named_path(target)


def named_path(target: PathLike) -> Path:
    """Give a target as a path that ends in a name, which `.` and `..` do not.

    Raises:
        OutputError: the target is an empty text, or relative to a directory that was deleted. `Path("")` is no empty
            text: it is the current directory.
    """
    if not os.fspath(target):
        raise OutputError("the name of the output is empty; expected a path. Is a shell variable not set?")
    path = Path(target)
    if path.name not in {"", ".."}:
        return path
    try:
        return Path(os.path.realpath(path))
    except FileNotFoundError as error:
        raise OutputError(f"{target}: the current directory was deleted. Change to another one") from error


def check_place(target: PathLike) -> None:
    """Refuse to replace a root, a home, the current directory, a directory above one of them, and any without a name.

    Raises:
        OutputError: the target is one of these.
    """
    if is_remote(target):
        return
    path = named_path(target)
    if not path.name:
        raise OutputError(f"{path} is the root of a file system, and is never replaced. Give a name inside it")
    with contextlib.suppress(FileNotFoundError):  # the current directory was deleted
        if verb := _relation(path, Path.cwd()):
            raise OutputError(
                f"{path} {verb} the current directory, and is never replaced. "
                "Go outside of it and give its name, or choose another name"
            )
    for home in _homes(path):
        if verb := _relation(path, home):
            raise OutputError(f"{path} {verb} a home directory, and is never replaced. Give a name inside it")
    if Path(target).name == "..":
        raise OutputError(
            f"{target} ends in '..'; a directory is replaced by its own name alone, {path}. Give that name"
        )


def check_source(path: Path, source: PathLike | None) -> None:
    """Refuse to replace a source, or a directory above it; of a link to a source, the link as well as the file.

    Raises:
        OutputError: the path is the source or holds it.
    """
    if source is not None and any(_relation(path, place) for place in (Path(source), Path(source).parent)):
        raise OutputError(f"{path} holds the source, {source}; expected a place beside it. Choose another name")


def _relation(path: Path, place: Path) -> str:
    """Give "is" if a path is a place, "holds" if it is a directory above, "" if neither or if nothing is there."""
    place = Path(os.path.realpath(place))
    for verb, above in (("is", place), *(("holds", parent) for parent in place.parents)):
        with contextlib.suppress(OSError):
            if path.samefile(above):
                return verb
    return ""


def _homes(path: Path) -> Iterator[Path]:
    """Find the home directory by the environment, and by the users' database those of this user and of the owner."""
    with contextlib.suppress(RuntimeError):  # no home is known
        yield Path.home()
    if HAS_USERS:
        users = {os.getuid()}
        with contextlib.suppress(OSError):  # nothing is there
            users.add(path.stat().st_uid)
        for user in users:
            with contextlib.suppress(KeyError):  # a user without an entry, as in a container
                yield Path(pwd.getpwuid(user).pw_dir or os.sep)
