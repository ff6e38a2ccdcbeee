from __future__ import annotations

import hashlib
import os
import struct
import tempfile
import tracemalloc
import zipfile
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from bad_files import deflate_cut, stream, tarred
from params_files import Zipped, archive, f32, list_file, names, npy, record, sparse

from bort_convert.errors import FormatError
from bort_convert.params import open_params
from bort_convert.params.archive import _SpanFile
from bort_convert.params.cursor import Span

if TYPE_CHECKING:
    from pathlib import Path

W = npy(f32(1, 2))
LIST = list_file(record(f32(1, 2), (2,)))


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


def test_a_deflated_sparse_array_reads_and_its_members_are_named(tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    rows = sparse("r", "row_sparse", npy(f32(1, 2), "(1, 2)"), (3, 2), indices=(2,))
    path.write_bytes(archive(*(replace(member, deflated=True) for member in rows)))
    with open_params(path) as file:
        assert file["r"].tolist() == [[0, 0], [0, 0], [1, 2]]
    path.write_bytes(archive(*rows[:-1], Zipped("r/format.npy", npy(b"", version=(9, 0)), deflated=True)))
    with pytest.raises(FormatError) as caught:
        open_params(path)
    assert str(caught.value) == f"{path}: member 'r/format.npy': .npy version 9.0 at byte 6; expected 1.0, 2.0 or 3.0"


def test_a_sparse_array_has_32_dimensions_at_most(tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    rows = sparse("r", "row_sparse", npy(f32(5), f"({'1,' * 32})"), (1,) * 32, indices=(0,))
    path.write_bytes(archive(*rows))
    with open_params(path) as file:
        assert (file["r"].shape, file["r"].dtype, file["r"].ravel().tolist()) == ((1,) * 32, np.dtype("<f4"), [5])
    path.write_bytes(archive(*[Zipped(f"{member.name.removeprefix('r/')}", member.data) for member in rows[:-1]]))
    with open_params(path) as file:
        assert list(file) == ["data", "shape", "indices"]


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


@pytest.mark.parametrize("deflated", [False, True])
def test_a_download_that_was_not_unpacked_reads(deflated: bool, tmp_path: Path) -> None:  # noqa: FBT001
    others = (Zipped("__MACOSX/._net.params", b"x"), Zipped("model/", b""), Zipped("README", b"text"))
    path = tmp_path / "net.zip"
    path.write_bytes(archive(*others, Zipped("model/net.params", LIST, deflated)))
    with open_params(path) as file:
        assert (file.kind, file.note) == ("list", "read from member 'model/net.params' of the archive")
        assert file.size == path.stat().st_size
        assert (file.content.path, file.content.name) == ("model/net.params", "net.params")
        assert (file.content.size, file.content.sha1()) == (len(LIST), hashlib.sha1(LIST).hexdigest())  # noqa: S324
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


@pytest.mark.parametrize(
    ("data", "place"),
    [(archive(Zipped("net.params", LIST, deflated=True)), " member 'net.params':"), (tarred("net.params"), "")],
)
def test_no_room_to_unpack_is_a_format_error(
    data: bytes, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "net.zip"
    path.write_bytes(data)
    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with pytest.raises(FormatError) as caught:
        open_params(path)
    assert str(caught.value) == f"{path}:{place} cannot be unpacked (No space left on device)"


SIZE = len(W)
IN_EXTRA = 0xFFFFFFFF
SIZES = struct.pack("<QQ", SIZE, SIZE)


def field(number: int, content: bytes) -> bytes:
    return struct.pack("<HH", number, len(content)) + content


@pytest.mark.parametrize("elsewhere", [("packed", "size"), ("packed",), ("size",)])
@pytest.mark.parametrize(
    "extra",
    [
        field(1, SIZES),
        field(0x9999, b"") + field(1, SIZES),
        field(0x9999, b"abc") + field(1, SIZES + bytes(8)) + field(0x9999, b"x"),
        field(1, SIZES[:8]) + field(1, SIZES),
        field(0x9999, bytes(20)) + field(0x9999, b"abc") + field(1, SIZES) + b"123",
        field(0x9999, b"\x77" * 40_000) + field(1, SIZES),
    ],
)
def test_sizes_may_be_in_the_extra_field(extra: bytes, elsewhere: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    path.write_bytes(archive(Zipped("w.npy", W, local={"extra": extra, **dict.fromkeys(elsewhere, IN_EXTRA)})))
    with open_params(path) as file:
        assert file["w"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("extra", "found"),
    [
        (b"", IN_EXTRA),
        (b"\1\0\x10", IN_EXTRA),
        (field(1, SIZES)[:-1], IN_EXTRA),
        (field(1, SIZES[:-1]) + field(0x9999, b""), IN_EXTRA),
        (field(2, SIZES), IN_EXTRA),
        (field(0x9999, field(1, SIZES)), IN_EXTRA),
        (field(1, b"\xff" * 16), 2**64 - 1),
    ],
)
def test_sizes_that_are_in_no_extra_field_are_missed(extra: bytes, found: int, tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    path.write_bytes(archive(Zipped("w.npy", W, local={"extra": extra, "packed": IN_EXTRA, "size": IN_EXTRA})))
    with pytest.raises(FormatError) as caught:
        open_params(path)
    assert str(caught.value) == (
        f"{path}: member 'w.npy': its local header has CRC-32 0x{zlib.crc32(W):08X} and {found:,} bytes that "
        f"unpack to {found:,}; expected 0x{zlib.crc32(W):08X}, 76 and 76, as the central directory has"
    )


def test_an_extra_field_counts_only_where_the_header_says_so(tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    path.write_bytes(archive(Zipped("w.npy", W, local={"extra": field(1, struct.pack("<QQ", 1, 2))})))
    with open_params(path) as file:
        assert file["w"].tolist() == [1, 2]


def test_a_central_directory_has_as_many_bytes_as_the_names_of_its_members_may_take(tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    for count in (13, 22):  # beyond the limit on names less that on the search, and beyond both together
        names = [f"{number}{'x' * 62_000}" for number in range(count)]
        path.write_bytes(archive(*(Zipped(f"{name}.npy", W) for name in names)))
        with open_params(path, max_arrays=20_000) as file:
            assert list(file) == names
    with pytest.raises(FormatError) as caught:
        open_params(path, max_arrays=100)
    assert str(caught.value) == (
        f"{path}: a zip archive with a central directory of more than 1,310,720 bytes. If the archive is what it "
        "should be, raise the number of its members with `max_arrays`"
    )


def test_a_span_reads_as_a_file_up_to_its_end_and_to_its_limit() -> None:
    file = _SpanFile(Span(bytearray(b"<<0123456789>>"), 2, 12, "x"), 12)
    assert (file.readable(), file.seekable(), file.tell()) == (True, True, 0)
    buffer = bytearray(b"......")
    assert (file.readinto(buffer), buffer, file.tell()) == (6, b"012345", 6)
    assert (file.readinto(buffer), buffer, file.tell()) == (4, b"678945", 10)
    assert (file.readinto(buffer), file.seek(-1, os.SEEK_END)) == (0, 9)
    assert (file.seek(-2, os.SEEK_CUR), file.seek(11), file.readinto(buffer), file.seek(0)) == (7, 11, 0, 0)
    with pytest.raises(OSError, match=r"^before the start of the file$"):
        file.seek(-1)
    assert file.readinto(memoryview(bytearray(2))) == 2
    with pytest.raises(FormatError, match=r"^x: a zip archive with a central directory of more than 12 bytes\."):
        file.readinto(bytearray(1))


def test_names_of_the_old_code_page_read(tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    old = {"flags": 0, "name": b"gr\x94sse.npy"}
    path.write_bytes(archive(Zipped("", W, local=old, central=old)))
    with open_params(path) as file:
        assert list(file) == ["grösse"]


@pytest.mark.parametrize("flag", [0x1, 0x40, 0x2000])
def test_an_encrypted_member_is_refused_with_the_way_out(flag: int, tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    path.write_bytes(archive(Zipped("w.npy", W, local={"flags": flag}, central={"flags": flag})))
    with pytest.raises(FormatError) as caught:
        open_params(path)
    way_out = "encrypted; expected plain bytes. Unpack the archive with its password first"
    assert str(caught.value) == f"{path}: member 'w.npy': {way_out}"


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


def test_trailing_bytes_are_ignored_on_request(tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    path.write_bytes(archive(Zipped("w.npy", W)) + b"12")
    with open_params(path, allow_trailing=True) as file:
        assert file["w"].tolist() == [1, 2]


def test_what_is_ignored_and_where_the_bytes_are_from_is_noted(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    twice = list_file(*[record(f32(1, 2), (2,))] * 2, table=names("w", "w")) + b"12"
    path.write_bytes(archive(Zipped("net.params", twice)))
    with open_params(path, allow_trailing=True, allow_duplicates=True) as file:
        assert file.note == (
            "read from member 'net.params' of the archive; 2 bytes behind the end ignored; "
            "1 array hidden by a later one of the same name"
        )
    path.write_bytes(archive(Zipped("net.params", archive(Zipped("w.npy", W)) + b"12")))
    with open_params(path, allow_trailing=True) as file:
        assert file["w"].tolist() == [1, 2]
    with pytest.raises(FormatError, match=r"member 'net\.params': bytes stand behind the end of the archive"):
        open_params(path)


WHOLE = archive(Zipped("w.npy", W))
BEHIND = "bytes stand behind the end of the archive; expected the end of the file. `allow_trailing=True` ignores them"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (WHOLE + b"12", BEHIND),
        (
            WHOLE[:-30],
            "a zip archive without a readable central directory ('File is not a zip file'). Truncated download?",
        ),
        (b"PK\3\4" + WHOLE, "the first member of the archive starts at byte 4; expected 0"),
        (
            archive(Zipped("w.npy", W), Zipped("w.npy", W)),
            "two members of the archive are called 'w.npy'; expected one",
        ),
        (
            archive(Zipped("w.npy", W, local={"name": b"v.npy"})),
            "member 'w.npy': its local header calls it b'v.npy'",
        ),
        (
            archive(Zipped("w.npy", W, local={"flags": 0x801})),
            "member 'w.npy': its local header has flags 0x0801 and method 0; expected 0, plain",
        ),
    ],
)
def test_a_damaged_archive_is_refused_with_what_to_do(data: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    path.write_bytes(data)
    with pytest.raises(FormatError) as caught:
        open_params(path)
    assert str(caught.value) == f"{path}: {message}"


def test_a_stream_may_begin_with_a_mebibyte_of_empty_blocks(tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    fields = {"method": 8, "size": len(LIST), "crc": zlib.crc32(LIST)}
    packed = b"\0\0\0\xff\xff" * 2**18 + deflate_cut(LIST) + b"\3\0"
    path.write_bytes(archive(Zipped("net.params", packed, local=fields, central=fields)))
    with open_params(path) as file:
        assert file["a"].tolist() == [1, 2]


def test_bytes_behind_a_stream_are_refused_however_many(tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    packed = deflate_cut(W) + b"\3\0"
    for behind in (1, 2**20 - len(packed), 2**20):
        path.write_bytes(stream(packed + bytes(behind), SIZE))
        with open_params(path) as file, pytest.raises(FormatError, match="does not unpack to the 76 bytes"):
            file["w"]


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


@pytest.mark.parametrize(("always", "ratio", "reads"), [(0, 100, True), (SIZE, 0, True), (SIZE - 1, 0, False)])
def test_an_archive_unpacks_to_a_fixed_size_or_so_many_times_its_own(
    always: int, ratio: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, reads: bool
) -> None:
    monkeypatch.setattr("bort_convert.params.archive.ALWAYS_UNPACKED", always)
    monkeypatch.setattr("bort_convert.params.archive.UNPACK_RATIO", ratio)
    path = tmp_path / "x.params"
    path.write_bytes(WHOLE)
    if reads:
        with open_params(path) as file:
            assert file["w"].tolist() == [1, 2]
    else:
        with pytest.raises(FormatError, match=r"unpack to 76 bytes; at most 75 are made from .* unpack it first$"):
            open_params(path)


def test_an_archive_has_as_many_members_as_are_allowed_and_no_more(tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    path.write_bytes(archive(Zipped("w.npy", W), Zipped("v.npy", W)))
    with open_params(path, max_arrays=2) as file:
        assert list(file) == ["w", "v"]
    with pytest.raises(FormatError) as caught:
        open_params(path, max_arrays=1)
    assert str(caught.value) == (
        f"{path}: the archive has 2 members; at most 1 are read. "
        "If the file is what it should be, raise the limit with `max_arrays=2`"
    )


def local_header(name_bytes: int, extra_bytes: int) -> bytes:
    return b"PK\3\4" + struct.pack("<HHHHHIIIHH", 20, 0x800, 0, 0, 0, 0, 0, 0, name_bytes, extra_bytes)


@pytest.mark.parametrize(
    ("end", "message"),
    [
        (b"PK\3", "its local header needs 4 bytes at byte 346, where 3 remain"),
        (b"PK\3\4\0\0", "its local header needs 26 bytes at byte 350, where 2 remain"),
        (local_header(9, 0) + b"v", "its name needs 9 bytes at byte 376, where 1 remain"),
        (local_header(5, 9) + b"v.npy", "its extra field needs 9 bytes at byte 381, where 0 remain"),
    ],
)
def test_a_local_header_that_the_end_cuts_off_is_refused(end: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    path.write_bytes(archive(Zipped("w.npy", W), Zipped("v.npy", W, central={"offset": 346}), comment=end))
    with pytest.raises(FormatError) as caught:
        open_params(path)
    assert str(caught.value) == f"{path}: member 'v.npy': {message}. Truncated download?"
