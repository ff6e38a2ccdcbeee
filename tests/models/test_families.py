"""Properties of every family: a new module in `models/` is tested as soon as it is there."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from family_forms import EVERY_FORM, fit_to, header_with

from bort_convert.errors import MappingError
from bort_convert.mapping.source_names import prefixed_names, structural_names
from bort_convert.mapping.target_names import map_names
from bort_convert.model_dir.remarks import auto_class
from bort_convert.models.registry import families

if TYPE_CHECKING:
    from bort_convert.mapping.family import Family, Table


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
    fitted = fit_to(family, table, header=header)
    plan = fitted.plan
    rng = np.random.default_rng(0)
    source = {name: rng.standard_normal(spec.shape, np.float32) for name, spec in header.items() if spec}
    source |= {alias: source[original] for alias, original in plan.aliases}
    with_targets = replace(plan, steps=tuple(step for step in plan.steps if step.targets))
    restored = dict(with_targets.revert(dict(with_targets.forward(source))))
    left_out = {name for step in plan.steps if not step.targets for name in step.sources}
    assert set(restored) | left_out | {*fitted.extra} == set(source)
    assert all(np.array_equal(array, source[name]) for name, array in restored.items())


@EVERY_FORM
def test_prefixed_names_are_read_as_the_structural_names_that_they_stand_for(
    family: Family, table: Table, groups: frozenset[str]
) -> None:
    written = prefixed_names(header_with(table, groups), table.rows, family.name)
    assert structural_names(written.values(), table.rows) == (written, [])


@EVERY_FORM
def test_every_config_key_has_a_value(family: Family, table: Table, groups: frozenset[str]) -> None:
    config = fit_to(family, table, header=header_with(table, groups)).config
    assert {key.name for key in family.config} < set(config)
    assert None not in [value for name, value in config.items() if not name.endswith("_token_id")]


@pytest.mark.torch
@EVERY_FORM
def test_the_auto_class_loads_the_target_class(family: Family, table: Table, groups: frozenset[str]) -> None:
    import transformers  # noqa: PLC0415 - heavy, and marked

    target_class = getattr(transformers, table.architecture(groups))
    loader, purpose = auto_class(target_class.__name__), target_class.__name__.partition("For")[2]
    itself = loader == target_class.__name__
    loader = f"AutoModelFor{purpose}" if itself else loader
    known = getattr(transformers, loader)._model_mapping[target_class.config_class]  # noqa: SLF001 - in no other place
    assert (target_class in (known if isinstance(known, tuple) else (known,))) != itself
    assert family.model_type == target_class.config_class.model_type


@pytest.mark.torch
@EVERY_FORM
def test_the_aliases_of_a_family_are_those_that_transformers_ties(
    family: Family, table: Table, groups: frozenset[str]
) -> None:
    import transformers  # noqa: PLC0415 - heavy, and marked

    target_class = getattr(transformers, table.architecture(groups))
    tied = target_class._tied_weights_keys or {}  # noqa: SLF001 - in no other place
    names = dict.fromkeys([*tied.values(), *tied])
    assert map_names(names, family.base, family.aliases).aliases == tied


def test_every_family_has_the_axes_that_other_rooms_need() -> None:
    for family in families().values():
        for table in family.tables:
            if table.refusal:
                continue
            assert {"vocab_size", "hidden_size", "layers"} <= set(
                fit_to(family, table, header=header_with(table, frozenset(table.architectures[-1][1:]))).plan.dims
            )
