"""Export a directory that transformers loads to the `.params` file that GluonNLP loads."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from bort_convert.arguments import NameStyle
from bort_convert.dtypes import BFLOAT16
from bort_convert.errors import FormatError, OptionError, OutputError, printable
from bort_convert.files.atomic import new_file
from bort_convert.files.fetched import on_this_machine
from bort_convert.files.places import named_place
from bort_convert.mapping.fit_directory import FittedDirectory, fit_directory
from bort_convert.mapping.selection import shown_names
from bort_convert.model_dir.file_names import has_own_attribute, names_in_file
from bort_convert.model_dir.manifest import FILE_NAME, IGNORED, Manifest, SourceFile, TensorEntry
from bort_convert.model_dir.ownership import reason_to_keep_file
from bort_convert.model_dir.read import ModelDir, read_model_dir
from bort_convert.model_dir.shards import EXTRA
from bort_convert.models.registry import families, find_family
from bort_convert.weights.to_checkpoint import check_left_out, export_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from bort_convert.arguments import FamilyName
    from bort_convert.mapping.family import Family
    from bort_convert.weights.to_checkpoint import ExportDigests


@on_this_machine(source=FILE_NAME)
def export(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    family: FamilyName | None = None,
    names: NameStyle | None = None,
    force: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Manifest:
    """Write the checkpoint that a directory came from, or could have come from.

    A directory that `convert` wrote gives its source's arrays back, bit for bit. Any other must have the tensors and
    the config.json that a conversion of some GluonNLP model would write. Every tensor keeps its dtype and its bits.

    Args:
        source: the directory, with its weights in safetensors, or its URL.
        target: the `.params` file to write, or its URL, outside of the directory.
        family: name of the model family, for a directory that fits two.
        names: "structural" for the names of `save_parameters`, "prefix" for those of `collect_params().save`, "source"
            for those of the file that was converted. By default "source" where the model stood inside of another
            network or a table of the user's own took it, else "structural".
        force: replace a file at `target`, unless a converted directory holds it.
        progress: called with the bytes written so far and the bytes in all; then, for a target elsewhere, with the
            bytes sent so far and the bytes to send.

    Returns:
        The manifest of the written file; its `tensors` are the arrays by name. It is not saved.

    Raises:
        FormatError: the directory cannot be read, or changed while it was read.
        MappingError: no GluonNLP model has these tensors; or tensors that it does not hold have other values than a
            conversion gives them. The message names all of them.
        OptionError: an argument is wrong, contradicts the directory, or the model has no such names.
        VariantError: two families fit.
        OutputError: the target cannot be written.

    Examples:
        >>> manifest = bort_convert.convert("fixtures/bort_4_8_24_32.params", "out", family="bort", heads=8)
        >>> bort_convert.export("out", "back.params").family
        'bort'
        >>> with bort_convert.open_params("back.params") as back:
        ...     back["encoder.layer_norm.gamma"].shape
        (32,)
    """
    folder = Path(source)
    if names not in {None, *get_args(NameStyle)}:
        raise OptionError("names", names, f"expected {' or '.join(map(repr, get_args(NameStyle)))}")
    place = named_place(target)
    if isinstance(place, Path) and Path(os.path.realpath(place)).is_relative_to(os.path.realpath(folder)):
        raise OutputError(f"{target} is inside {folder}, which is exported; expected a place beside it")
    directory = read_model_dir(folder)
    manifest = directory.manifest
    own = manifest and (manifest.prefix or manifest.extra or "table" in manifest.options)
    style = names or ("source" if own else "structural")
    fitted = _fit(directory, family, prefixed=style == "prefix")
    if names is None and manifest and has_own_attribute(fitted, manifest):
        style = "source"
    with directory.open_weights() as stored, directory.open_extra() as extra:
        file_names = names_in_file(fitted, manifest, style)
        check_left_out(fitted, stored)
        with new_file(target, force=force, reason_to_keep=reason_to_keep_file, progress=progress) as path:
            digests = export_weights(path, fitted, stored, file_names, progress, extra=extra)
            stored.check_unchanged()
            extra.check_unchanged()
        exported = SourceFile(folder.resolve().name, stored.size + extra.size)
        kept = {name: replace(manifest.extra[name], sha256=digests.extra[name]) for name in extra} if manifest else {}
    written = _manifest(fitted, digests, file_names, exported)
    notes = (*_notes(fitted, digests, manifest), *directory.notes)
    return replace(written, tensors={**written.tensors, **kept}, options={"names": style}, notes=notes)


def _fit(directory: ModelDir, family: FamilyName | None, *, prefixed: bool) -> FittedDirectory:
    """Find the table that made a directory; the manifest of a converted one names it."""
    manifest = directory.manifest
    if manifest is None:
        candidates = list(families().values()) if family is None else [find_family(family)]
        named = family is not None
        return fit_directory(directory.header, directory.config, candidates, prefixed=prefixed, named=named)
    if family not in {None, manifest.family}:
        raise OptionError("family", family, f"{FILE_NAME} names {printable(manifest.family)}. Leave it out")
    converted = _converted_family(manifest)
    (table,) = (table for table in converted.tables if table.title == manifest.table)
    return fit_directory(
        directory.header,
        directory.config,
        [converted],
        # Prefixed names are those of parameters, whichever block holds them: another table that has them will do.
        table="" if prefixed and not table.has_prefixed_names else table.title,
        prefixed=prefixed,
        converted_with=manifest.hyperparameters,
    )


def _converted_family(manifest: Manifest) -> Family:
    """The family that a manifest names, as its GluonNLP version computes it."""
    family, table = manifest.known_family, manifest.table
    if family is None or table not in {one.title for one in family.tables}:
        name, known = manifest.family, families()
        raise FormatError(
            f"{FILE_NAME}: names the family {printable(repr(name))} and its table {printable(repr(table))}, "
            f"which this version does not know; known are {', '.join(known)}. Convert again"
        )
    version = manifest.options.get("gluonnlp_version")
    return family.for_version(str(version)) if version else family


def _manifest(
    fitted: FittedDirectory, digests: ExportDigests, file_names: Mapping[str, str], source: SourceFile
) -> Manifest:
    fit, name_map = fitted.fit, fitted.name_map
    tensors: dict[str, TensorEntry] = {}
    left_out: dict[str, str] = {}
    for step in fit.plan.steps:
        read = tuple(name_map.targets[spec.name] for spec in step.targets)
        for original in step.sources:
            for name in (original, *(alias for alias, tied in fit.plan.aliases if tied == original)):
                if name in file_names:
                    spec = fitted.sources[name]
                    entry = TensorEntry(read, step.op.name, spec.dtype, spec.shape, digests.arrays[original])
                    tensors[file_names[name]] = entry
        if not step.sources:
            left_out |= dict.fromkeys(read, step.why)
    left_out |= {alias: f"equals {name}: tied" for alias, name in name_map.aliases.items()}
    left_out |= dict.fromkeys(name_map.counters, "counts positions and holds no weights")
    left_out |= dict.fromkeys(name_map.masks, "hides later tokens and holds no weights")
    aliases = [(alias, name) for alias, name in fit.plan.aliases if {alias, name} <= file_names.keys()]
    return Manifest(
        source=source,
        family=fit.family.name,
        table=fit.table.title,
        variant=fit.variant,
        architecture=fit.architecture,
        dims=fit.plan.dims,
        hyperparameters=fit.hyperparameters,
        tied={file_names[alias]: file_names[name] for alias, name in aliases},
        left_out=left_out,
        tensors=tensors,
    )


def _notes(fitted: FittedDirectory, digests: ExportDigests, manifest: Manifest | None) -> Iterator[str]:
    """Remarks for the user on the origin of the arrays and on loading them."""
    if manifest is not None:
        source, cast = printable(manifest.source.name), manifest.options.get("dtype")
        expected = {name: manifest.tensors[name].sha256 for name in digests.tensors if name in manifest.tensors}
        changed = [name for name, digest in digests.tensors.items() if expected.get(name) != digest]
        changed += [name for name, digest in digests.extra.items() if manifest.extra[name].sha256 != digest]
        if cast is not None:
            yield f"the conversion cast every tensor to {cast}: these are not the bits of {source}"
        elif not any(expected.values()):
            yield f"{FILE_NAME} has no digests that would show whether these are the bits of {source}"
        elif changed:
            count = len(digests.tensors) + len(digests.extra)
            yield f"{len(changed):,} of {count:,} tensors are no longer those of {source}"
        else:
            ignored = sum(reason.startswith(IGNORED) for reason in manifest.left_out.values())
            yield f"the arrays of {source}, bit for bit" + (
                f", but for {ignored:,} that were ignored" if ignored else ""
            )
        if digests.extra:
            yield f"{len(digests.extra):,} of them from {EXTRA}: {shown_names(list(digests.extra))}"
    dtypes = {spec.dtype for spec in fitted.sources.values()}
    if BFLOAT16 in dtypes:
        yield "MXNet reads bfloat16 from release 1.7 on, and makes float32 of it on a CPU"
    if "float16" in dtypes:
        yield "GluonNLP loads float16 into a model that was cast to it, or with cast_dtype=True"
    yield from fitted.notes
