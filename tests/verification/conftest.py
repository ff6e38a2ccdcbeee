from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def bort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small Bort with a language-model head."""
    from borts import write_bort  # noqa: PLC0415 - found by pytest's path

    return write_bort(tmp_path_factory.mktemp("bort") / "bort.params")


@pytest.fixture(scope="session")
def converted(bort: Path) -> Path:
    """Its conversion."""
    from bort_convert.commands.convert import convert  # noqa: PLC0415

    convert(bort, bort.parent / "out", family="bort", heads=4)
    return bort.parent / "out"


@pytest.fixture(scope="session")
def recorded(bort: Path) -> Path:
    """A whole trace of the same Bort, with attention probabilities."""
    from bort_convert.verification import record  # noqa: PLC0415

    record(bort, bort.parent / "bort.trace", family="bort", heads=4, attentions=True)
    return bort.parent / "bort.trace"


@pytest.fixture(autouse=True)
def _strict_arithmetic() -> Iterator[None]:
    """Raise on arithmetic with NaN and infinities, unless the code allows it."""
    with np.errstate(all="raise", under="ignore"):
        yield
