"""float32 to float16 without NumPy's cast must have its bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bort_convert import half
from bort_convert.half import Halver

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Rounding asks of the 13 bits that go whether they are below one half, just that, or above: the borders of each.
REMAINDERS = (0, 1, 0x0FFF, 0x1000, 0x1001, 0x1FFF)


def cast(values: NDArray[np.float32]) -> NDArray[np.float16]:
    with np.errstate(over="ignore"):
        return values.astype(np.float16)


@pytest.fixture
def left_to_numpy(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A 1 for every chunk that is left to NumPy, which is told to say nothing of what is too large."""
    seen: list[int] = []
    errstate = np.errstate

    def counted(*, over: str) -> np.errstate:
        seen.append(1)
        return errstate(over=over)

    monkeypatch.setattr(np, "errstate", counted)
    return seen


@pytest.mark.parametrize("remainder", REMAINDERS)
def test_every_value_has_numpys_bits(remainder: int, left_to_numpy: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(half, "CHUNK", 1 << 10)  # one exponent at a time
    values = (np.arange(1 << 19, dtype=np.uint32) << 13 | np.uint32(remainder)).view(np.float32)
    found = Halver()(values)
    # A float16 has 30 exponents with all its bits; the largest values of the last one may round to infinity.
    assert len(left_to_numpy) == 2 * (256 - (29 if remainder >= 0x1000 else 30))
    assert found.tobytes() == cast(values).tobytes()


@pytest.mark.parametrize("rare", [0.0, -(2.0**-14) * 0.99, 2.0**-25, -(2.0**-25) * 1.01, 6e-8])
@pytest.mark.parametrize("many", [False, True])
def test_small_values_among_usual_ones_have_numpys_bits(rare: float, left_to_numpy: list[int], *, many: bool) -> None:
    values = np.linspace(-65519, 65519, 2 * half.CHUNK, dtype=np.float32)
    values[:: 15 if many else 17] = rare
    found = Halver()(values)
    assert len(left_to_numpy) == 2 * many
    assert found.tobytes() == cast(values).tobytes()


@given(arrays(np.float32, st.integers(0, 70), elements=st.floats(width=32)))
def test_any_array_has_numpys_bits(values: NDArray[np.float32]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(half, "CHUNK", 16)
        assert Halver()(values).tobytes() == cast(values).tobytes()
