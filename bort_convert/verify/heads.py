"""What stands behind the encoder of a receiving model: its pooler and heads, whatever its class calls them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from bort_convert.verify.trace import LM_LOGITS, LOGITS, MLM_LOGITS, NEXT_SENTENCE, POOLED, SPAN_LOGITS

if TYPE_CHECKING:
    from bort_convert.dtypes import Array

Model: TypeAlias = Any
Tensor: TypeAlias = Any


def head_norm(model: Model) -> Model:
    """The masked-language-model head's LayerNorm, None without such a head."""
    if hasattr(model, "lm_head"):
        return getattr(model.lm_head, "layer_norm", None)  # without one it is a matrix: no masked-language-model head
    transform = head_transform(model)
    return transform.LayerNorm if transform is not None else None


def head_transform(model: Model) -> Model:
    """What a BERT's masked-language-model head has in front of its output layer, None without such a head."""
    predictions = getattr(getattr(model, "cls", None), "predictions", None)
    return predictions.transform if predictions is not None else None


def head_outputs(model: Model, last: Tensor, masked: Array | None) -> dict[str, Array]:
    """What pooler and heads make of the encoder's output.

    Args:
        model: a `PreTrainedModel`.
        last: (batch, length, units), a torch tensor.
        masked: (batch, masked), the positions that the masked-language-model head reads; None for none.

    Returns:
        By the names that a trace has; see `bort_convert.verify.trace`.
    """
    found: dict[str, Tensor] = {}
    if getattr(model.base_model, "pooler", None) is not None:
        found[POOLED] = model.base_model.pooler(last)
    head: Model = getattr(model, "cls", None)
    if hasattr(head, "seq_relationship"):
        found[NEXT_SENTENCE] = head.seq_relationship(found[POOLED])
    decode = getattr(model, "lm_head", getattr(head, "predictions", None))
    if masked is not None and (decode := decode or model.get_output_embeddings()) is not None:
        name = LM_LOGITS if head_norm(model) is None else MLM_LOGITS
        found[name] = decode(last[np.arange(len(masked))[:, None], masked])
    if hasattr(model, "classifier"):  # RoBERTa's takes the first token by itself
        found[LOGITS] = model.classifier(found.get(POOLED, last))
    if hasattr(model, "qa_outputs"):
        found[SPAN_LOGITS] = model.qa_outputs(last)
    return {name: values.cpu().numpy() for name, values in found.items()}
