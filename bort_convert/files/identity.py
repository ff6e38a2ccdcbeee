"""Whether a file is still the one that was opened: what the system says of it, then and now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bort_convert.errors import FormatError

if TYPE_CHECKING:
    import os
    from pathlib import Path


@dataclass(frozen=True)
class Identity:
    """A file as the system tells it from others, and from itself before someone wrote to it.

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
        """The identity of a file whose status is known."""
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)

    def check(self, path: Path) -> None:
        """Look at what stands at `path` now.

        Raises:
            FormatError: another file, none, or the same with another size or time.
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
            what = "another file took its place"
        elif now.size != self.size:
            what = f"it had {self.size:,} bytes and has {now.size:,} now"
        else:
            what = "something wrote to it"
        raise FormatError(f"{path}: changed while it was read: {what}. Try again when nothing writes to it")
