"""The two lines of GluonNLP: no file of one is taken for a model of the other, and a refusal names the right model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bort_convert.dtypes import TensorSpec
from bort_convert.mapping.candidates import closest_of, compare_with_file, known_tables
from bort_convert.mapping.family import GLUONNLP_1
from bort_convert.mapping.given import Given
from bort_convert.models.registry import families
from bort_convert.params import open_params

if TYPE_CHECKING:
    from bort_convert.mapping.candidates import Candidate

    Header = dict[str, TensorSpec | None]

ROOT = Path(__file__).parents[2]
CORPUS = ROOT.parent / "shared" / "corpus" / "gluonnlp1"
OLDER = [path for path in sorted((ROOT / "fixtures").glob("*.params")) if path.stem.partition("_")[0] in families()]
NAMES = {"bert": {"bert-1.0"}, "gpt2": {"gpt2-1.0"}, "roberta": {"roberta-1.0", "xlm-roberta"}}
NAMES["xlmr"] = NAMES["roberta"]
"""Name of a family in the corpus -> the families here that have the names of its tensors, where that is another."""
TABLES = known_tables(list(families().values()), Given())


def header_of(path: Path) -> Header:
    with open_params(path, mapped=False) as params:
        return dict(params.specs)


def fitting(header: Header) -> list[Candidate]:
    return [candidate for candidate in compare_with_file(header, TABLES) if candidate.fits]


def damaged(header: Header) -> dict[str, Header]:
    """A header with a tensor too few, with one of another shape, and with one too many."""
    name = next(name for name in header if "ffn" in name and name.endswith("weight"))
    spec = header[name]
    assert spec is not None
    rest = {other: found for other, found in header.items() if other != name}
    other_shape = TensorSpec(name, spec.dtype, tuple(size + 1 for size in spec.shape))
    return {"missing": rest, "reshaped": {**header, name: other_shape}, "more": {**header, "my_own.table": spec}}


@pytest.mark.shared
@pytest.mark.parametrize("path", sorted(CORPUS.rglob("*.params")), ids=lambda path: str(path.relative_to(CORPUS)))
def test_a_file_of_1_0_fits_its_own_family_alone_and_is_the_closest_where_it_is_damaged(path: Path) -> None:
    family = path.name.partition("_")[0]
    expected = NAMES.get(family, {family})
    header = header_of(path)
    if family == "transformer":
        assert not fitting(header)
        assert closest_of(compare_with_file(header, TABLES)).family.name == "bart"
        return
    found = fitting(header)
    assert {candidate.family.name for candidate in found} <= expected
    assert found
    for damage, changed in damaged(header).items():
        assert not fitting(changed), damage
        closest = closest_of(compare_with_file(changed, TABLES))
        assert closest.family.name in expected, damage
        assert closest.table.title in {candidate.table.title for candidate in found}, damage


@pytest.mark.parametrize("path", OLDER, ids=lambda path: path.stem)
def test_a_file_of_0_x_fits_no_family_of_1_0_nor_is_one_the_closest(path: Path) -> None:
    header = header_of(path)
    assert all(candidate.family.versions != GLUONNLP_1 for candidate in fitting(header))
    for damage, changed in damaged(header).items():
        closest = closest_of(compare_with_file(changed, TABLES))
        assert closest.family.versions != GLUONNLP_1, damage
