"""The way back: from a directory that transformers loads to the `.params` file that GluonNLP loads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bort_convert.dtypes import BFLOAT16
from bort_convert.errors import FormatError, OutputError, VariantError, printable
from bort_convert.files.atomic import new_file
from bort_convert.mapping.fit_directory import FittedDirectory, fit_directory, unprefixed
from bort_convert.mapping.source_names import prefixed_names
from bort_convert.model_dir.manifest import FILE_NAME, Manifest, SourceFile, TensorEntry
from bort_convert.model_dir.read import ModelDir, read_model_dir
from bort_convert.models.registry import families
from bort_convert.weights.to_checkpoint import check_left_out, export_weights

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Mapping

    from bort_convert.weights.to_checkpoint import ExportDigests

STRUCTURAL: Final = "structural"
PREFIX: Final = "prefix"


def export(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    family: str | None = None,
    names: str = STRUCTURAL,
    force: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Manifest:
    """Write the checkpoint that a directory came from, or could have come from.

    One that `convert` wrote gives its source's arrays back, bit for bit. Of any other the tensors' names and shapes and
    config.json must be those that a conversion of some GluonNLP model would give. Every tensor keeps its dtype and its
    bits.

    Args:
        source: the directory, with its weights in safetensors.
        target: the `.params` file to write, outside of the directory.
        family: name of the family, where the directory fits two.
        names: "structural", as `save_parameters` writes them, or "prefix", as `collect_params().save` does.
        force: replace what stands at `target`.
        progress: told from time to time the bytes written and the bytes to write.

    Returns:
        What was written: its `tensors` are by name in the file, and the SHA-256 of each is that of the array there.

    Raises:
        FormatError: the directory cannot be read, or changed while it was read.
        MappingError: no GluonNLP model has these tensors; or what it has no place for is not the constant or the copy
            that it has to be. All disagreements.
        VariantError: two families fit, or there are no such names for this model.
        OutputError: the target cannot be written.
    """
    folder = Path(source)
    if names not in {STRUCTURAL, PREFIX}:
        raise VariantError(f"names is {names!r}, expected {STRUCTURAL!r} or {PREFIX!r}")
    if Path(target).resolve().is_relative_to(folder.resolve()):
        raise OutputError(f"{target} is inside {folder}, which is exported; expected a place beside it")
    directory = read_model_dir(folder)
    known = directory.manifest
    found = _fitted(directory, family, prefixed=names == PREFIX)
    with directory.open_weights() as stored:
        written = _written_names(found, known, names)
        check_left_out(found, stored)
        with new_file(target, force=force) as path:
            restored = export_weights(path, found, stored, written, progress)
            stored.check_unchanged()
        manifest = _manifest(found, restored, written, SourceFile(folder.resolve().name, stored.size))
    return replace(manifest, options={"names": names}, notes=tuple(_notes(found, restored, known)))


def _fitted(directory: ModelDir, family: str | None, *, prefixed: bool) -> FittedDirectory:
    """Find the table that made a directory; the manifest of a converted one names it."""
    manifest, known, table = directory.manifest, families(), ""
    if manifest is not None:
        if family not in {None, manifest.family}:
            raise VariantError(
                f"{FILE_NAME} says that the directory came from {printable(manifest.family)}. Leave --family out"
            )
        family, table = manifest.family, manifest.table
        if family not in known or table not in {one.title for one in known[family].tables}:
            raise FormatError(
                f"{FILE_NAME}: names the family {printable(repr(family))} and its table {printable(repr(table))}, "
                f"which this version does not know; known are {', '.join(known)}. Convert again"
            )
    elif family is not None and family not in known:
        raise VariantError(f"no family is called {family!r}; known are {', '.join(known)}")
    gluonnlp_version = manifest.options.get("gluonnlp_version") if manifest is not None else None
    chosen = [known[family]] if family else known.values()
    # Prefixed names are of parameters, not of places: one table's are as good as another's.
    return fit_directory(
        directory.header,
        directory.config,
        [one.for_version(str(gluonnlp_version)) for one in chosen] if gluonnlp_version else chosen,
        table="" if prefixed else table,
        prefixed=prefixed,
    )


def _written_names(found: FittedDirectory, manifest: Manifest | None, style: str) -> dict[str, str]:
    """Structural name -> name in the file, in its order.

    A tied tensor has both of its structural names, as GluonNLP writes it, unless the source had only one; it has one
    prefixed name.

    Raises:
        VariantError: the family's table knows no prefixed names.
    """
    fit = found.fit
    if style == PREFIX:
        if nameless := unprefixed(fit):
            raise VariantError(
                f"{fit.family.title} ({fit.table.title}) has no prefixed name for {nameless[0]}. Leave --names out"
            )
        return prefixed_names(
            [name for step in fit.plan.steps for name in step.sources], fit.table.rows, fit.family.source_name
        )
    had = {name for tensor in manifest.tensors.values() for name in tensor.sources} if manifest else set()
    had |= set(manifest.tied) if manifest else set()
    absent = {name for pair in fit.plan.aliases if had & {*pair} for name in pair if name not in had}
    return {name: name for name in found.sources if name not in absent}


def _manifest(found: FittedDirectory, restored: ExportDigests, written: Mapping[str, str], source: SourceFile) -> Manifest:
    fit = found.fit
    tensors: dict[str, TensorEntry] = {}
    left_out: dict[str, str] = {}
    for step in fit.plan.steps:
        places = tuple(found.name_map.targets[spec.name] for spec in step.targets)
        op = step.op.name
        for name in step.sources:
            for each in (name, *(alias for alias, original in fit.plan.aliases if original == name)):
                if each in written:
                    spec = found.sources[each]
                    tensors[written[each]] = TensorEntry(places, op, spec.dtype, spec.shape, restored.arrays[name])
        if not step.sources:
            left_out |= dict.fromkeys(places, step.why)
    left_out |= {second: f"equals {first}: tied" for second, first in found.name_map.aliases.items()}
    left_out |= dict.fromkeys(found.name_map.counters, "counts positions and holds no weights")
    left_out |= dict.fromkeys(found.name_map.masks, "hides later tokens and holds no weights")
    return Manifest(
        source=source,
        family=fit.family.name,
        table=fit.table.title,
        variant=fit.variant,
        architecture=fit.architecture,
        dims=fit.plan.dims,
        hyperparameters=fit.hyperparameters,
        tied={written[alias]: written[name] for alias, name in fit.plan.aliases if {alias, name} <= written.keys()},
        left_out=left_out,
        tensors=tensors,
    )


def _notes(found: FittedDirectory, restored: ExportDigests, manifest: Manifest | None) -> Iterator[str]:
    """What the file is and is not, for a person."""
    if manifest is not None:
        source, cast = printable(manifest.source.name), manifest.options.get("dtype")
        digests = {name: manifest.tensors[name].sha256 for name in restored.tensors if name in manifest.tensors}
        changed = [name for name, digest in restored.tensors.items() if digests.get(name) != digest]
        if cast is not None:
            yield f"the conversion cast every tensor to {cast}: these are not the bits of {source}"
        elif not any(digests.values()):
            yield f"{FILE_NAME} has no digests: whether these are the bits of {source} cannot be told"
        elif changed:
            yield f"{len(changed):,} of {len(restored.tensors):,} tensors are no longer those of {source}"
        else:
            yield f"the arrays of {source}, bit for bit"
    dtypes = {spec.dtype for spec in found.sources.values()}
    if BFLOAT16 in dtypes:
        yield "MXNet reads bfloat16 from release 1.7 on, and makes float32 of it on a CPU"
    if "float16" in dtypes:
        yield "GluonNLP loads float16 into a model that was cast to it, or with cast_dtype=True"
    yield from found.notes
