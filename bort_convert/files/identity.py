"""Tell if a file is still the one that was opened, by its number, size and time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bort_convert.errors import FormatError

if TYPE_CHECKING:
    import os
    from pathlib import Path


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
        raise FormatError(f"{path}: changed while it was read: {change}. Try again when nothing writes to it")
