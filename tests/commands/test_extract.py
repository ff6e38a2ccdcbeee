"""Arrays of any `.params` file, extracted to safetensors or `.npz`."""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING

import ml_dtypes
import numpy as np
import pytest

from bort_convert.commands.extract import extract
from bort_convert.errors import FormatError, OptionError, OutputError
from bort_convert.params import open_params, save_params
from bort_convert.safetensors import open_tensors

if TYPE_CHECKING:
    from pathlib import Path

    from bort_convert.dtypes import Array

TENSORS = {
    "weights": np.arange(6, dtype=np.float32).reshape(2, 3),
    "odd": np.array([1, 2, 3], np.uint8),
    "flags": np.array([True, False]),
    "empty": np.zeros((0, 4), np.float64),
    "größe/a b": np.array([1], np.int64),
}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    save_params(tmp_path / "any.params", TENSORS)
    return tmp_path / "any.params"


def saved(path: Path) -> dict[str, Array]:
    if path.suffix == ".npz":
        with np.load(path) as archive:
            return dict(archive)
    with open_tensors(path) as tensors:
        return {name: array.copy() for name, array in tensors.items()}


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_arrays_keep_names_dtypes_and_bits(source: Path, tmp_path: Path, suffix: str) -> None:
    manifest = extract(source, tmp_path / f"out{suffix}")
    arrays = saved(tmp_path / f"out{suffix}")
    assert set(arrays) == set(TENSORS) == set(manifest.tensors)
    for name, array in TENSORS.items():
        assert (arrays[name].dtype, arrays[name].shape) == (array.dtype, array.shape)
        assert arrays[name].tobytes() == array.tobytes()
        assert manifest.tensors[name].sha256 == hashlib.sha256(array.tobytes()).hexdigest()
    assert manifest.source.sha256 == hashlib.sha256(source.read_bytes()).hexdigest()


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_the_same_arrays_give_the_same_file(source: Path, tmp_path: Path, suffix: str) -> None:
    for name in ("a", "b"):
        extract(source, tmp_path / f"{name}{suffix}")
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_progress_counts_every_byte(source: Path, tmp_path: Path) -> None:
    total = sum(array.nbytes for array in TENSORS.values())
    for suffix in (".npz", ".safetensors"):
        seen: list[tuple[int, int]] = []
        extract(source, tmp_path / f"x{suffix}", progress=lambda done, total, seen=seen: seen.append((done, total)))  # type: ignore[misc]
        assert seen[-1] == (total, total)


def test_a_record_without_a_value_is_left_out_and_named(tmp_path: Path) -> None:
    head = struct.pack("<QQQ", 0x112, 0, 2)
    none = struct.pack("<II", 0xF993FAC8, 0)
    one = struct.pack("<IIqiiif", 0xF993FAC8, 1, 1, 1, 0, 0, 2.5)
    (tmp_path / "x.params").write_bytes(head + none + one + struct.pack("<Q", 0))
    manifest = extract(tmp_path / "x.params", tmp_path / "x.npz")
    assert manifest.left_out == {"0": "a record without a value"}
    assert {name: array.tolist() for name, array in saved(tmp_path / "x.npz").items()} == {"1": [2.5]}


def test_bfloat16_goes_to_safetensors_and_not_to_npz(tmp_path: Path) -> None:
    array = np.array([1.5, 3], ml_dtypes.bfloat16)
    save_params(tmp_path / "x.params", {"a": array})
    with pytest.raises(OutputError, match="'a': NumPy's own format has no bfloat16"):
        extract(tmp_path / "x.params", tmp_path / "x.npz")
    assert not (tmp_path / "x.npz").exists()
    extract(tmp_path / "x.params", tmp_path / "x.safetensors")
    assert saved(tmp_path / "x.safetensors")["a"].tobytes() == array.tobytes()


@pytest.mark.parametrize("name", ["../up", "/root", "a\\b", "c:d", "x" * 70_000])
def test_names_that_would_be_paths_are_refused_in_an_archive(tmp_path: Path, name: str) -> None:
    save_params(tmp_path / "x.params", {name: np.zeros(1, np.float32)})
    with pytest.raises(OutputError, match=r"\.npz cannot hold these arrays; extract to \.safetensors instead"):
        extract(tmp_path / "x.params", tmp_path / "x.npz")
    extract(tmp_path / "x.params", tmp_path / "x.safetensors")
    assert list(saved(tmp_path / "x.safetensors")) == [name]


def test_another_ending_is_refused(source: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"x\.bin'`: expected a name that ends in \.safetensors or \.npz"):
        extract(source, tmp_path / "x.bin")


def test_a_file_in_the_way_is_kept_unless_forced(source: Path, tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_text("mine")
    with pytest.raises(OutputError, match="Pass `force=True`"):
        extract(source, tmp_path / "x.npz")
    assert (tmp_path / "x.npz").read_text() == "mine"
    extract(source, tmp_path / "x.npz", force=True)
    assert len(saved(tmp_path / "x.npz")) == len(TENSORS)


@pytest.mark.shared
def test_every_file_of_the_corpus_is_extracted_byte_for_byte(shared: Path, tmp_path: Path) -> None:
    sources = sorted((shared / "corpus" / "params").glob("*.params"))
    assert len(sources) == 205
    for source in sources:
        target = tmp_path / f"{source.stem}.safetensors"
        extract(source, target)
        with open_params(source) as params, open_tensors(target) as tensors:
            assert {name: array.tobytes() for name, array in params.items()} == {
                n: a.tobytes() for n, a in tensors.items()
            }


def test_damage_that_opening_does_not_see_is_found_before_copying(tmp_path: Path) -> None:
    save_params(tmp_path / "bool.params", {"w": np.array([True, False])})
    np.savez(tmp_path / "crc.npz", w=np.arange(4, dtype=np.float32))
    for name, message in [("bool.params", "value 1 of a bool array is the byte 7"), ("crc.npz", "the CRC-32 is")]:
        with open_params(tmp_path / name) as params:
            offset = params.header["w"].offset
        assert offset is not None
        with (tmp_path / name).open("r+b") as file:
            file.seek(offset + 1)
            file.write(b"\7")
        with pytest.raises(FormatError, match=message):
            extract(tmp_path / name, tmp_path / "x.safetensors")
