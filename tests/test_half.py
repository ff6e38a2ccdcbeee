"""float32 to float16 without NumPy's cast must have its bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bort_convert.half import Halver

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Rounding asks of the 13 bits that go whether they are below one half, just that, or above: the borders of each.
REMAINDERS = (0, 1, 0x0FFF, 0x1000, 0x1001, 0x1FFF)
LARGEST = np.nextafter(np.float32(65520), np.float32(0))


@pytest.mark.parametrize("remainder", REMAINDERS)
def test_every_value_has_numpys_bits(remainder: int) -> None:
    values = (np.arange(1 << 19, dtype=np.uint32) << 13 | np.uint32(remainder)).view(np.float32)
    values = values[np.abs(values) <= LARGEST]
    assert len(values) >= 2 * 142 * 1024
    found = Halver(len(values))(values)
    assert found is not None
    assert found.tobytes() == values.astype(np.float16).tobytes()


@pytest.mark.parametrize("too_large", [65520, -65520, 1e38, np.inf, -np.inf, np.nan])
def test_what_would_become_infinite_is_left_to_the_caller(too_large: float) -> None:
    halver = Halver(3)
    assert halver(np.array([1, too_large, 2], np.float32)) is None
    found = halver(np.array([LARGEST, -LARGEST], np.float32))
    assert found is not None
    assert found.tolist() == [65504, -65504]


@given(st.lists(arrays(np.float32, st.integers(0, 70), elements=st.floats(-65504, 65504, width=32)), max_size=3))
def test_arrays_one_after_the_other_have_numpys_bits(several: list[NDArray[np.float32]]) -> None:
    halver = Halver(70)
    for values in several:
        found = halver(values)
        assert found is not None
        assert found.tobytes() == values.astype(np.float16).tobytes()
