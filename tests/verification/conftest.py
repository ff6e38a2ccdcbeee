from __future__ import annotations

from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from jobs import wait_until

from bort_convert.verification import reference_process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Progress of MXNet's side, for a test to fill: the time that a job may take begins with its first line."""
    lines: list[str] = []

    class Answers(SimpleQueue[Any]):
        def get(self, *, timeout: float) -> object:
            wait_until(lambda: lines)
            return super().get(timeout=timeout)

    monkeypatch.setattr(reference_process, "SimpleQueue", Answers)
    return lines


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
