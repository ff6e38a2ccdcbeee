"""Copies on this machine of what stands elsewhere, for as long as a block runs, or a function."""

from __future__ import annotations

import functools
import os
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from bort_convert.errors import ConvertError, FormatError
from bort_convert.files.leftovers import staging
from bort_convert.files.remote import RemotePath, is_remote, place_of
from bort_convert.files.system_errors import reading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import ParamSpec

    from bort_convert.files.remote import Place

    P = ParamSpec("P")
    PathLike = str | os.PathLike[str]

T = TypeVar("T")
INCOMPLETE: Final = "bort_convert.incomplete"
"""Stands in a folder elsewhere while it is written; where it stands without the marker, the folder is not whole."""
_PIECE: Final = 8 << 20
_SMALL: Final = 64 << 20
_PLACES: Final[dict[str, str]] = {}
"""Path of each copy that there is -> what it is a copy of, without credentials."""


@contextmanager
def fetched(place: PathLike, *, marker: str = "") -> Iterator[Path]:
    """Give a path of this machine: itself, or a copy of a file or folder elsewhere, under its own name.

    Errors of ours that pass through name the place, not the copy.

    Args:
        place: a path or a URL.
        marker: the place is a folder, which is whole if this file is in it, or if nobody writes it.

    Raises:
        FormatError: nothing is there, it cannot be fetched, or changes meanwhile; or the folder is not whole.
    """
    source = place_of(place)
    if isinstance(source, Path):
        yield source
        return
    with staging() as folder:
        copy = folder / (source.name or "copy")
        try:
            with reading(source):
                _fetch(source, copy, marker)
            _PLACES[str(copy)] = str(source)
            yield copy
        except ConvertError as error:
            _rename(error, str(copy), str(source))
            raise
        finally:
            _PLACES.pop(str(copy), None)


@contextmanager
def small_files(folder: Place) -> Iterator[Path]:
    """Give a folder of this machine: itself, or a copy of the small files of one elsewhere, without checkpoints."""
    if isinstance(folder, Path):
        yield folder
        return
    with staging() as copy:
        with reading(folder):
            for file in folder.iterdir():
                if file.is_file() and file.suffix != ".params" and (file.identity().size or 0) <= _SMALL:
                    fetch_file(file, copy / file.name)
        yield copy


def on_this_machine(**markers: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Have a function work on copies of what stands elsewhere; see `fetched`.

    Args:
        markers: name of an argument, which is a path, a URL or None -> its marker.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        names = function.__code__.co_varnames[: function.__code__.co_argcount]  # inspect.signature loads much for this

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            given: dict[str, Any] = {**dict(zip(names, args, strict=False)), **kwargs}
            remote = {name: given[name] for name in markers if is_remote(given.get(name) or "")}
            if not remote:
                return function(*args, **kwargs)
            with ExitStack() as stack:
                for name, place in remote.items():
                    given[name] = stack.enter_context(fetched(place, marker=markers[name]))
                return function(**given)  # type: ignore[call-arg] # by their names

        return call

    return decorate


def place_behind(path: PathLike) -> str:
    """What a path is a copy of, or else the path."""
    return _PLACES.get(os.fspath(path), os.fspath(path))


def fetch_file(source: RemotePath, target: Path) -> None:
    """Copy a file to this machine, range by range, so that a broken connection costs no more than one of them.

    Raises:
        FormatError: it changed meanwhile, or the connection breaks again and again.
        OSError: it is not there, or the copy cannot be written.
    """
    from bort_convert.files.remote_file import RemoteFile  # noqa: PLC0415 - it stands on this module's neighbours

    file = RemoteFile(source)
    try:
        buffer = memoryview(bytearray(min(_PIECE, file.size)))
        with target.open("xb") as copy:
            for start in range(0, file.size, _PIECE):
                copy.write(buffer[: file.read_at(buffer, start, end=file.size)])
        file.identity.check(source)
    finally:
        file.close()


def _fetch(source: RemotePath, copy: Path, marker: str) -> None:
    if not marker and not source.is_dir():
        fetch_file(source, copy)
        return
    folder = RemotePath(f"{source.url.rstrip('/')}/")
    names = [file.relative_to(folder) for file in folder.rglob("*")]
    if not names:
        raise FormatError(f"{source}: there is no such folder, or nothing in it")
    if marker and not is_whole({str(name) for name in names}, marker):
        raise FormatError(
            f"{source}: is not whole: its upload was cut off, and {marker}, its last file, is missing. Write it again"
        )
    for name in names:
        if name.is_absolute() or ".." in name.parts:
            raise FormatError(f"{source}: lists {str(name)!r}; expected names inside of it")
        if str(name) != INCOMPLETE:
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            fetch_file(folder / str(name), copy / name)


def is_whole(names: set[str], marker: str) -> bool:
    """True for a folder with its marker, and for one that nobody began to write."""
    return marker in names or INCOMPLETE not in names


def _rename(error: ConvertError, copy: str, place: str) -> None:
    """Put the name of a place into an error in place of its copy's."""
    for owner, name in ((error, "args"), (error, "disagreements")):
        if texts := getattr(owner, name, ()):
            setattr(owner, name, tuple(text.replace(copy, place) if isinstance(text, str) else text for text in texts))
