"""Read a `-symbol.json` file: bound it, parse it, and check every node before anything relies on one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bort_convert.errors import FormatError, printable
from bort_convert.symbol.graph import VARIABLE, Graph, Node, Output

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator

MAX_BYTES: Final = 4 * 2**20
"""The graph of a BERT with 24 layers has 0.4 MB."""
MAX_NODES: Final = 2**15
MAX_TEXT: Final = 2**10
"""Characters of a name or of an attribute."""
OLDEST: Final = 900
"""MXNet 0.9, the first release whose graphs have the states of BatchNorm among their inputs."""
NEWEST: Final = 20_000
"""MXNet 2."""
_ATTRIBUTES: Final = ("param", "attr", "attrs")
"""Keys that attributes of a node have had: two in 0.9 to 0.12, then one."""


def read_graph(path: str | os.PathLike[str]) -> Graph:
    """Read a `-symbol.json` file.

    Args:
        path: the file, written by MXNet 0.9 to 2.0.

    Raises:
        FormatError: the file cannot be read, is too large, or is no graph of MXNet; the message names the node.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise FormatError(f"{path}: cannot be read: {error.strerror or error}") from error
    if len(data) > MAX_BYTES:
        raise FormatError(f"{path}: has more than {MAX_BYTES:,} bytes, which no -symbol.json of MXNet has")
    try:
        return graph_of(_parsed(data))
    except _FaultError as fault:
        raise FormatError(f"{path}: {printable(str(fault), 400)}") from None


class _FaultError(Exception):
    """A fault of a document, in words."""


def _parsed(data: bytes) -> object:
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=_without_duplicates, parse_constant=_no_constant)
    except _FaultError:
        raise
    except RecursionError:
        raise _FaultError("is nested too deeply for a -symbol.json of MXNet") from None
    except ValueError as error:
        raise _FaultError(f"is no JSON, which a -symbol.json of MXNet is: {printable(str(error))}") from None


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise _FaultError(f"an object has the key '{printable(twice)}' twice")
    return found


def _no_constant(text: str) -> object:
    raise _FaultError(f"holds {text}, which JSON has not")


def graph_of(document: object) -> Graph:
    """Check a parsed document and make a graph of it."""
    if not isinstance(document, dict) or not isinstance(document.get("nodes"), list):
        raise _FaultError('is no graph of MXNet: expected an object with a list "nodes"')
    version = _version(document.get("attrs"))
    entries = document["nodes"]
    if not 0 < len(entries) <= MAX_NODES:
        raise _FaultError(f"has {len(entries):,} nodes, expected 1 to {MAX_NODES:,}")
    nodes: list[Node] = []
    for number, entry in enumerate(entries):
        nodes.append(_node(number, entry, nodes))
    _refuse_twins(nodes)
    outputs = document.get("heads")
    if not isinstance(outputs, list) or not 0 < len(outputs) <= MAX_NODES:
        raise _FaultError('has no outputs: expected a list "heads"')
    return Graph(tuple(nodes), tuple(_references("heads", outputs, nodes)), version)


def _version(attrs: object) -> int:
    """Version of the MXNet that wrote a graph, by `"mxnet_version": ["int", 10901]`."""
    entry = attrs.get("mxnet_version") if isinstance(attrs, dict) else None
    number = entry[1] if isinstance(entry, list) and len(entry) == 2 else None  # noqa: PLR2004 - a type and a value
    if type(number) is not int:
        raise _FaultError("says no mxnet_version; expected the graph of MXNet 0.9 or later")
    if not OLDEST <= number < NEWEST + 1000:
        raise _FaultError(f"says mxnet_version {number}, expected {OLDEST} (0.9) to {NEWEST} (2.0)")
    return number


def _node(number: int, entry: Any, nodes: list[Node]) -> Node:  # noqa: ANN401 - anything that JSON can hold
    place = f"node {number}"
    if not isinstance(entry, dict):
        raise _FaultError(f"{place} is no object")
    op, name = (_text(f"{place}: {key}", entry.get(key)) for key in ("op", "name"))
    place = f"node {number} ({printable(op, 40)} '{printable(name, 80)}')"
    inputs = entry.get("inputs", [])
    if not op or not name:
        raise _FaultError(f"{place} has no {'name' if op else 'op'}")
    if not isinstance(inputs, list) or len(inputs) > MAX_NODES:
        raise _FaultError(f"{place}: inputs are no list")
    if op == VARIABLE and inputs:
        raise _FaultError(f"{place} is a variable with inputs")
    if entry.get("subgraphs"):
        raise _FaultError(f"{place} holds another graph; such operators are not run")
    attrs: dict[str, str] = {}
    for key in _ATTRIBUTES:
        found = entry.get(key) or {}
        if not isinstance(found, dict):
            raise _FaultError(f"{place}: {key} is no object")
        attrs |= {_text(f"{place}: a key", name): _text(f"{place}: {name}", value) for name, value in found.items()}
    return Node(op, name, tuple(_references(place, inputs, nodes)), attrs)


def _text(place: str, value: object) -> str:
    if not isinstance(value, str):
        raise _FaultError(f"{printable(place)} is {printable(repr(value), 40)}, expected text")
    if len(value) > MAX_TEXT:
        raise _FaultError(f"{printable(place)} has {len(value):,} characters, expected at most {MAX_TEXT:,}")
    return value


def _references(place: str, entries: Iterable[object], nodes: list[Node]) -> Iterator[Output]:
    """Pairs of node and output, from `[node, output]` or `[node, output, version]`; each node was read before."""
    for entry in entries:
        if not isinstance(entry, list) or len(entry) not in {2, 3} or any(type(number) is not int for number in entry):
            raise _FaultError(f"{place} takes {printable(repr(entry), 40)}, expected [node, output, version]")
        source, output = entry[:2]
        if not 0 <= source < len(nodes):
            raise _FaultError(f"{place} takes node {source}, expected one of the {len(nodes):,} before it")
        if not 0 <= output < MAX_NODES:
            raise _FaultError(f"{place} takes output {output} of node {source}")
        yield source, output


def _refuse_twins(nodes: Iterable[Node]) -> None:
    """Refuse two variables of one name; other nodes have the same name where a block is used twice."""
    seen: set[str] = set()
    for node in nodes:
        if node.is_variable:
            if node.name in seen:
                raise _FaultError(f"two variables have the name '{printable(node.name)}'")
            seen.add(node.name)
