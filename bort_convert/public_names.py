"""The public names of a package, each imported when it is first used, as PEP 562 has it."""

from __future__ import annotations

import sys
from importlib import import_module

TYPE_CHECKING = False  # what type checkers take for that of `typing`, whose import takes longer than all of this
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def import_on_demand(
    package: str, modules: Mapping[str, str]
) -> tuple[list[str], Callable[[str], object], Callable[[], list[str]]]:
    """Make the names of `__all__`, the function `__getattr__` and the function `__dir__` of a package.

    Args:
        package: its `__name__`.
        modules: module, without the package -> public names that it defines, with spaces between.
    """
    homes = {name: module for module, names in modules.items() for name in names.split()}
    namespace = vars(sys.modules[package])

    def value_of(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value: object = getattr(import_module(f"{package}.{homes[name]}"), name)
        namespace[name] = value  # the next look-up finds it without this function
        return value

    return [*homes], value_of, lambda: sorted({*namespace, *homes})
