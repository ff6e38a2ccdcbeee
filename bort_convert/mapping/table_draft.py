"""Draft a table of one's own for a checkpoint that no family takes: the backbone, and a row for each other tensor.

The draft converts as it is. A dense layer that the target class has a place for becomes its head; whatever else there
is beside the backbone is kept as `extra`. Comments say what is left to decide.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from itertools import chain, combinations, islice
from typing import TYPE_CHECKING, Final

from bort_convert.errors import MappingError, printable
from bort_convert.mapping.axes import parse_axis
from bort_convert.mapping.backbone import backbone_rows
from bort_convert.mapping.candidates import compare_at_places, known_tables, largest_parts, no_table_fits
from bort_convert.mapping.given import Given
from bort_convert.mapping.source_names import bare_name
from bort_convert.mapping.table_file import MAX_ROWS
from bort_convert.mapping.table_words import name_problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from bort_convert.dtypes import Shape, TensorSpec
    from bort_convert.mapping.candidates import Candidate
    from bort_convert.mapping.family import Family, Table
    from bort_convert.mapping.rows import Row

    Specs = Mapping[str, TensorSpec | None]

_LABELS, _HIDDEN = "labels", "hidden_size"
_WIDTH: Final = 100
_MOST_LABELS: Final = 100
_PREFIXED: Final = re.compile(r"\w+", re.ASCII)


@dataclass(frozen=True)
class _Dense:
    """A weight (out, in) and a bias (out,) of the checkpoint.

    Attributes:
        weight: name of the weight.
        bias: name of the bias.
        shape: of the weight.
    """

    weight: str
    bias: str
    shape: Shape


@dataclass(frozen=True)
class _Head:
    """A head that a target class has: its dense layers, from the backbone on.

    Attributes:
        architecture: the target class.
        targets: names of the layers in it.
        axes: of each layer's weight.
        pooled: True if the class has the pooler too.
    """

    architecture: str
    targets: tuple[str, ...]
    axes: tuple[str, ...]
    pooled: bool


def draft_table(specs: Specs, families: Sequence[Family], name: str, prefix: str | None = None) -> str:
    """Write the first draft of a table for a checkpoint.

    Args:
        specs: name in the file -> dtype and shape; None for a record without a value.
        families: the families to try.
        name: of the file, for the first comment.
        prefix: place of the backbone, where several stand in the file.

    Returns:
        A TOML document; see `table_file`.

    Raises:
        MappingError: no family has such a backbone; the error holds the disagreements with the closest one.
    """
    tables = [_backbone_family(family) for family in families]
    candidates = compare_at_places(specs, known_tables(tables, Given()))
    if prefix is not None:
        candidates = [candidate for candidate in candidates if candidate.prefix == prefix]
    parts = largest_parts(candidate for candidate in candidates if candidate.fits)
    if not parts and candidates:
        raise no_table_fits(candidates, "file")
    if not parts:
        raise MappingError("no family's backbone stands in the file: a table extends one that does")
    found, *others = parts[0]
    family = next(known for known in families if known.name == found.family.name)
    names = dict.fromkeys(other.family.name for other in others if other.family.name != family.name)
    return _Draft(specs, family, found).text(name, list(names), len(parts))


def _backbone_family(family: Family) -> Family:
    """The family with the backbones and the optional groups of its forms alone, each once."""
    forms: dict[frozenset[str], Table] = {}
    for form in family.tables:
        rows = (*backbone_rows(family, form), *(row for row in form.all_rows if row.group))
        sources = frozenset(source.name for row in rows for source in row.sources)
        titles = dict.fromkeys(row.group for row in rows if row.group)
        parts = chain.from_iterable(combinations(titles, count) for count in range(len(titles) + 1))
        classes = tuple((family.base_class, *part) for part in parts)
        forms.setdefault(sources, replace(form, all_rows=rows, architectures=classes))
    return replace(family, tables=tuple(forms.values()))


class _Draft:
    """The draft of one table.

    Attributes:
        family: the family that it extends.
        found: the backbone in the checkpoint.
        specs: the other tensors, by name without `arg:` or `aux:`.
    """

    def __init__(self, specs: Specs, family: Family, found: Candidate) -> None:
        self.family = family
        self.found = found
        self.specs = {bare_name(name): spec for name, spec in specs.items() if name not in found.taken}
        pairs = list(_dense_layers({name: spec for name, spec in self.specs.items() if _can_be_named(name)}))
        groups = {row.group for row in found.table.all_rows if _makes_pooler(family, row.targets)} & found.plan.groups
        heads = [head for head in _heads(family) if head.pooled == bool(groups)]
        self.matches = [head for head in heads if self._sizes(head, pairs)]
        self.head = self.matches[0] if self.matches else None
        self.layers = pairs if self.head else []
        self.dims = self._sizes(self.head, pairs) if self.head else {_HIDDEN: found.plan.dims[_HIDDEN]}

    def text(self, name: str, others: Sequence[str], places: int) -> str:
        """The document.

        Args:
            name: of the file.
            others: names of other families that have such a backbone.
            places: number of backbones in the file.
        """
        beside = f"{len(self.specs):,} other tensor{'' if len(self.specs) == 1 else 's'} beside it"
        lines = [f"# A draft for {printable(name)}: {self._where()}, and {beside}."]
        if places > 1:
            stand = "1 more stands" if places == 2 else f"{places - 1:,} more stand"  # noqa: PLR2004 - one more
            lines.append(f"# {stand} in the file: rows below, as any other tensor.")
        architecture = self.head.architecture if self.head else self.family.base_class
        lines += [
            "# It converts as it is; what begins with DECIDE is yours to decide.",
            f"# DECIDE: the same tensors may be those of {' or '.join(others)}; draft anew for one." if others else "",
            f"extends = {_quoted(self.family.name)}",
            f"backbone = {_quoted(self.found.prefix)}" if _is_path(self.found.prefix) else "",
            f"form = {_quoted(self.found.table.title)}" if self._has_other_form() else "",
            f"with = [{', '.join(map(_quoted, self._groups()))}]" if self._groups() else "",
            *self._decisions(),
            f"class = {_quoted(architecture)}",
            "rows = [",
            "  # DECIDE: the class computes what is around these layers: which tokens they read, and the activation."
            if self.layers
            else "",
            *(f"  {line}" for line in self._rows()),
            "]",
        ]
        outputs = self.dims.get(_LABELS, 1)
        if outputs > 1:
            lines.append(f"# DECIDE: the names of the {outputs:,} outputs, in their order.")
            names = [f"LABEL_{number}" for number in range(min(outputs, _MOST_LABELS))]
            lines.append(f"# labels = [{', '.join(map(_quoted, names))}]")
        return "\n".join(filter(None, lines)) + "\n"

    def _where(self) -> str:
        title, prefix = self.family.title, self.found.prefix
        return f"{title} under {printable(prefix)}" if prefix else f"{title} at the top"

    def _has_other_form(self) -> bool:
        return self.found.table.title != self.family.tables[0].title

    def _groups(self) -> list[str]:
        """Titles of the optional groups that the checkpoint has, in the order of the table."""
        titles = dict.fromkeys(row.group for row in self.found.table.all_rows)
        return [title for title in titles if title in self.found.plan.groups]

    def _decisions(self) -> Iterator[str]:
        others = [f"{head.architecture} ({', '.join(head.targets)})" for head in self.matches[1:]]
        if others:
            yield f"# DECIDE: these layers fit {' or '.join(others)} too."
        elif not self.head and self.specs:
            yield "# DECIDE: a class with a place for the head, where transformers has one; this is the backbone alone."

    def _rows(self) -> Iterator[str]:
        taken: set[str] = set()
        layers = zip(self.layers, self.head.targets, self.head.axes, strict=True) if self.head else ()
        for layer, target, axes in layers:
            taken |= {layer.weight, layer.bias}
            yield from self._layer_rows(layer, target, axes)
        others = {name: spec for name, spec in self.specs.items() if name not in taken}
        named = {name: spec.shape for name, spec in others.items() if spec and _can_be_named(name)}
        kept = dict(islice(named.items(), MAX_ROWS - len(taken)))
        if kept:
            yield "# DECIDE: kept beside the model as it is; another word makes a tensor a part of the class."
        for name, shape in kept.items():
            axes = _quoted(self._axes(shape))
            yield f"{{extra = {_quoted(name)}, axes = {axes}{_prefixed(name)}}},  # {_shown(shape)}"
        for name, spec in others.items():
            if name not in named:
                found = f"{printable(name, _WIDTH)} {_shown(spec.shape) if spec else '(no value)'}"
                yield f"# A row cannot take {found}: ignore it, or keep what is left over."
        if more := list(named)[len(kept) :]:
            first = f"{len(more):,} from {printable(more[0], _WIDTH)} on"
            yield f"# A table takes {MAX_ROWS:,} rows; without one are {first}: ignore them, or keep what is left over."

    def _layer_rows(self, layer: _Dense, target: str, axes: str) -> Iterator[str]:
        """Rows of a dense layer: one where it is a block of its own, or else one for each tensor."""
        yield f"# A dense layer of {layer.shape[1]:,} to {layer.shape[0]:,}."
        if layer.weight.endswith(".weight"):
            name = layer.weight.removesuffix(".weight")
            yield f"{{linear = {_quoted(name)}, to = {_quoted(target)}, axes = {_quoted(axes)}}},"
            return
        first, _ = axes.split()
        for name, end, own in ((layer.weight, "weight", axes), (layer.bias, "bias", first)):
            to = f"{target}.{end}"
            yield f"{{rename = {_quoted(name)}, to = {_quoted(to)}, axes = {_quoted(own)}{_prefixed(name)}}},"

    def _axes(self, shape: Shape) -> str:
        """Axes by name where a size is that of the outputs or of the hidden states."""
        names = {size: name for name, size in self.dims.items()}
        return " ".join(names.get(size, str(size)) for size in shape)

    def _sizes(self, head: _Head, layers: Sequence[_Dense]) -> dict[str, int]:
        """Sizes of a head with these layers; empty if they are not its layers."""
        sizes = {_HIDDEN: self.found.plan.dims[_HIDDEN]}
        if len(layers) != len(head.axes):
            return {}
        for layer, axes in zip(layers, head.axes, strict=True):
            for text, size in zip(axes.split(), layer.shape, strict=True):
                axis = parse_axis(text)
                if axis.name:  # a multiple of a size that no axis had before will not be that size
                    sizes.setdefault(axis.name, size)
                if axis.times not in {"", *sizes} or axis.size(sizes) != size:
                    return {}
        return sizes


def _heads(family: Family) -> Iterator[_Head]:
    """Heads of dense layers that classes of the family's kind have: first those of the family's own forms."""
    known: dict[tuple[str, ...], _Head] = {}
    prefix, base = family.base_class.removesuffix("Model"), family.base
    for form in family.tables:
        if form.refusal:
            continue
        backbone = backbone_rows(family, form)
        ours = {target for row in backbone for target in row.targets}
        rows = [row for row in form.all_rows if not row.group and not ours & {*row.targets}]
        weights = [row for row in rows if _is_weight(row)]
        if weights and len(rows) == 2 * len(weights):
            targets = tuple(row.targets[0].removesuffix(".weight") for row in weights)
            axes = tuple(row.sources[0].axes for row in weights)
            pooled = any(_makes_pooler(family, row.targets) for row in backbone)
            known.setdefault((form.architectures[0][0], *axes), _Head(form.architectures[0][0], targets, axes, pooled))
    square, outputs = f"{_HIDDEN} {_HIDDEN}", f"{_LABELS} {_HIDDEN}"
    guesses = []
    if not family.layout.decoder:  # no class has such a head on two stacks
        guesses.append(_Head(f"{prefix}ForTokenClassification", ("classifier",), (outputs,), pooled=False))
    if family.pooler:
        layers = (f"{base}pooler.dense", "classifier")
        guesses.append(_Head(f"{prefix}ForSequenceClassification", layers, (square, outputs), pooled=False))
    for guess in guesses:
        known.setdefault((guess.architecture, *guess.axes), guess)
    return iter(sorted(known.values(), key=lambda head: outputs not in head.axes))


def _makes_pooler(family: Family, targets: Iterable[str]) -> bool:
    return any(target.startswith(f"{family.base}pooler.") for target in targets)


def _dense_layers(specs: Specs) -> Iterator[_Dense]:
    """Pairs of a weight (out, in) and a bias (out,), in the order of the file."""
    for name, spec in specs.items():
        bias = name.removesuffix("weight") + "bias"
        other = specs.get(bias) if name.endswith((".weight", "_weight")) else None
        if spec and other and len(spec.shape) == 2 and other.shape == spec.shape[:1]:  # noqa: PLR2004 - a matrix
            yield _Dense(name, bias, spec.shape)


def _is_weight(row: Row) -> bool:
    """True if the row makes the weight of a dense layer from a matrix of the checkpoint."""
    axes = [len(source.axes.split()) for source in row.sources]
    return axes == [2] and [target.endswith(".weight") for target in row.targets] == [True]


def _can_be_named(name: str) -> bool:
    """True if a row can name this tensor and no other; a name without dots is a prefixed one."""
    return not name_problem(name) and "{" not in name and ("." in name or bool(_PREFIXED.fullmatch(name)))


def _prefixed(name: str) -> str:
    """The argument of a row that names a tensor in a file of prefixed names."""
    return "" if "." in name else f", prefixed = {_quoted(name)}"


def _shown(shape: Shape) -> str:
    return f"({', '.join(map(str, shape))})"


def _is_path(prefix: str) -> bool:
    return prefix.endswith(".")


def _quoted(text: str) -> str:
    """A text as a TOML string; none of ours has a character that JSON spells otherwise."""
    return json.dumps(text, ensure_ascii=False)
