from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from bort_convert.symbol import Graph, Node, read_graph
from bort_convert.symbol.heads import attention_heads, reshaped

if TYPE_CHECKING:
    from pathlib import Path

RESHAPES = [
    ((2, 3, 4), (4, 0, 2)),
    ((2, 3, 4), (6, 1, -1)),
    ((2, 3, 4), (-1,)),
    ((2, 3, 4), (3, -1, 8)),
    ((2, 3, 4), (-2,)),
    ((2, 3, 4), (2, -2)),
    ((2, 3, 4), (-2, 1, 1)),
    ((2, 3, 4), (-3, 4)),
    ((2, 3, 4, 5), (-3, -3)),
    ((2, 3, 4), (0, -3)),
    ((2, 3, 4), (-4, 1, 2, -2)),
    ((2, 3, 4), (2, -4, -1, 3, -2)),
    ((5, 7, 12), (0, 0, 3, -1)),
    ((5, 12, 7), (0, -4, 3, -1, 0)),
]
REVERSED = [((5, 7, 3, 4), (-1, 0, 0)), ((10, 5, 4), (-1, 0)), ((15, 7, 4), (-1, 3, 0, 0))]


@pytest.mark.mxnet
def test_shapes_are_those_of_mxnet() -> None:
    cases = [(shape, sizes, False) for shape, sizes in RESHAPES] + [(shape, sizes, True) for shape, sizes in REVERSED]
    code = (
        "import json, sys, numpy; numpy.bool = bool; import mxnet as mx; "
        "print(json.dumps([mx.nd.zeros(shape).reshape(sizes, reverse=reverse).shape "
        "for shape, sizes, reverse in json.loads(sys.argv[1])]))"
    )
    command = [sys.executable, "-W", "ignore", "-c", code, json.dumps(cases)]
    expected = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    found = [list(reshaped(shape, sizes, reverse=reverse)) for shape, sizes, reverse in cases]
    assert found == expected


@pytest.mark.parametrize(
    ("shape", "sizes"),
    [
        ((2, 3), (4, 4)),
        ((2, 3), (-3, -3)),
        ((2, 3), (-5,)),
        ((2, 3), (0, 0, 0)),
        ((2, 3), (None, 1)),
        ((2, 3), (-4, 2)),
    ],
)
def test_a_wrong_reshape_is_an_error(shape: tuple[int, ...], sizes: tuple[int, ...]) -> None:
    with pytest.raises((ValueError, IndexError)):
        reshaped(shape, sizes)


def network(*nodes: Node) -> Graph:
    dense = Node("FullyConnected", "query", ((0, 0),), {"num_hidden": "12"})
    return Graph((Node("null", "data"), dense, *nodes), ((len(nodes) + 1, 0),), 10901)


def reshape(source: int, shape: str) -> Node:
    return Node("Reshape", "reshape", ((source, 0),), {"shape": shape})


@pytest.mark.parametrize(
    ("nodes", "heads"),
    [
        ((reshape(1, "(0, 0, 4, -1)"), Node("transpose", "t", ((2, 0),), {"axes": "(0, 2, 1, 3)"}),
          Node("batch_dot", "b", ((3, 0), (0, 0)))), 4),
        ((reshape(1, "(0, 0, -1, 4)"), Node("transpose", "t", ((2, 0),), {"axes": "(0, 2, 3, 1)"}),
          Node("batch_dot", "b", ((0, 0), (3, 0)))), 3),
        ((Node("expand_dims", "e", ((1, 0),), {"axis": "1"}), Node("batch_dot", "b", ((2, 0), (2, 0)),
          {"transpose_b": "True"})), 1),
        ((Node("_contrib_interleaved_matmul_selfatt_qk", "s", ((1, 0),), {"heads": "6"}),), 6),
        ((reshape(1, "(0, 0, 5, -1)"), Node("batch_dot", "b", ((2, 0), (0, 0)))), None),
        ((Node("softmax", "s", ((1, 0),)), Node("batch_dot", "b", ((2, 0), (0, 0)))), None),
        ((), None),
    ],
    ids=str,
)  # fmt: skip
def test_heads_are_counted_by_the_width_of_queries_and_keys(nodes: tuple[Node, ...], heads: int | None) -> None:
    assert attention_heads(network(*nodes), [1], 12) == heads


@pytest.mark.parametrize(("name", "hidden_size", "heads"), [("bert_2_2_8_8", 8, 2), ("gpt2_2_3_48_12", 12, 3)])
def test_networks_of_gluonnlp_show_their_heads(name: str, hidden_size: int, heads: int, fixtures: Path) -> None:
    graph = read_graph(fixtures / "graphs" / f"{name}-symbol.json")
    dense = [number for number, node in enumerate(graph.nodes) if node.op == "FullyConnected"]
    assert attention_heads(graph, dense, hidden_size) == heads
    assert attention_heads(graph, [], hidden_size) is None
