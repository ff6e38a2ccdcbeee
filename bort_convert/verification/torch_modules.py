"""Find what a trace keeps in a transformers model: embeddings, layers, norms, positions, heads."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from bort_convert.errors import FormatError
from bort_convert.models.registry import families
from bort_convert.verification.trace import (
    DECODER,
    ENCODER,
    LM_LOGITS,
    LOGITS,
    MLM_LOGITS,
    NEXT_SENTENCE,
    NO_ANSWER,
    POOLED,
    REPLACED_LOGITS,
    SENTENCE_ORDER,
    SPAN_LOGITS,
    TAG_LOGITS,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from bort_convert.dtypes import Array
    from bort_convert.mapping.family import ModuleLayout

Model: TypeAlias = Any
"""A `PreTrainedModel`; transformers has no types here."""
Module: TypeAlias = Any
Tensor: TypeAlias = Any
_EPSILON: Final = 1e-5
"""Of torch's LayerNorm, which a class takes that has no key for it, such as Bart's."""


def layout_of(model: Model) -> ModuleLayout:
    """Layout of the family whose `model_type` the model has.

    Raises:
        FormatError: no family has that `model_type`.
    """
    kind = model.config.model_type
    for family in families().values():
        if family.model_type == kind:
            return family.layout
    raise FormatError(f"config.json: model_type is {kind!r}, which no family has")


@dataclass(frozen=True)
class Stack:
    """Modules that the hidden states of one stack pass, in their order.

    Attributes:
        prefix: beginning of the names of its outputs in a trace: "", "encoder." or "decoder.".
        module: runs the stack on token ids.
        embeddings: module whose output enters the first layer.
        layers: each of them, once; one may run several times.
        final_norm: LayerNorm behind the last layer; None without one.
        batch_axis: of the hidden states.
    """

    prefix: str
    module: Module
    embeddings: Module
    layers: tuple[Module, ...]
    final_norm: Module | None
    batch_axis: int


def stacks(model: Model) -> list[Stack]:
    """Stacks of a backbone: one, or an encoder and a decoder."""
    base, layout = model.base_model, layout_of(model)
    if layout.decoder is None:
        return [_stack("", base, base, layout)]
    return [_stack(ENCODER, base, base.encoder, layout), _stack(DECODER, base, base.decoder, layout.decoder)]


def _stack(prefix: str, base: Module, module: Module, layout: ModuleLayout) -> Stack:
    projected = layout.projection and base.get_submodule(layout.projection.rpartition(".")[0])
    has_projection = projected and hasattr(projected, layout.projection.rpartition(".")[2])
    return Stack(
        prefix,
        module,
        base.get_submodule(layout.projection if has_projection else layout.embeddings),
        tuple(base.get_submodule(layout.layers)),
        base.get_submodule(layout.final_norm) if layout.final_norm else None,
        layout.batch_axis,
    )


def position_rows(model: Model) -> int | None:
    """Rows of the table of position embeddings; None where the backbone takes no positions."""
    path = layout_of(model).positions
    return int(model.base_model.get_submodule(path).num_embeddings) if path else None


def first_position(model: Model) -> int:
    """Position of the first token: 0, or the padding id plus 1 in a class that derives positions from ids."""
    layout = layout_of(model)
    embeddings = model.base_model.get_submodule(layout.embeddings)
    return int(getattr(embeddings, "padding_idx", -1)) + 1 if layout.positions else 0


def shortest_text(model: Model) -> int:
    """Tokens that a text must have: as many as the best answers that an XLNet searches for, else 1."""
    return max(model.config.start_n_top, model.config.end_n_top) if hasattr(model, "answer_class") else 1


def embeddings_of(model: Model) -> Iterator[tuple[str, Module]]:
    """Every `torch.nn.Embedding` with its path."""
    return ((path, module) for path, module in model.named_modules() if hasattr(module, "num_embeddings"))


def frozen_rows(model: Model) -> dict[str, int]:
    """Name of each embedding matrix with a row that gets no gradient -> that row, torch's `padding_idx`."""
    rows = {f"{path}.weight": module.padding_idx for path, module in embeddings_of(model)}
    return {name: int(row) for name, row in rows.items() if row is not None}


def has_float32_sinusoids(model: Model) -> bool:
    """True if the class computes sinusoids in float32 although the model is in float64."""
    return bool(layout_of(model).sinusoids) and "float64" in str(model.dtype)


def float32_parts(model: Model) -> str:
    """Name of parts that the class computes in float32 although the model is in float64; "" without any."""
    layout = layout_of(model)
    parts = layout.float32_parts or ("positions" if layout.sinusoids else "")
    return parts if "float64" in str(model.dtype) else ""


def epsilon_of(model: Model) -> float:
    """LayerNorm's epsilon by the config, or that of the class where the config has none."""
    names = ("layer_norm_eps", "layer_norm_epsilon")
    return float(next((getattr(model.config, name) for name in names if hasattr(model.config, name)), _EPSILON))


def embeddings_norm(model: Model) -> Module | None:
    """LayerNorm of the embeddings; None without one."""
    return getattr(model.base_model.get_submodule(layout_of(model).embeddings), "LayerNorm", None)


def clamp_distances(model: Model, clamp_len: int | None) -> None:
    """Clip the distances of relative positions to [0, clamp_len] in a model that has them; None lifts the clamp.

    The class itself clips to [-clamp_len, clamp_len], which no GluonNLP model does.
    """
    base, name = model.base_model, layout_of(model).sinusoids
    vars(base).pop(name, None)
    if name and clamp_len is not None:
        setattr(base, name, partial(_clamped, getattr(base, name), clamp_len))


def _clamped(sinusoids: Callable[..., Tensor], clamp_len: int, offsets: Tensor, *rest: Any) -> Tensor:  # noqa: ANN401 - the class decides
    """Sinusoids of clipped offsets; a function of the module, so that the model can be pickled."""
    return sinusoids(offsets.clamp(0, clamp_len), *rest)


def leave_decoder_unscaled(model: Model) -> None:
    """Keep a T5's logits unscaled, where its config says so, in a transformers that does not know that key.

    transformers 4 multiplies the decoder's output by `model_dim**-0.5` whenever the output layer is tied.
    """
    knows_key = hasattr(type(model.config)(), "scale_decoder_outputs")
    if not knows_key and getattr(model.config, "scale_decoder_outputs", True) is False:
        model.model_dim = 1


def head_norm(model: Model) -> Module | None:
    """LayerNorm of the masked-language-model head; None without such a head."""
    for name in ("lm_head", "predictions", "generator_predictions"):  # RoBERTa, ALBERT, ELECTRA
        if hasattr(model, name):
            head = getattr(model, name)  # the head of another language model is a matrix alone
            return getattr(head, "layer_norm", getattr(head, "LayerNorm", None))
    transform = head_transform(model)
    return transform.LayerNorm if transform is not None else None


def head_transform(model: Model) -> Module | None:
    """The layer before the output matrix in a BERT's masked-language-model head; None without such a head."""
    predictions = getattr(getattr(model, "cls", None), "predictions", None)
    return predictions.transform if predictions is not None else None


def head_outputs(model: Model, last: Tensor, inputs: Mapping[str, Array]) -> dict[str, Tensor]:
    """Run the pooler and the heads on the backbone's output.

    Args:
        model: a `PreTrainedModel`.
        last: (batch, length, hidden_size), a torch tensor.
        inputs: of a trace.

    Returns:
        The outputs by their names in a trace.
    """
    found: dict[str, Tensor] = {}
    masked = inputs.get("masked_positions")
    if getattr(model.base_model, "pooler", None) is not None:
        found[POOLED] = _pooled(model.base_model, last)
    head: Module = getattr(model, "cls", None)
    if hasattr(head, "seq_relationship"):
        found[NEXT_SENTENCE] = head.seq_relationship(found[POOLED])
    if hasattr(model, "sop_classifier"):
        found[SENTENCE_ORDER] = model.sop_classifier(found[POOLED])
    if masked is not None and (decode := _language_model(model)) is not None:
        name = LM_LOGITS if head_norm(model) is None else MLM_LOGITS
        found[name] = decode(last[np.arange(len(masked))[:, None], masked])
    if type(model).__name__.endswith("ForTokenClassification"):
        found[TAG_LOGITS] = model.classifier(last)
    elif hasattr(model, "classifier"):  # RoBERTa's picks the first token itself
        found[LOGITS] = model.classifier(found.get(POOLED, last))
    if hasattr(model, "qa_outputs"):
        found[SPAN_LOGITS] = model.qa_outputs(last)
    if hasattr(model, "discriminator_predictions"):
        found[REPLACED_LOGITS] = model.discriminator_predictions(last)
    if hasattr(model, "answer_class"):
        found |= _answers(model, last, inputs["valid_length"])
    return found


def _pooled(base: Module, last: Tensor) -> Tensor:
    """The pooler's output; ALBERT's pooler is a matrix, and its activation stands beside it."""
    activation = getattr(base, "pooler_activation", None)
    return base.pooler(last) if activation is None else activation(base.pooler(last[:, 0]))


def _language_model(model: Model) -> Callable[[Tensor], Tensor] | None:
    """The language-model head, a function of chosen hidden states; None without one."""
    if hasattr(model, "generator_predictions"):
        return lambda hidden: model.generator_lm_head(model.generator_predictions(hidden))
    head: Module = getattr(model, "cls", None)
    decode = getattr(model, "lm_head", getattr(model, "predictions", getattr(head, "predictions", None)))
    decode = decode or model.get_output_embeddings()
    if decode is not None and getattr(model.config, "scale_decoder_outputs", False):  # T5
        return lambda hidden: decode(hidden * model.config.d_model**-0.5)
    bias = getattr(model, "final_logits_bias", None)
    return decode if bias is None else lambda hidden: decode(hidden) + bias


def _answers(model: Model, last: Tensor, lengths: Array) -> dict[str, Tensor]:
    """Run the heads of an XLNet for answers, none of which may hold padding.

    The end depends on the start, which is the first token here; the class token is the last one of each row.
    """
    padding = last.new_tensor(np.arange(last.shape[1]) >= lengths[:, None])
    starts = model.start_logits(last, p_mask=padding)
    ends = model.end_logits(last, start_states=last[:, :1].expand_as(last), p_mask=padding)
    spans = last.new_zeros((*starts.shape, 2))
    spans[..., 0], spans[..., 1] = starts, ends
    states = (starts.softmax(-1)[..., None] * last).sum(1)
    class_token = last.new_tensor(lengths - 1).long()
    none = model.answer_class(last, start_states=states, cls_index=class_token)
    return {SPAN_LOGITS: spans, NO_ANSWER: none[:, None]}
