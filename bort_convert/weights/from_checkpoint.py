"""Carry out a plan: write the weights of a model directory from an open `.params` file, and describe them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from bort_convert.errors import MappingError, printable
from bort_convert.files.atomic import write_text
from bort_convert.files.streams import FileRange, is_cheap
from bort_convert.model_dir.manifest import IGNORED, Manifest, TensorEntry
from bort_convert.model_dir.shards import EXTRA, INDEX, WEIGHTS, cut, index_text
from bort_convert.weights.casts import Caster
from bort_convert.weights.parallel_write import values_of, write_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from bort_convert.dtypes import Array
    from bort_convert.files.streams import Payload
    from bort_convert.mapping.fit import Fit
    from bort_convert.mapping.plan import Plan, Step
    from bort_convert.params import ParamsFile
    from bort_convert.weights.parallel_write import WrittenWeights


def convert_weights(
    folder: Path,
    params: ParamsFile,
    fit: Fit,
    *,
    max_bytes: int,
    dtype: str | None,
    allow_overflow: bool,
    checksums: bool,
    progress: Callable[[int, int], None],
) -> Manifest:
    """Write the weights that a fit calls for, in one file or in shards with their index.

    Args:
        folder: the directory to write to.
        params: the source.
        fit: the table of the source, and its plan.
        max_bytes: bytes of values that a file may have.
        dtype: dtype of every tensor; None to keep their dtypes.
        allow_overflow: let values that are too large for `dtype` become infinite.
        checksums: hash the source and every tensor.
        progress: called with the bytes written and the bytes to write.

    Raises:
        FormatError: the source changed while it was read.
        MappingError: tensors that the target model ties are not equal, a constant differs from the one that the target
            model makes, or values do not fit into `dtype`.
    """
    _check_left_out(params, fit)
    plan = fit.plan.with_dtype(dtype) if dtype else fit.plan
    caster = Caster(dtype) if dtype else None
    files = cut([spec for step in plan.steps for spec in step.targets], max_bytes)
    written = write_weights(
        {folder / name: specs for name, specs in files.items()},
        params,
        _payload(params, fit, caster),
        # Of a source elsewhere the second copy is not fetched.
        tied=[(fit.names[name], fit.names[original]) for name, original in plan.aliases if is_cheap(params.file)],
        checksums=checksums,
        progress=progress,
    )
    if WEIGHTS not in files:
        write_text(folder / INDEX, index_text(files))
    extra = _write_extra(folder / EXTRA, params, fit.extra, checksums=checksums)
    params.check_unchanged()
    _check_tied(written)
    if caster and not allow_overflow:
        caster.check()
    return _manifest(fit, plan, written, extra)


def _write_extra(path: Path, params: ParamsFile, names: Sequence[str], *, checksums: bool) -> dict[str, TensorEntry]:
    """Write the tensors that are not the model's, unchanged, and describe them; a record without a value is none."""
    known = params.specs
    specs = [spec for name in names if (spec := known[name])]
    if not specs:
        return {}
    written = write_weights(
        {path: specs},
        params,
        partial(values_of, params),
        checksums=checksums,
        hash_source=False,
        progress=lambda _done, _total: None,
    )
    return {
        spec.name: TensorEntry((spec.name,), "copy", spec.dtype, spec.shape, written.digests.get(spec.name, ""))
        for spec in specs
    }


def _payload(params: ParamsFile, fit: Fit, caster: Caster | None) -> Payload:
    """Make the function that gives the values of a target tensor by its name: a range of the file where one will do."""
    steps = {spec.name: (step, number) for step in fit.plan.steps for number, spec in enumerate(step.targets)}

    def payload(name: str) -> FileRange | bytes | Iterable[Array]:
        step, number = steps[name]
        spec = step.targets[number]
        if step.zero:
            return bytes((replace(spec, dtype=caster.dtype) if caster else spec).nbytes)
        values = _values_of(step, number, params, [fit.names[source] for source in step.sources])
        if caster and caster.dtype != spec.dtype:
            return caster.cast(name, values, spec.dtype)
        return values if isinstance(values, FileRange) else [values]

    return payload


def _values_of(step: Step, number: int, params: ParamsFile, sources: Sequence[str]) -> FileRange | Array:
    """Give a target of a step as the range of the file that holds its values, or as an array if no range does."""
    if step.op.copies and isinstance(whole := values_of(params, sources[0]), FileRange):
        start = whole.offset + sum(spec.nbytes for spec in step.targets[:number])
        return FileRange(whole.file, start, step.targets[number].nbytes)
    return step.op.forward(*(params[source] for source in sources))[number]


def _check_left_out(params: ParamsFile, fit: Fit) -> None:
    """Refuse tensors that are left out, because the target model makes them, and differ from those that it makes.

    Raises:
        MappingError: a tensor differs; the message says in which values.
    """
    for step in fit.plan.steps:
        if not step.targets:
            names = [fit.names[source] for source in step.sources]
            try:
                step.op.forward(*(params[name] for name in names))
            except MappingError as error:
                raise MappingError(f"{printable(', '.join(names))}: {error}") from error


def _check_tied(written: WrittenWeights) -> None:
    """Refuse tensors that the target model ties and that differ.

    Raises:
        MappingError: tensors differ; the message says in how many values, and where first.
    """
    problems = [
        f"{printable(one)}: differs from {printable(other)} in {difference.count:,} of {difference.size:,} values, "
        f"first at {difference.first}; expected no difference, because the target model ties them"
        for (one, other), difference in written.differences.items()
    ]
    if problems:
        raise MappingError("tensors that are written once are not equal:", problems)


def _manifest(fit: Fit, plan: Plan, written: WrittenWeights, extra: Mapping[str, TensorEntry]) -> Manifest:
    names = fit.names
    left_out = {names[name]: step.why for step in plan.steps if not step.targets for name in step.sources}
    left_out |= {name: f"{IGNORED}'{printable(pattern)}'" for name, pattern in fit.ignored.items()}
    left_out |= {name: "a record without a value" for name in fit.extra if name not in extra}
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
        family=fit.family.name,
        table=fit.table.title,
        variant=fit.variant,
        architecture=fit.architecture,
        prefix=fit.prefix,
        dims=plan.dims,
        hyperparameters=fit.hyperparameters,
        tied={names[name]: names[original] for name, original in plan.aliases},
        left_out=left_out,
        extra=extra,
        tensors=tensors,
    )
