# ruff: noqa: PLC0415, PTH100, PTH120, PTH123 - a missing framework is told apart; Python 3.6 syntax
"""Run a GluonNLP model on MXNet and keep what it computes: a standalone script for any interpreter that has both.

    python run_mxnet.py JOB.json

It imports nothing of ours and keeps to Python 3.6, so that the environment that alexa/bort pins (mxnet 1.5.0, gluonnlp
0.8.3) runs it too. JOB.json holds:

    family      "bort"
    dims        vocab, units, hidden, layers, positions, and labels for a classifier
    facts       heads, layer_norm_eps, hidden_act: what shapes cannot show
    params      path of the checkpoint, read with mx.nd.load
    names       name in the file -> structural name ("encoder.layer_norm.gamma")
    inputs      path of an .npz: input_ids (batch, length), valid_length (batch,), masked_positions (batch, masked)
    dtypes      any of "float32", "float64"
    attentions  whether to keep the attention probabilities
    output      path of the .npz to write: one array per "DTYPE/OUTPUT", and the versions as JSON under "meta"

Outputs are embeddings and layer.N (batch, length, units; not zeroed beyond the valid length), mlm_logits (batch,
masked, vocab), logits (batch, labels), attention.N (batch, heads, length, length). Progress goes to stderr.

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
    Values: TypeAlias = Any  # an NDArray

MISSING, FAILED = 3, 4
MARK = "run_mxnet: "


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
        raise JobError(f"gluonnlp {gluonnlp.__version__} is installed, expected 0.8.x: others have no such Bort")
    versions = {"mxnet": mx.__version__, "gluonnlp": gluonnlp.__version__, "numpy": np.__version__}
    return dict(versions, python=platform.python_version())


def build(job: "dict[str, Any]") -> "Model":
    """The model that the job's structural names belong to, on the CPU, without values.

    Source: alexa/bort, bort/bort.py: gluonnlp's BERTModel with token types, pooler and next-sentence head off; its
    classifier reads the first token.
    """
    import mxnet as mx
    from gluonnlp.model.bert import BERTEncoder, BERTModel

    if job["family"] != "bort":
        raise JobError(f"family {job['family']!r} has no live reference yet, only 'bort' has one")
    dims, facts, names = job["dims"], job["facts"], sorted(job["names"].values())
    sizes = {"num_layers": dims["layers"], "hidden_size": dims["hidden"], "max_length": dims["positions"]}
    known = {"num_heads": facts["heads"], "activation": facts["hidden_act"], "layer_norm_eps": facts["layer_norm_eps"]}
    fixed = {"attention_cell": "multi_head", "scaled": True, "dropout": 0.1, "use_residual": True}
    encoder = BERTEncoder(units=dims["units"], **sizes, **known, **fixed)
    whole = mx.gluon.Block()
    whole.bort = BERTModel(
        encoder,
        vocab_size=dims["vocab"],
        token_type_vocab_size=None,
        units=dims["units"],
        embed_size=dims["units"],
        embed_dropout=0.1,
        use_pooler=False,
        use_classifier=False,
        use_token_type_embed=False,
        use_decoder=any(name.startswith("decoder.") for name in names),
    )
    if any(name.startswith("bort.") for name in names):
        whole.classifier = classifier(dims, names)
    return whole


def classifier(dims: "dict[str, int]", names: "list[str]") -> "Model":
    """Dense(units, tanh) and Dense(labels): a dropout before each takes a slot, so their numbers tell if there is any.

    Source: alexa/bort, bort/bort.py, BortClassifier.
    """
    from mxnet.gluon import nn

    slots = [int(name.split(".")[1]) for name in names if name.startswith("classifier.") and name.endswith("weight")]
    if slots not in ([0, 1], [1, 3]):
        raise JobError(f"the classifier has weights in the slots {slots}, expected [0, 1] or [1, 3]")
    head = nn.HybridSequential()
    for dense in (nn.Dense(dims["units"], activation="tanh"), nn.Dense(dims["labels"])):
        if slots == [1, 3]:
            head.add(nn.Dropout(0.1))
        head.add(dense)
    return head


def parameters(net: "Model") -> "dict[str, Any]":
    """Every parameter by structural name; a bare Bort's names have no "bort." in front. A tied one comes twice."""
    found = net._collect_params_with_prefix()  # noqa: SLF001 - what save_parameters names them by
    if any(name.startswith("classifier.") for name in found):
        return dict(found)
    return {name[len("bort.") :]: parameter for name, parameter in found.items()}


def assign(net: "Model", values: "dict[str, Any]", dtype: str) -> None:
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

    arrays = mx.nd.load(job["params"])
    names = job["names"]
    if not isinstance(arrays, dict) or set(arrays) != set(names):
        raise JobError(f"{job['params']}: {len(arrays)} arrays, and other names than the {len(names)} of the job")
    return {names[name]: array.asnumpy() for name, array in arrays.items()}


def keep(net: "Model", *, attentions: bool) -> "dict[str, Any]":
    """A dict that a forward pass fills: hooks see what each block gives."""
    kept = {}  # type: dict[str, Any]

    def keeping(name: str, index: int) -> "Callable[..., None]":
        def hook(_block: object, _inputs: object, output: "Values") -> None:
            value = output[index] if isinstance(output, (tuple, list)) else output
            kept[name] = value.asnumpy()
            say(name)

        return hook

    encoder = net.bort.encoder
    encoder.layer_norm.register_forward_hook(keeping("embeddings", 0))
    for number in range(len(encoder.transformer_cells)):
        cell = encoder.transformer_cells[number]
        cell.register_forward_hook(keeping(f"layer.{number}", 0))
        if attentions:
            cell.attention_cell.register_forward_hook(keeping(f"attention.{number}", 1))
    return kept


def run(job: "dict[str, Any]", values: "dict[str, Any]", inputs: "dict[str, Any]", dtype: str) -> "dict[str, Any]":
    """Every output in one dtype, by name."""
    import mxnet as mx

    net = build(job)
    net.collect_params().setattr("grad_req", "null")
    net.cast(dtype)
    net.initialize(mx.init.Zero())

    def forward(ids: "Values", lengths: "Values", masked: "Values") -> "dict[str, Any]":
        decodes = hasattr(net.bort, "decoder")
        arguments = {"masked_positions": mx.nd.array(masked, dtype="int32")} if decodes else {}
        lengths = mx.nd.array(lengths, dtype=dtype)
        output = net.bort(mx.nd.array(ids, dtype="int32"), [], valid_length=lengths, **arguments)
        if decodes:
            return {"mlm_logits": output[1].asnumpy()}
        if hasattr(net, "classifier"):
            return {"logits": net.classifier(output[:, 0]).asnumpy()}
        output.wait_to_read()
        return {}

    forward([[0]], [1], [[0]])  # shapes that gluonnlp leaves open are known after a first pass
    assign(net, values, dtype)
    kept = keep(net, attentions=job["attentions"])
    heads = forward(inputs["input_ids"], inputs["valid_length"], inputs.get("masked_positions"))
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
