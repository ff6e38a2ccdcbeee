"""The operators that may run, and those that change the shape or each value of one array alone.

An operator is here because a network of GluonNLP, or a head on one, has it, and because MXNet's own code computes it
from its inputs alone: none calls back to Python, loads a library, reads a file or draws a random number.

Source: apache/mxnet 1.9.1, src/operator.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Final

from bort_convert.errors import FormatError, printable
from bort_convert.symbol.graph import VARIABLE, Graph, Node

if TYPE_CHECKING:
    from collections.abc import Iterator

RESHAPING: Final = frozenset(
    {"Reshape", "reshape", "transpose", "SwapAxis", "swapaxes", "expand_dims", "Flatten", "flatten", "squeeze"}
    | {"SliceChannel", "split", "slice_axis", "slice", "broadcast_axis", "broadcast_axes"}
)
"""Operators on one array that move its values without changing any."""
SAME: Final = frozenset({"Dropout", "_copy", "identity", "BlockGrad", "stop_gradient", "Cast", "cast", "amp_cast"})
"""Operators that leave an array as it is when nothing is trained, but for its dtype."""
BY_SCALAR: Final = frozenset(
    {"_plus_scalar", "_minus_scalar", "_rminus_scalar", "_mul_scalar", "_div_scalar", "_rdiv_scalar", "_power_scalar"}
    | {"_maximum_scalar", "_minimum_scalar"}
)
OF_ONE: Final = frozenset(
    {"erf", "tanh", "sigmoid", "relu", "exp", "log", "sqrt", "rsqrt", "square", "abs", "negative", "Activation"}
    | {"LeakyReLU", "softsign", "reciprocal", "sin", "cos", "clip"}
)
OF_TWO: Final = frozenset(
    {"elemwise_add", "elemwise_sub", "elemwise_mul", "elemwise_div", "_add", "_plus", "_sub", "_minus", "_mul", "_div"}
    | {"broadcast_add", "broadcast_plus", "broadcast_sub", "broadcast_minus", "broadcast_mul", "broadcast_div"}
    | {"_power", "broadcast_power", "_maximum", "_minimum", "broadcast_maximum", "broadcast_minimum"}
)
ACTIVATIONS: Final = SAME | BY_SCALAR | OF_ONE | OF_TWO
"""Operators of which an activation function is made."""
SCORES: Final = frozenset({"batch_dot", "_linalg_gemm2"})
"""Products of two batches of matrices."""
INTERLEAVED: Final = frozenset(
    f"_contrib_interleaved_matmul_{kind}_{part}" for kind in ("selfatt", "encdec") for part in ("qk", "valatt")
)
"""Attention of gluonnlp 0.9 and later: on arrays with the length in front, in float32 alone."""
COMPARISONS: Final = frozenset(
    f"{prefix}{word}{suffix}"
    for word in ("equal", "not_equal", "greater", "greater_equal", "lesser", "lesser_equal")
    for prefix, suffix in (("broadcast_", ""), ("_", ""), ("_", "_scalar"))
)
CREATING: Final = frozenset({"_zeros", "_ones", "_full", "_arange"})
_OTHERS: Final = frozenset(
    {"_contrib_div_sqrt_dim"}
    | {"FullyConnected", "Embedding", "LayerNorm", "BatchNorm", "Convolution", "Pooling", "RNN", "dot", "softmax"}
    | {"log_softmax", "SoftmaxOutput", "SoftmaxActivation", "where", "zeros_like", "ones_like", "shape_array"}
    | {
        "SequenceMask",
        "SequenceLast",
        "SequenceReverse",
        "gather_nd",
        "take",
        "pick",
        "batch_take",
        "one_hot",
        "Concat",
    }
    | {"concat", "stack", "add_n", "ElementWiseSum", "broadcast_like", "reshape_like", "slice_like", "tile", "repeat"}
    | {"reverse", "_contrib_arange_like", "mean", "sum", "sum_axis", "max", "min", "argmax", "norm", "L2Normalization"}
    | {"broadcast_logical_and", "broadcast_logical_or", "logical_not", "smooth_l1"}
)
ALLOWED: Final = (
    RESHAPING | ACTIVATIONS | SCORES | INTERLEAVED | COMPARISONS | CREATING | _OTHERS | frozenset({VARIABLE})
)
MAX_CREATED: Final = 2**24
"""Largest number of values that a node makes out of nothing, and largest factor by which it repeats an array."""
_HALF: Final = frozenset({"float16", "bfloat16"})
_MOST_OUTPUTS: Final = {"RNN": 3, "BatchNorm": 3, "LayerNorm": 3}
_REPEATING: Final = {"tile": "reps", "repeat": "repeats", "broadcast_axis": "size", "broadcast_axes": "size"}


def check_operators(graph: Graph, name: str) -> None:
    """Refuse a graph that must not run, or that no reference can be: the message names the first such node.

    Args:
        graph: the graph.
        name: of its file, for the message.

    Raises:
        FormatError: an operator is not known or draws random numbers, computes in half precision, takes an output that
            there is not, or makes too large an array.
    """
    for number, node in enumerate(graph.nodes):
        if problem := next(_problems(graph, node), ""):
            place = f"node {number} ({printable(node.op, 60)} '{printable(node.name, 80)}')"
            raise FormatError(f"{name}: {place} {problem}")
    for source, output in graph.outputs:
        if output >= _outputs_of(graph.nodes[source]):
            raise FormatError(f"{name}: the heads take output {output} of node {source}, which has no such")


def _problems(graph: Graph, node: Node) -> Iterator[str]:
    if node.op not in ALLOWED:
        yield "is not among the operators that are run: only MXNet's own that a network of GluonNLP has are"
    for source, output in node.inputs:
        if output >= _outputs_of(graph.nodes[source]):
            yield f"takes output {output} of node {source}, which has no such"
    if node.op == "Dropout" and node.attrs.get("mode", "training") != "training":
        yield "drops values in every run, so that no two runs agree"
    if node.attrs.get("dtype") in _HALF:
        yield f"computes in {node.attrs['dtype']}; expected a graph of float32"
    created = prod(size or 0 for size in node.numbers("shape") or (0,)) if node.op in CREATING else 0
    if node.op == "_arange":
        span = (node.number("stop") or 0.0) - (node.number("start") or 0.0)
        created = max(
            created, int(min(abs(span / (node.number("step") or 1.0)), 2.0**60)) * (node.whole("repeat") or 1)
        )
    factor = prod(size or 1 for size in node.numbers(_REPEATING.get(node.op, "")) or ())
    if max(created, factor) > MAX_CREATED:
        yield f"makes {max(created, factor):,} values, expected at most {MAX_CREATED:,}"


def _outputs_of(node: Node) -> int:
    if node.op in {"SliceChannel", "split"}:
        return node.whole("num_outputs") or 1
    return _MOST_OUTPUTS.get(node.op, 1)
