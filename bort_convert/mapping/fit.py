"""Which family a file belongs to, and what it is then: sizes, hyperparameters, the plan and the target config.

A file belongs to the only table that it does not disagree with. What shapes cannot show comes from the variant whose
sizes these are, or has to be given; it is never guessed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from bort_convert.errors import MappingError, VariantError
from bort_convert.mapping.planner import make_plan
from bort_convert.mapping.source_names import structural_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bort_convert.dtypes import TensorSpec
    from bort_convert.mapping.family import Family, Hyperparameter, Table, Variant
    from bort_convert.mapping.plan import Plan


@dataclass(frozen=True)
class Fit:
    """A file, understood.

    Attributes:
        variant: name of the published size, "" for any other.
        hyperparameters: what shapes cannot show, complete.
        names: structural name -> name in the file.
        architecture: the target class.
    """

    family: Family
    table: Table
    variant: str
    hyperparameters: Mapping[str, Hyperparameter]
    names: Mapping[str, str]
    architecture: str
    plan: Plan = field(repr=False)

    @property
    def config(self) -> dict[str, object]:
        """What the target model's config.json says of every such file: sizes, hyperparameters and constants."""
        values = {**self.hyperparameters, **self.plan.dims}
        config: dict[str, object] = {"architectures": [self.architecture]}
        config |= {key.name: key.value(values) for key in self.family.config}
        return config


def fit(
    header: Mapping[str, TensorSpec | None],
    families: Iterable[Family],
    *,
    variant: str | None = None,
    heads: int | None = None,
) -> Fit:
    """Find the table that a file fits, and what shapes cannot show.

    Args:
        header: name in the file -> dtype and shape; None for a record without a value.
        families: those to try.
        variant: insist on this published size.
        heads: attention heads, for a size that was never published.

    Raises:
        MappingError: no table fits; it holds the disagreements with the closest one.
        VariantError: a table fits, and what shapes cannot show is not known or contradicts what was given.
    """
    tried = [_try_table(header, family, table) for family in families for table in family.tables]
    fitting = [attempt for attempt in tried if not attempt.plan.disagreements]
    if not fitting:
        raise no_table(tried, "file")
    fitting = [attempt for attempt in fitting if is_published(attempt, variant)] or fitting
    results = [_complete_or_error(attempt, variant, heads) for attempt in fitting]
    complete = [result for result in results if isinstance(result, Fit)]
    if len(complete) > 1 or (len(fitting) > 1 and not complete):
        names = ", ".join(found.family.name for found in complete or fitting)
        missing = "" if complete else ", and --heads N"
        raise VariantError(
            f"names and sizes fit more than one family: {names}. Pass --family with one of them{missing}"
        )
    if not complete:
        raise next(result for result in results if isinstance(result, VariantError))
    return complete[0]


@dataclass(frozen=True)
class Attempt:
    """A table tried on a file: `plan.disagreements` says whether it fits.

    Attributes:
        names: structural name -> name in the file.
    """

    family: Family
    table: Table
    names: Mapping[str, str]
    plan: Plan


def _try_table(header: Mapping[str, TensorSpec | None], family: Family, table: Table) -> Attempt:
    names, clashes = structural_names(header, table.rows)
    plan = make_plan(table.rows, {name: header[found] for name, found in names.items()})
    return Attempt(family, table, names, replace(plan, disagreements=(*clashes, *plan.disagreements)))


def no_table(tried: Sequence[Attempt], what: str) -> MappingError:
    """The error that no table fits: the disagreements with the one that has the fewest."""
    closest = min(tried, key=lambda attempt: len(attempt.plan.disagreements))
    count = len(closest.plan.disagreements)
    return MappingError(
        f"no family fits this {what}; the closest is {closest.family.name} ({closest.table.title}), with {count:,} "
        f"disagreement{'s' * (count != 1)}:",
        closest.plan.disagreements,
    )


def _complete_or_error(attempt: Attempt, variant: str | None, heads: int | None) -> Fit | VariantError:
    try:
        return complete(attempt, variant, heads)
    except VariantError as error:
        return error


def complete(attempt: Attempt, variant: str | None, heads: int | None) -> Fit:
    """Add the hyperparameters; drop the backbone's prefix where the backbone is all there is.

    Args:
        attempt: one that fits.
        variant: see `fit`.
        heads: see `fit`.

    Raises:
        MappingError: no target class has a place for the optional groups together.
        VariantError: what shapes cannot show is not known or contradicts what was given.
    """
    family, plan = attempt.family, attempt.plan
    found = variant_of(family, plan.dims, variant)
    hyperparameters = dict(family.hyperparameters) | (dict(found.hyperparameters) if found else {})
    if heads is not None and _checked_heads(heads, plan.dims, found) != plan.dims.get("attention_heads"):
        hyperparameters["attention_heads"] = heads
    if missing := [key.source for key in family.config if key.source not in {"", *hyperparameters, *plan.dims}]:
        sizes = " ".join(f"{name}={size}" for name, size in plan.dims.items())
        published = ", ".join(known.name for known in family.variants)
        raise VariantError(
            f"{sizes} match no published {family.title} ({published}); {', '.join(missing)} cannot be read "
            f"from shapes. {' '.join(f'Pass --{name} N' for name in missing)}"
        )
    architecture = attempt.table.architecture(plan.groups)
    plan = bound(plan, hyperparameters)
    if architecture == family.base_class:
        plan = plan.without_prefix(family.base)
    return Fit(family, attempt.table, found.name if found else "", hyperparameters, attempt.names, architecture, plan)


def bound(plan: Plan, hyperparameters: Mapping[str, Hyperparameter]) -> Plan:
    """A plan whose operations know the sizes that no shape shows, such as the number of heads."""
    return plan.bind({name: value for name, value in hyperparameters.items() if type(value) is int})


def is_published(attempt: Attempt, variant: str | None = None) -> bool:
    """Whether the wanted variant is one of this family; where none is wanted, whether the sizes are one's."""
    known = attempt.family.variants
    if variant is not None:
        return variant in {one.name for one in known}
    return any(one.dims.items() <= attempt.plan.dims.items() for one in known)


def variant_of(family: Family, dims: Mapping[str, int], wanted: str | None = None) -> Variant | None:
    """The published size that these dims are, if any; the wanted one, or an error that says what differs."""
    matching = (known for known in family.variants if known.dims.items() <= dims.items())
    if wanted is None:
        return next(matching, None)
    by_name = {known.name: known for known in family.variants}
    if wanted not in by_name:
        raise VariantError(f"no variant of {family.name} is called {wanted!r}; known are {', '.join(by_name)}")
    differing = [
        f"{name} is {dims.get(name)}, expected {size}"
        for name, size in by_name[wanted].dims.items()
        if dims.get(name) != size
    ]
    if differing:
        raise VariantError(f"the file is no {wanted}: {'; '.join(differing)}")
    return by_name[wanted]


def _checked_heads(heads: int, dims: Mapping[str, int], variant: Variant | None) -> int:
    if variant and variant.hyperparameters.get("attention_heads", heads) != heads:
        raise VariantError(
            f"{variant.name} has {variant.hyperparameters['attention_heads']} attention heads; --heads {heads} contradicts it. "
            "Leave --heads out"
        )
    if dims.get("attention_heads", heads) != heads:
        raise VariantError(
            f"by their shapes, the tensors are of {dims['attention_heads']} attention heads; --heads {heads} contradicts them. "
            "Leave --heads out"
        )
    if heads < 1 or dims["hidden_size"] % heads:
        raise VariantError(f"--heads {heads} does not divide the hidden size, units={dims['hidden_size']}")
    return heads
