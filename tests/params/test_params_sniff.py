from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest
from params_files import f32, list_file, record

from bort_convert.errors import FormatError
from bort_convert.params import open_params

LIST = list_file(record(f32(1, 2), (2,)))


def test_a_missing_file_and_a_directory_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError) as caught:
        open_params(tmp_path / "none.params")
    assert str(caught.value) == f"{tmp_path / 'none.params'}: there is no such file"
    with pytest.raises(FormatError, match=r"this is a directory with no \.params file\. Expected one"):
        open_params(str(tmp_path))
    with pytest.raises(FormatError, match="cannot be opened"):
        open_params(tmp_path / "a\0b")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_file_that_could_block_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    pipe = "a pipe; save its bytes to a file first"
    for path, description in ((tmp_path / "pipe", pipe), (Path("/dev/zero"), "a device")):
        with pytest.raises(FormatError) as caught:
            open_params(path)
        assert str(caught.value) == f"{path}: this is {description}. Expected an MXNet .params file"


@pytest.mark.skipif(sys.platform == "win32", reason="needs sockets in the file system")
def test_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("s")
        with pytest.raises(FormatError, match="s: this is a socket"):
            open_params("s")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (PermissionError(13, "Permission denied"), "Permission denied"),
        (OSError("no number"), "no number"),
        (ValueError("no path"), "no path"),
    ],
)
def test_a_file_that_may_not_be_read_is_refused(
    fault: Exception, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.params"
    path.write_bytes(LIST)

    def refuse(*_: object, **__: object) -> None:
        raise fault

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(FormatError) as caught:
        open_params(path)
    assert str(caught.value) == f"{path}: cannot be opened ({reason})"


@pytest.mark.parametrize(("announced", "is_one"), [(2, True), (1, True), (3, False), (0, False)])
def test_a_file_is_one_of_safetensors_if_its_header_ends_in_it(announced: int, tmp_path: Path, *, is_one: bool) -> None:
    path = tmp_path / "x.params"
    path.write_bytes(announced.to_bytes(8, "little") + b"{}")
    with pytest.raises(FormatError) as caught:
        open_params(path)
    assert ("a safetensors file" in str(caught.value)) == is_one
