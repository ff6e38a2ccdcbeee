"""Files and folders elsewhere, by URL: fsspec behind those methods of `pathlib.Path` that this package calls.

Which protocols there are, and how each finds its credentials, is fsspec's business. Nothing of it is read here, kept or
printed: a URL is shown without the user and the query that may be in it. See `docs/decisions/0045-remote.md`.
"""

from __future__ import annotations

import errno
import fnmatch
import os
import re
import time
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final, TypeVar

from bort_convert.errors import BackendError, FormatError, install_hint
from bort_convert.files.identity import RemoteIdentity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeAlias

    Place: TypeAlias = "Path | RemotePath"
    T = TypeVar("T")

PAUSES: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 4.0)
"""Seconds before each new attempt, of which up to half is left to chance: so many clients do not come back at once."""
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]+(?:://|::)")
_USER: Final = re.compile(r"(?<=://)[^/@\s]*@")
_QUERY: Final = re.compile(r"(?<=[^\s?])\?[^\s'\")>\]]+")
_FINAL: Final = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, FileExistsError)
_FAULTS_OF_OURS: Final = (ImportError, NotImplementedError, TypeError, ValueError)
_ANSWERS_TO_REPEAT: Final = {408, 425, 429}
_LONGEST_REASON: Final = 300
WEB: Final = {"http", "https"}
"""Protocols of web servers."""
_WITH_FOLDERS: Final = {"file", "local", "memory", "sftp", "ssh", "ftp", "smb", "hdfs", "webhdfs", "arrow_hdfs"}
"""Protocols whose folders must be made. Elsewhere a name with a slash is a name, and a folder might become a bucket."""


def is_remote(place: str | os.PathLike[str]) -> bool:
    """True for a URL such as `s3://bucket/bort.params`."""
    return bool(_SCHEME.match(os.fspath(place)))


def place_of(place: str | os.PathLike[str]) -> Place:
    """Give a path of this machine, or of elsewhere for a URL."""
    if isinstance(place, RemotePath):  # it knows the file's identity
        return place
    return RemotePath(os.fspath(place)) if is_remote(place) else Path(place)


def beside(folder: Place, name: str) -> Place:
    """What a name means that is written in a file of a folder: a URL, a whole path, or a path from there."""
    if is_remote(name):
        return RemotePath(name)
    if isinstance(folder, Path) or os.path.isabs(name):  # noqa: PTH117 - a text
        return Path(folder, name) if isinstance(folder, Path) else Path(name)
    for part in PurePosixPath(name).parts:  # a store takes `..` for a name
        folder = folder.parent if part == ".." else folder / part
    return folder


def read_start(place: Place, count: int) -> bytes:
    """Read the first bytes of a file, here or elsewhere.

    Raises:
        OSError: it cannot be read.
    """
    if isinstance(place, Path):
        with place.open("rb") as file:
            return file.read(count)
    return place.read_start(count)


def redacted(text: str) -> str:
    """A text without the users and queries of URLs in it, which may be credentials."""
    return _QUERY.sub("?...", _USER.sub("...@", text)) if "://" in text else text


class RemotePath(os.PathLike[str]):
    """A file or a folder elsewhere.

    `os.fspath` gives the URL whole. `str`, which messages show, gives it without a user and a query.

    Attributes:
        url: the URL.
    """

    def __init__(self, url: str | os.PathLike[str]) -> None:
        self.url = os.fspath(url)
        self._identity: RemoteIdentity | None = None
        self._base, self._query = self.url, ""
        if self.scheme in WEB:
            self._base, mark, query = self.url.partition("?")
            self._query = mark + query

    def __fspath__(self) -> str:
        return self.url

    def __str__(self) -> str:
        return redacted(self.url)

    def __repr__(self) -> str:
        return f"RemotePath({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemotePath) and self.url == other.url

    def __lt__(self, other: RemotePath) -> bool:
        return self.url < other.url

    def __hash__(self) -> int:
        return hash(self.url)

    def __reduce__(self) -> tuple[type[RemotePath], tuple[str]]:
        return type(self), (self.url,)

    def __truediv__(self, name: str) -> RemotePath:
        return self._with_base(f"{self._base.rstrip('/')}/{name}")

    @property
    def scheme(self) -> str:
        """The protocol: `s3`, `https`."""
        return re.split("::|://", self.url, maxsplit=1)[0].lower()

    @property
    def name(self) -> str:
        """The last part, without a query; "" where there is but a host or a bucket."""
        _, _, path = self._base.rstrip("/").rpartition("://")
        return path.rpartition("/")[2] if "/" in path else ""

    @property
    def stem(self) -> str:
        """The name without its last ending."""
        return PurePosixPath(self.name).stem

    @property
    def suffix(self) -> str:
        """The last ending of the name."""
        return PurePosixPath(self.name).suffix

    @property
    def parent(self) -> RemotePath:
        """The folder; of a host or a bucket, itself."""
        return self._with_base(self._base.rstrip("/")[: -len(self.name) - 1]) if self.name else self

    @property
    def parents(self) -> tuple[RemotePath, ...]:
        """All folders above."""
        return (self.parent, *self.parent.parents) if self.name else ()

    def with_suffix(self, suffix: str) -> RemotePath:
        """The same name with another ending."""
        return self._with_base(f"{self._base.rstrip('/')[: -len(self.name)]}{self.stem}{suffix}")

    def exists(self) -> bool:
        """True if something is there."""
        return self._kind() != ""

    def is_file(self) -> bool:
        """True if a file is there."""
        return self._kind() == "file"

    def is_dir(self) -> bool:
        """True if a folder is there; of a web server, if the URL ends with a slash."""
        if self.scheme in WEB:
            return self._base.endswith("/")
        return self._kind() == "directory"

    def identity(self, *, anew: bool = False) -> RemoteIdentity:
        """Size and marks of a file, as the server told them this path at first; `anew` asks it again.

        Raises:
            OSError: there is none, or it cannot be asked.
        """
        if anew or self._identity is None:
            details = self.ask("info", anew=True)
            if details.get("type") == "directory":
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(self))
            self._identity = RemoteIdentity.of(details)
        return self._identity

    def read_bytes(self) -> bytes:
        """Read a small file."""
        return bytes(self.ask("cat_file"))

    def read_start(self, count: int) -> bytes:
        """Read the first bytes of a file."""
        return bytes(self.ask("cat_file", start=0, end=count))

    def iterdir(self) -> Iterator[RemotePath]:
        """List a folder, in no order."""
        for path in self.ask("ls", anew=True, detail=False):
            found = self._listed(path)
            if found.url.rstrip("/") != self.url.rstrip("/"):
                yield found

    def glob(self, pattern: str) -> Iterator[RemotePath]:
        """Files of this folder whose names match a pattern; none where a web server lists nothing."""
        try:
            return (found for found in list(self.iterdir()) if fnmatch.fnmatchcase(found.name, pattern))
        except OSError:
            if self.scheme not in WEB:
                raise
            return iter(())

    def rglob(self, pattern: str) -> Iterator[RemotePath]:
        """Files of this folder, at any depth, whose names match a pattern."""
        found = (self._listed(path) for path in self.ask("find", anew=True))
        return (file for file in found if fnmatch.fnmatchcase(file.name, pattern))

    def names(self) -> set[str]:
        """Names of what stands in this folder; none if there is no such folder."""
        try:
            return {entry.name for entry in self.iterdir()}
        except FileNotFoundError:
            return set()

    def expanded(self) -> Iterator[RemotePath]:
        """Files that match this URL, a pattern."""
        return (self._listed(path) for path in self.ask("glob", anew=True) if not path.endswith("/"))

    def relative_to(self, folder: RemotePath) -> PurePosixPath:
        """The path from a folder above to here."""
        return PurePosixPath(self._base.removeprefix(folder._base.rstrip("/")).lstrip("/"))

    def download(self, target: Path) -> None:
        """Copy a file to this machine."""
        self.ask("get_file", os.fspath(target))

    def upload(self, source: Path, sent: Callable[[int], object] = lambda _bytes: None) -> None:
        """Put a file here, in place of any that is here: one object, which a store shows whole or not at all.

        Args:
            source: the file.
            sent: called with the bytes sent so far, as often as the filesystem tells them, and at the end.

        Raises:
            OSError: the protocol writes nothing, or the server does not take the file whole.
        """
        if self.scheme in WEB:
            problem = "a web server takes no files; give a store such as s3://"
            raise OSError(errno.EROFS, problem, str(self))
        if self.scheme in _WITH_FOLDERS:
            self.parent.ask("makedirs", exist_ok=True)
            partial = self._with_base(f"{self._base}.partial-{os.urandom(8).hex()}")
            partial.ask("put_file", os.fspath(source), before_path=True, callback=_counting(sent))
            partial.ask("mv", self.filesystem()[1])
        else:
            self.ask("put_file", os.fspath(source), before_path=True, callback=_counting(sent))
        size = self.identity(anew=True).size
        if size != source.stat().st_size:
            raise OSError(errno.EIO, f"{size:,} bytes arrived of {source.stat().st_size:,}", str(self))
        sent(size)

    def unlink(self) -> None:
        """Delete a file; it is no error if there is none."""
        with _absent_is_fine():
            self.ask("rm_file")

    def ask(self, method: str, *words: object, anew: bool = False, before_path: bool = False, **options: Any) -> Any:  # noqa: ANN401 - fsspec has no types
        """Call a method of the filesystem with this path, as often as it takes.

        Args:
            method: its name in fsspec.
            words: other arguments.
            anew: forget what was listed before.
            before_path: the other arguments come in front of the path.
            options: keywords.

        Raises:
            OSError: the last failure; its text holds no credential.
            BackendError: fsspec, or the package that knows the protocol, is missing.
        """
        system, path = self.filesystem()
        if anew:
            system.invalidate_cache()
        arguments = (*words, path) if before_path else (path, *words)
        return tried(lambda: getattr(system, method)(*arguments, **options), str(self), pauses_of(system))

    def filesystem(self) -> tuple[Any, str]:
        """The filesystem of fsspec, and the path in it.

        Raises:
            BackendError: fsspec, or the package that knows the protocol, is missing.
            FormatError: nobody knows the protocol.
        """
        try:
            from fsspec.core import url_to_fs  # noqa: PLC0415 - only for what is elsewhere

            system, path = url_to_fs(self.url)
        except ImportError as error:
            raise BackendError(f"{self}: needs a package: {error}. {install_hint('remote')}") from error
        except ValueError as error:
            raise FormatError(f"{self}: {redacted(str(error))}; expected a protocol that fsspec knows") from error
        return system, path

    def _kind(self) -> str:
        """Tell what is there: "file", "directory", or "" for nothing."""
        try:
            return str(self.ask("info", anew=True).get("type", "file"))
        except (FileNotFoundError, NotADirectoryError):
            return ""

    def _listed(self, path: str) -> RemotePath:
        system, _ = self.filesystem()
        return RemotePath(f"{path if _SCHEME.match(path) else system.unstrip_protocol(path)}{self._query}")

    def _with_base(self, base: str) -> RemotePath:
        return RemotePath(base + self._query)


def pauses_of(system: object) -> tuple[float, ...]:
    """Pauses between attempts: none for a filesystem that makes its own, as those of S3 and Google do."""
    return () if hasattr(system, "retries") else PAUSES


def tried(call: Callable[[], T], label: str, pauses: tuple[float, ...]) -> T:
    """Call until it works, an answer is final, or the pauses are over.

    Raises:
        OSError: the last failure; its text holds no credential.
    """
    for pause in (*pauses, None):
        try:
            return call()
        except Exception as error:  # noqa: BLE001 - each filesystem has errors of its own
            failure = as_os_error(error, label)
            if pause is None or is_final(error):
                raise failure from None
        wait(pause)
    raise AssertionError


def wait(pause: float) -> None:
    """Sleep for a pause, up to half of which is left to chance."""
    time.sleep(pause * (1 + os.urandom(1)[0] / 255) / 2)


def is_final(error: Exception) -> bool:
    """True for an answer that another attempt does not change."""
    status = getattr(error, "status", None)
    if isinstance(status, int) and 400 <= status < 500:  # noqa: PLR2004 - the client's errors in HTTP
        return status not in _ANSWERS_TO_REPEAT
    return isinstance(error, (*_FINAL, *_FAULTS_OF_OURS)) or "Credential" in type(error).__name__


def as_os_error(error: Exception, label: str) -> OSError:
    """An error of any filesystem as one of the system, with the label for a name."""
    status = getattr(error, "status", None)
    code = error.errno if isinstance(error, OSError) and error.errno else errno.EIO
    if isinstance(error, FileNotFoundError) or status in {404, 410}:
        return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), label)
    if status in {401, 403}:
        return PermissionError(errno.EACCES, f"the server answered {status}", label)
    if isinstance(status, int) and status:
        return OSError(code, f"the server answered {status}", label)
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    clear = 0 < len(reason) < _LONGEST_REASON and "<" not in reason  # some are the text of an object
    return OSError(code, redacted(reason) if clear else type(error).__name__, label)


def _counting(sent: Callable[[int], object]) -> Any:  # noqa: ANN401 - fsspec has no types
    """What fsspec tells of an upload, as a count of bytes; after a break it counts on, but never beyond the file."""
    from fsspec.callbacks import Callback  # noqa: PLC0415 - only for what is elsewhere

    return Callback(hooks={"sent": lambda size, value, **_more: sent(min(value, size or 0))})


@contextmanager
def _absent_is_fine() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        return
