from __future__ import annotations

import os
from typing import TYPE_CHECKING

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bort_convert.dtypes import TensorSpec
from bort_convert.errors import FormatError, OutputError
from bort_convert.files import streams
from bort_convert.files.streams import FileRange
from bort_convert.safetensors import CODES, open_tensors, save_tensors, write_tensors

if TYPE_CHECKING:
    from pathlib import Path

    from bort_convert.dtypes import Array

GOLDEN_HEADER = (
    b'{"__metadata__":{"format":"pt"},"wide":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},'
    b'"narrow":{"dtype":"U8","shape":[3],"data_offsets":[8,11]}}'
)
GOLDEN = (152).to_bytes(8, "little") + GOLDEN_HEADER.ljust(152) + b"\0\0\x80\x3f\0\0\0\x40" + b"\x07\x08\x09"


def test_the_bytes_of_a_file_are_the_formats(tmp_path: Path) -> None:
    tensors = {"narrow": np.array([7, 8, 9], np.uint8), "wide": np.array([1, 2], np.float32)}
    save_tensors(tmp_path / "x", tensors, {"format": "pt"})
    assert (tmp_path / "x").read_bytes() == GOLDEN


def test_a_golden_file_reads_as_its_bytes_say(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(GOLDEN)
    with open_tensors(tmp_path / "x") as tensors:
        assert tensors.metadata == {"format": "pt"}
        assert {name: array.tolist() for name, array in tensors.items()} == {"wide": [1, 2], "narrow": [7, 8, 9]}
        assert tensors.header["wide"] == TensorSpec("wide", "float32", (2,))
        assert "narrow" in tensors
        assert "other" not in tensors
        part = tensors.part("narrow")
        assert os.pread(part.file, part.size, part.offset) == b"\x07\x08\x09"
        kept = tensors["wide"]
    assert kept.tolist() == [1, 2]
    with pytest.raises(ValueError, match="wide: the file is closed"):
        tensors["wide"]


def test_an_open_file_that_is_cut_short_is_a_format_error(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(GOLDEN)
    with open_tensors(tmp_path / "x") as tensors:
        os.truncate(tmp_path / "x", len(GOLDEN) - 1)
        assert tensors["wide"].tolist() == [1, 2]
        with pytest.raises(FormatError, match="x: 'narrow' ends after 2 of 3 bytes: cut short"):
            tensors["narrow"]


NAMES = [name for name in CODES if name != "bfloat16"]


@given(
    st.dictionaries(
        st.text(min_size=1, max_size=8).filter(lambda name: name.isprintable() and name != "__metadata__"),
        st.sampled_from(NAMES).flatmap(
            lambda name: hnp.arrays(name, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0))
        ),
        max_size=4,
    )
)
def test_what_is_written_is_read_back_and_safetensors_agrees(
    tmp_path_factory: pytest.TempPathFactory, tensors: dict[str, Array]
) -> None:
    path = tmp_path_factory.mktemp("tensors") / "x.safetensors"
    save_tensors(path, tensors, {"a": "b"})
    with open_tensors(path) as back:
        assert {name: (array.dtype.name, array.shape, array.tobytes()) for name, array in back.items()} == {
            name: (array.dtype.name, array.shape, array.tobytes()) for name, array in tensors.items()
        }


@pytest.mark.torch
def test_the_safetensors_library_reads_what_is_written_and_the_other_way_round(tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file  # noqa: PLC0415

    tensors = {name: np.arange(6).reshape(2, 3).astype(name) for name in NAMES}
    save_tensors(tmp_path / "ours", tensors, {"format": "pt"})
    save_file(tensors, tmp_path / "theirs", {"format": "pt"})
    loaded = load_file(tmp_path / "ours")
    with open_tensors(tmp_path / "theirs") as back:
        for name, array in tensors.items():
            assert loaded[name].tobytes() == array.tobytes() == back[name].tobytes()
            assert loaded[name].dtype == array.dtype == back[name].dtype


def test_bfloat16_is_written_and_read(tmp_path: Path) -> None:
    array = np.array([1.5, -2], ml_dtypes.bfloat16)
    save_tensors(tmp_path / "x", {"b": array}, {})
    assert b'"BF16"' in (tmp_path / "x").read_bytes()
    with open_tensors(tmp_path / "x") as back:
        assert back["b"].tobytes() == array.tobytes()
        assert back["b"].dtype == ml_dtypes.bfloat16


def test_ranges_arrays_and_bytes_give_the_same_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "PIECE", 16)
    array = np.arange(100, dtype=np.float32).reshape(20, 5)
    (tmp_path / "raw").write_bytes(b"xyz" + array.tobytes())
    specs = [TensorSpec("t", "float32", (20, 5))]
    sizes: list[int] = []
    with (tmp_path / "raw").open("rb") as raw:
        whole = FileRange(raw.fileno(), 3, 400)
        begins = write_tensors(tmp_path / "a", specs, lambda _: whole, advance=sizes.append)
    write_tensors(tmp_path / "b", specs, lambda _: [array[:7], array[7:]])
    write_tensors(tmp_path / "c", specs, lambda _: array.tobytes())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == (tmp_path / "c").read_bytes()
    with open_tensors(tmp_path / "a") as file:
        assert begins == file.offsets
    assert sizes == [400]


def test_arrays_of_any_layout_are_written_in_order(tmp_path: Path) -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    big_endian = array.astype(">f4")
    save_tensors(tmp_path / "x", {"t": array.T, "e": big_endian}, {})
    with open_tensors(tmp_path / "x") as back:
        assert back["t"].tolist() == array.T.tolist()
        assert back["e"].tolist() == array.tolist()


def test_names_that_the_format_reserves_are_refused(tmp_path: Path) -> None:
    one = np.zeros(1)
    with pytest.raises(OutputError, match="'__metadata__' cannot be written to safetensors: the name is taken"):
        save_tensors(tmp_path / "x", {"__metadata__": one}, {})
    with pytest.raises(OutputError, match="'a' cannot be written"):
        write_tensors(tmp_path / "y", [TensorSpec("a", "float64", (1,))] * 2, lambda _: [one])


def test_values_that_do_not_match_their_spec_are_refused(tmp_path: Path) -> None:
    spec = [TensorSpec("a", "float32", (2,))]
    with pytest.raises(OutputError, match="a: float64 was given, expected float32"):
        write_tensors(tmp_path / "x", spec, lambda _: [np.zeros(2)])
    with pytest.raises(OutputError, match="a: 4 bytes were given, expected 8 from its shape"):
        write_tensors(tmp_path / "z", spec, lambda _: [np.zeros(1, np.float32)])
    with pytest.raises(OutputError, match="a: 7 bytes were given, expected 8 from its shape"):
        write_tensors(tmp_path / "y", spec, lambda _: FileRange(0, 0, 7))
    with pytest.raises(OutputError, match="a: 9 bytes were given, expected 8 from its shape"):
        write_tensors(tmp_path / "w", spec, lambda _: bytes(9))


def test_a_golden_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    for size in range(len(GOLDEN)):
        (tmp_path / "x").write_bytes(GOLDEN[:size])
        with pytest.raises(FormatError):
            open_tensors(tmp_path / "x")


def test_a_missing_file_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="cannot be read: No such file"):
        open_tensors(tmp_path / "absent")
