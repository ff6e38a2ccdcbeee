"""Our parity figures of the published sizes: what `make zoo` and `make gluonnlp1` measured, kept beside this module."""

from __future__ import annotations

import json
import pkgutil
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bort_convert.zoo.entry import ZooEntry

OF_0_X: Final = "parity.json"
OF_1_0: Final = "parity_gluonnlp1.json"


@dataclass(frozen=True)
class Parity:
    """Differences between GluonNLP and transformers, of a checkpoint with random values.

    Attributes:
        checkpoint: the checkpoint that was compared.
        full_size: True if it has the published size, False for a small one of the same family.
        reference: what ran as the original.
        float64: largest difference of any output in float64; of a full size, in units of that output's largest value.
        float32_hidden: largest absolute difference of the embeddings and any layer in float32.
        float32_heads: likewise of any head; None if none was compared.
        passed: True if every bar was met.
    """

    checkpoint: str
    full_size: bool
    reference: str
    float64: float
    float32_hidden: float
    float32_heads: float | None
    passed: bool

    def to_dict(self) -> dict[str, object]:
        """The figures as JSON data."""
        return asdict(self)


def parity_of(entry: ZooEntry) -> Parity | None:
    """Figures of an entry itself, or else of its published size, or else of its family; None without any."""
    if entry.gluonnlp == "1.0":
        return _of_families().get(entry.family)
    return _of_sizes().get(entry.name) or _of_sizes().get(entry.variant)


@cache
def _of_sizes() -> Mapping[str, Parity]:
    return {
        row["name"]: Parity(
            row["name"],
            full_size=True,
            reference=f"mxnet {row['versions']['mxnet']}, gluonnlp {row['versions']['gluonnlp']}",
            float64=row["float64"],
            float32_hidden=row["float32_hidden"],
            float32_heads=row["float32_heads"] if row["heads"] else None,
            passed=not row["problems"],
        )
        for row in _stored(OF_0_X)
    }


@cache
def _of_families() -> Mapping[str, Parity]:
    """By family; of several checkpoints the last, which has the names of the published files."""
    return {
        row["family"]: Parity(
            row["checkpoint"],
            full_size=False,
            reference=row["reference"],
            float64=row["float64"],
            float32_hidden=row["float32, hidden"],
            float32_heads=row["float32, heads"],
            passed=row["verdict"] == "PASS",
        )
        for row in _stored(OF_1_0)
    }


def _stored(name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(pkgutil.get_data(__package__, name) or b"[]")
    return rows
