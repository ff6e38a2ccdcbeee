"""A plan carried out: from the tensors of an open `.params` file to weights in a folder, and what was done."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING

from bort_convert.casts import Caster
from bort_convert.errors import MappingError, printable
from bort_convert.manifest import Manifest, Tensor
from bort_convert.ops import Pad
from bort_convert.output import write_text
from bort_convert.shards import INDEX, WEIGHTS, cut, index_text
from bort_convert.streams import FileRange
from bort_convert.weights import Written, payload_of, write_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from bort_convert.dtypes import Array
    from bort_convert.fit import Fit
    from bort_convert.params import ParamsFile
    from bort_convert.plan import Plan
    from bort_convert.streams import Payload


def transfer(
    folder: Path,
    params: ParamsFile,
    found: Fit,
    *,
    limit: int,
    dtype: str | None,
    allow_overflow: bool,
    checksums: bool,
    progress: Callable[[int, int], None],
) -> Manifest:
    """Write the weights that a fit calls for, in one file or in shards with their index.

    Args:
        folder: where to.
        params: the source.
        found: what it is.
        limit: bytes of values that a file may have.
        dtype: of every tensor; None to leave them as they are.
        allow_overflow: let values that are too large for `dtype` become infinite.
        checksums: hash the source and every tensor.
        progress: told from time to time the bytes written and the bytes to write.

    Raises:
        MappingError: tensors that the receiving model ties are not equal, a constant that it makes itself is another,
            or values do not fit into `dtype`.
    """
    _check_left_out(params, found)
    plan = found.plan.with_dtype(dtype) if dtype else found.plan
    caster = Caster(dtype) if dtype else None
    files = cut([spec for step in plan.steps for spec in step.targets], limit)
    written = write_weights(
        {folder / name: specs for name, specs in files.items()},
        params,
        _payload(params, found, caster),
        tied=[(found.names[name], found.names[original]) for name, original in plan.twins],
        checksums=checksums,
        progress=progress,
    )
    if WEIGHTS not in files:
        write_text(folder / INDEX, index_text(files))
    _check_tied(params, written)
    if caster and not allow_overflow:
        caster.check()
    return _manifest(found, plan, written)


def _payload(params: ParamsFile, found: Fit, caster: Caster | None) -> Payload:
    """Gives the values of a target by its name: copied where that is all there is to do."""
    steps = {spec.name: (step, number) for step in found.plan.steps for number, spec in enumerate(step.targets)}

    def payload(name: str) -> FileRange | bytes | Iterable[Array]:
        step, number = steps[name]
        spec = step.targets[number]
        if step.zero:
            return bytes((replace(spec, dtype=caster.dtype) if caster else spec).nbytes)
        sources = [found.names[source] for source in step.sources]
        made: FileRange | Array
        if step.copied:
            made = payload_of(params, sources[0])
        else:
            made = step.op.forward(*(params[source] for source in sources))[number]
        if caster and caster.dtype != spec.dtype:
            return caster.pieces(name, made, spec.dtype)
        return made if isinstance(made, FileRange) else [made]

    return payload


def _check_left_out(params: ParamsFile, found: Fit) -> None:
    """Refuse what is not written because the receiving model makes it itself, where that would be something else.

    Raises:
        MappingError: the tensor, and what it holds.
    """
    for step in found.plan.steps:
        if not step.targets:
            names = [found.names[source] for source in step.sources]
            try:
                step.op.forward(*(params[name] for name in names))
            except MappingError as error:
                raise MappingError(f"{printable(', '.join(names))}: {error}") from error


def _check_tied(params: ParamsFile, written: Written) -> None:
    """Refuse tensors that were written once and are not equal, bit for bit.

    Raises:
        MappingError: how many values differ, and where the first one stands.
    """
    problems = []
    for one, other in written.unequal:
        import numpy as np

        first, second = (np.ascontiguousarray(params[name]) for name in (one, other))
        different = first.view(f"u{first.itemsize}") != second.view(f"u{second.itemsize}")
        count, position = np.count_nonzero(different), tuple(int(axis[0]) for axis in np.nonzero(different))
        problems.append(
            f"{printable(one)}: differs from {printable(other)} in {count:,} of {first.size:,} values, first at "
            f"{position}; expected no difference, because the receiving model ties them"
        )
    if problems:
        raise MappingError("tensors that are written once are not equal:", problems)


def _manifest(found: Fit, plan: Plan, written: Written) -> Manifest:
    names = found.names
    tensors = {
        spec.name: Tensor(
            sources=tuple(names[name] for name in step.sources),
            op=type(step.op).__name__.lower(),
            dtype=spec.dtype,
            shape=spec.shape,
            sha256=written.digests.get(spec.name, ""),
            why=step.why,
            made_up=prod(spec.shape[1:]) * step.op.rows if isinstance(step.op, Pad) else 0,
        )
        for step in plan.steps
        for spec in step.targets
    }
    return Manifest(
        source=written.source,
        family=found.family.name,
        table=found.table.title,
        variant=found.variant,
        architecture=found.architecture,
        dims=plan.dims,
        facts=found.facts,
        tied={names[name]: names[original] for name, original in plan.twins},
        left_out={names[name]: step.why for step in plan.steps if not step.targets for name in step.sources},
        tensors=tensors,
    )
