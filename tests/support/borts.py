"""Small Borts with random values everywhere, written as a `.params` file that MXNet reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bort_convert.params import save_params

if TYPE_CHECKING:
    from pathlib import Path

    from bort_convert.dtypes import Array


@dataclass(frozen=True)
class Size:
    layers: int = 3
    heads: int = 4
    hidden: int = 24
    units: int = 32
    vocab: int = 67
    positions: int = 16


SMALL = Size()
SQUARE = Size(layers=2, heads=2, hidden=16, units=16, vocab=41, positions=12)
"""hidden = units: here proj and ffn_2 have one shape, and every weight of a layer can be transposed."""
FULL = Size(layers=4, heads=8, hidden=768, units=1024, vocab=50265, positions=512)


def write_bort(path: Path, size: Size = SMALL, *, head: str = "mlm", seed: int = 1, dtype: str = "float32") -> Path:
    """Write one; `head` is "mlm", "", or a number of classes."""
    shapes = backbone(size)
    if head == "mlm":
        shapes |= {
            "decoder.0.weight": (size.units, size.units),
            "decoder.0.bias": (size.units,),
            "decoder.2.gamma": (size.units,),
            "decoder.2.beta": (size.units,),
            "decoder.3.bias": (size.vocab,),
        }
    elif head:
        shapes = {f"bort.{name}": shape for name, shape in shapes.items()}
        shapes |= {
            "classifier.1.weight": (size.units, size.units),
            "classifier.1.bias": (size.units,),
            "classifier.3.weight": (int(head), size.units),
            "classifier.3.bias": (int(head),),
        }
    rng = np.random.default_rng(seed)
    values = {name: _values(rng, name, shape).astype(dtype) for name, shape in shapes.items()}
    if head == "mlm":
        values["decoder.3.weight"] = values["word_embed.0.weight"]
    path.parent.mkdir(parents=True, exist_ok=True)
    save_params(path, values)
    return path


def backbone(size: Size) -> dict[str, tuple[int, ...]]:
    units, hidden = size.units, size.hidden
    shapes: dict[str, tuple[int, ...]] = {
        "word_embed.0.weight": (size.vocab, units),
        "encoder.position_weight": (size.positions, units),
        "encoder.layer_norm.gamma": (units,),
        "encoder.layer_norm.beta": (units,),
    }
    for layer in range(size.layers):
        cell = f"encoder.transformer_cells.{layer}"
        linear = {f"attention_cell.proj_{part}": (units, units) for part in ("query", "key", "value")}
        linear |= {"proj": (units, units), "ffn.ffn_1": (hidden, units), "ffn.ffn_2": (units, hidden)}
        for name, shape in linear.items():
            shapes |= {f"{cell}.{name}.weight": shape, f"{cell}.{name}.bias": shape[:1]}
        for name in ("layer_norm", "ffn.layer_norm"):
            shapes |= {f"{cell}.{name}.gamma": (units,), f"{cell}.{name}.beta": (units,)}
    return shapes


def _values(rng: np.random.Generator, name: str, shape: tuple[int, ...]) -> Array:
    noise = rng.standard_normal(shape)
    if name.endswith("gamma"):
        return 1 + 0.3 * noise
    if name.endswith(("beta", "bias")):
        return 0.2 * noise
    if "embed" in name or "position" in name:
        return 0.5 * noise
    return noise * 1.6 / np.sqrt(shape[-1])
