"""Read safetensors files: the header at once, an array when it is asked for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING

from bort_convert.dtypes import TensorSpec, numpy_dtype
from bort_convert.errors import FormatError
from bort_convert.files.streams import FileRange, read_into
from bort_convert.files.system_errors import close_input
from bort_convert.lazy_numpy import np
from bort_convert.safetensors.header import MAX_HEADER, parse_header

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from typing_extensions import Self

    from bort_convert.dtypes import Array


def open_tensors(path: str | os.PathLike[str]) -> TensorFile:
    """Open a safetensors file, and read and check its header.

    Raises:
        FormatError: the file cannot be opened or breaks a rule of the format; the message says which rule, and where.
    """
    try:
        with ExitStack() as stack:
            file = stack.enter_context(Path(path).open("rb"))
            size = os.fstat(file.fileno()).st_size
            prefix = file.read(8)
            length = int.from_bytes(prefix, "little")
            if len(prefix) < 8 or length > min(size - 8, MAX_HEADER):  # noqa: PLR2004 - the length field
                raise FormatError(
                    f"{path}: the header length at byte 0 is {length:,}; the file has {size:,} bytes and a header "
                    f"at most {MAX_HEADER:,}. Not a safetensors file, or cut short?"
                )
            header, metadata = parse_header(f"{path}", file.read(length), size - 8 - length)
            stack.pop_all()
    except OSError as error:
        raise FormatError(f"{path}: cannot be read: {error.strerror or error}") from error
    return TensorFile(file, header, {name: 8 + length + begin for name, begin in _begins(header)}, metadata)


class TensorFile(Mapping[str, "Array"]):
    """An open file: a mapping from names to arrays, which reads an array each time it is asked for.

    Attributes:
        header: name -> `TensorSpec`, in the order of the values in the file.
        metadata: the strings under `__metadata__`.
        offsets: name -> byte of the file at which the values begin.
    """

    def __init__(
        self,
        file: IO[bytes],
        header: Mapping[str, TensorSpec],
        offsets: Mapping[str, int],
        metadata: Mapping[str, str],
    ) -> None:
        self._file = file
        self.header, self.offsets, self.metadata = header, offsets, metadata

    def __getitem__(self, name: str) -> Array:
        spec = self.header[name]
        if self._file.closed:
            raise ValueError(f"{name}: the file is closed")
        array = np.empty(spec.shape, numpy_dtype(spec.dtype))
        count = read_into(array.reshape(-1).view(np.uint8).data, self._file.fileno(), self.offsets[name])
        if count < spec.nbytes:
            raise FormatError(f"{self._file.name}: {name!r} ends after {count:,} of {spec.nbytes:,} bytes: cut short?")
        return array

    def part(self, name: str) -> FileRange:
        """Give the range of the open file that holds a tensor's values."""
        return FileRange(self._file.fileno(), self.offsets[name], self.header[name].nbytes)

    @property
    def path(self) -> Path:
        """Path of the file."""
        return Path(self._file.name)

    def fileno(self) -> int:
        """Give the descriptor of the open file."""
        return self._file.fileno()

    def __contains__(self, name: object) -> bool:
        return name in self.header  # a Mapping would read the array

    def __iter__(self) -> Iterator[str]:
        return iter(self.header)

    def __len__(self) -> int:
        return len(self.header)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; arrays stay valid."""
        close_input(self._file)


def _begins(header: Mapping[str, TensorSpec]) -> Iterator[tuple[str, int]]:
    position = 0
    for name, spec in header.items():
        yield name, position
        position += spec.nbytes
