"""Seeds of the fuzzer: small files of every kind, made from the fixtures, and from the corpus if it is there."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from params_files import GOLDEN
from targets import header_text

from bort_convert.dtypes import TensorSpec
from bort_convert.params import open_params
from bort_convert.verification.trace import HEADS
from bort_convert.verification.trace_file import load_trace, save_trace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bort_convert.verification.trace import Trace

ROOT = Path(__file__).parents[1]
LARGEST = 16384  # bytes of a seed: a fuzzer makes no progress on the values of a whole model


def seeds(target: str) -> dict[str, bytes]:
    """Give the seeds of a target by name; a name serves as a file name."""
    made = {"reader": _files, "names": _headers, "trace": _traces}[target]()
    return {name: data for name, data in made if len(data) <= LARGEST}


def _files() -> Iterator[tuple[str, bytes]]:
    yield from ((name, data) for name, (data, _) in GOLDEN.items())
    corpus = ROOT.parent / "shared" / "corpus"
    folders = (ROOT / "fixtures", *(corpus / name for name in ("params", "malformed")))
    for path in sorted(path for folder in folders for path in folder.glob("*.params")):
        yield path.stem, path.read_bytes()


def _headers() -> Iterator[tuple[str, bytes]]:
    for path in sorted((ROOT / "fixtures").glob("*.params")):
        with open_params(path) as file:
            header = {
                name: TensorSpec(name, info.dtype, info.shape) if info.dtype else None
                for name, info in file.header.items()
            }
        yield path.stem, header_text(header)


def _traces() -> Iterator[tuple[str, bytes]]:
    """Give traces of one dtype each: sampled traces with one layer, and whole traces of a head alone."""
    for path in sorted((ROOT / "fixtures" / "traces").glob("*.safetensors")):
        trace = load_trace(path)
        whole = {name: array for name, array in trace.inputs.items() if name != "positions"}
        for dtype, outputs in trace.outputs.items():
            layer = {name: outputs[name] for name in ("embeddings", "layer.0")}
            head = {name: array for name, array in outputs.items() if name in HEADS}
            yield f"{path.stem}-{dtype}-layer", _bytes(replace(trace, outputs={dtype: layer}))
            yield f"{path.stem}-{dtype}-head", _bytes(replace(trace, inputs=whole, outputs={dtype: head}))


def _bytes(trace: Trace) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace"
        save_trace(path, trace)
        return path.read_bytes()
