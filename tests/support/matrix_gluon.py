"""The MXNet side of the matrix, in a process of its own: `python matrix_gluon.py [FOLDER_WITH_ANOTHER_GLUONNLP]`.

It reads JSON lines and answers each with one: {"answer": ...}, or {"error": the traceback}. `do` names one of the
functions below JOBS, which the other keys are the arguments of. The first line that it writes is gluonnlp's version.
"""

from __future__ import annotations

import json
import sys
import traceback
from pathlib import Path
from typing import Any

import numpy as np

np.bool = bool  # mxnet 1.9.1 asks for it; numpy 1.24 removed it
sys.path[1:1] = sys.argv[1:]
import matrix_vocabularies as vocabularies  # noqa: E402
import mxnet as mx  # noqa: E402
from matrix_bert import BertNetwork  # noqa: E402
from matrix_gpt2 import GPT2Network  # noqa: E402
from matrix_shapes import Array, Batch, Outputs, Shape  # noqa: E402
from matrix_xlnet import XLNetNetwork  # noqa: E402

STRUCTURAL, PREFIXED = "structural", "prefixed"


def write(
    *, shape: dict[str, Any], naming: str, dtype: str, seed: int, path: str, inputs: str, texts: dict[str, Any] | None
) -> None:
    """Make a model with random values, save it, and keep what it computes with the ids of `inputs` and with texts.

    Args:
        shape: see Shape.
        naming: see `save`.
        dtype: of the file, see `round_values`; the model computes in float32, with the values of the file.
        seed: of the values.
        path: the `.params` file; the outputs come to stand beside it as `.npz`.
        inputs: an .npz with a batch called "ids".
        texts: the keyword arguments of `vocabularies.batch_of`, for a second batch, "texts".
    """
    network = build(Shape(**shape))
    randomize(network.block, np.random.RandomState(seed))
    round_values(network.block, dtype, np.random.RandomState(seed))
    save(network.block, path, naming)
    for parameter in parameters(network.block).values():
        parameter.cast("float32")
    with np.load(inputs) as stored:
        batches = {"ids": Batch.load(dict(stored), "ids")}
    if texts:
        batches["texts"] = vocabularies.batch_of(**texts)
    keep(network, batches, path)


def load(*, shape: dict[str, Any], naming: str, path: str, inputs: str) -> None:
    """Load a file into a model that is as a new process would make it, and keep what it computes as `.npz` beside it.

    Loading is strict: no parameter may be missing and none left over.
    """
    with mx.name.NameManager():
        network = build(Shape(**shape))
    if naming == PREFIXED:
        network.block.collect_params().load(path, ctx=mx.cpu())
    else:
        network.block.load_parameters(path, cast_dtype=True)
    with np.load(inputs) as stored:
        keep(network, {"ids": Batch.load(dict(stored), "ids")}, path)


def vocabulary(*, kind: str, order: str, seed: int, target: str) -> dict[str, Any]:
    """Write a vocabulary; see `vocabularies.write`."""
    return vocabularies.write(kind, order, seed, Path(target))


def ids(*, texts: list[str], kind: str, path: str, lower: bool) -> list[list[int]]:
    """The ids of each text."""
    return [vocabularies.encoded(text, kind, path, lower=lower) for text in texts]


JOBS = {"write": write, "load": load, "vocabulary": vocabulary, "ids": ids}


def build(shape: Shape) -> Any:  # noqa: ANN401 - a network
    """A network whose parameters are initialised and have their shapes."""
    network = {"gpt2": GPT2Network, "xlnet": XLNetNetwork}.get(shape.family, BertNetwork)(shape)
    network.block.initialize(mx.init.Normal(0.1))
    network.settle()
    return network


def parameters(block: Any) -> dict[str, Any]:  # noqa: ANN401 - an MXNet block
    """Each parameter once, by its first structural name; constants are left out."""
    unique: dict[str, Any] = {}
    for name, parameter in sorted(block._collect_params_with_prefix().items()):  # noqa: SLF001 - what save_parameters uses
        if not isinstance(parameter, mx.gluon.Constant) and all(parameter is not other for other in unique.values()):
            unique[name] = parameter
    return unique


def randomize(block: Any, rng: np.random.RandomState) -> None:  # noqa: ANN401
    """Give every parameter values of a trained model's scale; one LayerNorm weight of each norm stands far out."""
    for name, parameter in parameters(block).items():
        parameter.set_data(mx.nd.array(trained_values(name, parameter.shape, rng)))


def trained_values(name: str, shape: tuple[int, ...], rng: np.random.RandomState) -> Array:
    """Random values of a parameter, float32."""
    if name.endswith("gamma"):
        values = rng.uniform(0.6, 1.1, shape)
        values[rng.randint(values.size)] = 3.5
    elif name.endswith("beta"):
        values = rng.normal(0, 0.2, shape)
    elif "embed" in name or "position" in name:
        values = rng.normal(0, 0.06, shape)
    elif len(shape) == 1 or name.endswith(("_bias", "seg_emb")):
        values = rng.normal(0, 0.3, shape)
    else:
        values = rng.normal(0, 1.2 / np.sqrt(shape[-1]), shape)
    return values.astype("float32")


def round_values(block: Any, dtype: str, rng: np.random.RandomState) -> None:  # noqa: ANN401
    """Cast the parameters; "norms" leaves the LayerNorms in float32 and the rest in float16, "any" takes either."""
    for name, parameter in parameters(block).items():
        half = {"norms": not name.endswith(("gamma", "beta")), "any": rng.rand() < 0.5}.get(dtype)
        if half is not None:
            parameter.cast("float16" if half else "float32")
        elif dtype != "float32":
            parameter.cast(dtype)


def save(block: Any, path: str, naming: str) -> None:  # noqa: ANN401
    """Save a block under one of the naming schemes that GluonNLP's files have."""
    structural = {name: each.data() for name, each in block._collect_params_with_prefix().items()}  # noqa: SLF001
    prefixed = {name: each.data() for name, each in block.collect_params().items()}
    if naming == STRUCTURAL:
        block.save_parameters(path)
    elif naming == "deduplicated":
        block.save_parameters(path, deduplicate=True)
    elif naming == PREFIXED:
        block.collect_params().save(path)
    elif naming == "unprefixed":
        block.collect_params().save(path, strip_prefix=block.prefix)
    else:
        arrays = {"arg_structural": structural, "arg_prefixed": prefixed}[naming]
        mx.nd.save(path, {f"arg:{name}": values for name, values in arrays.items()})


def keep(network: Any, batches: dict[str, Batch], path: str) -> None:  # noqa: ANN401
    """Write the batches and what the network computes with each, as `BATCH/NAME`, beside `path`."""
    arrays: Outputs = {}
    for name, batch in batches.items():
        outputs = network.run(batch)
        arrays |= batch.arrays(name) | {f"{name}/{key}": values for key, values in outputs.items()}
    np.savez(Path(path).with_suffix(".npz"), **arrays)


def serve() -> None:
    """Answer each line; what libraries print must not stand among the answers."""
    answers, sys.stdout = sys.stdout, sys.stderr
    print(json.dumps(vocabularies.nlp.__version__), file=answers, flush=True)
    for line in sys.stdin:
        question = json.loads(line)
        try:
            answer = {"answer": JOBS[question.pop("do")](**question)}
        except Exception:  # noqa: BLE001 - the traceback is the answer
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    serve()
