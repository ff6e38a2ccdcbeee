"""Families of models, as data: tables of rows, the published variants, and the target model's config.

Each module in `families/` defines one as `FAMILY`; adding a family is adding a file there. One whose name begins with
an underscore is none: it holds what several share.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, TypeAlias

from bort_convert.errors import MappingError, VariantError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bort_convert.mapping.rows import Rows

Hyperparameter: TypeAlias = str | int | float | bool
"""What a config says and shapes do not: attention heads, an activation, an epsilon."""

GLUONNLP_VERSIONS: Final = ("0.8", "0.9.0", "0.9.1", "0.9.2", "0.10")
"""The releases of gluonnlp that a family can tell apart, bug fixes taken together where they compute the same."""

MODULE_OVERRIDES: Final = {
    "head_layer_norm_eps": "the head's LayerNorm epsilon",
    "head_hidden_act": "the head's activation",
    "embedding_layer_norm_eps": "the embeddings' LayerNorm epsilon",
}
"""What an original can have of its own in one place, where the target config has one fact for the whole model."""


def module_overrides(hyperparameters: Mapping[str, Hyperparameter]) -> dict[str, Hyperparameter]:
    """Those of a model's hyperparameters that its config has no place for: `head_hidden_act`, where it is not `hidden_act`."""
    return {
        name: hyperparameters[name]
        for name in MODULE_OVERRIDES
        if name in hyperparameters and hyperparameters[name] != hyperparameters.get(name.partition("_")[2])
    }


@dataclass(frozen=True)
class Table:
    """One form of a family's checkpoints: with its backbone at the top, say, or inside a classifier.

    Attributes:
        title: what such a file is, as in "language model".
        all_rows: rows of every form, including those that `when`/`unless` switch off.
        architectures: the target class, and the optional groups that it has a place for, once for each class.
        enabled: the hyperparameters that are true of the model, which choose the rows.
    """

    title: str
    all_rows: Rows
    architectures: tuple[tuple[str, ...], ...]
    enabled: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        sources = Counter(slot.name for row in self.rows for slot in row.sources)
        targets = Counter(target for row in self.rows for target in row.targets)
        if twice := [name for names in (sources, targets) for name, count in names.items() if count > 1]:
            raise ValueError(f"{self.title}: the table names {', '.join(twice)} twice")

    @property
    def rows(self) -> Rows:
        """The rows that count."""
        return tuple(row for row in self.all_rows if row.when in {"", *self.enabled} and row.unless not in self.enabled)

    def architecture(self, groups: frozenset[str]) -> str:
        """The target class for a file that has these optional groups.

        Raises:
            MappingError: no class has a place for them together.
        """
        for name, *places in self.architectures:
            if frozenset(places) == groups:
                return name
        raise MappingError(f"{self.title}: no target class has a place for {', '.join(sorted(groups))} together")


@dataclass(frozen=True)
class Variant:
    """A published size: the sizes that it goes by, and what shapes cannot show of it."""

    name: str
    dims: Mapping[str, int]
    hyperparameters: Mapping[str, Hyperparameter]


@dataclass(frozen=True)
class ConfigKey:
    """A key of the target config: the axis or fact whose value it has, or a constant.

    Attributes:
        plus: what the target model counts more than the axis has.
    """

    name: str
    source: str = ""
    constant: object = None
    plus: int = 0

    def value(self, known: Mapping[str, Hyperparameter]) -> object:
        """What it says of a model with these axes and hyperparameters."""
        value = known[self.source] if self.source else self.constant
        return value + self.plus if self.plus and isinstance(value, int) else value


@dataclass(frozen=True)
class ModuleLayout:
    """Where the target backbone has what `verify` looks at: paths of modules, from the backbone on.

    Attributes:
        embeddings: its output goes into the first layer.
        layers: the list of layers.
        positions: the table of position embeddings; "" where the backbone is given no positions.
        final_norm: the LayerNorm behind the last layer, "" without one.
        batch_axis: which axis of what embeddings and layers give is the batch: 0, or 1 behind the tokens.
        sinusoids: the method that makes positions from (offsets, frequencies), "" without one: the class computes them
            in float32, whatever its own precision.
    """

    embeddings: str = "embeddings"
    layers: str = "encoder.layer"
    positions: str = "embeddings.position_embeddings"
    final_norm: str = ""
    batch_axis: int = 0
    sinusoids: str = ""


@dataclass(frozen=True)
class Family:
    """All there is to know of a family.

    Attributes:
        name: as `--family` takes it.
        title: as a person would say it.
        tables: the forms that its checkpoints come in; no file fits two of them.
        variants: the published sizes.
        hyperparameters: what is the same in every variant; what is missing here and there has to be given.
        config: the target config, key by key.
        base: the prefix of the backbone's targets, dropped where the target class is the backbone itself.
        base_class: that class.
        tokenizer: the kind of its tokenizer, one of `tokenizer.KINDS`; "" where none can be made yet.
        mxnet_module: the module in verification/mxnet_process that builds the network in MXNet.
        layout: where the target backbone has its layers.
        by_version: a release of gluonnlp, or several of one beginning -> the hyperparameters that differ in what it trained.
        gluonnlp_name: the name in gluonnlp where it differs: its classes' names begin with it, and a fine-tuned model
            holds the backbone under it.
        pooler: whether the backbone's class has a pooler, unless it is told to have none.
        aliases: second names that transformers may write for a tied tensor: the end of each -> the end of the first.
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
    by_version: Mapping[str, Mapping[str, Hyperparameter]] = field(default_factory=dict)
    gluonnlp_name: str = ""
    pooler: bool = True
    aliases: Mapping[str, str] = field(default_factory=dict)

    @property
    def source_name(self) -> str:
        """What gluonnlp calls it."""
        return self.gluonnlp_name or self.name

    @property
    def model_type(self) -> object:
        """What transformers calls the target model's kind."""
        return next(key.constant for key in self.config if key.name == "model_type")

    def for_version(self, gluonnlp_version: str) -> Family:
        """The same family as a release of gluonnlp trained it: other hyperparameters, and the rows that they choose.

        Args:
            gluonnlp_version: the release, such as "0.9.2"; "0.9" for any that begins so, if all compute the same.

        Raises:
            VariantError: no such release is known, or it is not told apart from one that computes something else.
        """
        meant = [
            release
            for release in GLUONNLP_VERSIONS
            if _begins(release, gluonnlp_version) or _begins(gluonnlp_version, release)
        ]
        if not meant:
            raise VariantError(
                f"no release of gluonnlp is known as {gluonnlp_version!r}; expected one of {', '.join(GLUONNLP_VERSIONS)}"
            )
        told = [self._hyperparameters_of(release) for release in meant]
        if any(hyperparameters != told[0] for hyperparameters in told):
            raise VariantError(
                f"the releases {', '.join(meant)} of gluonnlp do not all compute {self.title} alike; "
                f"expected one of them, not {gluonnlp_version!r}"
            )
        enabled = frozenset(name for name, value in told[0].items() if value is True)
        return replace(
            self, hyperparameters=told[0], tables=tuple(replace(table, enabled=enabled) for table in self.tables)
        )

    def _hyperparameters_of(self, release: str) -> dict[str, Hyperparameter]:
        known = (
            hyperparameters for beginning, hyperparameters in self.by_version.items() if _begins(release, beginning)
        )
        return {
            **self.hyperparameters,
            **{name: value for hyperparameters in known for name, value in hyperparameters.items()},
        }

    def expect_tokenizer(self) -> None:
        """Refuse a vocabulary where no tokenizer can be made of it.

        Raises:
            VariantError: this family has a tokenizer of another kind than those that can be made.
        """
        if not self.tokenizer:
            raise VariantError(
                f"no tokenizer of {self.title}'s kind can be made yet. Leave --vocab, --tokenizer and their like out"
            )


def _begins(release: str, with_: str) -> bool:
    """Whether a release is one of those that another number means: 0.9.2 is one of 0.9, 0.10 none of 0.1."""
    return f"{release}.".startswith(f"{with_}.")
