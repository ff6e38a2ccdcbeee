"""Write a random Bort of any size, piece by piece: 10 GB take no more memory than 50 MB.

    python benchmarks/generate.py OUT.params MEGABYTES

Layers are those of the published Bort (of a quarter of the width below 200 MB); the vocabulary makes up the size. The
matrix that the output layer is tied to stands in the file twice, as GluonNLP writes it. Convert it with
`--family bort --heads 8`.
"""

from __future__ import annotations

import struct
import sys
from math import prod
from pathlib import Path
from typing import IO, Final

import numpy as np
import numpy.typing as npt

LAYERS, POSITIONS = 4, 512
PIECE: Final = 1 << 20
"""Values per piece: 4 MiB of float32."""


def shapes_of(vocab: int, units: int) -> dict[str, tuple[int, ...]]:
    """Every parameter of a Bort with its language-model head: structural name -> shape."""
    hidden = units * 3 // 4
    shapes = {
        "word_embed.0.weight": (vocab, units),
        "encoder.position_weight": (POSITIONS, units),
        **_norm("encoder.layer_norm", units),
    }
    for number in range(LAYERS):
        cell = f"encoder.transformer_cells.{number}"
        for name in ("attention_cell.proj_query", "attention_cell.proj_key", "attention_cell.proj_value", "proj"):
            shapes |= _dense(f"{cell}.{name}", units, units)
        shapes |= _norm(f"{cell}.layer_norm", units)
        shapes |= _dense(f"{cell}.ffn.ffn_1", hidden, units) | _dense(f"{cell}.ffn.ffn_2", units, hidden)
        shapes |= _norm(f"{cell}.ffn.layer_norm", units)
    shapes |= _dense("decoder.0", units, units) | _norm("decoder.2", units)
    return shapes | _dense("decoder.3", vocab, units)


def generate(path: Path, nbytes: int) -> None:
    """Write a list file of about `nbytes` bytes; float32, finite, the same at every run."""
    units = 1024 if nbytes >= 200 * 10**6 else 256
    rest = sum(map(prod, shapes_of(0, units).values()))
    shapes = shapes_of(max((nbytes // 4 - rest) // (2 * units + 1), 1), units)
    noise = np.random.default_rng(6).standard_normal(2 * PIECE, np.float32) * np.float32(0.02)
    with path.open("xb") as file:
        file.write(struct.pack("<QQQ", 0x112, 0, len(shapes)))
        for number, (name, shape) in enumerate(shapes.items()):
            # What is tied has the values of the first.
            _write(file, shape, noise[0 if name == "decoder.3.weight" else number * 997 :])
        file.write(struct.pack("<Q", len(shapes)))
        for name in shapes:
            file.write(struct.pack("<Q", len(name)) + name.encode())


def _write(file: IO[bytes], shape: tuple[int, ...], noise: npt.NDArray[np.float32]) -> None:
    """One dense version 2 record on the CPU, of float32."""
    file.write(struct.pack(f"<Iii{len(shape)}qiii", 0xF993FAC9, 0, len(shape), *shape, 1, 0, 0))
    left = prod(shape)
    while left:
        count = min(left, PIECE)
        file.write(noise[:count].data)
        left -= count


def _dense(name: str, outputs: int, inputs: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def _norm(name: str, units: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.gamma": (units,), f"{name}.beta": (units,)}


def main() -> None:
    """Write the file that the command line names."""
    if len(sys.argv) != 3:  # noqa: PLR2004 - the program and two arguments
        sys.exit(__doc__)
    generate(Path(sys.argv[1]), int(float(sys.argv[2]) * 1e6))


if __name__ == "__main__":
    main()
