"""A model family as data: its tables, its published sizes and the config of its target model.

Each module in `bort_convert/models/` defines one as `FAMILY`; a module whose name begins with an underscore holds what
several families share.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from bort_convert.errors import MappingError, OptionError, VariantError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bort_convert.dtypes import Hyperparameter
    from bort_convert.mapping.rows import Rows

HEADS: Final = "attention_heads"
LAYERS: Final = "layers"
UNSEEN_SIZES: Final = {HEADS: "heads", LAYERS: "layers"}
"""Sizes that names and shapes of some models do not show -> the argument that gives each."""

GLUONNLP_VERSIONS: Final = ("0.8", "0.9.0", "0.9.1", "0.9.2", "0.10")
"""The releases of gluonnlp that compute differently; a bug-fix release that computes the same is not listed."""
GLUONNLP_1: Final = ("1.0",)
"""The release with the models for MXNet 2's NumPy interface, whose tensors have other names."""

MODULE_OVERRIDES: Final = {
    "head_layer_norm_eps": "the head's LayerNorm epsilon",
    "head_hidden_act": "the head's activation",
    "embedding_layer_norm_eps": "the embeddings' LayerNorm epsilon",
    "clamp_len": "the clamp length of relative positions",
}
"""Hyperparameters that the target config has no key for, or another meaning."""
_NO_CLAMP: Final = -1
MASKED_LM_CLASSES: Final = ("ForMaskedLM", "ForPreTraining")

SPECIAL_TOKEN_IDS: Final = tuple(f"{role}_token_id" for role in ("pad", "bos", "eos", "unk", "cls", "sep", "mask"))
"""Ids of special tokens, as hyperparameters and keys of the target config."""

SYNONYMS: Final = {"activation": "hidden_act", "epsilon": "layer_norm_eps", "heads": "attention_heads"}
"""Names that a user may give a hyperparameter -> the field's name."""


def module_overrides(hyperparameters: Mapping[str, Hyperparameter]) -> dict[str, Hyperparameter]:
    """Select what the target config cannot say: `head_hidden_act` where it is not `hidden_act`, a clamp length."""
    stock = {**{name: hyperparameters.get(name.partition("_")[2]) for name in MODULE_OVERRIDES}, "clamp_len": _NO_CLAMP}
    return {
        name: hyperparameters[name]
        for name in MODULE_OVERRIDES
        if name in hyperparameters and hyperparameters[name] != stock[name]
    }


def stock_differences(architecture: str, hyperparameters: Mapping[str, Hyperparameter]) -> dict[str, Hyperparameter]:
    """Select the module overrides that the stock class of an architecture runs without, and has a module for."""
    has_head = architecture.endswith(MASKED_LM_CLASSES)
    return {
        name: value
        for name, value in module_overrides(hyperparameters).items()
        if (has_head or not name.startswith("head_"))
        and not (name == "head_hidden_act" and architecture.startswith("Roberta"))  # whose head always has GELU
    }


@dataclass(frozen=True)
class Table:
    """One form of a family's checkpoints, such as the language model or the classifier.

    Attributes:
        title: name of the form, as in "language model".
        all_rows: rows of every form, including those that `when`/`unless` switch off.
        architectures: target classes, each with the titles of the optional groups that it has a place for.
        enabled: hyperparameters that are true; they decide which rows count.
        refusal: the reason why no target class computes this form, "" where one does.
        equal_unless: optional group -> two sizes that differ in a checkpoint with the group, and are equal without it.
        equal_sizes: two sizes that must be equal -> the reason.
        backbone: in a table of the user's own, the path of the part that GluonNLP has a network for.
        own: structural names of sources, with their placeholders, that are no part of that network.
        labels: in a table of the user's own, names of the outputs; empty to leave them to the class.
    """

    title: str
    all_rows: Rows
    architectures: tuple[tuple[str, ...], ...]
    enabled: frozenset[str] = frozenset()
    refusal: str = ""
    equal_unless: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    equal_sizes: Mapping[tuple[str, str], str] = field(default_factory=dict)
    backbone: str = ""
    own: frozenset[str] = frozenset()
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        sources = Counter(source.name for row in self.rows for source in row.sources)
        targets = Counter(target for row in self.rows for target in row.targets)
        if twice := [name for names in (sources, targets) for name, count in names.items() if count > 1]:
            raise ValueError(f"{self.title}: the table names {', '.join(twice)} twice")

    @property
    def rows(self) -> Rows:
        """The rows that count, by `enabled`."""
        return tuple(row for row in self.all_rows if row.when in {"", *self.enabled} and row.unless not in self.enabled)

    @property
    def has_prefixed_names(self) -> bool:
        """True if every source but an alias has a prefixed name."""
        return all(source.prefixed for row in self.rows for source in row.sources if not row.tied_to)

    @property
    def keeps_extra(self) -> bool:
        """True if some tensors of this form are kept beside the model, so that a checkpoint comes from none without."""
        return any(row.op.beside == "kept" for row in self.all_rows)

    def architecture(self, groups: frozenset[str]) -> str:
        """The target class for a checkpoint that has these optional groups.

        Raises:
            MappingError: no class has a place for all of them, or computes this form at all.
        """
        if self.refusal:
            raise MappingError(
                f"{self.title}: {self.refusal}. To convert the rest, keep the tensors of the head beside it with "
                "`keep_extra=True`, or leave them out with `ignore=...`"
            )
        for architecture, *places in self.architectures:
            if frozenset(places) == groups:
                return architecture
        raise MappingError(f"{self.title}: {self.class_problem(groups)[0]}")

    def class_problem(self, groups: frozenset[str]) -> tuple[str, ...]:
        """A line if no target class has a place for all of these optional groups, and `refusal` has no other reason."""
        if self.refusal or groups in {frozenset(places) for _, *places in self.architectures}:
            return ()
        return (f"no target class has a place for {', '.join(sorted(groups))} together",)

    def size_problems(self, dims: Mapping[str, int], groups: frozenset[str]) -> Iterator[str]:
        """A line for each two sizes that `equal_unless` or `equal_sizes` contradicts."""
        for (one, other), why in self.equal_sizes.items():
            if dims[one] != dims[other]:
                yield f"{one} is {dims[one]}, and {other} is {dims[other]}; expected one size: {why}"
        for group, (one, other) in self.equal_unless.items():
            if group in groups and dims[one] == dims[other]:
                yield f"{one} is {dims[one]}, as {other} is; expected no {group}"
            if group not in groups and dims[one] != dims[other]:
                yield f"{one} is {dims[one]}, expected {other}, {dims[other]}, where there is no {group}"


@dataclass(frozen=True)
class Variant:
    """A published size of a family.

    Attributes:
        name: as it was published, such as "bort_4_8_768_1024".
        dims: sizes that identify it, by the names of axes.
        hyperparameters: its hyperparameters where they differ from those of other sizes, such as `attention_heads`.
        vocabularies: sizes of the vocabularies that it was published with; a model with another one was trained by
            somebody else. Empty for any.
    """

    name: str
    dims: Mapping[str, int]
    hyperparameters: Mapping[str, Hyperparameter]
    vocabularies: frozenset[int] = frozenset()

    def differences(self, dims: Mapping[str, int]) -> list[str]:
        """A line for each size that it was not published with, the vocabulary's among them; none if it has these."""
        allowed = {axis: [size] for axis, size in self.dims.items()}
        allowed |= {"vocab_size": sorted(self.vocabularies)} if self.vocabularies else {}
        return [
            f"{axis} is {dims.get(axis)}, expected {' or '.join(map(str, sizes))}"
            for axis, sizes in allowed.items()
            if dims.get(axis) not in sizes
        ]


@dataclass(frozen=True)
class ConfigKey:
    """A key of the target config, with the source of its value.

    Attributes:
        name: the key.
        source: axis or hyperparameter that has the value, "" for a constant.
        constant: the value where there is no source.
        plus: added to the value of the source.
        after: hyperparameter whose value is added too, "" for none.
        default: the target class's own value, where a config that somebody else wrote lacks the key.
    """

    name: str
    source: str = ""
    constant: object = None
    plus: int = 0
    after: str = ""
    default: object = None

    def value(self, known: Mapping[str, Hyperparameter]) -> object:
        """The value for a model with these sizes and hyperparameters; None for a special token that it lacks."""
        if not self.source:
            return self.constant
        value = known.get(self.source) if self.source in SPECIAL_TOKEN_IDS else known[self.source]
        more = self.plus + (int(known[self.after]) if self.after else 0)
        return value + more if more and isinstance(value, int) else value


@dataclass(frozen=True)
class ModuleLayout:
    """Where `verify` finds the modules of the target backbone, by their paths from the backbone on.

    Attributes:
        embeddings: module whose output enters the first layer, or the projection.
        layers: the list of layers. Their outputs are counted by calls: a layer may run several times.
        positions: table of position embeddings, "" where the backbone takes no position ids.
        final_norm: LayerNorm behind the last layer, "" without one.
        batch_axis: batch axis in the outputs of embeddings and layers: 0, or 1 behind the tokens.
        sinusoids: method that computes positions from (offsets, frequencies) in float32, "" without one.
        projection: module that widens the embeddings, "" without one; a model may lack it where the widths are equal.
        float32_parts: name of parts that the class computes in float32 whatever the precision, "" without any.
        reads_padding: True if a token's embedding takes in the next one's, so that the last one reads padding.
        decoder: modules of the decoder, where the others are those of an encoder; None in a model of one stack.
    """

    embeddings: str = "embeddings"
    layers: str = "encoder.layer"
    positions: str = "embeddings.position_embeddings"
    final_norm: str = ""
    batch_axis: int = 0
    sinusoids: str = ""
    projection: str = ""
    float32_parts: str = ""
    reads_padding: bool = False
    decoder: ModuleLayout | None = None


@dataclass(frozen=True)
class Family:
    """A model family: the data that a conversion of its checkpoints needs, in either direction.

    Attributes:
        name: the family's name, an argument such as "bert".
        title: the family's name in prose, such as "BERT".
        tables: the forms of its checkpoints; no checkpoint fits two of them.
        variants: the published sizes.
        hyperparameters: hyperparameters of every variant. One that is missing here and in the variant must be given.
            Special token ids are those of the published vocabulary.
        choices: hyperparameter -> the values that GluonNLP has; for one that is not listed, any of its type.
        config: keys of the target config.
        base: prefix of the backbone's targets; removed where the target class is the backbone itself.
        base_class: target class of the backbone.
        tokenizer: kind of its tokenizer, one of `tokenizer.KINDS`; "" where none can be made yet.
        mxnet_module: module in `verification/mxnet_process/` that builds the network in MXNet; in a family of another
            package its absolute path, without ".py".
        layout: modules of the target backbone, for `verify`.
        versions: the gluonnlp versions that have the model, of those that compute differently.
        by_version: gluonnlp version, or the beginning of several -> hyperparameters that differ in models that it
            trained.
        gluonnlp_name: name in gluonnlp, where it differs from `name`: its class names begin with it, and a fine-tuned
            model holds the backbone under it.
        pooler: True if the class of the backbone has a pooler by default.
        aliases: names that transformers may write for tied tensors: end of the alias -> end of the original.
    """

    name: str
    title: str
    tables: tuple[Table, ...]
    variants: tuple[Variant, ...]
    hyperparameters: Mapping[str, Hyperparameter]
    config: tuple[ConfigKey, ...]
    base: str
    base_class: str
    tokenizer: str = ""
    mxnet_module: str = "bert"
    layout: ModuleLayout = ModuleLayout()
    versions: tuple[str, ...] = GLUONNLP_VERSIONS
    by_version: Mapping[str, Mapping[str, Hyperparameter]] = field(default_factory=dict)
    gluonnlp_name: str = ""
    pooler: bool = True
    aliases: Mapping[str, str] = field(default_factory=dict)
    choices: Mapping[str, tuple[Hyperparameter, ...]] = field(default_factory=dict)

    @property
    def source_name(self) -> str:
        """The family's name in gluonnlp."""
        return self.gluonnlp_name or self.name

    @property
    def model_type(self) -> object:
        """The `model_type` of the target config."""
        return next(key.constant for key in self.config if key.name == "model_type")

    @property
    def switches(self) -> frozenset[str]:
        """Hyperparameters that only choose rows of a table, by the gluonnlp version: `when` and `unless` name them."""
        return frozenset(name for name, value in self.hyperparameters.items() if value is True)

    def for_version(self, gluonnlp_version: str) -> Family:
        """The same family as one gluonnlp version trained it: with its hyperparameters, and the rows that they enable.

        Args:
            gluonnlp_version: a version such as "0.9.2", or "0.9" where all versions that begin so compute the same.

        Raises:
            OptionError: the version is not known.
            VariantError: the version stands for several that compute differently.
        """
        versions = [
            version
            for version in self.versions
            if _is_part_of(version, gluonnlp_version) or _is_part_of(gluonnlp_version, version)
        ]
        if not versions:
            raise OptionError("gluonnlp_version", gluonnlp_version, self._expected_versions())
        hyperparameters, *others = (self._hyperparameters_in(version) for version in versions)
        if any(other != hyperparameters for other in others):
            raise VariantError(
                f"`gluonnlp_version={gluonnlp_version!r}`: the versions {', '.join(versions)} compute {self.title} "
                "differently. Pass one of them",
                missing=("gluonnlp_version",),
                candidates=versions,
            )
        family = replace(self, hyperparameters=hyperparameters)
        return replace(family, tables=tuple(replace(table, enabled=family.switches) for table in self.tables))

    def _expected_versions(self) -> str:
        if self.versions == GLUONNLP_1:
            return f"the names in the file are those of {self.title}, which gluonnlp 1.0 alone has. Leave it out"
        return f"expected one of {', '.join(self.versions)}"

    def _hyperparameters_in(self, version: str) -> dict[str, Hyperparameter]:
        hyperparameters = dict(self.hyperparameters)
        for beginning, differing in self.by_version.items():
            if _is_part_of(version, beginning):
                hyperparameters |= differing
        return hyperparameters

    def checked_hyperparameters(self, given: Mapping[str, Hyperparameter]) -> dict[str, Hyperparameter]:
        """Check hyperparameters that a user gives, and name them as the field does.

        Raises:
            OptionError: the family has no such hyperparameter, or GluonNLP has no model with such a value.
        """
        own = {name for variant in self.variants for name in variant.hyperparameters}
        defaults = {**dict.fromkeys((HEADS, *own), ""), **self.hyperparameters}
        checked = {SYNONYMS.get(name, name): value for name, value in given.items()}
        if unknown := [name for name in checked if name not in defaults]:
            known = ", ".join(sorted(defaults))
            raise OptionError(
                "hyperparameters", dict(given), f"{self.title} has no {unknown[0]}; expected one of {known}"
            )
        for name, value in checked.items():
            problem = self._problem_with(name, value, defaults[name])
            if problem:
                raise OptionError("hyperparameters", dict(given), f"{name} is {value!r}, expected {problem}")
        return checked

    def lost_hyperparameter(self, known: Mapping[str, Hyperparameter]) -> str:
        """A token id that sizes depend on and that is not among the known hyperparameters; "" if all are."""
        return next((key.after for key in self.config if key.after and key.after not in known), "")

    def _problem_with(self, name: str, value: Hyperparameter, default: Hyperparameter) -> str:
        """The expected values of a hyperparameter, where this is none of them; "" where it is."""
        if name in self.choices:
            return "" if value in self.choices[name] else f"one of {', '.join(map(str, self.choices[name]))}"
        if name.endswith("_eps"):
            return "" if type(value) in {int, float} and 0 < float(value) < 1 else "a number between 0 and 1"
        if name in SPECIAL_TOKEN_IDS or name in UNSEEN_SIZES:
            return "" if type(value) is int and value >= 0 else "a whole number"
        return "" if type(value) is type(default) else f"a value such as {default!r}"

    def expect_tokenizer(self, option: str, value: object) -> None:
        """Refuse an argument that asks for a tokenizer where none of the family's kind can be made.

        Args:
            option: name of the argument, such as "vocab".
            value: value of the argument.

        Raises:
            OptionError: the family's `tokenizer` is "".
        """
        if not self.tokenizer:
            raise OptionError(option, value, f"no tokenizer of {self.title}'s kind can be made yet. Leave it out")


def _is_part_of(version: str, beginning: str) -> bool:
    """True if `beginning` stands for `version` too: "0.9" for "0.9.2", but "0.1" not for "0.10"."""
    return f"{version}.".startswith(f"{beginning}.")
