"""A `.params` file in a tar archive or a directory: what is read, and what a hostile archive comes to."""

from __future__ import annotations

import gzip
import io
import random
import tarfile
import time
import zlib
from typing import TYPE_CHECKING

import numpy as np
import pytest

from bort_convert.errors import FormatError
from bort_convert.params import open_params, save_params

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
        assert params.note.startswith("read from member '")
        assert params.path == tmp_path / "model.tar.gz"
        assert params.size == len(data)


def test_streams_of_gzip_one_behind_the_other_are_one(tmp_path: Path, content: bytes) -> None:
    data = tar(("m.params", content))
    assert read(tmp_path / "m.tgz", gzip.compress(data[:700]) + gzip.compress(data[700:])) == EXPECTED


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
    assert "is a path that leads out of the archive" in problem(tmp_path / "m.tar", tar((name, content)))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.tar"]


@pytest.mark.parametrize("packed", [True, False])
def test_every_cut_is_refused(tmp_path: Path, content: bytes, *, packed: bool) -> None:
    data = tar(("m.params", content), form="ustar")
    end = 512 + len(content) + -len(content) % 512 + 512  # behind the first block of zeros
    data = gzip.compress(data) if packed else data[:end]
    for size in {*range(300, len(data), 37), len(data) - 1}:
        problem(tmp_path / "m.tar.gz", data[:size])


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
    assert "behind the end of the archive" in problem(tmp_path / "m.tar", data + b"x")
    assert "the gzip stream is damaged" in problem(tmp_path / "m.tar", gzip.compress(data) + b"x" * 30)


def packed_zeros(size: int, start: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    parts = [packer.compress(start), *(packer.compress(bytes(2**20)) for _ in range(size >> 20)), packer.flush()]
    return b"".join(parts)


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


BOMBS = {
    "a member that unpacks to far too much": (lambda: packed_zeros(2**28, header("m.params", 2**28)), "no bomb"),
    "zeros behind the archive": (lambda: packed_zeros(2**28, header("m.params", 0)), "no bomb"),
    "very long attributes": (lambda: packed_zeros(2**24, header("x", 2**24, tarfile.XHDTYPE)), "at most 65,536"),
    "a size beyond all bounds": (lambda: header("m.params", 2**80) + bytes(1024), "bytes are expected"),
    "a hundred thousand links": (
        lambda: gzip.compress(header("l", 0, tarfile.SYMTYPE) * 100_000 + bytes(1024)),
        "raise the limit with `max_arrays=",
    ),
    "attributes without end": (
        lambda: gzip.compress((header("x", 0, tarfile.XHDTYPE) * 100_000) + bytes(1024)),
        "raise the limit with `max_arrays=",
    ),
    "a size that is no number": (
        lambda: tar(("m.params", b"x"))[:124] + b"12x45678901\0" + tar(("m.params", b"x"))[136:],
        "expected octal digits",
    ),
    "a wrong checksum": (lambda: b"x" + tar(("m.params", b"x"))[1:], "the checksum of a member's header is wrong"),
}


@pytest.mark.parametrize("case", BOMBS)
def test_a_hostile_archive_is_refused_soon(tmp_path: Path, case: str) -> None:
    make, expected = BOMBS[case]
    data = make()
    start = time.process_time()
    assert expected in problem(tmp_path / "m.tar.gz", data)
    assert time.process_time() - start < 5


def test_other_gzip_files_are_named_as_before(tmp_path: Path, content: bytes) -> None:
    assert problem(tmp_path / "m.gz", gzip.compress(content)).startswith("this is a gzip file; unpack it first")
    assert problem(tmp_path / "m.gz", b"\x1f\x8b" + bytes(600)).startswith("this is a gzip file; unpack it first")


def test_a_directory_stands_for_its_one_params_file(tmp_path: Path, content: bytes) -> None:
    folder = tmp_path / "model"
    (folder / "deeper.params").mkdir(parents=True)
    with pytest.raises(FormatError, match=r"this is a directory with no \.params file\. Expected one \.params file; g"):
        open_params(folder)
    (folder / "m.params").write_bytes(content)
    (folder / "._m.params").write_bytes(b"x")
    with open_params(folder) as params:
        assert params.path == folder / "m.params"
        assert dict(params).keys() == ARRAYS.keys()
    (folder / "n\x1b.params").write_bytes(content)
    with pytest.raises(FormatError, match=r"with 'm\.params', 'n\\x1b\.params'\. Expected one"):
        open_params(folder)
