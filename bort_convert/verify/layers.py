"""Where a receiving model has what a trace keeps: its embeddings, its layers, its positions."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

from bort_convert.errors import FormatError
from bort_convert.family import families
from bort_convert.frequencies import exact_frequencies
from bort_convert.verify.trace import EMBEDDINGS, FINAL_NORM

if TYPE_CHECKING:
    from collections.abc import Iterator

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
