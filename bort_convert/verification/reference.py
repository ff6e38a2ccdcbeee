"""The reference, run live: GluonNLP on MXNet in a process of its own, which can die without taking us along."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import IO, TYPE_CHECKING, Any, Final

import numpy as np

from bort_convert.dtypes import numpy_dtype
from bort_convert.errors import BackendError
from bort_convert.files.streams import sha256_of_file
from bort_convert.models.registry import fit_source
from bort_convert.params import open_params, save_params
from bort_convert.verification.trace import DTYPES, Trace, output_order

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bort_convert.dtypes import Array
    from bort_convert.mapping.fit import Fit
    from bort_convert.model_dir.manifest import Manifest
    from bort_convert.params import ParamsFile

SCRIPT: Final = Path(__file__).parent / "mxnet_process" / "run.py"
TIMEOUT: Final = 600.0
CHOICES: Final = ("family", "variant", "heads", "gluonnlp_version")
"""Options of a conversion that decide how a checkpoint is read."""
_MISSING, _FAILED = 3, 4  # exit statuses of the script
_MARK: Final = "run_mxnet: "
_LAST_LINES: Final = 8
_LIST_MAGIC: Final = (0x112).to_bytes(8, "little")


@dataclass(frozen=True)
class LiveReference:
    """A checkpoint, and how it is run.

    Attributes:
        path: the `.params` file.
        fit: what it is.
        python: the interpreter that has mxnet and gluonnlp; None for this one.
        timeout: seconds that a run may take.
        progress: told each line of progress.
        cast: the dtype that its values are rounded to before they are run; None for the values as they are.
        gluonnlp: a folder that holds another release of gluonnlp; None for the interpreter's own.
    """

    path: Path
    fit: Fit
    python: str | None = None
    timeout: float = TIMEOUT
    progress: Callable[[str], None] = lambda _line: None
    cast: str | None = None
    gluonnlp: str | None = None


def fit_checkpoint(path: str | os.PathLike[str], **choices: Any) -> Fit:  # noqa: ANN401 - as fit_source takes them
    """Recognise a `.params` file; see `fit_source`."""
    with open_params(path, mapped=False) as params:
        return fit_source(params.specs, **choices)


def fit_as_converted(path: str | os.PathLike[str], manifest: Manifest, heads: int | None = None) -> Fit:
    """Recognise a `.params` file with the choices that its conversion was given.

    Args:
        path: the file.
        manifest: of the conversion.
        heads: attention heads, in place of those that the conversion was given.
    """
    choices: dict[str, Any] = {name: manifest.options.get(name) for name in CHOICES}
    if heads is not None:
        choices["heads"] = heads
    return fit_checkpoint(path, **choices)


def run_reference(
    reference: LiveReference, inputs: Mapping[str, Array], *, dtypes: Sequence[str] = DTYPES, attentions: bool = False
) -> Trace:
    """Run a checkpoint as GluonNLP does, and keep every output.

    Args:
        reference: the checkpoint.
        inputs: a trace's inputs, within the model's ranges.
        dtypes: the precisions to run in; one that a release of gluonnlp lacks is left out, if another is there.
        attentions: keep attention probabilities.

    Raises:
        BackendError: mxnet or gluonnlp is missing, or the process died: its last lines.
    """
    with tempfile.TemporaryDirectory(prefix="bort-convert-") as folder:
        job = _write_job(Path(folder), reference, inputs, dtypes, attentions=attentions)
        _run_script(reference, job)
        with np.load(Path(folder) / "outputs.npz", allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    versions = json.loads(str(arrays.pop("meta")))
    outputs: dict[str, dict[str, Array]] = {}
    for key, array in arrays.items():
        dtype, _, name = key.partition("/")
        # An attention's axes are (batch, heads, query, key); a trace has one row for each token.
        outputs.setdefault(dtype, {})[name] = array.transpose(0, 2, 1, 3) if name.startswith("attention.") else array
    ordered = {
        dtype: {name: found[name] for name in sorted(found, key=output_order)} for dtype, found in outputs.items()
    }
    return Trace(dict(inputs), ordered, {**provenance(reference), **versions})


def provenance(reference: LiveReference) -> dict[str, str]:
    """What a trace says of its source."""
    fit, path = reference.fit, reference.path
    return {
        "source": path.name,
        "size": str(path.stat().st_size),
        "sha256": sha256_of_file(path),
        "family": fit.family.name,
        "architecture": fit.architecture,
        "dims": json.dumps(dict(fit.plan.dims), sort_keys=True),
        "hyperparameters": json.dumps(dict(fit.hyperparameters), sort_keys=True),
        "config": json.dumps(called_for(fit), sort_keys=True),
    }


def called_for(fit: Fit) -> dict[str, object]:
    """The keys of the target config that a source decides, with the values that it calls for."""
    values = {**fit.hyperparameters, **fit.plan.dims}
    return {key.name: key.value(values) for key in fit.family.config if key.source}


def _write_job(
    folder: Path, reference: LiveReference, inputs: Mapping[str, Array], dtypes: Sequence[str], *, attentions: bool
) -> Path:
    fit = reference.fit
    np.savez(folder / "inputs.npz", **dict(inputs))
    with open_params(reference.path, mapped=False) as params:
        checkpoint = _readable_by_mxnet(folder, params, reference.cast)
        given = set(params)
    job = {
        "family": fit.family.source_name,
        "network": str(SCRIPT.with_name(f"{fit.family.mxnet_module}.py")),
        "dims": dict(fit.plan.dims),
        "hyperparameters": dict(fit.hyperparameters),
        "params": str(checkpoint.resolve()),
        "names": {found: name for name, found in fit.names.items() if found in given},
        "inputs": str(folder / "inputs.npz"),
        "dtypes": list(dtypes),
        "attentions": attentions,
        "gluonnlp": reference.gluonnlp and str(Path(reference.gluonnlp).resolve()),
        "output": str(folder / "outputs.npz"),
    }
    path = folder / "job.json"
    path.write_text(json.dumps(job))
    return path


def _readable_by_mxnet(folder: Path, params: ParamsFile, cast: str | None) -> Path:
    """The file itself, or a copy as MXNet 1 reads it: of one in an archive, in MXNet 2's format, or to be rounded."""
    with params.path.open("rb") as file:
        if file.read(8) == _LIST_MAGIC and cast is None:
            return params.path
    copy = folder / "copy.params"
    if cast is None:
        save_params(copy, params)
    else:
        rounded = numpy_dtype(cast)
        save_params(copy, {name: array.astype(rounded).astype(np.float32) for name, array in params.items()})
    return copy


def _run_script(reference: LiveReference, job: Path) -> None:
    python = reference.python or sys.executable
    command = [python, str(SCRIPT), str(job)]
    try:
        process = subprocess.Popen(  # noqa: S603 - the interpreter is the user's choice, the rest is ours
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise BackendError(
            f"{python}: cannot be started ({error.strerror or error}); "
            "--mxnet-python expects an interpreter that has mxnet and gluonnlp"
        ) from error
    assert process.stderr is not None
    last: deque[str] = deque(maxlen=_LAST_LINES)
    reader = Thread(target=_pass_on, args=(process.stderr, last, reference.progress), daemon=True)
    reader.start()
    try:
        status = process.wait(reference.timeout)
    except subprocess.TimeoutExpired:
        raise BackendError(
            _died(f"MXNet was stopped after {reference.timeout:g} s", _stopped(process, reader, last))
        ) from None
    finally:
        _stopped(process, reader, last)
        process.stderr.close()
    if status:
        raise _failure(python, status, list(last))


def _pass_on(stream: IO[str], last: deque[str], progress: Callable[[str], None]) -> None:
    for line in stream:
        text = line.rstrip()
        last.append(text.removeprefix(_MARK))
        if text.startswith(_MARK):
            progress(text.removeprefix(_MARK))


def _stopped(process: subprocess.Popen[str], reader: Thread, last: deque[str]) -> list[str]:
    """End the process and whatever it started, if it still runs; give its last lines."""
    if process.poll() is None:
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        process.wait()
    reader.join(5)
    return list(last)


def _failure(python: str, status: int, last: list[str]) -> BackendError:
    if status == _MISSING:
        why = last[-1] if last else "an import failed"
        return BackendError(
            f"the live reference needs mxnet and gluonnlp, which {python} has not ({why}): pip install "
            '"bort-convert[mxnet]", or verify against a trace that `bort-convert record` made where they are'
        )
    if status == _FAILED and last:
        return BackendError(f"the live reference cannot be run: {last[-1]}")
    if status < 0:
        name = signal.Signals(-status).name if -status in list(signal.Signals) else str(-status)
        hint = "; out of memory?" if name == "SIGKILL" else ""
        return BackendError(_died(f"MXNet died of {name}{hint}", last))
    return BackendError(_died(f"MXNet ended with status {status}", last))


def _died(what: str, last: list[str]) -> str:
    lines = "\n  ".join(last) if last else "(nothing)"
    return f"{what}; the last lines of its stderr:\n  {lines}"
