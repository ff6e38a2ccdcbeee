from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bort_convert.dtypes import TensorSpec
from bort_convert.errors import FormatError, OutputError
from bort_convert.files.streams import FileRange
from bort_convert.params import open_params, save_params, write_params

if TYPE_CHECKING:
    from pathlib import Path

    from bort_convert.dtypes import Array

DTYPES = ("<f2", "<f4", "<f8", ">f4", ">i8", "i1", "<i4", "<i8", "u1", "?")
SHAPES = hnp.array_shapes(min_dims=1, max_dims=5, min_side=0, max_side=4)
NAMES = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=40)


def layouts(array: Array) -> list[Array]:
    """Give the same values in several layouts of memory."""
    return [array, np.asfortranarray(array), array[::-1, ...], array.T]


ARRAYS = st.sampled_from(DTYPES).flatmap(lambda dtype: hnp.arrays(dtype, SHAPES)).map(layouts).flatmap(st.sampled_from)
BFLOAT16 = hnp.arrays("<u2", SHAPES).map(lambda array: array.view(ml_dtypes.bfloat16))
QUICK = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)


def same(found: Array, expected: Array) -> bool:
    expected = expected.astype(expected.dtype.newbyteorder("<"))
    return (found.dtype, found.shape, found.tobytes()) == (expected.dtype, expected.shape, expected.tobytes())


@QUICK
@given(tensors=st.dictionaries(NAMES, ARRAYS | BFLOAT16, max_size=5))
def test_what_is_written_with_names_reads_back_bit_for_bit(tensors: dict[str, Array], tmp_path: Path) -> None:
    save_params(tmp_path / "x.params", tensors)
    with open_params(tmp_path / "x.params") as file:
        assert list(file) == list(tensors)
        assert all(same(file[name], array) for name, array in tensors.items())


@QUICK
@given(tensors=st.lists(ARRAYS | BFLOAT16, max_size=5))
def test_what_is_written_without_names_reads_back_bit_for_bit(tensors: list[Array], tmp_path: Path) -> None:
    save_params(str(tmp_path / "x.params"), tensors)
    with open_params(tmp_path / "x.params") as file:
        assert not file.named
        assert all(same(array, expected) for array, expected in zip(file.values(), tensors, strict=True))


def test_the_bytes_are_those_of_mxnet(tmp_path: Path) -> None:
    save_params(tmp_path / "x", {"a": np.arange(6, dtype="f4").reshape(2, 3), "b": np.arange(4, dtype="u1")})
    assert (tmp_path / "x").read_bytes() == bytes.fromhex("""
        12 01 00 00 00 00 00 00  00 00 00 00 00 00 00 00  02 00 00 00 00 00 00 00
        C9 FA 93 F9  00 00 00 00  02 00 00 00  02 00 00 00 00 00 00 00  03 00 00 00 00 00 00 00
        01 00 00 00  00 00 00 00  00 00 00 00
        00 00 00 00  00 00 80 3F  00 00 00 40  00 00 40 40  00 00 80 40  00 00 A0 40
        C9 FA 93 F9  00 00 00 00  01 00 00 00  04 00 00 00 00 00 00 00
        01 00 00 00  00 00 00 00  03 00 00 00
        00 01 02 03
        02 00 00 00 00 00 00 00  01 00 00 00 00 00 00 00  61  01 00 00 00 00 00 00 00  62
    """)


NO_DIMENSIONS = "has no dimensions; no MXNet reads such an array back from a list file. Give it the shape (1,)"
TYPES = "float32, float64, float16, uint8, int32, int8, int64, bool, bfloat16"
KNOWN = f"which MXNet 1.x does not read; expected one of {TYPES}"
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "0-d": ({"s": np.float32(1)}, f"'s' {NO_DIMENSIONS}"),
    "int16": ({"i": np.zeros(1, "i2")}, f"'i' is int16, {KNOWN}"),
    "uint64": ({"i": np.zeros(1, "u8")}, f"'i' is uint64, {KNOWN}"),
    "complex": ({"c": np.zeros(1, "c8")}, f"'c' is complex64, {KNOWN}"),
    "objects": ({"o": np.zeros(1, "O")}, f"'o' is object, {KNOWN}"),
    "text": ({"t": np.array(["a"])}, f"'t' is {np.array(['a']).dtype.name}, {KNOWN}"),
    "a NUL": ({"a\0b": np.zeros(1)}, r"'a\x00b' has a NUL in its name; MXNet would cut the name there"),
    "half a surrogate pair": (
        {"\ud800": np.zeros(1)},
        r"'\ud800' has half a surrogate pair in its name, which UTF-8 does not have",
    ),
}
if np.lib.NumpyVersion(np.__version__) >= "2.0.0":  # NumPy 1 has no such array
    REFUSED["33-d"] = ({"d": np.zeros((1,) * 33)}, "'d' has 33 dimensions; expected 1 to 32")


@pytest.mark.parametrize("case", REFUSED)
def test_arrays_that_mxnet_would_not_read_are_not_written(case: str, tmp_path: Path) -> None:
    tensors, expected = REFUSED[case]
    path = tmp_path / "x.params"
    path.write_bytes(b"older")
    with pytest.raises(FormatError) as caught:
        save_params(path, {"fine": np.zeros(3), **tensors})
    assert str(caught.value) == f"{path}: tensor {expected}"
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.params"]
    assert path.read_bytes() == b"older"


def test_one_error_names_every_array_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(FormatError) as caught:
        save_params(tmp_path / "x", [np.array(1.0), np.zeros(1), np.zeros(1, "i2")])
    assert str(caught.value) == f"{tmp_path / 'x'}: tensor '0' {NO_DIMENSIONS}\n  tensor '2' is int16, {KNOWN}"


@pytest.mark.parametrize("tensors", [np.zeros((2, 2)), "text", b"text"])
def test_one_array_is_no_sequence_of_arrays(tensors: Any, tmp_path: Path) -> None:  # noqa: ANN401
    with pytest.raises(TypeError) as caught:
        save_params(tmp_path / "x", tensors)
    kind = type(tensors).__name__
    assert str(caught.value) == f"tensors is a {kind}; expected a mapping or a sequence of arrays"


def test_an_array_may_have_32_dimensions(tmp_path: Path) -> None:
    save_params(tmp_path / "x", [np.full((1,) * 32, 7)])
    with open_params(tmp_path / "x") as file:
        assert (file["0"].shape, file["0"].ravel().tolist()) == ((1,) * 32, [7])


def test_an_open_file_can_be_written_over(tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    save_params(path, {"a": np.arange(3)})
    if sys.platform == "win32":
        pytest.skip("Windows does not replace an open file")
    with open_params(path) as file:
        save_params(path, file)
        assert file["a"].tolist() == [0, 1, 2]
    with open_params(path) as file:
        assert file["a"].tolist() == [0, 1, 2]


def test_a_file_that_cannot_be_written_is_an_output_error_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OutputError) as caught:
        save_params(tmp_path / "none" / "x", [])
    assert str(caught.value) == f"{tmp_path / 'none' / 'x'}: cannot be written (No such file or directory)"
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="folder: cannot be written"):
        save_params(tmp_path / "folder", [])
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]


def test_an_error_of_the_system_without_a_text_is_told_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError("no room")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OutputError, match=r"x: cannot be written \(no room\)$"):
        save_params(tmp_path / "x", [])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="needs a umask")
def test_the_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    save_params(tmp_path / "x", [])
    (tmp_path / "y").write_bytes(b"")
    assert (tmp_path / "x").stat().st_mode == (tmp_path / "y").stat().st_mode


def specs_of(tensors: dict[str, Array]) -> list[TensorSpec]:
    return [TensorSpec(name, array.dtype.name, array.shape) for name, array in tensors.items()]


@QUICK
@given(tensors=st.dictionaries(NAMES, ARRAYS | BFLOAT16, max_size=5))
def test_a_stream_of_rows_is_the_file_of_the_whole_arrays(tensors: dict[str, Array], tmp_path: Path) -> None:
    for name in ("whole", "stream"):
        (tmp_path / name).unlink(missing_ok=True)
    save_params(tmp_path / "whole", tensors)
    sizes: list[int] = []
    write_params(tmp_path / "stream", specs_of(tensors), lambda name: iter(tensors[name]), advance=sizes.append)
    assert (tmp_path / "stream").read_bytes() == (tmp_path / "whole").read_bytes()
    assert sizes == [array.nbytes for array in tensors.values()]


def test_records_for_the_interface_of_numpy_are_of_version_3(tmp_path: Path) -> None:
    tensors = {"a": np.arange(3, dtype="<f4")}
    save_params(tmp_path / "2", tensors)
    write_params(tmp_path / "3", specs_of(tensors), lambda name: [tensors[name]], for_numpy=True)
    versions = [bytes.fromhex("C9FA93F9"), bytes.fromhex("CAFA93F9")]
    assert (tmp_path / "3").read_bytes() == (tmp_path / "2").read_bytes().replace(*versions)


def test_a_range_of_a_file_is_copied_as_it_stands(tmp_path: Path) -> None:
    values = np.arange(6, dtype="<f4").reshape(2, 3)
    (tmp_path / "values").write_bytes(b"front" + values.tobytes() + b"behind")
    with (tmp_path / "values").open("rb") as file:
        write_params(tmp_path / "x", specs_of({"a": values}), lambda _: FileRange(file.fileno(), 5, 24))
    with open_params(tmp_path / "x") as params:
        assert params["a"].tolist() == values.tolist()


@pytest.mark.parametrize("size", [20, 28])
def test_a_payload_of_another_size_than_its_shape_is_refused(size: int, tmp_path: Path) -> None:
    spec = TensorSpec("a", "float32", (6,))
    with pytest.raises(OutputError, match=f"^a: {size} bytes were given, expected 24 from its shape$"):
        write_params(tmp_path / "x", [spec], lambda _: [np.zeros(size, np.uint8)])


def test_one_error_names_every_array_of_a_stream_that_cannot_be_written(tmp_path: Path) -> None:
    specs = [TensorSpec("a", "float32", ()), TensorSpec("b\0", "float32", (1,)), TensorSpec("c", "uint16", (1,))]
    with pytest.raises(FormatError) as caught:
        write_params(tmp_path / "x", specs, lambda _: [])
    assert str(caught.value) == (
        f"{tmp_path / 'x'}: tensor 'a' {NO_DIMENSIONS}\n"
        r"  tensor 'b\x00' has a NUL in its name; MXNet would cut the name there"
        f"\n  tensor 'c' is uint16, {KNOWN}"
    )
    assert not (tmp_path / "x").exists()
