from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from family_forms import fit_to
from headers import language_model
from toy_family import CONFIG, TOY, targets_of, toy_arrays

from bort_convert.errors import MappingError
from bort_convert.mapping.fit_directory import fit_directory
from bort_convert.model_dir.read import ModelDir, read_model_dir
from bort_convert.models.bort import FAMILY as BORT
from bort_convert.params import open_params
from bort_convert.safetensors import save_tensors
from bort_convert.weights.to_checkpoint import check_left_out, export_weights

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bort_convert.dtypes import Array


def directory_of(folder: Path, tensors: Mapping[str, Array], config: Mapping[str, object] = CONFIG) -> ModelDir:
    save_tensors(folder / "model.safetensors", tensors, {})
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    return read_model_dir(folder)


@pytest.mark.parametrize("head", [True, False])
def test_a_table_of_every_word_comes_back_bit_for_bit(head: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a case
    arrays = toy_arrays(head=head)
    directory = directory_of(tmp_path, targets_of(arrays))
    fitted = fit_directory(directory.header, directory.config, [TOY])
    with directory.open_weights() as stored, directory.open_extra() as extra:
        check_left_out(fitted, stored)
        names = {name: name for name in fitted.sources}
        digests = export_weights(
            tmp_path / "back.params", fitted, stored, names, lambda _done, _total: None, extra=extra
        )
    with open_params(tmp_path / "back.params") as params:
        assert {name: array.tobytes() for name, array in params.items()} == {
            name: array.tobytes() for name, array in arrays.items()
        }
    assert digests.arrays.keys() == arrays.keys() - {"decoder"}
    assert len(set(digests.arrays.values())) == len(digests.arrays)


def test_a_row_of_padding_that_was_trained_is_refused_in_a_converted_directory_and_left_out_of_any_other(
    tmp_path: Path,
) -> None:
    tensors = targets_of(toy_arrays())
    tensors["toy.positions"][1, 1] = 7
    directory = directory_of(tmp_path, tensors)
    stock = fit_directory(directory.header, directory.config, [TOY])
    with directory.open_weights() as stored:
        check_left_out(stock, stored)
    fitted = fit_directory(directory.header, directory.config, [TOY], converted_with={})
    with directory.open_weights() as stored, pytest.raises(MappingError) as caught:
        check_left_out(fitted, stored)
    assert caught.value.disagreements == (
        "toy.positions: the first 2 rows should be 0.0 throughout, and 1 of 4 values are not (two rows for padding)",
    )


def test_a_counter_of_a_trillion_rows_without_a_value_is_refused_at_once(tmp_path: Path) -> None:
    table = next(table for table in BORT.tables if table.title == "language model")
    fitted = fit_to(BORT, table, header=language_model(hidden_size=0, max_positions=2**40))
    specs = [spec for step in fitted.plan.steps for spec in step.targets]
    tensors = {spec.name: np.zeros(spec.shape, np.float32) for spec in specs}
    tensors["bert.embeddings.position_ids"] = np.zeros((1, 3), np.int64)
    directory = directory_of(tmp_path, tensors, fitted.config)
    found = fit_directory(directory.header, directory.config, [BORT])
    with directory.open_weights() as stored, pytest.raises(MappingError, match="position_ids: holds other numbers"):
        check_left_out(found, stored)
