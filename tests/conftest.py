from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).parents[1]
NEEDS = {"mxnet": ("mxnet", "gluonnlp"), "torch": ("torch", "transformers")}
FULL_SIZE = ROOT / "build" / "full-size" / "bort_4_8_768_1024.params"

# Set before torch and transformers are imported, here and in what the tests start.
os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}

# A busy machine is no failure.
settings.register_profile("any-machine", deadline=None)
settings.load_profile("any-machine")


def unavailable(reason: str) -> None:
    """Skip the test; where nothing may be skipped (in CI), fail it."""
    if os.environ.get("BORT_CONVERT_NO_SKIP") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def absent(marker: str) -> list[str]:
    """The modules of a marker that cannot be imported; nothing is imported to find out."""
    return [name for name in NEEDS[marker] if importlib.util.find_spec(name) is None]


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in NEEDS:
        if item.get_closest_marker(marker) and absent(marker):
            unavailable(f"needs {' and '.join(absent(marker))}: pip install 'bort-convert[{marker}]'")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with the corpus, beside the checkout."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        unavailable("needs ../shared beside the checkout")
    return folder


@pytest.fixture(scope="session")
def fixtures() -> Path:
    """The folder with the small checkpoints that real MXNet and GluonNLP wrote."""
    return ROOT / "fixtures"


@pytest.fixture(scope="session")
def full_size() -> Path:
    """A Bort of the published size with random values, written by GluonNLP: 510 MB, made once and kept in build/."""
    if not FULL_SIZE.exists():
        if absent("mxnet"):
            unavailable(f"needs {FULL_SIZE.relative_to(ROOT)}: make full-size")
        script = ROOT / "fixtures" / "make_full_size.py"
        subprocess.run([sys.executable, "-W", "ignore", script, FULL_SIZE], check=True)
    return FULL_SIZE
