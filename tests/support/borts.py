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
    attention_heads: int = 4
    intermediate_size: int = 24
    hidden_size: int = 32
    vocab_size: int = 67
    max_positions: int = 16


SMALL = Size()
FULL = Size(layers=4, attention_heads=8, intermediate_size=768, hidden_size=1024, vocab_size=50265, max_positions=512)


def write_bort(path: Path, size: Size = SMALL, *, head: str = "mlm", seed: int = 1, dtype: str = "float32") -> Path:
    """Write a checkpoint; `head` is "mlm", "", or the number of classes."""
    hidden, vocab = size.hidden_size, size.vocab_size
    shapes = backbone(size)
    if head == "mlm":
        shapes |= {
            "decoder.0.weight": (hidden, hidden),
            "decoder.0.bias": (hidden,),
            "decoder.2.gamma": (hidden,),
            "decoder.2.beta": (hidden,),
            "decoder.3.bias": (vocab,),
        }
    elif head:
        shapes = {f"bort.{name}": shape for name, shape in shapes.items()}
        shapes |= {
            "classifier.1.weight": (hidden, hidden),
            "classifier.1.bias": (hidden,),
            "classifier.3.weight": (int(head), hidden),
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
    hidden, intermediate = size.hidden_size, size.intermediate_size
    shapes: dict[str, tuple[int, ...]] = {
        "word_embed.0.weight": (size.vocab_size, hidden),
        "encoder.position_weight": (size.max_positions, hidden),
        "encoder.layer_norm.gamma": (hidden,),
        "encoder.layer_norm.beta": (hidden,),
    }
    for layer in range(size.layers):
        cell = f"encoder.transformer_cells.{layer}"
        linear = {f"attention_cell.proj_{part}": (hidden, hidden) for part in ("query", "key", "value")}
        linear |= {"proj": (hidden, hidden), "ffn.ffn_1": (intermediate, hidden), "ffn.ffn_2": (hidden, intermediate)}
        for name, shape in linear.items():
            shapes |= {f"{cell}.{name}.weight": shape, f"{cell}.{name}.bias": shape[:1]}
        for name in ("layer_norm", "ffn.layer_norm"):
            shapes |= {f"{cell}.{name}.gamma": (hidden,), f"{cell}.{name}.beta": (hidden,)}
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
