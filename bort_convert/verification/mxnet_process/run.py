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
    others           names in the file of tensors that are not the model's
    inputs           path of an .npz with the inputs of a trace; see trace.py
    dtypes           any of "float32", "float64"; one that the network lacks is left out if it has another
    numpy_like       true for GluonNLP 1.0: the network's file imports the frameworks, for MXNet's NumPy interface
    gluonnlp         path of a folder with another version of gluonnlp, null for the interpreter's own
    graph            only for an exported network, which needs no gluonnlp: its nodes and what they are; see graph.py
    attentions       true to keep the attention probabilities
    gradients        true to run backwards too; the inputs then have "cotangents/OUTPUT", in the shape of each output
    tokenizers       only in a job for ids of texts: path of a file whose function makes them; see tokenizers.py
    output           path of the .npz to write: an array for each "DTYPE/OUTPUT", the versions as JSON in "meta"; with
                     gradients an array for each "DTYPE/gradients/NAME" too, by structural names, and "erf_slope" among
                     the versions, a number as text

Outputs are those of a trace, but attention.N is (batch, attention_heads, length, length). Progress goes to stderr.

Gradients are those of the sum over all outputs of <cotangent, output>, with every dropout off. A parameter on which no
output depends has the gradient zero.

Exit status: 0 done, 3 a framework is missing, 4 the job cannot be done; the last line of stderr has the reason.
"""

import itertools
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

    Array: TypeAlias = Any  # of NumPy
    Network: TypeAlias = Any  # of the file that the job names
    Values: TypeAlias = Any  # an NDArray

MISSING, FAILED = 3, 4
MARK = "progress: "
COTANGENTS = "cotangents/"
RELEASES = ("0.8.", "0.9.", "0.10.")
loaded = {}  # type: dict[str, Any]


class JobError(Exception):
    """The job cannot be done; the message says which part."""


def main() -> int:
    """Do the job that the command line names; give the exit status."""
    warnings.filterwarnings("ignore")
    with open(sys.argv[1]) as file:
        job = json.load(file)
    try:
        versions = load_frameworks_of(job)
        import numpy as np

        report(", ".join(f"{name} {version}" for name, version in versions.items()))
        if "tokenizers" in job:
            with open(job["output"], "w") as file:
                json.dump(module_at(job["tokenizers"]).ids_of_texts(job), file)
            return 0
        with np.load(job["inputs"], allow_pickle=False) as stored:
            inputs = {name: stored[name] for name in stored.files}
        values = read_values(job)
        if job["gradients"]:
            versions["erf_slope"] = repr(erf_slope())
        parts = getattr(build(job), "replaced_parts", [])
        outputs = {"meta": np.array(json.dumps(dict(versions, replaced_parts=", ".join(parts)) if parts else versions))}
        for dtype in possible_dtypes(job, versions):
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


def load_frameworks_of(job: "dict[str, Any]") -> "dict[str, str]":
    """Import what the job's network needs, by its own file where the job says so; give the versions."""
    is_own = job.get("numpy_like") or "graph" in job
    load = module_at(job["network"]).load_frameworks if is_own else load_frameworks
    try:
        return dict(load(job["gluonnlp"]), python=platform.python_version())
    except ValueError as error:
        raise JobError(str(error))  # noqa: B904 - the message is complete


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

    if is_numpy_like():
        mx.npx.reset_np()  # an earlier job of this process was one of GluonNLP 1.0
    if not gluonnlp.__version__.startswith(RELEASES):
        known = ", ".join(release + "x" for release in RELEASES)
        raise JobError(f"gluonnlp {gluonnlp.__version__} is there, expected {known}: others build other models")
    return {"mxnet": mx.__version__, "gluonnlp": gluonnlp.__version__, "numpy": np.__version__}


def read_values(job: "dict[str, Any]") -> "dict[str, Any]":
    """The checkpoint's arrays by structural name, as NumPy arrays of the file's dtypes; bfloat16 becomes float32."""
    arrays, names = load_arrays(job["params"]), job["names"]
    if not isinstance(arrays, dict) or set(arrays) - set(job["others"]) != set(names):
        raise JobError(f"{job['params']}: {len(arrays)} arrays, and other names than the {len(names)} of the job")
    return {names[name]: numpy_values(arrays[name]) for name in names}


def load_arrays(path: str) -> "Any":  # noqa: ANN401 - mxnet has no type hints
    """Read a file; the NumPy interface refuses one that was saved without it, so it is switched off for that."""
    import mxnet as mx

    if not is_numpy_like():
        return mx.nd.load(path)
    try:
        return mx.npx.load(path)
    except mx.base.MXNetError:
        mx.npx.reset_np()
        try:
            return mx.nd.load(path)
        finally:
            mx.npx.set_np()


def numpy_values(array: "Values") -> "Any":  # noqa: ANN401 - NumPy is imported later
    """An array's values; NumPy has no bfloat16, and MXNet would give its bits as integers."""
    return (array.astype("float32") if "bfloat16" in str(array.dtype) else array).asnumpy()


def is_numpy_like() -> bool:
    """True if the network computes with MXNet's NumPy interface."""
    import mxnet as mx

    return bool(getattr(mx.util, "is_np_array", bool)())


def new_array(values: "Array", dtype: str) -> "Values":
    """An array of MXNet of the kind that the network takes."""
    import mxnet as mx

    return (mx.np if is_numpy_like() else mx.nd).array(values, dtype=dtype)


def parameters_of(block: "Any") -> "dict[str, Any]":  # noqa: ANN401 - mxnet has no type hints
    """Parameters by the structural names that save_parameters uses, which are the only ones in MXNet 2."""
    return dict(getattr(block, "_collect_params_with_prefix", block.collect_params)())


def possible_dtypes(job: "dict[str, Any]", versions: "dict[str, str]") -> "list[str]":
    """The dtypes of the job in which its network can run."""
    possible = getattr(build(job), "dtypes", job["dtypes"])
    found = [dtype for dtype in job["dtypes"] if dtype in possible]
    if not found:
        one = "gluonnlp {gluonnlp}".format(**versions) if "gluonnlp" in versions else "mxnet {mxnet}".format(**versions)
        raise JobError(f"{one} computes this network in {possible[0]} alone: choose `dtype={possible[0]!r}`")
    return found


def run(job: "dict[str, Any]", values: "dict[str, Any]", inputs: "dict[str, Any]", dtype: str) -> "dict[str, Any]":
    """Build the network, set its parameters and run it in one dtype; give every output by name.

    With gradients, give the gradient of every parameter as "gradients/NAME" too.
    """
    import mxnet as mx

    cotangents = {name[len(COTANGENTS) :]: array for name, array in inputs.items() if name.startswith(COTANGENTS)}
    inputs = {name: array for name, array in inputs.items() if not name.startswith(COTANGENTS)}
    network = build(dict(job, dtype=dtype))
    for parameter in parameters_of(network.block).values():
        parameter.grad_req = "write" if job["gradients"] else "null"
    network.block.cast(dtype)
    network.block.initialize(mx.init.Zero())
    if not getattr(network, "settled", False):  # a first run settles the shapes that gluonnlp leaves open
        network.forward({"input_ids": [[0]], "valid_length": [1]}, dtype)
    assign(network, values, dtype)
    kept = keep_outputs(network, attentions=job["attentions"])
    gradients = {}  # type: dict[str, Array]
    if job["gradients"]:
        with mx.autograd.record(train_mode=False):
            heads = forward(network, inputs, dtype)
        gradients = run_backwards(network, kept, heads, cotangents)
    else:
        heads = forward(network, inputs, dtype)
    outputs = as_arrays(network, kept, heads)
    outputs.update(("gradients/" + name, gradients[name]) for name in values if gradients)
    if dtype == "float64" and getattr(network, "replaced_parts", []):
        network.compute_as_is(as_is=True)
        as_is = as_arrays(network, kept, network.forward(inputs, dtype))
        network.compute_as_is(as_is=False)
        outputs.update(("as_is/" + name, array) for name, array in as_is.items())
    return outputs


def forward(network: "Network", inputs: "dict[str, Any]", dtype: str) -> "dict[str, Values]":
    """Run a network once; what it refuses ends the job."""
    try:
        outputs = network.forward(inputs, dtype)  # type: dict[str, Values]
    except getattr(network, "refusals", ()) as error:
        raise JobError(str(error))  # noqa: B904 - the message is complete
    return outputs


def run_backwards(
    network: "Network", kept: "dict[str, Values]", heads: "dict[str, Values]", cotangents: "dict[str, Array]"
) -> "dict[str, Array]":
    """The gradient of every parameter of a recorded run, by structural name; tied names have the same one."""
    import mxnet as mx

    outputs, seeds = [], []
    for name, values in dict(kept, **heads).items():
        cotangent = cotangents[name]
        if is_length_first(network, kept, name):
            cotangent = cotangent.swapaxes(0, 1)
        if values.shape != cotangent.shape:
            raise JobError(f"cotangents/{name} has the shape {cotangent.shape}, the output {values.shape}")
        outputs.append(values)
        seeds.append(new_array(cotangent, values.dtype))
    report("running backwards")
    mx.autograd.backward(outputs, seeds, train_mode=False)
    return {name: parameter.grad().asnumpy() for name, parameter in parameters_of(network.block).items()}


def erf_slope() -> float:
    """MXNet's derivative of erf at 0: 2 / sqrt(pi), from a float32 constant in any dtype."""
    import mxnet as mx

    origin = mx.nd.zeros((1,), dtype="float64")
    origin.attach_grad()
    with mx.autograd.record():
        value = mx.nd.erf(origin)
    value.backward()
    return float(origin.grad.asscalar())


def module_at(path: str) -> "Any":  # noqa: ANN401 - a module
    """Import a module by its path: with PYTHONSAFEPATH set, the folder of this script is not on the search path."""
    import importlib.util

    if path in loaded:
        return loaded[path]
    spec = importlib.util.spec_from_file_location("module", path)
    assert spec is not None and spec.loader is not None  # noqa: PT018 - one condition: the path ends in .py
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    loaded[path] = module
    return module


def build(job: "dict[str, Any]") -> "Network":
    """Build the network of the job's structural names on the CPU, without values."""
    module = module_at(job["network"])
    try:
        return module.Network(job)
    except ValueError as error:
        raise JobError(str(error))  # noqa: B904 - the message is complete


def assign(network: "Network", values: "dict[str, Any]", dtype: str) -> None:
    """Set every parameter once; one error lists all that are missing, unknown, of another shape or not tied."""
    import numpy as np

    parameters = parameters_of(network.block)
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
            parameter.set_data(new_array(value, dtype))
        elif not np.array_equal(value, values[filled[id(parameter)]]):
            problems.append(f"{name}: differs from {filled[id(parameter)]}, with which gluonnlp ties it")
    unfilled = [name for name, parameter in sorted(parameters.items()) if id(parameter) not in filled]
    problems += [f"{name}: not in the file" for name in unfilled]
    if problems:
        raise JobError("the file does not fit the model: " + "; ".join(problems))


def keep_outputs(network: "Network", *, attentions: bool) -> "dict[str, Values]":
    """Hook the blocks of a network; give the dict that its next forward pass fills with NDArrays."""
    kept = {}  # type: dict[str, Values]

    def hook_for(names: "list[str]", index: "int | tuple[int, ...]") -> "Callable[..., None]":
        calls = itertools.cycle(names)

        def hook(_block: object, _inputs: object, output: "Values") -> None:
            name = next(calls)
            for number in index if isinstance(index, tuple) else (index,):
                output = output[number] if isinstance(output, (tuple, list)) else output
            kept[name] = output
            kept[name].wait_to_read()
            report(name)

        return hook

    names = {}  # type: dict[tuple[int, Any], list[str]]
    blocks = {}
    for name, block, index in network.watched(attentions=attentions):
        names.setdefault((id(block), index), []).append(name)
        blocks[id(block)] = block
    for (number, index), of_calls in names.items():
        blocks[number].register_forward_hook(hook_for(of_calls, index))
    return kept


def as_arrays(network: "Network", kept: "dict[str, Values]", heads: "dict[str, Values]") -> "dict[str, Array]":
    """Every output as a NumPy array, the batch in front."""
    arrays = {name: values.asnumpy() for name, values in dict(kept, **heads).items()}
    turned = {name for name in kept if is_length_first(network, kept, name)}
    return {name: array.swapaxes(0, 1) if name in turned else array for name, array in arrays.items()}


def is_length_first(network: "Network", kept: "dict[str, Values]", name: str) -> bool:
    """True of hidden states of the shape (length, batch, hidden_size)."""
    return name in kept and kept[name].ndim == 3 and getattr(network, "length_first", False)  # noqa: PLR2004


if __name__ == "__main__":
    sys.exit(main())
