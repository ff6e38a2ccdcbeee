"""Which family's table can have made a directory: found from its tensors' names and shapes, and from config.json.

The way back starts here: the sizes are bound by the targets, and the checkpoint's header follows from the sizes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from bort_convert.dtypes import TensorSpec
from bort_convert.errors import MappingError, VariantError, printable
from bort_convert.mapping.axes import sizes
from bort_convert.mapping.fit import Attempt, Fit, bound, complete, is_published, no_table, variant_of
from bort_convert.mapping.planner import describe, make_plan
from bort_convert.mapping.rows import targets_of
from bort_convert.mapping.source_names import prefixed_names
from bort_convert.mapping.target_names import map_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from bort_convert.mapping.family import Family, Table
    from bort_convert.mapping.plan import Plan
    from bort_convert.mapping.rows import Row, Rows
    from bort_convert.mapping.target_names import NameMap

    Header = Mapping[str, TensorSpec]

_STOCK: Final = {
    "is_decoder": False,
    "add_cross_attention": False,
    "position_embedding_type": "absolute",
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
}
_TIED: Final = "tie_word_embeddings"
_HEADS: Final = "attention_heads"


@dataclass(frozen=True)
class FittedDirectory:
    """A directory, understood.

    Attributes:
        fit: what it is; the plan's targets have the table's names, the backbone's prefix included.
        sources: structural name -> dtype and shape, aliases included.
        name_map: the directory's own names.
        notes: what a checkpoint cannot say of it.
    """

    fit: Fit
    sources: Header
    name_map: NameMap
    notes: tuple[str, ...]


def fit_directory(
    header: Header, config: Mapping[str, Any], families: Iterable[Family], *, table: str = "", prefixed: bool = False
) -> FittedDirectory:
    """Find the table whose targets a directory holds.

    Args:
        header: name in the directory -> dtype and shape.
        config: its config.json.
        families: those to try.
        table: title of the table, where it is known. Else a family's first one that fits is taken.
        prefixed: prefer one that has prefixed names for all of its tensors.

    Raises:
        MappingError: no table fits; it holds the disagreements with the closest one.
        VariantError: tables of two families fit, or what shapes cannot show is not known.
    """
    tried = [
        _try_table(header, config, family, known)
        for family in families
        for known in family.tables
        if table in {"", known.title}
    ]
    fitting = [one for one in tried if not one.attempt.plan.disagreements]
    if not fitting:
        raise no_table([one.attempt for one in tried], "directory")
    fitting = [one for one in fitting if is_published(one.attempt)] or fitting
    if len(names := {one.attempt.family.name: None for one in fitting}) > 1:
        raise VariantError(f"the directory fits more than one family: {', '.join(names)}. Pass --family with one")
    if prefixed:
        fitting = [one for one in fitting if not unprefixed(one.attempt)] or fitting
    chosen, *others = fitting
    attempt = chosen.attempt
    notes = _notes(attempt, config)
    if others:
        titles = " or ".join(f"'{other.attempt.table.title}'" for other in others)
        notes += (f"written as '{attempt.table.title}'; what a directory holds does not tell it from {titles}",)
    name_map = map_names(header, attempt.family.base, attempt.family.aliases)
    fit = complete(attempt, None, _heads(attempt, config)[1])
    fit = replace(fit, plan=bound(attempt.plan, fit.hyperparameters))
    return FittedDirectory(fit, chosen.sources, name_map, notes)


def unprefixed(found: Attempt | Fit) -> list[str]:
    """The structural names of tensors that a table has no prefixed name for, aliases left out."""
    names = [name for step in found.plan.steps for name in step.sources]
    known = prefixed_names(names, found.table.rows, found.family.source_name)
    return [name for name in names if name not in known]


@dataclass(frozen=True)
class _Tried:
    attempt: Attempt
    sources: Header


def _try_table(header: Header, config: Mapping[str, Any], family: Family, table: Table) -> _Tried:
    name_map = map_names(header, family.base, family.aliases)
    targets = {target: header[name] for target, name in name_map.targets.items()}
    mirror = make_plan(targets_of(table.rows), targets)
    if problems := (*name_map.clashes, *mirror.disagreements):
        return _Tried(Attempt(family, table, {}, replace(mirror, disagreements=problems)), {})
    sources, lost = _sources(table.rows, mirror, targets)
    if lost:
        return _Tried(Attempt(family, table, {}, replace(mirror, disagreements=lost)), {})
    plan = make_plan(table.rows, sources)
    problems = tuple(
        f"{printable(targets[spec.name].name)}: found {describe(targets[spec.name])}, expected {describe(spec)}"
        for step in plan.steps
        for spec in step.targets
        if (targets[spec.name].dtype, targets[spec.name].shape) != (spec.dtype, spec.shape)
    )
    attempt = Attempt(family, table, {name: name for name in sources}, plan)
    try:
        problems = (*plan.disagreements, *problems) or tuple(_config_problems(attempt, config))
    except (MappingError, VariantError) as error:
        problems = (str(error),)
    return _Tried(replace(attempt, plan=replace(plan, disagreements=problems)), sources)


def _sources(rows: Rows, mirror: Plan, targets: Header) -> tuple[dict[str, TensorSpec], tuple[str, ...]]:
    """The header of the checkpoint that these targets came from; and what cannot come back, with the reason."""
    found: dict[str, TensorSpec] = {}
    lost: list[str] = []
    chosen = [row for row in rows if not row.group or row.group in mirror.groups]
    for row in sorted(chosen, key=lambda row: bool(row.tied_to)):
        for numbers in _numbers(row, mirror.dims):
            for slot in row.sources:
                name = slot.name.format(**numbers)
                if row.tied_to:
                    found[name] = replace(found[row.tied_to], name=name)
                elif row.op.lossy:
                    lost.append(f"{name}: no directory holds it ({row.why}), and it cannot be made again")
                else:
                    made = row.targets[0].format(**numbers) if row.targets else next(iter(targets))
                    found[name] = TensorSpec(name, targets[made].dtype, sizes(slot.dims, mirror.dims))
    return found, tuple(lost)


def _numbers(row: Row, dims: Mapping[str, int]) -> Iterator[dict[str, int]]:
    """What stands under a row's placeholder, one after the other; nothing, once, where it has none."""
    text = "".join((*(slot.name for slot in row.sources), *row.targets))
    if placeholder := re.search(r"{(\w+)}", text):
        yield from ({placeholder[1]: number} for number in range(dims[f"{placeholder[1]}s"]))
    else:
        yield {}


def _heads(attempt: Attempt, config: Mapping[str, Any]) -> tuple[str, Any]:
    """The config's key for attention heads and its value; "" and None where the size or the shapes say it."""
    keys = [key.name for key in attempt.family.config if key.source == _HEADS]
    if not keys or _HEADS in attempt.plan.dims or variant_of(attempt.family, attempt.plan.dims):
        return "", None
    return keys[0], config.get(keys[0])


def _config_problems(attempt: Attempt, config: Mapping[str, Any]) -> Iterator[str]:
    """What config.json says that the tensors contradict, or GluonNLP's model."""
    family, plan = attempt.family, attempt.plan
    key, heads = _heads(attempt, config)
    if key and not (type(heads) is int and heads > 0 and plan.dims["hidden_size"] % heads == 0):
        yield f"config.json: {key} is {_shown(heads)}, expected a number that divides {plan.dims['hidden_size']}"
        return
    expected = complete(attempt, None, heads).config
    for known in family.config:
        wanted, found = expected[known.name], config.get(known.name)
        if found != wanted and (known.source or known.name == "model_type"):
            by = "the tensors" if known.source in plan.dims else f"GluonNLP's {family.title}, and no tensor shows it"
            yield f"config.json: {known.name} is {_shown(found)}, expected {_shown(wanted)} by {by}"
    for name, stock in _STOCK.items():
        if config.get(name, stock) != stock:
            yield f"config.json: {name} is {_shown(config[name])}, expected {_shown(stock)}: GluonNLP has no such model"
    if plan.aliases and config.get(_TIED, True) is not True:
        yield f"config.json: {_TIED} is {_shown(config[_TIED])}, expected true: GluonNLP has one matrix for both ends"


def _notes(attempt: Attempt, config: Mapping[str, Any]) -> tuple[str, ...]:
    """Keys of config.json that differ from the family's and do not change what the model computes."""
    differing = [
        f"{key.name} {_shown(config[key.name])}"
        for key in attempt.family.config
        if not key.source and key.name != _TIED and config.get(key.name, key.constant) != key.constant
    ]
    return (f"a checkpoint has no place for these of config.json: {', '.join(differing)}",) if differing else ()


def _shown(value: object) -> str:
    return printable(repr(value)) if value is not None else "not there"
