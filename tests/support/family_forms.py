"""Every form of every family, as parameters of a test."""

from __future__ import annotations

from dataclasses import replace

import pytest
from headers import Header, header_of

from bort_convert.mapping.axes import split_axis
from bort_convert.mapping.family import Family, Table
from bort_convert.mapping.fit import Fit, fit
from bort_convert.models.registry import families

HEADS = 2
# A table is written for as many forms of a checkpoint as it has receiving classes.
FORMS = [
    pytest.param(family, table, frozenset(groups), id=f"{family.name}-{table.title}-{receiving}".replace(" ", "_"))
    for family in families().values()
    for table in family.tables
    for receiving, *groups in table.architectures
]
EVERY_FORM = pytest.mark.parametrize(("family", "table", "groups"), FORMS)


def header_with(table: Table, groups: frozenset[str]) -> Header:
    """A file with these optional groups; every axis has a size of its own, but for what heads and their width make."""
    rows = tuple(row for row in table.rows if not row.group or row.group in groups)
    axes = {split_axis(axis)[1] for row in rows for slot in row.sources for axis in slot.dims.split()} - {""}
    dims = {"layers": 2, **{axis: HEADS * number for number, axis in enumerate(sorted(axes), 2)}}
    if "attention_heads" in axes:
        dims |= {"attention_heads": HEADS, "hidden_size": HEADS * dims["head_dim"]}
    return header_of(rows, dims)


def fit_to(family: Family, *tables: Table, header: Header) -> Fit:
    return fit(header, [replace(family, tables=tables)], heads=HEADS)
