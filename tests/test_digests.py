from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bort_convert import streams
from bort_convert.digests import sha256_of
from bort_convert.errors import FormatError
from bort_convert.streams import FileRange

if TYPE_CHECKING:
    from pathlib import Path

BYTES = bytes(range(251)) * 4


@given(st.lists(st.integers(0, len(BYTES)), max_size=12).map(sorted), st.integers(1, len(BYTES)))
def test_every_range_has_its_own_digest_whatever_the_pieces(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], piece: int
) -> None:
    path = tmp_path_factory.mktemp("digests") / "x"
    path.write_bytes(BYTES)
    pairs = dict(enumerate(zip(cuts[::2], cuts[1::2], strict=False)))
    with pytest.MonkeyPatch.context() as patch, path.open("rb") as file:
        patch.setattr(streams, "PIECE", piece)
        parts = {str(name): FileRange(file.fileno(), start, stop - start) for name, (start, stop) in pairs.items()}
        whole, digests = sha256_of(FileRange(file.fileno(), 0, len(BYTES)), parts)
    assert whole == hashlib.sha256(BYTES).hexdigest()
    assert digests == {
        str(name): hashlib.sha256(BYTES[start:stop]).hexdigest() for name, (start, stop) in pairs.items()
    }


def test_a_file_that_ends_early_has_no_digest(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(BYTES)
    with (tmp_path / "x").open("rb") as file, pytest.raises(FormatError, match="the source ended at byte 1,004"):
        sha256_of(FileRange(file.fileno(), 0, 2000), {})
