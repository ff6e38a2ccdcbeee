"""Run the reference live: GluonNLP on MXNet, in a process of its own that can die without ending ours."""

from __future__ import annotations

import json
import sys
import tempfile
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bort_convert.dtypes import numpy_dtype
from bort_convert.errors import OptionError
from bort_convert.mapping.family import GLUONNLP_1, SPECIAL_TOKEN_IDS
from bort_convert.mapping.original_config import OriginalConfig
from bort_convert.model_dir.config_beside import fit_file
from bort_convert.params import open_params, save_params
from bort_convert.verification.compare import compare
from bort_convert.verification.provenance import provenance_of
from bort_convert.verification.reference_process import ReferenceProcess
from bort_convert.verification.trace import COTANGENTS, DTYPES, REPLACED_COST, Trace, is_attention, output_order

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    from bort_convert.dtypes import Array
    from bort_convert.mapping.fit import Fit
    from bort_convert.model_dir.manifest import Manifest
    from bort_convert.params import ParamsFile
    from bort_convert.verification.exported import ExportedNetwork

SCRIPT: Final = Path(__file__).parent / "mxnet_process" / "run.py"
TIMEOUT: Final = 600.0
CHOICES: Final = (
    "family", "table", "variant", "heads", "layers", "gluonnlp_version", "hyperparameters", "prefix", "ignore",
    "keep_extra",
)  # fmt: skip
"""Options of a conversion that decide how a checkpoint is read."""
_GRADIENTS: Final = "gradients/"
_AS_IS: Final = "as_is/"
_LIST_MAGIC: Final = (0x112).to_bytes(8, "little")


@dataclass(frozen=True)
class ReferenceOptions:
    """Options of the process that runs GluonNLP on MXNet, for `verify` and `record`.

    Attributes:
        mxnet_python: an interpreter that has mxnet and gluonnlp; None for this one.
        gluonnlp: a folder that holds another version of gluonnlp; None for the interpreter's own.
        timeout: seconds that MXNet may take.
        process: one that takes this run among others; None for a process of its own.

    Examples:
        >>> options = bort_convert.ReferenceOptions(mxnet_python="/opt/mxnet/bin/python", timeout=600)
        >>> options.gluonnlp is None
        True
    """

    mxnet_python: str | None = None
    gluonnlp: str | None = None
    timeout: float = TIMEOUT
    process: ReferenceProcess | None = field(default=None, repr=False, compare=False)

    def with_keywords(self, **keywords: str | float | None) -> ReferenceOptions:
        """Add options that were given as keywords beside this object; None means that one was not given.

        Raises:
            OptionError: an option was given in both forms.
        """
        given = {name: value for name, value in keywords.items() if value is not None}
        for name, value in given.items():
            if getattr(self, name) != getattr(ReferenceOptions, name):
                raise OptionError(name, value, "stands in `reference_options` too; give it in one place")
        return replace(self, **given)  # type: ignore[arg-type] # the callers' signatures have the types


@dataclass(frozen=True)
class LiveReference:
    """A checkpoint to run with GluonNLP.

    Attributes:
        path: the `.params` file.
        fit: its family, sizes and plan.
        options: the interpreter and its limits.
        progress: called with each line of progress.
        cast: dtype to which its values are rounded before the run; None for the values as they are.
        network: the exported network that runs in place of GluonNLP's classes; None for those.
    """

    path: Path
    fit: Fit
    options: ReferenceOptions = field(default_factory=ReferenceOptions)
    progress: Callable[[str], None] = lambda _line: None
    cast: str | None = None
    network: ExportedNetwork | None = None


def fit_checkpoint(path: str | os.PathLike[str], **choices: Any) -> Fit:  # noqa: ANN401 - those of fit_file
    """Recognise a `.params` file; see `fit_file`."""
    with open_params(path, mapped=False) as params:
        return fit_file(params.path, params.specs, **choices)


def fit_as_converted(path: str | os.PathLike[str], manifest: Manifest, heads: int | None = None) -> Fit:
    """Recognise a `.params` file with the options of its conversion.

    Hyperparameters that the conversion derived are derived again: from the manifest, a wrong one would go unnoticed.
    Special token ids come from a vocabulary, which is not at hand, and are taken from the manifest.

    Args:
        path: the file.
        manifest: of the conversion.
        heads: attention heads, in place of the conversion's.
    """
    choices: dict[str, Any] = {name: manifest.options[name] for name in CHOICES if name in manifest.options}
    if heads is not None:
        choices["heads"] = heads
    ids = {name: value for name, value in manifest.hyperparameters.items() if name in SPECIAL_TOKEN_IDS}
    said = manifest.options.get("original_config")
    recorded = OriginalConfig(str(said["name"]), dict(said["values"])) if said else None
    return fit_checkpoint(path, **choices, special_token_ids=ids or None, recorded=recorded, told=manifest.told)


def run_reference(
    reference: LiveReference, inputs: Mapping[str, Array], *, dtypes: Sequence[str] = DTYPES, attentions: bool = False
) -> Trace:
    """Run a checkpoint with GluonNLP and keep every output.

    Args:
        reference: the checkpoint.
        inputs: of a trace, within the model's ranges. With cotangents among them the model runs backwards too, and the
            trace has gradients.
        dtypes: precisions of the run; one that this gluonnlp lacks is left out if it has another.
        attentions: keep attention probabilities.

    Raises:
        BackendError: mxnet or gluonnlp is missing, or the process died; the message has its last lines.
    """
    with tempfile.TemporaryDirectory(prefix="bort-convert-") as folder:
        job = _write_job(Path(folder), reference, inputs, dtypes, attentions=attentions)
        run_script(reference, job)
        with np.load(Path(folder) / "outputs.npz", allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    versions = json.loads(str(arrays.pop("meta")))
    outputs: dict[str, dict[str, Array]] = {}
    gradients: dict[str, dict[str, Array]] = {}
    as_is: dict[str, Array] = {}
    for key, array in arrays.items():
        dtype, _, name = key.partition("/")
        if name.startswith(_AS_IS):
            as_is[name.removeprefix(_AS_IS)] = _swap_attention_axes(name.removeprefix(_AS_IS), array)
        elif name.startswith(_GRADIENTS):
            gradients.setdefault(dtype, {})[name.removeprefix(_GRADIENTS)] = array
        else:
            outputs.setdefault(dtype, {})[name] = _swap_attention_axes(name, array)
    ordered = {
        dtype: {name: found[name] for name in sorted(found, key=output_order)} for dtype, found in outputs.items()
    }
    provenance = {**provenance_of(reference.path, reference.fit), **versions}
    if reference.network:
        provenance |= reference.network.provenance
    trace = Trace(dict(inputs), ordered, provenance, gradients)
    return _with_cost(trace, as_is) if as_is else trace


def _with_cost(trace: Trace, as_is: Mapping[str, Array]) -> Trace:
    """Add to the provenance how far the outputs are from those of a run without what was replaced."""
    (run,) = compare(trace, {"float64": as_is})
    cost = max(layer.max_abs for layer in run.layers if layer.count)
    return replace(trace, provenance={**trace.provenance, REPLACED_COST: f"{cost:.2g}"})


def _write_job(
    folder: Path, reference: LiveReference, inputs: Mapping[str, Array], dtypes: Sequence[str], *, attentions: bool
) -> Path:
    fit, gluonnlp = reference.fit, reference.options.gluonnlp
    arrays = {name: _swap_attention_axes(name.removeprefix(COTANGENTS), array) for name, array in inputs.items()}
    np.savez(folder / "inputs.npz", **arrays)
    with open_params(reference.path, mapped=False) as params:
        checkpoint = _readable_by_mxnet(folder, params, reference.cast)
        shapes = {name: spec.shape for name, spec in params.specs.items() if spec is not None}
    known = {source: name for name, source in fit.names.items()} if reference.network else fit.network_names
    names = {source: name for source, name in known.items() if source in shapes}
    job = {
        "family": fit.family.source_name,
        "network": str(SCRIPT.parent / f"{fit.family.mxnet_module}.py"),
        "dims": dict(fit.plan.dims),
        "hyperparameters": dict(fit.hyperparameters),
        "params": str(checkpoint.absolute()),
        "names": names,
        "others": [*fit.ignored, *fit.extra, *(name for name in fit.names.values() if name not in names)],
        "inputs": str(folder / "inputs.npz"),
        "dtypes": list(dtypes),
        "attentions": attentions,
        "gradients": any(name.startswith(COTANGENTS) for name in inputs),
        "numpy_like": fit.family.versions == GLUONNLP_1,
        "gluonnlp": gluonnlp and str(Path(gluonnlp).resolve()),
        "output": str(folder / "outputs.npz"),
    }
    if reference.network:
        job |= reference.network.job({name: shapes[source] for source, name in names.items()}, fit.plan.aliases)
        job["network"] = str(SCRIPT.with_name("graph.py"))
    path = folder / "job.json"
    path.write_text(json.dumps(job))
    return path


def _swap_attention_axes(name: str, array: Array) -> Array:
    """Swap query and head of attention probabilities: a trace has the query first, the script the head.

    Arrays of other names stay as they are.
    """
    return array.transpose(0, 2, 1, 3) if is_attention(name) else array


def _readable_by_mxnet(folder: Path, params: ParamsFile, cast: str | None) -> Path:
    """The file itself, or a copy in MXNet 1's format: of an archive, of MXNet 2's format, or of rounded values."""
    path = Path(params.path)
    with path.open("rb") as file:
        if file.read(8) == _LIST_MAGIC and cast is None:
            return _named_in_utf8(folder, path)
    copy = folder / "copy.params"
    if cast is None:
        save_params(copy, params)
    else:
        rounded = numpy_dtype(cast)
        save_params(copy, {name: array.astype(rounded).astype(np.float32) for name, array in params.items()})
    return copy


def _named_in_utf8(folder: Path, path: Path) -> Path:
    """The path, or a link to it where its name is no UTF-8, which MXNet needs."""
    try:
        str(path.absolute()).encode()
    except UnicodeEncodeError:
        link = folder / "source.params"
        link.symlink_to(path.absolute())
        return link
    return path


def run_script(reference: LiveReference, job: Path) -> None:
    """Run the script on MXNet's side with a job, in the process of the options or in one for this job alone.

    Raises:
        BackendError: a framework is missing, or the process died.
    """
    options = reference.options
    settings: dict[str, Any] = {"gluonnlp": options.gluonnlp, "timeout": options.timeout}
    python = options.mxnet_python or sys.executable
    with nullcontext(options.process) if options.process else ReferenceProcess() as process:
        process.run(python, job, **settings, progress=reference.progress)
