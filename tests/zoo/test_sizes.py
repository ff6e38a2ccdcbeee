"""Bytes, arrays and target class of each published file follow from our tables and formats alone.

No file is at hand. That all sizes that GluonNLP 1.0 states come out to the byte shows that names, shapes and tied
tensors of the tables are those of the files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from published import fit_of_entry, list_size, size_of_entry, written_specs, zip_size

from bort_convert.models.registry import families
from bort_convert.params import open_params
from bort_convert.zoo import zoo_entries

if TYPE_CHECKING:
    from pathlib import Path

    from bort_convert.zoo import ZooEntry

CONVERTED = [entry for entry in zoo_entries() if entry.family]


@pytest.mark.parametrize("entry", CONVERTED, ids=lambda entry: entry.name)
def test_the_bytes_of_a_published_file_follow_from_our_tables(entry: ZooEntry) -> None:
    specs = written_specs(entry)
    assert (len(specs), size_of_entry(entry)) == (entry.arrays or len(specs), entry.size)


@pytest.mark.parametrize("entry", CONVERTED, ids=lambda entry: entry.name)
def test_a_published_file_becomes_what_the_list_says(entry: ZooEntry) -> None:
    found = fit_of_entry(entry)
    assert (found.table.title, found.variant, found.architecture) == (entry.form, entry.variant, entry.architecture)


def test_every_published_size_but_borts_has_a_file() -> None:
    known = {variant.name for family in families().values() if family.name != "bort" for variant in family.variants}
    assert {entry.variant for entry in CONVERTED} == known


@pytest.mark.shared
def test_the_sizes_of_real_files_are_what_we_compute(shared: Path) -> None:
    corpus = shared / "corpus" / "gluonnlp1"
    paths = sorted(corpus.rglob("*.params"))
    assert len(paths) > 50
    for path in paths:
        with open_params(path) as params:
            size = (list_size if params.kind == "list" else zip_size)(spec for spec in params.specs.values() if spec)
        assert size == path.stat().st_size
