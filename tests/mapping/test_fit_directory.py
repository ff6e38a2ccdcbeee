"""From a directory's tensors back to the table that made them, for every family and for a toy of every word."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from family_forms import EVERY_FORM, fit_to, header_with
from headers import language_model

from bort_convert.dtypes import TensorSpec
from bort_convert.errors import MappingError, VariantError
from bort_convert.mapping.family import ConfigKey, Family, Table, Variant
from bort_convert.mapping.fit import fit
from bort_convert.mapping.fit_directory import FittedDirectory, fit_directory, unprefixed
from bort_convert.mapping.ops import Drop
from bort_convert.mapping.rows import drop, fill, merge, optional, pad, rename, split, tied, transpose
from bort_convert.mapping.source_names import prefixed_names, structural_names
from bort_convert.model_dir.read import open_stored
from bort_convert.models.bort import FAMILY as BORT
from bort_convert.params import open_params
from bort_convert.safetensors import save_tensors
from bort_convert.weights.to_checkpoint import check_left_out, export_weights

if TYPE_CHECKING:
    from pathlib import Path

    from bort_convert.dtypes import Array
    from bort_convert.mapping.plan import Plan

ROWS = (
    rename("embed", "toy.tokens", "vocab_size hidden_size"),
    tied("decoder", tied_to="embed", dims="vocab_size hidden_size", why="tied"),
    pad("positions", "toy.positions", "max_positions hidden_size", rows=2, why="two rows for padding"),
    fill("toy.types", "1 hidden_size", 0.5, why="Toy has no types"),
    split("cell.{layer}.qkv", [f"toy.layer.{{layer}}.{part}" for part in "qkv"], "3*hidden_size hidden_size"),
    merge(["cell.{layer}.a", "cell.{layer}.b"], "toy.layer.{layer}.ab", "hidden_size"),
    transpose("cell.{layer}.ffn", "toy.layer.{layer}.ffn", "intermediate_size hidden_size"),
    *optional(
        "head", rename("out.weight", "head.weight", "labels hidden_size"), rename("out.bias", "head.bias", "labels")
    ),
)
SHAPES = {"embed": (5, 2), "decoder": (5, 2), "positions": (4, 2), "out.weight": (3, 2), "out.bias": (3,)} | {
    f"cell.{layer}.{name}": shape
    for layer in range(2)
    for name, shape in {"qkv": (6, 2), "a": (2,), "b": (2,), "ffn": (7, 2)}.items()
}
TOY = Family(
    name="toy",
    title="Toy",
    tables=(Table("model", ROWS, (("ToyModel",), ("ToyHead", "head"))),),
    variants=(),
    hyperparameters={},
    config=(ConfigKey("hidden_size", "hidden_size"), ConfigKey("max_position_embeddings", "positions")),
    base="toy.",
    base_class="ToyModel",
)
CONFIG = {"hidden_size": 2, "max_position_embeddings": 4}


def toy_source(*, head: bool = True) -> dict[str, Array]:
    rng = np.random.default_rng(3)
    shapes = {name: shape for name, shape in SHAPES.items() if head or not name.startswith("out.")}
    source = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    return source | {"decoder": source["embed"]}


def specs_of(arrays: dict[str, Array]) -> dict[str, TensorSpec]:
    return {name: TensorSpec(name, array.dtype.name, array.shape) for name, array in arrays.items()}


def made_by(source: dict[str, Array], family: Family = TOY) -> dict[str, Array]:
    return dict(fit(specs_of(source), [family]).plan.forward(source))


def header_of(plan: Plan) -> dict[str, TensorSpec]:
    return {spec.name: spec for step in plan.steps for spec in step.targets}


@EVERY_FORM
def test_a_form_is_recognized_from_what_it_makes(family: Family, table: Table, groups: frozenset[str]) -> None:
    source = header_with(table, groups)
    made = fit_to(family, table, header=source)
    if any(isinstance(step.op, Drop) for step in made.plan.steps):
        with pytest.raises(MappingError, match="cannot be made again"):
            fit_directory(header_of(made.plan), made.config, [family], table=table.title)
        return
    found = fit_directory(header_of(made.plan), made.config, [family], table=table.title)
    assert (found.fit.table, found.fit.architecture, found.fit.plan.dims) == (table, made.architecture, made.plan.dims)
    assert {name: (spec.dtype, spec.shape) for name, spec in found.sources.items()} == {
        name: (spec.dtype, spec.shape) for name, spec in source.items() if spec
    }
    anywhere = fit_directory(header_of(made.plan), made.config, [family])
    assert anywhere.fit.architecture == made.architecture
    assert all(note.startswith("written as") for note in anywhere.notes)


@EVERY_FORM
def test_prefixed_names_are_read_as_the_names_that_they_were_made_from(
    family: Family, table: Table, groups: frozenset[str]
) -> None:
    plan = fit_to(family, table, header=header_with(table, groups)).plan
    names = [name for step in plan.steps for name in step.sources]
    prefixed = prefixed_names(names, table.rows, family.name)
    assert structural_names(prefixed.values(), table.rows) == (prefixed, [])
    nameless = [slot.name for row in table.rows for slot in row.sources if not slot.prefixed and not row.original]
    assert [name for name in names if name not in prefixed] == nameless


@pytest.mark.parametrize("head", [True, False])
def test_a_table_of_every_word_comes_back_bit_for_bit(head: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a case
    source = toy_source(head=head)
    save_tensors(tmp_path / "model.safetensors", made_by(source), {})
    with open_stored(tmp_path) as stored:
        found = fit_directory(stored.header, CONFIG, [TOY])
        check_left_out(found, stored)
        names = {name: name for name in found.sources}
        restored = export_weights(tmp_path / "back.params", found, stored, names, lambda _done, _total: None)
    with open_params(tmp_path / "back.params") as params:
        assert {name: array.tobytes() for name, array in params.items()} == {
            name: array.tobytes() for name, array in source.items()
        }
    assert restored.arrays.keys() == source.keys() - {"decoder"}
    assert len(set(restored.arrays.values())) == len(restored.arrays)


def test_a_row_of_padding_that_was_trained_is_refused(tmp_path: Path) -> None:
    made = made_by(toy_source())
    made["toy.positions"][1, 1] = 7
    save_tensors(tmp_path / "model.safetensors", made, {})
    with open_stored(tmp_path) as stored, pytest.raises(MappingError) as caught:
        check_left_out(fit_directory(stored.header, CONFIG, [TOY]), stored)
    assert caught.value.disagreements == (
        "toy.positions: the first 2 rows should be 0.0 throughout, and 1 of 4 values are not (two rows for padding)",
    )


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"toy.positions": (1, 2)}, "toy.positions: found shape (1, 2); axis 'positions+2' is 1, expected a multiple"),
        ({"toy.layer.1.ab": (5,)}, "toy.layer.1.ab: found shape (5,); axis '2*units' is 5, expected a multiple of 2"),
        ({"toy.layer.0.k": (3, 2)}, "toy.layer.0.k: found shape (3, 2); axis 'units' is 3, expected 2"),
        ({"toy.layer.0.ffn": (7, 2)}, "toy.layer.0.ffn: found shape (7, 2); axis 'units' is 7, expected 2"),
        ({"toy.layer.1.q": None}, "toy.layer.1.q: found nothing, expected shape (2, 2)"),
        ({"head.bias": None}, "head.bias: found nothing, expected shape (3,) (the file has other parts of the head)"),
        ({"toy.layer.2.q": (2, 2)}, "toy.layer.2.k: found nothing, expected shape (2, 2)"),
    ],
)
def test_what_speaks_against_a_table_is_said_by_the_names_in_the_directory(
    changes: dict[str, tuple[int, ...] | None], problem: str
) -> None:
    made = made_by(toy_source()) | {
        name: None if shape is None else np.zeros(shape, np.float32) for name, shape in changes.items()
    }
    with pytest.raises(MappingError, match="no family fits this directory; the closest is toy") as caught:
        fit_directory(specs_of({name: array for name, array in made.items() if array is not None}), CONFIG, [TOY])
    assert caught.value.disagreements[0].startswith(problem)


def test_parts_of_one_tensor_in_two_dtypes_are_refused() -> None:
    header = specs_of(made_by(toy_source()))
    header["toy.layer.1.k"] = replace(header["toy.layer.1.k"], dtype="float16")
    with pytest.raises(MappingError) as caught:
        fit_directory(header, CONFIG, [TOY])
    assert caught.value.disagreements == ("toy.layer.1.k: found float16 (2, 2), expected float32 (2, 2)",)


def test_what_was_dropped_cannot_come_back_and_the_reason_is_given() -> None:
    rows = (*ROWS, drop("cell.{layer}.cache", "hidden_size", why="a cache"))
    family = replace(TOY, tables=(Table("model", rows, (("ToyHead", "head"),)),))
    source = toy_source() | {f"cell.{layer}.cache": np.zeros(2, np.float32) for layer in range(2)}
    with pytest.raises(MappingError) as caught:
        fit_directory(specs_of(made_by(source, family)), CONFIG, [family])
    assert caught.value.disagreements == (
        "cell.0.cache: no directory holds it (a cache), and it cannot be made again",
        "cell.1.cache: no directory holds it (a cache), and it cannot be made again",
    )


def test_two_families_that_fit_are_a_question() -> None:
    alias = replace(TOY, name="alias")
    header = specs_of(made_by(toy_source()))
    with pytest.raises(VariantError, match=r"fits more than one family: toy, alias\. Pass --family with one"):
        fit_directory(header, CONFIG, [TOY, alias])
    hyperparameters = replace(
        alias, hyperparameters={"act": "relu"}, config=(*TOY.config, ConfigKey("hidden_act", "act"))
    )
    assert (
        _recognized_name(
            header, CONFIG | {"hidden_act": "relu"}, replace(hyperparameters, hyperparameters={"act": "gelu"})
        )
        == "toy"
    )


def _recognized_name(header: dict[str, TensorSpec], config: dict[str, Any], other: Family) -> str:
    found: FittedDirectory = fit_directory(header, config, [TOY, other])
    return found.fit.family.name


def test_no_class_for_these_groups_and_a_fact_that_nobody_knows_are_disagreements() -> None:
    header = specs_of(made_by(toy_source()))
    (table,) = TOY.tables
    headless = replace(TOY, tables=(replace(table, architectures=(("ToyModel",),)),))
    with pytest.raises(MappingError, match="no target class has a place for head together"):
        fit_directory(header, CONFIG, [headless])
    unknown = replace(TOY, config=(*TOY.config, ConfigKey("rope", "rope")))
    with pytest.raises(MappingError, match="rope cannot be read from shapes"):
        fit_directory(header, CONFIG | {"rope": 3}, [unknown])


def test_a_published_size_tells_the_directory_of_one_family_from_that_of_another() -> None:
    alias = replace(TOY, name="alias", variants=(Variant("twin_2_2", {"layers": 2, "hidden_size": 2}, {}),))
    assert fit_directory(specs_of(made_by(toy_source())), CONFIG, [TOY, alias]).fit.variant == "twin_2_2"


def test_tensors_without_a_prefixed_name_are_known() -> None:
    found = fit_directory(specs_of(made_by(toy_source())), CONFIG, [TOY], prefixed=True)
    assert len(unprefixed(found.fit)) == len(SHAPES) - 1


def test_a_table_with_prefixed_names_is_preferred_where_they_are_asked_for() -> None:
    first = rename("a", "toy.x", "hidden_size")
    second = rename("b", "toy.x", "hidden_size", prefixed="~model#_b")
    tables = tuple(Table(title, (row,), (("ToyModel",),)) for title, row in {"first": first, "second": second}.items())
    family, header = replace(TOY, tables=tables, config=()), {"toy.x": TensorSpec("toy.x", "float32", (3,))}
    for prefixed, title in {False: "first", True: "second"}.items():
        found = fit_directory(header, {}, [family], prefixed=prefixed)
        assert found.fit.table.title == title
        assert len(found.notes) == (not prefixed)


def test_a_counter_of_a_trillion_rows_without_a_value_is_refused_at_once(tmp_path: Path) -> None:
    table = next(table for table in BORT.tables if table.title == "language model")
    made = fit_to(BORT, table, header=language_model(units=0, positions=2**40))
    tensors = {name: np.zeros(spec.shape, np.float32) for name, spec in header_of(made.plan).items()}
    ids = "bert.embeddings.position_ids"
    save_tensors(tmp_path / "model.safetensors", tensors | {ids: np.zeros((1, 3), np.int64)}, {})
    with open_stored(tmp_path) as stored, pytest.raises(MappingError, match="position_ids: holds other numbers"):
        check_left_out(fit_directory(stored.header, made.config, [BORT]), stored)
