"""The arrays of a published file and its bytes, from our tables and formats alone: no published file is at hand."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from headers import Header, header_of

from bort_convert.mapping.fit import fit
from bort_convert.models.registry import families
from bort_convert.params import writer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bort_convert.dtypes import TensorSpec
    from bort_convert.mapping.fit import Fit
    from bort_convert.zoo import ZooEntry


def header_of_entry(entry: ZooEntry) -> Header:
    """Names, dtypes and shapes of all arrays of a published file, a tied one under each of its names."""
    assert entry.vocabulary
    family = families()[entry.family]
    variant = next(variant for variant in family.variants if variant.name == entry.variant)
    table = next(table for table in family.tables if table.title == entry.form)
    dims = {"type_vocab_size": 2, "max_positions": 512, "vocab_size": entry.vocabulary.size, **variant.dims}
    dims |= {"extra_size": dims["hidden_size"] - dims.get("embedding_size", 0), "max_target_positions": 1024}
    dims |= {f"decoder_{size}": dims.get(size, 0) for size in ("layers", "intermediate_size")}
    dims |= {"head_dim": dims["hidden_size"] // dims.get("attention_heads", 1), **variant.dims}
    return header_of(tuple(row for row in table.rows if row.group in {"", *entry.parts}), dims)


@cache
def fit_of_entry(entry: ZooEntry) -> Fit:
    """What a conversion makes of such a file."""
    return fit(header_of_entry(entry), [families()[entry.family]], variant=entry.variant)


@cache
def written_specs(entry: ZooEntry) -> list[TensorSpec]:
    """The arrays of a file in their order: of a tied tensor the last name, or all of its names."""
    header, plan = header_of_entry(entry), fit_of_entry(entry).plan
    names = [name for step in plan.steps for name in step.sources]
    last = {original: alias for alias, original in plan.aliases}
    names = [last.get(name, name) if entry.copies < 2 else name for name in names]
    names += [alias for alias, _ in plan.aliases if entry.copies == 2]
    assert (len(last) > 0) == (entry.copies > 0), entry.name
    return [spec for name in names if (spec := header[name])]


def size_of_entry(entry: ZooEntry) -> int:
    """Bytes of a published file."""
    return (zip_size if entry.container == "zip" else list_size)(written_specs(entry))


def list_size(specs: Iterable[TensorSpec]) -> int:
    """Bytes of a list file, by our writer; MXNet's version 3 differs in the number of the version alone."""
    specs = list(specs)
    records = sum(len(writer._record_header(spec)) + spec.nbytes for spec in specs)  # noqa: SLF001 - no values to write
    return 3 * 8 + records + len(writer._names([spec.name for spec in specs]))  # noqa: SLF001


ZIP64: Final = 1 << 32
"""Bytes from which on positions in an archive take eight bytes."""


def zip_size(specs: Iterable[TensorSpec]) -> int:
    """Bytes of an archive of MXNet 2: stored, an npy header of 128 bytes and a data descriptor for each array.

    Beyond 4 GiB an array has its position in zip64 fields of both headers, 12 and 20 bytes, and so has the directory.
    """
    size, directory = 0, 22
    for spec in specs:
        name = len(f"{spec.name}.npy".encode())
        directory += 46 + name + (32 if size >= ZIP64 else 0)
        size += 30 + name + 128 + spec.nbytes + 16
    return size + directory + (76 if size >= ZIP64 else 0)
