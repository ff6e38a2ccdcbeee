"""What holds for every family, whichever there are: a new file in `families/` is tested as soon as it is there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from headers import Header, header_of

from bort_convert.axes import split_axis
from bort_convert.display import auto_class
from bort_convert.errors import MappingError
from bort_convert.family import Family, Table, families
from bort_convert.fit import Fit, fit
from bort_convert.places import find_places
from bort_convert.spelling import prefixed_names, structural_names

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
    if "heads" in axes:
        dims |= {"heads": HEADS, "units": HEADS * dims["head_dim"]}
    return header_of(rows, dims)


def fit_to(family: Family, *tables: Table, header: Header) -> Fit:
    return fit(header, [replace(family, tables=tables)], heads=HEADS)


@EVERY_FORM
def test_a_form_fits_its_own_table_and_no_other(family: Family, table: Table, groups: frozenset[str]) -> None:
    header = header_with(table, groups)
    found = fit_to(family, *family.tables, header=header)
    assert (found.table, found.plan.groups) == (table, groups)
    for other in family.tables:
        if other is not table:
            with pytest.raises(MappingError):
                fit_to(family, other, header=header)


@EVERY_FORM
def test_a_form_comes_back_bit_for_bit(family: Family, table: Table, groups: frozenset[str]) -> None:
    header = header_with(table, groups)
    plan = fit_to(family, table, header=header).plan
    rng = np.random.default_rng(0)
    source = {name: rng.standard_normal(spec.shape, np.float32) for name, spec in header.items() if spec}
    source |= {twin: source[original] for twin, original in plan.twins}
    kept = replace(plan, steps=tuple(step for step in plan.steps if step.targets))
    back = dict(kept.revert(dict(kept.forward(source))))
    left_out = {name for step in plan.steps if not step.targets for name in step.sources}
    assert set(back) | left_out == set(source)
    assert all(np.array_equal(array, source[name]) for name, array in back.items())


@EVERY_FORM
def test_prefixed_names_are_read_as_they_are_written(family: Family, table: Table, groups: frozenset[str]) -> None:
    written = prefixed_names(header_with(table, groups), table.rows, family.name)
    assert structural_names(written.values(), table.rows) == (written, [])


@EVERY_FORM
def test_every_key_of_the_config_has_a_value(family: Family, table: Table, groups: frozenset[str]) -> None:
    config = fit_to(family, table, header=header_with(table, groups)).config
    assert {key.name for key in family.config} < set(config)
    assert None not in config.values()


@pytest.mark.torch
@EVERY_FORM
def test_the_auto_class_that_is_named_loads_the_receiving_class(
    family: Family, table: Table, groups: frozenset[str]
) -> None:
    import transformers  # noqa: PLC0415 - heavy, and marked

    receiving = getattr(transformers, table.architecture(groups))
    known = getattr(transformers, auto_class(receiving.__name__))._model_mapping[receiving.config_class]  # noqa: SLF001 - no other place says it
    assert receiving in (known if isinstance(known, tuple) else (known,))
    assert family.model_type == receiving.config_class.model_type


@pytest.mark.torch
@EVERY_FORM
def test_a_familys_second_names_are_what_transformers_ties(
    family: Family, table: Table, groups: frozenset[str]
) -> None:
    import transformers  # noqa: PLC0415 - heavy, and marked

    receiving = getattr(transformers, table.architecture(groups))
    tied = receiving._tied_weights_keys or {}  # noqa: SLF001 - no other place says it
    names = dict.fromkeys([*tied.values(), *tied])
    assert find_places(names, family.base, family.seconds).seconds == tied


def test_the_axes_that_the_rest_of_the_tool_asks_for_are_there() -> None:
    for family in families().values():
        for table in family.tables:
            assert {"vocab", "units", "layers"} <= set(
                fit_to(family, table, header=header_with(table, frozenset())).plan.dims
            )
