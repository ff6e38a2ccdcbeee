"""A plan carried out backwards: from the tensors of a directory to a `.params` file."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Final

import numpy as np

from bort_convert.errors import MappingError, printable
from bort_convert.files.streams import FileRange, bit_difference, sha256_of
from bort_convert.mapping.planner import describe
from bort_convert.params import write_params

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from bort_convert.dtypes import Array
    from bort_convert.mapping.fit_directory import FittedDirectory
    from bort_convert.model_dir.read import StoredWeights


_HIDING: Final = -9984.0  # -10,000 as bfloat16 has it


@dataclass(frozen=True)
class Restored:
    """SHA-256 of what was read and of what was written.

    Attributes:
        targets: of every tensor in the directory that an array was made from.
        arrays: of every array, by structural name; aliases have their original's.
    """

    targets: Mapping[str, str]
    arrays: Mapping[str, str]


def check_values(found: FittedDirectory, stored: StoredWeights) -> None:
    """Look at the tensors that a checkpoint has no place for: each must be what can be made again.

    Raises:
        MappingError: a constant is not there any more, the two names of a tied tensor hold different values, or a
            buffer does not count or hide. All of them.
    """
    problems = [*_constants(found, stored)]
    for second, first in found.name_map.aliases.items():
        problems += _difference(stored, second, first)
    for name, beside in found.name_map.counters.items():
        count, rows = prod(stored.header[name].shape), stored.header[beside].shape[0]
        if count != rows or not np.array_equal(stored[name].reshape(-1), np.arange(rows)):
            expected = f"the numbers 0 to {rows - 1}, one for each row of {printable(beside)}"
            problems.append(f"{printable(name)}: holds other numbers, expected {expected}")
    for name, beside in found.name_map.masks.items():
        if not _hides(stored[name], stored.header[beside].shape[0]):
            expected = f"a mask that hides later tokens from each of {stored.header[beside].shape[0]}"
            problems.append(f"{printable(name)}: holds other numbers, expected {expected}, or a number that hides")
    if problems:
        raise MappingError("a GluonNLP checkpoint cannot hold these tensors:", problems)


def restore(
    path: Path,
    found: FittedDirectory,
    stored: StoredWeights,
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


def _values(found: FittedDirectory, stored: StoredWeights) -> Callable[[str], FileRange | list[Array]]:
    """Gives the values of a source by its structural name: copied where that is all there is to do."""
    plan = found.fit.plan
    originals = dict(plan.aliases)
    steps = {name: (step, number) for step in plan.steps for number, name in enumerate(step.sources)}

    def values(name: str) -> FileRange | list[Array]:
        step, number = steps[originals.get(name, name)]
        places = [found.name_map.targets[spec.name] for spec in step.targets]
        if step.copied:
            return stored.part(places[0])
        return [step.op.inverse(*(stored[place] for place in places))[number]]

    return values


def _digests(found: FittedDirectory, stored: StoredWeights, stopped: threading.Event) -> Restored:
    def watch() -> None:
        if stopped.is_set():
            raise CancelledError

    values = _values(found, stored)
    targets: dict[str, str] = {}
    arrays: dict[str, str] = {}
    for step in found.fit.plan.steps:
        places = [found.name_map.targets[spec.name] for spec in step.targets]
        if step.sources:
            targets |= {place: sha256_of(stored.part(place), watch=watch) for place in places}
        for name in step.sources:
            made = values(name)
            arrays[name] = targets[places[0]] if isinstance(made, FileRange) else sha256_of(made[0])
    return Restored(targets, arrays)


def _hides(buffer: Array, positions: int) -> bool:
    """Whether a buffer lets each position see itself and what is before it, or is the number that hides the others."""
    if not buffer.shape:
        return bool(buffer <= _HIDING)
    return buffer.shape == (1, 1, positions, positions) and np.array_equal(buffer[0, 0], np.tri(positions))


def _constants(found: FittedDirectory, stored: StoredWeights) -> Iterator[str]:
    """What no longer is the constant that a conversion made it."""
    for step in found.fit.plan.steps:
        if step.op.holds_constant:
            place = found.name_map.targets[step.targets[0].name]
            try:
                step.op.inverse(stored[place])
            except MappingError as error:
                yield f"{printable(place)}: {error} ({step.why})"


def _difference(stored: StoredWeights, second: str, first: str) -> Iterator[str]:
    """What speaks against two names for one tensor."""
    one, other = stored.header[second], stored.header[first]
    if (one.dtype, one.shape) != (other.dtype, other.shape):
        yield f"{printable(second)}: found {describe(one)}, expected {describe(other)}, as {printable(first)}"
        return
    if found := bit_difference(stored.part(second), stored.part(first), one):
        yield (
            f"{printable(second)}: differs from {printable(first)} in {found.count:,} of {found.size:,} values, first "
            f"at {found.first}; expected no difference: GluonNLP has one tensor for both"
        )
