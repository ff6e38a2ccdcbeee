"""Tell if a file is still the one that was opened: by its number, size and time; elsewhere by what the server tells."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from bort_convert.errors import FormatError

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from pathlib import Path

    from bort_convert.files.remote import RemotePath


@dataclass(frozen=True)
class Identity:
    """Values by which the system tells a file from others, and from itself before it was written to.

    Attributes:
        device: number of the file system.
        inode: number of the file there.
        size: bytes.
        modified: time of the last change, in nanoseconds; its steps may be some milliseconds.
    """

    device: int
    inode: int
    size: int
    modified: int

    @classmethod
    def of(cls, status: os.stat_result) -> Identity:
        """Take the identity from a file's status."""
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)

    def check(self, path: Path) -> None:
        """Compare with the file at `path` now.

        Raises:
            FormatError: the file is gone, was replaced, or has another size or time.
        """
        try:
            now = self.of(path.stat())
        except OSError as error:
            raise FormatError(
                f"{path}: is gone since it was opened ({error.strerror or error}); expected it to stay until the end. "
                "Try again"
            ) from error
        if now == self:
            return
        if (now.device, now.inode) != (self.device, self.inode):
            change = "another file took its place"
        elif now.size != self.size:
            change = f"it had {self.size:,} bytes and has {now.size:,} now"
        else:
            change = "something wrote to it"
        raise changed(path, change)


_MARKS: Final = {
    "etag": ("ETag", "etag"),
    "version": ("VersionId", "version_id", "generation"),
    "digest": ("blob_id", "oid", "md5Hash", "md5", "Content-MD5", "checksum"),
    "modified": ("LastModified", "Last-Modified", "last_modified", "updated", "mtime"),
}
"""Our name of each mark -> the names that filesystems of fsspec have for it."""


@dataclass(frozen=True)
class RemoteIdentity:
    """Values by which a server tells an object from others, and from itself before it was written to.

    Attributes:
        size: bytes; None where the server does not tell.
        marks: `etag`, `version`, `digest` and `modified`, those that the server tells.
        details: all that fsspec told.
    """

    size: int | None
    marks: Mapping[str, str]
    details: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(cls, details: Mapping[str, Any]) -> RemoteIdentity:
        """Take the identity from what fsspec tells of an object."""
        found = {
            mark: str(next(details[name] for name in names if details.get(name)))
            for mark, names in _MARKS.items()
            if any(details.get(name) for name in names)
        }
        return cls(details.get("size"), found, details)

    @property
    def lasting(self) -> dict[str, str]:
        """Marks that stay while the content does; the time alone where there is no other."""
        return {name: value for name, value in self.marks.items() if name != "modified"} or dict(self.marks)

    def check(self, path: RemotePath) -> None:
        """Ask the server again.

        Raises:
            FormatError: the object is gone, was replaced or written to, or nobody answers.
        """
        try:
            now = path.identity(anew=True)
        except OSError as error:
            raise FormatError(
                f"{path}: cannot be asked for again ({error.strerror or error}); expected it to stay until the end. "
                "Try again"
            ) from error
        if now != self:
            raise changed(path, self._difference(now))

    def _difference(self, now: RemoteIdentity) -> str:
        if now.size != self.size:
            return f"it had {self.size:,} bytes and has {now.size:,} now"
        names = [name for name in _MARKS if self.marks.get(name) != now.marks.get(name)]
        return f"another {' and '.join(names)}"


def changed(path: object, change: str) -> FormatError:
    """The error for a file that changed while it was read."""
    return FormatError(f"{path}: changed while it was read: {change}. Try again when nothing writes to it")
