"""Files of GluonNLP 1.0's published sizes with random values, for `make zoo`.

No GluonNLP here can write all of them, so our own writer does. Tensors are compared bit for bit with those of the file
(`check --source`); the families that run on MXNet 1.9.1 are verified by GluonNLP itself, where `make gluonnlp1` has
made its environment.
"""

from __future__ import annotations

import io
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final
from unittest.mock import patch

import numpy as np
import published
from published import fit_of_entry, written_specs

from bort_convert.params import write_params

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from bort_convert.dtypes import Array, TensorSpec
    from bort_convert.zoo import ZooEntry

PYTHON: Final = Path(__file__).resolve().parents[2] / ".venv-gluonnlp1" / "bin" / "python"
RUNS_HERE: Final = frozenset({"albert", "bert-1.0", "electra", "mobilebert"})
PIECE: Final = 1 << 18
PADDING: Final = struct.pack("<HH16x", 0xFFFF, 16)
"""In place of the sizes and the disk that MXNet's archive repeats beside a long position: as many bytes."""


@dataclass(frozen=True)
class PublishedCheckpoint:
    """A file of GluonNLP 1.0's list, with random values in place of the published ones.

    Attributes:
        entry: the published file.
    """

    entry: ZooEntry

    @property
    def name(self) -> str:
        """Name of the entry, as a file can have it."""
        return self.entry.name.replace("/", "-")

    @property
    def family(self) -> str:
        """Its family."""
        return self.entry.family

    @property
    def variant(self) -> str:
        """Its published size."""
        return self.entry.variant

    @property
    def reference(self) -> list[str] | None:
        """Options of a verification by GluonNLP; None where it cannot run."""
        runs = self.family in RUNS_HERE and self.entry.form != "generator" and PYTHON.exists()
        return ["--mxnet-python", str(PYTHON)] if runs else None

    def write(self, out: Path) -> None:
        """Write the file: a tensor that the target model makes itself has its values, every other one random ones."""
        specs = written_specs(self.entry)
        values = _values(self.entry)
        if self.entry.container == "zip":
            with out.open("xb") as file:
                _write_zip(file, specs, values)
        else:
            write_params(out, specs, values)


def _values(entry: ZooEntry) -> Callable[[str], Iterator[Array]]:
    """Make the function that gives the values of a tensor, in pieces; a tied one has the same under each name."""
    plan = fit_of_entry(entry).plan
    constants: Mapping[str, Array] = {
        name: array
        for step in plan.steps
        if not step.targets
        for name, array in zip(step.sources, step.op.inverse(), strict=True)
    }
    shared = dict(plan.aliases)
    specs = {spec.name: spec for spec in written_specs(entry)}
    block = np.random.default_rng(20260101).standard_normal(PIECE, np.float32) * np.float32(0.05)
    # MobileBERT's norms do not normalise: with scales of 1 its values, and every rounding, double from layer to layer.
    scale = 0.5 if entry.family == "mobilebert" else 1.0
    places = {name: number for number, name in enumerate(sorted(specs))}

    def values(name: str) -> Iterator[Array]:
        if name in constants:
            yield constants[name]
            return
        left = int(np.prod(specs[name].shape))
        mine = np.roll(block, places.get(shared.get(name, name), 0)) + np.float32(scale * name.endswith("gamma"))
        while left:
            yield mine[:left]
            left -= min(left, PIECE)

    return values


class _Unseekable(io.RawIOBase):
    """A file that cannot be rewound, as MXNet 2 writes it: sizes and checksums stand behind each member."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override] # as zipfile calls it
        return self.file.write(data)


def _write_zip(file: IO[bytes], specs: list[TensorSpec], values: Callable[[str], Iterator[Array]]) -> None:
    # Python writes long positions from 2 GiB on, MXNet where the format needs them.
    limit = patch.object(zipfile, "ZIP64_LIMIT", published.ZIP64 - 1)
    with limit, zipfile.ZipFile(_Unseekable(file), "w", allowZip64=True) as archive:
        for spec in specs:
            info = zipfile.ZipInfo(f"{spec.name}.npy")
            with archive.open(info, "w") as member:
                header = {"descr": "<f4", "fortran_order": False, "shape": spec.shape}
                np.lib.format.write_array_header_1_0(member, header)
                for array in values(spec.name):
                    member.write(array.tobytes())
            if info.header_offset >= published.ZIP64:
                info.extra = PADDING
