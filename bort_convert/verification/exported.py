"""An exported network as the reference: which of its variables are parameters and inputs, and where its outputs are.

Everything is found by the parameters that a node takes, whose names a table knows. Names of other nodes mean nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from bort_convert.errors import MappingError, OptionError, printable
from bort_convert.files.streams import sha256_of_file
from bort_convert.mapping.from_graph import variables_of
from bort_convert.symbol import read_graph
from bort_convert.symbol.operators import INTERLEAVED, RESHAPING, SAME, check_operators
from bort_convert.symbol.writer import graph_text, needed_nodes, variable_name
from bort_convert.verification.graph_outputs import axes_of, heads_of_model, notes_on, places_of
from bort_convert.verification.trace import COTANGENTS, DTYPES

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping

    from bort_convert.dtypes import Array
    from bort_convert.mapping.fit import Fit
    from bort_convert.symbol import Graph
    from bort_convert.symbol.graph import Output

ROLES: Final = {
    "ids": "input_ids",
    "types": "token_types",
    "valid_length": "valid_length",
    "masked_positions": "masked_positions",
}
"""Words for the inputs of a network -> their names in a trace."""
_ROLE_OF_WEIGHT: Final = {"vocab_size": "input_ids", "type_vocab_size": "token_types"}
"""First axis of an embedding -> the input that selects its rows."""
_TELLING: Final = {
    ("SequenceMask", 1): "valid_length",
    ("SequenceLast", 1): "valid_length",
    ("softmax", 1): "valid_length",
    ("broadcast_lesser", 1): "valid_length",
    ("broadcast_greater", 0): "valid_length",
    ("gather_nd", 1): "masked_positions",
}
"""Operator, and number of its input that tells what it is made of -> the network's input."""
_PASSED: Final = RESHAPING | SAME | {"Concat", "concat", "stack"}


@dataclass(frozen=True)
class ExportedNetwork:
    """A graph that runs in place of GluonNLP's classes.

    Attributes:
        path: the `-symbol.json` file.
        graph: what it holds.
        parameters: variable -> structural name.
        inputs: variable -> input of a trace.
        places: output of a trace -> where the graph computes it.
        notes: what is not compared, a line each.
    """

    path: Path
    graph: Graph
    parameters: Mapping[str, str]
    inputs: Mapping[str, str]
    places: Mapping[str, Output]
    notes: tuple[str, ...] = field(default=())

    @property
    def provenance(self) -> dict[str, str]:
        """Name and SHA-256 of the file, and what is not compared, as a trace keeps them."""
        name = self.path.name.encode("utf-8", "backslashreplace").decode()
        return {"graph": name, "graph_sha256": sha256_of_file(self.path), "graph_notes": json.dumps(self.notes)}

    def inputs_for(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Inputs of a trace for this network: without padding, or of one segment, where it has no input for them."""
        found = dict(inputs)
        given = set(self.inputs.values())
        if "valid_length" not in given:
            found["valid_length"] = np.full_like(inputs["valid_length"], inputs["input_ids"].shape[1])
        if "token_types" in inputs and "token_types" not in given:
            found["token_types"] = np.zeros_like(inputs["token_types"])
        return found

    def job(self, shapes: Mapping[str, tuple[int, ...]], aliases: Iterable[tuple[str, str]]) -> dict[str, object]:
        """Entries of a job for `mxnet_process/graph.py`.

        Args:
            shapes: structural name -> shape, of every tensor in the file.
            aliases: pairs of structural names that are one parameter.
        """
        graph = self.graph.with_outputs(tuple(self.places.values()))
        needed = {self.graph.nodes[number].name: number for number in needed_nodes(graph)}
        operators = {node.op for node in self.graph.nodes}
        names = {**self.parameters, **self.inputs}
        return {
            "numpy_like": False,
            "graph": {
                "texts": {dtype: graph_text(graph, dtype) for dtype in DTYPES},
                "variables": {variable_name(needed[name]): names[name] for name in names if name in needed},
                "inputs": sorted(set(self.inputs.values())),
                "outputs": list(self.places),
                "shapes": {name: list(shape) for name, shape in shapes.items()},
                "aliases": dict(aliases),
                "length_first": bool(operators & INTERLEAVED),
            },
        }


def network_for(
    path: str | os.PathLike[str] | None, fit: Fit, inputs: Mapping[str, str] | None, *, attentions: bool
) -> ExportedNetwork | None:
    """Read the exported network that a user gives; see `exported_network`.

    Args:
        path: the file; None where GluonNLP's classes run.
        fit: of the checkpoint.
        inputs: see `exported_network`.
        attentions: True if attention probabilities are asked for, which a graph does not show.

    Raises:
        OptionError: `inputs` or `attentions` do not go with `path`.
    """
    if path is None:
        if inputs:
            raise OptionError(
                "symbol_inputs", dict(inputs), "names inputs of an exported network; pass `symbol=...` too"
            )
        return None
    if attentions:
        raise OptionError("attentions", attentions, "an exported network does not show them; leave `attentions` out")
    return exported_network(path, fit, inputs)


def shown_by(network: ExportedNetwork | None, cotangents: Mapping[str, Array]) -> dict[str, Array]:
    """The cotangents of the outputs that a network shows; all of them where GluonNLP's classes run."""
    shown = {f"{COTANGENTS}{name}" for name in (network.places if network else ())}
    return {name: array for name, array in cotangents.items() if network is None or name in shown}


def exported_network(
    path: str | os.PathLike[str], fit: Fit, inputs: Mapping[str, str] | None = None
) -> ExportedNetwork:
    """Read an exported network and find the parameters, inputs and outputs of a checkpoint's model in it.

    Args:
        path: the `-symbol.json` file.
        fit: of the checkpoint.
        inputs: name of a variable -> one of `ROLES`, where the graph does not tell.

    Raises:
        FormatError: the file is no graph, or holds an operator that is not run.
        MappingError: the graph is not that of the checkpoint.
        OptionError: `inputs` are not those of the graph.
    """
    graph = read_graph(path)
    name = Path(path).name
    check_operators(graph, name)
    parameters = parameters_of(graph, fit)
    places = dict(places_of(graph, fit, parameters))
    if missing := [output for output in heads_of_model(fit) if output not in places]:
        raise MappingError(
            f"{name} is not the graph of this checkpoint: none of its dense layers gives {', '.join(missing)} with the "
            f"tensors of {fit.architecture}"
        )
    found = _inputs_of(graph.with_outputs(tuple(places.values())), fit, parameters, inputs or {}, name)
    notes = tuple(notes_on(graph, fit, places, {*parameters, *found}, name))
    return ExportedNetwork(Path(path), graph, parameters, found, places, notes)


def parameters_of(graph: Graph, fit: Fit) -> dict[str, str]:
    """Map the variables of a graph that are tensors of a checkpoint to structural names."""
    return variables_of(graph, fit.names, fit.table.rows, (alias for alias, _ in fit.plan.aliases))


def _inputs_of(
    graph: Graph, fit: Fit, parameters: Mapping[str, str], given: Mapping[str, str], name: str
) -> dict[str, str]:
    """The input of a trace that each variable is which is no parameter, of those that an output needs.

    Raises:
        MappingError: a variable is neither a tensor of the checkpoint nor an input that is recognised.
        OptionError: `given` names no such variable, or no such input.
    """
    needed = [graph.nodes[number] for number in needed_nodes(graph)]
    free = [node.name for node in needed if node.is_variable and node.name not in parameters]
    for variable, role in given.items():
        if variable not in free:
            problem = f"{name} has no input '{printable(variable)}'; expected one of {_listed(free)}"
            raise OptionError("symbol_inputs", dict(given), problem)
        if role not in ROLES:
            raise OptionError("symbol_inputs", dict(given), f"{role!r} is no input; expected one of {', '.join(ROLES)}")
    roles = {variable: _role(graph, fit, parameters, variable) for variable in free}
    roles |= {variable: ROLES[role] for variable, role in given.items()}
    problems = [
        f"{printable(variable)}: no tensor of the checkpoint, and no input that is recognised. If it is one, pass "
        f"`symbol_inputs={ {variable: '|'.join(ROLES)} }`"
        for variable, role in roles.items()
        if not role
    ]
    for role in ROLES.values():
        several = [variable for variable, other in roles.items() if other == role]
        if len(several) > 1:
            problems.append(f"{_listed(several)} are all {role}; expected one of them")
    if "input_ids" not in roles.values():
        problems.append(f"none of the inputs {_listed(free)} selects rows of the word embedding")
    if problems:
        raise MappingError(f"{name} is not the graph of this checkpoint:", problems)
    return roles


def _listed(names: Iterable[str]) -> str:
    return ", ".join(printable(name) for name in names) or "(none)"


def _role(graph: Graph, fit: Fit, parameters: Mapping[str, str], variable: str) -> str:
    """The input of a trace that a variable is, by the operators that take it; "" where they do not tell."""
    for number in graph.taking(variable, "Embedding", index=0):
        weight = graph.source(number, 1)
        axes = axes_of(fit, parameters.get(weight.name, "")) if weight else ""
        if role := _ROLE_OF_WEIGHT.get(axes.partition(" ")[0], ""):
            return role
    seen, waiting = set[int](), [graph.variables[variable]]
    while waiting:
        number = waiting.pop()
        for consumer in graph.consumers.get(number, ()):
            node = graph.nodes[consumer]
            for index, (source, _) in enumerate(node.inputs):
                if source == number and (role := _TELLING.get((node.op, index), "")):
                    return role
            if node.op in _PASSED and consumer not in seen:
                seen.add(consumer)
                waiting.append(consumer)
    return ""
