# ruff: noqa: PLC0415 - mxnet is there when a model is built; Python 3.6 syntax
"""An exported network: a graph that was checked and written anew before it came here, with the checkpoint's values.

Source: apache/mxnet 1.9.1, python/mxnet/_ctypes/ndarray.py, CachedOp, by which a hybridized block runs.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

MOST_VALUES = 2**30
"""The largest array that a graph may make."""
PER_TOKEN = ("mlm_logits", "lm_logits")
"""Outputs that a network may give at every position, of which a trace has some."""


def load_frameworks(_folder: "str | None") -> "dict[str, str]":
    """Import mxnet, which suffices; give the versions."""
    import numpy as np

    if "bool" not in vars(np):
        np.bool = bool  # type: ignore[attr-defined,unused-ignore] # mxnet 1.9.1 needs it
    import mxnet as mx

    return {"mxnet": mx.__version__, "numpy": np.__version__}


class GraphError(Exception):
    """The graph does not run on the inputs; the message says why."""


class Network:
    """The graph of the job; its parameters are those of the job's structural names."""

    refusals = (GraphError,)

    def __init__(self, job: "dict[str, Any]") -> None:
        import mxnet as mx
        from mxnet.gluon import nn

        self.graph = graph = job["graph"]
        self.length_first, self.settled = graph["length_first"], True
        self.dtypes = ["float32"] if self.length_first else ["float32", "float64"]
        self.block = mx.gluon.Block()
        for name, shape in graph["shapes"].items():
            if name not in graph["aliases"]:
                setattr(self.block, name, self.block.params.get(name, shape=tuple(shape)))
        for name, original in graph["aliases"].items():
            if name in graph["shapes"]:
                setattr(self.block, name, getattr(self.block, original))
        # Blocks that do nothing, for hooks on values that are the output of no block.
        self.probes = {name: nn.Lambda(lambda values: values) for name in graph["outputs"]}

    def watched(self, *, attentions: bool) -> "list[tuple[str, Any, int]]":
        """Embeddings and layers, which have a name with a dot or one of these; a graph shows no attentions."""
        assert not attentions
        return [(name, block, 0) for name, block in self.probes.items() if not self.is_head(name)]

    @staticmethod
    def is_head(name: str) -> bool:
        """True of an output behind the layers."""
        return "." not in name and name not in ("embeddings", "final_norm")

    def forward(self, inputs: "dict[str, Any]", dtype: str) -> "dict[str, Any]":
        """Run the graph once; give the heads' outputs, those of a language model at the masked positions."""
        import mxnet as mx

        symbol = mx.sym.load_json(self.graph["texts"][dtype])
        values = {}
        for variable in symbol.list_inputs():
            name = self.graph["variables"][variable]
            if name in self.graph["inputs"]:
                values[variable] = mx.nd.array(inputs[name], dtype=dtype)
            else:
                values[variable] = getattr(self.block, name).data()
        try:
            self.check_sizes(symbol, values)
            found = mx.nd.CachedOp(symbol)(*[values[variable] for variable in symbol.list_inputs()])
            found = found if isinstance(found, (list, tuple)) else [found]
            for array in found:
                array.wait_to_read()
        except mx.MXNetError as error:
            shape = "x".join(map(str, inputs["input_ids"].shape))
            reason = str(error).strip().split("\n")[-1][:300]
            raise GraphError(f"the exported network does not run on inputs of {shape} in {dtype}: {reason}")  # noqa: B904 - the message is complete
        outputs = {}
        for name, array in zip(self.graph["outputs"], found):  # noqa: B905 - Python 3.6
            seen = self.probes[name](array)
            if self.is_head(name):
                outputs[name] = picked(seen, inputs) if self.gives_all(name) else seen
        return outputs

    def gives_all(self, name: str) -> bool:
        """True of the logits of a language model that has no input for the positions to give them at."""
        return name in PER_TOKEN and "masked_positions" not in self.graph["inputs"]

    @staticmethod
    def check_sizes(symbol: "Any", values: "dict[str, Any]") -> None:  # noqa: ANN401 - mxnet has no type hints
        """Refuse a graph that makes an array of more than `MOST_VALUES`, before any is made."""
        import numpy as np

        shapes = {variable: array.shape for variable, array in values.items()}
        _, found, _ = symbol.get_internals().infer_shape(**shapes)
        largest = max((int(np.prod(shape, dtype="float64")) for shape in found or ()), default=0)
        if largest > MOST_VALUES:
            raise GraphError(f"the exported network makes an array of {largest} values, expected at most {MOST_VALUES}")


def picked(values: "Any", inputs: "dict[str, Any]") -> "Any":  # noqa: ANN401 - mxnet has no type hints
    """Logits (batch, length, vocab_size) at the masked positions: (batch, masked, vocab_size)."""
    import mxnet as mx
    import numpy as np

    read = np.asarray(inputs["masked_positions"])
    indices = np.stack([np.broadcast_to(np.arange(len(read))[:, None], read.shape), read])
    return mx.nd.gather_nd(values, mx.nd.array(indices, dtype="int32"))
