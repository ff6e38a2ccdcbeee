"""NumPy, imported when it is first used; where there is none, what moves values without it.

Reading headers, fitting a table and copying bytes compute nothing. Importing NumPy takes longer than all of that, and
some interpreters have none (a browser). Modules on that path take `np` from here; modules that always compute import
NumPy themselves.
"""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

from bort_convert import plain_array
from bort_convert.errors import BackendError

if TYPE_CHECKING:
    import numpy as np
else:

    class _LazyNumpy(ModuleType):
        """Stand in for NumPy; import it when an attribute is first asked for."""

        def __getattr__(self, name: str) -> object:
            try:
                import numpy  # noqa: ICN001, PLC0415 - the one place that delays it
            except ImportError as error:
                if name in plain_array.__all__:
                    return getattr(plain_array, name)
                raise BackendError(f"computing with values needs NumPy ({error}): pip install numpy") from error
            return getattr(numpy, name)

    np = _LazyNumpy("numpy")

__all__ = ["np"]
