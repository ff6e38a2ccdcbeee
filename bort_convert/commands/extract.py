"""Extract the arrays of any `.params` file to safetensors or `.npz`, names and values unchanged."""

from __future__ import annotations

import zipfile
from functools import partial
from typing import TYPE_CHECKING, Final

from bort_convert.dtypes import BFLOAT16, TensorSpec
from bort_convert.errors import OptionError, OutputError, printable
from bort_convert.files.atomic import new_file
from bort_convert.files.places import named_place
from bort_convert.files.streams import sha256_of
from bort_convert.lazy_numpy import np
from bort_convert.mapping.selection import Selection
from bort_convert.mapping.source_names import bare_name
from bort_convert.model_dir.manifest import IGNORED, Manifest, TensorEntry
from bort_convert.model_dir.ownership import reason_to_keep_file
from bort_convert.params import MAX_ARRAYS, ParamsFile, open_params
from bort_convert.weights.parallel_write import WrittenWeights, describe_source, values_of, write_weights

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence
    from pathlib import Path

_MAX_NAME_BYTES: Final = 60_000  # a zip counts the bytes of a name in 16 bits


def extract(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    prefix: str = "",
    ignore: Sequence[str] = (),
    force: bool = False,
    max_arrays: int = MAX_ARRAYS,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Manifest:
    """Write the arrays of any `.params` file, of any model family or none, to one file.

    Sparse arrays are written dense. Records without a value are left out and named in the manifest.

    Args:
        source: a `.params` file, or an archive or a directory that holds one; or a URL.
        target: the file to write, or its URL; its name ends in `.safetensors` or `.npz`.
        prefix: copy only arrays whose names begin so; names stay as they are.
        ignore: patterns of names of arrays to leave out; see `convert`.
        force: replace a file at `target`, unless a converted directory holds it.
        max_arrays: see `open_params`.
        progress: called with the bytes written so far and the bytes in all; then, for a target elsewhere, with the
            bytes sent so far and the bytes to send.

    Returns:
        The manifest of the written file; it is not saved.

    Raises:
        FormatError: the source cannot be read, or changed while it was read.
        OptionError: the name of the target has another ending; or `prefix` or a pattern matches no name.
        OutputError: the target cannot be written, or its format cannot hold an array.

    Examples:
        >>> manifest = bort_convert.extract("fixtures/cnn_tiny.params", "cnn.npz", ignore=["aux:*"])
        >>> len(manifest.tensors)
        6
    """
    writers = {".safetensors": _write_safetensors, ".npz": _write_npz}
    suffix = named_place(target).suffix
    if suffix not in writers:
        raise OptionError("target", target, f"expected a name that ends in {' or '.join(writers)}")
    with (
        open_params(source, max_arrays=max_arrays, mapped=False) as params,
        new_file(
            target, source=params.path, force=force, reason_to_keep=reason_to_keep_file, progress=progress
        ) as file,
    ):
        reasons = _left_out(params, prefix, ignore)
        specs = [spec for name, spec in params.specs.items() if spec and name not in reasons]
        written = writers[suffix](file, params, specs, progress)
        params.check_unchanged()
        return Manifest(
            source=written.source,
            tensors={
                spec.name: TensorEntry((spec.name,), "copy", spec.dtype, spec.shape, written.digests[spec.name])
                for spec in specs
            },
            left_out=reasons,
        )


def _left_out(params: ParamsFile, prefix: str, ignore: Sequence[str]) -> dict[str, str]:
    """Reason for each array that is not copied.

    Raises:
        OptionError: `prefix` or a pattern matches no name.
    """
    if isinstance(ignore, str):
        raise OptionError("ignore", ignore, "expected a list of patterns")
    if prefix and not any(bare_name(name).startswith(prefix) for name in params.header):
        raise OptionError("prefix", prefix, "no name in the file begins so")
    reasons = {name: "a record without a value" for name, info in params.header.items() if info.dtype is None}
    reasons |= {
        name: f"not under {printable(prefix)}" for name in params.header if not bare_name(name).startswith(prefix)
    }
    ignored = Selection(ignore=tuple(ignore)).ignored(params.header)
    return reasons | {name: f"{IGNORED}'{printable(pattern)}'" for name, pattern in ignored.items()}


def _write_safetensors(
    path: Path, params: ParamsFile, specs: Sequence[TensorSpec], progress: Callable[[int, int], None]
) -> WrittenWeights:
    payload = partial(values_of, params)
    return write_weights({path: specs}, params, payload, framework="np", progress=progress)


def _write_npz(
    path: Path, params: ParamsFile, specs: Sequence[TensorSpec], progress: Callable[[int, int], None]
) -> WrittenWeights:
    if problems := [problem for spec in specs if (problem := _npz_problem(spec))]:
        raise OutputError("\n  ".join((".npz cannot hold these arrays; extract to .safetensors instead:", *problems)))
    total, done, digests = sum(spec.nbytes for spec in specs), 0, {}
    with path.open("xb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for spec in specs:
            array = np.asarray(params[spec.name], order="C")
            # An explicit ZipInfo has a fixed date: the same arrays give the same file.
            with archive.open(zipfile.ZipInfo(f"{spec.name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)  # type: ignore[no-untyped-call]
            digests[spec.name] = sha256_of(array)
            done += spec.nbytes
            progress(done, total)
    return WrittenWeights(describe_source(params), digests)


def _npz_problem(spec: TensorSpec) -> str:
    """Explain why an array cannot be a member of an archive; "" if it can."""
    name = f"'{printable(spec.name)}'"
    if spec.dtype == BFLOAT16:
        return f"{name}: NumPy's own format has no bfloat16"
    has_drive = spec.name[1:2] == ":"
    if has_drive or any(part in spec.name for part in ("\0", "\\", "..")) or spec.name.startswith("/"):
        return f"{name}: an archive that is unpacked would take this name for a path"
    if len(spec.name.encode()) > _MAX_NAME_BYTES:
        return f"{name}: the name is too long for a zip"
    return ""
