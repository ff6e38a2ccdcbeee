"""Figures of docs/parity.md for GluonNLP 1.0: live on MXNet 1.9.1, or against outputs that were recorded with MXNet 2.

    python tests/support/parity_gluonnlp1.py PYTHON

verifies each checkpoint of fixtures/gluonnlp1 and keeps its figures in bort_convert/zoo/parity_gluonnlp1.json.
PYTHON is the interpreter of `make gluonnlp1`.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from errors_gluonnlp1 import FAMILIES, FOLDER, LIVE, options_of

from bort_convert import convert, verify
from bort_convert.verification.trace import HEADS

if TYPE_CHECKING:
    from bort_convert.verification.report import Report

RESULTS = Path(__file__).parents[2] / "bort_convert" / "zoo" / "parity_gluonnlp1.json"
COLUMNS = ("checkpoint", "family", "reference", "outputs", "float64", "float32, hidden", "float32, heads", "verdict")
INTRODUCTION = """\
The models of GluonNLP 1.0, small ones with random values (`fixtures/gluonnlp1`). *live*: GluonNLP ran when these
figures were made. *recorded*: its outputs were kept from an earlier run on MXNet 2, which CI has not; the figures are
differences from them. Each is the largest absolute difference of any output. What MXNet 2 computes in float32 in a
float64 run, the GELU by the error function and the mean, was replaced by float64 code on its side, and so were T5's
norms on torch's side; `verify` says what each costs."""


def main(python: str) -> None:
    """Verify every checkpoint and keep the figures."""
    rows = []
    for name, family in FAMILIES.items():
        with tempfile.TemporaryDirectory() as folder:
            target, source = Path(folder) / "out", FOLDER / f"{name}.params"
            convert(source, target, **options_of(name))
            reference = source if name in LIVE else FOLDER / f"{name}.trace.safetensors"
            report = verify(reference, target, mxnet_python=python if name in LIVE else None)
            rows.append(row_of(name, family, report))
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n")


def row_of(name: str, family: str, report: Report) -> dict[str, Any]:
    """Figures of a checkpoint."""
    runs = {run.dtype: run.layers for run in report.runs}
    versions = f"mxnet {report.versions['mxnet']}, {report.versions['gluonnlp']}"
    return {
        "checkpoint": name,
        "family": family,
        "reference": f"{'live' if name in LIVE else 'recorded'}: {versions}",
        "outputs": len(runs["float64"]),
        "float64": max(layer.max_abs for layer in runs["float64"]),
        "float32, hidden": max(layer.max_abs for layer in runs["float32"] if layer.name not in HEADS),
        "float32, heads": max((layer.max_abs for layer in runs["float32"] if layer.name in HEADS), default=None),
        "verdict": "PASS" if report.passed else "**FAIL**",
    }


def section() -> list[str]:
    """Lines of the page."""
    rows = json.loads(RESULTS.read_text())
    shown = [[_cell(row[column]) for column in COLUMNS] for row in rows]
    lines = [f"| {' | '.join(cells)} |" for cells in (COLUMNS, ["---"] * len(COLUMNS), *shown)]
    return ["## GluonNLP 1.0", "", INTRODUCTION, "", *lines]


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.1e}"
    return "-" if value is None else str(value)


if __name__ == "__main__":
    main(*sys.argv[1:])
