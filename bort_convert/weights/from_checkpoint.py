"""A plan carried out: from the tensors of an open `.params` file to weights in a folder, and what was done."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bort_convert.dtypes import TensorSpec
from bort_convert.errors import MappingError, printable
from bort_convert.files.atomic import write_text
from bort_convert.files.streams import FileRange, bit_difference
from bort_convert.model_dir.manifest import Manifest, TensorEntry
from bort_convert.model_dir.shards import INDEX, WEIGHTS, cut, index_text
from bort_convert.weights.casts import Caster
from bort_convert.weights.parallel_write import Written, values_of, write_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from bort_convert.dtypes import Array
    from bort_convert.files.streams import Payload
    from bort_convert.mapping.fit import Fit
    from bort_convert.mapping.plan import Plan
    from bort_convert.params import ParamsFile


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
        MappingError: tensors that the target model ties are not equal, a constant that it makes itself is another,
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
        tied=[(found.names[name], found.names[original]) for name, original in plan.aliases],
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
            made = values_of(params, sources[0])
        else:
            made = step.op.forward(*(params[source] for source in sources))[number]
        if caster and caster.dtype != spec.dtype:
            return caster.pieces(name, made, spec.dtype)
        return made if isinstance(made, FileRange) else [made]

    return payload


def _check_left_out(params: ParamsFile, found: Fit) -> None:
    """Refuse what is not written because the target model makes it itself, where that would be something else.

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
        info = params.header[one]
        spec = TensorSpec(one, str(info.dtype), info.shape)
        if found := bit_difference(values_of(params, one), values_of(params, other), spec):
            problems.append(
                f"{printable(one)}: differs from {printable(other)} in {found.count:,} of {found.size:,} values, first "
                f"at {found.first}; expected no difference, because the target model ties them"
            )
    if problems:
        raise MappingError("tensors that are written once are not equal:", problems)


def _manifest(found: Fit, plan: Plan, written: Written) -> Manifest:
    names = found.names
    tensors = {
        spec.name: TensorEntry(
            sources=tuple(names[name] for name in step.sources),
            op=step.op.name,
            dtype=spec.dtype,
            shape=spec.shape,
            sha256=written.digests.get(spec.name, ""),
            why=step.why,
            initialised=step.op.initialised(spec.shape),
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
        hyperparameters=found.hyperparameters,
        tied={names[name]: names[original] for name, original in plan.aliases},
        left_out={names[name]: step.why for step in plan.steps if not step.targets for name in step.sources},
        tensors=tensors,
    )
