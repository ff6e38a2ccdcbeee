"""Count attention heads: the width over which queries and keys are multiplied, by the shapes that the nodes make."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Final

from bort_convert.symbol.operators import BY_SCALAR, INTERLEAVED, SAME, SCORES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bort_convert.dtypes import Shape
    from bort_convert.symbol.graph import Graph, Node, Output

_BATCH, _LENGTH = 5, 7
_UNCHANGED: Final = SAME | BY_SCALAR | {"_contrib_div_sqrt_dim"}


def attention_heads(graph: Graph, dense: Iterable[int], hidden_size: int) -> int | None:
    """Number of attention heads of a layer.

    Args:
        graph: the graph.
        dense: numbers of the dense layers of one layer of the network.
        hidden_size: width of queries, all heads together.

    Returns:
        The number by the first product of two batches that their outputs meet, which is that of queries and keys; None
        where they meet none, or its width does not divide hidden_size.
    """
    shapes: dict[Output, Shape] = {}
    for number in dense:
        shapes[number, 0] = (_BATCH, _LENGTH, graph.nodes[number].whole("num_hidden") or 0)
    for number in range(min((number for number, _ in shapes), default=len(graph.nodes)), len(graph.nodes)):
        node = graph.nodes[number]
        if (number, 0) in shapes or not any(source in shapes for source in node.inputs):
            continue
        if node.op in INTERLEAVED:
            return node.whole("heads")
        if node.op in SCORES:
            width = _width(node, shapes)
            return hidden_size // width if width and hidden_size % width == 0 else None
        shape = shapes.get(node.inputs[0])
        if shape is not None:
            shapes |= {(number, output): found for output, found in enumerate(_shapes(node, shape))}
    return None


def _width(node: Node, shapes: dict[Output, Shape]) -> int | None:
    """Size of the axis over which a product of two batches of matrices sums."""
    for index, (source, transposed) in enumerate(zip(node.inputs, ("transpose_a", "transpose_b"), strict=False)):
        shape = shapes.get(source)
        if shape is not None and len(shape) > 1:
            return shape[-2] if node.flag(transposed) is (index == 0) else shape[-1]
    return None


def _shapes(node: Node, shape: Shape) -> list[Shape]:
    """Shapes of an operator's outputs; none where the operator changes more than the shape, or is wrong."""
    try:
        found = _shape(node, shape)
    except (ValueError, IndexError):
        return []
    return [found] * (node.whole("num_outputs", 1) or 1) if found else []


def _shape(node: Node, shape: Shape) -> Shape | None:
    """Shape of each of the equal outputs of an operator."""
    moved = list(shape)
    if node.op in {"Reshape", "reshape"}:
        return reshaped(shape, node.numbers("shape") or (), reverse=node.flag("reverse"))
    if node.op == "transpose":
        moved = [shape[axis] for axis in node.numbers("axes") or reversed(range(len(shape))) if axis is not None]
    elif node.op in {"SwapAxis", "swapaxes"}:
        one, other = node.whole("dim1", 0) or 0, node.whole("dim2", 0) or 0
        moved[one], moved[other] = moved[other], moved[one]
    elif node.op == "expand_dims":
        moved.insert(node.whole("axis", 0) or 0, 1)
    elif node.op in {"SliceChannel", "split"}:
        moved[node.whole("axis", 1) or 0] //= node.whole("num_outputs", 1) or 1
    elif node.op not in _UNCHANGED:
        return None
    return tuple(moved)


def reshaped(shape: Shape, sizes: tuple[int | None, ...], *, reverse: bool = False) -> Shape:
    """Shape that MXNet's Reshape makes.

    0 keeps an axis, -1 takes what is left, -2 all other axes, -3 merges two, -4 splits one into the next two sizes.

    Args:
        shape: of the array.
        sizes: the operator's `shape`.
        reverse: read both from the last axis on.

    Raises:
        ValueError: the sizes do not go with the shape.
        IndexError: likewise.
    """
    if reverse:
        return reshaped(shape[::-1], sizes[::-1])[::-1]
    words, axes, made = list(sizes), list(shape), list[int]()
    while words:
        word = words.pop(0)
        if word == -4:  # noqa: PLR2004 - MXNet's code
            pair = [words.pop(0) or 0, words.pop(0) or 0]
            whole = axes.pop(0)
            made += [whole // abs(prod(pair)) if size == -1 else size for size in pair]
        elif word == -3:  # noqa: PLR2004 - likewise
            made.append(axes.pop(0) * axes.pop(0))
        elif word == -2:  # noqa: PLR2004 - likewise
            made += axes
            axes = []
        elif word is None or word < -1:
            raise ValueError(f"Reshape has no {word}")
        else:
            kept = axes.pop(0) if axes else 0
            made.append(kept if word == 0 else word)
    if -1 in made:
        rest = prod(size for size in made if size != -1)
        made[made.index(-1)] = prod(shape) // rest if rest else 0
    if prod(made) != prod(shape):
        raise ValueError(f"{shape} cannot become {tuple(made)}")
    return tuple(made)
