"""Random tables: any rows in any order, any sizes (0 and 1 among them), any bits."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bort_convert.dtypes import Shape, TensorSpec, numpy_dtype
from bort_convert.mapping.axes import shape_of
from bort_convert.mapping.planner import make_plan
from bort_convert.mapping.rows import Rows, fill, merge, norm, optional, pad, rename, split, tied, transpose

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bort_convert.dtypes import Array
    from bort_convert.mapping.plan import Plan

AXES = ("hidden_size", "intermediate_size", "vocab_size")
LAYER = "cell.{layer}."
FLOATS = ("float16", "bfloat16", "float32", "float64")


@dataclass
class Case:
    """A table, and a checkpoint that fits it.

    Attributes:
        rows: the table.
        source: structural name -> values.
        aliases: alias of a tied tensor -> its original.
    """

    rows: Rows = ()
    source: dict[str, Array] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)

    @property
    def header(self) -> dict[str, TensorSpec | None]:
        return {name: TensorSpec(name, array.dtype.name, array.shape) for name, array in self.source.items()}

    @property
    def plan(self) -> Plan:
        return make_plan(self.rows, self.header)


def bits(draw: st.DrawFn, shape: Shape, dtype: str) -> Array:
    """Any bits, NaN payloads and negative zeros among them."""
    unsigned = f"<u{numpy_dtype(dtype).itemsize}"
    return draw(hnp.arrays(unsigned, shape)).view(numpy_dtype(dtype))


def a_row(draw: st.DrawFn, number: int) -> Rows:
    """One row of any kind, or a tensor and its alias."""
    prefix = draw(st.sampled_from(("", LAYER)))
    source, target = f"{prefix}s{number}", f"{prefix}t{number}"
    parts = range(draw(st.integers(1, 3)))
    names = draw(st.lists(st.sampled_from(AXES), min_size=1, max_size=3))
    axes, matrix = " ".join(names), f"{names[0]} {names[-1]}"
    copied = rename(source, target, axes)
    kinds: list[Rows] = [
        (copied,),
        (transpose(source, target, matrix),),
        (split(source, [f"{target}.{part}" for part in parts], f"{len(parts)}*{axes}"),),
        (merge([f"{source}.{part}" for part in parts], target, axes),),
        (pad(source, target, axes, rows=len(parts), why="padding"),),
        (fill(target, axes, draw(st.sampled_from((0.0, 1.0, -0.0))), why="absent"),),
        (rename(f"s{number}", f"t{number}", axes), tied(f"s{number}.b", tied_to=f"s{number}", axes=axes, why="tied")),
    ]
    return draw(st.sampled_from(kinds))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    dims = {axis: draw(st.integers(0, 3)) for axis in AXES}
    layers = draw(st.integers(1, 3))
    # The first rows bind every axis, and each layer has more than one tensor.
    rows: Rows = (rename("first", "made", " ".join(AXES)), *norm(f"{LAYER}norm", f"{LAYER}LayerNorm", "hidden_size"))
    absent: set[str] = set()
    for number in range(draw(st.integers(0, 8))):
        made = a_row(draw, number)
        group = draw(st.sampled_from(("", "present", "absent")))
        if group and all(row.sources for row in made):
            made = optional(f"{group} {number}", *made)
        rows += made
        if any(row.group.startswith("absent") for row in made):
            absent |= {source.name for row in made for source in row.sources}
    case = Case(rows)
    for row in rows:
        dtype = draw(st.sampled_from(FLOATS))
        for source in row.sources:
            for layer in range(layers) if LAYER in source.name else (0,):
                name = source.name.format(layer=layer)
                if source.name in absent:
                    continue
                if row.tied_to:
                    case.aliases[name] = row.tied_to
                    case.source[name] = case.source[row.tied_to]
                else:
                    case.source[name] = bits(draw, shape_of(source.axes, dims), dtype)
    names = draw(st.permutations(list(case.source)))
    return replace(case, source={name: case.source[name] for name in names})


def bytes_of(arrays: Mapping[str, Array]) -> dict[str, tuple[str, Shape, bytes]]:
    return {name: (array.dtype.name, array.shape, array.tobytes()) for name, array in arrays.items()}


@given(cases())
def test_any_table_runs_forwards_as_planned_and_backwards_bit_for_bit(case: Case) -> None:
    plan = case.plan
    assert plan.disagreements == ()
    assert dict(plan.aliases) == case.aliases
    target = dict(plan.forward(case.source))
    planned = {spec.name: (spec.dtype, spec.shape) for step in plan.steps for spec in step.targets}
    assert planned == {name: (array.dtype.name, array.shape) for name, array in target.items()}
    back = dict(plan.revert(target))
    assert bytes_of(back) == bytes_of(case.source)
    assert bytes_of(dict(plan.forward(back))) == bytes_of(target)


@given(cases(), st.data())
def test_a_missing_or_extra_tensor_is_named(case: Case, data: st.DataObject) -> None:
    required = {source.name.format(layer=0) for row in case.rows if not row.group for source in row.sources}
    missing = data.draw(st.sampled_from(sorted(required - {*case.aliases, *case.aliases.values()})))
    kept = {name: spec for name, spec in case.header.items() if name != missing}
    (problem,) = make_plan(case.rows, kept).disagreements
    assert problem.startswith(f"{missing}: found nothing, expected shape (")
    extra = TensorSpec("extra", "float32", (2,))
    assert make_plan(case.rows, case.header | {"extra": extra}).disagreements == (
        "extra: found float32 (2,), no row of the table takes it",
    )
