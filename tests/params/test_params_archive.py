from __future__ import annotations

import os
import struct
import tracemalloc
import zipfile
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from params_files import Zipped, archive, f32, i64, list_file, npy, record

from bort_convert.errors import FormatError
from bort_convert.params import open_params, opening

if TYPE_CHECKING:
    from pathlib import Path

W = npy(f32(1, 2))
BROKEN = "{{'descr': '|s10{{'descr': '<i8', 'fortran_order': False, 'shape': (), }}        \n"
LIST = list_file(record(f32(1, 2), (2,)))


def sparse(folder: str, letters: str, data: bytes, shape: tuple[int, ...], **indices: tuple[int, ...]) -> list[Zipped]:
    """A sparse array as MXNet 2 writes it, with its `format.npy` that no reader of .npy understands."""
    members = {"data": data, "shape": npy(i64(*shape), f"({len(shape)},)", "'<i8'")}
    members |= {name: npy(i64(*values), f"({len(values)},)", "'<i8'") for name, values in indices.items()}
    members["format"] = npy(letters.encode(), text=BROKEN)
    return [Zipped(f"{folder}/{name}.npy", member) for name, member in members.items()]


@pytest.mark.parametrize("deflated", [False, True])
@pytest.mark.parametrize("streamed", [False, True])
def test_members_read_under_their_names(deflated: bool, streamed: bool, tmp_path: Path) -> None:  # noqa: FBT001
    members = {"größe.npy": "größe", "a/b.npy": "a/b", "x.npy.npy": "x.npy", ".npy": ""}
    path = tmp_path / "x.params"
    path.write_bytes(archive(*(Zipped(name, W, deflated, streamed) for name in members), Zipped("empty/", b"")))
    with open_params(path) as file:
        assert (file.kind, file.named, file.note) == ("zip", True, "")
        assert list(file) == list(members.values())
        for name, info in file.header.items():
            assert file[name].tolist() == [1, 2]
            assert file[name].flags.writeable
            assert (info.offset is None) == deflated
            if info.offset is not None:
                os.lseek(file.fileno(), info.offset, os.SEEK_SET)
                assert os.read(file.fileno(), info.nbytes) == f32(1, 2)


def test_what_numpy_writes_reads(tmp_path: Path) -> None:
    arrays = {"c": np.arange(6.0).reshape(2, 3), "f": np.asfortranarray(np.arange(6.0).reshape(2, 3)), "s": np.array(3)}
    for write in (np.savez, np.savez_compressed):
        with (tmp_path / "x.params").open("wb") as target:
            write(target, **arrays)
        with open_params(tmp_path / "x.params") as file:
            assert list(file) == list(arrays)
            for name, array in arrays.items():
                np.testing.assert_array_equal(file[name], array)
            assert file.header["f"].offset is None


def test_an_archive_of_nothing_reads_as_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    path.write_bytes(archive())
    with open_params(path) as file:
        assert (dict(file), file.kind, file.named) == ({}, "zip", True)


def test_a_large_deflated_member_reads(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 200, 5 * 2**19).astype("u1")  # more than two chunks, in and out
    path = tmp_path / "x.params"
    path.write_bytes(archive(Zipped("w.npy", npy(values.tobytes(), f"({values.size},)", "'|u1'"), deflated=True)))
    with open_params(path) as file:
        np.testing.assert_array_equal(file["w"], values)


def test_folders_of_sparse_arrays_read_as_one(tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    rows = sparse("deep/r", "row_sparse", npy(f32(1, 2), "(1, 2)"), (3, 2), indices=(2,))
    cells = sparse("c", "csr", npy(f32(5), "(1,)"), (2, 2), indices=(1,), indptr=(0, 1, 1))
    path.write_bytes(archive(*rows, Zipped("w.npy", W), *cells))
    with open_params(path) as file:
        assert {name: array.tolist() for name, array in file.items()} == {
            "deep/r": [[0, 0], [0, 0], [1, 2]],
            "w": [1, 2],
            "c": [[0, 5], [0, 0]],
        }
        assert [info.storage for info in file.header.values()] == ["row_sparse", "dense", "csr"]
        assert (file.header["c"].shape, file.header["c"].nbytes) == ((2, 2), 4)
        assert file.pieces("c").keys() == {"data", "indices", "indptr"}


@pytest.mark.parametrize("change", ["another member", "another word"])
def test_a_folder_with_anything_else_holds_dense_arrays(change: str, tmp_path: Path) -> None:
    members = sparse("r", "row_sparse", npy(f32(1, 2), "(1, 2)"), (3, 2), indices=(2,))
    if change == "another member":
        members = [*members[:-1], Zipped("r/format.npy", W), Zipped("r/more.npy", W)]
    else:
        members[-1] = Zipped("r/format.npy", npy(b"\7", "()", "'|u1'"))
    path = tmp_path / "x.params"
    path.write_bytes(archive(*members))
    with open_params(path) as file:
        assert {"r/data", "r/indices", "r/shape", "r/format"} <= set(file)
        assert {info.storage for info in file.header.values()} == {"dense"}


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (npy(f32(1, 2)), "the shape of a sparse array is stored as (2,) float32; expected up to 32 int64 in a row"),
        (npy(i64(*range(33)), "(33,)", "'<i8'"), "is stored as (33,) int64"),
        (npy(i64(3), "()", "'<i8'"), "is stored as () int64"),
        (npy(i64(-3, 2), "(2,)", "'<i8'"), "dimension 0 of (-3, 2) is -3; expected 0 or more"),
        (npy(i64(3, 3), "(2,)", "'<i8'"), "the data of a row_sparse array of shape (3, 3) have the shape (1, 2)"),
    ],
)
def test_a_sparse_folder_of_no_shape_is_refused(shape: bytes, expected: str, tmp_path: Path) -> None:
    members = sparse("r", "row_sparse", npy(f32(1, 2), "(1, 2)"), (3, 2), indices=(2,))
    members[1] = Zipped("r/shape.npy", shape)
    path = tmp_path / "x.params"
    path.write_bytes(archive(*members))
    with pytest.raises(FormatError) as caught:
        open_params(path)
    assert expected in str(caught.value)


def test_a_folder_and_a_member_of_one_name_are_refused(tmp_path: Path) -> None:
    members = sparse("r", "row_sparse", npy(f32(1, 2), "(1, 2)"), (3, 2), indices=(2,))
    path = tmp_path / "x.params"
    path.write_bytes(archive(*members, Zipped("r.npy", W)))
    with pytest.raises(FormatError, match="tensors 1 and 2 are both called 'r'"):
        open_params(path)


@pytest.mark.parametrize("deflated", [False, True])
def test_a_download_that_was_not_unpacked_reads(deflated: bool, tmp_path: Path) -> None:  # noqa: FBT001
    others = (Zipped("__MACOSX/._net.params", b"x"), Zipped("model/", b""), Zipped("README", b"text"))
    path = tmp_path / "net.zip"
    path.write_bytes(archive(*others, Zipped("model/net.params", LIST, deflated)))
    with open_params(path) as file:
        assert (file.kind, file.note) == ("list", "read from member 'model/net.params' of the archive")
        assert file.size == path.stat().st_size
        assert file["a"].tolist() == [1, 2]
        offset = file.header["a"].offset
        assert offset is not None
        os.lseek(file.fileno(), offset, os.SEEK_SET)
        assert os.read(file.fileno(), 8) == f32(1, 2)
        view = file["a"]
    assert view.tolist() == [1, 2]


@pytest.mark.parametrize("deflated", [False, True])
@pytest.mark.parametrize("inner", [archive(Zipped("a.npy", W)), npy(f32(1, 2))])
def test_any_container_reads_from_inside_an_archive(inner: bytes, deflated: bool, tmp_path: Path) -> None:  # noqa: FBT001
    path = tmp_path / "net.zip"
    path.write_bytes(archive(Zipped("first", b"x"), Zipped("net.params", inner, deflated)))
    with open_params(path) as file:
        (name,) = file
        offset = file.header[name].offset
        assert offset is not None
        os.lseek(file.fileno(), offset, os.SEEK_SET)
        assert os.read(file.fileno(), 8) == file[name].tobytes() == f32(1, 2)


def test_two_archives_around_a_file_are_one_too_many(tmp_path: Path) -> None:
    path = tmp_path / "net.zip"
    path.write_bytes(archive(Zipped("b.params", archive(Zipped("a.params", LIST)))))
    with pytest.raises(
        FormatError, match=r"member 'b.params': member 'a.params': no \.npy file; expected an archive of"
    ):
        open_params(path)


def test_no_room_to_unpack_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "net.zip"
    path.write_bytes(archive(Zipped("net.params", LIST, deflated=True)))
    monkeypatch.setattr(opening.tempfile, "TemporaryFile", full)
    with pytest.raises(FormatError, match=r"member 'net.params': cannot be unpacked \(No space left on device\)"):
        open_params(path)


def zip64(packed: int, size: int) -> dict[str, Any]:
    extra = struct.pack("<HHH", 0x9999, 2, 0) + struct.pack("<HHQQ", 1, 16, size, packed)
    return {"packed": 0xFFFFFFFF, "size": 0xFFFFFFFF, "extra": extra}


def test_sizes_may_stand_in_the_extra_field(tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    path.write_bytes(archive(Zipped("w.npy", W, local=zip64(len(W), len(W)))))
    with open_params(path) as file:
        assert file["w"].tolist() == [1, 2]


def test_names_of_the_old_code_page_read(tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    old = {"flags": 0, "name": b"gr\x94sse.npy"}
    path.write_bytes(archive(Zipped("", W, local=old, central=old)))
    with open_params(path) as file:
        assert list(file) == ["grösse"]


def test_a_nul_in_a_name_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    path.write_bytes(archive(Zipped("a\0b.npy", W)))
    with open_params(path) as file:
        assert list(file) == ["a\0b"]


def test_gaps_and_a_comment_are_allowed(tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    path.write_bytes(archive(Zipped("w.npy", W), Zipped("v.npy", W), comment=b"made by hand", gap=bytes(13)))
    with open_params(path) as file:
        assert list(file) == ["w", "v"]


SIZE = len(W)
REFUSED_AT_ONCE: dict[str, tuple[bytes, str]] = {
    "cut": (archive(Zipped("w.npy", W))[:-30], "a zip archive without a readable central directory"),
    "directory in no charset": (
        archive(Zipped("w.npy", W, central={"name": b"\xff.npy"})),
        "without a readable central",
    ),
    "trailing bytes": (
        archive(Zipped("w.npy", W)) + b"12",
        "bytes stand behind the end of the archive; expected the end",
    ),
    "bytes in front": (
        b"PK\3\4" + archive(Zipped("w.npy", W)),
        "the first member of the archive starts at byte 4; expected 0",
    ),
    "one name twice": (
        archive(Zipped("w.npy", W), Zipped("w.npy", W)),
        "two members of the archive are called 'w.npy'",
    ),
    "bomb": (
        archive(Zipped("w.npy", W, deflated=True, streamed=True, central={"size": 2**27})),
        "the members of the archive unpack to 134,217,728 bytes; at most 67,108,864 are made from",
    ),
    "encrypted": (
        archive(Zipped("w.npy", W, central={"flags": 0x801})),
        "member 'w.npy': encrypted; expected plain bytes",
    ),
    "encrypted in its local header": (
        archive(Zipped("w.npy", W, local={"flags": 0x801})),
        "member 'w.npy': its local header has flags 0x0801 and method 0; expected 0, plain",
    ),
    "bzip2": (archive(Zipped("w.npy", W, central={"method": 12})), "compression method 12; expected 0 (stored) or 8"),
    "other method in its local header": (
        archive(Zipped("w.npy", W, local={"method": 8})),
        "and method 8; expected 0, plain",
    ),
    "other name in its local header": (
        archive(Zipped("w.npy", W, local={"name": b"v.npy"})),
        "its local header calls it b'v.npy'",
    ),
    "other magic in its local header": (
        archive(Zipped("v.npy", W), Zipped("w.npy", W, local={"magic": b"PK\3\5"})),
        r"member 'w.npy': its local header starts with b'PK\x03\x05'; expected b'PK\x03\x04'",
    ),
    "other checksum in its local header": (
        archive(Zipped("w.npy", W, local={"crc": 1})),
        "has CRC-32 0x00000001 and 76 bytes",
    ),
    "other size in its local header": (
        archive(Zipped("w.npy", W, local={"size": 9})),
        "76 bytes that unpack to 9; expected",
    ),
    "other size in its extra field": (
        archive(Zipped("w.npy", W, local=zip64(SIZE, 9))),
        "76 bytes that unpack to 9; expected",
    ),
    "checksum in front and behind": (
        archive(Zipped("w.npy", W, streamed=True, local={"crc": 1})),
        "has CRC-32 0x00000001 and 0 bytes that unpack to 0; expected",
    ),
    "size nowhere": (
        archive(Zipped("w.npy", W, local={"size": 0xFFFFFFFF, "extra": struct.pack("<HHQ", 1, 8, SIZE)})),
        "76 bytes that unpack to 4,294,967,295; expected",
    ),
    "sizes that differ though stored": (
        archive(Zipped("w.npy", W, streamed=True, central={"packed": SIZE - 1})),
        "member 'w.npy': stored as 75 bytes of 76; expected the same number",
    ),
    "member too long": (
        archive(Zipped("w.npy", W, streamed=True, central={"packed": SIZE + 99, "size": SIZE + 99})),
        "member 'w.npy': 175 bytes at byte 35 run into what starts at byte 127; expected no overlap",
    ),
    "two names for the same bytes": (
        archive(Zipped("w.npy", W), Zipped("v.npy", b"", central={"offset": 0, "size": SIZE, "packed": SIZE})),
        "expected",
    ),
    "header behind the end": (archive(Zipped("w.npy", W), Zipped("v.npy", W, central={"offset": 10**6})), "needs"),
    "shorter than its shape": (
        archive(Zipped("w.npy", W[:-1])),
        "member 'w.npy': 7 bytes behind the .npy header; expected 8",
    ),
    "no .npy": (
        archive(Zipped("w.npy", W), Zipped("notes.txt", b"")),
        "member 'notes.txt': no .npy file; expected an archive",
    ),
    "PyTorch": (archive(Zipped("model/data.pkl", b"\x80\2.")), "a PyTorch checkpoint (a zip archive with data.pkl)"),
    "two .params": (
        archive(Zipped("a.params", LIST), Zipped("b.params", LIST)),
        "an archive with 'a.params', 'b.params'; expected one .params member, or .npy members alone. Unpack it first",
    ),
    ".params and .npy": (
        archive(Zipped("a.params", LIST), Zipped("w.npy", W)),
        "an archive with 'a.params', 'w.npy'; expected",
    ),
    "wrapped rubbish": (
        archive(Zipped("a.params", b"\1" * 99)),
        "member 'a.params': starts with the bytes 01 01 01 01",
    ),
    "wrapped nothing": (
        archive(Zipped("a.params", b"")),
        "member 'a.params': 0 bytes; the smallest .params file has 32",
    ),
    "wrapped nothing, deflated": (archive(Zipped("a.params", b"", deflated=True)), "member 'a.params': an empty file"),
    "wrapped cut": (
        archive(Zipped("a.params", LIST[:-1], deflated=True)),
        "member 'a.params': name 1 of 1 needs 1 byte at byte 80",
    ),
    "wrapped, damaged": (
        archive(Zipped("a.params", LIST, local={"crc": 7}, central={"crc": 7})),
        "member 'a.params': the CRC-32 is 0x",
    ),
    "wrapped, deflated, damaged": (
        archive(Zipped("a.params", LIST, deflated=True, local={"crc": 7}, central={"crc": 7})),
        "expected 0x00000007. The file is damaged: fetch it again",
    ),
    "no deflate stream": (
        archive(Zipped("w.npy", b"\xff" * 76, local={"method": 8}, central={"method": 8})),
        "member 'w.npy': the deflate stream is damaged (Error -3 while decompressing data: invalid block type)",
    ),
}


@pytest.mark.parametrize("case", REFUSED_AT_ONCE)
def test_what_is_wrong_is_refused_at_once(case: str, tmp_path: Path) -> None:
    data, expected = REFUSED_AT_ONCE[case]
    path = tmp_path / "x.params"
    path.write_bytes(data)
    with pytest.raises(FormatError) as caught:
        open_params(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert expected in str(caught.value)


def test_trailing_bytes_are_ignored_on_request(tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    path.write_bytes(archive(Zipped("w.npy", W)) + b"12")
    with open_params(path, allow_trailing=True) as file:
        assert file["w"].tolist() == [1, 2]


def deflate_cut(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH)


def stream(packed: bytes, size: int) -> bytes:
    fields = {"method": 8, "size": size, "crc": zlib.crc32(W)}
    return archive(Zipped("w.npy", packed, local=fields, central=fields))


PACKED = deflate_cut(W) + b"\3\0"
NOISE = npy(np.random.default_rng(0).bytes(4 * 2**14), "(16384,)")
LONG = deflate_cut(NOISE)
LONG_FIELDS = {"method": 8, "size": len(NOISE)}
DAMAGED = "member 'w.npy': the deflate stream is damaged"
REFUSED_ON_ACCESS = {
    "stored, another checksum": (
        archive(Zipped("w.npy", W, streamed=True, central={"crc": 0xABCDEF})),
        f"member 'w.npy': the CRC-32 is 0x{zlib.crc32(W):08X}; expected 0x00ABCDEF. The file is damaged",
    ),
    "deflated, another checksum": (
        archive(Zipped("w.npy", W, deflated=True, streamed=True, central={"crc": 0xABCDEF})),
        "expected 0x00ABCDEF",
    ),
    "stream without an end": (stream(deflate_cut(W), SIZE), "does not unpack to the 76 bytes that the archive says"),
    "bytes behind the stream": (stream(PACKED + b"x", SIZE), "does not unpack to the 76 bytes"),
    "stream that goes on": (
        stream(deflate_cut(W) + deflate_cut(b"more") + b"\3\0", SIZE),
        "does not unpack to the 76 bytes",
    ),
    "stream damaged behind the header": (
        archive(Zipped("w.npy", LONG[:8000] + b"\xff" * (len(LONG) - 8000), local=LONG_FIELDS, central=LONG_FIELDS)),
        DAMAGED,
    ),
}


@pytest.mark.parametrize("case", REFUSED_ON_ACCESS)
def test_damaged_values_are_refused_when_they_are_asked_for(case: str, tmp_path: Path) -> None:
    data, expected = REFUSED_ON_ACCESS[case]
    path = tmp_path / "x.params"
    path.write_bytes(data)
    with open_params(path) as file:
        assert file.header["w"].shape in {(2,), (16384,)}
        for read in (file.__getitem__, file.pieces):
            with pytest.raises(FormatError) as caught:
                read("w")
            assert expected in str(caught.value)


def test_a_stream_is_not_unpacked_past_its_size(tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    path.write_bytes(stream(deflate_cut(W + bytes(2**26)) + b"\3\0", SIZE))
    tracemalloc.start()
    with open_params(path) as file, pytest.raises(FormatError, match="does not unpack to the 76 bytes"):
        file["w"]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**23


def test_a_checksum_is_computed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.params"
    path.write_bytes(archive(Zipped("w.npy", W), Zipped("v.npy", W)))
    calls = []
    crc32 = zlib.crc32

    def counted(data: bytes, before: int) -> int:
        calls.append(len(data))
        return crc32(data, before)

    monkeypatch.setattr("bort_convert.params.member.zlib.crc32", counted)
    with open_params(path) as file:
        assert calls == []
        assert [file[name].tolist() for name in "wvwv"] == [[1, 2]] * 4
    assert calls == [SIZE, SIZE]


def test_any_damage_to_an_archive_is_refused_or_reads(tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    with zipfile.ZipFile(path, "w") as target:
        target.writestr("w.npy", W, zipfile.ZIP_DEFLATED)
        target.writestr("net/v.npy", W)
    data = path.read_bytes()
    refused = 0
    for at in range(len(data)):
        for change in (1, 0x20, 0xFF):
            damaged = bytearray(data)
            damaged[at] ^= change
            path.write_bytes(damaged)
            try:
                with open_params(path) as file:
                    dict(file)
            except FormatError:
                refused += 1
    assert refused > 2 * len(data)
