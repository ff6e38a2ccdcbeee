"""Weights in several files: sizes, cuts and the index."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

import bort_convert
from bort_convert.dtypes import TensorSpec
from bort_convert.errors import OptionError
from bort_convert.model_dir.shards import cut, index_text, shard_bytes
from bort_convert.safetensors import open_tensors

if TYPE_CHECKING:
    from pathlib import Path


def specs(*sizes: int) -> list[TensorSpec]:
    return [TensorSpec(f"t{number}", "uint8", (size,)) for number, size in enumerate(sizes)]


def names_in(files: dict[str, list[TensorSpec]]) -> list[list[str]]:
    return [[spec.name for spec in file] for file in files.values()]


@pytest.mark.parametrize(
    ("size", "expected"), [("5GB", 5 * 10**9), ("200mb", 2 * 10**8), ("1.5 KB", 1500), ("2TB", 2 * 10**12)]
)
def test_a_size_is_a_number_and_a_unit(size: str, expected: int) -> None:
    assert shard_bytes(size) == expected


@pytest.mark.parametrize(
    "size", ["", "5", "GB", "0GB", "-1MB", "5 GiB", "1e3MB", "0.0000000001KB", "1" * 30 + "KB", 5, None]
)
def test_another_text_than_a_size_is_refused(size: str) -> None:
    with pytest.raises(OptionError, match=r"`max_shard_size=.*: is no file size; expected a number and a unit"):
        shard_bytes(size)


def test_tensors_that_fit_stay_in_one_file() -> None:
    assert list(cut(specs(3, 4, 3), 10)) == ["model.safetensors"]


def test_a_file_is_filled_until_the_next_tensor_would_not_fit() -> None:
    files = cut(specs(6, 4, 1, 9, 2), 10)
    assert list(files) == [f"model-0000{number}-of-00003.safetensors" for number in (1, 2, 3)]
    assert names_in(files) == [["t0", "t1"], ["t2", "t3"], ["t4"]]


def test_a_tensor_over_the_limit_has_its_own_file_and_cuts_no_other() -> None:
    assert names_in(cut(specs(2, 50, 3), 10)) == [["t1"], ["t0", "t2"]]


def test_the_index_names_the_file_of_each_tensor_and_the_total_size() -> None:
    index = json.loads(index_text(cut(specs(6, 5), 10)))
    assert index["metadata"] == {"total_parameters": 11, "total_size": 11}
    assert index["weight_map"] == {
        "t0": "model-00001-of-00002.safetensors",
        "t1": "model-00002-of-00002.safetensors",
    }


def test_shards_hold_the_tensors_of_the_whole_file_bit_for_bit(fixtures: Path, tmp_path: Path) -> None:
    source = fixtures / "bort_4_8_24_32.params"
    whole = bort_convert.convert(source, tmp_path / "whole", family="bort", heads=8)
    parts = bort_convert.convert(source, tmp_path / "parts", family="bort", heads=8, max_shard_size="30KB")
    assert whole.tensors == parts.tensors
    index = json.loads((tmp_path / "parts" / "model.safetensors.index.json").read_text("utf-8"))
    assert len(set(index["weight_map"].values())) == 5
    with open_tensors(tmp_path / "whole" / "model.safetensors") as expected:
        assert set(index["weight_map"]) == set(expected)
        for name, file_name in index["weight_map"].items():
            with open_tensors(tmp_path / "parts" / file_name) as shard:
                assert shard[name].tobytes() == expected[name].tobytes()
    assert not (tmp_path / "parts" / "model.safetensors").exists()


@pytest.mark.torch
@pytest.mark.parametrize("limit", ["4KB", "13KB"])
@pytest.mark.parametrize(("name", "heads"), [("bort_4_8_24_32", 8), ("bort_2_3_24_24-classifier3", 3)])
def test_the_cuts_are_those_of_save_pretrained(
    name: str, heads: int, limit: str, fixtures: Path, tmp_path: Path
) -> None:
    bort_convert.convert(
        fixtures / f"{name}.params", tmp_path / "ours", family="bort", heads=heads, max_shard_size=limit
    )
    bort_convert.load_pretrained(tmp_path / "ours").save_pretrained(tmp_path / "theirs", max_shard_size=limit)
    ours, theirs = (
        json.loads((tmp_path / side / "model.safetensors.index.json").read_text("utf-8")) for side in ("ours", "theirs")
    )
    assert ours == theirs
