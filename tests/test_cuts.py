"""A file cut anywhere, or with a header byte flipped, is refused or reads, soon and in little memory.

Of fixtures that are alike, the smallest is damaged at every byte, and the others at every eighth; `make damage` damages
all of them at every byte.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import damage
import numpy as np
import pytest
from environment import unmeasured
from params_files import GOLDEN, Zipped, archive, csr, f32, list_file, npy, record, row_sparse, sparse

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.long

FIXTURES = Path(__file__).parents[1] / "fixtures"
SCRIPT = Path(__file__).parent / "support" / "damage.py"
EVERY_PLACE = os.environ.get("BORT_CONVERT_EVERY_PLACE") == "1"
SECONDS, MB = 2, 100
TIMEOUT = 1800  # seconds, on a busy machine, for a hang that takes no processor time

FILES = sorted(path for glob in ("*.params", "*.npz", "traces/*.safetensors") for path in FIXTURES.glob(glob))


def alike(path: Path) -> str:
    """What fixtures share that differ in names and heads alone: the model and the format; of archives, the format."""
    return path.suffix if path.suffix == ".npz" else path.stem.partition("-")[0] + path.suffix


def size(path: Path) -> int:
    return path.stat().st_size


GROUPS = {kind: sorted((path for path in FILES if alike(path) == kind), key=size) for kind in map(alike, FILES)}
WHOLE = [str(first.relative_to(FIXTURES)) for first, *_ in GROUPS.values()]
EIGHTHS = {kind: [str(path.relative_to(FIXTURES)) for path in rest] for kind, (_, *rest) in GROUPS.items() if rest}


def run(how: str, names: Sequence[str], every: int) -> list[dict[str, Any]]:
    """Damage files in another process, without coverage, and give the outcomes of each."""
    paths = [str(FIXTURES / name) for name in names]
    command = [sys.executable, SCRIPT, how, str(every), *paths]
    process = subprocess.run(command, env=unmeasured(), check=True, stdout=subprocess.PIPE, timeout=TIMEOUT)
    return [json.loads(line) for line in process.stdout.splitlines()]


def judge(found: dict[str, Any], how: str, nbytes: int) -> None:
    assert set(found["outcomes"]) <= damage.EXPECTED, found
    assert found["outcomes"]["refused"]
    assert how == "flips" or "read" not in found["outcomes"]
    assert found["slowest"] < SECONDS
    assert found["peak_mb"] < MB + nbytes / 1e6


def judge_all(how: str, names: Sequence[str], every: int) -> None:
    found = run(how, names, every)
    assert [one["file"] for one in found] == [Path(name).name for name in names]
    for name, one in zip(names, found, strict=True):
        judge(one, how, size(FIXTURES / name))


@pytest.mark.parametrize("how", ["cuts", "flips"])
@pytest.mark.parametrize("name", WHOLE)
def test_a_fixture_damaged_anywhere_is_refused_or_reads(name: str, how: str) -> None:
    judge_all(how, [name], 1)


@pytest.mark.parametrize("how", ["cuts", "flips"])
@pytest.mark.parametrize("kind", EIGHTHS)
def test_a_fixture_like_another_is_refused_or_reads(kind: str, how: str) -> None:
    judge_all(how, EIGHTHS[kind], 1 if EVERY_PLACE else 8)


LIST = list_file(record(f32(1, 2), (2,)), row_sparse(), csr())
MADE: dict[str, bytes] = {name: data for name, (data, _) in GOLDEN.items()} | {
    "sparse arrays": LIST,
    "archive around a list": archive(Zipped("net.params", LIST)),
    "archive around a list, deflated": archive(Zipped("net.params", LIST, deflated=True, streamed=True)),
    "archive of sparse folders": archive(
        *sparse("r", "row_sparse", npy(f32(1, 2), "(1, 2)"), (3, 2), indices=(2,)),
        *sparse("c", "csr", npy(f32(5), "(1,)"), (2, 2), indices=(1,), indptr=(0, 1, 1)),
    ),
}


@pytest.mark.parametrize("how", ["cuts", "flips"])
@pytest.mark.parametrize("name", MADE)
def test_a_damaged_file_of_any_kind_is_refused_or_reads(name: str, how: str, tmp_path: Path) -> None:
    path = tmp_path / "x.params"
    path.write_bytes(MADE[name])
    judge(damage.damaged(path, how) | {"peak_mb": 0}, how, size(path))


def test_a_damaged_archive_that_numpy_compressed_is_refused_or_reads(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez_compressed(path, a=np.arange(6.0).reshape(2, 3), b=np.asfortranarray(np.arange(6).reshape(2, 3)))
    for how in ("cuts", "flips"):
        judge(damage.damaged(path, how) | {"peak_mb": 0}, how, size(path))


@pytest.mark.parametrize("fault", [ValueError("no"), MemoryError(), RecursionError()])
def test_another_exception_is_an_outcome_of_its_own(
    fault: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_path: Path) -> None:
        raise fault

    path = tmp_path / "x.params"
    path.write_bytes(LIST)
    monkeypatch.setattr(damage, "read_params", fail)
    found = damage.damaged(path, "cuts", len(LIST))
    assert found["outcomes"] == {f"byte 0: {type(fault).__name__}: {fault}": 1}
    with pytest.raises(AssertionError):
        judge(found, "cuts", len(LIST))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no timer of processor time")
def test_a_hang_is_an_outcome_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(_path: Path) -> None:
        while True:
            pass

    path = tmp_path / "x.params"
    path.write_bytes(LIST)
    monkeypatch.setattr(damage, "read_params", hang)
    monkeypatch.setattr(damage, "HANG", 0.1)
    assert damage.damaged(path, "cuts", len(LIST))["outcomes"] == {"byte 0: TimeoutError: not done after 0.1 s": 1}
