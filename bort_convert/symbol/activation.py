"""Name the activation between two nodes by its values: releases spell GELU in many ways, which all compute the same."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from bort_convert.symbol.operators import BY_SCALAR, OF_ONE, OF_TWO, SAME

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bort_convert.symbol.graph import Graph, Node

    Function = Callable[[float], float]

LINEAR: Final = "linear"
UNKNOWN: Final = "unknown"
MOST_NODES: Final = 64
"""Nodes of an activation; GELU has ten."""
_SQRT_2: Final = math.sqrt(2)
KNOWN: Final[Mapping[str, Function]] = {
    LINEAR: lambda x: x,
    "gelu": lambda x: 0.5 * x * (1 + math.erf(x / _SQRT_2)),
    "gelu_new": lambda x: 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "relu": lambda x: 0.0 if x < 0 else x,
    "tanh": math.tanh,
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
}
"""Name of an activation, as target configs have it -> the function."""
_POINTS: Final = (-4.5, -2.6, -1.7, -0.9, -0.3, 0.0, 0.2, 0.8, 1.4, 2.2, 2.7, 4.0)
_TOLERANCE: Final = 2e-5
"""Of a constant that was written with six digits; the two GELUs are 4e-4 apart."""
_BY_SCALAR: Final[Mapping[str, Callable[[float, float], float]]] = {
    "_plus_scalar": lambda x, s: x + s,
    "_minus_scalar": lambda x, s: x - s,
    "_rminus_scalar": lambda x, s: s - x,
    "_mul_scalar": lambda x, s: x * s,
    "_div_scalar": lambda x, s: x / s,
    "_rdiv_scalar": lambda x, s: s / x,
    "_power_scalar": math.pow,
    "_maximum_scalar": max,
    "_minimum_scalar": min,
}
_OF_TWO: Final[Mapping[str, Callable[[float, float], float]]] = {
    "add": lambda x, y: x + y,
    "plus": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "minus": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
    "power": math.pow,
    "maximum": max,
    "minimum": min,
}
_OF_ONE: Final[Mapping[str, Function]] = {
    "erf": math.erf,
    "tanh": math.tanh,
    "sigmoid": KNOWN["sigmoid"],
    "relu": KNOWN["relu"],
    "gelu": KNOWN["gelu"],
    "softrelu": lambda x: math.log1p(math.exp(x)),
    "softsign": lambda x: x / (1 + abs(x)),
    "exp": math.exp,
    "log": math.log,
    "sqrt": math.sqrt,
    "rsqrt": lambda x: 1 / math.sqrt(x),
    "reciprocal": lambda x: 1 / x,
    "square": lambda x: x * x,
    "abs": abs,
    "negative": lambda x: -x,
    "sin": math.sin,
    "cos": math.cos,
}


def activation_before(graph: Graph, number: int) -> tuple[int, str] | None:
    """The dense layer from whose output alone a node takes its values, and the activation between the two.

    Args:
        graph: the graph.
        number: of the node; its first input counts.

    Returns:
        Number of the dense layer and name of the activation, `LINEAR` for none and `UNKNOWN` for one that `KNOWN` has
        not. None where the values come from anything else.
    """
    nodes, (start, _), between, leaves = graph.nodes, graph.nodes[number].inputs[0], set[int](), set[int]()
    waiting = [start]
    while waiting and len(between) <= MOST_NODES:
        source = waiting.pop()
        if nodes[source].op in SAME | BY_SCALAR | OF_ONE | OF_TWO:
            if source not in between:
                between.add(source)
                waiting += [other for other, _ in nodes[source].inputs]
        else:
            leaves.add(source)
    if waiting or len(leaves) != 1 or nodes[dense := leaves.pop()].op != "FullyConnected":
        return None
    order = sorted(between)
    return dense, next(
        (name for name, function in KNOWN.items() if _is_same(graph, order, dense, start, function)), UNKNOWN
    )


def _is_same(graph: Graph, order: list[int], dense: int, end: int, function: Function) -> bool:
    """True if the nodes compute a function of the dense layer's output."""
    for point in _POINTS:
        values = {dense: point}
        try:
            for number in order:
                node = graph.nodes[number]
                values[number] = _value(node, [values[source] for source, _ in node.inputs])
        except (ArithmeticError, ValueError, KeyError, IndexError, TypeError):
            return False
        if not abs(values[end] - function(point)) <= _TOLERANCE:
            return False
    return True


def _value(node: Node, inputs: list[float]) -> float:
    """The value that an operator gives for single values."""
    if node.op in SAME:
        return inputs[0]
    if node.op in BY_SCALAR:
        return _BY_SCALAR[node.op](inputs[0], float(node.attrs["scalar"]))
    if node.op in OF_TWO:
        return _OF_TWO[node.op.rpartition("_")[2]](inputs[0], inputs[1])
    if node.op == "clip":
        return min(max(inputs[0], float(node.attrs["a_min"])), float(node.attrs["a_max"]))
    name = node.attrs["act_type"] if node.op in {"Activation", "LeakyReLU"} else node.op
    return _OF_ONE[name](inputs[0])
