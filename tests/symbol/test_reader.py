from __future__ import annotations

import json
import string
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from hostile_graphs import DATA, HOSTILE, VERSION, applied, text_of, variable
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bort_convert.errors import FormatError
from bort_convert.symbol import Graph, Node, read_graph
from bort_convert.symbol.reader import MAX_BYTES, MAX_NODES, graph_of

if TYPE_CHECKING:
    from pathlib import Path


def read(folder: Path, text: str) -> Graph:
    (folder / "net-symbol.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    return read_graph(folder / "net-symbol.json")


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    text, message = HOSTILE[name]
    with pytest.raises(FormatError) as caught:
        read(tmp_path, text)
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path / 'net-symbol.json'}: ")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 700


def test_ten_million_nodes_are_refused_before_they_are_read(tmp_path: Path) -> None:
    with (tmp_path / "net-symbol.json").open("wb") as file:
        file.write(b'{"nodes": [')
        for _ in range(100):
            file.write(b"{}," * 100_000)
    tracemalloc.start()
    try:
        with pytest.raises(FormatError, match=f"has more than {MAX_BYTES:,} bytes"):
            read_graph(tmp_path / "net-symbol.json")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * MAX_BYTES


def test_a_missing_file_and_a_directory_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.json", tmp_path):
        with pytest.raises(FormatError, match="cannot be read: "):
            read_graph(path)


def test_nodes_have_their_attributes_and_inputs(tmp_path: Path) -> None:
    nodes = [DATA, variable("w"), {**applied("dot", 0, 1), "param": {"transpose_b": "True"}, "attr": {"__a__": "b"}}]
    graph = read(tmp_path, text_of(nodes, heads=[[2, 0], [0, 0, 0]]))
    assert graph.version == 10901
    assert graph.outputs == ((2, 0), (0, 0))
    assert graph.variables == {"data": 0, "w": 1}
    assert graph.nodes[2] == Node("dot", "dot0", ((0, 0), (1, 0)), {"transpose_b": "True", "__a__": "b"})
    assert graph.nodes[2].flag("transpose_b")
    assert graph.consumers == {0: (2,), 1: (2,)}
    assert graph.taking("w", "dot") == [2]
    assert graph.taking("w", "dot", index=0) == graph.taking("w", "Embedding") == graph.taking("v", "dot") == []


def test_two_nodes_may_have_one_name_but_not_two_variables(tmp_path: Path) -> None:
    graph = read(tmp_path, text_of([DATA, applied("tanh", 0), applied("tanh", 1)]))
    assert [node.name for node in graph.nodes] == ["data", "tanh0", "tanh0"]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("(0, -1)", (0, -1)),
        ("[1,2]", (1, 2)),
        ("(3,)", (3,)),
        ("7", (7,)),
        ("(None, 1)", (None, 1)),
        ("()", None),
        ("(1, x)", None),
        ("1.5", None),
        ("__import__('os')", None),
        ("9" * 40, None),
    ],
)
def test_numbers_of_an_attribute_are_read_without_evaluating_it(text: str, numbers: object) -> None:
    assert Node("op", "name", (), {"a": text}).numbers("a") == numbers


@pytest.mark.shared
def test_graphs_of_ten_releases_are_read(shared: Path) -> None:
    paths = sorted((shared / "corpus" / "params").glob("*-symbol.json"))
    versions = {read_graph(path).version for path in paths}
    assert versions == {905, 1100, 1201, 10201, 10401, 10500, 10600, 10700, 10901, 20000}
    for path in paths:
        graph = read_graph(path)
        operators = [node.op for node in graph.nodes]
        assert operators[-1] in {"SoftmaxOutput", "LayerNorm", "FullyConnected"}, path.name
        if "module" in path.name:
            assert graph.nodes[8].whole("num_hidden") == 3
            assert graph.nodes[3].attrs["__init__"] == '["zero", {}]'


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["null", "tanh", "data", "", "x" * 2000]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["op", "name", "inputs", "attrs", "nodes", "heads"]), inner, max_size=6)
    ),
    max_leaves=20,
)
REFERENCE = st.lists(st.integers(-2, 9), min_size=1, max_size=4)
NODE = st.fixed_dictionaries(
    {"op": st.sampled_from(["null", "null", "tanh", "dot"]), "name": st.text(string.printable, max_size=3)},
    optional={"inputs": st.lists(REFERENCE, max_size=3) | JSON, "attrs": JSON, "attr": JSON},
)


@given(st.lists(NODE | JSON, max_size=6), st.lists(REFERENCE, max_size=3) | JSON)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_anything_is_a_graph_in_order_or_a_format_error(
    tmp_path: Path, nodes: list[object], heads: list[object]
) -> None:
    text = json.dumps({"nodes": nodes, "heads": heads, "attrs": VERSION})
    try:
        graph = read(tmp_path, text)
    except FormatError as error:
        assert str(error).isprintable()  # noqa: PT017 - either outcome is right
        return
    assert 0 < len(graph.nodes) <= MAX_NODES
    for number, node in enumerate(graph.nodes):
        assert all(0 <= source < number and output >= 0 for source, output in node.inputs)
        assert node.op
        assert node.name
    assert all(0 <= source < len(graph.nodes) for source, _ in graph.outputs)
    assert len(graph.variables) == sum(node.is_variable for node in graph.nodes)


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_bytes_that_are_no_graph_end_in_a_format_error(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "net-symbol.json").write_bytes(data)
    with pytest.raises(FormatError):
        read_graph(tmp_path / "net-symbol.json")


def test_a_cut_file_is_refused_wherever_it_is_cut(fixtures: Path, tmp_path: Path) -> None:
    text = (fixtures / "graphs" / "gpt2_2_3_48_12-symbol.json").read_text()
    assert len(graph_of(json.loads(text)).nodes) > 100
    for length in range(0, len(text.rstrip()), 997):
        with pytest.raises(FormatError):
            read(tmp_path, text[:length])
