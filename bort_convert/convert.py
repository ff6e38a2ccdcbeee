"""From a `.params` file to a directory that transformers loads: open, fit, write, and say what was done."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Final

import numpy as np

from bort_convert.casts import Caster
from bort_convert.dtypes import FLOATS, TensorSpec
from bort_convert.errors import MappingError, VariantError, printable
from bort_convert.family import families
from bort_convert.fit import Fit, fit
from bort_convert.manifest import FILE_NAME, Manifest, Tensor
from bort_convert.output import new_directory
from bort_convert.params import MAX_ARRAYS, ParamsFile, open_params
from bort_convert.streams import FileRange
from bort_convert.values import check_finite
from bort_convert.weights import Written, payload_of, survey_values, write_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from bort_convert.dtypes import Array
    from bort_convert.family import Fact
    from bort_convert.plan import Plan, Step

WEIGHTS: Final = "model.safetensors"
CONFIG: Final = "config.json"


def convert(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    family: str | None = None,
    variant: str | None = None,
    heads: int | None = None,
    dtype: str | None = None,
    allow_overflow: bool = False,
    strict: bool = False,
    max_arrays: int = MAX_ARRAYS,
    checksums: bool = True,
    force: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Manifest:
    """Convert a GluonNLP checkpoint to a directory that `transformers.AutoModel.from_pretrained` loads.

    Neither MXNet nor torch is imported. Every tensor keeps its dtype and its bits, unless `dtype` asks for another.
    The directory appears whole or not at all.

    Args:
        source: a `.params` file, or a model-zoo archive that holds one.
        target: the directory to write; absent or empty, unless `force` is given.
        family: name of the family, where a file fits two.
        variant: insist on this published size.
        heads: attention heads, for a size that was never published.
        dtype: a floating-point one for every tensor, such as "float16"; rounded to nearest even.
        allow_overflow: let values that are too large for `dtype` become infinite.
        strict: refuse NaN and infinite values, before anything is written.
        max_arrays: see `open_params`.
        checksums: hash the source and every tensor for the manifest.
        force: replace what stands at `target`.
        progress: told from time to time the bytes written and the bytes to write.

    Raises:
        FormatError: the source cannot be read.
        MappingError: no table fits the source: all disagreements with the closest one. Or tensors that the receiving
            model ties are not equal, or values do not fit into `dtype`, or `strict` refuses them.
        VariantError: what shapes cannot show is not known, or what was given contradicts the file.
        OutputError: the target cannot be written.
    """
    if dtype not in {None, *FLOATS}:
        raise VariantError(f"dtype is {dtype!r}, expected one of {', '.join(FLOATS)}")
    given: dict[str, Fact | None] = {"family": family, "variant": variant, "heads": heads, "dtype": dtype}
    options = {name: value for name, value in given.items() if value is not None}
    caster = Caster(dtype) if dtype else None
    with open_params(source, max_arrays=max_arrays) as params:
        found = fit_source(params, family=family, variant=variant, heads=heads)
        if strict:
            check_finite(survey_values(params))
        plan = found.plan.with_dtype(dtype) if dtype else found.plan
        with new_directory(target, source=source, force=force) as folder:
            payload = _payload(params, found, caster)
            specs = [spec for step in plan.steps for spec in step.targets]
            tied = [(found.names[name], found.names[original]) for name, original in plan.twins]
            written = write_weights(
                folder / WEIGHTS, params, specs, payload, tied=tied, checksums=checksums, progress=progress
            )
            _check_tied(params, written)
            if caster and not allow_overflow:
                caster.check()
            manifest = _manifest(found, plan, written, options)
            config = found.config | {"dtype": specs[0].dtype}
            write_text(folder / CONFIG, json.dumps(config, indent=2, sort_keys=True) + "\n")
            write_text(folder / FILE_NAME, manifest.to_json())
    return manifest


def fit_source(
    params: ParamsFile, *, family: str | None = None, variant: str | None = None, heads: int | None = None
) -> Fit:
    """What an open file is: its family, its sizes, the plan and the receiving config. No value is read.

    Raises:
        MappingError: no table fits the file.
        VariantError: what shapes cannot show is not known, or what was given contradicts the file.
    """
    known = families()
    if family is not None and family not in known:
        raise VariantError(f"no family is called {family!r}; known are {', '.join(known)}")
    header = {
        name: None if info.dtype is None else TensorSpec(name, info.dtype, info.shape)
        for name, info in params.header.items()
    }
    return fit(header, [known[family]] if family else known.values(), variant=variant, heads=heads)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8 and have the system write it down."""
    with path.open("x", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _payload(params: ParamsFile, found: Fit, caster: Caster | None) -> Callable[[str], FileRange | Iterable[Array]]:
    """Gives the values of a target by its name: copied where that is all there is to do."""
    steps = {spec.name: (step, number) for step in found.plan.steps for number, spec in enumerate(step.targets)}

    def payload(name: str) -> FileRange | Iterable[Array]:
        step, number = steps[name]
        sources = [found.names[source] for source in step.sources]
        made: FileRange | Array
        if step.copied:
            made = payload_of(params, sources[0])
        else:
            made = step.op.forward(*(params[source] for source in sources))[number]
        if caster and caster.dtype != step.targets[number].dtype:
            return caster.pieces(name, made, step.targets[number].dtype)
        return made if isinstance(made, FileRange) else [made]

    return payload


def _check_tied(params: ParamsFile, written: Written) -> None:
    """Refuse tensors that were written once and are not equal, bit for bit.

    Raises:
        MappingError: how many values differ, and where the first one stands.
    """
    problems = []
    for one, other in written.unequal:
        first, second = (np.ascontiguousarray(params[name]) for name in (one, other))
        different = first.view(f"u{first.itemsize}") != second.view(f"u{second.itemsize}")
        count, position = np.count_nonzero(different), tuple(int(axis[0]) for axis in np.nonzero(different))
        problems.append(
            f"{printable(one)}: differs from {printable(other)} in {count:,} of {first.size:,} values, first at "
            f"{position}; expected no difference, because the receiving model ties them"
        )
    if problems:
        raise MappingError("tensors that are written once are not equal:", problems)


def _manifest(found: Fit, plan: Plan, written: Written, options: dict[str, Fact]) -> Manifest:
    names = found.names
    tensors = {
        spec.name: Tensor(
            sources=tuple(names[name] for name in step.sources),
            op=type(step.op).__name__.lower(),
            dtype=spec.dtype,
            shape=spec.shape,
            sha256=_digest(step, spec.name, written, names),
            why=step.why,
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
        options=options,
        tied={names[name]: names[original] for name, original in plan.twins},
        left_out={names[name]: step.why for step in plan.steps if not step.targets for name in step.sources},
        tensors=tensors,
    )


def _digest(step: Step, target: str, written: Written, names: Mapping[str, str]) -> str:
    """Of a target that was made, its own; of one that was copied, its source's; "" where nothing was hashed."""
    if target in written.made or not step.sources:
        return written.made.get(target, "")
    return written.stored.get(names[step.sources[0]], "")
