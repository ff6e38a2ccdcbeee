"""NumPy, imported when it is first used.

Reading headers, fitting a table and copying bytes compute nothing, and importing NumPy takes longer than all of them.
Modules on that path take `np` from here; modules that always compute import NumPy themselves.
"""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
else:

    class _LazyNumpy(ModuleType):
        """Stand in for NumPy; the first attribute that is asked for imports it."""

        def __getattr__(self, name: str) -> object:
            import numpy  # noqa: ICN001, PLC0415 - the one place that delays it

            return getattr(numpy, name)

    np = _LazyNumpy("numpy")

__all__ = ["np"]
