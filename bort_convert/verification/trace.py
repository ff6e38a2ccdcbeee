"""A run as data: inputs, every output, and what produced them; kept as safetensors, so that it can be judged anywhere.

In the file an input is called `inputs/NAME` and an output `DTYPE/NAME`; the provenance is the metadata.

Inputs (all int64):
    input_ids           (batch, length), right-padded
    valid_length        (batch,), tokens of each row that count, at least 1
    token_types         (batch, length), the segment of each token; only where a model has more than one
    masked_positions    (batch, masked), valid positions that the language-model head reads; only with such a head
    positions           (n, 2), the pairs of batch and token that were kept; only in a sampled trace

Outputs (dtype float32 or float64, as computed):
    embeddings          (batch, length, units), after their LayerNorm
    layer.N             (batch, length, units), N from 0; not zeroed beyond the valid length
    final_norm          (batch, length, units), where a LayerNorm stands behind the last layer
    attention.N         (batch, length, heads, length), probabilities of each token's query
    pooled              (batch, units), of the first token
    next_sentence       (batch, 2)
    mlm_logits          (batch, masked, vocab), of a masked-language-model head
    lm_logits           (batch, masked, vocab), of any other language-model head: for the next token, say
    logits              (batch, labels)
    span_logits         (batch, length, 2), whether an answer begins here, and whether it ends here
In a sampled trace `n` stands for (batch, length) in those that have it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
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
HEADS: Final = (POOLED, NEXT_SENTENCE, LOGITS, SPAN_LOGITS, MLM_LOGITS, LM_LOGITS)
EMBEDDINGS: Final = "embeddings"
FINAL_NORM: Final = "final_norm"
BACKBONE: Final = (EMBEDDINGS, FINAL_NORM)
INPUTS: Final = ("input_ids", "valid_length", "token_types", "masked_positions", "positions")


@dataclass(frozen=True)
class Trace:
    """What a model computes from some inputs.

    Attributes:
        inputs: name -> array, as the module says.
        outputs: dtype -> output name -> array, in the order in which a forward pass makes them.
        provenance: what produced it: versions, the source's name, size and sha256, family, architecture, seed; and as
            JSON, dims, hyperparameters and config (key of the target config -> the value that the source calls for).
    """

    inputs: Mapping[str, Array]
    outputs: Mapping[str, Mapping[str, Array]]
    provenance: Mapping[str, str]

    @property
    def positions(self) -> Array | None:
        """The pairs of batch and token (n, 2) that a sampled trace has; None for a whole one."""
        return self.inputs.get("positions")

    def fact(self, name: str) -> dict[str, Any]:
        """A part of the provenance that is kept as JSON: "dims", "hyperparameters" or "config"."""
        return dict(json.loads(self.provenance[name]))


def dtypes_of(dtype: str) -> tuple[str, ...]:
    """The precisions that "float32", "float64" or "both" asks for.

    Raises:
        OptionError: it is none of them.
    """
    if dtype not in {*DTYPES, BOTH}:
        raise OptionError("dtype", dtype, f"expected {', '.join((*DTYPES, BOTH))}")
    return DTYPES if dtype == BOTH else (dtype,)


def is_per_token(name: str) -> bool:
    """Whether an output has one row for each token of the batch (of the heads, only the one that finds answers)."""
    return name not in HEADS or name == SPAN_LOGITS


def output_order(name: str) -> tuple[int, int, int]:
    """Sorts outputs as a forward pass makes them: embeddings, each layer behind its attention, last norm, heads."""
    kind, _, number = name.partition(".")
    if kind in {"layer", "attention"}:
        return 1, int(number), int(kind == "layer")
    return (BACKBONE.index(name) * 2, 0, 0) if name in BACKBONE else (3, HEADS.index(name), 0)


def sampled(trace: Trace, *, layers: tuple[int, ...] | None = None, sample: int | None = None, seed: int = 0) -> Trace:
    """A smaller trace: some of the layers, some of the valid positions.

    Args:
        trace: a whole one.
        layers: numbers to keep, of layers and attentions; None for all. Embeddings and heads always stay.
        sample: how many valid positions to keep, in batch order; None for all.
        seed: of the choice.
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
    """The pairs of batch and token, (n, 2) int64, that outputs are compared at: the sampled ones, or all valid ones."""
    if trace.positions is not None:
        return trace.positions
    ids, lengths = trace.inputs["input_ids"], trace.inputs["valid_length"]
    return np.argwhere(np.arange(ids.shape[1]) < lengths[:, None])


def pick(name: str, array: Array, positions: Array | None) -> Array:
    """An output at these pairs of batch and token; a head's output, and any where `positions` is None, as it is."""
    if positions is None or not is_per_token(name):
        return array
    picked: Array = array[positions[:, 0], positions[:, 1]]
    return picked


def _is_kept(name: str, layers: tuple[int, ...]) -> bool:
    rank, number, _ = output_order(name)
    return rank != 1 or number in layers
