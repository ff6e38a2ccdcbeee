"""A run as data: inputs, every output and their provenance. A saved one is a reference that needs no MXNet.

Inputs (all int64):
    input_ids           (batch, length), right-padded
    valid_length        (batch,), tokens of each row before its padding, at least 1
    token_types         (batch, length), the segment of each token; only where a model has more than one
    masked_positions    (batch, masked), valid positions that the language-model head reads; only with such a head
    positions           (n, 2), pairs of batch and token that were kept; only in a sampled trace
With gradients, float64 cotangents of every output too: cotangents/OUTPUT, in the shape of the output, zero at padding.

Outputs (float32 or float64, as computed):
    embeddings          (batch, length, hidden_size), after their LayerNorm
    layer.N             (batch, length, hidden_size), N from 0; not zeroed beyond the valid length
    final_norm          (batch, length, hidden_size), where a LayerNorm follows the last layer
    attention.N         (batch, length, attention_heads, length), probabilities of each token's query
    pooled              (batch, hidden_size), of the first token
    next_sentence       (batch, 2)
    mlm_logits          (batch, masked, vocab_size), of a masked-language-model head
    lm_logits           (batch, masked, vocab_size), of any other language-model head, such as for the next token
    logits              (batch, labels)
    span_logits         (batch, length, 2), for the first and the last token of an answer
    tag_logits          (batch, length, labels), for the tag of each token
In a sampled trace, (n,) stands in place of (batch, length).

Gradients are those of the sum over all outputs of <cotangent, output>. A file holds none.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bort_convert.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bort_convert.dtypes import Array

DTYPES: Final = ("float32", "float64")
BOTH: Final = "both"
POOLED: Final = "pooled"
NEXT_SENTENCE: Final = "next_sentence"
MLM_LOGITS: Final = "mlm_logits"
LOGITS: Final = "logits"
LM_LOGITS: Final = "lm_logits"
SPAN_LOGITS: Final = "span_logits"
TAG_LOGITS: Final = "tag_logits"
TOKEN_HEADS: Final = (SPAN_LOGITS, TAG_LOGITS)
HEADS: Final = (POOLED, NEXT_SENTENCE, LOGITS, *TOKEN_HEADS, MLM_LOGITS, LM_LOGITS)
EMBEDDINGS: Final = "embeddings"
FINAL_NORM: Final = "final_norm"
BACKBONE: Final = (EMBEDDINGS, FINAL_NORM)
COTANGENTS: Final = "cotangents/"
INPUTS: Final = ("input_ids", "valid_length", "token_types", "masked_positions", "positions")


@dataclass(frozen=True)
class Trace:
    """Outputs of a model for some inputs.

    Attributes:
        inputs: name -> array, as listed above.
        outputs: dtype -> output name -> array, in the order of a forward pass.
        provenance: versions; the source's name, size and sha256; family, architecture and seed; and as JSON text dims,
            hyperparameters and config (key of the target config -> the value that the source calls for).
        gradients: dtype -> structural name -> array; empty where there are no cotangents.
    """

    inputs: Mapping[str, Array]
    outputs: Mapping[str, Mapping[str, Array]]
    provenance: Mapping[str, str]
    gradients: Mapping[str, Mapping[str, Array]] = field(default_factory=dict)

    @property
    def cotangents(self) -> dict[str, Array]:
        """Weights of every output's values in the sum that is differentiated, by the output's name."""
        found = {name: array for name, array in self.inputs.items() if name.startswith(COTANGENTS)}
        return {name.removeprefix(COTANGENTS): array for name, array in found.items()}

    @property
    def positions(self) -> Array | None:
        """Pairs of batch and token (n, 2) of a sampled trace; None for a whole one."""
        return self.inputs.get("positions")

    @property
    def dims(self) -> dict[str, Any]:
        """Sizes of the source's axes, and the number of layers."""
        return dict(json.loads(self.provenance["dims"]))

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """Hyperparameters of the source, which shapes cannot show."""
        return dict(json.loads(self.provenance["hyperparameters"]))

    @property
    def config(self) -> dict[str, Any]:
        """Keys of the target config with the values that the source calls for."""
        return dict(json.loads(self.provenance["config"]))

    @property
    def attention_heads(self) -> int | None:
        """Attention heads, a hyperparameter of most models and an axis of others."""
        return {**self.dims, **self.hyperparameters}.get("attention_heads")


def dtypes_of(dtype: str) -> tuple[str, ...]:
    """The precisions that "float32", "float64" or "both" asks for.

    Raises:
        OptionError: `dtype` is none of the three.
    """
    if dtype not in {*DTYPES, BOTH}:
        raise OptionError("dtype", dtype, f"expected {', '.join((*DTYPES, BOTH))}")
    return DTYPES if dtype == BOTH else (dtype,)


def is_per_token(name: str) -> bool:
    """True if an output has one row for each token of the batch; such heads are those for answers and for tags."""
    return name not in HEADS or name in TOKEN_HEADS


def output_order(name: str) -> tuple[int, int, int]:
    """Sort key of a forward pass: embeddings, each layer after its attention, last norm, heads."""
    kind, _, number = name.partition(".")
    if kind in {"layer", "attention"}:
        return 1, int(number), int(kind == "layer")
    return (BACKBONE.index(name) * 2, 0, 0) if name in BACKBONE else (3, HEADS.index(name), 0)


def output_shape(
    name: str, inputs: Mapping[str, Array], dims: Mapping[str, int], attention_heads: int | None
) -> tuple[int | None, ...]:
    """Shape of an output.

    Args:
        name: of the output.
        inputs: of a trace.
        dims: sizes of the source's axes.
        attention_heads: of the model.
    """
    batch, length = inputs["input_ids"].shape
    heads = {LOGITS: (batch, dims.get("labels", 0)), POOLED: (batch, dims["hidden_size"]), NEXT_SENTENCE: (batch, 2)}
    if name in heads:
        return heads[name]
    if name in {MLM_LOGITS, LM_LOGITS}:
        masked = inputs.get("masked_positions")
        return batch, 0 if masked is None else masked.shape[1], dims["vocab_size"]
    rows = (len(inputs["positions"]),) if "positions" in inputs else (batch, length)
    if name.startswith("attention."):
        return *rows, attention_heads, length
    return *rows, {SPAN_LOGITS: 2, TAG_LOGITS: dims.get("labels", 0)}.get(name, dims["hidden_size"])


def sampled(trace: Trace, *, layers: tuple[int, ...] | None = None, sample: int | None = None, seed: int = 0) -> Trace:
    """Keep some of the layers and some of the valid positions of a whole trace.

    Args:
        trace: a whole one.
        layers: numbers of the layers and attentions to keep; None for all. Embeddings and heads always stay.
        sample: number of valid positions to keep, in batch order; None for all.
        seed: of the random choice of positions.
    """
    inputs = dict(trace.inputs)
    if sample is not None:
        valid = valid_positions(trace)
        chosen = np.random.default_rng(seed).choice(len(valid), min(sample, len(valid)), replace=False)
        inputs["positions"] = valid[np.sort(chosen)]
    outputs: dict[str, dict[str, Array]] = {}
    for dtype, arrays in trace.outputs.items():
        kept = {name: array for name, array in arrays.items() if layers is None or _is_kept(name, layers)}
        outputs[dtype] = {name: pick(name, array, inputs.get("positions")) for name, array in kept.items()}
    return replace(trace, inputs=inputs, outputs=outputs)


def valid_positions(trace: Trace) -> Array:
    """Pairs of batch and token, (n, 2) int64, at which outputs are compared: the sampled ones, or all valid ones."""
    if trace.positions is not None:
        return trace.positions
    ids, lengths = trace.inputs["input_ids"], trace.inputs["valid_length"]
    return np.argwhere(np.arange(ids.shape[1]) < lengths[:, None])


def pick(name: str, array: Array, positions: Array | None) -> Array:
    """Values of an output at pairs of batch and token; the whole array of a head, or where `positions` is None."""
    if positions is None or not is_per_token(name):
        return array
    picked: Array = array[positions[:, 0], positions[:, 1]]
    return picked


def _is_kept(name: str, layers: tuple[int, ...]) -> bool:
    rank, number, _ = output_order(name)
    return rank != 1 or number in layers
