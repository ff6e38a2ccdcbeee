"""A `.params` file in a tar archive or a directory: what is read, and what a hostile archive comes to."""

from __future__ import annotations

import gzip
import io
import random
import tarfile
import tracemalloc
import zlib
from typing import TYPE_CHECKING

import numpy as np
import pytest
from counts import Calls
from params_files import list_file

from bort_convert.errors import FormatError
from bort_convert.params import MAX_ARRAYS, open_params, save_params
from bort_convert.params.cursor import quoted

if TYPE_CHECKING:
    from pathlib import Path

ARRAYS = {"a.b": np.arange(6, dtype=np.float32).reshape(2, 3), "c": np.array([1, 2], np.int64)}
FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}
Entry = tuple[str, bytes | None, bytes, str]
"""Name, content, type and target of a link."""


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("arrays") / "x.params"
    save_params(path, ARRAYS)
    return path.read_bytes()


def tar(*members: tuple[str, bytes], form: str = "pax", others: tuple[tarfile.TarInfo, ...] = ()) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=FORMATS[form]) as archive:
        for info in others:
            archive.addfile(info)
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def read(path: Path, data: bytes, **options: int) -> dict[str, object]:
    path.write_bytes(data)
    with open_params(path, **options) as params:  # type: ignore[arg-type]
        return {name: (array.dtype.name, array.tolist()) for name, array in params.items()}


def problem(path: Path, data: bytes, **options: int) -> str:
    with pytest.raises(FormatError) as caught:
        read(path, data, **options)
    assert str(caught.value).isprintable()
    return str(caught.value).removeprefix(f"{path}: ")


EXPECTED = {name: (array.dtype.name, array.tolist()) for name, array in ARRAYS.items()}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize(
    "name", ["model-0000.params", "./a/model.params", "d" * 90 + "/" + "n" * 80 + ".params", "é.params"]
)
def test_the_one_params_file_is_read_whatever_stands_beside_it(
    tmp_path: Path, content: bytes, form: str, name: str, *, packed: bool
) -> None:
    others = (
        special("code", tarfile.DIRTYPE),
        special("link.params", tarfile.SYMTYPE, "/etc/passwd"),
        special("hard.params", tarfile.LNKTYPE, "model-symbol.json"),
        special("device.params", tarfile.CHRTYPE),
        special("pipe.params", tarfile.FIFOTYPE),
    )
    data = tar(("model-symbol.json", b"{}"), ("a/._model.params", b"x"), (name, content), form=form, others=others)
    data = gzip.compress(data) if packed else data
    assert read(tmp_path / "model.tar.gz", data) == EXPECTED
    with open_params(tmp_path / "model.tar.gz") as params:
        assert params.note == f"read from member {quoted(name)} of the archive"
        assert params.content.path == name
        assert params.path == tmp_path / "model.tar.gz"
        assert params.size == len(data)


def test_streams_of_gzip_one_behind_the_other_are_one(tmp_path: Path, content: bytes) -> None:
    data = tar(("é.params", content))  # a header, attributes, a header and the bytes
    for cut in (300, 520, 1100, 1700):
        assert read(tmp_path / "m.tgz", gzip.compress(data[:cut]) + gzip.compress(data[cut:])) == EXPECTED
        with open_params(tmp_path / "m.tgz") as params:
            assert params.content.path == "é.params"


def test_an_archive_with_none_or_two_is_refused_with_the_names(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.tar.gz"
    assert problem(path, gzip.compress(tar(("a.txt", b"x"), ("b\x1b.json", b"")))) == (
        "the archive holds 'a.txt', 'b\\x1b.json'; expected one .params file in it"
    )
    assert problem(path, gzip.compress(tar(others=(special("m.params", tarfile.SYMTYPE, "/x"),)))) == (
        "the archive holds nothing; expected one .params file in it"
    )
    assert problem(path, gzip.compress(tar(("a.params", content), ("d/b.params", content)))) == (
        "the archive holds 'a.params' and 'd/b.params'; expected one .params file. Unpack it, and give one of them"
    )


@pytest.mark.parametrize("name", ["/etc/m.params", "../m.params", "a/../../m.params", "a\\..\\m.params"])
def test_a_member_whose_name_leads_out_is_refused(tmp_path: Path, content: bytes, name: str) -> None:
    assert problem(tmp_path / "m.tar", tar((name, content))) == (
        f"member {name!r} is a path that leads out of the archive; expected none"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.tar"]


@pytest.mark.parametrize("packed", [True, False])
def test_every_cut_is_refused(tmp_path: Path, content: bytes, *, packed: bool) -> None:
    data = tar(("m.params", content), form="ustar")
    end = 512 + len(content) + -len(content) % 512 + 512  # behind the first block of zeros
    data = gzip.compress(data) if packed else data[:end]
    for size in {*range(300, len(data), 37), len(data) - 1}:
        found = problem(tmp_path / "m.tar.gz", data[:size])
        if packed:
            assert found == "the gzip stream ends before its end. Truncated download?"
        elif size >= 512:
            left = 512 + len(content) - size if size < 512 + len(content) else -size % 512
            assert found == f"the archive ends where {left} more bytes are expected. Truncated download?"


def test_a_changed_byte_is_refused_or_changes_nothing_that_is_read(tmp_path: Path, content: bytes) -> None:
    data = gzip.compress(tar(("m.params", content)))
    rng = random.Random(0)  # noqa: S311 - no secret
    for at in rng.sample(range(10, len(data)), 60):
        changed = bytearray(data)
        changed[at] ^= 1 << rng.randrange(8)
        problem(tmp_path / "m.tar.gz", bytes(changed))


def test_a_size_stands_in_the_attributes_where_it_has_no_room_in_the_header(tmp_path: Path, content: bytes) -> None:
    """As of a member of 8 GiB and more: the header then holds 0."""
    size = f"{len(content)}"
    whole = tarfile.TarInfo("m.params")
    whole.pax_headers = {"size": size}
    attributes = whole.tobuf(tarfile.PAX_FORMAT)
    padded = content + bytes(-len(content) % 512)
    assert f" size={size}\n".encode() in attributes
    assert len(read(tmp_path / "m.tar", attributes + padded + bytes(1024))) == len(ARRAYS)


def test_bytes_behind_the_end_are_refused(tmp_path: Path, content: bytes) -> None:
    data = tar(("m.params", content))
    behind = "bytes stand behind the end of the archive; expected none"
    assert problem(tmp_path / "m.tar", data + b"X") == behind
    assert problem(tmp_path / "m.tar", data.ljust(2**20 + 1, b"\0") + b"X") == behind
    assert problem(tmp_path / "m.tar", gzip.compress(data) + b"x" * 30) == (
        "the gzip stream is damaged (Error -3 while decompressing data: incorrect header check). Fetch the file again"
    )


def raw_header(
    name: bytes,
    size: bytes = b"00000000000",
    kind: bytes = b"0",
    *,
    magic: bytes = b"ustar\0",
    folders: bytes = b"",
    end: bytes = b"",
) -> bytes:
    """Make a header of any fields; its sum is right."""
    header = bytearray(512)
    for at, field in ((0, name), (100, b"0000644"), (124, size), (156, kind), (257, magic), (345, folders), (500, end)):
        header[at : at + len(field)] = field
    header[148:156] = b"%06o\0 " % (sum(header) + 8 * ord(" "))
    return bytes(header)


def raw_member(name: bytes, content: bytes, kind: bytes = b"0") -> bytes:
    return raw_header(name, b"%011o" % len(content), kind) + content + bytes(-len(content) % 512)


def attribute(name: bytes, value: bytes) -> bytes:
    """Make a record of attributes of 10 to 99 bytes."""
    return b"%d %b=%b\n" % (len(name) + len(value) + 5, name, value)


LAST = raw_header(b"last") + bytes(1024)


def held(path: Path, *members: bytes) -> str:
    """What an archive without a .params file is said to hold before its last member."""
    found = problem(path, b"".join(members) + LAST)
    start, end = "the archive holds ", "'last'; expected one .params file in it"
    assert found.startswith(start)
    assert found.endswith(end)
    return found.removeprefix(start).removesuffix(end)


def test_a_name_may_fill_its_fields(tmp_path: Path) -> None:
    folders, name = "ö" * 77 + "o", "é" * 46 + "x.params"
    data = raw_header(name.encode(), b"40", folders=folders.encode(), end=b"x") + list_file().ljust(512, b"\0")
    assert read(tmp_path / "m.tar", data + bytes(1024)) == {}
    with open_params(tmp_path / "m.tar") as params:
        assert params.content.path == f"{folders}/{name}"


def test_times_in_the_place_of_folders_are_none_of_the_name(tmp_path: Path) -> None:
    assert held(tmp_path / "m.tar", raw_header(b"a", magic=b"ustar  ", folders=b"14733561112")) == "'a', "


@pytest.mark.parametrize("size", [b"1001", b"       1001 ", b"\x80" + (513).to_bytes(11, "big")])
def test_a_size_is_octal_or_binary(size: bytes, tmp_path: Path) -> None:
    assert held(tmp_path / "m.tar", raw_header(b"a", size), b"x" * 513 + bytes(511)) == "'a', "
    assert held(tmp_path / "m.tar", raw_header(b"a", bytes(12))) == "'a', "


def test_regular_members_are_looked_at_and_of_others_links_and_devices_have_no_bytes(tmp_path: Path) -> None:
    path, content = tmp_path / "m.tar", b"x" * 513
    for kind in (b"0", b"\0", b"7"):
        assert held(path, raw_member(b"a", content, kind)) == "'a', "
    for kind in (b"S", b"X", b"g"):
        assert held(path, raw_member(b"a", content, kind)) == ""
    for kind in (b"1", b"2", b"3", b"4", b"5", b"6"):
        assert held(path, raw_header(b"a", b"1001", kind)) == ""


def test_attributes_hold_for_the_next_member_alone_and_a_long_name_beside_them(tmp_path: Path) -> None:
    path, content = tmp_path / "m.tar", b"x" * 513 + bytes(511)
    size, long = raw_member(b"x", attribute(b"size", b"513"), b"x"), raw_member(b"x", b"longX\0", b"L")
    assert held(path, size, long, raw_header(b"a"), content) == "'longX', "
    assert held(path, long, size, raw_header(b"a"), content) == "'longX', "
    assert held(path, raw_member(b"x", attribute(b"size", b"9x"), b"x"), raw_header(b"a", b"1001"), content) == "'a', "
    odd = attribute(b"\xff", b"1234") + attribute(b"path", b"right") + b"0 15 path=wrong\n"
    assert held(path, raw_member(b"x", odd, b"x"), raw_header(b"a"), raw_header(b"b")) == "'right', 'b', "
    assert held(path, raw_header(b"\xffa")) == r"'\\xffa', "


def test_attributes_have_64_kib_at_most(tmp_path: Path) -> None:
    path, text = tmp_path / "m.tar", attribute(b"path", b"right").ljust(2**16, b"\0")
    assert held(path, raw_member(b"x", text, b"x"), raw_header(b"a")) == "'right', "
    assert problem(path, raw_member(b"x", text + b"\0", b"x") + LAST) == (
        "a member has attributes of 65,537 bytes; at most 65,536"
    )


def test_an_archive_has_as_many_members_as_are_allowed_and_no_more(tmp_path: Path, content: bytes) -> None:
    data = tar(("a", b""), ("m.params", content), form="ustar")
    assert read(tmp_path / "m.tar", data, max_arrays=2) == EXPECTED
    assert problem(tmp_path / "m.tar", data, max_arrays=1) == (
        "the archive has 2 members or more; at most 1 are read. "
        "If the file is what it should be, raise the limit with `max_arrays=2`"
    )


@pytest.mark.parametrize(("always", "ratio", "reads"), [(0, 1, True), (10_240, 0, True), (10_239, 0, False)])
def test_an_archive_unpacks_to_a_fixed_size_or_so_many_times_its_own(
    always: int, ratio: int, tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch, *, reads: bool
) -> None:
    monkeypatch.setattr("bort_convert.params.tar.ALWAYS_UNPACKED", always)
    monkeypatch.setattr("bort_convert.params.tar.UNPACK_RATIO", ratio)
    data = tar(("m.params", content))
    assert len(data) == 10_240
    if reads:
        assert read(tmp_path / "m.tar", data) == EXPECTED
    else:
        assert problem(tmp_path / "m.tar", data) == (
            "unpacks to more than 10,239 bytes, which is too much for 10,240. If this is no bomb, unpack it first"
        )


def test_an_archive_is_unpacked_piece_by_piece(tmp_path: Path) -> None:
    data = packed_zeros(2**25 + 2**20, header("m.params", 2**25))
    tracemalloc.start()
    assert problem(tmp_path / "m.tar.gz", data).startswith("member 'm.params': this is nothing but zero bytes")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**23


def packed_zeros(size: int, start: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    parts = [packer.compress(start), *(packer.compress(bytes(2**20)) for _ in range(size >> 20)), packer.flush()]
    return b"".join(parts)


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


BOMB = "unpacks to more than 67,108,864 bytes, which is too much for {size:,}. If this is no bomb, unpack it first"
MANY = (
    "the archive has 32,769 members or more; at most 32,768 are read. If the file is what it should be, raise the "
    "limit with `max_arrays=32769`"
)
BOMBS = {
    "a member that unpacks to far too much": (lambda: packed_zeros(2**28, header("m.params", 2**28)), BOMB),
    "zeros behind the archive": (lambda: packed_zeros(2**28, header("m.params", 0)), BOMB),
    "very long attributes": (
        lambda: packed_zeros(2**24, header("x", 2**24, tarfile.XHDTYPE)),
        "a member has attributes of 16,777,216 bytes; at most 65,536",
    ),
    "a size beyond all bounds": (
        lambda: header("m.params", 2**80) + bytes(1024),
        "the archive ends where more than 2**64 more bytes are expected. Truncated download?",
    ),
    "a hundred thousand links": (
        lambda: gzip.compress(header("l", 0, tarfile.SYMTYPE) * 100_000 + bytes(1024)),
        MANY,
    ),
    "attributes without end": (
        lambda: gzip.compress((header("x", 0, tarfile.XHDTYPE) * 100_000) + bytes(1024)),
        MANY,
    ),
    "a size that is no number": (
        lambda: tar(("m.params", b"x"))[:124] + b"12x45678901\0" + tar(("m.params", b"x"))[136:],
        r"a member has the size b'12x45678901\x00'; expected octal digits",
    ),
    "a size beyond all numbers": (
        lambda: raw_header(b"m.params", b"\x81" + bytes(11)) + bytes(1024),
        "the archive ends where more than 2**64 more bytes are expected. Truncated download?",
    ),
    "a checksum that is no number": (
        lambda: tar(("m.params", b"x"))[:148] + b"checksum" + tar(("m.params", b"x"))[156:],
        "a member has the checksum b'checksum'; expected octal digits",
    ),
    "a block of letters": (
        lambda: raw_header(b"a") + b"X" * 512 + bytes(512),
        "a member has the size b'XXXXXXXXXXXX'; expected octal digits",
    ),
    "a wrong checksum": (
        lambda: b"x" + tar(("m.params", b"x"))[1:],
        "the checksum of a member's header is wrong. The file is damaged: fetch it again",
    ),
}


@pytest.mark.parametrize("case", BOMBS)
def test_a_hostile_archive_is_refused(tmp_path: Path, case: str) -> None:
    make, expected = BOMBS[case]
    data = make()
    assert problem(tmp_path / "m.tar.gz", data) == expected.format(size=len(data))


@pytest.mark.long
@pytest.mark.parametrize("case", BOMBS)
def test_a_hostile_archive_is_refused_soon(tmp_path: Path, case: str) -> None:
    make, _ = BOMBS[case]
    data = make()
    with Calls() as calls:
        assert problem(tmp_path / "m.tar.gz", data)
    assert calls.count < 50 * MAX_ARRAYS


def test_other_gzip_files_are_named_as_before(tmp_path: Path, content: bytes) -> None:
    assert problem(tmp_path / "m.gz", gzip.compress(content)).startswith("this is a gzip file; unpack it first")
    assert problem(tmp_path / "m.gz", b"\x1f\x8b" + bytes(600)).startswith("this is a gzip file; unpack it first")


def test_a_directory_stands_for_its_one_params_file(tmp_path: Path, content: bytes) -> None:
    folder = tmp_path / "model"
    (folder / "deeper.params").mkdir(parents=True)
    with pytest.raises(FormatError) as caught:
        open_params(folder)
    end = "Expected one .params file; give the file itself"
    assert str(caught.value) == f"{folder}: this is a directory with no .params file. {end}"
    (folder / "m.params").write_bytes(content)
    (folder / "._m.params").write_bytes(b"x")
    with open_params(folder) as params:
        assert params.path == folder / "m.params"
        assert dict(params).keys() == ARRAYS.keys()
    (folder / "n\x1b.params").write_bytes(content)
    with pytest.raises(FormatError) as caught:
        open_params(folder)
    assert str(caught.value) == rf"{folder}: this is a directory with 'm.params', 'n\x1b.params'. {end}"


def test_a_directory_that_may_not_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(tmp_path), "iterdir", refuse)
    with pytest.raises(FormatError) as caught:
        open_params(tmp_path)
    assert str(caught.value) == f"{tmp_path}: cannot be read (Permission denied)"
