from __future__ import annotations

from pathlib import Path

import pytest

import bort_convert

ROOT = Path(__file__).parents[2]
LITTLE = ROOT / "fixtures" / "little_bort" / "little_bort"


@pytest.fixture(scope="session")
def little(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Converted little Bort: a masked language model with its tokenizer."""
    out = tmp_path_factory.mktemp("candidate") / "little"
    bort_convert.convert(
        f"{LITTLE}.params", out, family="bort", heads=4, vocab=f"{LITTLE}.vocab", bpe_ranks=f"{LITTLE}_ranks.txt"
    )
    return str(out)
