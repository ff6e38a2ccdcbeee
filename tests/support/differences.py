"""Differences between this reader and MXNet 1.9.1: the table of docs/format.md, which the differential test checks."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from params_files import GOLDEN, V1, V3, csr, f32, i32, list_file, names, record, row_sparse, u32, u64

from bort_convert.errors import ConvertError
from bort_convert.params import open_params

if TYPE_CHECKING:
    from pathlib import Path

READS, OTHERWISE, REFUSES, DIES = "reads", "reads otherwise", "refuses", "dies"


@dataclass(frozen=True)
class Difference:
    """One row.

    Attributes:
        what: description of the file, as on the page.
        mxnet: outcome of MXNet: READS, OTHERWISE or REFUSES; the end of its process counts as REFUSES.
        ours: outcome of this reader: READS or REFUSES.
        pattern: matches the `evidence` of such a file.
        example: bytes of such a file.
    """

    what: str
    mxnet: str
    ours: str
    pattern: str
    example: bytes


ONE = record(f32(1, 2), (2,))
MISFIT = (
    r"the (data|indices|indptr) of a \w+ array of shape .* have the shape"
    r"|: its (data|indices|indptr), .* needs .* // .* (csr|row_sparse) "
)
DIFFERENCES = (
    Difference("bytes behind the end", READS, REFUSES, "bytes? too many at byte", list_file(ONE) + b"\0"),
    Difference("two arrays of one name", READS, REFUSES, "both called", list_file(ONE, ONE, table=names("w", "w"))),
    Difference(
        "a bool that is neither 0 nor 1",
        READS,
        REFUSES,
        r"of a bool array is the byte \d+; expected 0 or 1",
        list_file(record(b"\2", (1,), flag=7)),
    ),
    Difference(
        "more than 32 dimensions",
        READS,
        REFUSES,
        r": \d+ dimensions at byte|starts at byte [\d,]+ with 0x000000",
        list_file(record(f32(1), (1,) * 33)),
    ),
    Difference(
        "a shape of more than 2**63 bytes",
        READS,
        REFUSES,
        r"is more than 2\*\*63 bytes",
        list_file(record(b"", (2**32,) * 3)),
    ),
    Difference(
        "a sparse index that is out of range",
        READS,
        REFUSES,
        r"(row|column) number -?\d+ is out of range",
        list_file(row_sparse(rows=(3, 9))),
    ),
    Difference(
        "a sparse index that stands twice",
        READS,
        REFUSES,
        r"number \d+ stands there twice",
        list_file(row_sparse(rows=(3, 3))),
    ),
    Difference(
        "an indptr that falls",
        READS,
        REFUSES,
        "csr indptr falls",
        list_file(csr(starts=(0, 2, 1, 3))),
    ),
    Difference(
        "an indptr that does not run from 0 to the number of values",
        READS,
        REFUSES,
        "csr indptr runs",
        list_file(csr(starts=(0, 1, 1, 2))),
    ),
    Difference(
        "sparse indices that are no int64 or int32",
        READS,
        REFUSES,
        r"the (indices|indptr) of a \w+ array are \w+; expected int64",
        list_file(row_sparse(index_flag=1)),
    ),
    Difference(
        "sparse pieces whose shapes contradict one another",
        READS,
        REFUSES,
        MISFIT,
        list_file(csr(starts=(0, 1, 3))),
    ),
    Difference(
        "a version 0 or 1 record without dimensions, and what would do as a scalar behind it",
        READS,
        REFUSES,
        r" // .* dense \w+ scalar",
        list_file(u32(0) + i32(1, 0, 0) + f32(1), table=u64(0)),
    ),
    Difference("a NUL in a name", OTHERWISE, READS, r"\\x00", list_file(ONE, table=names("a\0b"))),
    Difference(
        "an empty array with an axis of 2**31 or more",
        OTHERWISE,
        READS,
        r"dense \w+ \((?=.*\b0\b).*\b\d{10,}\b.*\) // ",
        list_file(record(b"", (0, 2**40))),
    ),
    Difference(
        "a sparse array of 2**31 elements or more",
        REFUSES,
        READS,
        "Size of tensor you are trying to allocate is larger than 2",
        list_file(row_sparse(shape=(2**40, 2))),
    ),
    Difference(
        "a version 3 record (np shape semantics)",
        REFUSES,
        READS,
        "saved in np shape semantics",
        list_file(record(f32(1, 2), (2,), magic=V3)),
    ),
    Difference(
        "int16, uint16, uint32 or uint64", REFUSES, READS, "enum (8|9|10|11)$", list_file(record(b"\1\0", (1,), flag=8))
    ),
    Difference(
        "a version 2 record without dimensions (a scalar)",
        REFUSES,
        READS,
        r"dense \w+ scalar.* // ",
        list_file(record(f32(1))),
    ),
    Difference(
        "a record without a value",
        REFUSES,
        READS,
        r"^reads: .*' none",
        list_file(u32(V1, 0), ONE),
    ),
    Difference("zip and .npy (MXNet 2)", REFUSES, READS, "^reads (zip|npy): ", GOLDEN["zip"][0]),
)


def ours(path: Path) -> dict[str, Any]:
    """Read a file with this reader; the result has the form of tests/support/mxnet_reader.py."""
    try:
        with open_params(path) as file:
            arrays = []
            for name, info in file.header.items():
                pieces = {
                    part: [array.dtype.name, list(array.shape), hashlib.sha256(array.tobytes()).hexdigest()]
                    for part, array in file.pieces(name).items()
                }
                arrays.append([name, {"shape": list(info.shape), **pieces} if pieces else {}])
            return {"named": file.named, "arrays": arrays, "kind": file.kind}
    except ConvertError as error:
        return {"error": str(error).removeprefix(str(path))}


def outcomes(mxnet: dict[str, Any], own: dict[str, Any]) -> tuple[str, str]:
    """Outcomes of MXNet and of this reader; READS and READS only if both gave the same arrays."""
    if "arrays" not in mxnet:
        return (DIES if "died" in mxnet else REFUSES), (READS if "arrays" in own else REFUSES)
    if "arrays" not in own:
        return READS, REFUSES
    same = all(mxnet[part] == own[part] for part in ("named", "arrays"))
    return (READS if same else OTHERWISE), READS


def reason(mxnet: dict[str, Any], own: dict[str, Any]) -> str | None:
    """The row that explains a difference: "" if there is none, None if no row explains it."""
    theirs, mine = outcomes(mxnet, own)
    if (theirs, mine) == (READS, READS) or (theirs != READS and mine == REFUSES):
        return ""
    theirs = REFUSES if theirs == DIES else theirs
    text = evidence(mxnet, own)
    rows = (row for row in DIFFERENCES if (row.mxnet, row.ours) == (theirs, mine) and re.search(row.pattern, text))
    return next((row.what for row in rows), None)


def evidence(mxnet: dict[str, Any], own: dict[str, Any]) -> str:
    """Describe both results, ours first: `reads: 'w' dense float32 (2, 3) // refuses: MXNetError: ...`."""
    return f"{_described(own)} // {_described(mxnet)}"


def _described(outcome: dict[str, Any]) -> str:
    if "arrays" not in outcome:
        return f"refuses{outcome['error']}" if "error" in outcome else f"dies: status {outcome['died']}"
    kind = "" if outcome.get("kind", "list") == "list" else f" {outcome['kind']}"
    return f"reads{kind}: " + "; ".join(f"{name!r} {_array(what)}" for name, what in outcome["arrays"])


def _array(what: dict[str, Any]) -> str:
    if not what:
        return "none"
    storage = "csr" if "indptr" in what else "row_sparse" if "indices" in what else "dense"
    shape = ", ".join(map(str, what["shape"]))
    return f"{storage} {what['data'][0]} {f'({shape})' if shape else 'scalar'}"
