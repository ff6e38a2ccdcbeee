from __future__ import annotations

import gc
import hashlib
import struct
import sys
import tracemalloc
from typing import TYPE_CHECKING

import numpy as np
import pytest
from bad_files import tarred
from params_files import Zipped, archive, f32, list_file, names, npy, record, row_sparse, u32, u64

from bort_convert.dtypes import TensorSpec
from bort_convert.errors import FormatError
from bort_convert.params import ParamsFile, TensorInfo, open_params
from bort_convert.params.file import FileBytes

if TYPE_CHECKING:
    from pathlib import Path

    from bort_convert.dtypes import Array


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "x.params"
    path.write_bytes(list_file(record(f32(1, 2), (2,)), u32(0), record(f32(3, 4), (2, 1))))
    return path


def test_the_header_is_read_without_values(path: Path) -> None:
    with open_params(str(path)) as file:
        assert list(file.header.values()) == [
            TensorInfo("a", (2,), "float32", "dense", 56, 8),
            TensorInfo("b", (), None, "none", None, 0),
            TensorInfo("c", (2, 1), "float32", "dense", 108, 8),
        ]
        with pytest.raises(TypeError):
            file.header["d"] = file.header["a"]  # type: ignore[index]


def test_the_specs_are_those_of_the_header_and_a_record_without_a_value_has_none(path: Path) -> None:
    with open_params(path) as file:
        assert file.specs == {
            "a": TensorSpec("a", "float32", (2,)),
            "b": None,
            "c": TensorSpec("c", "float32", (2, 1)),
        }


def test_the_content_of_a_file_on_its_own_is_the_file(path: Path) -> None:
    with open_params(path) as file:
        assert (file.path, file.content.path, file.content.name) == (path, "x.params", "x.params")
        assert file.size == file.content.size == path.stat().st_size
        assert file.content.sha1() == hashlib.sha1(path.read_bytes()).hexdigest()  # noqa: S324
        assert (file.note, file.marks, file.source) == ("", {}, file.fileno())


def test_a_file_that_was_written_to_is_no_longer_the_one_that_was_opened(path: Path) -> None:
    with open_params(path) as file:
        file.check_unchanged()
        path.write_bytes(b"")
        with pytest.raises(FormatError) as caught:
            file.check_unchanged()
    assert str(caught.value).startswith(f"{path}: changed while it was read: it had {file.size} bytes and has 0 now.")


CHECKED = {
    "bool": (
        list_file(record(b"\1\0\7", (3,), flag=7)),
        "tensor 'a': value 2 of a bool array is the byte 7; expected 0 or 1",
    ),
    "checksum": (
        archive(Zipped("a.npy", npy(f32(1, 2)), local={"crc": 1}, central={"crc": 1})),
        "member 'a.npy': the CRC-32 is 0x9BF27345; expected 0x00000001. The file is damaged: fetch it again",
    ),
}


@pytest.mark.parametrize("case", CHECKED)
def test_a_check_sees_what_opening_could_not(case: str, path: Path) -> None:
    data, message = CHECKED[case]
    path.write_bytes(data)
    with open_params(path) as file:
        for ask in (file.check, file.pieces, file.__getitem__):
            with pytest.raises(FormatError) as caught:
                ask("a")
            assert str(caught.value) == f"{path}: {message}"
        with pytest.raises(KeyError, match="none"):
            file.check("none")


def test_a_check_reads_no_values_but_bools(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_bytes(list_file(record(f32(1, 2), (2,)), record(b"\1", (1,), flag=7), row_sparse(), u32(0)))
    asked: list[int] = []
    view = FileBytes.view

    def noted(data: FileBytes, start: int, count: int) -> memoryview:
        asked.append(count)
        return view(data, start, count)

    monkeypatch.setattr(FileBytes, "view", noted)
    with open_params(path) as file:
        for name in file.header:
            file.check(name)
    assert asked == [1]


WAYS = {
    "plain": list_file(record(f32(1, 2), (2,))),
    "stored": archive(Zipped("x.params", list_file(record(f32(1, 2), (2,))))),
    "deflated": archive(Zipped("x.params", list_file(record(f32(1, 2), (2,))), deflated=True)),
    "tar": tarred("x.params", content=list_file(record(f32(1, 2), (2,)))),
}


@pytest.mark.parametrize("mapped", [True, False])
@pytest.mark.parametrize("way", WAYS)
def test_arrays_are_views_of_one_map_or_read_each_time(way: str, path: Path, *, mapped: bool) -> None:
    path.write_bytes(WAYS[way])
    with open_params(path, mapped=mapped) as file:
        assert np.shares_memory(file["a"], file["a"]) == mapped
        assert file["a"].tolist() == [1, 2]
    with open_params(path) as file:
        assert np.shares_memory(file["a"], file["a"])


def test_a_file_that_the_system_cannot_read_is_a_format_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("bort_convert.params.file.read_into", fail)
    with pytest.raises(FormatError) as caught:
        open_params(path)
    assert str(caught.value) == f"{path}: cannot be read: Input/output error. Is its disk in order?"


def test_it_is_a_mapping_of_arrays(path: Path) -> None:
    with open_params(path) as file:
        assert list(file) == list(file.keys()) == ["a", "c"]
        assert len(file) == 2
        assert "a" in file
        assert "b" not in file
        assert "d" not in file
        assert 0 not in file
        assert file.get("d") is None
        assert [array.tolist() for array in file.values()] == [[1, 2], [[3], [4]]]
        assert repr(file) == f"<ParamsFile {str(path)!r}: list, 2 arrays>"
        for missing in ("b", "d"):
            with pytest.raises(KeyError, match=missing):
                file[missing]
        with pytest.raises(KeyError, match="d"):
            file.pieces("d")


def test_two_open_files_are_two_things(path: Path) -> None:
    with open_params(path) as file, open_params(path) as other:
        assert file == file  # noqa: PLR0124 - the test is about identity
        assert file != other
        assert len({file, other, file}) == 2


def test_a_dense_array_is_a_writeable_view_that_leaves_the_file_alone(path: Path) -> None:
    before = path.read_bytes()
    with open_params(path) as file:
        view = file["a"]
        assert not view.flags.owndata
        assert view.flags.writeable
        view[0] = 9
        assert file["a"].tolist() == [9, 2]
    assert path.read_bytes() == before


def test_asking_for_a_label_asks_for_no_values(tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    path.write_bytes(list_file(record(b"\2", (1,), flag=7)))
    with open_params(path) as file:
        assert "a" in file


def test_views_outlive_the_file(path: Path) -> None:
    with open_params(path) as file:
        views = dict(file)
    del file
    gc.collect()
    assert {name: view.tolist() for name, view in views.items()} == {"a": [1, 2], "c": [[3], [4]]}


def test_a_closed_file_keeps_its_header_and_nothing_else(path: Path) -> None:
    file = open_params(path)
    view = file["a"]  # keeps the map alive, which must not keep the file open
    file.close()
    file.close()
    assert file.header["a"].shape == (2,)
    assert list(file) == ["a", "c"]
    for ask in (lambda: file["a"], lambda: file.pieces("a"), lambda: file.check("a"), file.fileno):
        with pytest.raises(ValueError, match=r"^I/O operation on closed file$"):
            ask()
    assert view.tolist() == [1, 2]


def test_a_refused_file_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    path.write_bytes(list_file(record(f32(1), (1,))) + b"!")
    with pytest.raises(FormatError):
        open_params(path)
    gc.collect()  # an open file would warn here, and warnings are errors
    path.unlink()


CLAIMS = {
    "arrays": u64(0x112, 0, 2**61) + bytes(40),
    "names": list_file(record(f32(1), (1,)), table=u64(2**60)),
    "a name": list_file(record(f32(1), (1,)), table=u64(1, 2**40)),
    "values": list_file(record(b"", (2**40,))),
    "a bare array": npy(b"", "(1099511627776,)"),
}


@pytest.mark.parametrize("case", CLAIMS)
def test_a_small_file_that_claims_terabytes_takes_no_memory(case: str, tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    path.write_bytes(CLAIMS[case])
    tracemalloc.start()
    with pytest.raises(FormatError):
        open_params(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file with holes")
def test_opening_a_large_file_reads_headers_only(tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    size = 2**36
    with path.open("wb") as file:  # 64 GiB of zeros that take no room, between a header and a name
        file.write(u64(0x112, 0, 1) + record(b"", (size,), flag=3))
        file.seek(size, 1)
        file.write(names("w"))
    with open_params(path) as params:
        assert params.header["w"].nbytes == size
        assert params.size == path.stat().st_size
        last: Array = params["w"][-1:]
        assert last.tolist() == [0]


def test_a_thousand_arrays_keep_their_order(tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    names_in_order = [f"encoder.{number}" for number in range(1000)]
    records = [record(struct.pack("<i", number), (1,), flag=4) for number in range(1000)]
    path.write_bytes(list_file(*records, table=names(*names_in_order)))
    with open_params(path) as file:
        assert isinstance(file, ParamsFile)
        assert list(file) == names_in_order
        np.testing.assert_array_equal(np.concatenate(list(file.values())), np.arange(1000))
