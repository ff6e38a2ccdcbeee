"""Hyperparameters that an exported network shows and no shape does: attention heads, activations, epsilons."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from bort_convert.errors import MappingError, OptionError, printable
from bort_convert.mapping.family import HEADS, MASKED_LM_CLASSES, SYNONYMS
from bort_convert.mapping.source_names import bare_name, placeholder_pattern, structural_names
from bort_convert.symbol.activation import LINEAR, UNKNOWN, activation_before
from bort_convert.symbol.heads import attention_heads

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping

    from bort_convert.dtypes import Hyperparameter
    from bort_convert.mapping.candidates import Candidate
    from bort_convert.mapping.rows import Rows
    from bort_convert.symbol import Graph

    Told = Callable[[Candidate], dict[str, Hyperparameter]]

_EPSILON: Final = "layer_norm_eps"
_ACTIVATION: Final = "hidden_act"
_DEFAULT_EPSILON: Final = 1e-5
"""Of MXNet's LayerNorm, where a graph does not say it."""
_PLACES: Final = {
    "embeddings.LayerNorm.": "embedding_",
    "predictions.transform.": "head_",
    "lm_head.": "head_",
}
"""Part of a target's name -> beginning of the hyperparameter that counts there in place of that of the layers."""


def told_by(
    graph: Graph,
    path: str | os.PathLike[str],
    *,
    heads: int | None = None,
    hyperparameters: Mapping[str, Hyperparameter] | None = None,
    gluonnlp_version: str | None = None,
) -> Told:
    """A function that reads hyperparameters of a candidate from an exported network.

    The function raises a MappingError where the graph is that of another network, or its layers differ from one
    another, and an OptionError where it contradicts an argument, a published size or a shape.

    Args:
        graph: the network.
        path: of its file, for messages.
        heads: number of attention heads that the user gives.
        hyperparameters: others that the user gives.
        gluonnlp_version: version of gluonnlp that the user gives.
    """
    given = {SYNONYMS.get(key, key): value for key, value in (hyperparameters or {}).items()}

    def told(candidate: Candidate) -> dict[str, Hyperparameter]:
        found, family = _Reader(graph, Path(path).name, candidate).hyperparameters(), candidate.family
        known = [(f"`hyperparameters={ {key: value} }` says", key, value) for key, value in given.items()]
        if heads is not None:
            known.append((f"`heads={heads}` says", HEADS, heads))
        if gluonnlp_version is not None:
            versioned = family.for_version(gluonnlp_version).hyperparameters
            names = {name for changes in family.by_version.values() for name in changes if name in versioned}
            known += [(f"gluonnlp {gluonnlp_version} has", name, versioned[name]) for name in names]
        if candidate.published:
            known += [
                (f"{candidate.published.name} has", *item) for item in candidate.published.hyperparameters.items()
            ]
        if HEADS in candidate.plan.dims:
            known.append(("the shapes have", HEADS, candidate.plan.dims[HEADS]))
        for source, key, value in known:
            if found.get(key, value) != value:
                problem = (
                    f"it has {key} {found[key]}, and {source} {value}. Another network was exported, or one is wrong"
                )
                raise OptionError("symbol", path, problem)
        return {key: value for key, value in found.items() if key not in candidate.plan.dims}

    return told


def variables_of(graph: Graph, names: Mapping[str, str], rows: Rows, aliases: Iterable[str]) -> dict[str, str]:
    """Map the variables of a graph that are tensors of a checkpoint to structural names.

    A variable has the name of the tensor in a file that was exported with it. For any other file it has a prefixed
    name that the table knows; or it is the one variable left over for the one tensor left over, of those with the
    same last word.

    Args:
        graph: the graph.
        names: structural name -> name in the file.
        rows: the table.
        aliases: structural names of tied tensors that have another name too.
    """
    in_file = {bare_name(name): structural for structural, name in names.items()}
    found = {name: in_file[name] for name in graph.variables if name in in_file}
    others, _ = structural_names((name for name in graph.variables if name not in found), rows)
    taken = set(found.values())
    found |= {
        name: structural for structural, name in others.items() if structural in names and structural not in taken
    }
    left = {*names} - {*found.values(), *aliases}
    for word in ("weight", "bias", "gamma", "beta"):
        variables = [name for name in graph.variables if name not in found and name.endswith(f"_{word}")]
        tensors = [structural for structural in left if structural.endswith(f".{word}")]
        if len(variables) == len(tensors) == 1:
            found[variables[0]] = tensors[0]
    return found


def layer_of(rows: Rows, structural: str) -> int | None:
    """Number of the layer that a tensor of the checkpoint belongs to; None for one outside of the layers."""
    for row in rows:
        for source in row.sources:
            match = placeholder_pattern(source.name).fullmatch(structural)
            if match and "layer" in match.groupdict():
                return int(match["layer"])
    return None


class _Reader:
    """A graph beside the candidate whose network it is.

    Raises:
        MappingError: it is that of another network.
    """

    def __init__(self, graph: Graph, name: str, candidate: Candidate) -> None:
        self.graph, self.name, self.candidate = graph, name, candidate
        aliases = [alias for alias, _ in candidate.plan.aliases]
        self.parameters = variables_of(graph, candidate.names, candidate.table.rows, aliases)
        self.layers = {variable: layer_of(candidate.table.rows, own) for variable, own in self.parameters.items()}
        self.targets = {
            source: spec.name for step in candidate.plan.steps for source in step.sources for spec in step.targets
        }
        self._check_tensors()

    def _check_tensors(self) -> None:
        """Refuse a graph that lacks tensors of the layers, or has other shapes."""
        plan, rows = self.candidate.plan, self.candidate.table.rows
        copied = (step for step in plan.steps if step.copied)
        shapes = {source: spec.shape for step in copied for source in step.sources for spec in step.targets}
        known = {*self.parameters.values()}
        problems = [
            f"{own}: the graph has no such parameter"
            for own in self.candidate.names
            if own not in known and layer_of(rows, own) is not None
        ]
        for variable, own in self.parameters.items():
            sizes = self.graph.nodes[self.graph.variables[variable]].numbers("__shape__") or ()
            shape = shapes.get(own, ())
            if len(sizes) == len(shape) and any(
                size not in {None, 0, -1, axis} for size, axis in zip(sizes, shape, strict=True)
            ):
                problems.append(f"{own}: the graph has the shape {sizes}, the file {shape}")
        if problems:
            raise MappingError(f"{printable(self.name)} is not the graph of this checkpoint:", problems)

    def hyperparameters(self) -> dict[str, Hyperparameter]:
        """Everything that the graph shows, by the names of hyperparameters."""
        found = {
            **self._one_value(_EPSILON, self._epsilons()),
            **self._one_value(_ACTIVATION, self._activations()),
            **self._one_value(HEADS, self._heads()),
        }
        own = self.candidate.family.hyperparameters
        for name in (_EPSILON, _ACTIVATION):
            beside = f"embedding_{name}"
            if beside in found and beside not in own and found[beside] == found.get(name):
                del found[beside]
        if not self.candidate.table.architecture(self.candidate.plan.groups).endswith(MASKED_LM_CLASSES):
            found = {name: value for name, value in found.items() if not name.startswith("head_")}
        return found

    def _one_value(self, name: str, values: Mapping[str, Hyperparameter]) -> dict[str, Hyperparameter]:
        """The values by hyperparameter, where those of all layers agree.

        Args:
            name: of the hyperparameter that counts in the layers.
            values: structural name of a tensor -> the value that the graph shows there.

        Raises:
            MappingError: they differ, so that no target class computes the same.
        """
        by_name: dict[str, dict[Hyperparameter, str]] = {}
        for own, value in values.items():
            target = self.targets.get(own)
            place = next((head for part, head in _PLACES.items() if target and part in target), "")
            by_name.setdefault(place + name, {}).setdefault(value, own)
        for key, found in by_name.items():
            if len(found) > 1:
                shown = ", ".join(f"{value} at {own}" for value, own in found.items())
                raise MappingError(f"{printable(self.name)}: {key} is {shown}; no class of transformers has several")
        return {key: next(iter(found)) for key, found in by_name.items()}

    def _epsilons(self) -> dict[str, Hyperparameter]:
        nodes = self.graph.nodes
        return {
            own: nodes[number].number("eps") or _DEFAULT_EPSILON
            for variable, own in self.parameters.items()
            for number in self.graph.taking(variable, "LayerNorm")
        }

    def _activations(self) -> dict[str, Hyperparameter]:
        """Activations between the dense layers of a layer, and in front of a LayerNorm outside of the layers."""
        found: dict[str, Hyperparameter] = {}
        for variable, own in self.parameters.items():
            for number in self.graph.taking(variable, "FullyConnected", "LayerNorm"):
                before = activation_before(self.graph, number)
                weight = self.graph.source(before[0], 1) if before else None
                if before is None or weight is None or weight.name not in self.parameters or before[1] == LINEAR:
                    continue
                place, inside = self.parameters[weight.name], self.layers[variable] is not None
                if before[1] == UNKNOWN:
                    raise MappingError(f"{printable(self.name)}: the activation behind {place} is none that is known")
                if inside or self.graph.nodes[number].op == "LayerNorm":
                    found[place] = before[1]
                elif before[1] != "tanh":
                    problem = (
                        f"the activation between {place} and {own} is {before[1]}, and transformers has tanh there"
                    )
                    raise MappingError(f"{printable(self.name)}: {problem}")
        return found

    def _heads(self) -> dict[str, Hyperparameter]:
        """Attention heads of each layer, by the first dense layer of each."""
        hidden_size = self.candidate.plan.dims.get("hidden_size", 0)
        dense: dict[int, dict[int, str]] = {}
        for variable, own in self.parameters.items():
            layer = self.layers[variable]
            for number in self.graph.taking(variable, "FullyConnected"):
                if layer is not None:
                    dense.setdefault(layer, {})[number] = own
        heads = {numbers[min(numbers)]: attention_heads(self.graph, numbers, hidden_size) for numbers in dense.values()}
        return {own: count for own, count in heads.items() if count}
