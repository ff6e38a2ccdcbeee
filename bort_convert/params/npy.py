"""The `.npy` header, read by a small grammar of our own: nothing is evaluated, and NumPy's reader refuses bfloat16.

MXNet 2 writes bfloat16 as a structure of one field, `[('bfloat16', '<u2')]`, or (in later sources) as `'<b2'`.

MERGED params.npz: What the members of an archive mean: arrays of MXNet 2, or one `.params` file that was not unpacked.

A sparse array is a folder: `NAME/data.npy`, `NAME/indices.npy`, `NAME/shape.npy`, `NAME/format.npy`, for csr also
`NAME/indptr.npy`. Behind the header of `format.npy`, which no reader of `.npy` understands, stand the letters of the
storage type. A folder with any other set of members holds dense arrays.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bort_convert.params.cursor import Cursor, amount, clipped, counted, shown
from bort_convert.params.info import MAX_DIMENSIONS, Contents, Piece, Record, check_shape
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


def read_npy(span: Span, *, allow_trailing: bool = False) -> Contents:
    """A bare `.npy` file: one array without a name.

    Raises:
        FormatError: the header is not as NumPy's specification says, or the file is not as long as it says.
    """
    piece = read_piece(Member("", span, span.size), allow_trailing=allow_trailing)
    left = span.size - piece.start - piece.nbytes
    note = f"{counted(left, 'byte')} behind the end ignored" if left else ""
    return Contents("npy", named=False, records=(("0", Record("dense", piece.shape, {"data": piece})),), note=note)


def read_piece(member: Member, *, allow_trailing: bool = False) -> Piece:
    """The values of a member that is a `.npy` file; only its header is read.

    Raises:
        FormatError: as for `read_npy`.
    """
    span = member.head(HEAD_BYTES)
    text, start = read_header(span)
    dtype, shape, fortran = _understood(span, text)
    in_place = not (fortran or member.deflated)
    piece = Piece(dtype, shape, start, member.whole, member.span.start + start if in_place else None, fortran)
    left = member.size - start
    if piece.nbytes > left or (piece.nbytes < left and not allow_trailing):
        trailing = "allow_trailing=True ignores what stands behind a bare .npy"
        raise span.error(
            f"{counted(left, 'byte')} behind the .npy header; expected {amount(piece.nbytes)} for "
            f"{clipped(str(shape))} {dtype}. {'Truncated download?' if piece.nbytes > left else trailing}"
        )
    return piece


def read_header(span: Span) -> tuple[str, int]:
    """The text of a header, not yet understood, and the byte that it ends at.

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


def _understood(span: Span, text: str) -> tuple[str, Shape, bool]:
    """Type, shape and whether the first axis runs fastest, from the text of a header."""
    match = HEADER.fullmatch(text)
    items = dict(zip(match.groups()[::2], match.groups()[1::2], strict=True)) if match else {}
    order = ORDERS.get(items.get("fortran_order", ""))
    if len(items) < len(KEYS) or order is None or not SHAPE.fullmatch(items["shape"]):
        raise span.error(f"the .npy header is {shown(text.strip())}; expected a dict of descr, fortran_order and shape")
    if (descr := items["descr"]) not in DTYPES:
        pickle = " (objects, which are a pickle and never unpacked)" if "O" in descr else ""
        raise span.error(f"the .npy header has descr {clipped(descr)}{pickle}; expected a little-endian number or bool")
    dtype, shape = DTYPES[descr], tuple(map(int, SIZE.findall(items["shape"])))
    check_shape(span, "the array", shape, dtype)
    return dtype, shape, order and len(shape) > 1


SUFFIX = ".npy"
SHAPE_MEMBER, FORMAT_MEMBER = "shape.npy", "format.npy"
FORMAT_BYTES = 4200  # a header at its longest, and a word behind it


def single_params(span: Span, members: Sequence[Member]) -> Member | None:
    """The `.params` member of an archive that is a wrapping around it; None when the archive holds arrays.

    Raises:
        FormatError: it is neither.
    """
    own = [member for member in members if not member.name.startswith("__MACOSX/")]
    names = [member.name for member in own]
    if any(name.endswith("data.pkl") for name in names):
        raise span.error("a PyTorch checkpoint (a zip archive with data.pkl); expected an MXNet .params file")
    wrapped = [member for member in own if member.name.endswith(".params")]
    if not wrapped:
        return None
    if len(wrapped) > 1 or any(name.endswith(SUFFIX) for name in names):
        found = clipped(", ".join(shown(name) for name in names))
        raise span.error(
            f"an archive with {found}; expected one .params member, or .npy members alone. Unpack it first"
        )
    return wrapped[0]


def read_npz(members: Sequence[Member]) -> Contents:
    """The arrays of an archive of `.npy` members.

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
            piece = read_piece(member)
            records[name] = Record("dense", piece.shape, {"data": piece})
        else:
            raise member.span.error("no .npy file; expected an archive of .npy members, or of one .params file")
    named = tuple(
        (name.removesuffix("/") if record.storage != "dense" else name[: -len(SUFFIX)], record)
        for name, record in records.items()
    )
    return Contents("zip", named=True, records=named)


def _storage(leaves: Mapping[str, Member]) -> Storage | None:
    """The storage type of a folder that is one sparse array; None for any other."""
    for storage, auxiliary in AUXILIARY.items():
        parts = {f"{name}{SUFFIX}" for name in ("data", *auxiliary)}
        if leaves.keys() == {*parts, SHAPE_MEMBER, FORMAT_MEMBER} and leaves[FORMAT_MEMBER].size <= FORMAT_BYTES:
            span = leaves[FORMAT_MEMBER].whole()
            _, start = read_header(span)
            if bytes(span.data[span.start + start : span.stop]) == storage.encode():
                return storage
    return None


def _sparse(storage: Storage, leaves: Mapping[str, Member]) -> Record:
    shape = _shape(leaves[SHAPE_MEMBER])
    pieces = {name: read_piece(leaves[f"{name}{SUFFIX}"]) for name in ("data", *AUXILIARY[storage])}
    record = Record(storage, shape, pieces)
    span = leaves["data.npy"].span
    check_shape(span, "the array", shape, pieces["data"].dtype)
    check_shapes(span, "the array", record)
    return record


def _shape(member: Member) -> Shape:
    """The numbers in a shape member; the one payload that is read when a file is opened."""
    piece = read_piece(member)
    if piece.dtype != "int64" or len(piece.shape) != 1 or piece.shape[0] > MAX_DIMENSIONS:
        found = f"{clipped(str(piece.shape))} {piece.dtype}"
        raise member.span.error(f"the shape of a sparse array is stored as {found}; expected up to 32 int64 in a row")
    return tuple(map(int, piece.load(member.span.label)))
