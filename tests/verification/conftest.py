from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


NEEDS = {"mxnet": ("mxnet", "gluonnlp"), "torch": ("torch", "transformers")}


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker, modules in NEEDS.items():
        missing = [name for name in modules if importlib.util.find_spec(name) is None]
        if item.get_closest_marker(marker) and missing:
            if os.environ.get("BORT_CONVERT_NO_SKIP") == "1":
                pytest.fail(f"needs {', '.join(missing)}")
            pytest.skip(f"needs {', '.join(missing)}")


@pytest.fixture(scope="session")
def bort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small Bort with a language-model head."""
    from borts import write_bort  # noqa: PLC0415 - after the path above

    return write_bort(tmp_path_factory.mktemp("bort") / "bort.params")


@pytest.fixture(scope="session")
def converted(bort: Path) -> Path:
    """The same, converted."""
    from bort_convert.commands.convert import convert  # noqa: PLC0415

    convert(bort, bort.parent / "out", family="bort", heads=4)
    return bort.parent / "out"


@pytest.fixture(scope="session")
def recorded(bort: Path) -> Path:
    """A whole trace of the same, with attention probabilities."""
    from bort_convert.verification import record  # noqa: PLC0415

    record(bort, bort.parent / "bort.trace", family="bort", heads=4, attentions=True)
    return bort.parent / "bort.trace"


@pytest.fixture(autouse=True)
def _loud() -> Iterator[None]:
    """Arithmetic on NaN and infinities must be meant."""
    with np.errstate(all="raise", under="ignore"):
        yield
