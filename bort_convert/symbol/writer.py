"""Write a graph for MXNet: the nodes that its outputs need, under names of ours, in one precision."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from bort_convert.symbol.graph import Graph, Node

_FLOATS: Final = frozenset({"float32", "float64"})


def variable_name(number: int) -> str:
    """The name under which the variable with this number is written."""
    return f"variable{number}"


def graph_text(graph: Graph, dtype: str) -> str:
    """The text of a `-symbol.json` that computes the outputs of a graph in one dtype.

    Names and the attributes that only Gluon reads, such as an initializer, do not come along. Constants and casts to a
    float dtype get `dtype`: a traced graph has the dtype of its trace in them, and would not run in another.

    Args:
        graph: the graph.
        dtype: "float32" or "float64".
    """
    needed = needed_nodes(graph)
    new = {number: position for position, number in enumerate(needed)}
    document = {
        "nodes": [
            {
                "op": node.op,
                "name": variable_name(number) if node.is_variable else f"node{number}",
                "attrs": _attributes(node, dtype),
                "inputs": [[new[source], output, 0] for source, output in node.inputs],
            }
            for number, node in ((number, graph.nodes[number]) for number in needed)
        ],
        "arg_nodes": [new[number] for number in needed if graph.nodes[number].is_variable],
        "heads": [[new[source], output, 0] for source, output in graph.outputs],
        "attrs": {"mxnet_version": ["int", graph.version]},
    }
    return json.dumps(document)


def needed_nodes(graph: Graph) -> list[int]:
    """Numbers of the nodes on which an output depends, in their order."""
    needed = {number for number, _ in graph.outputs}
    for number in range(len(graph.nodes) - 1, -1, -1):
        if number in needed:
            needed |= {source for source, _ in graph.nodes[number].inputs}
    return sorted(needed)


def _attributes(node: Node, dtype: str) -> dict[str, str]:
    """The operator's own attributes; none of a variable, and none that begins with two underscores."""
    if node.is_variable:
        return {}
    own = {name: text for name, text in node.attrs.items() if not name.startswith("__")}
    if own.get("dtype") in _FLOATS:
        own["dtype"] = dtype
    return own
