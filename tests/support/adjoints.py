"""The adjoint of an operation, checked on whole numbers, where every sum is exact."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bort_convert.mapping.ops import Op

NUMBERS = st.integers(-99, 99)


def assert_pullback_is_adjoint(op: Op, shapes: Sequence[tuple[int, ...]], data: st.DataObject) -> None:
    """Check `<forward(x) - forward(0), gradients> == <x, pullback(gradients)>` for sources of these shapes."""
    sources = [data.draw(hnp.arrays(np.float64, shape, elements=NUMBERS)) for shape in shapes]
    targets, constants = op.forward(*sources), op.forward(*(np.zeros(shape) for shape in shapes))
    gradients = [data.draw(hnp.arrays(np.float64, array.shape, elements=NUMBERS)) for array in targets]
    pulled = op.pullback(*gradients)
    assert [array.shape for array in pulled] == list(shapes)
    forward = sum(np.vdot(one - zero, two) for one, zero, two in zip(targets, constants, gradients, strict=True))
    assert forward == sum(np.vdot(one, two) for one, two in zip(sources, pulled, strict=True))
