"""A small family whose table has a row of every word that needs no model of its own, and one of its checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bort_convert.dtypes import TensorSpec
from bort_convert.mapping.family import ConfigKey, Family, Table
from bort_convert.mapping.fit import fit
from bort_convert.mapping.rows import fill, merge, optional, pad, rename, split, tied, transpose

if TYPE_CHECKING:
    from bort_convert.dtypes import Array

ROWS = (
    rename("embed", "toy.tokens", "vocab_size hidden_size"),
    tied("decoder", tied_to="embed", axes="vocab_size hidden_size", why="tied"),
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
    config=(ConfigKey("hidden_size", "hidden_size"), ConfigKey("max_position_embeddings", "max_positions")),
    base="toy.",
    base_class="ToyModel",
)
CONFIG = {"hidden_size": 2, "max_position_embeddings": 4}


def toy_arrays(*, head: bool = True) -> dict[str, Array]:
    """The tensors of a checkpoint, by their structural names."""
    rng = np.random.default_rng(3)
    shapes = {name: shape for name, shape in SHAPES.items() if head or not name.startswith("out.")}
    arrays = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    return arrays | {"decoder": arrays["embed"]}


def specs_of(arrays: dict[str, Array]) -> dict[str, TensorSpec]:
    return {name: TensorSpec(name, array.dtype.name, array.shape) for name, array in arrays.items()}


def targets_of(arrays: dict[str, Array], family: Family = TOY) -> dict[str, Array]:
    """The tensors of the directory that the checkpoint becomes."""
    return dict(fit(specs_of(arrays), [family]).plan.forward(arrays))
