"""Headers of Borts of any size, made from the tables: names, dtypes and shapes, as a plan and a fit see them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bort_convert.dtypes import TensorSpec
from bort_convert.mapping.axes import shape_of
from bort_convert.models.bort import FAMILY

if TYPE_CHECKING:
    from bort_convert.mapping.rows import Rows

LANGUAGE_MODEL, CLASSIFIER = (table.rows for table in FAMILY.tables[:2])
Header = dict[str, TensorSpec | None]

DIMS = {"vocab_size": 11, "hidden_size": 6, "intermediate_size": 4, "max_positions": 5, "layers": 2, "labels": 3}
RELEASED = {
    "vocab_size": 50265,
    "hidden_size": 1024,
    "intermediate_size": 768,
    "max_positions": 512,
    "layers": 4,
    "labels": 3,
}


def header_of(rows: Rows, dims: dict[str, int], dtype: str = "float32") -> Header:
    """Every tensor that a table can take, at the given sizes."""
    header: Header = {}
    for row in rows:
        for numbers in row.numbers(dims):
            for source in row.sources:
                name = source.name.format(**numbers)
                header[name] = TensorSpec(name, dtype, shape_of(source.axes, dims))
    return header


def language_model(**dims: int) -> Header:
    return header_of(LANGUAGE_MODEL, DIMS | dims)


def classifier(**dims: int) -> Header:
    return header_of(CLASSIFIER, DIMS | dims)


def encoder(**dims: int) -> Header:
    return {name: spec for name, spec in language_model(**dims).items() if not name.startswith("decoder.")}


def reshaped(header: Header, name: str, shape: tuple[int, ...], dtype: str = "float32") -> Header:
    return header | {name: TensorSpec(name, dtype, shape)}


def without(header: Header, *names: str) -> Header:
    return {name: spec for name, spec in header.items() if name not in names}
