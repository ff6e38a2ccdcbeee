"""A run as data: inputs, every output and their provenance. A saved one is a reference that needs no MXNet.

Inputs (all int64):
    input_ids           (batch, length), right-padded
    valid_length        (batch,), tokens of each row before its padding, at least 1
    token_types         (batch, length), the segment of each token; only where a model has more than one
    masked_positions    (batch, masked), valid positions that the language-model head reads; only with such a head
    positions           (n, 2), pairs of batch and token that were kept; only in a sampled trace
A model with an encoder and a decoder has two of some; masked_positions are then the decoder's:
    decoder_input_ids       (batch, target_length)
    decoder_valid_length    (batch,)
    decoder_positions       (n, 2), only in a sampled trace
With gradients, float64 cotangents of every output too: cotangents/OUTPUT, in the shape of the output, zero at padding.

Outputs (float32 or float64, as computed):
    embeddings          (batch, length, hidden_size), as they enter the first layer
    layer.N             (batch, length, hidden_size), N from 0, counted by calls where layers share their weights; not
                        zeroed beyond the valid length
    final_norm          (batch, length, hidden_size), where a LayerNorm follows the last layer
    attention.N         (batch, length, attention_heads, length), probabilities of each token's query
    pooled              (batch, hidden_size), of the first token
    next_sentence       (batch, 2)
    sentence_order      (batch, 2)
    mlm_logits          (batch, masked, vocab_size), of a masked-language-model head
    lm_logits           (batch, masked, vocab_size), of any other language-model head, such as for the next token
    logits              (batch, labels)
    span_logits         (batch, length, 2), for the first and the last token of an answer
    tag_logits          (batch, length, labels), for the tag of each token
    replaced_logits     (batch, length), for tokens that a generator put in
    no_answer           (batch, 1), of an XLNet; its span_logits are those of the last token if the first one begins
In a sampled trace, (n,) stands in place of (batch, length). A model with an encoder and a decoder has its hidden states
and attentions as encoder.NAME and decoder.NAME, and decoder.cross_attention.N (batch, target_length, attention_heads,
length) too; its heads read the decoder.

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
SENTENCE_ORDER: Final = "sentence_order"
MLM_LOGITS: Final = "mlm_logits"
LOGITS: Final = "logits"
LM_LOGITS: Final = "lm_logits"
SPAN_LOGITS: Final = "span_logits"
REPLACED_LOGITS: Final = "replaced_logits"
TAG_LOGITS: Final = "tag_logits"
NO_ANSWER: Final = "no_answer"
TOKEN_HEADS: Final = (SPAN_LOGITS, TAG_LOGITS, REPLACED_LOGITS)
LANGUAGE_MODELS: Final = (MLM_LOGITS, LM_LOGITS)
HEADS: Final = (POOLED, NEXT_SENTENCE, SENTENCE_ORDER, LOGITS, *TOKEN_HEADS, NO_ANSWER, *LANGUAGE_MODELS)
EMBEDDINGS: Final = "embeddings"
FINAL_NORM: Final = "final_norm"
BACKBONE: Final = (EMBEDDINGS, FINAL_NORM)
LAYER: Final = "layer"
ATTENTION: Final = "attention"
CROSS_ATTENTION: Final = "cross_attention"
ENCODER: Final = "encoder."
DECODER: Final = "decoder."
COTANGENTS: Final = "cotangents/"
REPLACED_PARTS: Final = "replaced_parts"
"""Key of the provenance: what MXNet computes in float32 whatever the precision, or wrongly, and was replaced."""
REPLACED_COST: Final = "replaced_cost"
"""Key of the provenance: the largest difference that it makes as it is."""
DECODER_IDS: Final = "decoder_input_ids"
INPUTS: Final = (
    *("input_ids", "valid_length", "token_types", "masked_positions", "positions"),
    *(DECODER_IDS, "decoder_valid_length", "decoder_positions"),
)
_NUMBERED: Final = (ATTENTION, CROSS_ATTENTION, LAYER)


@dataclass(frozen=True)
class Trace:
    """Outputs of a model for some inputs.

    Attributes:
        inputs: name -> array, as listed above.
        outputs: dtype -> output name -> array, in the order of a forward pass.
        provenance: versions; the source's name, size and sha256; family, architecture and seed; and as JSON text dims,
            hyperparameters and config (key of the target config -> the value that the source calls for).
        gradients: dtype -> structural name -> array; empty where there are no cotangents.

    Examples:
        >>> import numpy as np
        >>> ids = np.array([[0, 5, 2]], np.int32)
        >>> hidden = np.zeros((1, 3, 32), np.float32)
        >>> trace = bort_convert.Trace(
        ...     inputs={"input_ids": ids},
        ...     outputs={"float32": {"embeddings": hidden}},
        ...     provenance={"dims": '{"layers": 4}'},
        ... )
        >>> trace.dims
        {'layers': 4}
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


def stack_of(name: str, inputs: Mapping[str, Array]) -> str:
    """The stack whose tokens an output stands for: "encoder.", "decoder.", or "" in a model of one stack."""
    if DECODER_IDS not in inputs:
        return ""
    return ENCODER if name.startswith(ENCODER) else DECODER


def stacks_of(inputs: Mapping[str, Array]) -> tuple[str, ...]:
    """Beginnings of the names of hidden states, one for each stack: "" alone, or "encoder." and "decoder."."""
    return (ENCODER, DECODER) if DECODER_IDS in inputs else ("",)


def input_of(stack: str, name: str) -> str:
    """Name of a stack's `input_ids`, `valid_length` or `positions`."""
    return f"decoder_{name}" if stack == DECODER else name


def layers_of(stack: str, dims: Mapping[str, int]) -> int:
    """Number of layers of a stack."""
    return dims.get("decoder_layers", dims["layers"]) if stack == DECODER else dims["layers"]


def bare(name: str) -> str:
    """Name of an output without its stack."""
    return name.removeprefix(ENCODER).removeprefix(DECODER)


def is_attention(name: str) -> bool:
    """True if an output holds attention probabilities."""
    return bare(name).startswith((f"{ATTENTION}.", f"{CROSS_ATTENTION}."))


def is_output(name: str) -> bool:
    """True if a trace can have an output of this name."""
    kind, _, number = bare(name).partition(".")
    return name in HEADS or bare(name) in BACKBONE or (kind in _NUMBERED and number.isdecimal() and number.isascii())


def is_per_token(name: str) -> bool:
    """True if an output has one row for each token of the batch; few heads have."""
    return name not in HEADS or name in TOKEN_HEADS


def output_order(name: str) -> tuple[int, int, int, int]:
    """Sort key of a forward pass: in each stack embeddings, each layer after its attentions, last norm; then heads."""
    if name in HEADS:
        return 2, HEADS.index(name), 0, 0
    kind, _, number = bare(name).partition(".")
    stack = int(name.startswith(DECODER))
    if kind in _NUMBERED:
        return stack, 1, int(number), _NUMBERED.index(kind)
    return stack, BACKBONE.index(kind) * 2, 0, 0


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
    stack, keys = stack_of(name, inputs), inputs["input_ids"].shape[1]
    batch, length = inputs[input_of(stack, "input_ids")].shape
    heads = {LOGITS: (batch, dims.get("labels", 0)), POOLED: (batch, dims["hidden_size"])}
    heads |= dict.fromkeys((NEXT_SENTENCE, SENTENCE_ORDER), (batch, 2))
    heads[NO_ANSWER] = (batch, 1)
    if name in heads:
        return heads[name]
    if name in LANGUAGE_MODELS:
        masked = inputs.get("masked_positions")
        return batch, 0 if masked is None else masked.shape[1], dims["vocab_size"]
    rows = (len(inputs[sample]),) if (sample := input_of(stack, "positions")) in inputs else (batch, length)
    if is_attention(name):
        return *rows, attention_heads, keys if CROSS_ATTENTION in name else length
    last = {SPAN_LOGITS: (2,), TAG_LOGITS: (dims.get("labels", 0),), REPLACED_LOGITS: ()}
    return *rows, *last.get(name, (dims["hidden_size"],))


def sampled(trace: Trace, *, layers: tuple[int, ...] | None = None, sample: int | None = None, seed: int = 0) -> Trace:
    """Keep some of the layers and some of the valid positions of a whole trace.

    Args:
        trace: a whole one.
        layers: numbers of the layers and attentions to keep, in either stack; None for all. Embeddings and heads stay.
        sample: number of valid positions of each stack to keep, in batch order; None for all.
        seed: of the random choice of positions.
    """
    inputs = dict(trace.inputs)
    for stack in stacks_of(inputs) if sample is not None else ():
        valid = valid_positions(trace.inputs, stack)
        chosen = np.random.default_rng(seed).choice(len(valid), min(sample or 0, len(valid)), replace=False)
        inputs[input_of(stack, "positions")] = valid[np.sort(chosen)]
    outputs: dict[str, dict[str, Array]] = {}
    for dtype, arrays in trace.outputs.items():
        kept = {name: array for name, array in arrays.items() if layers is None or _is_kept(name, layers)}
        outputs[dtype] = {name: pick(name, array, sample_of(name, inputs)) for name, array in kept.items()}
    return replace(trace, inputs=inputs, outputs=outputs)


def sample_of(name: str, inputs: Mapping[str, Array]) -> Array | None:
    """Pairs of batch and token (n, 2) that an output of a sampled trace was kept for; None in a whole trace."""
    return inputs.get(input_of(stack_of(name, inputs), "positions"))


def valid_positions(inputs: Mapping[str, Array], stack: str = "") -> Array:
    """Pairs of batch and token, (n, 2) int64, at which outputs are compared: the sampled ones, or all valid ones."""
    chosen = inputs.get(input_of(stack, "positions"))
    return np.argwhere(is_valid(inputs, stack)) if chosen is None else chosen


def is_valid(inputs: Mapping[str, Array], stack: str = "") -> Array:
    """True at each token of a stack that is no padding, (batch, length)."""
    ids, lengths = (inputs[input_of(stack, name)] for name in ("input_ids", "valid_length"))
    valid: Array = np.arange(ids.shape[1]) < lengths[:, None]
    return valid


def pick(name: str, array: Array, positions: Array | None) -> Array:
    """Values of an output at pairs of batch and token; the whole array of a head, or where `positions` is None."""
    if positions is None or not is_per_token(name):
        return array
    picked: Array = array[positions[:, 0], positions[:, 1]]
    return picked


def _is_kept(name: str, layers: tuple[int, ...]) -> bool:
    kind, _, number = bare(name).partition(".")
    return kind not in _NUMBERED or int(number) in layers
