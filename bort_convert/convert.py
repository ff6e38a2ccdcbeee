"""From a `.params` file to a directory that transformers loads: open, fit, write, and say what was done."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from bort_convert.dtypes import TensorSpec
from bort_convert.errors import MappingError, VariantError
from bort_convert.family import families
from bort_convert.fit import Fit, fit
from bort_convert.manifest import FILE_NAME, Manifest, Source, Tensor
from bort_convert.output import new_directory
from bort_convert.params import ParamsFile, open_params
from bort_convert.streams import FileRange, same_bytes, sha256_of
from bort_convert.tensorfile import write_tensors

if TYPE_CHECKING:
    from collections.abc import Callable

    from bort_convert.dtypes import Array
    from bort_convert.family import Fact

WEIGHTS: Final = "model.safetensors"
CONFIG: Final = "config.json"


def convert(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    family: str | None = None,
    variant: str | None = None,
    heads: int | None = None,
    force: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Manifest:
    """Convert a GluonNLP checkpoint to a directory that `transformers.AutoModel.from_pretrained` loads.

    Neither MXNet nor torch is imported. Every tensor keeps its dtype and its bits. The directory appears whole or not
    at all.

    Args:
        source: a `.params` file, or a model-zoo archive that holds one.
        target: the directory to write; absent or empty, unless `force` is given.
        family: name of the family, where a file fits two.
        variant: insist on this published size.
        heads: attention heads, for a size that was never published.
        force: replace what stands at `target`.
        progress: told from time to time the bytes written and the bytes to write.

    Raises:
        FormatError: the source cannot be read.
        MappingError: no table fits the source: all disagreements with the closest one.
        VariantError: what shapes cannot show is not known, or what was given contradicts the file.
        OutputError: the target cannot be written.
    """
    options: dict[str, Fact | None] = {"family": family, "variant": variant, "heads": heads}
    with open_params(source) as params:
        found = fit_source(params, family=family, variant=variant, heads=heads)
        with new_directory(target, force=force) as folder, Path(source).open("rb") as file:
            whole = FileRange(file.fileno(), 0, params.size)
            with ThreadPoolExecutor(1) as pool:
                # hashlib lets go of the interpreter's lock: hashing the source costs a second core and no time.
                sha256 = pool.submit(sha256_of, whole)
                check_twins(params, found)
                digests = _write_weights(folder / WEIGHTS, params, found, progress)
            manifest = Manifest(
                source=Source(Path(source).name, params.size, sha256.result()),
                family=found.family.name,
                table=found.table.title,
                variant=found.variant,
                architecture=found.architecture,
                dims=found.plan.dims,
                facts=found.facts,
                options={name: value for name, value in options.items() if value is not None},
                tied={found.names[name]: found.names[original] for name, original in found.plan.twins},
                left_out=_left_out(found),
                tensors=_tensors(found, digests),
            )
            write_text(folder / CONFIG, json.dumps(found.config, indent=2, sort_keys=True) + "\n")
            write_text(folder / FILE_NAME, manifest.to_json())
    return manifest


def fit_source(
    params: ParamsFile, *, family: str | None = None, variant: str | None = None, heads: int | None = None
) -> Fit:
    """What an open file is: its family, its sizes, the plan and the receiving config. No value is read.

    Raises:
        MappingError: no table fits the file.
        VariantError: what shapes cannot show is not known, or what was given contradicts the file.
    """
    known = families()
    if family is not None and family not in known:
        raise VariantError(f"no family is called {family!r}; known are {', '.join(known)}")
    header = {
        name: None if info.dtype is None else TensorSpec(name, info.dtype, info.shape)
        for name, info in params.header.items()
    }
    return fit(header, [known[family]] if family else known.values(), variant=variant, heads=heads)


def check_twins(params: ParamsFile, found: Fit) -> None:
    """Make sure that tensors which are written once really are equal, bit for bit.

    Raises:
        MappingError: they are not: how many values differ, and where the first one stands.
    """
    problems = []
    for twin, original in found.plan.twins:
        one, other = found.names[twin], found.names[original]
        first, second = payload_of(params, one), payload_of(params, other)
        if isinstance(first, FileRange) and isinstance(second, FileRange) and same_bytes(first, second):
            continue
        bits = [np.ascontiguousarray(params[name]).view(f"u{params[name].itemsize}") for name in (one, other)]
        if different := int(np.count_nonzero(bits[0] != bits[1])):
            position = tuple(int(axis[0]) for axis in np.nonzero(bits[0] != bits[1]))
            problems.append(
                f"{one}: differs from {other} in {different:,} of {bits[0].size:,} values, first at {position}; "
                "expected no difference, because the receiving model ties them"
            )
    if problems:
        raise MappingError("tensors that are written once are not equal:", problems)


def payload_of(params: ParamsFile, name: str) -> FileRange | Array:
    """A tensor's bytes where they stand in the file, or its values where they do not stand there as they are.

    Members of an archive are read as values: their checksums are verified on the way.
    """
    info = params.header[name]
    if params.kind == "list" and info.storage == "dense" and info.offset is not None and info.dtype != "bool":
        return FileRange(params.fileno(), info.offset, info.nbytes)
    return params[name]


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8 and have the system write it down."""
    with path.open("x", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _write_weights(path: Path, params: ParamsFile, found: Fit, progress: Callable[[int, int], None]) -> dict[str, str]:
    steps = {spec.name: (step, number) for step in found.plan.steps for number, spec in enumerate(step.targets)}
    specs = [spec for step in found.plan.steps for spec in step.targets]

    def payload(name: str) -> FileRange | Array:
        step, number = steps[name]
        sources = [found.names[source] for source in step.sources]
        if step.copied:
            return payload_of(params, sources[0])
        return step.op.forward(*(params[source] for source in sources))[number]

    total, done = sum(spec.nbytes for spec in specs), 0

    def advance(nbytes: int) -> None:
        nonlocal done
        done += nbytes
        progress(done, total)

    # Older releases of transformers refuse a file that does not say which framework wrote it.
    return write_tensors(path, specs, payload, metadata={"format": "pt"}, advance=advance)


def _tensors(found: Fit, digests: dict[str, str]) -> dict[str, Tensor]:
    return {
        spec.name: Tensor(
            sources=tuple(found.names[name] for name in step.sources),
            op=type(step.op).__name__.lower(),
            dtype=spec.dtype,
            shape=spec.shape,
            sha256=digests[spec.name],
            why=step.why,
        )
        for step in found.plan.steps
        for spec in step.targets
    }


def _left_out(found: Fit) -> dict[str, str]:
    return {found.names[name]: step.why for step in found.plan.steps if not step.targets for name in step.sources}
