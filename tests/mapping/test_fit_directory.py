"""From the tensors of a directory back to the table that made them, for every form of every family and for a toy."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from family_forms import EVERY_FORM, fit_to, header_with
from toy_family import CONFIG, ROWS, SHAPES, TOY, specs_of, targets_of, toy_arrays

from bort_convert.dtypes import TensorSpec
from bort_convert.errors import MappingError, VariantError
from bort_convert.mapping.family import ConfigKey, Family, Table, Variant
from bort_convert.mapping.fit_directory import fit_directory, unprefixed
from bort_convert.mapping.rows import drop, rename
from bort_convert.mapping.source_names import placeholder_pattern, prefixed_names, structural_names

if TYPE_CHECKING:
    from bort_convert.mapping.plan import Plan

TOY_SPECS = specs_of(targets_of(toy_arrays()))


def target_specs(plan: Plan) -> dict[str, TensorSpec]:
    return {spec.name: spec for step in plan.steps for spec in step.targets}


@EVERY_FORM
def test_a_form_is_recognised_from_its_targets(family: Family, table: Table, groups: frozenset[str]) -> None:
    source = header_with(table, groups)
    fitted = fit_to(family, table, header=source)
    specs = target_specs(fitted.plan)
    if table.keeps_extra:
        converted = fit_directory(
            specs, fitted.config, [family], table=table.title, converted_with=fitted.hyperparameters
        )
        foreign = fit_directory(specs, fitted.config, [family], named=True)
        assert (converted.fit.table, converted.fit.architecture) == (table, fitted.architecture)
        assert (foreign.fit.table.keeps_extra, foreign.fit.architecture, foreign.notes) == (
            False,
            fitted.architecture,
            (),
        )
        return
    if any(step.op.lossy for step in fitted.plan.steps):
        with pytest.raises(MappingError, match="cannot be made again"):
            fit_directory(specs, fitted.config, [family], table=table.title)
        return
    found = fit_directory(specs, fitted.config, [family], table=table.title, named=True)
    assert (found.fit.table, found.fit.architecture, found.fit.plan.dims) == (
        table,
        fitted.architecture,
        fitted.plan.dims,
    )
    assert {name: (spec.dtype, spec.shape) for name, spec in found.sources.items()} == {
        name: (spec.dtype, spec.shape) for name, spec in source.items() if spec
    }
    without_table = fit_directory(specs, fitted.config, [family], named=True)
    assert without_table.fit.architecture == fitted.architecture
    assert all(note.startswith("written as") for note in without_table.notes)


@EVERY_FORM
def test_a_source_lacks_a_prefixed_name_only_where_its_row_has_none(
    family: Family, table: Table, groups: frozenset[str]
) -> None:
    plan = fit_to(family, table, header=header_with(table, groups)).plan
    names = [name for step in plan.steps for name in step.sources]
    prefixed = prefixed_names(names, table.rows, family.name)
    assert structural_names(prefixed.values(), table.rows) == (prefixed, [])
    nameless = [source.name for row in table.rows for source in row.sources if not source.prefixed and not row.tied_to]
    patterns = [placeholder_pattern(name) for name in nameless]
    assert {name for name in names if name not in prefixed} == {
        name for name in names if any(pattern.fullmatch(name) for pattern in patterns)
    }


@pytest.mark.parametrize("head", [True, False])
def test_a_plan_from_targets_restores_the_sources_bit_for_bit(head: bool) -> None:  # noqa: FBT001 - a case
    arrays = toy_arrays(head=head)
    targets = targets_of(arrays)
    found = fit_directory(specs_of(targets), CONFIG, [TOY])
    by_target = {target: targets[name] for target, name in found.name_map.targets.items()}
    restored = dict(found.fit.plan.revert(by_target))
    assert {name: array.tobytes() for name, array in restored.items()} == {
        name: array.tobytes() for name, array in arrays.items()
    }
    assert found.sources == specs_of(arrays)


def test_each_source_has_the_dtype_of_its_own_target() -> None:
    specs = TOY_SPECS | {"toy.positions": replace(TOY_SPECS["toy.positions"], dtype="float16")}
    expected = specs_of(toy_arrays())
    expected["positions"] = replace(expected["positions"], dtype="float16")
    assert fit_directory(specs, CONFIG, [TOY]).sources == expected


def test_an_alias_may_stand_before_its_original_in_a_table() -> None:
    (table,) = TOY.tables
    family = replace(TOY, tables=(replace(table, all_rows=(ROWS[1], ROWS[0], *ROWS[2:])),))
    assert fit_directory(TOY_SPECS, CONFIG, [family]).sources == specs_of(toy_arrays())


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            {"toy.positions": (1, 2)},
            "toy.positions: found shape (1, 2); axis 'max_positions+2' is 1, expected a multiple of 1 plus 2",
        ),
        (
            {"toy.layer.1.ab": (5,)},
            "toy.layer.1.ab: found shape (5,); axis '2*hidden_size' is 5, expected a multiple of 2",
        ),
        (
            {"toy.layer.0.k": (3, 2)},
            "toy.layer.0.k: found shape (3, 2); axis 'hidden_size' is 3, expected 2 (hidden_size=2 from toy.tokens)",
        ),
        (
            {"toy.layer.0.ffn": (7, 2)},
            "toy.layer.0.ffn: found shape (7, 2); axis 'hidden_size' is 7, expected 2 (hidden_size=2 from toy.tokens)",
        ),
        ({"toy.layer.1.q": None}, "toy.layer.1.q: found nothing, expected shape (2, 2)"),
        ({"head.bias": None}, "head.bias: found nothing, expected shape (3,) (the file has other parts of the head)"),
        ({"toy.layer.2.q": (2, 2)}, "toy.layer.2.k: found nothing, expected shape (2, 2)"),
    ],
)
def test_disagreements_have_the_names_in_the_directory(
    changes: dict[str, tuple[int, ...] | None], problem: str
) -> None:
    specs: dict[str, TensorSpec] = dict(TOY_SPECS)
    for name, shape in changes.items():
        if shape is None:
            del specs[name]
        else:
            specs[name] = TensorSpec(name, "float32", shape)
    with pytest.raises(MappingError, match="no family fits this directory; the closest is toy") as caught:
        fit_directory(specs, CONFIG, [TOY])
    assert caught.value.disagreements[0] == problem


def test_parts_of_one_tensor_in_two_dtypes_are_refused() -> None:
    specs = {**TOY_SPECS, "toy.layer.1.k": replace(TOY_SPECS["toy.layer.1.k"], dtype="float16")}
    with pytest.raises(MappingError) as caught:
        fit_directory(specs, CONFIG, [TOY])
    assert caught.value.disagreements == ("toy.layer.1.k: found float16 (2, 2), expected float32 (2, 2)",)


def test_a_source_that_was_left_out_cannot_come_back_and_the_reason_is_given() -> None:
    rows = (*ROWS, drop("cell.{layer}.cache", "hidden_size", why="a cache"))
    family = replace(TOY, tables=(Table("model", rows, (("ToyHead", "head"),)),))
    arrays = toy_arrays() | {f"cell.{layer}.cache": np.zeros(2, np.float32) for layer in range(2)}
    with pytest.raises(MappingError) as caught:
        fit_directory(specs_of(targets_of(arrays, family)), CONFIG, [family])
    assert caught.value.disagreements == (
        "cell.0.cache: no directory holds it (a cache), and it cannot be made again",
        "cell.1.cache: no directory holds it (a cache), and it cannot be made again",
    )


def test_a_directory_that_fits_two_families_needs_the_family() -> None:
    other = replace(TOY, name="other")
    with pytest.raises(VariantError) as caught:
        fit_directory(TOY_SPECS, CONFIG, [TOY, other])
    message = "the directory fits more than one family: toy, other. Pass `family=NAME` with one of them"
    assert str(caught.value) == message
    assert (caught.value.missing, caught.value.candidates) == (("family",), ("toy", "other"))


def test_a_value_in_config_json_tells_one_family_from_another() -> None:
    config: dict[str, Any] = CONFIG | {"hidden_act": "relu"}
    other = replace(
        TOY, name="other", hyperparameters={"act": "gelu"}, config=(*TOY.config, ConfigKey("hidden_act", "act"))
    )
    assert fit_directory(TOY_SPECS, config, [TOY, other]).fit.family.name == "toy"


def test_groups_without_a_class_and_an_unknown_hyperparameter_are_disagreements() -> None:
    (table,) = TOY.tables
    headless = replace(TOY, tables=(replace(table, architectures=(("ToyModel",),)),))
    with pytest.raises(MappingError, match="no target class has a place for head together"):
        fit_directory(TOY_SPECS, CONFIG, [headless])
    unknown = replace(TOY, config=(*TOY.config, ConfigKey("rope", "rope")))
    with pytest.raises(MappingError, match="rope cannot be read from shapes"):
        fit_directory(TOY_SPECS, CONFIG | {"rope": 3}, [unknown])


def test_a_published_size_tells_the_directory_of_one_family_from_that_of_another() -> None:
    other = replace(TOY, name="other", variants=(Variant("other_2_2", {"layers": 2, "hidden_size": 2}, {}),))
    assert fit_directory(TOY_SPECS, CONFIG, [TOY, other]).fit.variant == "other_2_2"


def test_sources_without_a_prefixed_name_are_listed() -> None:
    found = fit_directory(TOY_SPECS, CONFIG, [TOY], prefixed=True)
    assert unprefixed(found.fit) == [name for step in found.fit.plan.steps for name in step.sources]
    assert len(unprefixed(found.fit)) == len(SHAPES) - 1


def test_a_table_with_prefixed_names_is_preferred_where_they_are_asked_for() -> None:
    rows = {"first": rename("a", "toy.x", "n")}
    rows["second"] = rename("b", "toy.x", "n", prefixed="~model#_b")
    rows["third"] = rename("c", "toy.x", "n")
    tables = tuple(Table(title, (row,), (("ToyModel",),)) for title, row in rows.items())
    family, specs = replace(TOY, tables=tables, config=()), {"toy.x": TensorSpec("toy.x", "float32", (3,))}
    for prefixed, title in {False: "first", True: "second"}.items():
        found = fit_directory(specs, {}, [family], prefixed=prefixed)
        assert found.fit.table.title == title
        assert len(found.notes) == (not prefixed)
    found = fit_directory(specs, {}, [family])
    assert found.fit.table.title == "first"
    assert found.notes == ("written as 'first'; what a directory holds does not tell it from 'second' or 'third'",)
    with pytest.raises(MappingError, match=r"config\.json: n_inner is 4, expected 0$"):
        fit_directory(specs, {"n_inner": 4}, [family])
