"""What the members of an archive mean: arrays of MXNet 2, or one `.params` file that was not unpacked.

A sparse array is a folder: `NAME/data.npy`, `NAME/indices.npy`, `NAME/shape.npy`, `NAME/format.npy`, for csr also
`NAME/indptr.npy`. Behind the header of `format.npy`, which no reader of `.npy` understands, stand the letters of the
storage type. A folder with any other set of members holds dense arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bort_convert.params.cursor import clipped, shown
from bort_convert.params.info import MAX_DIMENSIONS, Contents, Record, check_shape
from bort_convert.params.npy import read_header, read_piece
from bort_convert.params.sparse import AUXILIARY, check_shapes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bort_convert.dtypes import Shape
    from bort_convert.params.cursor import Span
    from bort_convert.params.info import Storage
    from bort_convert.params.member import Member

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
