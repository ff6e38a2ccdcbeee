"""Find a model family by name, or as the one whose table fits a checkpoint.

Families are those of this package, and those that installed packages name as entry points of the group
`bort_convert.models`. What an entry point leads to is a `Family`, or a module with one called `FAMILY`.
"""

from __future__ import annotations

import importlib
import logging
import pkgutil
import re
from functools import cache, partial
from typing import TYPE_CHECKING, Final

from bort_convert import models
from bort_convert.errors import OptionError, printable
from bort_convert.mapping.family import Family
from bort_convert.mapping.fit import Fit, fit
from bort_convert.mapping.from_graph import told_by
from bort_convert.mapping.selection import Selection
from bort_convert.symbol import read_graph

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence
    from importlib.metadata import EntryPoint

    from bort_convert.dtypes import Hyperparameter, TensorSpec
    from bort_convert.mapping.table_file import OwnTable


GROUP: Final = "bort_convert.models"
"""Group of the entry points with which installed packages add families."""
_LOG: Final = logging.getLogger(__name__)
_NAME: Final = re.compile(r"[a-z][a-z0-9_.-]{0,63}")


def families() -> Mapping[str, Family]:
    """Every model family by name: those of this package, then those of installed packages.

    Examples:
        >>> [variant.name for variant in bort_convert.families()["bort"].variants]
        ['bort_4_8_768_1024', 'bort_2_16_512_1024']
    """
    return {**_own_families(), **_installed_families()}


def _own_families() -> dict[str, Family]:
    names = (module.name for module in pkgutil.iter_modules(models.__path__))
    modules = (f"{models.__name__}.{name}" for name in names if not name.startswith("_") and name != "registry")
    found = (importlib.import_module(module).FAMILY for module in modules)
    return {family.name: family for family in found}


@cache
def _installed_families() -> Mapping[str, Family]:
    """Load the families of installed packages, once; one that cannot be used is left out with a warning."""
    from importlib.metadata import entry_points  # noqa: PLC0415 - takes as long to import as a header to be read

    found: dict[str, Family] = {}
    taken = dict.fromkeys(_own_families(), "bort_convert")
    for point in sorted(entry_points(group=GROUP), key=lambda point: (_package(point), point.name)):
        family = _load(point, taken)
        if family is not None:
            found[family.name] = family
            taken[family.name] = _package(point)
    return found


def _load(point: EntryPoint, taken: Mapping[str, str]) -> Family | None:
    """Load a family of an installed package; a warning says why there is none.

    Args:
        point: the entry point.
        taken: name of each known family -> the package that it is from.
    """
    try:
        loaded = point.load()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - code of others can fail in any way
        problem = f"{type(error).__name__}: {error}"
    else:
        family = loaded if isinstance(loaded, Family) else getattr(loaded, "FAMILY", loaded)
        if not (problem := _problem_with(family, taken)):
            return family
    texts = (printable(text) for text in (_package(point), point.name, problem))
    _LOG.warning("package %s: its model family %s is left out: %s", *texts)
    return None


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist else point.value


def _problem_with(family: object, taken: Mapping[str, str]) -> str:
    """What keeps a loaded object from being a family; "" for nothing."""
    if not isinstance(family, Family):
        return f"found {type(family).__name__}, expected a Family or a module with one called FAMILY"
    if not _NAME.fullmatch(family.name):
        return f"its name is {family.name!r}, expected small letters, digits, dots and dashes"
    if family.name in taken:
        return f"the name {family.name} is that of a family of {taken[family.name]}"
    if not family.tables or "model_type" not in {key.name for key in family.config}:
        return "it has no table, or no model_type in its config"
    return ""


def find_family(name: str) -> Family:
    """The model family of this name.

    Raises:
        OptionError: no family has this name.
    """
    family = _own_families().get(name) or _installed_families().get(name)
    if family is None:
        raise OptionError("family", name, f"expected one of {', '.join(families())}")
    return family


def own_table(content: bytes, name: str, family: str | None = None) -> OwnTable:
    """Read a table of the user's own, which extends one of the families.

    Args:
        content: a TOML document.
        name: of the document, for messages.
        family: name of the family that it must extend; None for any.

    Raises:
        OptionError: the table extends another family.
        TableError: the document is no table.
    """
    from bort_convert.mapping.table_file import read_table  # noqa: PLC0415 - few commands need a parser of TOML

    table = read_table(content, families(), name)
    if family not in {None, table.family.name}:
        raise OptionError("family", family, f"{name} extends {table.family.name}. Leave it out")
    return table


def fit_source(
    specs: Mapping[str, TensorSpec | None],
    *,
    family: str | None = None,
    table: str | None = None,
    variant: str | None = None,
    heads: int | None = None,
    layers: int | None = None,
    gluonnlp_version: str | None = None,
    hyperparameters: Mapping[str, Hyperparameter] | None = None,
    special_token_ids: Mapping[str, int] | None = None,
    prefix: str | None = None,
    ignore: Sequence[str] = (),
    keep_extra: bool = False,
    symbol: str | os.PathLike[str] | None = None,
    told: Mapping[str, Hyperparameter] | None = None,
) -> Fit:
    """Find the family and the table that a checkpoint fits, from names, dtypes and shapes alone.

    Args:
        specs: name in the file -> dtype and shape; None for a record without a value.
        family: name of the family, to try no other.
        table: text of a table of the user's own, to try no other; see `mapping.table_file`.
        variant: name of the published size that it must have.
        heads: number of attention heads, for a size that was never published.
        layers: number of layers, for such a size of a model whose layers share their weights.
        gluonnlp_version: gluonnlp version that trained it; see `Family.for_version`.
        hyperparameters: hyperparameters that neither the file nor a published size tells, such as `hidden_act`.
        special_token_ids: `pad_token_id` and the like, by the vocabulary; None for the family's own.
        prefix: place of the model, where several stand in the file.
        ignore: patterns of names of tensors to leave out.
        keep_extra: accept tensors that are not the model's.
        symbol: an exported network, a `-symbol.json`, that tells hyperparameters.
        told: what an exported network told before, in place of `symbol`.

    Raises:
        FormatError: `symbol` is no graph of MXNet.
        MappingError: no table fits the checkpoint, or it holds other tensors that nobody ignores or keeps, or `symbol`
            is the graph of another network.
        OptionError: an argument is wrong, or contradicts the checkpoint.
        VariantError: two families fit, models stand at two places, a hyperparameter is not known, or versions compute
            differently.
    """
    if isinstance(ignore, str):
        raise OptionError("ignore", ignore, "expected a list of patterns")
    candidates = [find_family(family)] if family is not None else list(families().values())
    if table is not None:
        candidates = [own_table(table.encode(), "conversion.json", family).family]
    fit_to = partial(
        fit,
        specs,
        variant=variant,
        heads=heads,
        layers=layers,
        hyperparameters=hyperparameters,
        special_token_ids=special_token_ids,
        selection=Selection(prefix, tuple(ignore), keep_extra),
        told=lambda _candidate: told or {},
    )
    if symbol is not None:
        reader = told_by(
            read_graph(symbol),
            symbol,
            heads=heads,
            hyperparameters=hyperparameters,
            gluonnlp_version=gluonnlp_version,
        )
        fit_to = partial(fit_to, told=reader)
    fitted = fit_to(candidates)
    return fitted if gluonnlp_version is None else fit_to([fitted.family.for_version(gluonnlp_version)])
