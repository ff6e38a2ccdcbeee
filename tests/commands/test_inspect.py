from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from bort_convert.commands.inspect import inspect
from bort_convert.errors import FormatError, MappingError, VariantError

if TYPE_CHECKING:
    from pathlib import Path


def test_a_bort_is_known_with_its_plan_and_its_tied_matrix_counts_once(fixtures: Path) -> None:
    found = inspect(fixtures / "bort_4_8_24_32.params", family="bort", heads=8)
    assert found.fit is not None
    assert found.misfit is None
    assert found.fit.architecture == "BertForMaskedLM"
    dims = found.fit.plan.dims
    vocab, units, hidden, positions, layers = (
        dims[key] for key in ("vocab_size", "hidden_size", "intermediate_size", "max_positions", "layers")
    )
    layer = 4 * (units * units + units) + 2 * units * hidden + hidden + units + 4 * units
    head = units * units + units + 2 * units + vocab
    assert found.parameters == vocab * units + positions * units + 2 * units + layers * layer + head


def test_what_is_missing_or_does_not_fit_is_said_and_the_arrays_are_there(fixtures: Path) -> None:
    unpublished = inspect(fixtures / "bort_4_8_24_32.params")
    assert isinstance(unpublished.misfit, VariantError)
    other = inspect(fixtures / "cnn_tiny.params")
    assert isinstance(other.misfit, MappingError)
    assert other.fit is None
    assert len(other.arrays) > 3


@pytest.mark.parametrize("name", ["bort_4_8_24_32.params", "cnn_tiny.params"])
def test_json_holds_all_of_it(fixtures: Path, name: str) -> None:
    found = inspect(fixtures / name, family="bort", heads=8)
    document = json.loads(json.dumps(found.to_dict()))
    assert len(document["arrays"]) == len(found.arrays)
    assert (document["fit"] is None) == (found.fit is None)
    if found.fit:
        assert {target["name"] for step in document["fit"]["steps"] for target in step["targets"]} == {
            spec.name for step in found.fit.plan.steps for spec in step.targets
        }
        assert document["fit"]["tied"] == {"decoder.3.weight": "word_embed.0.weight"}


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\x80\x04K\x01.")
    with pytest.raises(FormatError, match="pickle"):
        inspect(tmp_path / "x")
