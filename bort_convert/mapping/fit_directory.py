"""Fit a transformers directory: find the table whose targets it holds, from names, shapes and config.json.

The way back to a checkpoint starts here. The targets bind the sizes, and the sizes give the names and shapes of the
sources.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from bort_convert.dtypes import TensorSpec
from bort_convert.errors import MappingError, OptionError, VariantError, printable
from bort_convert.mapping.axes import shape_of
from bort_convert.mapping.candidates import Candidate, no_table_fits, published_first, several_families
from bort_convert.mapping.family import GLUONNLP_1, SPECIAL_TOKEN_IDS, UNSEEN_SIZES, stock_differences
from bort_convert.mapping.fit import Fit, bind_hyperparameters, complete_fit, expected_size
from bort_convert.mapping.given import Given, recorded_hyperparameters
from bort_convert.mapping.plan import Plan
from bort_convert.mapping.planner import describe, make_plan
from bort_convert.mapping.rows import resolve, target_rows
from bort_convert.mapping.source_names import prefixed_names
from bort_convert.mapping.target_names import map_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from bort_convert.dtypes import Hyperparameter
    from bort_convert.mapping.family import ConfigKey, Family, Table
    from bort_convert.mapping.rows import Row, Rows
    from bort_convert.mapping.target_names import NameMap

    Specs = Mapping[str, TensorSpec]
    Config = Mapping[str, Any]

_TIED: Final = "tie_word_embeddings"
# Keys that change what the target class computes, and the one value that GluonNLP has a model for.
_REQUIRED_CONFIG: Final = {
    "is_decoder": False,
    "add_cross_attention": False,
    "position_embedding_type": "absolute",
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
}
_REQUIRED_BY_TYPE: Final[Mapping[str, Mapping[str, object]]] = {
    "bert": {"is_causal": False},
    "roberta": {"is_causal": False},
    "gpt2": {"is_causal": True, "layer_types": None},
    "xlnet": {"attn_type": "bi", "bi_data": False, "clamp_len": -1},
    "albert": {"inner_group_num": 1},
    "mobilebert": {
        "normalization_type": "no_norm",
        "trigram_input": True,
        "use_bottleneck": True,
        "use_bottleneck_attention": False,
        "key_query_shared_bottleneck": True,
    },
    "bart": {"scale_embedding": False},
    "t5": {"feed_forward_proj": "relu", "relative_attention_max_distance": 128},
    "mt5": {"feed_forward_proj": "gated-gelu", "relative_attention_max_distance": 128},
}
# Names that transformers reads as others: the later one in the file counts.
_CONFIG_ALIASES: Final = {
    "n_head": "num_attention_heads",
    "n_embd": "hidden_size",
    "d_model": "hidden_size",
    "n_layer": "num_hidden_layers",
    "n_positions": "max_position_embeddings",
}


@dataclass(frozen=True)
class FittedDirectory:
    """A directory and the table that can have made it.

    Attributes:
        fit: the fit of the checkpoint; targets in its plan keep the backbone's prefix.
        sources: structural name -> dtype and shape of each source, aliases included.
        name_map: the names in the directory.
        notes: lines for people about config values that a checkpoint has no place for.
    """

    fit: Fit
    sources: Specs
    name_map: NameMap
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _DirectoryCandidate(Candidate):
    """A table compared with a directory, and what the directory has if the table fits; see `FittedDirectory`."""

    sources: Specs
    name_map: NameMap
    given: Given


def _given_by(family: Family, config: Config, converted_with: Mapping[str, Hyperparameter] | None) -> Given:
    """The hyperparameters that a directory says: its manifest's, or the special token ids of its config."""
    if converted_with is not None:
        return recorded_hyperparameters(family, converted_with)
    published = {name: value for name, value in family.hyperparameters.items() if name in SPECIAL_TOKEN_IDS}
    ids = {name: config.get(name, published.get(name)) for name in SPECIAL_TOKEN_IDS}
    return Given(special_token_ids={name: value for name, value in ids.items() if type(value) is int and value >= 0})


def fit_directory(
    specs: Specs,
    config: Config,
    families: Iterable[Family],
    *,
    table: str = "",
    prefixed: bool = False,
    converted_with: Mapping[str, Hyperparameter] | None = None,
    named: bool = False,
) -> FittedDirectory:
    """Find the table whose targets a directory holds.

    Args:
        specs: name in the directory -> dtype and shape.
        config: content of its config.json.
        families: the families to try.
        table: title of the table, if it is known; else the first one of a family that fits is taken.
        prefixed: True to prefer a table that has prefixed names for all of its tensors.
        converted_with: hyperparameters in the manifest of a converted directory; None for any other directory.
        named: True if the user names the family, so that the directory may be one that GluonNLP's model became.

    Raises:
        MappingError: no table fits; the error holds the disagreements with the closest one.
        VariantError: tables of two families fit.
    """
    trusted = named or converted_with is not None
    known_tables = [(family, known) for family in families for known in family.tables if table in {"", known.title}]
    if converted_with is None:  # no file beside the model has the rest
        known_tables = [pair for pair in known_tables if not pair[1].keeps_extra] or known_tables
    candidates = [
        _compare(specs, config, known, _given_by(family, config, converted_with), family, trusted=trusted)
        for family, known in known_tables
    ]
    fitting = published_first([candidate for candidate in candidates if candidate.fits])
    if not fitting:
        raise no_table_fits(candidates, "directory")
    fitting = _of_one_release(fitting)
    names = [candidate.family.name for candidate in fitting]
    if len(set(names)) > 1:
        raise several_families("the directory fits", names)
    if prefixed:
        fitting = [candidate for candidate in fitting if not unprefixed(candidate)] or fitting
    chosen, *others = sorted(fitting, key=_initialised)
    fit = complete_fit(chosen, _with_sizes(chosen.given, config, chosen))
    fit = replace(fit, plan=bind_hyperparameters(replace(chosen.plan, dims=fit.plan.dims), fit.hyperparameters))
    if converted_with is None:
        fit = replace(fit, plan=fit.plan.lenient())
    return FittedDirectory(fit, chosen.sources, chosen.name_map, tuple(_notes(chosen, others, config)))


def _of_one_release(fitting: list[_DirectoryCandidate]) -> list[_DirectoryCandidate]:
    """The candidates without families of GluonNLP 1.0 where one of 0.x fits: the same directory comes from either."""
    return [candidate for candidate in fitting if candidate.family.versions != GLUONNLP_1] or fitting


def unprefixed(fitted: Candidate | Fit) -> list[str]:
    """Structural names of the sources that have no prefixed name in the table; aliases do not count."""
    names = [name for step in fitted.plan.steps for name in step.sources]
    prefixed = prefixed_names(names, fitted.table.rows, fitted.family.source_name)
    return [name for name in names if name not in prefixed]


def _compare(
    specs: Specs, config: Config, table: Table, given: Given, family: Family, *, trusted: bool
) -> _DirectoryCandidate:
    name_map = map_names(specs, family.base, family.aliases)
    targets = {target: specs[name] for target, name in name_map.targets.items()}
    known = given.of(family)
    if lost := family.lost_hyperparameter(known):
        problem = f"config.json: {lost} is {_shown(config.get(lost))}, expected a row of the vocabulary"
        plan = Plan(disagreements=(problem,))
        sources: Specs = {}
    else:
        rows = tuple(row for row in table.rows if not row.op.beside)
        plan, sources = _plan_from_targets(resolve(rows, known), targets)
    problems = (*name_map.clashes, *plan.disagreements) or tuple(table.size_problems(plan.dims, plan.groups))
    plan = replace(plan, disagreements=problems)
    names = {name: name for name in sources}
    candidate = _DirectoryCandidate(family, table, names, plan, sources=sources, name_map=name_map, given=given)
    if candidate.fits:
        problems = tuple(_config_problems(candidate, config, trusted=trusted))
        candidate = replace(candidate, plan=replace(plan, disagreements=problems))
    return candidate


def _plan_from_targets(rows: Rows, targets: Specs) -> tuple[Plan, Specs]:
    """Make the plan that makes these targets: they bind the sizes, and the sizes give the sources.

    Returns:
        The plan, and the sources by their structural names.
    """
    target_plan = make_plan(target_rows(rows), targets)
    present = [row for row in rows if not row.group or row.group in target_plan.groups]
    if target_plan.disagreements:
        return target_plan, {}
    if problems := tuple(_lost_sources(present, target_plan.dims)):
        return replace(target_plan, disagreements=problems), {}
    sources = _sources(present, target_plan.dims, targets)
    plan = make_plan(rows, sources)
    return replace(plan, disagreements=(*plan.disagreements, *_wrong_targets(plan, targets))), sources


def _lost_sources(rows: Iterable[Row], dims: Mapping[str, int]) -> Iterator[str]:
    """A line for each source that a lossy operation left out."""
    for row in rows:
        if row.op.lossy and not row.tied_to:
            for numbers in row.numbers(dims):
                for source in row.sources:
                    name = source.name.format(**numbers)
                    yield f"{name}: no directory holds it ({row.why}), and it cannot be made again"


def _sources(rows: Iterable[Row], dims: Mapping[str, int], targets: Specs) -> dict[str, TensorSpec]:
    """The sources that these targets were made from; aliases come last."""
    sources: dict[str, TensorSpec] = {}
    any_dtype = next(iter(targets.values())).dtype
    for row in sorted(rows, key=lambda row: bool(row.tied_to)):
        for numbers in row.numbers(dims):
            for source in row.sources:
                name = source.name.format(**numbers)
                if row.tied_to:
                    sources[name] = replace(sources[row.tied_to], name=name)
                else:
                    dtype = targets[row.targets[0].format(**numbers)].dtype if row.targets else any_dtype
                    sources[name] = TensorSpec(name, dtype, shape_of(source.axes, dims))
    return sources


def _wrong_targets(plan: Plan, targets: Specs) -> Iterator[str]:
    """A line for each target that has another dtype or shape than the plan makes."""
    for step in plan.steps:
        for expected in step.targets:
            found = targets[expected.name]
            if (found.dtype, found.shape) != (expected.dtype, expected.shape):
                yield f"{printable(found.name)}: found {describe(found)}, expected {describe(expected)}"


def _config_problems(candidate: _DirectoryCandidate, config: Config, *, trusted: bool) -> Iterator[str]:
    """A line for each value in config.json that contradicts the tensors or GluonNLP's model."""
    family, plan = candidate.family, candidate.plan
    for size, key in _keys_of_sizes(candidate).items():
        number = config.get(key.name, key.default)
        if problem := expected_size(size, number, plan.dims):
            yield f"config.json: {key.name} is {_shown(number)}, expected {problem}"
            return
    given = _with_sizes(candidate.given, config, candidate)
    try:
        fit = complete_fit(candidate, given)
    except (MappingError, OptionError, VariantError) as error:
        yield str(error)
        return
    expected = fit.config
    for key in family.config:
        value, found = expected[key.name], config.get(key.name, key.default)
        compared = key.source not in {"", *SPECIAL_TOKEN_IDS} or key.name == "model_type"
        if compared and found != value:
            by = "the tensors" if key.source in plan.dims else f"GluonNLP's {family.title}, and no tensor shows it"
            yield f"config.json: {key.name} is {_shown(found)}, expected {_shown(value)} by {by}"
    yield from _foreign_config(candidate, config)
    if not trusted and (activation := stock_differences(fit.architecture, fit.hyperparameters).get("head_hidden_act")):
        yield (
            f"config.json: the class runs {expected['hidden_act']} in its masked-language-model head, where GluonNLP's "
            f"{family.title} has {activation}. Pass `family={family.name!r}` if it was converted from one"
        )


def _foreign_config(candidate: Candidate, config: Config) -> Iterator[str]:
    """A line for each value in config.json that makes the class compute what no model of GluonNLP computes."""
    family, plan = candidate.family, candidate.plan
    required = {**_REQUIRED_CONFIG, **_REQUIRED_BY_TYPE.get(str(config.get("model_type")), {})}
    for name, value in required.items():
        if config.get(name) not in {value, None}:
            yield f"config.json: {name} is {_shown(config[name])}, expected {_shown(value)}: GluonNLP has no such model"
    inner = 4 * plan.dims.get("hidden_size", 0)
    if config.get("n_inner") not in {None, inner}:
        yield f"config.json: n_inner is {_shown(config['n_inner'])}, expected {inner}"
    for name, alias in _CONFIG_ALIASES.items():
        if name in config and alias in config and config[name] != config[alias]:
            yield f"config.json: {alias} is {_shown(config[alias])}, expected {_shown(config[name])}, as {name}"
    if plan.aliases and config.get(_TIED, True) is not True:
        yield f"config.json: {_TIED} is {_shown(config[_TIED])}, expected true: GluonNLP has one matrix for both ends"
    named, expected = config.get("architectures"), candidate.table.architecture(plan.groups)
    if named and named[0] not in {expected, family.base_class}:
        yield f"config.json: architectures is {_shown(named)}, expected {expected} by the tensors"


def _with_sizes(given: Given, config: Config, candidate: Candidate) -> Given:
    """The same with the numbers of heads and layers in config.json, where nothing else gives them."""
    numbers = {name: config.get(key.name, key.default) for name, key in _keys_of_sizes(candidate).items()}
    return replace(given, **{UNSEEN_SIZES[name]: number for name, number in numbers.items()})


def _keys_of_sizes(candidate: Candidate) -> dict[str, ConfigKey]:
    """Those of `UNSEEN_SIZES` that neither a published size nor the shapes give -> the config's key for each."""
    known = {*UNSEEN_SIZES} if candidate.published else {*candidate.plan.dims}
    return {key.source: key for key in candidate.family.config if key.source in UNSEEN_SIZES.keys() - known}


def _initialised(candidate: Candidate) -> int:
    """Number of tensors that the table makes from nothing; a checkpoint has no place for their values."""
    return sum(not step.sources for step in candidate.plan.steps)


def _notes(chosen: Candidate, others: Iterable[Candidate], config: Config) -> Iterator[str]:
    """Notes on config values that a checkpoint has no place for, and on other tables that take as many tensors."""
    differing = [
        f"{key.name} {_shown(config[key.name])}"
        for key in chosen.family.config
        if not key.source and key.name != _TIED and config.get(key.name, key.constant) != key.constant
    ]
    if differing:
        yield f"a checkpoint has no place for these of config.json: {', '.join(differing)}"
    as_much = [other for other in others if _initialised(other) == _initialised(chosen)]
    if titles := " or ".join(f"'{other.table.title}'" for other in as_much):
        yield f"written as '{chosen.table.title}'; what a directory holds does not tell it from {titles}"


def _shown(value: object) -> str:
    return printable(repr(value)) if value is not None else "not there"
