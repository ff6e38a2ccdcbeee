"""Every form of every family, as parameters of a test: a table with each combination of its optional groups."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from headers import Header, header_of

from bort_convert.mapping.axes import parse_axis
from bort_convert.mapping.fit import Fit, fit
from bort_convert.models.registry import families

if TYPE_CHECKING:
    from bort_convert.mapping.family import Family, Table

HEADS = 2
LAYERS = 6  # of a model whose layers share their weights
FORMS = [
    pytest.param(family, table, frozenset(groups), id=f"{family.name}-{table.title}-{architecture}".replace(" ", "_"))
    for family in families().values()
    for table in family.tables
    for architecture, *groups in table.architectures
]
EVERY_FORM = pytest.mark.parametrize(("family", "table", "groups"), FORMS)


def header_with(table: Table, groups: frozenset[str], **sizes: int) -> Header:
    """A checkpoint with these optional groups, whose axes all differ in size, as far as heads and head_dim allow.

    Sizes that are specified take the place of those.
    """
    rows = tuple(row for row in table.rows if not row.group or row.group in groups)
    parsed = [parse_axis(axis) for row in rows for source in row.sources for axis in source.axes.split()]
    axes = {name for axis in parsed for name in (axis.name, axis.times)} - {""}
    dims = {f"{name}s": 2 for row in rows for name in row.placeholders} | {"layers": 2}
    dims |= {axis: HEADS * number for number, axis in enumerate(sorted(axes), 2)}
    if "attention_heads" in axes:
        dims |= {"attention_heads": HEADS}
    if "attention_heads" in axes and not any(axis.times for axis in parsed):
        dims |= {"hidden_size": HEADS * dims["head_dim"]}
    dims |= {one: dims[other] for group, (one, other) in table.equal_unless.items() if group not in groups}
    dims |= {other: dims[one] for one, other in table.equal_sizes}
    return header_of(rows, dims | sizes)


def fit_to(family: Family, *tables: Table, header: Header) -> Fit:
    layers = LAYERS if any(name.endswith("groups.0.attn_qkv.bias") for name in header) else None
    return fit(header, [replace(family, tables=tables)], heads=HEADS, layers=layers)
