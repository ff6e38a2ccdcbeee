"""The two rungs that need no run: names and shapes against the receiving model, and bits against the source."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bort_convert.dtypes import numpy_dtype
from bort_convert.errors import FormatError, MappingError, ParityError
from bort_convert.family import families
from bort_convert.frequencies import Frequencies
from bort_convert.params import open_params
from bort_convert.verify.directory import cast_of, config_of, manifest_of, open_weights, shapes_of
from bort_convert.verify.result import BITS, NAMES_AND_SHAPES, Rung

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping, Sequence

    from bort_convert.dtypes import Array, Shape
    from bort_convert.plan import Step
    from bort_convert.verify.live import Reference

_PIECE: Final = 4 << 20
_SHOWN: Final = 20
_SIZES: Final = ("vocab", "units", "layers", "hidden", "positions")


def names_and_shapes(target: str | os.PathLike[str], provenance: Mapping[str, str]) -> Rung:
    """Whether config.json and conversion.json say what the source calls for, and the tensors are the model's.

    The receiving model is built from config.json on torch's `meta` device.

    Args:
        target: the converted directory.
        provenance: a trace's: what the source is.

    Raises:
        BackendError: torch or transformers is missing.
        FormatError: the directory cannot be read.
    """
    config = config_of(target)
    problems = _config_problems(config, manifest_of(target), provenance)
    if same_sizes(target, provenance):
        from bort_convert.verify.run_torch import state_shapes  # noqa: PLC0415 - torch is loaded when it is needed

        try:
            expected = state_shapes(target)
        except (ParityError, FormatError) as error:
            return _rung(NAMES_AND_SHAPES, [*problems, str(error)], "")
        found = shapes_of(target)
        problems += _shape_problems(found, expected)
        written = f"{len(found):,} tensors are those of {config['architectures'][0]}"
        return _rung(NAMES_AND_SHAPES, problems, f"{written}, config.json says what the source calls for")
    return _rung(NAMES_AND_SHAPES, problems, "")


def bits(target: str | os.PathLike[str], reference: Reference) -> Rung:
    """Whether the directory, read back and run through the plan backwards, gives the source bit for bit."""
    plan = reference.fit.plan
    names = reference.fit.names
    left_out = {names[name] for step in plan.steps if not step.targets for name in step.sources}
    made_again = [step for step in plan.steps if isinstance(step.op, Frequencies)]
    plan = replace(plan, steps=tuple(step for step in plan.steps if step.targets))
    cast = cast_of(target)
    problems: list[str] = []
    returned: set[str] = set()
    nbytes = 0
    with open_weights(target) as weights, open_params(reference.path, mapped=False) as params:
        problems += [line for step in made_again for line in _constant_problems(step, params[names[step.sources[0]]])]
        try:
            for name, found in plan.revert(weights):
                expected = params[names[name]]
                if cast is not None:
                    expected = expected.astype(numpy_dtype(cast))
                problems += _bit_problems(names[name], found, expected)
                returned.add(names[name])
                nbytes += found.nbytes
            problems += [f"{name}: does not come back" for name in params if name not in {*returned, *left_out}]
        except KeyError as error:
            problems.append(f"{error.args[0]}: not in model.safetensors")
        except MappingError as error:
            problems.append(str(error))
    as_cast = f", as {cast}" if cast is not None else ""
    return _rung(
        BITS,
        problems,
        f"{len(returned):,} tensors, {nbytes:,} bytes: run backwards, equal to {reference.path.name}{as_cast}",
    )


def digests(target: str | os.PathLike[str], provenance: Mapping[str, str]) -> Rung:
    """With a trace only: whether the tensors are those that conversion.json lists, and its source is the trace's."""
    manifest = manifest_of(target)
    listed, source = manifest.get("tensors", {}), manifest.get("source", {}).get("sha256")
    problems = []
    if not source:
        problems.append("conversion.json: has no digests (--no-checksums); verify with the checkpoint, or convert anew")
    elif source != provenance.get("sha256"):
        problems.append(
            f"conversion.json: made from a file with the sha256 {source}, "
            f"the trace from {provenance.get('source')} with {provenance.get('sha256')}"
        )
    with open_weights(target) as weights:
        problems += [f"{name}: not in model.safetensors" for name in listed if name not in weights]
        for name, array in weights.items():
            digest = hashlib.sha256(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data).hexdigest()
            known = listed.get(name, {}).get("sha256")
            if digest != known:
                problems.append(f"{name}: sha256 {digest}, expected {known} by conversion.json")
    return _rung(BITS, problems, f"{len(listed):,} tensors: sha256 as in conversion.json (a trace holds no weights)")


def same_sizes(target: str | os.PathLike[str], provenance: Mapping[str, str]) -> bool:
    """Whether config.json has the source's sizes: a model of any other size is not worth building or running."""
    config, wanted = config_of(target), json.loads(provenance["config"])
    family = families().get(provenance["family"])
    keys = [key.name for key in family.config if key.source in _SIZES] if family else []
    return all(config.get(key) == wanted[key] for key in keys if key in wanted)


def _rung(name: str, problems: Sequence[str], success: str) -> Rung:
    if len(problems) > _SHOWN:
        problems = [*problems[:_SHOWN], f"and {len(problems) - _SHOWN:,} more"]
    return Rung(name, not problems, "\n".join(problems) or success)


def _config_problems(
    config: Mapping[str, Any], manifest: Mapping[str, Any], provenance: Mapping[str, str]
) -> list[str]:
    wanted = {**json.loads(provenance["config"])}
    source = provenance["source"]
    found = {"architectures": (config.get("architectures") or [None])[0]}
    problems = _disagreements(
        "config.json", {**config, **found}, {"architectures": provenance["architecture"], **wanted}, source
    )
    for part in ("facts", "dims"):
        problems += _disagreements("conversion.json", manifest.get(part, {}), json.loads(provenance[part]), source)
    return problems


def _disagreements(file: str, found: Mapping[str, Any], wanted: Mapping[str, Any], source: str) -> list[str]:
    return [
        f"{file}: {key} is {found.get(key)!r}, expected {value!r} by {source}"
        for key, value in wanted.items()
        if type(found.get(key)) is not type(value) or found[key] != value
    ]


def _shape_problems(found: Mapping[str, Shape], expected: Mapping[str, tuple[Shape, str]]) -> list[str]:
    problems = []
    written: dict[str, str] = {}
    for name, shape in found.items():
        if name not in expected:
            problems.append(f"{name}: the receiving model has no such tensor")
            continue
        wanted, first = expected[name]
        if shape != wanted:
            problems.append(f"{name}: shape {shape}, expected {wanted} by the receiving model")
        if first in written:
            problems.append(f"{name}: written beside {written[first]}, with which the receiving model ties it")
        written.setdefault(first, name)
    missing = {first: shape for shape, first in expected.values() if first not in written}
    return problems + [f"{name}: missing, expected shape {shape}" for name, shape in missing.items()]


def _bit_problems(name: str, found: Array, expected: Array) -> list[str]:
    if found.dtype != expected.dtype or found.shape != expected.shape:
        return [f"{name}: comes back as {found.dtype} {found.shape}, expected {expected.dtype} {expected.shape}"]
    different, first = 0, -1
    size = found.itemsize
    for start, one, other in _pieces(found, expected):
        unequal = (one != other).reshape(-1, size).any(axis=1)
        if unequal.any():
            first = start // size + int(unequal.argmax()) if first < 0 else first
            different += int(np.count_nonzero(unequal))
    if not different:
        return []
    at = tuple(int(number) for number in np.unravel_index(first, found.shape))
    return [f"{name}: {different:,} of {found.size:,} values come back with other bits, the first at {at}"]


def _constant_problems(step: Step, found: Array) -> list[str]:
    """What speaks against a constant that is not written: its last bits do not, which are any library's."""
    try:
        step.op.forward(found)
    except MappingError as error:
        return [f"{step.sources[0]}: {error}"]
    return []


def _pieces(one: Array, other: Array) -> Iterator[tuple[int, Array, Array]]:
    """The bytes of two arrays of one shape, in pieces that are whole values: no large copy is made."""
    first, second = (np.ascontiguousarray(array).reshape(-1).view(np.uint8) for array in (one, other))
    for start in range(0, first.size, _PIECE):
        yield start, first[start : start + _PIECE], second[start : start + _PIECE]
