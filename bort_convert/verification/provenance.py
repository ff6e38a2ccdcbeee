"""Provenance of a verification: the reference, the SHA-256 of the files on both sides, and the call."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from bort_convert.files.fetched import place_behind
from bort_convert.files.streams import sha256_of_file
from bort_convert.model_dir.manifest import FILE_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bort_convert.mapping.fit import Fit
    from bort_convert.model_dir.read import ModelDir


def provenance_of(path: Path, fit: Fit) -> dict[str, str]:
    """Provenance of a checkpoint, as a trace keeps it; see `Trace`."""
    return {
        "source": path.name.encode("utf-8", "backslashreplace").decode(),
        "size": str(path.stat().st_size),
        "sha256": sha256_of_file(path),
        "family": fit.family.name,
        "architecture": fit.architecture,
        "dims": json.dumps(dict(fit.plan.dims), sort_keys=True),
        "hyperparameters": json.dumps(dict(fit.hyperparameters), sort_keys=True),
        "config": json.dumps(_config_from_source(fit), sort_keys=True),
    }


def digests_of_files(directory: ModelDir) -> dict[str, str]:
    """SHA-256 of the manifest and of each file of weights, by its name with the directory's before it."""
    digests = {file.name: sha256_of_file(file) for file in directory.weight_files}
    if directory.manifest_text is not None:
        digests[FILE_NAME] = hashlib.sha256(directory.manifest_text.encode()).hexdigest()
    return {str(Path(directory.path.name, name)): digest for name, digest in digests.items()}


def call_text(function: Callable[..., object], arguments: Mapping[str, object]) -> str:
    """A call of a public function as Python code, without the arguments that have their default.

    Args:
        function: the function.
        arguments: all its arguments by name; functions among them, such as `progress`, are left out.
    """
    shown = []
    for name, parameter in inspect.signature(function).parameters.items():
        value = arguments[name]
        text = repr(place_behind(value) if isinstance(value, os.PathLike) else value)
        if parameter.default is parameter.empty:
            shown.append(text)
        elif value != parameter.default and not callable(value):
            shown.append(f"{name}={text}")
    return f"bort_convert.{function.__name__}({', '.join(shown)})"


def _config_from_source(fit: Fit) -> dict[str, object]:
    """Keys of the target config that depend on the source, with the values that it calls for."""
    values = {**fit.hyperparameters, **fit.plan.dims}
    return {key.name: key.value(values) for key in fit.family.config if key.source}
