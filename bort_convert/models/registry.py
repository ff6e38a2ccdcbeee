"""Find a model family by name, or as the one whose table fits a checkpoint."""

from __future__ import annotations

import importlib
import pkgutil
from functools import partial
from typing import TYPE_CHECKING

from bort_convert import models
from bort_convert.errors import OptionError
from bort_convert.mapping.fit import Fit, fit
from bort_convert.mapping.selection import Selection

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bort_convert.dtypes import Hyperparameter, TensorSpec
    from bort_convert.mapping.family import Family


def families() -> Mapping[str, Family]:
    """Every model family of this package, by name."""
    names = (module.name for module in pkgutil.iter_modules(models.__path__))
    modules = (f"{models.__name__}.{name}" for name in names if not name.startswith("_") and name != "registry")
    found = (importlib.import_module(module).FAMILY for module in modules)
    return {family.name: family for family in found}


def find_family(name: str) -> Family:
    """The model family of this name.

    Raises:
        OptionError: no family has this name.
    """
    known = families()
    if name not in known:
        raise OptionError("family", name, f"expected one of {', '.join(known)}")
    return known[name]


def fit_source(
    specs: Mapping[str, TensorSpec | None],
    *,
    family: str | None = None,
    variant: str | None = None,
    heads: int | None = None,
    layers: int | None = None,
    gluonnlp_version: str | None = None,
    hyperparameters: Mapping[str, Hyperparameter] | None = None,
    special_token_ids: Mapping[str, int] | None = None,
    prefix: str | None = None,
    ignore: Sequence[str] = (),
    keep_extra: bool = False,
) -> Fit:
    """Find the family and the table that a checkpoint fits, from names, dtypes and shapes alone.

    Args:
        specs: name in the file -> dtype and shape; None for a record without a value.
        family: name of the family, to try no other.
        variant: name of the published size that it must have.
        heads: number of attention heads, for a size that was never published.
        layers: number of layers, for such a size of a model whose layers share their weights.
        gluonnlp_version: gluonnlp version that trained it; see `Family.for_version`.
        hyperparameters: hyperparameters that neither the file nor a published size tells, such as `hidden_act`.
        special_token_ids: `pad_token_id` and the like, by the vocabulary; None for the family's own.
        prefix: place of the model, where several stand in the file.
        ignore: patterns of names of tensors to leave out.
        keep_extra: accept tensors that are not the model's.

    Raises:
        MappingError: no table fits the checkpoint, or it holds other tensors that nobody ignores or keeps.
        OptionError: an argument is wrong, or contradicts the checkpoint.
        VariantError: two families fit, models stand at two places, a hyperparameter is not known, or versions compute
            differently.
    """
    if isinstance(ignore, str):
        raise OptionError("ignore", ignore, "expected a list of patterns")
    candidates = families().values() if family is None else [find_family(family)]
    fit_to = partial(
        fit,
        specs,
        variant=variant,
        heads=heads,
        layers=layers,
        hyperparameters=hyperparameters,
        special_token_ids=special_token_ids,
        selection=Selection(prefix, tuple(ignore), keep_extra),
    )
    fitted = fit_to(candidates)
    return fitted if gluonnlp_version is None else fit_to([fitted.family.for_version(gluonnlp_version)])
