"""Any `.params` file at all, as safetensors or `.npz`: the arrays as they are, under the names that they have."""

from __future__ import annotations

import zipfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bort_convert.dtypes import BFLOAT16, TensorSpec
from bort_convert.errors import OutputError, printable
from bort_convert.files.atomic import new_file
from bort_convert.files.streams import sha256_of
from bort_convert.model_dir.manifest import Manifest, TensorEntry
from bort_convert.params import MAX_ARRAYS, ParamsFile, open_params
from bort_convert.weights.parallel_write import WrittenWeights, describe_source, values_of, write_weights

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence


def extract(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    force: bool = False,
    max_arrays: int = MAX_ARRAYS,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Manifest:
    """Write the arrays of any `.params` file, of any family or none, to one file.

    Sparse arrays are written dense. Records without a value are left out, and the manifest says so.

    Args:
        source: a `.params` file, or an archive that holds one.
        target: a name that ends in `.safetensors` or `.npz`.
        force: replace what stands at `target`.
        max_arrays: see `open_params`.
        progress: told from time to time the bytes written and the bytes to write.

    Raises:
        FormatError: the source cannot be read, or changed while it was read.
        OutputError: the target cannot be written, or its format cannot hold what the source holds.
    """
    writers = {".safetensors": _write_safetensors, ".npz": _write_npz}
    suffix = Path(target).suffix
    if suffix not in writers:
        raise OutputError(f"{target}: expected a name that ends in {' or '.join(writers)}, for the format to write")
    with (
        open_params(source, max_arrays=max_arrays, mapped=False) as params,
        new_file(target, source=source, force=force) as file,
    ):
        specs = [TensorSpec(name, info.dtype, info.shape) for name, info in params.header.items() if info.dtype]
        written = writers[suffix](file, params, specs, progress)
        params.check_unchanged()
        return Manifest(
            source=written.source,
            tensors={
                spec.name: TensorEntry((spec.name,), "copy", spec.dtype, spec.shape, written.digests[spec.name])
                for spec in specs
            },
            left_out={name: "a record without a value" for name, info in params.header.items() if info.dtype is None},
        )


def _write_safetensors(
    path: Path, params: ParamsFile, specs: Sequence[TensorSpec], progress: Callable[[int, int], None]
) -> WrittenWeights:
    payload = partial(values_of, params)
    return write_weights({path: specs}, params, payload, framework="np", progress=progress)


def _write_npz(
    path: Path, params: ParamsFile, specs: Sequence[TensorSpec], progress: Callable[[int, int], None]
) -> WrittenWeights:
    if problems := [problem for spec in specs if (problem := _no_npz_member(spec))]:
        raise OutputError("\n  ".join((".npz cannot hold these arrays; extract to .safetensors instead:", *problems)))
    total, done, digests = sum(spec.nbytes for spec in specs), 0, {}
    with path.open("xb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for spec in specs:
            array = np.asarray(params[spec.name], order="C")
            # A ZipInfo made by hand has a fixed date: the same arrays give the same file.
            with archive.open(zipfile.ZipInfo(f"{spec.name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)  # type: ignore[no-untyped-call]
            digests[spec.name] = sha256_of(array)
            done += spec.nbytes
            progress(done, total)
    return WrittenWeights(describe_source(params), digests)


def _no_npz_member(spec: TensorSpec) -> str:
    """Why an array cannot be a member of an archive, "" if it can."""
    called = f"'{printable(spec.name)}'"
    if spec.dtype == BFLOAT16:
        return f"{called}: NumPy's own format has no bfloat16"
    drive = spec.name[1:2] == ":"
    if drive or any(part in spec.name for part in ("\0", "\\", "..")) or spec.name.startswith("/"):
        return f"{called}: an archive that is unpacked would take this name for a path"
    if len(spec.name.encode()) > 60_000:  # noqa: PLR2004 - a zip counts a name's bytes in 16 bits
        return f"{called}: the name is too long for a zip"
    return ""
