from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING

import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from params_files import V1, V2, V3, f32, i32, i64, list_file, names, record, row_sparse, u32, u64

from bort_convert.errors import FormatError
from bort_convert.params import open_params

if TYPE_CHECKING:
    from pathlib import Path

VALUES = {
    0: ("float32", "<f4", "<2f", (1.5, -2.0)),
    1: ("float64", "<f8", "<2d", (1.5, -2.0)),
    2: ("float16", "<f2", "<2e", (1.5, -2.0)),
    3: ("uint8", "u1", "<2B", (0, 255)),
    4: ("int32", "<i4", "<2i", (-1, 2**31 - 1)),
    5: ("int8", "i1", "<2b", (-128, 127)),
    6: ("int64", "<i8", "<2q", (-1, 2**63 - 1)),
    7: ("bool", "?", "<2B", (1, 0)),
    8: ("int16", "<i2", "<2h", (-1, 32767)),
    9: ("uint16", "<u2", "<2H", (1, 65535)),
    10: ("uint32", "<u4", "<2I", (1, 2**32 - 1)),
    11: ("uint64", "<u8", "<2Q", (1, 2**64 - 1)),
}


@pytest.mark.parametrize("magic", [0, V1, V2, V3])
@pytest.mark.parametrize("flag", VALUES)
def test_every_type_reads_from_every_version(flag: int, magic: int, tmp_path: Path) -> None:
    name, dtype, codes, values = VALUES[flag]
    versions = {0: u32(1, 2), V1: u32(V1, 1) + i64(2), V2: u32(V2, 0, 1) + i64(2), V3: u32(V3, 0, 1) + i64(2)}
    path = tmp_path / "x.params"
    path.write_bytes(list_file(versions[magic] + i32(1, 0, flag) + struct.pack(codes, *values)))
    with open_params(path) as file:
        assert file.header["a"].dtype == name
        np.testing.assert_array_equal(file["a"], np.array(values, dtype))
        assert file["a"].dtype == np.dtype(dtype)


def test_bfloat16_reads_as_the_dtype_of_ml_dtypes(tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    path.write_bytes(list_file(record(bytes.fromhex("803F 00C0"), (2, 1), flag=12)))
    with open_params(path) as file:
        assert file.header["a"].dtype == "bfloat16"
        assert file["a"].dtype == np.dtype(ml_dtypes.bfloat16)
        assert file["a"].astype("f4").tolist() == [[1.0], [-2.0]]


def test_one_file_may_have_records_of_several_versions(tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    old = u32(1, 1) + i32(1, 0, 0) + f32(1)
    path.write_bytes(list_file(old, record(f32(2), (1,)), record(f32(3), magic=V3), u32(V1, 1) + i64(0) + i32(1, 0, 0)))
    with open_params(path) as file:
        assert {name: array.tolist() for name, array in file.items()} == {"a": [1], "b": [2], "c": 3, "d": []}


@pytest.mark.parametrize("context", [(1, 0), (2, 7), (3, 0), (5, -1), (-(2**31), 2**31 - 1)])
def test_the_device_is_ignored(context: tuple[int, int], tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    path.write_bytes(list_file(record(f32(1), (1,), context=context)))
    with open_params(path) as file:
        assert file["a"].tolist() == [1]


ITEMSIZES = {flag: np.dtype(dtype).itemsize for flag, (_, dtype, _, _) in VALUES.items()} | {12: 2}
BOOL = 7


@st.composite
def any_record(draw: st.DrawFn) -> tuple[bytes, str | None, tuple[int, ...], bytes]:
    """Draw a record of any version, type and shape; and the dtype (None without a value), shape and bytes expected."""
    version, flag = draw(st.sampled_from((0, V1, V2, V3))), draw(st.sampled_from(sorted(ITEMSIZES)))
    shape = tuple(draw(st.lists(st.integers(0, 3), max_size=5)))
    size = ITEMSIZES[flag] * math.prod(shape)
    bits = st.lists(st.integers(0, 1), min_size=size, max_size=size).map(bytes)
    values = draw(bits if flag == BOOL else st.binary(min_size=size, max_size=size))
    start = {0: u32(len(shape), *shape), V1: u32(V1, len(shape)) + i64(*shape)}.get(
        version, u32(version, 0, len(shape)) + i64(*shape)
    )
    if version in (0, V1) and not shape:
        return start, None, (), b""
    return start + i32(1, 0, flag) + values, [*(name for name, *_ in VALUES.values()), "bfloat16"][flag], shape, values


@given(records=st.lists(any_record(), max_size=5), named=st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_records_of_any_version_type_and_shape_read_back_bit_for_bit(
    *, records: list[tuple[bytes, str | None, tuple[int, ...], bytes]], named: bool, tmp_path: Path
) -> None:
    path = tmp_path / "x.params"
    called = "abcde" if named and records else "01234"
    path.write_bytes(list_file(*(data for data, *_ in records), table=None if named else u64(0)))
    with open_params(path) as file:
        assert file.named == (named and bool(records))
        assert [(info.name, info.dtype, info.shape) for info in file.header.values()] == [
            (name, dtype, shape) for name, (_, dtype, shape, _) in zip(called, records, strict=False)
        ]
        for name, array in file.items():
            _, dtype, shape, values = records[called.index(name)]
            assert (array.dtype.name, array.shape, array.tobytes()) == (dtype, shape, values)


def test_misaligned_values_are_views_too(tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    path.write_bytes(list_file(record(b"\1", (1,), flag=3), record(struct.pack("<2d", 0.1, 0.2), (2,), flag=1)))
    with open_params(path) as file:
        assert file.header["b"].offset == 24 + 33 + 32
        assert not file["b"].flags.aligned
        assert not file["b"].flags.owndata
        assert file["b"].tolist() == [0.1, 0.2]


@pytest.mark.parametrize("shape", [(1,) * 32, (0,), (2, 0, 3), (0, 2**40), (2, 1, 3)])
def test_unusual_shapes_read(shape: tuple[int, ...], tmp_path: Path) -> None:
    count = int(np.prod(shape, dtype=object))
    path = tmp_path / "x.params"
    path.write_bytes(list_file(record(bytes(range(count)), shape, flag=3)))
    with open_params(path) as file:
        assert file["a"].shape == file.header["a"].shape == shape
        assert file["a"].tobytes() == bytes(range(count))


def test_a_file_of_nothing_reads_as_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    path.write_bytes(list_file())
    with open_params(path) as file:
        assert dict(file) == {}
        assert (len(file), file.named, file.kind) == (0, False, "list")


def test_version_2_records_without_dimensions_are_none_if_the_file_reads_no_other_way(tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    none = u32(V2, 0, 0)
    path.write_bytes(list_file(none, record(f32(1, 2), (2,)), none))
    with open_params(path) as file:
        assert [info.storage for info in file.header.values()] == ["none", "dense", "none"]
        assert {name: array.tolist() for name, array in file.items()} == {"b": [1, 2]}
        assert file.note == "version 2 records without dimensions are read as arrays without a value"


def test_version_2_records_without_dimensions_may_be_none_before_bytes_that_are_ignored(tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    path.write_bytes(list_file(u32(V2, 0, 0), record(f32(1, 2), (2,))) + b"!")
    with open_params(path, allow_trailing=True) as file:
        assert [info.storage for info in file.header.values()] == ["none", "dense"]
        assert file.note == (
            "version 2 records without dimensions are read as arrays without a value; 1 byte behind the end ignored"
        )


def test_a_scalar_of_version_3_is_a_scalar_in_any_reading(tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    path.write_bytes(list_file(u32(V2, 0, 0), record(f32(1), magic=V3)))
    with open_params(path) as file:
        assert [info.storage for info in file.header.values()] == ["none", "dense"]
        assert file["b"].tolist() == 1


def test_the_smallest_records_fill_a_file(tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    path.write_bytes(list_file(*[u32(0)] * 8, table=u64(0)))
    with open_params(path) as file:
        assert (len(file), len(file.header), file.size) == (0, 8, 64)


FIRST = record(f32(1, 2), (2,))
DENSE_END = [("{}: its context", 8), ("{}: its type flag", 4), ("{}: its data, (2, 1) float64,", 16)]
FIELDS = {
    "version 0": (
        u32(2, 2, 1) + i32(1, 0, 1) + bytes(16),
        [("the first word of {}", 4), ("{}: its shape", 8), *DENSE_END],
    ),
    "version 1": (
        u32(V1, 2) + i64(2, 1) + i32(1, 0, 1) + bytes(16),
        [("the first word of {}", 4), ("{}: its number of dimensions", 4), ("{}: its shape", 16), *DENSE_END],
    ),
    "version 2": (
        record(bytes(16), (2, 1), flag=1),
        [
            ("the first word of {}", 4),
            ("{}: its storage type", 4),
            ("{}: its number of dimensions", 4),
            ("{}: its shape", 16),
            *DENSE_END,
        ],
    ),
    "row_sparse": (
        row_sparse(),
        [
            ("the first word of {}", 4),
            ("{}: its storage type", 4),
            *[("{}: its number of dimensions", 4), ("{}: its shape", 16)] * 2,
            ("{}: its context", 8),
            ("{}: its type flag", 4),
            ("{}: the type flag of its indices", 4),
            ("{}: its number of dimensions", 4),
            ("{}: its shape", 8),
            ("{}: its data, (2, 2) float32,", 16),
            ("{}: its indices, (2,) int64,", 16),
        ],
    ),
    "names": (
        u32(0) + names("ab", "c"),
        [
            ("the first word of {}", 4),
            ("the number of names", 8),
            *[
                ("the length of name 1 of 2", 8),
                ("name 1 of 2", 2),
                ("the length of name 2 of 2", 8),
                ("name 2 of 2", 1),
            ],
        ],
    ),
}


@pytest.mark.parametrize("case", FIELDS)
def test_a_file_that_ends_in_a_field_is_refused_with_its_name_and_place(case: str, tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    (data, fields), start = FIELDS[case], 24 + len(FIRST)
    assert sum(size for _, size in fields) == len(data)
    for field, size in fields:
        end = start + size - 1
        path.write_bytes(list_file(FIRST, data, count=2, table=b"")[:end])
        with pytest.raises(FormatError) as caught:
            open_params(path)
        assert str(caught.value) == (
            f"{path}: {field.format('tensor 2 of 2')} needs {size} byte{'s' * (size > 1)} at byte {start}, "
            f"where {size - 1} remain. Truncated download?"
        )
        start += size


def test_names_together_have_a_limit(tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    texts = ["a" * 2**19, "b" * 2**19, "c"]
    path.write_bytes(list_file(*[u32(0)] * 2, table=names(*texts[:2])))
    with open_params(path, max_arrays=9) as file:
        assert list(file.header) == texts[:2]
    path.write_bytes(list_file(*[u32(0)] * 3, table=names(*texts)))
    with open_params(path, max_arrays=11_000) as file:
        assert list(file.header) == texts
    with pytest.raises(FormatError) as caught:
        open_params(path, max_arrays=9)
    assert str(caught.value) == (
        f"{path}: name 3 of 3 has 1 bytes at byte {path.stat().st_size - 1:,}; all names may have 1,048,576"
    )


def test_version_0_has_32_dimensions_at_most(tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    path.write_bytes(list_file(u32(32, *[1] * 32) + i32(1, 0, 0) + f32(7)))
    with open_params(path) as file:
        assert (file["a"].shape, file["a"].tolist()) == ((1,) * 32, np.full((1,) * 32, 7).tolist())


def test_scalars_and_none_are_never_mixed_and_the_first_error_is_raised(tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    path.write_bytes(list_file(u32(V2, 0, 0), record(f32(1))))
    with pytest.raises(FormatError, match=r"byte 56 announces 4,575,657,221,408,423,936 names for 2 arrays"):
        open_params(path)


def test_names_keep_every_character(tmp_path: Path) -> None:
    expected = ["größe", "中文.权重", "a b\t/\n:", "\U0001f600" * 75]
    path = tmp_path / "x.params"
    path.write_bytes(list_file(*[record(b"\1", (1,), flag=3)] * 4, table=names(*expected)))
    with open_params(path) as file:
        assert list(file) == expected


def test_repeated_names_keep_the_last_on_request(tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    records = [record(bytes((number,)), (1,), flag=3) for number in range(3)]
    path.write_bytes(list_file(*records, table=names("w", "v", "w")))
    with open_params(path, allow_duplicates=True) as file:
        assert {name: array.tolist() for name, array in file.items()} == {"w": [2], "v": [1]}
        assert file.note == "1 array hidden by a later one of the same name"


def test_trailing_bytes_are_ignored_on_request(tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    path.write_bytes(list_file(record(b"\1", (1,), flag=3)) * 2)
    with open_params(path, allow_trailing=True) as file:
        assert file["a"].tolist() == [1]
        assert file.note == "74 bytes behind the end ignored"


def test_bytes_behind_the_last_name_are_refused_with_their_number_and_the_way_out(tmp_path: Path) -> None:
    whole, path = list_file(record(f32(1, 2), (2,))), tmp_path / "x.params"
    for extra, found in ((b"\0", "1 byte"), (b"\0\0", "2 bytes")):
        path.write_bytes(whole + extra)
        with pytest.raises(FormatError) as caught:
            open_params(path)
        assert str(caught.value) == (
            f"{path}: {found} too many at byte {len(whole):,}, behind the last name; "
            "expected the end of the file. `allow_trailing=True` ignores them, as MXNet does"
        )


def test_a_list_that_announces_more_arrays_than_its_bytes_hold_is_refused(tmp_path: Path) -> None:
    whole, path = bytearray(list_file(record(f32(1, 2), (2,)))), tmp_path / "x.params"
    whole[16:24] = (10**6).to_bytes(8, "little")
    path.write_bytes(whole)
    with pytest.raises(FormatError) as caught:
        open_params(path)
    start = f"{path}: byte 16 announces 1,000,000 arrays, and {len(whole):,} bytes hold at most "
    assert str(caught.value).startswith(start)
