"""Carry out a plan backwards: write a `.params` file from the tensors of a model directory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Final

import numpy as np

from bort_convert.errors import MappingError, printable
from bort_convert.files.streams import FileRange, bit_difference, sha256_of
from bort_convert.mapping.family import GLUONNLP_1
from bort_convert.mapping.planner import describe
from bort_convert.params import write_params
from bort_convert.weights.background import background

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from bort_convert.dtypes import Array
    from bort_convert.mapping.fit_directory import FittedDirectory
    from bort_convert.model_dir.read import StoredWeights


_HIDING: Final = -9984.0  # -10,000, rounded to bfloat16


@dataclass(frozen=True)
class ExportDigests:
    """SHA-256 of the tensors that were read and of the arrays that were written.

    Attributes:
        tensors: digest of every tensor of the directory that an array was made from, by name.
        arrays: digest of every array, by structural name; an alias has that of the tensor it is tied to.
        extra: digest of every tensor that was kept beside the model, by its name in the file.
    """

    tensors: Mapping[str, str]
    arrays: Mapping[str, str]
    extra: Mapping[str, str]


def check_left_out(fitted: FittedDirectory, stored: StoredWeights) -> None:
    """Check the tensors that a checkpoint does not hold: a conversion must be able to make each again.

    Raises:
        MappingError: a constant has other values, two names of a tied tensor hold different values, or a buffer holds
            neither positions nor a causal mask. The message names all of them.
    """
    name_map = fitted.name_map
    problems = [*_changed_constants(fitted, stored)]
    for alias, name in name_map.aliases.items():
        problems += _difference(stored, alias, name)
    for name, table in name_map.counters.items():
        count, rows = prod(stored.header[name].shape), stored.header[table].shape[0]
        if count != rows or not np.array_equal(stored[name].reshape(-1), np.arange(rows)):
            expected = f"the numbers 0 to {rows - 1}, one for each row of {printable(table)}"
            problems.append(f"{printable(name)}: holds other numbers, expected {expected}")
    for name, table in name_map.masks.items():
        positions = stored.header[table].shape[0]
        if not _is_causal_mask(stored[name], positions):
            expected = f"a mask that hides later tokens from each of {positions}"
            problems.append(f"{printable(name)}: holds other numbers, expected {expected}, or a number that hides")
    if problems:
        raise MappingError("a GluonNLP checkpoint cannot hold these tensors:", problems)


def export_weights(
    path: Path,
    fitted: FittedDirectory,
    stored: StoredWeights,
    names: Mapping[str, str],
    progress: Callable[[int, int], None],
    *,
    extra: StoredWeights,
) -> ExportDigests:
    """Write a `.params` file.

    Args:
        path: the file to write, which must not exist.
        fitted: the table that fits the directory, and its plan.
        stored: tensors of the directory.
        names: structural name -> name in the file, in the order of the file.
        progress: called with the bytes written and the bytes to write.
        extra: tensors that were kept beside the model, by their names in the file.
    """
    specs = [replace(fitted.sources[name], name=written) for name, written in names.items()]
    specs += [extra.header[name] for name in sorted(extra)]
    structural = {written: name for name, written in names.items()}
    payload = _payload(fitted, stored)
    total, done = sum(spec.nbytes for spec in specs), 0

    def advance(nbytes: int) -> None:
        nonlocal done
        done += nbytes
        progress(done, total)

    with background(1) as hashing:
        digests = hashing.submit(_digests, fitted, stored, extra, watch=hashing.raise_if_cancelled)
        write_params(
            path,
            specs,
            lambda written: payload(structural[written]) if written in structural else extra.part(written),
            for_numpy=fitted.fit.family.versions == GLUONNLP_1,
            advance=advance,
        )
        return digests.result()


def _payload(fitted: FittedDirectory, stored: StoredWeights) -> Callable[[str], FileRange | list[Array]]:
    """Make the function that gives an array by its structural name: a range of a file where one will do."""
    plan = fitted.fit.plan
    originals = dict(plan.aliases)
    steps = {name: (step, number) for step in plan.steps for number, name in enumerate(step.sources)}

    def payload(name: str) -> FileRange | list[Array]:
        step, number = steps[originals.get(name, name)]
        tensors = [fitted.name_map.targets[spec.name] for spec in step.targets]
        if step.copied:
            return stored.part(tensors[0])
        return [step.op.inverse(*(stored[tensor] for tensor in tensors))[number]]

    return payload


def _digests(
    fitted: FittedDirectory, stored: StoredWeights, extra: StoredWeights, *, watch: Callable[[], None]
) -> ExportDigests:
    payload = _payload(fitted, stored)
    tensors: dict[str, str] = {}
    arrays: dict[str, str] = {}
    for step in fitted.fit.plan.steps:
        names = [fitted.name_map.targets[spec.name] for spec in step.targets]
        if step.sources:
            tensors |= {name: sha256_of(stored.part(name), watch=watch) for name in names}
        for source in step.sources:
            values = payload(source)
            arrays[source] = tensors[names[0]] if isinstance(values, FileRange) else sha256_of(values[0])
    return ExportDigests(tensors, arrays, {name: sha256_of(extra.part(name), watch=watch) for name in sorted(extra)})


def _is_causal_mask(buffer: Array, positions: int) -> bool:
    """Return True if `buffer` is GPT-2's causal mask, or its scalar that hides masked positions."""
    if not buffer.shape:
        return bool(buffer <= _HIDING)
    return buffer.shape == (1, 1, positions, positions) and np.array_equal(buffer[0, 0], np.tri(positions))


def _changed_constants(fitted: FittedDirectory, stored: StoredWeights) -> Iterator[str]:
    """Describe the tensors that a conversion fills with a constant and that have other values."""
    for step in fitted.fit.plan.steps:
        if step.op.holds_constant:
            name = fitted.name_map.targets[step.targets[0].name]
            try:
                step.op.inverse(stored[name])
            except MappingError as error:
                yield f"{printable(name)}: {error} ({step.why})"


def _difference(stored: StoredWeights, alias: str, name: str) -> Iterator[str]:
    """Describe the difference between two names of a tied tensor, if there is one."""
    one, other = stored.header[alias], stored.header[name]
    if (one.dtype, one.shape) != (other.dtype, other.shape):
        yield f"{printable(alias)}: found {describe(one)}, expected {describe(other)}, as {printable(name)}"
        return
    if difference := bit_difference(stored.part(alias), stored.part(name), one):
        yield (
            f"{printable(alias)}: differs from {printable(name)} in {difference.count:,} of {difference.size:,} "
            f"values, first at {difference.first}; expected no difference: GluonNLP has one tensor for both"
        )
