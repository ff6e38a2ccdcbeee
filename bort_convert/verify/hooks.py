"""Hooks on the modules of a torch model: what each gives is kept, or what it is given is put in another's place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from bort_convert.dtypes import Array

Tensor: TypeAlias = Any


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
