"""Changes of a torch model for the length of a run: keep outputs, replace inputs, other sinusoids, no frozen row."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from bort_convert.mapping.model_ops import exact_frequencies
from bort_convert.verification.torch_modules import (
    Model,
    Module,
    Tensor,
    embeddings_of,
    has_float32_sinusoids,
    layout_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def keep_output(kept: dict[str, Tensor], names: Iterator[str], module: Module, batch_axis: int) -> Callable[[], None]:
    """Keep a module's output of each call, the first of several, with the batch in front.

    Args:
        kept: takes the outputs.
        names: key of the next output; modules that run in turn share the iterator.
        module: the module.
        batch_axis: axis of the batch in the module's output.

    Returns:
        A function that removes the hook.
    """

    def hook(_module: object, _inputs: object, output: Tensor) -> None:
        values = output[0] if isinstance(output, tuple) else output
        kept[next(names)] = values.movedim(batch_axis, 0)

    remove: Callable[[], None] = module.register_forward_hook(hook).remove
    return remove


def replace_input(values: Iterator[Tensor], module: Module, batch_axis: int) -> Callable[[], None]:
    """Replace a module's first input of each call by the next of `values`, which have the batch in front.

    Returns:
        A function that removes the hook.
    """

    def hook(_module: object, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        return (next(values).movedim(0, batch_axis), *arguments[1:])

    remove: Callable[[], None] = module.register_forward_pre_hook(hook).remove
    return remove


@contextmanager
def float64_sinusoids(model: Model) -> Iterator[None]:
    """Compute the sinusoids of a float64 model in float64, while the block lasts, where its class uses float32."""
    name, base = layout_of(model).sinusoids, model.base_model
    if not has_float32_sinusoids(model):
        yield
        return
    method, own = getattr(base, name), vars(base).get(name)

    def exact(offsets: Tensor, frequencies: Tensor, *rest: Any) -> Tensor:  # noqa: ANN401 - the class decides
        values = offsets.new_tensor(exact_frequencies(2 * len(frequencies)), dtype=model.dtype)
        return method(offsets.to(model.dtype), values, *rest)

    setattr(base, name, exact)
    try:
        yield
    finally:
        delattr(base, name)
        if own is not None:  # a clamp
            setattr(base, name, own)


@contextmanager
def trained_row(model: Model, row: int | None) -> Iterator[None]:
    """Train a row of every embedding that freezes it (torch's `padding_idx`), while the block lasts.

    Other frozen rows stay frozen; None trains no frozen row.
    """
    frozen = [module for _, module in embeddings_of(model) if row is not None and module.padding_idx == row]
    for module in frozen:
        module.padding_idx = None
    try:
        yield
    finally:
        for module in frozen:
            module.padding_idx = row
