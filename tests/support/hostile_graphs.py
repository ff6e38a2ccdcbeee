"""Symbol files that no MXNet wrote, each with what its message says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

VERSION = {"mxnet_version": ["int", 10901]}
Entry = dict[str, Any]


def variable(name: str) -> Entry:
    return {"op": "null", "name": name, "inputs": []}


def applied(op: str, *sources: int, **attrs: str) -> Entry:
    """A node that takes the first output of other nodes."""
    return {"op": op, "name": f"{op}0", "attrs": attrs, "inputs": [[source, 0, 0] for source in sources]}


def text_of(nodes: Iterable[Entry], heads: object = None, attrs: object = None) -> str:
    entries = list(nodes)
    heads = [[len(entries) - 1, 0, 0]] if heads is None else heads
    return json.dumps({"nodes": entries, "heads": heads, "attrs": VERSION if attrs is None else attrs})


DATA = variable("data")

HOSTILE = {
    "empty": ("", "is no JSON"),
    "no JSON": ("PK\x03\x04", "is no JSON"),
    "an array": ("[]", 'expected an object with a list "nodes"'),
    "a key twice": ('{"nodes": [], "nodes": []}', "has the key 'nodes' twice"),
    "not a number": ('{"nodes": [NaN]}', "holds NaN, which JSON has not"),
    "a number of 5,000 digits": ('{"nodes": [' + "1" * 5000 + "]}", "is no JSON"),
    "deep nesting": ("[" * 100_000, "is nested too deeply"),
    "no nodes": (text_of([], heads=[[0, 0, 0]]), "has 0 nodes"),
    "40,000 nodes": ('{"nodes": [' + "{}," * 39_999 + '{}], "attrs": {"mxnet_version": ["int", 10901]}}', "has 40,000"),
    "no version": (text_of([DATA], attrs={"a": 1}), "says no mxnet_version"),
    "a version of text": (text_of([DATA], attrs={"mxnet_version": ["int", "10901"]}), "says no mxnet_version"),
    "MXNet 0.8": (text_of([DATA], attrs={"mxnet_version": ["int", 800]}), "says mxnet_version 800"),
    "MXNet 9": (text_of([DATA], attrs={"mxnet_version": ["int", 90000]}), "says mxnet_version 90000"),
    "no outputs": (text_of([DATA], heads=[]), "has no outputs"),
    "a node that is no object": (text_of([DATA, 3]), "node 1 is no object"),  # type: ignore[list-item]
    "an operator that is no text": (text_of([{"op": 3, "name": "a"}]), "node 0: op is 3, expected text"),
    "no name": (text_of([{"op": "null", "name": ""}]), "has no name"),
    "an attribute that is no text": (
        text_of([DATA, {**applied("tanh", 0), "attrs": {"a": 1}}]),
        "node 1 (tanh 'tanh0'): a is 1, expected text",
    ),
    "a long name": (text_of([variable("x" * 5000)]), "has 5,000 characters, expected at most 1,024"),
    "a cycle of one node": (text_of([DATA, applied("tanh", 1)]), "takes node 1, expected one of the 1 before it"),
    "a cycle of two nodes": (text_of([DATA, applied("tanh", 2), applied("tanh", 1)]), "takes node 2, expected one"),
    "an input that is not there": (text_of([DATA, applied("tanh", 99)]), "takes node 99"),
    "an input before the first": (text_of([DATA, applied("tanh", -1)]), "takes node -1"),
    "an input that is no number": (
        text_of([DATA, {**applied("tanh"), "inputs": [["0", 0, 0]]}]),
        "takes ['0', 0, 0], expected [node, output, version]",
    ),
    "an input of true": (text_of([DATA, {**applied("tanh"), "inputs": [[False, 0, 0]]}]), "takes [False, 0, 0]"),
    "an output before the first": (
        text_of([DATA, {**applied("tanh"), "inputs": [[0, -1, 0]]}]),
        "takes output -1 of node 0",
    ),
    "a head that is not there": (text_of([DATA], heads=[[7, 0, 0]]), "heads takes node 7"),
    "a variable with inputs": (text_of([DATA, {**variable("a"), "inputs": [[0, 0, 0]]}]), "a variable with inputs"),
    "two variables of one name": (text_of([DATA, DATA]), "two variables have the name 'data'"),
    "a graph inside": (
        text_of([DATA, {**applied("_foreach", 0), "subgraphs": [{"nodes": []}]}]),
        "holds another graph",
    ),
    "a name that is an escape": (text_of([variable("\x1b[31m"), variable("\x1b[31m")]), r"'\x1b[31m'"),
}
"""Faults of a file, whatever it is read for: what the file holds, and what the message says."""

NOT_RUN = {
    "Custom": (text_of([DATA, applied("Custom", 0, op_type="mine")]), "node 1 (Custom 'Custom0') is not among"),
    "_Native": (text_of([DATA, applied("_Native", 0, info="0x1")]), "node 1 (_Native"),
    "_NDArray": (text_of([DATA, applied("_NDArray", 0, info="0x1")]), "node 1 (_NDArray"),
    "an operator that is not known": (text_of([DATA, applied("_npi_mean", 0)]), "node 1 (_npi_mean"),
    "a random number": (text_of([DATA, applied("_random_uniform")]), "node 1 (_random_uniform"),
    "a dropout in every run": (
        text_of([DATA, applied("Dropout", 0, mode="always")]),
        "drops values in every run, so that no two runs agree",
    ),
    "half precision": (text_of([DATA, applied("Cast", 0, dtype="float16")]), "computes in float16"),
    "an output that is not there": (
        text_of([DATA, {**applied("tanh"), "inputs": [[0, 1, 0]]}]),
        "takes output 1 of node 0, which has no such",
    ),
    "a part that is not there": (
        text_of([DATA, applied("SliceChannel", 0, num_outputs="3"), {**applied("tanh"), "inputs": [[1, 3, 0]]}]),
        "takes output 3 of node 1",
    ),
    "a head that is no output": (text_of([DATA, applied("tanh", 0)], heads=[[1, 4, 0]]), "take output 4 of node 1"),
    "zeros": (text_of([applied("_zeros", shape="(100000, 100000)")]), "makes 10,000,000,000 values"),
    "a range": (text_of([applied("_arange", start="0", stop="1e15", step="1e-3")]), "makes 1,000,000,000,000,000,000"),
    "tiles": (text_of([DATA, applied("tile", 0, reps="(99999, 99999)")]), "makes 9,999,800,001 values"),
}
"""Graphs that are read as data and never run: what the file holds, and what the message says."""
