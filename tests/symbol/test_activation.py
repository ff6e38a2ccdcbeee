from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from bort_convert.symbol import Graph, Node, read_graph
from bort_convert.symbol.activation import activation_before

if TYPE_CHECKING:
    from pathlib import Path

ROOT_2 = "1.4142135623730951"
DENSE = Node("FullyConnected", "in", ((0, 0),), {"num_hidden": "4"})


def scaled(op: str, source: int, scalar: object) -> Node:
    return Node(op, op, ((source, 0),), {"scalar": str(scalar)})


def between(*nodes: Node) -> str | None:
    """The activation that nodes from number 2 on make of the dense layer, which is number 1."""
    whole = (Node("null", "data"), DENSE, *nodes)
    end = Node("FullyConnected", "out", ((len(whole) - 1, 0),), {"num_hidden": "4"})
    found = activation_before(Graph((*whole, end), ((len(whole), 0),), 10901), len(whole))
    assert found is None or found[0] == 1
    return found and found[1]


def one(op: str, source: int, **attrs: str) -> Node:
    return Node(op, op, ((source, 0),), attrs)


def two(op: str, first: int, second: int) -> Node:
    return Node(op, op, ((first, 0), (second, 0)))


@pytest.mark.parametrize(
    ("nodes", "name"),
    [
        ((), "linear"),
        ((one("Dropout", 1, p="0.1"),), "linear"),
        ((one("Activation", 1, act_type="relu"),), "relu"),
        ((one("relu", 1),), "relu"),
        ((scaled("_maximum_scalar", 1, 0),), "relu"),
        ((one("Activation", 1, act_type="tanh"), one("Dropout", 2)), "tanh"),
        ((one("sigmoid", 1),), "sigmoid"),
        ((one("LeakyReLU", 1, act_type="gelu"),), "gelu"),
        ((scaled("_mul_scalar", 1, 0.5), scaled("_div_scalar", 1, ROOT_2), one("erf", 3),
          scaled("_plus_scalar", 4, 1.0), two("elemwise_mul", 2, 5)), "gelu"),
        # x ** 3 as a product, and the constants with six digits
        ((two("elemwise_mul", 1, 1), two("elemwise_mul", 2, 1), scaled("_mul_scalar", 3, 0.044715),
          two("broadcast_add", 4, 1), scaled("_mul_scalar", 5, 0.797885), one("tanh", 6), scaled("_plus_scalar", 7, 1),
          two("_mul", 8, 1), scaled("_mul_scalar", 9, 0.5)), "gelu_new"),
        ((scaled("_mul_scalar", 1, 1.702), one("sigmoid", 2), two("elemwise_mul", 1, 3)), "unknown"),
        ((scaled("_mul_scalar", 1, 2),), "unknown"),
        ((one("LeakyReLU", 1),), "unknown"),
        ((one("log", 1),), "unknown"),
        ((scaled("_mul_scalar", 1, "x"),), "unknown"),
        ((scaled("_mul_scalar", 1, "nan"),), "unknown"),
        ((two("elemwise_add", 1, 0),), None),
        ((one("softmax", 1),), None),
        (tuple(one("tanh", number) for number in range(1, 90)), None),
    ],
    ids=str,
)  # fmt: skip
def test_an_activation_is_named_by_its_values(nodes: tuple[Node, ...], name: str | None) -> None:
    assert between(*nodes) == name


def test_the_two_gelus_are_further_apart_than_the_tolerance() -> None:
    exact = 0.5 * 2.2 * (1 + math.erf(2.2 / math.sqrt(2)))
    approximate = 0.5 * 2.2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (2.2 + 0.044715 * 2.2**3)))
    assert abs(exact - approximate) > 2e-4


def test_layers_of_gluonnlp_have_an_activation_between_two_dense_layers(fixtures: Path) -> None:
    graph = read_graph(fixtures / "graphs" / "bert_2_2_8_8-symbol.json")
    found = {}
    for number, node in enumerate(graph.nodes):
        if node.op in {"FullyConnected", "LayerNorm"} and (before := activation_before(graph, number)):
            found[node.name] = before[1]
    assert found == {
        "bertencoder0_transformer0_bertpositionwiseffn0_ffn_2_fwd": "gelu",
        "bertencoder0_transformer1_bertpositionwiseffn0_ffn_2_fwd": "gelu",
        "bertmodel0_cls_fwd": "tanh",
        "bertmodel0_bertlayernorm0_layernorm0": "gelu",
    }
