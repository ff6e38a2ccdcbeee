"""Find a model family: by name, or as the one whose table fits an open checkpoint."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

from bort_convert import models
from bort_convert.errors import VariantError
from bort_convert.mapping.fit import Fit, fit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bort_convert.dtypes import TensorSpec
    from bort_convert.mapping.family import Family


def families() -> Mapping[str, Family]:
    """Every model family that this package can convert, by name."""
    modules = (module.name for module in pkgutil.iter_modules(models.__path__))
    names = (f"{models.__name__}.{name}" for name in modules if not name.startswith("_") and name != "registry")
    found = (importlib.import_module(name).FAMILY for name in names)
    return {family.name: family for family in found}


def fit_source(
    header: Mapping[str, TensorSpec | None],
    *,
    family: str | None = None,
    variant: str | None = None,
    heads: int | None = None,
    gluonnlp_version: str | None = None,
) -> Fit:
    """Recognise a checkpoint by its header: family, sizes, plan and target config. No value is read.

    Raises:
        MappingError: no table fits the file.
        VariantError: what shapes cannot show is not known, or what was given contradicts the file.
    """
    known = families()
    if family is not None and family not in known:
        raise VariantError(f"no family is called {family!r}; known are {', '.join(known)}")
    found = fit(header, [known[family]] if family else known.values(), variant=variant, heads=heads)
    return (
        found
        if gluonnlp_version is None
        else fit(header, [found.family.for_version(gluonnlp_version)], variant=variant, heads=heads)
    )
