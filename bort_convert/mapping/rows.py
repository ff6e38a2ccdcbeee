"""The words that a table is written in: each makes rows, which say which source tensors become which target tensors.

- **Names.** A source has its structural name, an attribute path such as `"encoder.layer_norm.gamma"`. `{layer}` in a
  name stands for the numbers from 0 up: the row counts once for each layer. `{last_ffn}` is the number behind the last
  `{ffn}`, for the end of a list that goes elsewhere.
- **Axes.** `axes` names the axes of a source, as in `"vocab_size hidden_size"` (see `axes.py`). The first row that
  mentions a name binds it to a size, and later rows must agree.
- **Prefixed names.** `prefixed` is the name of the source in files that have Gluon's prefixes in place of attribute
  paths. In it `#` is a counter, `~` the beginning of a class name, which differs between releases, `[...]` a part that
  may be missing, and `{last}` the number of the last layer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Final, TypeAlias

from bort_convert.mapping.model_ops import Frequencies, Scramble, Unfold
from bort_convert.mapping.ops import Constant, Copy, Drop, Extra, Fill, Merge, Op, Pad, Split, Transpose

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from bort_convert.dtypes import Hyperparameter


LAST: Final = "last_"
"""Beginning of a placeholder that stands for one number alone: `{last_ffn}` for the one behind the last `{ffn}`."""
_PLACEHOLDER: Final = re.compile(r"{(\w+)}")


@dataclass(frozen=True)
class SourceTensor:
    """A tensor of the checkpoint.

    Attributes:
        name: structural name.
        axes: names of the axes, such as `"vocab_size hidden_size"`.
        prefixed: prefixed name, "" if the tensor has none.
        child: beginning of the name that a file may have another attribute for, "" for none; see `under`.
    """

    name: str
    axes: str
    prefixed: str = ""
    child: str = ""


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
        sources: tensors of the checkpoint; no other row takes them.
        targets: tensors of the target model; no other row makes them.
        op: the operation that makes the targets.
        group: title of the optional group that the row belongs to, "" if the row is required.
        tied_to: source that the tensor is tied to, "" if it is not an alias. An alias must equal that source and is
            not written.
        why: the reason to initialise a target or to leave a source out.
        when: hyperparameter that must be true for the row to count, "" for none.
        unless: hyperparameter that must not be true, "" for none.
    """

    sources: tuple[SourceTensor, ...]
    targets: tuple[str, ...]
    op: Op
    group: str = ""
    tied_to: str = ""
    why: str = ""
    when: str = ""
    unless: str = ""

    @property
    def placeholders(self) -> list[str]:
        """Names of the placeholders in the names of its tensors, the outermost first."""
        names = (*(source.name for source in self.sources), *self.targets)
        return list(dict.fromkeys(found for name in names for found in _PLACEHOLDER.findall(name)))

    def numbers(self, dims: Mapping[str, int]) -> Iterator[dict[str, int]]:
        """The numbers in place of the placeholders, one after the other; nothing, once, without a placeholder."""
        names = self.placeholders
        ranges = [
            [dims[f"{name.removeprefix(LAST)}s"]] if name.startswith(LAST) else range(dims[f"{name}s"])
            for name in names
        ]
        yield from (dict(zip(names, numbers, strict=True)) for numbers in product(*ranges))

    def numbered(self, placeholder: str, number: int) -> Row:
        """The same row with a number in place of a placeholder."""
        text = f"{{{placeholder}}}"
        sources = tuple(replace(source, name=source.name.replace(text, str(number))) for source in self.sources)
        return replace(self, sources=sources, targets=tuple(name.replace(text, str(number)) for name in self.targets))


Rows: TypeAlias = tuple[Row, ...]


def rename(source: str, target: str, axes: str, *, prefixed: str = "") -> Row:
    """One tensor under another name."""
    return Row((SourceTensor(source, axes, prefixed),), (target,), Copy())


def transpose(source: str, target: str, axes: str, *, prefixed: str = "") -> Row:
    """A matrix, transposed in the target model."""
    return Row((SourceTensor(source, axes, prefixed),), (target,), Transpose())


def linear(source: str, target: str, axes: str, *, prefixed: str = "") -> Rows:
    """A dense layer: a weight (out, in) and a bias (out,)."""
    out_axis, *_ = axes.split()
    return _pair(source, target, (("weight", "weight", axes), ("bias", "bias", out_axis)), prefixed)


def conv1d(source: str, target: str, axes: str, *, prefixed: str = "") -> Rows:
    """A dense layer that becomes a Conv1D of transformers: its weight (out, in) becomes (in, out)."""
    weight, bias = linear(source, target, axes, prefixed=prefixed)
    return replace(weight, op=Transpose()), bias


def norm(source: str, target: str, axes: str, *, prefixed: str = "") -> Rows:
    """A layer normalisation: gamma becomes weight, and beta becomes bias."""
    return _pair(source, target, (("gamma", "weight", axes), ("beta", "bias", axes)), prefixed)


def split(source: str, targets: Iterable[str], axes: str, *, prefixed: str = "") -> Row:
    """One tensor, split along its first axis into equal parts, one for each target."""
    names = tuple(targets)
    return Row((SourceTensor(source, axes, prefixed),), names, Split(len(names)))


def merge(sources: Iterable[str], target: str, axes: str) -> Row:
    """Tensors of the same axes, concatenated along the first one."""
    tensors = tuple(SourceTensor(name, axes) for name in sources)
    return Row(tensors, (target,), Merge(len(tensors)))


def scramble(sources: Iterable[str], targets: Iterable[str], axes: str, *, prefixed: Iterable[str], why: str) -> Row:
    """The q/k/v biases of gluonnlp 0.9, which are interleaved per head."""
    tensors = tuple(SourceTensor(name, axes, short) for name, short in zip(sources, prefixed, strict=True))
    return Row(tensors, tuple(targets), Scramble(len(tensors)), why=why)


def unfold(source: str, target: str, axes: str, into: str, *, first: bool = False, prefixed: str = "") -> Row:
    """A matrix whose last axis, or `first` one, is split into the two axes `into`, which come last."""
    return Row((SourceTensor(source, axes, prefixed),), (target,), Unfold(into, first))


def pad(source: str, target: str, axes: str, *, rows: int, after: str = "", why: str, prefixed: str = "") -> Row:
    """One tensor behind `rows` rows of zeros, and as many more as the hyperparameter `after` says."""
    return Row((SourceTensor(source, axes, prefixed),), (target,), Pad(rows, after), why=why)


def fill(target: str, axes: str, value: float, *, why: str) -> Row:
    """A constant that the target model needs and the checkpoint lacks."""
    return Row((), (target,), Fill(axes, value), why=why)


def constant(source: str, axes: str, value: float, *, why: str, prefixed: str = "") -> Row:
    """A tensor that must be a constant and is left out; it is made again on the way back."""
    return Row((SourceTensor(source, axes, prefixed),), (), Constant(axes, value), why=why)


def frequencies(source: str, axes: str, *, why: str, prefixed: str = "") -> Row:
    """The constant frequencies of sinusoidal positions, left out; they are computed on the way back."""
    return Row((SourceTensor(source, axes, prefixed),), (), Frequencies(axes), why=why)


def drop(source: str, axes: str, *, why: str, prefixed: str = "") -> Row:
    """A tensor that the target model has no place for, left out for good."""
    return Row((SourceTensor(source, axes, prefixed),), (), Drop(why), why=why)


def extra(source: str, axes: str, *, prefixed: str = "") -> Row:
    """A tensor that the target model has no place for, kept beside it bit for bit."""
    return Row((SourceTensor(source, axes, prefixed),), (), Extra())


def ignore(source: str, axes: str, *, prefixed: str = "") -> Row:
    """A tensor that is no part of the model, left out here and in an export."""
    return Row((SourceTensor(source, axes, prefixed),), (), Extra(kept=False))


def tied(source: str, *, tied_to: str, axes: str, why: str) -> Row:
    """An alias of a tied tensor, which must equal `tied_to` bit for bit and is not written.

    A file may lack either name; the other one then stands for both.
    """
    return Row((SourceTensor(source, axes),), (), Drop(why), tied_to=tied_to, why=why)


def optional(title: str, *rows: Row | Rows) -> Rows:
    """A group of rows that a checkpoint has all together or not at all, such as a head."""
    return tuple(replace(row, group=title) for row in _flatten(rows))


def when(hyperparameter: str, *rows: Row | Rows) -> Rows:
    """Rows for models where `hyperparameter` is true."""
    return tuple(replace(row, when=hyperparameter) for row in _flatten(rows))


def unless(hyperparameter: str, *rows: Row | Rows) -> Rows:
    """Rows for models where `hyperparameter` is not true."""
    return tuple(replace(row, unless=hyperparameter) for row in _flatten(rows))


def under(prefix: str, rows: Rows, *, any_name: bool = False) -> Rows:
    """The same rows for a checkpoint that holds this model as a child: `prefix` precedes every structural name.

    With `any_name` a file may have another attribute in place of `prefix`: the rest of its names says what it is.
    """
    child = prefix if any_name else ""
    return tuple(
        replace(
            row,
            sources=tuple(replace(source, name=prefix + source.name, child=child) for source in row.sources),
            tied_to=prefix + row.tied_to if row.tied_to else "",
        )
        for row in rows
    )


def onto(prefix: str, rows: Rows) -> Rows:
    """The same rows for a target model that holds this one as a child: `prefix` precedes every target."""
    return tuple(replace(row, targets=tuple(prefix + target for target in row.targets)) for row in rows)


def resolve(rows: Rows, hyperparameters: Mapping[str, Hyperparameter]) -> Rows:
    """The same rows with the values of hyperparameters that decide shapes, such as a padding id."""
    return tuple(replace(row, op=row.op.resolve(hyperparameters)) for row in rows)


def target_rows(rows: Rows) -> Rows:
    """A table whose sources are the targets of `rows`: with it the sizes are found in a transformers directory."""
    return tuple(
        replace(rename(target, target, axes), group=row.group)
        for row in rows
        for target, axes in zip(row.targets, row.op.target_axes(*(source.axes for source in row.sources)), strict=True)
    )


def _flatten(rows: Iterable[Row | Rows]) -> Rows:
    return tuple(row for item in rows for row in (item if isinstance(item, tuple) else (item,)))


def _pair(source: str, target: str, parts: Iterable[tuple[str, str, str]], prefixed: str) -> Rows:
    """A row for each part (end of the source, end of the target, axes) of a layer."""
    return tuple(
        rename(f"{source}.{ours}", f"{target}.{theirs}", axes, prefixed=prefixed and f"{prefixed}_{ours}")
        for ours, theirs, axes in parts
    )
