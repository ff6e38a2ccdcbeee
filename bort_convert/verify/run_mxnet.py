# ruff: noqa: PLC0415, PTH100, PTH120, PTH123 - a missing framework is told apart; Python 3.6 syntax
"""Run a GluonNLP model on MXNet and keep what it computes: a standalone script for any interpreter that has both.

    python run_mxnet.py JOB.json

It imports nothing of ours and keeps to Python 3.6, so that the environment that alexa/bort pins (mxnet 1.5.0, gluonnlp
0.8.3) runs it too. JOB.json holds:

    family      one of FAMILIES
    dims        vocab, units, hidden, layers, positions; types where there are segments, labels for a classifier
    facts       heads, layer_norm_eps, hidden_act: what shapes cannot show
    params      path of the checkpoint, read with mx.nd.load
    names       name in the file -> structural name ("encoder.layer_norm.gamma")
    inputs      path of an .npz with the inputs of a trace (see trace.py)
    dtypes      any of "float32", "float64"
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

    Model: TypeAlias = Any  # a Block; mxnet has no type hints
    Net: TypeAlias = "dict[str, Model]"  # the model, behind it a head if there is one, and the whole of both
    Values: TypeAlias = Any  # an NDArray

MISSING, FAILED = 3, 4
MARK = "run_mxnet: "
FAMILIES = ("bert", "bort", "roberta")
BEHIND = {"pooler": "pooled", "classifier": "next_sentence", "decoder": "mlm_logits"}  # in gluonnlp's order


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


def load_frameworks() -> "dict[str, str]":
    """Import what the run needs, and give the versions."""
    import numpy as np

    if "bool" not in vars(np):
        np.bool = bool  # type: ignore[attr-defined,unused-ignore] # mxnet 1.9.1 asks for it
    import gluonnlp
    import mxnet as mx

    if not gluonnlp.__version__.startswith("0.8."):
        raise JobError(f"gluonnlp {gluonnlp.__version__} is installed, expected 0.8.x: others build other models")
    versions = {"mxnet": mx.__version__, "gluonnlp": gluonnlp.__version__, "numpy": np.__version__}
    return dict(versions, python=platform.python_version())


def build(job: "dict[str, Any]") -> "Net":
    """The model that the job's structural names belong to, on the CPU, without values; the names say what it has.

    Source: dmlc/gluon-nlp v0.8.3, model/bert.py; alexa/bort, bort/bort.py, which leaves some of it out.
    """
    import mxnet as mx
    from gluonnlp.model.bert import BERTEncoder, BERTModel

    if job["family"] not in FAMILIES:
        raise JobError(f"family {job['family']!r} has no live reference yet, only {' and '.join(FAMILIES)} have one")
    dims, facts, names, child = job["dims"], job["facts"], sorted(job["names"].values()), job["family"] + "."
    prefix = child if any(name.startswith(child) for name in names) else ""
    outside = [name for name in names if not name.startswith(prefix)]
    parts = {name[len(prefix) :].split(".")[0] for name in names if name.startswith(prefix)}
    sizes = {"num_layers": dims["layers"], "hidden_size": dims["hidden"], "max_length": dims["positions"]}
    known = {"num_heads": facts["heads"], "activation": facts["hidden_act"], "layer_norm_eps": facts["layer_norm_eps"]}
    fixed = {"attention_cell": "multi_head", "scaled": True, "dropout": 0.1, "use_residual": True}
    encoder = BERTEncoder(units=dims["units"], **sizes, **known, **fixed)
    tables = {"vocab_size": dims["vocab"], "token_type_vocab_size": dims.get("types"), "embed_dropout": 0.1}
    uses = {"use_" + part: part in parts for part in ("token_type_embed", *BEHIND)}
    net = {"model": BERTModel(encoder, units=dims["units"], embed_size=dims["units"], **tables, **uses)}
    net["whole"] = mx.gluon.Block()
    setattr(net["whole"], job["family"], net["model"])
    if outside:
        net["head"] = build_head(outside, dims)
        setattr(net["whole"], outside[0].split(".")[0], net["head"])
    return net


def build_head(names: "list[str]", dims: "dict[str, int]") -> "Model":
    """What a fine-tuned model has behind its encoder: a dropout takes a slot, so the numbers tell if there is any.

    Source: dmlc/gluon-nlp v0.8.3, scripts/bert/model; alexa/bort, bort/bort.py, BortClassifier, which has two layers.
    """
    from mxnet.gluon import nn

    if names[0].startswith("span_classifier."):
        return nn.Dense(2, flatten=False)
    slots = [int(name.split(".")[1]) for name in names if name.endswith("weight")]
    if slots not in ([0], [1], [0, 1], [1, 3]):
        raise JobError(f"the classifier has weights in the slots {slots}, expected [0], [1], [0, 1] or [1, 3]")
    layers = nn.HybridSequential()
    for dense in [nn.Dense(dims["units"], activation="tanh")] * (len(slots) - 1) + [nn.Dense(dims["labels"])]:
        layers.add(*([nn.Dropout(0.1)] * slots[0]), dense)
    return layers


def parameters(net: "Net") -> "dict[str, Any]":
    """Every parameter by structural name, without "bort." in front if all would have it. A tied one comes twice."""
    found = net["whole"]._collect_params_with_prefix()  # noqa: SLF001 - what save_parameters names them by
    return {name if "head" in net else name.split(".", 1)[1]: found[name] for name in found}


def assign(net: "Net", values: "dict[str, Any]", dtype: str) -> None:
    """Set every parameter once; all that is missing, extra, of another shape or untied is one error."""
    import mxnet as mx
    import numpy as np

    slots = parameters(net)
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


def keep(net: "Net", *, attentions: bool) -> "dict[str, Any]":
    """A dict that a forward pass fills: hooks see what each block gives."""
    kept = {}  # type: dict[str, Any]

    def keeping(name: str, index: int) -> "Callable[..., None]":
        def hook(_block: object, _inputs: object, output: "Values") -> None:
            value = output[index] if isinstance(output, (tuple, list)) else output
            kept[name] = value.asnumpy()
            say(name)

        return hook

    encoder = net["model"].encoder
    encoder.layer_norm.register_forward_hook(keeping("embeddings", 0))
    for number in range(len(encoder.transformer_cells)):
        cell = encoder.transformer_cells[number]
        cell.register_forward_hook(keeping(f"layer.{number}", 0))
        if attentions:
            cell.attention_cell.register_forward_hook(keeping(f"attention.{number}", 1))
    return kept


def forward(net: "Net", inputs: "dict[str, Any]", dtype: str) -> "dict[str, Any]":
    """Run the model once; what stands behind the encoder gives its output by name."""
    import mxnet as mx
    import numpy as np

    model, ids = net["model"], inputs["input_ids"]
    given = {"token_types": np.zeros_like(ids), "masked_positions": np.zeros((len(ids), 1)), **inputs}
    arrays = {name: mx.nd.array(values, dtype="int32") for name, values in given.items()}
    types = arrays["token_types"] if hasattr(model, "token_type_embed") else []
    masked = arrays["masked_positions"] if hasattr(model, "decoder") else None
    found = model(arrays["input_ids"], types, arrays["valid_length"].astype(dtype), masked)
    last, *rest = found if isinstance(found, tuple) else [found]
    outputs = dict(zip((name for part, name in BEHIND.items() if hasattr(model, part)), rest))  # noqa: B905 - Python 3.6
    if "head" in net:
        spans = hasattr(net["whole"], "span_classifier")
        outputs["span_logits" if spans else "logits"] = net["head"](
            last if spans else outputs.get("pooled", last[:, 0])
        )
    return {name: values.asnumpy() for name, values in outputs.items()}


def run(job: "dict[str, Any]", values: "dict[str, Any]", inputs: "dict[str, Any]", dtype: str) -> "dict[str, Any]":
    """Every output in one dtype, by name."""
    import mxnet as mx

    net = build(job)
    net["whole"].collect_params().setattr("grad_req", "null")
    net["whole"].cast(dtype)
    net["whole"].initialize(mx.init.Zero())
    forward(net, {"input_ids": [[0]], "valid_length": [1]}, dtype)  # shapes that gluonnlp leaves open are known then
    assign(net, values, dtype)
    kept = keep(net, attentions=job["attentions"])
    heads = forward(net, inputs, dtype)
    return dict(kept, **heads)


def main() -> int:
    """Do the job that the command line names; give the exit status."""
    hide_own_directory()
    warnings.filterwarnings("ignore")
    with open(sys.argv[1]) as file:
        job = json.load(file)
    try:
        versions = load_frameworks()
        import numpy as np

        say("mxnet {mxnet}, gluonnlp {gluonnlp}, numpy {numpy}, Python {python}".format(**versions))
        with np.load(job["inputs"], allow_pickle=False) as stored:
            inputs = {name: stored[name] for name in stored.files}
        values = read_values(job)
        outputs = {"meta": np.array(json.dumps(versions))}
        for dtype in job["dtypes"]:
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
