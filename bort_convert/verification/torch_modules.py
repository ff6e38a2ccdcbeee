"""Where a target model has what a trace keeps: its embeddings, its layers, its positions.

MERGED verify.heads: What stands behind the encoder of a target model: its pooler and heads, whatever its class calls them.

MERGED verify.hooks: Hooks on the modules of a torch model: what each gives is kept, or what it is given is put in another's place.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from bort_convert.errors import FormatError
from bort_convert.mapping.model_ops import exact_frequencies
from bort_convert.models.registry import families
from bort_convert.verification.trace import (
    EMBEDDINGS,
    FINAL_NORM,
    LM_LOGITS,
    LOGITS,
    MLM_LOGITS,
    NEXT_SENTENCE,
    POOLED,
    SPAN_LOGITS,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bort_convert.dtypes import Array
    from bort_convert.mapping.family import ModuleLayout

Model: TypeAlias = Any
"""A `PreTrainedModel`: transformers has no types here."""
Tensor: TypeAlias = Any


def stages(model: Model) -> list[tuple[str, Model]]:
    """The modules that the hidden states pass, each with the name that its output has in a trace, in their order."""
    layout, base = layout_of(model), model.base_model
    layers = base.get_submodule(layout.layers)
    found = [
        (EMBEDDINGS, base.get_submodule(layout.embeddings)),
        *((f"layer.{number}", layer) for number, layer in enumerate(layers)),
    ]
    return [*found, (FINAL_NORM, base.get_submodule(layout.final_norm))] if layout.final_norm else found


def position_rows(model: Model) -> int | None:
    """How many rows the table of position embeddings has; None where the backbone is given no positions."""
    path = layout_of(model).positions
    return int(model.base_model.get_submodule(path).num_embeddings) if path else None


def first_position(model: Model) -> int:
    """The position of the first token: 0, or the one behind the padding id in a class that counts by ids."""
    layout = layout_of(model)
    embeddings = model.base_model.get_submodule(layout.embeddings)
    return int(getattr(embeddings, "padding_idx", -1)) + 1 if layout.positions else 0


@contextmanager
def sharp_sinusoids(model: Model) -> Iterator[None]:
    """Until it ends, a float64 model has positions of that precision, where its class makes sinusoids in float32."""
    name, base = layout_of(model).sinusoids, model.base_model
    if not has_float32_sinusoids(model):
        yield
        return
    stock = getattr(base, name)

    def sharp(offsets: Any, frequencies: Any, *rest: Any) -> Any:  # noqa: ANN401 - tensors, which are not typed here
        exact = offsets.new_tensor(exact_frequencies(2 * len(frequencies)), dtype=model.dtype)
        return stock(offsets.to(model.dtype), exact, *rest)

    setattr(base, name, sharp)
    try:
        yield
    finally:
        delattr(base, name)


def has_float32_sinusoids(model: Model) -> bool:
    """Whether a model of higher precision has positions in float32, which its class makes whatever the model is."""
    return bool(layout_of(model).sinusoids) and "float64" in str(model.dtype)


def embeddings_norm(model: Model) -> Model:
    """The embeddings' LayerNorm, None without one."""
    return getattr(model.base_model.get_submodule(layout_of(model).embeddings), "LayerNorm", None)


def epsilon_of(model: Model) -> float:
    """LayerNorm's epsilon by the config."""
    names = ("layer_norm_eps", "layer_norm_epsilon")
    return float(next(getattr(model.config, name) for name in names if hasattr(model.config, name)))


def layout_of(model: Model) -> ModuleLayout:
    """The layout of the family that the model is of.

    Raises:
        FormatError: it is of none.
    """
    kind = model.config.model_type
    for family in families().values():
        if family.model_type == kind:
            return family.layout
    raise FormatError(f"config.json: model_type is {kind!r}, which no family has")


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


def keeping(kept: dict[str, Array], name: str, batch_axis: int) -> Callable[..., None]:
    """A forward hook that keeps a module's output, the first of several, with the batch in front.

    Args:
        kept: where to.
        name: under what name.
        batch_axis: where the module has the batch.
    """

    def hook(_module: object, _inputs: object, output: Tensor) -> None:
        values = output[0] if isinstance(output, tuple) else output
        kept[name] = values.movedim(batch_axis, 0).cpu().numpy()

    return hook


def feeding(values: Tensor, batch_axis: int) -> Callable[..., tuple[Any, ...]]:
    """A hook before a module's forward that puts `values`, with the batch in front, in the first argument's place."""

    def hook(_module: object, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        return (values.movedim(0, batch_axis), *arguments[1:])

    return hook
