"""Read list files, as every MXNet 0.x and 1.x writes them: a magic number, consecutive records, then their names."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from bort_convert.errors import FormatError
from bort_convert.params.cursor import Cursor, clipped, counted, quoted
from bort_convert.params.info import (
    DTYPES,
    MAX_DIMENSIONS,
    NONE,
    Contents,
    Record,
    StoredArray,
    check_count,
    check_shape,
    name_limit,
)
from bort_convert.params.sparse import AUXILIARY, check_shapes

if TYPE_CHECKING:
    from bort_convert.dtypes import Shape
    from bort_convert.params.cursor import Span
    from bort_convert.params.info import Storage

LIST_MAGIC = 0x112
V1, V2, V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA  # first word of a record; in v0 it is the number of dimensions

FIXED_BYTES = 32  # list magic, reserved word, number of arrays, number of names
SMALLEST_RECORD = 4  # a v0 record without a value
CONTEXT_BYTES = 8  # device type and number, without meaning outside the process that wrote them
STORAGES: tuple[Storage, ...] = ("dense", "row_sparse", "csr")


def read_list(span: Span, *, allow_trailing: bool, max_arrays: int) -> Contents:
    """Read all records of a list file: their headers are read, their values stepped over.

    A v2 record of no dimensions is a scalar in every file that MXNet has written. Only when the file does not end
    where that reading says, it is read once more with all such records as "none".

    Raises:
        FormatError: the file is not as the format says, down to its last byte.
    """
    walk = _Walk(span, scalars=True, allow_trailing=allow_trailing, max_arrays=max_arrays)
    try:
        return walk.contents()
    except FormatError:
        if walk.met_scalar:
            with suppress(FormatError):
                walk = _Walk(span, scalars=False, allow_trailing=allow_trailing, max_arrays=max_arrays)
                contents = walk.contents()
                note = "version 2 records without dimensions are read as arrays without a value"
                return replace(contents, note="; ".join(filter(None, (note, contents.note))))
        raise


class _Walk:
    """One pass over a list file, from its first byte to its last.

    Args:
        span: the file.
        scalars: read a v2 record of no dimensions as a scalar, else as one without a value.
        allow_trailing: accept bytes behind the names.
        max_arrays: refuse a file of more arrays, and names that are too long for so many arrays.
    """

    def __init__(self, span: Span, *, scalars: bool, allow_trailing: bool, max_arrays: int) -> None:
        self.span = span
        self.cursor = Cursor(span)
        self.scalars = scalars
        self.allow_trailing = allow_trailing
        self.max_arrays = max_arrays
        self.names_left = name_limit(max_arrays)
        self.met_scalar = False
        self.subject = "the list header"

    def contents(self) -> Contents:
        _, _, count = self.cursor.numbers("QQQ", self.subject)
        most = (self.span.size - FIXED_BYTES) // SMALLEST_RECORD
        if count > most:
            raise self.span.error(
                f"byte 16 announces {counted(count, 'array')}, and {self.span.size:,} bytes hold at most {most:,}"
            )
        check_count(self.span, f"byte 16 announces {counted(count, 'array')}", count, self.max_arrays)
        records = []
        for number in range(1, count + 1):
            self.subject = f"tensor {number:,} of {count:,}"
            records.append(self._record())
        names = self._names(count)
        left = self.cursor.left
        if left and not self.allow_trailing:
            raise self.span.error(
                f"{counted(left, 'byte')} too many at byte {self.cursor.byte:,}, behind the last name; expected "
                f"the end of the file. `allow_trailing=True` ignores them, as MXNet does"
            )
        note = f"{counted(left, 'byte')} behind the end ignored" if left else ""
        named = bool(names)
        return Contents("list", named, tuple(zip(names or map(str, range(count)), records, strict=True)), note)

    def _names(self, arrays: int) -> list[str]:
        start = self.cursor.byte
        count = self.cursor.number("Q", "the number of names")
        if count not in (0, arrays):
            raise self.span.error(
                f"byte {start:,} announces {counted(count, 'name')} for {counted(arrays, 'array')}; "
                f"expected 0 or {arrays:,}"
            )
        return [self._name(f"name {number:,} of {count:,}") for number in range(1, count + 1)]

    def _name(self, subject: str) -> str:
        length = self.cursor.number("Q", f"the length of {subject}")
        start = self.cursor.byte
        if self.names_left < length <= self.cursor.left:
            most = name_limit(self.max_arrays)
            raise self.span.error(f"{subject} has {length:,} bytes at byte {start:,}; all names may have {most:,}")
        text = self.cursor.take(length, subject)
        self.names_left -= length
        try:
            return text.decode()
        except UnicodeDecodeError as error:
            raise self.span.error(f"{subject} at byte {start:,} is {quoted(text)}; expected UTF-8") from error

    def _record(self) -> Record:
        start = self.cursor.byte
        magic = self.cursor.number("I", f"the first word of {self.subject}")
        if magic in (V2, V3):
            return self._modern(magic)
        if magic == V1:
            shape = self._shape("I", "q")
        elif magic <= MAX_DIMENSIONS:
            shape = self.cursor.numbers(f"{magic}I", f"{self.subject}: its shape")
        else:
            raise self.span.error(
                f"{self.subject} starts at byte {start:,} with 0x{magic:08X}; expected 0xF993FAC8..CA, or up to "
                f"{MAX_DIMENSIONS} dimensions (before MXNet 0.11). Truncated or damaged download?"
            )
        if not shape:
            return NONE
        return self._dense(shape)

    def _modern(self, magic: int) -> Record:
        start = self.cursor.byte
        number = self.cursor.number("i", f"{self.subject}: its storage type")
        allowed = STORAGES if magic == V2 else STORAGES[:1]
        if not 0 <= number < len(allowed):
            raise self.span.error(
                f"{self.subject}: storage type {number} at byte {start:,} in a version {magic - V1 + 1} record; "
                f"expected {'0 (dense), 1 (row_sparse) or 2 (csr)' if magic == V2 else '0 (dense)'}"
            )
        if number:
            return self._sparse(allowed[number])
        shape = self._shape("i", "q")
        if not shape and magic == V2:
            self.met_scalar = True
            if not self.scalars:
                return NONE
        return self._dense(shape)

    def _dense(self, shape: Shape) -> Record:
        self.cursor.skip(CONTEXT_BYTES, f"{self.subject}: its context")
        return Record("dense", shape, {"data": self._stored("data", self._dtype("its type flag"), shape)})

    def _sparse(self, storage: Storage) -> Record:
        stored = self._shape("i", "q")
        shape = self._shape("i", "q")
        self.cursor.skip(CONTEXT_BYTES, f"{self.subject}: its context")
        headers = {"data": (self._dtype("its type flag"), stored)}
        for name in AUXILIARY[storage]:
            dtype = self._dtype(f"the type flag of its {name}")
            headers[name] = (dtype, self._shape("i", "q"))
        record = Record(storage, shape, {name: self._stored(name, *header) for name, header in headers.items()})
        check_shape(self.span, self.subject, shape, headers["data"][0])
        check_shapes(self.span, self.subject, record)
        return record

    def _shape(self, count_code: str, size_code: str) -> Shape:
        start = self.cursor.byte
        count = self.cursor.number(count_code, f"{self.subject}: its number of dimensions")
        if not 0 <= count <= MAX_DIMENSIONS:
            raise self.span.error(
                f"{self.subject}: {count:,} dimensions at byte {start:,}; expected 0 to {MAX_DIMENSIONS}"
            )
        return self.cursor.numbers(f"{count}{size_code}", f"{self.subject}: its shape")

    def _dtype(self, noun: str) -> str:
        start = self.cursor.byte
        flag = self.cursor.number("i", f"{self.subject}: {noun}")
        if flag not in DTYPES:
            raise self.span.error(f"{self.subject}: {noun} at byte {start:,} is {flag}; expected 0 to {max(DTYPES)}")
        return DTYPES[flag]

    def _stored(self, noun: str, dtype: str, shape: Shape) -> StoredArray:
        check_shape(self.span, self.subject, shape, dtype)
        byte = self.cursor.byte
        array = StoredArray(dtype, shape, byte, self.span.checked, self.span.start + byte)
        self.cursor.skip(array.nbytes, f"{self.subject}: its {noun}, {clipped(str(shape))} {dtype},")
        return array
