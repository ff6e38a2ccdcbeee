"""A plan carried out backwards: from the tensors of a directory to a `.params` file."""

from __future__ import annotations

import hashlib
import os
import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Final

import numpy as np

from bort_convert.binding import describe
from bort_convert.digests import sha256_of
from bort_convert.errors import FormatError, MappingError, printable
from bort_convert.ops import Fill, Pad
from bort_convert.params import write_params
from bort_convert.params.identity import Identity
from bort_convert.streams import FileRange, flat_arrays, same_bytes
from bort_convert.verify.directory import open_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from bort_convert.dtypes import Array
    from bort_convert.recognition import Recognized
    from bort_convert.tensorfile import TensorFile


_HIDING: Final = -9984.0  # -10,000 as bfloat16 has it


class Stored:
    """The tensors of a directory, in one file or in shards.

    Attributes:
        header: name -> dtype and shape.
        size: bytes of all values.
    """

    def __init__(self, files: Sequence[TensorFile]) -> None:
        self._files = {name: file for file in files for name in file}
        self.header = {name: file.header[name] for name, file in self._files.items()}
        self.size = sum(spec.nbytes for spec in self.header.values())
        self._identities = {file.path: Identity.of(os.fstat(file.fileno())) for file in files}
        if len(self.header) < sum(map(len, files)):
            twice = next(name for file in files for name in file if self._files[name] is not file)
            raise FormatError(f"{printable(twice)}: stands in two of the directory's files; expected it in one")

    def __getitem__(self, name: str) -> Array:
        return self._files[name][name]

    def part(self, name: str) -> FileRange:
        """Where a tensor's values stand."""
        return self._files[name].part(name)

    def check_unchanged(self) -> None:
        """Look at the files again.

        Raises:
            FormatError: one of them is not the one that was opened, or was written to.
        """
        for path, identity in self._identities.items():
            identity.check(path)


@contextmanager
def open_stored(folder: str | os.PathLike[str]) -> Iterator[Stored]:
    """The tensors of a directory, for as long as the block lasts.

    Raises:
        FormatError: a file is missing or damaged.
    """
    with open_files(folder) as files:
        yield Stored(files)


@dataclass(frozen=True)
class Restored:
    """SHA-256 of what was read and of what was written.

    Attributes:
        targets: of every tensor in the directory that an array was made from.
        arrays: of every array, by structural name; twins have their original's.
    """

    targets: Mapping[str, str]
    arrays: Mapping[str, str]


def check_values(found: Recognized, stored: Stored) -> None:
    """Look at the tensors that a checkpoint has no place for: each must be what can be made again.

    Raises:
        MappingError: a constant is not there any more, the two names of a tied tensor hold different values, or a
            buffer does not count or hide. All of them.
    """
    problems = [*_constants(found, stored)]
    for second, first in found.places.seconds.items():
        problems += _difference(stored, second, first)
    for name, beside in found.places.counters.items():
        count, rows = prod(stored.header[name].shape), stored.header[beside].shape[0]
        if count != rows or not np.array_equal(stored[name].reshape(-1), np.arange(rows)):
            expected = f"the numbers 0 to {rows - 1}, one for each row of {printable(beside)}"
            problems.append(f"{printable(name)}: holds other numbers, expected {expected}")
    for name, beside in found.places.masks.items():
        if not _hides(stored[name], stored.header[beside].shape[0]):
            expected = f"a mask that hides later tokens from each of {stored.header[beside].shape[0]}"
            problems.append(f"{printable(name)}: holds other numbers, expected {expected}, or a number that hides")
    if problems:
        raise MappingError("a GluonNLP checkpoint cannot hold these tensors:", problems)


def restore(
    path: Path,
    found: Recognized,
    stored: Stored,
    names: Mapping[str, str],
    progress: Callable[[int, int], None],
) -> Restored:
    """Write a `.params` file.

    Args:
        path: of the file, which must not exist.
        found: what the directory is.
        stored: its tensors.
        names: structural name -> name in the file, in its order.
        progress: told from time to time the bytes written and the bytes to write.
    """
    specs = [replace(found.sources[name], name=written) for name, written in names.items()]
    structural = {written: name for name, written in names.items()}
    values = _values(found, stored)
    total, done = sum(spec.nbytes for spec in specs), 0

    def advance(nbytes: int) -> None:
        nonlocal done
        done += nbytes
        progress(done, total)

    stopped = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        hashing = pool.submit(_digests, found, stored, stopped)
        try:
            write_params(path, specs, lambda written: values(structural[written]), advance=advance)
            return hashing.result()
        finally:
            stopped.set()


def _values(found: Recognized, stored: Stored) -> Callable[[str], FileRange | list[Array]]:
    """Gives the values of a source by its structural name: copied where that is all there is to do."""
    plan = found.fit.plan
    originals = dict(plan.twins)
    steps = {name: (step, number) for step in plan.steps for number, name in enumerate(step.sources)}

    def values(name: str) -> FileRange | list[Array]:
        step, number = steps[originals.get(name, name)]
        places = [found.places.targets[spec.name] for spec in step.targets]
        if step.copied:
            return stored.part(places[0])
        return [step.op.inverse(*(stored[place] for place in places))[number]]

    return values


def _digests(found: Recognized, stored: Stored, stopped: threading.Event) -> Restored:
    def watch() -> None:
        if stopped.is_set():
            raise CancelledError

    values = _values(found, stored)
    targets: dict[str, str] = {}
    arrays: dict[str, str] = {}
    for step in found.fit.plan.steps:
        places = [found.places.targets[spec.name] for spec in step.targets]
        if step.sources:
            targets |= {place: sha256_of(stored.part(place), watch=watch) for place in places}
        for name in step.sources:
            made = values(name)
            arrays[name] = targets[places[0]] if isinstance(made, FileRange) else _digest(made)
    return Restored(targets, arrays)


def _digest(arrays: Iterable[Array]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        for piece in flat_arrays(array, array.dtype.name):
            digest.update(piece.view(np.uint8).data)
    return digest.hexdigest()


def _hides(buffer: Array, positions: int) -> bool:
    """Whether a buffer lets each position see itself and what is before it, or is the number that hides the others."""
    if not buffer.shape:
        return bool(buffer <= _HIDING)
    return buffer.shape == (1, 1, positions, positions) and np.array_equal(buffer[0, 0], np.tri(positions))


def _constants(found: Recognized, stored: Stored) -> Iterator[str]:
    """What no longer is the constant that a conversion made it."""
    for step in found.fit.plan.steps:
        if isinstance(step.op, Fill | Pad):
            place = found.places.targets[step.targets[0].name]
            try:
                step.op.inverse(stored[place])
            except MappingError as error:
                yield f"{printable(place)}: {error} ({step.why})"


def _difference(stored: Stored, second: str, first: str) -> Iterator[str]:
    """What speaks against two names for one tensor."""
    one, other = stored.header[second], stored.header[first]
    if (one.dtype, one.shape) != (other.dtype, other.shape):
        yield f"{printable(second)}: found {describe(one)}, expected {describe(other)}, as {printable(first)}"
        return
    if same_bytes(stored.part(second), stored.part(first)):
        return
    count, position, start = 0, 0, 0
    for mine, theirs in zip(*(flat_arrays(stored.part(name), one.dtype) for name in (second, first)), strict=True):
        different = mine.view(f"u{mine.itemsize}") != theirs.view(f"u{mine.itemsize}")
        if not count and different.any():
            position = start + int(different.argmax())
        count += int(np.count_nonzero(different))
        start += mine.size
    at = tuple(int(number) for number in np.unravel_index(position, one.shape))
    yield (
        f"{printable(second)}: differs from {printable(first)} in {count:,} of {start:,} values, first at {at}; "
        "expected no difference: GluonNLP has one tensor for both"
    )
