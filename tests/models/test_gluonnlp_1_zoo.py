"""The published files of GluonNLP 1.0: number of arrays and bytes of each follow from our tables and formats alone.

No file is at hand. That all sizes come out to the byte shows that names, shapes and tied tensors of the tables are
those of the files.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from headers import Header, header_of

from bort_convert.mapping.fit import fit
from bort_convert.models.registry import families
from bort_convert.params import open_params, writer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bort_convert.dtypes import TensorSpec
    from bort_convert.mapping.family import Family, Table

LINES = (Path(__file__).parents[1] / "support" / "gluonnlp1_zoo.txt").read_text("utf-8").splitlines()


class Published(NamedTuple):
    """A line of the list of files."""

    model: str
    vocab_size: int
    file: str
    size: int
    arrays: int
    copies: int
    kind: str


def parsed(line: str) -> Published:
    model, vocab_size, file, size, arrays, copies, kind = line.split()
    numbers = [0 if text in {"?", "-"} else int(text) for text in (vocab_size, size, arrays, copies)]
    return Published(model, numbers[0], file, numbers[1], numbers[2], numbers[3], kind)


FILES = [parsed(line) for line in LINES if not line.startswith("#")]
FORMS = {
    "model": ("backbone", "encoder and decoder"),
    "model_mlm": ("masked language model",),
    "model_lm": ("language model",),
    "disc_model": ("discriminator",),
    "gen_model": ("generator",),
}
"""Beginning of a file's name -> the tables that it may have."""


def variant_name(published: Published) -> str:
    """Name of the variant: without language and case, and a generator's where the file holds a smaller one."""
    name = re.sub(
        "google_.*bert_(wwm_)?(base|large)$|gluon_.*bert_(wwm_)?(base)_v1", r"google_bert_\2\4", published.model
    )
    name = name if "albert" not in published.model else published.model
    generator = f"{name}_generator"
    names = {variant.name for family in families().values() for variant in family.variants}
    return generator if published.file.startswith("gen_") and generator in names else name


def header_for(published: Published) -> tuple[Family, Table, Header]:
    """The family and the table of a file, and its header at the published size."""
    wanted = variant_name(published)
    family, variant = next(
        (family, variant) for family in families().values() for variant in family.variants if variant.name == wanted
    )
    form = published.file.partition("-")[0]
    titles = ("pretraining",) if family.name == "mobilebert" and form == "model_mlm" else FORMS[form]
    table = next(table for table in family.tables if table.title in titles)
    dims = {"type_vocab_size": 2, "max_positions": 512, "vocab_size": published.vocab_size, **variant.dims}
    dims |= {"extra_size": dims["hidden_size"] - dims.get("embedding_size", 0), "max_target_positions": 1024}
    dims |= {f"decoder_{size}": dims.get(size, 0) for size in ("layers", "intermediate_size")}
    absent = {group for group, (one, other) in table.equal_unless.items() if dims[one] == dims[other]}
    return family, table, header_of(tuple(row for row in table.rows if row.group not in absent), dims)


def written(published: Published) -> list[TensorSpec]:
    """The arrays of a file in their order: of a tied tensor the last name, or all of its names."""
    family, table, header = header_for(published)
    plan = fit(header, [family], variant=variant_name(published)).plan
    names = [name for step in plan.steps for name in step.sources]
    last = {original: alias for alias, original in plan.aliases}
    names = [last.get(name, name) if published.copies < 2 else name for name in names]
    names += [alias for alias, _ in plan.aliases if published.copies == 2]
    assert (len(last) > 0) == (published.copies > 0), table.title
    return [spec for name in names if (spec := header[name])]


def list_size(specs: Iterable[TensorSpec]) -> int:
    """Bytes of a list file, by our writer; MXNet's version 3 differs in the number of the version alone."""
    specs = list(specs)
    records = sum(len(writer._record_header(spec)) + spec.nbytes for spec in specs)  # noqa: SLF001 - no values to write
    return 3 * 8 + records + len(writer._names([spec.name for spec in specs]))  # noqa: SLF001


def zip_size(specs: Iterable[TensorSpec]) -> int:
    """Bytes of an archive of MXNet 2: stored, an npy header of 128 bytes and a data descriptor for each array.

    Beyond 4 GiB an array has its position in zip64 fields of both headers, 12 and 20 bytes, and so has the directory.
    """
    size, directory = 0, 22
    for spec in specs:
        name = len(f"{spec.name}.npy".encode())
        directory += 46 + name + (32 if size >= 2**32 else 0)
        size += 30 + name + 128 + spec.nbytes + 16
    return size + directory + (76 if size >= 2**32 else 0)


@pytest.mark.parametrize("published", FILES, ids=lambda published: f"{published.model}-{published.file}")
def test_the_bytes_of_a_published_file_follow_from_our_tables(published: Published) -> None:
    specs = written(published)
    size = (zip_size if published.kind == "zip" else list_size)(specs)
    assert (len(specs), size) == (published.arrays or len(specs), published.size)


def test_every_published_size_has_a_file() -> None:
    known = {
        variant.name for family in families().values() if family.versions == ("1.0",) for variant in family.variants
    }
    assert {variant_name(published) for published in FILES} == known


@pytest.mark.shared
def test_the_sizes_of_real_files_are_what_we_compute(shared: Path) -> None:
    corpus = shared / "corpus" / "gluonnlp1"
    paths = sorted(corpus.rglob("*.params"))
    assert len(paths) > 50
    for path in paths:
        with open_params(path) as params:
            size = (list_size if params.kind == "list" else zip_size)(spec for spec in params.specs.values() if spec)
        assert size == path.stat().st_size
