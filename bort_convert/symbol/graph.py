"""A network as a graph of nodes, each of which comes after those whose outputs it takes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

Output: TypeAlias = tuple[int, int]
"""Number of a node, and number of one of its outputs."""

VARIABLE: Final = "null"
"""The operator of a node that computes nothing: a parameter or an input."""
_WHOLE: Final = re.compile(r"-?[0-9]{1,18}")
_TUPLE: Final = re.compile(r"[(\[]\s*((?:-?[0-9]{1,18}|None)\s*(?:,\s*(?:-?[0-9]{1,18}|None)\s*)*),?\s*[)\]]")


@dataclass(frozen=True)
class Node:
    """An operator with its inputs, or a variable.

    Attributes:
        op: name of the operator in MXNet, "null" for a variable.
        name: name of the node; that of a variable is the name of its parameter or input.
        inputs: the outputs that the operator takes.
        attrs: attributes of the operator, as text; of a variable, its shape and the like.
    """

    op: str
    name: str
    inputs: tuple[Output, ...] = ()
    attrs: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_variable(self) -> bool:
        """True for a parameter or an input of the network."""
        return self.op == VARIABLE

    def whole(self, name: str, default: int | None = None) -> int | None:
        """The whole number that an attribute spells; the default where it spells none."""
        text = self.attrs.get(name, "")
        return int(text) if _WHOLE.fullmatch(text) else default

    def number(self, name: str, default: float | None = None) -> float | None:
        """The number that an attribute spells; the default where it spells none."""
        try:
            return float(self.attrs[name])
        except (KeyError, ValueError):
            return default

    def numbers(self, name: str) -> tuple[int | None, ...] | None:
        """The whole numbers, each or None, of an attribute such as "(0, -1)" or "2"; None where it spells no such."""
        text = self.attrs.get(name, "")
        if _WHOLE.fullmatch(text):
            return (int(text),)
        match = _TUPLE.fullmatch(text)
        if match is None:
            return None
        words = (word.strip() for word in match[1].split(","))
        return tuple(None if word == "None" else int(word) for word in words if word)

    def flag(self, name: str) -> bool:
        """True if an attribute spells a true value."""
        return self.attrs.get(name, "").lower() in {"true", "1"}


@dataclass(frozen=True)
class Graph:
    """A network.

    Attributes:
        nodes: each after those that it takes.
        outputs: the outputs of the network, in order.
        version: version of the MXNet that wrote it: 10901 for 1.9.1.
    """

    nodes: tuple[Node, ...]
    outputs: tuple[Output, ...]
    version: int

    @cached_property
    def variables(self) -> dict[str, int]:
        """Name of each variable -> number of its node."""
        return {node.name: number for number, node in enumerate(self.nodes) if node.is_variable}

    @cached_property
    def consumers(self) -> dict[int, tuple[int, ...]]:
        """Number of a node -> numbers of the nodes that take one of its outputs, in their order."""
        found: dict[int, dict[int, None]] = {}
        for number, node in enumerate(self.nodes):
            for source, _ in node.inputs:
                found.setdefault(source, {})[number] = None
        return {source: tuple(numbers) for source, numbers in found.items()}

    def source(self, number: int, index: int) -> Node | None:
        """The node whose output a node takes as its input `index`; None where it has no such input."""
        inputs = self.nodes[number].inputs
        return self.nodes[inputs[index][0]] if index < len(inputs) else None

    def taking(self, variable: str, *ops: str, index: int = 1) -> list[int]:
        """Numbers of the nodes with one of these operators that take a variable as their input `index`."""
        number = self.variables.get(variable)
        if number is None:
            return []
        return [
            consumer
            for consumer in self.consumers.get(number, ())
            if self.nodes[consumer].op in ops
            and index < len(self.nodes[consumer].inputs)
            and self.nodes[consumer].inputs[index][0] == number
        ]

    def with_outputs(self, outputs: tuple[Output, ...]) -> Graph:
        """The same nodes with other outputs."""
        return Graph(self.nodes, outputs, self.version)
