"""Write a random Bort of any size, piece by piece: 10 GB take no more memory than 50 MB.

    python benchmarks/generate.py OUT.params MEGABYTES

Layers are those of the published Bort (a quarter as wide below 200 MB); the vocabulary makes up the size. The tied
matrix of the output layer stands in the file twice, as GluonNLP writes it. Convert the file with
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

LAYERS, MAX_POSITIONS = 4, 512
PIECE: Final = 1 << 20
"""Values per piece: 4 MiB of float32."""


def shapes_of(vocab_size: int, hidden_size: int) -> dict[str, tuple[int, ...]]:
    """Give every parameter of a Bort with its language-model head: structural name -> shape."""
    intermediate_size = hidden_size * 3 // 4
    shapes = {
        "word_embed.0.weight": (vocab_size, hidden_size),
        "encoder.position_weight": (MAX_POSITIONS, hidden_size),
        **_norm("encoder.layer_norm", hidden_size),
    }
    for number in range(LAYERS):
        cell = f"encoder.transformer_cells.{number}"
        for name in ("attention_cell.proj_query", "attention_cell.proj_key", "attention_cell.proj_value", "proj"):
            shapes |= _dense(f"{cell}.{name}", hidden_size, hidden_size)
        shapes |= _norm(f"{cell}.layer_norm", hidden_size)
        shapes |= _dense(f"{cell}.ffn.ffn_1", intermediate_size, hidden_size)
        shapes |= _dense(f"{cell}.ffn.ffn_2", hidden_size, intermediate_size)
        shapes |= _norm(f"{cell}.ffn.layer_norm", hidden_size)
    shapes |= _dense("decoder.0", hidden_size, hidden_size) | _norm("decoder.2", hidden_size)
    return shapes | _dense("decoder.3", vocab_size, hidden_size)


def generate(path: Path, nbytes: int) -> None:
    """Write a list file of about `nbytes` bytes; float32, finite, the same at every run."""
    hidden_size = 1024 if nbytes >= 200 * 10**6 else 256
    rest = sum(map(prod, shapes_of(0, hidden_size).values()))
    shapes = shapes_of(max((nbytes // 4 - rest) // (2 * hidden_size + 1), 1), hidden_size)
    noise = np.random.default_rng(6).standard_normal(2 * PIECE, np.float32) * np.float32(0.02)
    with path.open("xb") as file:
        file.write(struct.pack("<QQQ", 0x112, 0, len(shapes)))
        for number, (name, shape) in enumerate(shapes.items()):
            # The tied matrix has the values of the first one.
            _write(file, shape, noise[0 if name == "decoder.3.weight" else number * 997 :])
        file.write(struct.pack("<Q", len(shapes)))
        for name in shapes:
            file.write(struct.pack("<Q", len(name)) + name.encode())


def _write(file: IO[bytes], shape: tuple[int, ...], noise: npt.NDArray[np.float32]) -> None:
    """Write one dense float32 record of version 2, on the CPU."""
    file.write(struct.pack(f"<Iii{len(shape)}qiii", 0xF993FAC9, 0, len(shape), *shape, 1, 0, 0))
    left = prod(shape)
    while left:
        count = min(left, PIECE)
        file.write(noise[:count].data)
        left -= count


def _dense(name: str, outputs: int, inputs: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def _norm(name: str, hidden_size: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.gamma": (hidden_size,), f"{name}.beta": (hidden_size,)}


def main() -> None:
    """Write the file that the command line names."""
    if len(sys.argv) != 3:  # noqa: PLR2004 - the program and two arguments
        sys.exit(__doc__)
    generate(Path(sys.argv[1]), int(float(sys.argv[2]) * 1e6))


if __name__ == "__main__":
    main()
