from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import pickle
import socket
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from params_files import V1, V2, V3, f32, list_file, record, u64

from bort_convert.errors import FormatError
from bort_convert.params import filebytes, open_params

LIST = list_file(record(f32(1, 2), (2,)))
SYMBOL = json.dumps({"nodes": [{"op": "null", "name": "data"}], "arg_nodes": [0]})
LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
SAFETENSORS = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()


def tarred() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as target:
        target.addfile(tarfile.TarInfo("net.params"))
    return buffer.getvalue()


def torch_zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        target.writestr("archive/data.pkl", pickle.dumps({}))
        target.writestr("archive/data/0", f32(1))
    return buffer.getvalue()


# name: (bytes, what the message has)
OTHERS = {
    "empty": (b"", "an empty file (0 bytes). Expected an MXNet .params file; fetch it again"),
    "one byte": (b"\x12", "1 byte; the smallest .params file has 32. Truncated download?"),
    "list of 31 bytes": (list_file()[:31], "a list file of 31 bytes; the smallest has 32. Truncated download?"),
    "another number": (
        b"\x13" + LIST[1:],
        "starts with the bytes 13 01 00 00 00 00 00 00; expected 12 01 00 00 00 00 00 00",
    ),
    "record of version 1": (V1.to_bytes(4, "little") + bytes(40), "this is one array record without a list header"),
    "record of version 2": (record(f32(1), (1,)), "(the raw bytes of one NDArray); save it again with mx.nd.save"),
    "record of version 3": (record(f32(1), (1,), magic=V3), "this is one array record without a list header"),
    "big-endian": (
        b"".join(LIST[at : at + 8][::-1] for at in range(0, 72, 8)),
        "this is a list file in big-endian order",
    ),
    "TVM": (
        bytes.fromhex("B79C04054F8DE5F7") + bytes(40),
        "this is a TVM parameter file, another format with the same",
    ),
    "pickle": (
        pickle.dumps({"w": list(range(99))}, protocol=4),
        "pickles are never unpacked. Expected an MXNet .params",
    ),
    "old pickle": (
        pickle.dumps({"w": 1}, protocol=2),
        "this is a pickle (optimizer states, or a checkpoint of another",
    ),
    "gzip": (gzip.compress(LIST), "this is a gzip file; unpack it first"),
    "bzip2": (bz2.compress(LIST), "this is a bzip2 file; unpack it first"),
    "xz": (lzma.compress(LIST), "this is a xz file; unpack it first"),
    "tar": (tarred(), "this is a tar file; unpack it first"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(40), "this is an HDF5 file"),
    "safetensors": (u64(len(SAFETENSORS)) + SAFETENSORS + f32(1), "this is a safetensors file"),
    "PyTorch": (torch_zip(), "a PyTorch checkpoint (a zip archive with data.pkl); expected an MXNet .params file"),
    "Git LFS pointer": (LFS.encode(), "this is a Git LFS pointer, not the file itself; run `git lfs pull`"),
    "HTML": (
        b"\n<!DOCTYPE html><html><body>404 Not Found</body></html>",
        "this is an HTML or XML page, probably an error",
    ),
    "symbol": (
        SYMBOL.encode(),
        "this is a symbol graph in JSON (-symbol.json); the arrays are in the .params file beside it",
    ),
    "JSON": (b'\xef\xbb\xbf{"message": "Not Found", "status": "404"}', "this is a JSON file"),
    "text": (b"Not Found: the file has moved somewhere else\n", "this is a text file that begins 'Not Found: the file"),
    "zeros": (
        bytes(100),
        "this is nothing but zero bytes where a header should be, as an unfinished download leaves them",
    ),
    "noise": (bytes(range(200, 0, -1)), "starts with the bytes C8 C7 C6 C5 C4 C3 C2 C1; expected 12 01 00"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_what_is_another_thing_is_named(case: str, tmp_path: Path) -> None:
    data, expected = OTHERS[case]
    path = tmp_path / "x.params"
    path.write_bytes(data)
    with pytest.raises(FormatError) as caught:
        open_params(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert expected in str(caught.value)
    assert len(str(caught.value)) < len(str(path)) + 300
    assert V2.to_bytes(4, "little") not in str(caught.value).encode()


def test_a_missing_file_and_a_directory_are_told(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"none\.params: there is no such file$"):
        open_params(tmp_path / "none.params")
    with pytest.raises(FormatError, match=r"this is a directory; give the \.params file in it\. Expected an MXNet"):
        open_params(str(tmp_path))
    with pytest.raises(FormatError, match="cannot be opened"):
        open_params(tmp_path / "a\0b")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_what_could_block_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, words in ((tmp_path / "pipe", "a pipe; save its bytes"), (Path("/dev/zero"), "a device")):
        with pytest.raises(FormatError, match=f"this is {words}"):
            open_params(path)


@pytest.mark.skipif(sys.platform == "win32", reason="needs sockets in the file system")
def test_a_socket_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("s")
        with pytest.raises(FormatError, match="s: this is a socket"):
            open_params("s")


def test_what_the_system_refuses_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.params"
    path.write_bytes(LIST)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(filebytes.mmap, "mmap", refuse)
        with open_params(path) as params, pytest.raises(FormatError, match="cannot be mapped into memory"):
            params[next(iter(params))]
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(FormatError, match=r"x\.params: cannot be opened \(Permission denied\)"):
        open_params(path)
