from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hostile_graphs import DATA, NOT_RUN, applied, text_of, variable

from bort_convert.errors import FormatError
from bort_convert.symbol import read_graph
from bort_convert.symbol.graph import VARIABLE
from bort_convert.symbol.operators import ALLOWED, check_operators
from bort_convert.symbol.reader import graph_of
from bort_convert.symbol.writer import graph_text

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", NOT_RUN)
def test_a_graph_that_must_not_run_is_refused_by_name(name: str) -> None:
    text, message = NOT_RUN[name]
    with pytest.raises(FormatError) as caught:
        check_operators(graph_of(json.loads(text)), "net-symbol.json")
    assert message in str(caught.value)
    assert str(caught.value).startswith("net-symbol.json: ")


def test_graphs_of_gluonnlp_may_run(fixtures: Path) -> None:
    graphs = sorted((fixtures / "graphs").glob("*-symbol.json"))
    assert len(graphs) >= 3
    for path in graphs:
        check_operators(read_graph(path), path.name)


def test_no_operator_that_calls_back_draws_or_reads_is_allowed() -> None:
    words = ("custom", "native", "ndarray", "random", "sample", "npi", "npx", "foreach", "while", "cond", "subgraph")
    assert [op for op in ALLOWED if any(word in op.lower() for word in words)] == []


LIST_OPERATORS = """
import ctypes, numpy
numpy.bool = bool
from mxnet.base import _LIB, check_call
count, names = ctypes.c_uint(), ctypes.POINTER(ctypes.c_char_p)()
check_call(_LIB.MXListAllOpNames(ctypes.byref(count), ctypes.byref(names)))
print(*(names[number].decode() for number in range(count.value)))
"""


@pytest.mark.mxnet
def test_every_operator_that_is_allowed_is_one_of_mxnet() -> None:
    command = [sys.executable, "-W", "ignore", "-c", LIST_OPERATORS]
    known = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert len(known) > 1000
    assert {VARIABLE} == ALLOWED - {*known}


def test_what_mxnet_gets_has_names_of_ours_and_one_precision() -> None:
    nodes = [
        {**variable("secret"), "attrs": {"__init__": '["zero", {}]', "__shape__": "(2,)"}},
        variable("unused"),
        applied("_arange", dtype="float32", start="0", __profiler_scope__="a"),
        applied("Cast", 2, dtype="int32"),
        applied("broadcast_add", 0, 3),
    ]
    graph = graph_of(json.loads(text_of(nodes)))
    written = json.loads(graph_text(graph, "float64"))
    assert [node["name"] for node in written["nodes"]] == ["variable0", "node2", "node3", "node4"]
    assert [node["attrs"] for node in written["nodes"]] == [
        {},
        {"dtype": "float64", "start": "0"},
        {"dtype": "int32"},
        {},
    ]
    assert written["nodes"][3]["inputs"] == [[0, 0, 0], [2, 0, 0]]
    assert written["heads"] == [[3, 0, 0]]
    assert written["arg_nodes"] == [0]
    assert json.loads(graph_text(graph, "float32"))["nodes"][1]["attrs"]["dtype"] == "float32"


def test_what_is_written_is_read_again_as_the_same_network(fixtures: Path) -> None:
    graph = read_graph(fixtures / "graphs" / "bert_2_2_8_8-symbol.json")
    again = graph_of(json.loads(graph_text(graph, "float32")))
    assert [node.op for node in again.nodes] == [node.op for node in graph.nodes]
    assert [node.inputs for node in again.nodes] == [node.inputs for node in graph.nodes]
    assert again.outputs == graph.outputs
    assert DATA["name"] not in {node.name for node in again.nodes}
