"""Checks that run no model: names and shapes against the target model, bits against the source."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bort_convert.dtypes import TensorSpec, numpy_dtype
from bort_convert.errors import FormatError, MappingError, ParityError
from bort_convert.files.streams import bit_difference, sha256_of
from bort_convert.models.registry import families
from bort_convert.params import open_params
from bort_convert.verification.config_check import config_problems
from bort_convert.verification.findings import BITS, NAMES_AND_SHAPES, CheckResult

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bort_convert.dtypes import Array, Shape
    from bort_convert.mapping.fit import Fit
    from bort_convert.mapping.plan import Step
    from bort_convert.model_dir.read import ModelDir

_MOST_LINES: Final = 20
_SIZES: Final = ("vocab_size", "hidden_size", "layers", "intermediate_size", "max_positions")


def names_and_shapes(directory: ModelDir, provenance: Mapping[str, str]) -> CheckResult:
    """Compare config.json with the source and with what a conversion writes, and the tensors with the target model.

    The target model is built from config.json on torch's `meta` device.

    Args:
        directory: the converted directory.
        provenance: of the reference; see `Trace`.

    Raises:
        BackendError: torch or transformers is missing.
        FormatError: the directory cannot be read.
    """
    config = directory.config
    problems = config_problems(directory, provenance)
    if same_sizes(directory, provenance):
        from bort_convert.verification.torch_run import state_shapes  # noqa: PLC0415 - torch is loaded when it is needed

        try:
            expected = state_shapes(directory)
        except (ParityError, FormatError) as error:
            return _result(NAMES_AND_SHAPES, [*problems, str(error)], "")
        found = {name: spec.shape for name, spec in directory.header.items()}
        problems += _shape_problems(found, expected)
        written = f"{len(found):,} tensors are those of {config['architectures'][0]}"
        return _result(NAMES_AND_SHAPES, problems, f"{written}, every key of config.json is right")
    return _result(NAMES_AND_SHAPES, problems, "")


def same_sizes(directory: ModelDir, provenance: Mapping[str, str]) -> bool:
    """True if config.json has the source's sizes; a model of any other size is not worth building or running.

    A size that depends on the padding id does not follow from the source alone.
    """
    config, expected = directory.config, json.loads(provenance["config"])
    family = families().get(provenance["family"])
    keys = [key.name for key in family.config if key.source in _SIZES and not key.after] if family else []
    return all(config.get(key) == expected[key] for key in keys if key in expected)


def bits(directory: ModelDir, source: Path, fit: Fit) -> CheckResult:
    """Run the plan backwards on the directory's tensors and compare the result with the source bit for bit.

    Args:
        directory: the converted directory.
        source: the `.params` file.
        fit: of the source.
    """
    plan, names = fit.plan, fit.names
    left_out = {names[name] for step in plan.steps if not step.targets for name in step.sources}
    constants = [step for step in plan.steps if not step.targets and not step.op.lossy]
    plan = replace(plan, steps=tuple(step for step in plan.steps if step.targets))
    cast = directory.cast
    problems: list[str] = []
    returned: set[str] = set()
    nbytes = 0
    with (
        directory.open_weights() as weights,
        directory.open_extra() as extra,
        open_params(source, mapped=False) as params,
    ):
        problems += [line for step in constants for line in _constant_problems(step, params[names[step.sources[0]]])]
        try:
            for name, found in plan.revert(weights):
                expected = params[names[name]]
                if cast is not None:
                    expected = expected.astype(numpy_dtype(cast))
                problems += _bit_problems(names[name], found, expected)
                returned.add(names[name])
                nbytes += found.nbytes
            for name, found in extra.items():
                problems += _bit_problems(name, found, params[name]) if name in params else [f"{name}: not in the file"]
                returned.add(name)
                nbytes += found.nbytes
            left_out |= fit.ignored.keys()
            problems += [f"{name}: does not come back" for name in params if name not in {*returned, *left_out}]
        except KeyError as error:
            problems.append(f"{error.args[0]}: not in model.safetensors")
        except MappingError as error:
            problems.append(str(error))
    as_cast = f", as {cast}" if cast is not None else ""
    return _result(
        BITS,
        problems,
        f"{len(returned):,} tensors, {nbytes:,} bytes: run backwards, equal to {source.name}{as_cast}",
    )


def digests(directory: ModelDir, provenance: Mapping[str, str]) -> CheckResult:
    """Compare the SHA-256 of every tensor with conversion.json, and that of its source with the trace's.

    This takes the place of `bits` where the reference is a trace, which holds no weights.

    Args:
        directory: the converted directory.
        provenance: of the trace.
    """
    manifest = directory.conversion
    listed, source = manifest.tensors, manifest.source.sha256
    problems = []
    if not source:
        problems.append(
            "conversion.json: has no digests (`checksums=False`); verify with the checkpoint, or convert anew"
        )
    elif source != provenance.get("sha256"):
        problems.append(
            f"conversion.json: made from a file with the sha256 {source}, "
            f"the trace from {provenance.get('source')} with {provenance.get('sha256')}"
        )
    with directory.open_weights() as weights, directory.open_extra() as extra:
        problems += [f"{name}: not in model.safetensors" for name in listed if name not in weights.header]
        for stored, entries in ((weights, listed), (extra, manifest.extra)):
            for name in stored.header:
                digest = sha256_of(stored.part(name))
                expected = entries[name].sha256 if name in entries else None
                if digest != expected:
                    problems.append(f"{name}: sha256 {digest}, expected {expected} by conversion.json")
    return _result(BITS, problems, f"{len(listed):,} tensors: sha256 as in conversion.json (a trace holds no weights)")


def _result(name: str, problems: Sequence[str], success: str) -> CheckResult:
    if len(problems) > _MOST_LINES:
        problems = [*problems[:_MOST_LINES], f"and {len(problems) - _MOST_LINES:,} more"]
    return CheckResult(name, not problems, "\n".join(problems) or success)


def _shape_problems(found: Mapping[str, Shape], expected: Mapping[str, tuple[Shape, str]]) -> list[str]:
    problems = []
    written: dict[str, str] = {}
    for name, shape in found.items():
        if name not in expected:
            problems.append(f"{name}: the target model has no such tensor")
            continue
        model_shape, first_name = expected[name]
        if shape != model_shape:
            problems.append(f"{name}: shape {shape}, expected {model_shape} by the target model")
        if first_name in written:
            problems.append(f"{name}: written beside {written[first_name]}, with which the target model ties it")
        written.setdefault(first_name, name)
    missing = {first_name: shape for shape, first_name in expected.values() if first_name not in written}
    return problems + [f"{name}: missing, expected shape {shape}" for name, shape in missing.items()]


def _bit_problems(name: str, found: Array, expected: Array) -> list[str]:
    if found.dtype != expected.dtype or found.shape != expected.shape:
        return [f"{name}: comes back as {found.dtype} {found.shape}, expected {expected.dtype} {expected.shape}"]
    difference = bit_difference(found, expected, TensorSpec(name, found.dtype.name, found.shape))
    if difference is None:
        return []
    count, size, first = difference.count, difference.size, difference.first
    return [f"{name}: {count:,} of {size:,} values come back with other bits, the first at {first}"]


def _constant_problems(step: Step, found: Array) -> list[str]:
    """Problems of a constant that is not written; its last bits are none, because they differ between libraries."""
    try:
        step.op.forward(found)
    except MappingError as error:
        return [f"{step.sources[0]}: {error}"]
    return []
