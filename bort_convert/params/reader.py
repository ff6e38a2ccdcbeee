"""Open a `.params` file as a mapping of arrays: headers are read at once, values when an array is asked for."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

from bort_convert.dtypes import TensorSpec
from bort_convert.files.remote import place_of
from bort_convert.files.streams import FileRange, sha1_of
from bort_convert.files.system_errors import reading
from bort_convert.params.cursor import counted, quoted
from bort_convert.params.file import FileBytes
from bort_convert.params.info import MAX_ARRAYS, tensor_label
from bort_convert.params.listfile import read_list
from bort_convert.params.npy import read_npy, read_npz, wrapped_params
from bort_convert.params.open_file import open_regular, source_file, unwrap, unwrap_tar, whole_span
from bort_convert.params.sniff import sniff
from bort_convert.params.sparse import check_indices, densify

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator
    from types import TracebackType

    from typing_extensions import Self

    from bort_convert.dtypes import Array
    from bort_convert.files.remote import Place
    from bort_convert.files.streams import OpenBytes
    from bort_convert.params.cursor import Span
    from bort_convert.params.info import Container, Contents, Record, TensorInfo
    from bort_convert.params.member import Member
    from bort_convert.params.open_file import OpenFile


def open_params(
    path: str | os.PathLike[str],
    *,
    allow_trailing: bool = False,
    allow_duplicates: bool = False,
    max_arrays: int = MAX_ARRAYS,
    mapped: bool = True,
) -> ParamsFile:
    """Open a `.params` file; only headers are read until an array is asked for.

    Args:
        path: a path or a URL: of a list file of any MXNet, an archive of `.npy` members or a bare `.npy` file of
            MXNet 2, or an archive (a zip, a tar or a `.tar.gz`) or a directory with one such `.params` file in it.
        allow_trailing: ignore bytes behind the end, as MXNet does.
        allow_duplicates: keep the last of several arrays of one name, as MXNet does.
        max_arrays: refuse a file of more arrays, or an archive of more members: a million tiny ones take gigabytes of
            memory.
        mapped: give arrays as views of the mapped file, which must not become shorter while one of them lives: the
            system would end the process. False reads an array each time it is asked for, and raises FormatError where
            the file has become shorter.

    Raises:
        FormatError: the file cannot be opened, is something else, or is damaged.

    Examples:
        >>> with bort_convert.open_params("fixtures/cnn_tiny.params") as params:
        ...     params["arg:cnn_conv0_weight"].shape
        (4, 2, 3, 3)
    """
    place = place_of(path)
    with reading(place), contextlib.ExitStack() as stack:
        place = source_file(place)
        opened = open_regular(stack, place)
        file = opened.bytes
        span, note, member_name = whole_span(stack, file, opened.size, str(place), mapped=mapped), "", ""
        read = partial(_contents, allow_trailing=allow_trailing, max_arrays=max_arrays)
        if tar := unwrap_tar(stack, span, max_arrays, mapped=mapped):
            file, span, member_name = tar
            note = f"read from member {quoted(member_name)} of the archive"
            contents = read(span)
        elif sniff(span) != "zip":
            contents = read(span)
        else:
            members = _members(span, allow_trailing=allow_trailing, max_arrays=max_arrays)
            member = wrapped_params(span, members)
            if member is None:
                contents = read_npz(members)
            else:
                member_name = member.name
                note = f"read from member {quoted(member_name)} of the archive"
                file, span = unwrap(stack, file, member, mapped=mapped)
                contents = read(span)
        records, duplicates = _by_name(span, contents, allow_duplicates=allow_duplicates)
        if isinstance(span.data, FileBytes):
            span.data.headers_read()
        contents = replace(contents, note="; ".join(filter(None, (note, contents.note, duplicates))))
        content = Content(member_name or place.name, FileRange(file, span.start, span.stop - span.start))
        return ParamsFile(place, opened, contents, records, content=content, file=file, resources=stack.pop_all())


def _contents(span: Span, *, allow_trailing: bool, max_arrays: int) -> Contents:
    container = sniff(span)
    if container == "list":
        return read_list(span, allow_trailing=allow_trailing, max_arrays=max_arrays)
    if container == "npy":
        return read_npy(span, allow_trailing=allow_trailing)
    return read_npz(_members(span, allow_trailing=allow_trailing, max_arrays=max_arrays))


def _members(span: Span, *, allow_trailing: bool, max_arrays: int) -> list[Member]:
    from bort_convert.params.archive import read_members  # noqa: PLC0415 - it loads zipfile, which few files need

    return read_members(span, allow_trailing=allow_trailing, max_arrays=max_arrays)


def _by_name(span: Span, contents: Contents, *, allow_duplicates: bool) -> tuple[dict[str, Record], str]:
    """Give the records by name, and a note if some have the same name."""
    records = dict(contents.records)
    surplus = len(contents.records) - len(records)
    if not surplus:
        return records, ""
    if not allow_duplicates:
        seen: dict[str, int] = {}
        for number, (name, _) in enumerate(contents.records, 1):
            if name in seen:
                raise span.error(
                    f"tensors {seen[name]:,} and {number:,} are both called {quoted(name)}; expected each name once. "
                    f"`allow_duplicates=True` keeps the last, as MXNet does"
                )
            seen[name] = number
    return records, f"{counted(surplus, 'array')} hidden by a later one of the same name"


@dataclass(frozen=True)
class Content:
    """The bytes of a `.params` file, on their own or in an archive.

    Attributes:
        path: the file's name, or that of the archive's member with its folders.
        place: where the bytes stand; those of a deflated member in a temporary file.
    """

    path: str
    place: FileRange

    @property
    def name(self) -> str:
        """Name of the file without folders."""
        return self.path.rpartition("/")[2]

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self.place.size

    def sha1(self) -> str:
        """Read the whole file, and give its SHA-1 as hexadecimal digits.

        Raises:
            FormatError: the file became shorter, or the system cannot read it.
        """
        return sha1_of(self.place)


class ParamsFile(Mapping[str, "Array"]):
    """The arrays of an open file, by name, in file order; made by `open_params`.

    A dense array is a view of the mapped file: nothing is copied, and the array may be misaligned
    (`array.flags.aligned`), as the format aligns nothing. The array is writeable, and the file keeps its values; an
    array of a file that is larger than memory may be read-only.
    A deflated or sparse array, and any array of a file that is not mapped, is made anew each time it is asked for. A
    record without a value is in `header` only.

    Attributes:
        path: the file that was opened; elsewhere, with the methods of a path that this package calls.
        marks: what tells the content of a file elsewhere from others, such as its `etag`; else empty.
        size: bytes of the file.
        kind: container of the arrays: "list", "zip" (of `.npy` members) or "npy".
        named: False if the arrays have no names in the file and are called "0", "1", ...
        note: how the file was read, if that needs saying; mostly empty.
        content: the `.params` file itself, which may be a member of an archive.
        header: name -> TensorInfo, in file order, with the records without a value.

    Examples:
        >>> with bort_convert.open_params("fixtures/cnn_tiny.params") as params:
        ...     params.kind, len(params), next(iter(params))
        ('list', 8, 'arg:cnn_conv0_weight')
    """

    def __init__(
        self,
        path: Place,
        opened: OpenFile,
        contents: Contents,
        records: Mapping[str, Record],
        *,
        content: Content,
        file: OpenBytes,
        resources: contextlib.ExitStack,
    ) -> None:
        self.path = path
        self.size = opened.size
        self.marks: Mapping[str, str] = opened.marks
        self._opened = opened
        self.kind: Container = contents.container
        self.named = contents.named
        self.note = contents.note
        self.content = content
        self.header: Mapping[str, TensorInfo] = MappingProxyType(
            {name: record.info(name) for name, record in records.items()}
        )
        self._records = records
        self._file = file
        self._closed = False
        self._resources = resources

    def __getitem__(self, name: str) -> Array:
        """Give an array, dense.

        Raises:
            KeyError: the file has no array of this name, or the record has no value.
            FormatError: something is wrong that opening could not see: a checksum, an index, a bool that is neither 0
                nor 1; or a sparse array would take more than 64 MiB and more than 1,024 times the file.
            ValueError: the file is closed.
        """
        if name not in self:
            raise KeyError(name)
        stored = self.pieces(name)
        record = self._records[name]
        if record.storage == "dense":
            return stored["data"]
        return densify(tensor_label(str(self.path), name), record, stored, self.size)

    def check(self, name: str) -> None:
        """Verify checksums and bools of an array, as asking for it does; other values are not read.

        Raises:
            KeyError: the file has no array of this name.
            FormatError: a checksum fails, or a bool is neither 0 nor 1.
            ValueError: the file is closed.
        """
        self.check_open()
        for array in self._records[name].stored.values():
            array.check(tensor_label(str(self.path), name))

    @property
    def specs(self) -> dict[str, TensorSpec | None]:
        """Dtype and shape of every array by name; None for a record without a value."""
        return {
            name: None if info.dtype is None else TensorSpec(name, info.dtype, info.shape)
            for name, info in self.header.items()
        }

    def check_unchanged(self) -> None:
        """Check that the file is still the one that was opened, by its number, size and time.

        Raises:
            FormatError: it was written to, replaced or removed: the values read may be of two files.
        """
        self._opened.check_unchanged()

    def pieces(self, name: str) -> dict[str, Array]:
        """Give the arrays that the file stores for an array, by name.

        Returns:
            {"data"} for a dense array; {"data", "indices"} for row_sparse: rows (r, d1, ...) and their r numbers;
            {"data", "indices", "indptr"} for csr: n values, their n columns, and the start of each row among them
            (rows + 1 numbers, or none in a matrix that was never filled); {} for a record without a value.

        Raises:
            KeyError: the file has no array of this name.
            FormatError: a checksum, an index or a bool is wrong.
            ValueError: the file is closed.
        """
        record = self._records[name]
        self.check_open()
        label = tensor_label(str(self.path), name)
        arrays = {role: stored.load(label) for role, stored in record.stored.items()}
        if record.storage in ("row_sparse", "csr"):
            check_indices(label, record, arrays)
        return arrays

    def __iter__(self) -> Iterator[str]:
        return (name for name, record in self._records.items() if record.stored)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        """Look at the header only, where a Mapping would ask for the array."""
        return name in self.header and self.header[str(name)].dtype is not None

    __eq__ = object.__eq__  # a Mapping would compare all values
    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"<ParamsFile {str(self.path)!r}: {self.kind}, {len(self):,} arrays>"

    def fileno(self) -> int:
        """Give the descriptor of the open file in which `TensorInfo.offset` counts.

        Raises:
            ValueError: the file is closed, or is none of this machine.
        """
        file = self.file
        if not isinstance(file, int):
            raise ValueError(f"{self.path}: is no file of this machine")  # noqa: TRY004 - as io has it
        return file

    @property
    def file(self) -> OpenBytes:
        """The open file in which `TensorInfo.offset` counts; ValueError if it is closed."""
        self.check_open()
        return self._file

    @property
    def source(self) -> OpenBytes:
        """The open file at `path`: that of `file`, or the archive around it."""
        return self._opened.bytes

    def check_open(self) -> None:
        """Raise ValueError if the file is closed."""
        if self._closed:
            raise ValueError("I/O operation on closed file")

    def close(self) -> None:
        """Close the file. Arrays stay valid: the map lives on with them."""
        self._closed = True
        self._resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
