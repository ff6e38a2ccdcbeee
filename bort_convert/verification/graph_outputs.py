"""Where an exported network computes the outputs of a model, and which of its own outputs are none of them.

An output of a layer is that of the LayerNorm that takes its last gamma, or what enters the first LayerNorm of the next
layer where layers begin with one. An output of a head is that of the dense layer that takes its weight.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bort_convert.errors import MappingError, printable
from bort_convert.mapping.family import MASKED_LM_CLASSES
from bort_convert.mapping.from_graph import layer_of
from bort_convert.mapping.source_names import placeholder_pattern
from bort_convert.symbol.operators import SAME
from bort_convert.symbol.writer import needed_nodes
from bort_convert.verification.headline import labels
from bort_convert.verification.inputs import LANGUAGE_MODELS
from bort_convert.verification.trace import (
    EMBEDDINGS,
    FINAL_NORM,
    LM_LOGITS,
    LOGITS,
    MLM_LOGITS,
    NEXT_SENTENCE,
    POOLED,
    SPAN_LOGITS,
    TAG_LOGITS,
)

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping

    from bort_convert.mapping.fit import Fit
    from bort_convert.symbol import Graph
    from bort_convert.symbol.graph import Output

_HEADS: Final = {
    "pooler.dense.weight": POOLED,
    "cls.seq_relationship.weight": NEXT_SENTENCE,
    "qa_outputs.weight": SPAN_LOGITS,
    "classifier.weight": LOGITS,
    "classifier.out_proj.weight": LOGITS,
}
"""End of a target tensor -> the output of the dense layer that it belongs to."""
_TAGGERS: Final = "ForTokenClassification"
_GAMMA: Final = ".gamma"
"""End of the structural name of a LayerNorm's scale."""
_SQUASHING: Final = frozenset({"softmax", "log_softmax", "SoftmaxActivation", "SoftmaxOutput", "argmax", "sigmoid"})
"""Operators that a network for serving may have behind its logits."""
_KEEPING: Final = SAME | _SQUASHING | {"SequenceMask", "Reshape", "reshape", "reshape_like"}


def axes_of(fit: Fit, structural: str) -> str:
    """Names of the axes of a tensor of the checkpoint; "" for one that no row has."""
    sources = (source for row in fit.table.rows for source in row.sources)
    return next((source.axes for source in sources if placeholder_pattern(source.name).fullmatch(structural)), "")


def places_of(graph: Graph, fit: Fit, parameters: Mapping[str, str]) -> Iterator[tuple[str, Output]]:
    """The output of each layer and head of the model that the graph shows, in the order of a forward pass."""
    norms = _norms(graph, fit, parameters)
    layers = range(fit.plan.dims["layers"])
    if fit.family.layout.final_norm:
        yield from _before_norms(graph, norms, layers)
    else:
        yield from _behind_norms(graph, fit, parameters, norms, layers)
    yield from _heads(graph, fit, parameters)


def _norms(graph: Graph, fit: Fit, parameters: Mapping[str, str]) -> dict[int | None, list[int]]:
    """Number of a layer, None for outside -> its LayerNorm nodes, where each of its gammas enters one."""
    found: dict[int | None, list[int]] = {}
    missing: set[int | None] = set()
    for variable, structural in parameters.items():
        if structural.endswith(_GAMMA):
            numbers, layer = graph.taking(variable, "LayerNorm"), layer_of(fit.table.rows, structural)
            found.setdefault(layer, []).extend(numbers)
            missing |= {layer} if not numbers and layer is not None else set()
    return {layer: sorted(numbers) for layer, numbers in found.items() if numbers and layer not in missing}


def _before_norms(graph: Graph, norms: Mapping[int | None, list[int]], layers: range) -> Iterator[tuple[str, Output]]:
    """Outputs of layers that begin with a LayerNorm: each enters the first LayerNorm of the next layer."""
    final = max(norms.get(None, []), default=None)
    if 0 in norms:
        yield EMBEDDINGS, graph.nodes[norms[0][0]].inputs[0]
    for layer in layers:
        behind = norms[layer + 1][0] if layer + 1 in norms else final if layer + 1 == len(layers) else None
        if behind is not None:
            yield f"layer.{layer}", graph.nodes[behind].inputs[0]
    if final is not None:
        yield FINAL_NORM, (final, 0)


def _behind_norms(
    graph: Graph, fit: Fit, parameters: Mapping[str, str], norms: Mapping[int | None, list[int]], layers: range
) -> Iterator[tuple[str, Output]]:
    """Outputs of layers that end with a LayerNorm, and of the embeddings, with a LayerNorm or without."""
    first = norms[0][0] if 0 in norms else 0
    before = [number for number in norms.get(None, []) if number < first]
    before = before or [
        number
        for variable, structural in parameters.items()
        if axes_of(fit, structural).startswith("vocab_size ")
        for number in graph.taking(variable, "Embedding")
    ]
    if before:
        yield EMBEDDINGS, (before[-1], 0)
    for layer in layers:
        if layer in norms:
            yield f"layer.{layer}", (norms[layer][-1], 0)


def _heads(graph: Graph, fit: Fit, parameters: Mapping[str, str]) -> Iterator[tuple[str, Output]]:
    """Outputs of the heads: of the dense layers that take their weights."""
    for variable, structural in parameters.items():
        numbers, name = graph.taking(variable, "FullyConnected"), _head_of(fit, structural)
        if name and numbers:
            yield name, (_behind_tanh(graph, numbers[-1]) if name == POOLED else numbers[-1], 0)


def _head_of(fit: Fit, structural: str) -> str:
    """Name of the output of a dense layer with this weight, where a trace has one; "" otherwise."""
    if axes_of(fit, structural).startswith("vocab_size "):
        return MLM_LOGITS if fit.architecture.endswith(MASKED_LM_CLASSES) else LM_LOGITS
    targets = {spec.name for step in fit.plan.steps if structural in step.sources for spec in step.targets}
    name = next((output for end, output in _HEADS.items() if any(target.endswith(end) for target in targets)), "")
    return TAG_LOGITS if name == LOGITS and fit.architecture.endswith(_TAGGERS) else name


def heads_of_model(fit: Fit) -> Iterator[str]:
    """Names of the outputs of the model's heads, but for that of a word embedding that is no output matrix."""
    language_model = fit.architecture.endswith(LANGUAGE_MODELS)
    for structural in fit.names:
        name = _head_of(fit, structural)
        if name and (language_model or name not in {MLM_LOGITS, LM_LOGITS}):
            yield name


def _behind_tanh(graph: Graph, number: int) -> int:
    """The node that applies an activation to a dense layer's output; the layer itself where none does."""
    consumers = graph.consumers.get(number, ())
    return consumers[0] if len(consumers) == 1 and graph.nodes[consumers[0]].op in {"Activation", "tanh"} else number


def notes_on(graph: Graph, fit: Fit, places: Mapping[str, Output], known: Container[str], name: str) -> Iterator[str]:
    """A line for the layers that the graph does not show, and one for its outputs that are not compared.

    Raises:
        MappingError: the network's first output is more than an output of the target class.
    """
    expected = [EMBEDDINGS, *(f"layer.{number}" for number in range(fit.plan.dims["layers"]))]
    if absent := [output for output in expected if output not in places]:
        yield f"{name} does not show {labels(absent)} by its LayerNorm: not compared"
    by_place, others = {place: output for output, place in places.items()}, []
    for index, output in enumerate(graph.outputs):
        place, passed = _traced_back(graph, output, by_place)
        more = [op for op in passed if op not in _KEEPING]
        needed = (graph.nodes[number] for number in needed_nodes(graph.with_outputs((output,))))
        unknown = [node.name for node in needed if node.is_variable and node.name not in known]
        if unknown:
            tensors = ", ".join(printable(variable) for variable in unknown)
            yield f"output {index} of {name} was not compared: it needs {tensors}, which the model has not"
        elif (place is None or more) and index == 0:
            op = more[0] if more else graph.nodes[output[0]].op
            raise MappingError(
                f"{name}: the network's first output is {op} of {place or 'other values'}, expected an output of "
                f"{fit.architecture}: {', '.join(places)}"
            )
        elif place is None or more:
            others.append(str(index))
        elif squashed := [op for op in passed if op in _SQUASHING]:
            yield f"output {index} of {name} is {squashed[0]} of {place}, which was compared in front of it"
    if others:
        yield f"outputs of {name} that {fit.architecture} has not, and that were not compared: {', '.join(others)}"


def _traced_back(graph: Graph, output: Output, places: Mapping[Output, str]) -> tuple[str | None, list[str]]:
    """The output of a trace from which an output of the graph is made by operators on one array; those operators."""
    passed: list[str] = []
    while output not in places:
        node = graph.nodes[output[0]]
        data = [source for source in node.inputs if not graph.nodes[source[0]].is_variable]
        if len(data) != 1:
            return None, passed
        passed.append(node.op)
        output = data[0]
    return places[output], passed
