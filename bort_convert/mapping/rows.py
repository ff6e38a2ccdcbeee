"""The words of a table: each row says which tensors of a checkpoint become which tensors of the target model.

A name may hold `{layer}`, a placeholder for a number from 0 up; every row that holds it stands for one row per layer.
A shape is a string of axes, `"vocab units"` (see `axes`); the first row that mentions a name binds it, later ones must
agree.

`prefixed` is the same tensor's name in files that carry Gluon's prefixes instead of its attribute paths. There `#` is a
counter (digits: any number can stand there), `~` is letters (a class name's beginning, which differs between
releases), `[...]` may be missing, and `{last}` is the number of the last layer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from bort_convert.mapping.model_ops import Frequencies, Scramble, Unfold
from bort_convert.mapping.ops import Copy, Drop, Fill, Merge, Op, Pad, Split, Transpose

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True)
class SourceTensor:
    """A tensor of the checkpoint: its structural name, its axes, and its prefixed name ("" if it has none)."""

    name: str
    dims: str
    prefixed: str = ""


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
        sources: tensors of the checkpoint, each claimed by this row alone.
        targets: names in the target model, each made by this row alone.
        op: makes the targets from the sources, and back.
        group: title of the optional group that the row belongs to, "" if the row is required.
        tied_to: set on an alias: the source that it must equal, under which alone it is written.
        why: the reason, where a row makes something up or leaves something out.
        when: a fact that has to be true for the row to count, "" for none.
        unless: one that must not be.
    """

    sources: tuple[SourceTensor, ...]
    targets: tuple[str, ...]
    op: Op
    group: str = ""
    tied_to: str = ""
    why: str = ""
    when: str = ""
    unless: str = ""


Rows: TypeAlias = tuple[Row, ...]


def rename(source: str, target: str, dims: str, *, prefixed: str = "") -> Row:
    """One tensor, as it is, under another name."""
    return Row((SourceTensor(source, dims, prefixed),), (target,), Copy())


def transpose(source: str, target: str, dims: str, *, prefixed: str = "") -> Row:
    """A matrix with the axes `dims`, the other way round."""
    return Row((SourceTensor(source, dims, prefixed),), (target,), Transpose())


def linear(source: str, target: str, dims: str, *, prefixed: str = "") -> Rows:
    """A dense layer: a weight with the axes `dims`, (out, in) on both sides, and a bias of the first of them."""
    return _pair(source, target, (("weight", "weight", dims), ("bias", "bias", dims.split(maxsplit=1)[0])), prefixed)


def conv1d(source: str, target: str, dims: str, *, prefixed: str = "") -> Rows:
    """A dense layer whose weight, (out, in) in the checkpoint, the target model holds as (in, out): a Conv1D."""
    weight, bias = linear(source, target, dims, prefixed=prefixed)
    return replace(weight, op=Transpose()), bias


def norm(source: str, target: str, dims: str, *, prefixed: str = "") -> Rows:
    """A layer normalisation: gamma is called weight and beta bias."""
    return _pair(source, target, (("gamma", "weight", dims), ("beta", "bias", dims)), prefixed)


def split(source: str, targets: Iterable[str], dims: str, *, prefixed: str = "") -> Row:
    """One tensor cut along its first axis into as many equal parts as there are targets."""
    names = tuple(targets)
    return Row((SourceTensor(source, dims, prefixed),), names, Split(len(names)))


def merge(sources: Iterable[str], target: str, dims: str) -> Row:
    """Tensors that all have the axes `dims`, stacked along the first of them."""
    slots = tuple(SourceTensor(name, dims) for name in sources)
    return Row(slots, (target,), Merge(len(slots)))


def scramble(sources: Iterable[str], targets: Iterable[str], dims: str, *, prefixed: Iterable[str], why: str) -> Row:
    """Tensors that were concatenated whole and read as if they lay interleaved, a piece of each for each head."""
    slots = tuple(SourceTensor(name, dims, short) for name, short in zip(sources, prefixed, strict=True))
    return Row(slots, tuple(targets), Scramble(len(slots)), why=why)


def unfold(source: str, target: str, dims: str, into: str, *, first: bool = False, prefixed: str = "") -> Row:
    """A matrix whose last axis, or `first` one, becomes the two axes `into`, which come last."""
    return Row((SourceTensor(source, dims, prefixed),), (target,), Unfold(into, first))


def pad(source: str, target: str, dims: str, *, rows: int, why: str, prefixed: str = "") -> Row:
    """One tensor below `rows` rows of zeros."""
    return Row((SourceTensor(source, dims, prefixed),), (target,), Pad(rows), why=why)


def fill(target: str, dims: str, value: float, *, why: str) -> Row:
    """A tensor that the checkpoint lacks and the target model needs: `value` throughout."""
    return Row((), (target,), Fill(dims, value), why=why)


def frequencies(source: str, dims: str, *, why: str, prefixed: str = "") -> Row:
    """The constant frequencies of sinusoidal positions: checked here, and made again on the way back."""
    return Row((SourceTensor(source, dims, prefixed),), (), Frequencies(dims), why=why)


def drop(source: str, dims: str, *, why: str, prefixed: str = "") -> Row:
    """A tensor that the target model has no place for."""
    return Row((SourceTensor(source, dims, prefixed),), (), Drop(why), why=why)


def tied(source: str, *, tied_to: str, dims: str, why: str) -> Row:
    """A tied tensor's second name: it must equal the original bit for bit, and is written once.

    Either name may be absent from a file; the other one then stands for both.
    """
    return Row((SourceTensor(source, dims),), (), Drop(why), tied_to=tied_to, why=why)


def optional(title: str, *rows: Row | Rows) -> Rows:
    """Rows that a checkpoint has all together or not at all."""
    return tuple(replace(row, group=title) for row in _flat(rows))


def when(fact: str, *rows: Row | Rows) -> Rows:
    """Rows for a model of which this fact is true."""
    return tuple(replace(row, when=fact) for row in _flat(rows))


def unless(fact: str, *rows: Row | Rows) -> Rows:
    """Rows for any other."""
    return tuple(replace(row, unless=fact) for row in _flat(rows))


def under(prefix: str, rows: Rows) -> Rows:
    """The same rows for a model that holds this one as a child: `prefix` stands before every structural name."""
    return tuple(
        replace(
            row,
            sources=tuple(replace(slot, name=prefix + slot.name) for slot in row.sources),
            tied_to=prefix + row.tied_to if row.tied_to else "",
        )
        for row in rows
    )


def targets_of(rows: Rows) -> Rows:
    """The table of what a table makes: each target is a tensor to be taken as it is, with the axes that it gets.

    It finds the sizes from the target model's side.
    """
    return tuple(
        replace(rename(target, target, dims), group=row.group)
        for row in rows
        for target, dims in zip(row.targets, row.op.axes(*(slot.dims for slot in row.sources)), strict=True)
    )


def onto(prefix: str, rows: Rows) -> Rows:
    """The same rows for a target model that holds this one as a child: `prefix` stands before every target."""
    return tuple(replace(row, targets=tuple(prefix + target for target in row.targets)) for row in rows)


def _flat(rows: Iterable[Row | Rows]) -> Rows:
    return tuple(row for item in rows for row in (item if isinstance(item, tuple) else (item,)))


def _pair(source: str, target: str, kinds: Iterable[tuple[str, str, str]], prefixed: str) -> Rows:
    return tuple(
        rename(f"{source}.{here}", f"{target}.{there}", dims, prefixed=prefixed and f"{prefixed}_{here}")
        for here, there, dims in kinds
    )
