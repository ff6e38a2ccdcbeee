# ruff: noqa: PLC0415, PTH112, PTH118, PTH123 - a missing framework has its own exit status; Python 3.6 syntax
"""Run a GluonNLP model on MXNet and keep its outputs: a script for any interpreter that has both.

    python run.py JOB.json

JOB.json holds:

    family           name in gluonnlp
    network          path of the file that builds the network; see __init__.py
    dims             vocab_size, hidden_size, intermediate_size, layers, max_positions; type_vocab_size where there are
                     segments, labels for a classifier
    hyperparameters  attention_heads, layer_norm_eps, hidden_act
    params           path of the checkpoint, read with mx.nd.load
    names            name in the file -> structural name ("encoder.layer_norm.gamma")
    inputs           path of an .npz with the inputs of a trace; see trace.py
    dtypes           any of "float32", "float64"; one that the network lacks is left out if it has another
    gluonnlp         path of a folder with another version of gluonnlp, null for the interpreter's own
    attentions       true to keep the attention probabilities
    output           path of the .npz to write: an array for each "DTYPE/OUTPUT", and the versions as JSON in "meta"

Outputs are those of a trace, but attention.N is (batch, attention_heads, length, length). Progress goes to stderr.

Exit status: 0 done, 3 a framework is missing, 4 the job cannot be done; the last line of stderr has the reason.
"""

import json
import os
import platform
import sys
import time
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    Network: TypeAlias = Any  # of the file that the job names
    Values: TypeAlias = Any  # an NDArray

MISSING, FAILED = 3, 4
MARK = "progress: "
RELEASES = ("0.8.", "0.9.", "0.10.")


class JobError(Exception):
    """The job cannot be done; the message says which part."""


def main() -> int:
    """Do the job that the command line names; give the exit status."""
    warnings.filterwarnings("ignore")
    with open(sys.argv[1]) as file:
        job = json.load(file)
    try:
        versions = load_frameworks(job["gluonnlp"])
        import numpy as np

        report("mxnet {mxnet}, gluonnlp {gluonnlp}, numpy {numpy}, Python {python}".format(**versions))
        with np.load(job["inputs"], allow_pickle=False) as stored:
            inputs = {name: stored[name] for name in stored.files}
        values = read_values(job)
        outputs = {"meta": np.array(json.dumps(versions))}
        for dtype in possible_dtypes(job, versions["gluonnlp"]):
            start = time.time()
            report(f"running in {dtype}")
            outputs.update((f"{dtype}/{name}", array) for name, array in run(job, values, inputs, dtype).items())
            report(f"ran in {dtype} in {time.time() - start:.1f} s")
        np.savez(job["output"], **outputs)
    except (ImportError, JobError) as error:
        report(str(error))
        return MISSING if isinstance(error, ImportError) else FAILED
    return 0


def report(text: str) -> None:
    """Write a line of progress."""
    sys.stderr.write(MARK + text + "\n")
    sys.stderr.flush()


def load_frameworks(folder: "str | None") -> "dict[str, str]":
    """Import mxnet and gluonnlp, the latter from `folder` unless that is None; give the versions."""
    import numpy as np

    if "bool" not in vars(np):
        np.bool = bool  # type: ignore[attr-defined,unused-ignore] # mxnet 1.9.1 needs it
    if folder is not None:
        if not os.path.isdir(os.path.join(folder, "gluonnlp")):
            raise JobError(f"{folder}: holds no gluonnlp; expected a folder into which pip installed it")
        sys.path.insert(0, folder)
    import gluonnlp
    import mxnet as mx

    if not gluonnlp.__version__.startswith(RELEASES):
        known = ", ".join(release + "x" for release in RELEASES)
        raise JobError(f"gluonnlp {gluonnlp.__version__} is there, expected {known}: others build other models")
    versions = {"mxnet": mx.__version__, "gluonnlp": gluonnlp.__version__, "numpy": np.__version__}
    return dict(versions, python=platform.python_version())


def read_values(job: "dict[str, Any]") -> "dict[str, Any]":
    """The checkpoint's arrays by structural name, as NumPy arrays of the file's dtypes."""
    import mxnet as mx

    arrays, names = mx.nd.load(job["params"]), job["names"]
    if not isinstance(arrays, dict) or set(arrays) != set(names):
        raise JobError(f"{job['params']}: {len(arrays)} arrays, and other names than the {len(names)} of the job")
    return {names[name]: array.asnumpy() for name, array in arrays.items()}


def possible_dtypes(job: "dict[str, Any]", release: str) -> "list[str]":
    """The dtypes of the job in which its network can run."""
    possible = getattr(build(job), "dtypes", job["dtypes"])
    found = [dtype for dtype in job["dtypes"] if dtype in possible]
    if not found:
        raise JobError(
            f"gluonnlp {release} computes this network in {possible[0]} alone: choose `dtype={possible[0]!r}`"
        )
    return found


def run(job: "dict[str, Any]", values: "dict[str, Any]", inputs: "dict[str, Any]", dtype: str) -> "dict[str, Any]":
    """Build the network, set its parameters and run it in one dtype; give every output by name."""
    import mxnet as mx

    network = build(job)
    network.block.collect_params().setattr("grad_req", "null")
    network.block.cast(dtype)
    network.block.initialize(mx.init.Zero())
    network.forward({"input_ids": [[0]], "valid_length": [1]}, dtype)  # settles the shapes that gluonnlp leaves open
    assign(network, values, dtype)
    kept = keep_outputs(network, attentions=job["attentions"])
    heads = network.forward(inputs, dtype)
    return dict(kept, **{name: array.asnumpy() for name, array in heads.items()})


def build(job: "dict[str, Any]") -> "Network":
    """Build the network of the job's structural names on the CPU, without values."""
    import importlib.util

    # By its path: with PYTHONSAFEPATH set, the folder of this script is not on the search path.
    spec = importlib.util.spec_from_file_location("network", job["network"])
    assert spec is not None and spec.loader is not None  # noqa: PT018 - one condition: the path ends in .py
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    try:
        return module.Network(job)
    except ValueError as error:
        raise JobError(str(error))  # noqa: B904 - the message is complete


def assign(network: "Network", values: "dict[str, Any]", dtype: str) -> None:
    """Set every parameter once; one error lists all that are missing, unknown, of another shape or not tied."""
    import mxnet as mx
    import numpy as np

    parameters = network.block._collect_params_with_prefix()  # noqa: SLF001 - the names that save_parameters uses
    problems = []
    filled = {}  # type: dict[int, str]
    for name in sorted(values):
        parameter, value = parameters.get(name), values[name]
        if parameter is None:
            problems.append(f"{name}: the model has no such parameter")
        elif tuple(parameter.shape) != value.shape:
            problems.append(f"{name}: shape {value.shape}, expected {tuple(parameter.shape)} by gluonnlp")
        elif id(parameter) not in filled:
            filled[id(parameter)] = name
            parameter.set_data(mx.nd.array(value, dtype=dtype))
        elif not np.array_equal(value, values[filled[id(parameter)]]):
            problems.append(f"{name}: differs from {filled[id(parameter)]}, with which gluonnlp ties it")
    unfilled = [name for name, parameter in sorted(parameters.items()) if id(parameter) not in filled]
    problems += [f"{name}: not in the file" for name in unfilled]
    if problems:
        raise JobError("the file does not fit the model: " + "; ".join(problems))


def keep_outputs(network: "Network", *, attentions: bool) -> "dict[str, Any]":
    """Hook the blocks of a network; give the dict that its next forward pass fills."""
    kept = {}  # type: dict[str, Any]
    length_first = getattr(network, "length_first", False)

    def hook_for(name: str, index: int) -> "Callable[..., None]":
        def hook(_block: object, _inputs: object, output: "Values") -> None:
            value = output[index] if isinstance(output, (tuple, list)) else output
            array = value.asnumpy()
            kept[name] = array.swapaxes(0, 1) if array.ndim == 3 and length_first else array  # noqa: PLR2004
            report(name)

        return hook

    for name, block, index in network.watched(attentions=attentions):
        block.register_forward_hook(hook_for(name, index))
    return kept


if __name__ == "__main__":
    sys.exit(main())
