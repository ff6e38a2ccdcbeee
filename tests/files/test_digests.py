from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bort_convert.errors import FormatError
from bort_convert.files import streams
from bort_convert.files.streams import FileRange, sha256_of, sha256_of_folder

if TYPE_CHECKING:
    from pathlib import Path

BYTES = bytes(range(251)) * 4


@given(st.integers(0, len(BYTES)), st.integers(0, len(BYTES)), st.integers(1, len(BYTES)))
def test_the_digest_of_a_range_does_not_depend_on_the_pieces(
    tmp_path_factory: pytest.TempPathFactory, start: int, size: int, piece: int
) -> None:
    path = tmp_path_factory.mktemp("digests") / "x"
    path.write_bytes(BYTES)
    expected = BYTES[start : start + size]
    with pytest.MonkeyPatch.context() as patch, path.open("rb") as file:
        patch.setattr(streams, "PIECE", piece)
        assert sha256_of(FileRange(file.fileno(), start, len(expected))) == hashlib.sha256(expected).hexdigest()


def test_an_exception_of_the_watch_ends_a_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def watch() -> None:
        calls.append(1)
        if len(calls) == 3:
            raise KeyError

    calls: list[int] = []
    monkeypatch.setattr(streams, "PIECE", 10)
    (tmp_path / "x").write_bytes(BYTES)
    with (tmp_path / "x").open("rb") as file, pytest.raises(KeyError):
        sha256_of(FileRange(file.fileno(), 0, len(BYTES)), watch=watch)
    assert len(calls) == 3


def test_a_file_that_ends_early_has_no_digest(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(BYTES)
    with (tmp_path / "x").open("rb") as file, pytest.raises(FormatError, match="the source ended at byte 1,004"):
        sha256_of(FileRange(file.fileno(), 0, 2000))


def test_the_digest_of_a_folder_is_that_of_all_files_and_their_names(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    first = sha256_of_folder(tmp_path)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c").write_text("2")
    second = sha256_of_folder(tmp_path)
    (tmp_path / "b" / "c").rename(tmp_path / "b" / "d")
    assert len({first, second, sha256_of_folder(tmp_path)}) == 3
