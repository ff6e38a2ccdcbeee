from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with the corpus, beside the checkout."""
    folder = Path(__file__).parents[2] / "shared"
    if not folder.is_dir():
        if os.environ.get("BORT_CONVERT_NO_SKIP") == "1":
            pytest.fail("needs ../shared beside the checkout")
        pytest.skip("needs ../shared beside the checkout")
    return folder


@pytest.fixture(scope="session")
def fixtures() -> Path:
    """The folder with the small checkpoints that real MXNet and GluonNLP wrote."""
    return Path(__file__).parents[1] / "fixtures"
