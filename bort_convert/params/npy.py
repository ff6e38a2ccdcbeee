"""Read what MXNet 2 writes: a single `.npy` file, and archives of them.

The `.npy` header is read by a small grammar: nothing is evaluated, and NumPy's own reader refuses bfloat16, which MXNet
2 writes as a structure of one field, `[('bfloat16', '<u2')]`, or (in later sources) as `'<b2'`.

An archive holds one array in each member, or it wraps one `.params` file. A sparse array is a folder of
`NAME/data.npy`, `NAME/indices.npy`, `NAME/shape.npy`, `NAME/format.npy` and, for csr, `NAME/indptr.npy`. The header of
`format.npy` does not parse, and behind it stands the storage type as text. A folder with any other set of members holds
dense arrays.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING

from bort_convert.params.cursor import Cursor, amount, clipped, counted, quoted
from bort_convert.params.info import MAX_DIMENSIONS, Contents, Record, StoredArray, check_shape
from bort_convert.params.member import Member
from bort_convert.params.sparse import AUXILIARY, check_shapes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bort_convert.dtypes import Shape
    from bort_convert.params.cursor import Span
    from bort_convert.params.info import Storage

MAGIC = b"\x93NUMPY"
LENGTH_CODES = {(1, 0): "H", (2, 0): "I", (3, 0): "I"}  # by version
HEADER_LIMIT = 4096  # bytes; 32 dimensions of 19 digits take 760
HEAD_BYTES = HEADER_LIMIT + 12  # with magic, version and length

DTYPES = {
    "'<f4'": "float32",
    "'<f8'": "float64",
    "'<f2'": "float16",
    "'|u1'": "uint8",
    "'<i4'": "int32",
    "'|i1'": "int8",
    "'<i8'": "int64",
    "'|b1'": "bool",
    "'<i2'": "int16",
    "'<u2'": "uint16",
    "'<u4'": "uint32",
    "'<u8'": "uint64",
    "'<b2'": "bfloat16",
    "[('bfloat16', '<u2')]": "bfloat16",
}
KEYS = ("descr", "fortran_order", "shape")
ORDERS = {"False": False, "True": True}

# {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }   with the keys in any order, and a long of Python 2 as 3L
ITEM = rf"'({'|'.join(KEYS)})'\s*:\s*('[^']*'|\[[^\]]*\]|True|False|\([^)]*\))"
HEADER = re.compile(rf"\s*\{{\s*{ITEM}\s*,\s*{ITEM}\s*,\s*{ITEM}\s*,?\s*\}}\s*", re.ASCII)
SHAPE = re.compile(r"\(\s*(?:(?:\d+L?\s*,\s*)+(?:\d+L?)?\s*)?\)", re.ASCII)
SIZE = re.compile(r"\d+", re.ASCII)

SUFFIX = ".npy"
SHAPE_MEMBER, FORMAT_MEMBER = "shape.npy", "format.npy"
FORMAT_BYTES = 4200  # the longest header, and a storage type


def read_npy(span: Span, *, allow_trailing: bool) -> Contents:
    """Read a single `.npy` file: one array without a name.

    Raises:
        FormatError: the header is not as NumPy's specification says, or the file is not as long as the header says.
    """
    array = _stored_array(Member("", span, span.size), allow_trailing=allow_trailing)
    left = span.size - array.start - array.nbytes
    note = f"{counted(left, 'byte')} behind the end ignored" if left else ""
    return Contents("npy", named=False, records=(("0", Record("dense", array.shape, {"data": array})),), note=note)


def read_npz(members: Sequence[Member]) -> Contents:
    """Read the arrays of an archive of `.npy` members.

    Raises:
        FormatError: a member is no `.npy` file, or is not as its header says.
    """
    files = {member.name: member for member in members if not (member.name.endswith("/") and not member.size)}
    folders: dict[str, dict[str, Member]] = {}
    for name, member in files.items():
        folder, slash, leaf = name.rpartition("/")
        folders.setdefault(folder + slash, {})[leaf] = member
    storages = {folder: _storage(leaves) for folder, leaves in folders.items() if folder}
    records: dict[str, Record] = {}
    for name, member in files.items():
        folder, slash, _ = name.rpartition("/")
        if storage := storages.get(folder + slash):
            if folder + slash not in records:
                records[folder + slash] = _sparse(storage, folders[folder + slash])
        elif name.endswith(SUFFIX):
            array = _stored_array(member)
            records[name] = Record("dense", array.shape, {"data": array})
        else:
            raise member.span.error("no .npy file; expected an archive of .npy members, or of one .params file")
    named = tuple(
        (name.removesuffix("/") if record.storage != "dense" else name[: -len(SUFFIX)], record)
        for name, record in records.items()
    )
    return Contents("zip", named=True, records=named)


def wrapped_params(span: Span, members: Sequence[Member]) -> Member | None:
    """Find the `.params` file that an archive wraps; None if the archive holds arrays.

    Raises:
        FormatError: the archive holds neither.
    """
    relevant = [member for member in members if not member.name.startswith("__MACOSX/")]
    names = [member.name for member in relevant]
    if any(name.endswith("data.pkl") for name in names):
        raise span.error("a PyTorch checkpoint (a zip archive with data.pkl); expected an MXNet .params file")
    wrapped = [member for member in relevant if member.name.endswith(".params")]
    if not wrapped:
        return None
    if len(wrapped) > 1 or any(name.endswith(SUFFIX) for name in names):
        content = clipped(", ".join(quoted(name) for name in names))
        raise span.error(
            f"an archive with {content}; expected one .params member, or .npy members alone. Unpack it first"
        )
    return wrapped[0]


def _stored_array(member: Member, *, allow_trailing: bool = False) -> StoredArray:
    """Read the header of a member that is a `.npy` file.

    Raises:
        FormatError: as for `read_npy`.
    """
    span = member.head(HEAD_BYTES)
    text, start = _header_text(span)
    dtype, shape, fortran = _parse_header(span, text)
    in_place = not (fortran or member.deflated)
    array = StoredArray(dtype, shape, start, member.whole, member.span.start + start if in_place else None, fortran)
    left = member.size - start
    cut = array.nbytes > left
    if cut or (array.nbytes < left and not allow_trailing):
        hint = "Truncated download?" if cut else "`allow_trailing=True` ignores bytes behind a bare .npy"
        raise span.error(
            f"{counted(left, 'byte')} behind the .npy header; expected {amount(array.nbytes)} for "
            f"{clipped(str(shape))} {dtype}. {hint}"
        )
    return array


def _header_text(span: Span) -> tuple[str, int]:
    """Give the text of a `.npy` header, and the byte at which it ends.

    Raises:
        FormatError: no `.npy` magic, an unknown version, or a header that is too long.
    """
    cursor = Cursor(span)
    if (magic := cursor.take(len(MAGIC), "the .npy magic")) != MAGIC:
        raise span.error(f"starts with {magic!r}; expected {MAGIC!r} of a .npy file")
    version = cursor.numbers("BB", "the .npy version")
    if version not in LENGTH_CODES:
        raise span.error(f".npy version {version[0]}.{version[1]} at byte 6; expected 1.0, 2.0 or 3.0")
    length = cursor.number(LENGTH_CODES[version[0], version[1]], "the length of the .npy header")
    if length > HEADER_LIMIT:
        raise span.error(f"the .npy header announces {length:,} bytes; expected at most {HEADER_LIMIT:,}")
    return cursor.take(length, "the .npy header").decode("latin-1"), cursor.byte


def _parse_header(span: Span, text: str) -> tuple[str, Shape, bool]:
    """Parse a header to dtype, shape, and True if the first axis runs fastest."""
    match = HEADER.fullmatch(text)
    items = dict(zip(match.groups()[::2], match.groups()[1::2], strict=True)) if match else {}
    if len(items) < len(KEYS) or items["fortran_order"] not in ORDERS or not SHAPE.fullmatch(items["shape"]):
        raise span.error(
            f"the .npy header is {quoted(text.strip())}; expected a dict of descr, fortran_order and shape"
        )
    if (descr := items["descr"]) not in DTYPES:
        pickle = " (objects, which are a pickle and never unpacked)" if "O" in descr else ""
        raise span.error(f"the .npy header has descr {clipped(descr)}{pickle}; expected a little-endian number or bool")
    dtype, shape = DTYPES[descr], tuple(map(int, SIZE.findall(items["shape"])))
    check_shape(span, "the array", shape, dtype)
    return dtype, shape, ORDERS[items["fortran_order"]] and len(shape) > 1


def _storage(leaves: Mapping[str, Member]) -> Storage | None:
    """Tell the storage type of a folder that is one sparse array; None for any other folder."""
    for storage, auxiliary in AUXILIARY.items():
        stored = {f"{name}{SUFFIX}" for name in ("data", *auxiliary)}
        if leaves.keys() == {*stored, SHAPE_MEMBER, FORMAT_MEMBER} and leaves[FORMAT_MEMBER].size <= FORMAT_BYTES:
            span = leaves[FORMAT_MEMBER].whole()
            _, start = _header_text(span)
            if bytes(span.data[span.start + start : span.stop]) == storage.encode():
                return storage
    return None


def _sparse(storage: Storage, leaves: Mapping[str, Member]) -> Record:
    shape = _sparse_shape(leaves[SHAPE_MEMBER])
    stored = {name: _stored_array(leaves[f"{name}{SUFFIX}"]) for name in ("data", *AUXILIARY[storage])}
    record = Record(storage, shape, stored)
    span = leaves["data.npy"].span
    check_shape(span, "the array", shape, stored["data"].dtype)
    check_shapes(span, "the array", record)
    return record


def _sparse_shape(member: Member) -> Shape:
    """Read the numbers of a shape member, the only values that are read when a file is opened."""
    array = _stored_array(member)
    if array.dtype != "int64" or len(array.shape) != 1 or array.shape[0] > MAX_DIMENSIONS:
        found = f"{clipped(str(array.shape))} {array.dtype}"
        raise member.span.error(f"the shape of a sparse array is stored as {found}; expected up to 32 int64 in a row")
    span = array.open_span()
    start = span.start + array.start
    return struct.unpack(f"<{array.shape[0]}q", span.data[start : start + array.nbytes])
