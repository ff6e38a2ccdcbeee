# ruff: noqa: PLC0415, PTH100, PTH112, PTH118, PTH120, PTH123 - a missing framework is told apart; Python 3.6 syntax
"""Run a GluonNLP model on MXNet and keep what it computes: a standalone script for any interpreter that has both.

    python run_mxnet.py JOB.json

It imports nothing of ours and keeps to Python 3.6, so that the environment that alexa/bort pins (mxnet 1.5.0, gluonnlp
0.8.3) runs it too. JOB.json holds:

    family      what gluonnlp calls it
    original    path of the file that builds its network; see originals/__init__.py
    dims        vocab, units, hidden, layers, positions; types where there are segments, labels for a classifier
    hyperparameters       heads, layer_norm_eps, hidden_act: what shapes cannot show
    params      path of the checkpoint, read with mx.nd.load
    names       name in the file -> structural name ("encoder.layer_norm.gamma")
    inputs      path of an .npz with the inputs of a trace (see trace.py)
    dtypes      any of "float32", "float64"; those that the network cannot be run in are left out if another is there
    gluonnlp    path of a folder with another release of gluonnlp, null for the interpreter's own
    attentions  whether to keep the attention probabilities
    output      path of the .npz to write: one array per "DTYPE/OUTPUT", and the versions as JSON under "meta"

Outputs are those of a trace, but attention.N is (batch, heads, length, length). Progress goes to stderr.

Exit status: 0 done, 3 a framework is missing, 4 the job cannot be done; the last line of stderr says why.
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
MARK = "run_mxnet: "
RELEASES = ("0.8.", "0.9.", "0.10.")


class JobError(Exception):
    """The job asks for what cannot be done; the message says which part."""


def say(text: str) -> None:
    """One line of progress."""
    sys.stderr.write(MARK + text + "\n")
    sys.stderr.flush()


def hide_own_directory() -> None:
    """Take this directory off the search path, where a script's comes first: trace.py would hide Python's own."""
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [place for place in sys.path if os.path.abspath(place) != here]


def load_frameworks(place: "str | None") -> "dict[str, str]":
    """Import what the run needs, gluonnlp from this folder if there is one, and give the versions."""
    import numpy as np

    if "bool" not in vars(np):
        np.bool = bool  # type: ignore[attr-defined,unused-ignore] # mxnet 1.9.1 asks for it
    if place is not None:
        if not os.path.isdir(os.path.join(place, "gluonnlp")):
            raise JobError(f"{place}: holds no gluonnlp; expected what `pip install --target` makes")
        sys.path.insert(0, place)
    import gluonnlp
    import mxnet as mx

    if not gluonnlp.__version__.startswith(RELEASES):
        known = ", ".join(release + "x" for release in RELEASES)
        raise JobError(f"gluonnlp {gluonnlp.__version__} is there, expected {known}: others build other models")
    versions = {"mxnet": mx.__version__, "gluonnlp": gluonnlp.__version__, "numpy": np.__version__}
    return dict(versions, python=platform.python_version())


def build(job: "dict[str, Any]") -> "Network":
    """The network that the job's structural names belong to, on the CPU, without values."""
    import importlib.util

    place = importlib.util.spec_from_file_location("network", job["network"])
    assert place is not None and place.loader is not None  # noqa: PT018 - one thing: the path ends in .py
    module = importlib.util.module_from_spec(place)
    place.loader.exec_module(module)
    try:
        return module.Network(job)
    except ValueError as error:
        raise JobError(str(error))  # noqa: B904 - the message says it all


def assign(network: "Network", values: "dict[str, Any]", dtype: str) -> None:
    """Set every parameter once; all that is missing, extra, of another shape or untied is one error."""
    import mxnet as mx
    import numpy as np

    slots = network.block._collect_params_with_prefix()  # noqa: SLF001 - what save_parameters names them by
    problems = []
    filled = {}  # type: dict[int, str]
    for name in sorted(values):
        slot, value = slots.get(name), values[name]
        if slot is None:
            problems.append(f"{name}: the model has no such parameter")
        elif tuple(slot.shape) != value.shape:
            problems.append(f"{name}: shape {value.shape}, expected {tuple(slot.shape)} by gluonnlp")
        elif id(slot) not in filled:
            filled[id(slot)] = name
            slot.set_data(mx.nd.array(value, dtype=dtype))
        elif not np.array_equal(value, values[filled[id(slot)]]):
            problems.append(f"{name}: differs from {filled[id(slot)]}, with which gluonnlp ties it")
    problems += [f"{name}: not in the file" for name, slot in sorted(slots.items()) if id(slot) not in filled]
    if problems:
        raise JobError("the file does not fit the model: " + "; ".join(problems))


def read_values(job: "dict[str, Any]") -> "dict[str, Any]":
    """The checkpoint's arrays by structural name, as NumPy arrays of the dtypes in the file."""
    import mxnet as mx

    arrays, names = mx.nd.load(job["params"]), job["names"]
    if not isinstance(arrays, dict) or set(arrays) != set(names):
        raise JobError(f"{job['params']}: {len(arrays)} arrays, and other names than the {len(names)} of the job")
    return {names[name]: array.asnumpy() for name, array in arrays.items()}


def keep(network: "Network", *, attentions: bool) -> "dict[str, Any]":
    """A dict that a forward pass fills: hooks see what each block gives."""
    kept = {}  # type: dict[str, Any]
    length_first = getattr(network, "length_first", False)

    def keeping(name: str, index: int) -> "Callable[..., None]":
        def hook(_block: object, _inputs: object, output: "Values") -> None:
            value = output[index] if isinstance(output, (tuple, list)) else output
            array = value.asnumpy()
            kept[name] = array.swapaxes(0, 1) if array.ndim == 3 and length_first else array  # noqa: PLR2004
            say(name)

        return hook

    for name, block, index in network.watched(attentions=attentions):
        block.register_forward_hook(keeping(name, index))
    return kept


def run(job: "dict[str, Any]", values: "dict[str, Any]", inputs: "dict[str, Any]", dtype: str) -> "dict[str, Any]":
    """Every output in one dtype, by name."""
    import mxnet as mx

    network = build(job)
    network.block.collect_params().setattr("grad_req", "null")
    network.block.cast(dtype)
    network.block.initialize(mx.init.Zero())
    network.forward({"input_ids": [[0]], "valid_length": [1]}, dtype)  # settles the shapes that gluonnlp leaves open
    assign(network, values, dtype)
    kept = keep(network, attentions=job["attentions"])
    heads = network.forward(inputs, dtype)
    return dict(kept, **{name: array.asnumpy() for name, array in heads.items()})


def runnable(job: "dict[str, Any]", release: str) -> "list[str]":
    """The dtypes of the job that its network can be run in."""
    has = getattr(build(job), "dtypes", job["dtypes"])
    found = [dtype for dtype in job["dtypes"] if dtype in has]
    if not found:
        raise JobError(f"gluonnlp {release} computes this network in {has[0]} alone: pass --dtype {has[0]}")
    return found


def main() -> int:
    """Do the job that the command line names; give the exit status."""
    hide_own_directory()
    warnings.filterwarnings("ignore")
    with open(sys.argv[1]) as file:
        job = json.load(file)
    try:
        versions = load_frameworks(job["gluonnlp"])
        import numpy as np

        say("mxnet {mxnet}, gluonnlp {gluonnlp}, numpy {numpy}, Python {python}".format(**versions))
        with np.load(job["inputs"], allow_pickle=False) as stored:
            inputs = {name: stored[name] for name in stored.files}
        values = read_values(job)
        outputs = {"meta": np.array(json.dumps(versions))}
        for dtype in runnable(job, versions["gluonnlp"]):
            start = time.time()
            say(f"running in {dtype}")
            outputs.update((f"{dtype}/{name}", array) for name, array in run(job, values, inputs, dtype).items())
            say(f"ran in {dtype} in {time.time() - start:.1f} s")
        np.savez(job["output"], **outputs)
    except (ImportError, JobError) as error:
        say(str(error))
        return MISSING if isinstance(error, ImportError) else FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main())
