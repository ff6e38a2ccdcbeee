"""Arrays without NumPy are what NumPy makes of the same calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from bort_convert import plain_array
from bort_convert.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Callable

NAMES = [*plain_array.FORMATS]
VALUES = np.arange(24)


def pair(name: str, shape: tuple[int, ...]) -> tuple[np.ndarray[Any, Any], plain_array.PlainArray]:
    """The same values with NumPy and without."""
    array = (VALUES % 2 if name == "bool" else VALUES).astype(name).reshape(shape)
    return array, plain_array.frombuffer(array.tobytes(), plain_array.dtype(name)).reshape(shape)


def assert_same(plain: plain_array.PlainArray, array: np.ndarray[Any, Any]) -> None:
    assert (plain.tobytes(), plain.shape, str(plain.dtype)) == (array.tobytes(), array.shape, array.dtype.name)
    assert (plain.size, plain.nbytes, plain.itemsize) == (array.size, array.nbytes, array.itemsize)


MOVES: dict[str, Callable[[Any], Any]] = {
    "transposed": lambda array: array.T,
    "the first rows": lambda array: array[:2],
    "the other rows": lambda array: array[2:],
    "no rows": lambda array: array[3:1],
    "three axes": lambda array: array.reshape(4, 3, 2),
    "as many as are left": lambda array: array.reshape((2, -1)),
    "flat": lambda array: array.reshape(-1),
    "a transposed matrix in three axes": lambda array: array.T.reshape((6, 2, 2)),
    "of Fortran's order": lambda array: array.reshape(-1).reshape((6, 4), order="F"),
    "a vector of Fortran's order": lambda array: array.reshape(-1).reshape((24,), order="F"),
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
def test_values_are_moved_as_numpy_moves_them(move: Callable[[Any], Any], name: str) -> None:
    array, plain = pair(name, (4, 6))
    assert_same(move(plain), move(array))


@pytest.mark.parametrize("name", NAMES)
def test_arrays_are_made_and_joined_as_numpy_does_it(name: str) -> None:
    array, plain = pair(name, (4, 6))
    kind = plain_array.dtype(name)
    assert kind.newbyteorder("<") == kind
    front, ours = np.full((2, 6), 1, name), plain_array.full((2, 6), 1, kind)
    assert_same(ours, front)
    assert_same(plain_array.full((), 1, kind), np.full((), 1, name))
    assert_same(plain_array.concatenate((ours, plain)), np.concatenate((front, array)))
    assert_same(plain_array.empty(3, kind), np.zeros(3, name))
    assert_same(plain_array.ascontiguousarray(plain, kind), array)
    assert_same(plain.reshape(-1).view(plain_array.uint8), array.reshape(-1).view(np.uint8))
    assert plain.reshape(-1).tolist() == array.reshape(-1).tolist()
    assert len(plain) == len(array)


def test_an_array_can_be_written_to_and_rows_are_views() -> None:
    plain = plain_array.empty(4, plain_array.uint8)
    plain[2:].data[0] = 7
    assert plain.tolist() == [0, 0, 7, 0]


ASKED: dict[str, Callable[[Any], Any]] = {
    "a sum": lambda array: array.sum(),
    "a comparison": lambda array: array != array.reshape((4, 6)),
    "another type": lambda array: plain_array.ascontiguousarray(array, plain_array.uint8),
    "steps": lambda array: array[::2],
    "one row": lambda array: array[1],
    "three axes transposed": lambda array: array.reshape((2, 3, 4)).T,
    "a matrix in Fortran's order": lambda array: array.reshape((6, 4), order="F"),
    "values of a matrix": lambda array: array.tolist(),
}


@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED)
def test_whatever_computes_is_refused(ask: Callable[[Any], Any]) -> None:
    with pytest.raises(BackendError, match="computing with values needs NumPy"):
        ask(pair("float32", (4, 6))[1])


def test_python_may_ask_for_what_an_array_has_not() -> None:
    assert not hasattr(pair("float32", (4, 6))[1], "__array__")
