"""The inspection of a checkpoint, and its JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from bort_convert.commands.inspect import inspect
from bort_convert.errors import FormatError, MappingError, VariantError

if TYPE_CHECKING:
    from pathlib import Path


def test_a_bort_is_recognised_and_its_tied_matrix_counts_once(fixtures: Path) -> None:
    inspection = inspect(fixtures / "bort_4_8_24_32.params", family="bort", heads=8)
    assert inspection.fit is not None
    assert inspection.misfit is None
    assert inspection.fit.architecture == "BertForMaskedLM"
    dims = inspection.fit.plan.dims
    vocab, hidden, intermediate, positions, layers = (
        dims[key] for key in ("vocab_size", "hidden_size", "intermediate_size", "max_positions", "layers")
    )
    layer = 4 * (hidden * hidden + hidden) + 2 * hidden * intermediate + intermediate + hidden + 4 * hidden
    head = hidden * hidden + hidden + 2 * hidden + vocab
    assert inspection.parameters == vocab * hidden + positions * hidden + 2 * hidden + layers * layer + head


def test_a_misfit_is_an_error_beside_the_arrays(fixtures: Path) -> None:
    unpublished = inspect(fixtures / "bort_4_8_24_32.params")
    assert isinstance(unpublished.misfit, VariantError)
    other = inspect(fixtures / "cnn_tiny.params")
    assert isinstance(other.misfit, MappingError)
    assert other.fit is None
    assert len(other.arrays) > 3


@pytest.mark.parametrize("name", ["bort_4_8_24_32.params", "cnn_tiny.params"])
def test_the_json_is_complete(fixtures: Path, name: str) -> None:
    inspection = inspect(fixtures / name, family="bort", heads=8)
    document = json.loads(json.dumps(inspection.to_dict()))
    assert len(document["arrays"]) == len(inspection.arrays)
    assert (document["fit"] is None) == (inspection.fit is None)
    if inspection.fit:
        assert {target["name"] for step in document["fit"]["steps"] for target in step["targets"]} == {
            spec.name for step in inspection.fit.plan.steps for spec in step.targets
        }
        assert document["fit"]["tied"] == {"decoder.3.weight": "word_embed.0.weight"}


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\x80\x04K\x01.")
    with pytest.raises(FormatError, match="pickle"):
        inspect(tmp_path / "x")
