"""Work that is counted instead of timed: a count is the same on a slow machine and on a busy one."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

    from typing_extensions import Self


class Calls:
    """The calls of functions, Python's and C's, that this thread makes within a block.

    A test that counts them is marked `long`: mutation testing, which leaves such tests out, calls each function by a
    detour.

    Attributes:
        count: calls so far.
    """

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> Self:
        sys.setprofile(self._notice)
        return self

    def __exit__(self, *_error: object) -> None:
        sys.setprofile(None)

    def _notice(self, _frame: FrameType, event: str, _argument: object) -> None:
        self.count += event in {"call", "c_call"}
