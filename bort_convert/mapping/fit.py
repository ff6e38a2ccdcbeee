"""Fit a checkpoint: find the one table that it does not disagree with, and with it family, plan and target config.

Names, dtypes and shapes suffice. A hyperparameter that no shape shows comes from the published size, or has to be
given; it is never guessed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import prod
from typing import TYPE_CHECKING, Final

from bort_convert.errors import MappingError, OptionError, VariantError
from bort_convert.mapping.candidates import known_tables, published_first, several_families
from bort_convert.mapping.family import (
    GLUONNLP_1,
    HEADS,
    LAYERS,
    MASKED_LM_CLASSES,
    SPECIAL_TOKEN_IDS,
    UNSEEN_SIZES,
)
from bort_convert.mapping.given import Given
from bort_convert.mapping.selection import WHOLE, Selection, select
from bort_convert.mapping.source_names import any_of, placeholder_pattern

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from bort_convert.dtypes import Hyperparameter, TensorSpec
    from bort_convert.mapping.candidates import Candidate
    from bort_convert.mapping.family import Family, Table, Variant
    from bort_convert.mapping.original_config import OriginalConfig
    from bort_convert.mapping.plan import Plan

MAX_INITIALISED: Final = 1 << 26
"""Values that a table may make from nothing."""
_SPLIT_BY_HEADS: Final = ("hidden_size", "inner_size")
_PROSE: Final = {HEADS: "attention heads", LAYERS: "layers"}


@dataclass(frozen=True)
class Fit:
    """A checkpoint and the table that it fits.

    Attributes:
        family: its family.
        table: the table.
        variant: name of the published size, "" for any other size or another vocabulary.
        sizes_of: name of the published size that it has but for the vocabulary, "" for none.
        hyperparameters: the complete hyperparameters, special token ids among them.
        assumed: names of those that the file does not tell, that no published size fixes and nobody gave.
        names: structural name -> name in the file, of the model's tensors.
        architecture: the target class.
        plan: every tensor's way to the target model.
        prefix: what precedes the model's names in the file: an attribute path with its last dot, or Gluon's prefixes;
            "" at the top of the file.
        ignored: name in the file of a tensor that is left out on request -> the pattern that matches it, or the title
            of the user's own table.
        extra: names in the file of the tensors that are kept beside the model.
        original_config: the config of GluonNLP 1.0 that lies beside the file, if there is one.
        told: hyperparameters that an exported network shows; empty without one.
    """

    family: Family
    table: Table
    variant: str
    hyperparameters: Mapping[str, Hyperparameter]
    names: Mapping[str, str]
    architecture: str
    plan: Plan = field(repr=False)
    sizes_of: str = ""
    assumed: tuple[str, ...] = ()
    prefix: str = ""
    ignored: Mapping[str, str] = field(default_factory=dict)
    extra: tuple[str, ...] = ()
    original_config: OriginalConfig | None = None
    told: Mapping[str, Hyperparameter] = field(default_factory=dict)

    @property
    def network_names(self) -> dict[str, str]:
        """Name in the file -> structural name in GluonNLP's network, of the tensors that this network has."""
        own, path = self._own_names, self.table.backbone
        return {written: name.removeprefix(path) for name, written in self.names.items() if not own.fullmatch(name)}

    @property
    def network_plan(self) -> Plan:
        """The plan of the tensors that GluonNLP's network has, by their structural names in it."""
        own, path = self._own_names, self.table.backbone
        steps = (
            replace(step, sources=tuple(name.removeprefix(path) for name in step.sources))
            for step in self.plan.steps
            if not any(map(own.fullmatch, step.sources))
        )
        aliases = ((name.removeprefix(path), tied.removeprefix(path)) for name, tied in self.plan.aliases)
        return replace(self.plan, steps=tuple(steps), aliases=tuple(aliases))

    @property
    def _own_names(self) -> re.Pattern[str]:
        return any_of(map(placeholder_pattern, self.table.own))

    @property
    def config(self) -> dict[str, object]:
        """The target config that follows from the family, the sizes and the hyperparameters."""
        values = {**self.hyperparameters, **self.plan.dims}
        config: dict[str, object] = {"architectures": [self.architecture]}
        config |= {key.name: key.value(values) for key in self.family.config}
        config |= {name: values[name] for name in SPECIAL_TOKEN_IDS if name in values}
        return config


def fit(
    specs: Mapping[str, TensorSpec | None],
    families: Iterable[Family],
    *,
    variant: str | None = None,
    heads: int | None = None,
    layers: int | None = None,
    hyperparameters: Mapping[str, Hyperparameter] | None = None,
    special_token_ids: Mapping[str, int] | None = None,
    selection: Selection = WHOLE,
    told: Callable[[Candidate], Mapping[str, Hyperparameter]] = lambda _candidate: {},
) -> Fit:
    """Find the table that a checkpoint fits, and complete the hyperparameters.

    Args:
        specs: name in the file -> dtype and shape; None for a record without a value.
        families: the families to try.
        variant: name of the published size that it must have.
        heads: number of attention heads, for a size that was never published.
        layers: number of layers, for such a size of a model whose layers share their weights.
        hyperparameters: hyperparameters that neither the file nor a published size tells.
        special_token_ids: those of the vocabulary; None without one, for the family's own.
        selection: the tensors that are the model's, where the file holds others too.
        told: reads hyperparameters of a candidate from an exported network.

    Raises:
        MappingError: no table fits; the error holds the disagreements with the closest one.
        OptionError: `variant`, a hyperparameter or the selection is wrong, or contradicts the checkpoint.
        OtherTensorsError: the file holds other tensors, and the selection neither ignores nor keeps them.
        VariantError: two families fit, models stand at two places, or a hyperparameter is not known.
    """
    for argument, number in (("heads", heads), ("layers", layers)):
        if number is not None and type(number) is not int:
            raise OptionError(argument, number, "expected a whole number")
    given = Given(heads, hyperparameters or {}, special_token_ids, layers)
    fitting, ignored, extra = select(specs, known_tables(list(families), given), selection)
    fitting = published_first(fitting) if variant is None else _of_variant(fitting, variant)
    results = [_complete_or_error(candidate, given, told) for candidate in fitting]
    fits = [result for result in results if isinstance(result, Fit)]
    errors = [result for result in results if not isinstance(result, Fit)]
    if len(fits) == 1:
        return _of_model(replace(fits[0], prefix=fitting[0].prefix, ignored=ignored, extra=extra))
    if not fits and (len(errors) == 1 or isinstance(errors[0], OptionError)):
        raise errors[0]
    names = [found.family.name for found in fits or fitting]
    missing = [name for error in errors if isinstance(error, VariantError) for name in error.missing]
    raise several_families("names and sizes fit", names, [] if fits else missing)


def _of_model(fit: Fit) -> Fit:
    """Move the tensors that the table says are no part of the model to those that are ignored, or kept beside it."""
    extra, ignored = fit.plan.beside("kept"), fit.plan.beside("ignored")
    _check_initialised(fit.plan)
    return replace(
        fit,
        names={name: written for name, written in fit.names.items() if name not in {*extra, *ignored}},
        plan=fit.plan.of_model(),
        ignored={**fit.ignored, **{fit.names[name]: fit.table.title for name in ignored}},
        extra=(*(fit.names[name] for name in extra), *fit.extra),
    )


def _check_initialised(plan: Plan) -> None:
    """Refuse a table that makes very many values from nothing: a user's own may have any sizes.

    Raises:
        MappingError: there are too many initialised values.
    """
    counts = {
        spec.name: step.op.initialised(spec.shape) if step.sources else prod(spec.shape)
        for step in plan.steps
        for spec in step.targets
    }
    if (total := sum(counts.values())) > MAX_INITIALISED:
        most = max(counts, key=lambda name: counts[name])
        raise MappingError(
            f"{most}: the table makes {total:,} values from nothing, most of them here; expected at most "
            f"{MAX_INITIALISED:,}"
        )


def _of_variant(fitting: list[Candidate], name: str) -> list[Candidate]:
    """The candidates whose family has a variant of this name, after a check of its sizes."""
    variants = [(candidate, variant) for candidate in fitting for variant in candidate.family.variants]
    wanted = [(candidate, variant) for candidate, variant in variants if variant.name == name]
    if not wanted:
        families = ", ".join(dict.fromkeys(candidate.family.name for candidate in fitting))
        known = ", ".join(dict.fromkeys(variant.name for _, variant in variants))
        raise OptionError("variant", name, f"the file fits {families}; expected one of {known}")
    for candidate, variant in wanted:
        if differing := variant.differences(candidate.plan.dims):
            raise OptionError("variant", name, f"the file has other sizes: {'; '.join(differing)}")
    return [candidate for candidate, _ in wanted]


def _complete_or_error(
    candidate: Candidate, given: Given, told: Callable[[Candidate], Mapping[str, Hyperparameter]]
) -> Fit | OptionError | VariantError:
    try:
        shown = told(candidate)
        return replace(complete_fit(candidate, given, shown), told=shown)
    except (OptionError, VariantError) as error:
        return error


def complete_fit(candidate: Candidate, given: Given, told: Mapping[str, Hyperparameter] | None = None) -> Fit:
    """Complete the hyperparameters; remove the backbone's prefix where the target class is the backbone itself.

    Args:
        candidate: a table that fits.
        given: see `fit`.
        told: hyperparameters that an exported network shows.

    Raises:
        MappingError: no target class has a place for the optional groups together.
        OptionError: a hyperparameter is wrong, or contradicts the checkpoint.
        VariantError: a hyperparameter is not known.
    """
    family, plan, variant = candidate.family, candidate.plan, candidate.variant
    architecture = candidate.table.architecture(plan.groups)
    chosen = given.chosen(family) | dict(told or {})
    hyperparameters = given.of(family) | (dict(variant.hyperparameters) if variant else {}) | chosen
    published, sizes = candidate.published, given.sizes(family)
    plan = _with_sizes(plan, hyperparameters, sizes, published)
    known_names = {*family.switches, *chosen, *sizes}
    activation = family.hyperparameters.get("hidden_act")
    has_own_head = family.versions != GLUONNLP_1 and architecture.endswith(MASKED_LM_CLASSES)
    if chosen.get("hidden_act", activation) != activation and has_own_head:
        hyperparameters.setdefault("head_hidden_act", str(activation))  # which the head of 0.x has in any case
    _drop_foreign_ids(hyperparameters, plan.dims, given)
    known = {"", *hyperparameters, *plan.dims, *SPECIAL_TOKEN_IDS}
    if unknown := [key.source for key in family.config if key.source not in known]:
        raise _unknown_hyperparameters(family, plan.dims, unknown)
    if lost := [key.after for key in family.config if key.after and key.after not in hyperparameters]:
        raise VariantError(
            f"{family.title} counts its positions from behind {lost[0]}, and a vocabulary of "
            f"{plan.dims['vocab_size']:,} has no such token. Pass the vocabulary",
            missing=("vocab",),
        )
    plan = bind_hyperparameters(plan, hyperparameters)
    if architecture == family.base_class:
        plan = plan.without_prefix(family.base)
    return Fit(
        family,
        candidate.table,
        published.name if published else "",
        hyperparameters,
        {name: written for name, written in candidate.names.items() if written in candidate.taken},
        architecture,
        plan,
        sizes_of="" if published or not variant else variant.name,
        assumed=tuple(_assumed(hyperparameters.keys() - known_names, given, published=published is not None)),
    )


def _assumed(names: Iterable[str], given: Given, *, published: bool) -> Iterator[str]:
    """Those of the hyperparameters that neither a published size nor a vocabulary fixes, in the order of the names."""
    for name in sorted(names):
        if given.special_token_ids is None if name in SPECIAL_TOKEN_IDS else not published:
            yield name


def _drop_foreign_ids(hyperparameters: dict[str, Hyperparameter], dims: Mapping[str, int], given: Given) -> None:
    """Remove the family's special token ids that the vocabulary has no row for; refuse such ids that were given."""
    vocab_size = dims.get("vocab_size", 0)
    for name in SPECIAL_TOKEN_IDS:
        if name in hyperparameters and int(hyperparameters[name]) >= vocab_size:
            if name in given.hyperparameters:
                problem = f"{name} is {hyperparameters[name]}, and the vocabulary has {vocab_size:,} tokens"
                raise OptionError("hyperparameters", dict(given.hyperparameters), problem)
            del hyperparameters[name]


def bind_hyperparameters(plan: Plan, hyperparameters: Mapping[str, Hyperparameter]) -> Plan:
    """Bind sizes that no shape shows, such as `attention_heads`, in the operations of a plan."""
    return plan.bind({name: value for name, value in hyperparameters.items() if type(value) is int})


def _with_sizes(
    plan: Plan, hyperparameters: dict[str, Hyperparameter], sizes: Mapping[str, int], variant: Variant | None
) -> Plan:
    """Check sizes that the user gives and put them where others of their kind are: heads among the hyperparameters.

    Returns:
        The plan, with a number of layers that no name shows among its sizes.
    """
    for name, number in sizes.items():
        _check_size(name, number, plan.dims, variant)
    hyperparameters |= sizes
    for name in UNSEEN_SIZES.keys() & plan.dims.keys():
        hyperparameters.pop(name, None)
    if LAYERS not in hyperparameters:
        return plan
    return replace(plan, dims={**plan.dims, LAYERS: int(hyperparameters.pop(LAYERS))})


def _check_size(name: str, number: int, dims: Mapping[str, int], variant: Variant | None) -> None:
    argument = UNSEEN_SIZES[name]
    published = variant.hyperparameters.get(name, number) if variant else number
    if variant and number != published:
        raise OptionError(argument, number, f"{variant.name} has {published} {_PROSE[name]}. Leave `{argument}` out")
    if number != dims.get(name, number):
        problem = f"names and shapes are those of {dims[name]} {_PROSE[name]}. Leave `{argument}` out"
        raise OptionError(argument, number, problem)
    if name not in dims and (expected := expected_size(name, number, dims)):
        raise OptionError(argument, number, f"expected {expected}")


def expected_size(name: str, number: object, dims: Mapping[str, int]) -> str:
    """The numbers that suit a model as one of `UNSEEN_SIZES`, where this is none of them; "" where it is."""
    count = max(number, 0) if isinstance(number, int) and type(number) is int else 0
    if name == LAYERS:
        groups = dims.get("groups", 1)
        return "" if count and count % groups == 0 else f"a multiple of groups={groups}"
    divided = [size for size in _SPLIT_BY_HEADS if size in dims and not (count and dims[size] % count == 0)]
    return f"a number that divides {divided[0]}={dims[divided[0]]}" if divided else ""


def _unknown_hyperparameters(family: Family, dims: Mapping[str, int], unknown: Sequence[str]) -> VariantError:
    sizes = " ".join(f"{axis}={size}" for axis, size in dims.items())
    variants = ", ".join(variant.name for variant in family.variants)
    missing = [UNSEEN_SIZES[name] for name in dict.fromkeys(unknown) if name in UNSEEN_SIZES]
    advice = "".join(f". Pass `{argument}=N`" for argument in missing)
    names = ", ".join(dict.fromkeys(unknown))
    return VariantError(
        f"{sizes} match no published {family.title} ({variants}); {names} cannot be read from shapes{advice}",
        missing=missing,
    )
