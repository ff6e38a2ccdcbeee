"""Tables that nobody would write down: any rows in any order, any sizes (0 and 1 among them), any bits."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bort_convert.dtypes import Shape, TensorSpec, numpy_dtype
from bort_convert.mapping.ops import sizes
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
        aliases: second names, each with the name of the tensor that it is.
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
    """Any bits at all, NaN payloads and negative zeros among them."""
    unsigned = f"<u{numpy_dtype(dtype).itemsize}"
    return draw(hnp.arrays(unsigned, shape)).view(numpy_dtype(dtype))


def a_row(draw: st.DrawFn, number: int) -> Rows:
    """One row of any kind, or a tensor and its second name."""
    where = draw(st.sampled_from(("", LAYER)))
    source, target = f"{where}s{number}", f"{where}t{number}"
    parts = range(draw(st.integers(1, 3)))
    axes = draw(st.lists(st.sampled_from(AXES), min_size=1, max_size=3))
    dims, matrix = " ".join(axes), f"{axes[0]} {axes[-1]}"
    copied = rename(source, target, dims)
    kinds: list[Rows] = [
        (copied,),
        (transpose(source, target, matrix),),
        (split(source, [f"{target}.{part}" for part in parts], f"{len(parts)}*{dims}"),),
        (merge([f"{source}.{part}" for part in parts], target, dims),),
        (pad(source, target, dims, rows=len(parts), why="padding"),),
        (fill(target, dims, draw(st.sampled_from((0.0, 1.0, -0.0))), why="absent"),),
        (rename(f"s{number}", f"t{number}", dims), tied(f"s{number}.b", original=f"s{number}", dims=dims, why="tied")),
    ]
    return draw(st.sampled_from(kinds))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    bound = {axis: draw(st.integers(0, 3)) for axis in AXES}
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
            absent |= {slot.name for row in made for slot in row.sources}
    case = Case(rows)
    for row in rows:
        dtype = draw(st.sampled_from(FLOATS))
        for slot in row.sources:
            for layer in range(layers) if LAYER in slot.name else (0,):
                name = slot.name.format(layer=layer)
                if slot.name in absent:
                    continue
                if row.original:
                    case.aliases[name] = row.original
                    case.source[name] = case.source[row.original]
                else:
                    case.source[name] = bits(draw, sizes(slot.dims, bound), dtype)
    names = draw(st.permutations(list(case.source)))
    return replace(case, source={name: case.source[name] for name in names})


def told(arrays: Mapping[str, Array]) -> dict[str, tuple[str, Shape, bytes]]:
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
    assert told(back) == told(case.source)
    assert told(dict(plan.forward(back))) == told(target)


@given(cases(), st.data())
def test_a_tensor_too_few_or_too_many_is_told_by_its_name(case: Case, data: st.DataObject) -> None:
    required = {slot.name.format(layer=0) for row in case.rows if not row.group for slot in row.sources}
    gone = data.draw(st.sampled_from(sorted(required - {*case.aliases, *case.aliases.values()})))
    kept = {name: spec for name, spec in case.header.items() if name != gone}
    (problem,) = make_plan(case.rows, kept).disagreements
    assert problem.startswith(f"{gone}: found nothing, expected shape (")
    extra = TensorSpec("extra", "float32", (2,))
    assert make_plan(case.rows, case.header | {"extra": extra}).disagreements == (
        "extra: found float32 (2,), no row of the table takes it",
    )
