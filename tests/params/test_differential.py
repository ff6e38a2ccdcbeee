"""Read hundreds of whole and damaged files with real MXNet 1.9.1 and with this reader, and compare byte for byte.

Where the two differ, the table of tests/support/differences.py says why, and docs/format.md shows that table.
BORT_CONVERT_DIFFERENTIAL=5000 tries 5,000 random files.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from differences import DIES, DIFFERENCES, OTHERWISE, READS, REFUSES, evidence, ours, outcomes, reason
from params_damage import damaged, random_fields, whole
from params_files import GOLDEN, i32, list_file, record

from bort_convert.params import save_params
from bort_convert.params.archive import ALWAYS_UNPACKED, UNPACK_RATIO
from bort_convert.params.info import MAX_DIMENSIONS
from bort_convert.params.npy import HEADER_LIMIT
from bort_convert.params.sparse import ALWAYS_DENSE, DENSE_RATIO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bort_convert.dtypes import Array

ROOT = Path(__file__).parents[2]
READER = ROOT / "tests" / "support" / "mxnet_reader.py"
PAGE = ROOT / "docs" / "format.md"
RANDOM_FILES = int(os.environ.get("BORT_CONVERT_DIFFERENTIAL", "400"))
FATAL = "a number of dimensions of -1"
WRITTEN = 40  # files that MXNet writes, and as many that bort_convert writes
DTYPES = ("f2", "f4", "f8", "u1", "i4", "i1", "i8", "?")


def mxnet(*arguments: str, text: str = "") -> str:
    command = [sys.executable, str(READER), *arguments]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


def array_of(random: Random) -> Array:
    shape = tuple(random.randint(0, 4) for _ in range(random.randint(1, 5)))
    dtype = np.dtype(random.choice(DTYPES))
    count = int(np.prod(shape))
    if dtype == np.bool_:
        return np.array([random.random() < 0.5 for _ in range(count)]).reshape(shape).astype("?")
    return np.frombuffer(random.randbytes(count * dtype.itemsize), dtype).reshape(shape)


def write_ours(path: Path, random: Random) -> None:
    arrays = [array_of(random) for _ in range(random.randint(0, 4))]
    save_params(path, arrays if random.random() < 0.3 else {f"größe.{at}": array for at, array in enumerate(arrays)})


def files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Give files, each with a description."""
    random = Random(RANDOM_FILES)  # noqa: S311 - the same files each time
    mxnet("write", str(folder), "0", str(WRITTEN))
    for number in range(WRITTEN):
        write_ours(folder / f"ours-{number:03}.params", random)
    written = [path.read_bytes() for path in sorted(folder.glob("*.params"))]
    yield from (("whole", data) for data in written)
    yield from ((f"golden {name}", data) for name, (data, _) in GOLDEN.items())
    yield from ((row.what, row.example) for row in DIFFERENCES)
    yield FATAL, list_file(record()[:8] + i32(-1) + bytes(4096))
    for number in range(RANDOM_FILES):
        fields = random_fields(random)
        if number % 8 == 0:
            yield "whole", b"".join(value for _, value in fields)
        elif number % 8 == 1:
            yield "damaged", damaged(whole(random.choice(written)), random)
        else:
            yield "damaged", damaged(fields, random)


def read_by_both(folder: Path) -> Iterator[tuple[str, Path, dict[str, Any], dict[str, Any]]]:
    """Give each file with its description, the result of MXNet and the result of bort_convert."""
    written = []
    for number, (description, data) in enumerate(files(folder)):
        path = folder / f"{number:05}.bin"
        path.write_bytes(data)
        written.append((description, path))
    lines = mxnet("read", text="".join(f"{path}\n" for _, path in written)).splitlines()
    for (description, path), line in zip(written, lines, strict=True):
        yield description, path, json.loads(line), ours(path)


def table(counts: Counter[tuple[str, str, str]]) -> list[str]:
    lines = [f"{'MXNet 1.9.1':<16}{'bort_convert':<14}{'files':>6}  why"]
    return [
        *lines,
        *(f"{theirs:<16}{own:<14}{n:>6}  {why}".rstrip() for (theirs, own, why), n in sorted(counts.items())),
    ]


@pytest.mark.mxnet
@pytest.mark.skipif(sys.platform == "win32", reason="there is no MXNet 1.9.1 with fork")
def test_files_read_as_in_mxnet_or_a_row_of_the_table_says_why(
    tmp_path: Path, add_table: Callable[[str, Sequence[str]], None]
) -> None:
    counts: Counter[tuple[str, str, str]] = Counter()
    for description, path, theirs, own in read_by_both(tmp_path):
        why = reason(theirs, own)
        assert why is not None, f"{path}: no row of tests/support/differences.py says why\n{evidence(theirs, own)}"
        if description == "whole":
            assert outcomes(theirs, own) == (READS, READS), evidence(theirs, own)
        if any(row.what == description for row in DIFFERENCES):
            assert why == description, evidence(theirs, own)
        if description == FATAL:
            assert outcomes(theirs, own) == (DIES, REFUSES)
        counts[(*outcomes(theirs, own), why)] += 1
    add_table(f"{counts.total():,} files read by MXNet 1.9.1 and by bort_convert", table(counts))
    assert counts.total() >= 300


def test_the_page_shows_the_table_row_by_row() -> None:
    section = PAGE.read_text("utf-8").partition("## Differences from MXNet")[2]
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \| [^|]+ \|$", section, re.MULTILINE)
    assert rows[2:] == [(row.what, row.mxnet, row.ours) for row in DIFFERENCES]


def test_the_page_states_the_limits_of_the_reader() -> None:
    limits = PAGE.read_text("utf-8").partition("## Limits")[2].partition("\n## ")[0]
    assert ALWAYS_DENSE == ALWAYS_UNPACKED == 64 * 2**20
    for text in (
        f"| {MAX_DIMENSIONS} dimensions |",
        f"up to 64 MiB, or {DENSE_RATIO:,} times the file",
        f"unpacks to 64 MiB, or {UNPACK_RATIO} times its size",
        f"header of {HEADER_LIMIT:,} bytes",
    ):
        assert text in limits


def test_a_difference_that_no_row_explains_is_reported() -> None:
    read = {"named": True, "arrays": [["w", {"shape": [2], "data": ["float32", [2], "00"]}]]}
    other = {"named": True, "arrays": [["w", {"shape": [2], "data": ["float32", [2], "01"]}]]}
    refused = {"error": ": something else"}
    for theirs, own, outcome in (
        (read, refused, (READS, REFUSES)),
        (refused, read, (REFUSES, READS)),
        ({"died": 11}, read, (DIES, READS)),
        (other, read, (OTHERWISE, READS)),
    ):
        assert outcomes(theirs, own) == outcome
        assert reason(theirs, own) is None
    for theirs, own in ((read, read), (refused, refused), ({"died": 11}, refused)):
        assert reason(theirs, own) == ""
