"""Name the arrays of an exported file: as GluonNLP would, or as they were named in the file that was converted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bort_convert.errors import FormatError, OptionError
from bort_convert.mapping.fit_directory import FittedDirectory, unprefixed
from bort_convert.mapping.source_names import bare_name, prefixed_names, structural_names
from bort_convert.mapping.source_places import find_places
from bort_convert.model_dir.manifest import FILE_NAME

if TYPE_CHECKING:
    from collections.abc import Collection

    from bort_convert.arguments import NameStyle
    from bort_convert.model_dir.manifest import Manifest


def names_in_file(fitted: FittedDirectory, manifest: Manifest | None, style: NameStyle) -> dict[str, str]:
    """Map structural names to the names in an exported file, in the order of that file.

    A tied tensor has both of its structural names, as GluonNLP writes it, unless the source had only one; it has one
    prefixed name.

    Args:
        fitted: the directory.
        manifest: of the conversion; None for a directory that was not converted.
        style: see `export`.

    Raises:
        OptionError: the directory has no names of this style.
        FormatError: the manifest lacks the name of a tensor.
    """
    fit = fitted.fit
    had = _names_of_model(manifest) if manifest else set()
    if manifest and manifest.extra and style != "source":
        own = "structural" if any("." in name for name in (*had, *manifest.extra)) else "prefix"
        if style != own:
            problem = (
                f"the tensors beside the model have the names of {manifest.source.name} alone. Pass `names='source'`"
            )
            raise OptionError("names", style, problem)
    if style == "source":
        if manifest is None:
            raise OptionError("names", style, "the directory was not converted. Pass `names='structural'`")
        return _source_names(fitted, manifest, had)
    if style == "prefix":
        if nameless := unprefixed(fit):
            raise OptionError(
                "names", style, f"{fit.family.title} ({fit.table.title}) has no prefixed name for {nameless[0]}"
            )
        return prefixed_names(
            [name for step in fit.plan.steps for name in step.sources], fit.table.rows, fit.family.source_name
        )
    path = manifest.prefix if manifest and manifest.prefix.endswith(".") else ""
    kept = {bare_name(name).removeprefix(path) for name in had}
    tied: dict[str, set[str]] = {}
    for alias, original in fit.plan.aliases:
        tied.setdefault(original, {original}).add(alias)
    absent = {name for names in tied.values() if kept & names for name in names - kept}
    return {name: path + name for name in fitted.sources if name not in absent}


def _names_of_model(manifest: Manifest) -> set[str]:
    """Names in the source of every tensor that is the model's, among them those of tensors that were left out."""
    names = {name for tensor in manifest.tensors.values() for name in tensor.sources}
    return names | set(manifest.tied) | set(manifest.left_out)


def has_own_attribute(fitted: FittedDirectory, manifest: Manifest) -> bool:
    """True if the table lets a file have another attribute for the model inside, and the source had one."""
    names = {bare_name(name) for name in _names_of_model(manifest)}
    free = {source.child for row in fitted.fit.table.rows for source in row.sources} - {""}
    return any("." in name for name in names) and not all(
        any(name.startswith(child) for name in names) for child in free
    )


def _source_names(fitted: FittedDirectory, manifest: Manifest, names: Collection[str]) -> dict[str, str]:
    """Structural names -> names in the source, found again as the conversion found them."""
    rows = fitted.fit.table.rows
    aliases = {name for pair in fitted.fit.plan.aliases for name in pair}
    needed = fitted.sources.keys() - aliases
    whole = {*names, *manifest.extra}  # a table may have some of those that are kept
    places = [place.names for place in find_places(whole, [rows])[0] if place.prefix == manifest.prefix]
    for found in (structural_names(whole, rows)[0], *places):
        if needed <= found.keys():
            return {name: found[name] for name in fitted.sources if name in found}
    raise FormatError(f"{FILE_NAME}: lacks names that the tensors had in {manifest.source.name}. Convert again")
