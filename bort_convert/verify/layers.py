"""Where a receiving model has what a trace keeps: its embeddings, its layers, its positions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from bort_convert.errors import FormatError
from bort_convert.family import families
from bort_convert.verify.trace import EMBEDDINGS, FINAL_NORM

if TYPE_CHECKING:
    from bort_convert.family import Layout

Model: TypeAlias = Any
"""A `PreTrainedModel`: what transformers gives is not typed here."""


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
    embeddings = model.base_model.get_submodule(layout_of(model).embeddings)
    return int(getattr(embeddings, "padding_idx", -1)) + 1


def embeddings_norm(model: Model) -> Model:
    """The embeddings' LayerNorm, None without one."""
    return getattr(model.base_model.get_submodule(layout_of(model).embeddings), "LayerNorm", None)


def epsilon_of(model: Model) -> float:
    """LayerNorm's epsilon by the config."""
    names = ("layer_norm_eps", "layer_norm_epsilon")
    return float(next(getattr(model.config, name) for name in names if hasattr(model.config, name)))


def layout_of(model: Model) -> Layout:
    """The layout of the family that the model is of.

    Raises:
        FormatError: it is of none.
    """
    kind = model.config.model_type
    for family in families().values():
        if family.model_type == kind:
            return family.layout
    raise FormatError(f"config.json: model_type is {kind!r}, which no family has")
