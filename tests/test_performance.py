"""Costs of a conversion that do not depend on the speed of the machine: memory, imports, and bytes read and written."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from environment import unmeasured

from bort_convert import convert, inspect, open_params
from bort_convert.files import streams
from bort_convert.safetensors import open_tensors

pytestmark = pytest.mark.long

GENERATE = Path(__file__).parent.parent / "benchmarks" / "generate.py"
MB = 10**6
SIZES = (60, 210)
MEMORY, SPREAD = 100 * MB, 8 * MB
HEAVY = {"torch", "transformers", "mxnet", "gluonnlp", "matplotlib", "rich", "safetensors", "tokenizers", "ml_dtypes"}
MODES = {"default": {}, "no checksums": {"checksums": False}, "float16": {"dtype": "float16"}}
FLAGS = {"default": [], "no checksums": ["--no-checksums"], "float16": ["--dtype", "float16"]}
KERNEL_CALLS = ("copy_file_range", "sendfile", "pread", "preadv")

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads the counts that Linux keeps of a process")

# Peak memory begins with that of the process that starts another: this small one stands between pytest and the program.
LAUNCHER = """
import json, os, sys
_, status, usage = os.wait4(os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ), 0)
print(json.dumps([os.waitstatus_to_exitcode(status), usage.ru_maxrss * 1024, usage.ru_inblock * 512]))
"""
MODULES = """
import atexit, sys
atexit.register(lambda: print("MODULES", *{name.partition(".")[0] for name in sys.modules}))
from bort_convert.cli import main
main()
"""


@pytest.fixture(scope="module")
def borts(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Generate Borts with random weights, by their size in MB."""
    folder = tmp_path_factory.mktemp("borts")
    return {size: generated(folder, size) for size in SIZES}


def generated(folder: Path, size: int) -> Path:
    path = folder / f"{size}.params"
    subprocess.run([sys.executable, str(GENERATE), str(path), str(size)], check=True)
    return path


def measured(*arguments: object) -> tuple[int, int]:
    """Run `bort-convert`, and give its peak resident bytes, and the bytes that the disk read for it."""
    command = [sys.executable, "-m", "bort_convert", *map(str, arguments)]
    launched = [sys.executable, "-I", "-S", "-c", LAUNCHER, *command]
    output = subprocess.run(launched, env=unmeasured(), check=True, stdout=subprocess.PIPE).stdout
    status, peak, read = json.loads(output.splitlines()[-1])
    assert status == 0
    return peak, read


def evict(path: Path) -> None:
    """Have the page cache drop a file."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def bytes_moved() -> Counter[str]:
    """Give the bytes that this process has read (`rchar`) and written (`wchar`) so far, by the kernel's count."""
    lines = Path("/proc/self/io").read_text("ascii").splitlines()
    return Counter({name: int(value) for name, value in (line.split(": ") for line in lines)})


def value_bytes(path: Path) -> int:
    """Give the bytes of all tensors but the copy of the tied one, which is not written."""
    with open_params(path) as params:
        return sum(info.nbytes for name, info in params.header.items() if name != "decoder.3.weight")


def tied_bytes(path: Path) -> int:
    """Give the bytes of the tied tensor, which the source holds twice."""
    with open_params(path) as params:
        return params.header["decoder.3.weight"].nbytes


def bytes_read_back(folder: Path) -> int:
    """Give the bytes of the tensors that are hashed in the output, as they are no copies of a range of the source."""
    manifest = json.loads((folder / "conversion.json").read_text("utf-8"))
    cast = "dtype" in manifest["options"]
    with open_tensors(folder / "model.safetensors") as weights:
        return sum(
            weights.header[name].nbytes
            for name, tensor in manifest["tensors"].items()
            if cast or tensor["op"] != "copy"
        )


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


@linux
@pytest.mark.parametrize("mode", MODES)
def test_bytes_are_written_once_and_read_no_more_often_than_needed(
    borts: dict[int, Path], tmp_path: Path, mode: str
) -> None:
    options: Any = MODES[mode]
    source, out = borts[60], tmp_path / "out"
    convert(source, tmp_path / "first", family="bort", heads=8, **options)  # imports the modules that it needs
    before = bytes_moved()
    convert(source, out, family="bort", heads=8, **options)
    moved = bytes_moved() - before
    values, size = value_bytes(source), source.stat().st_size
    hashed = {"default": size + values, "no checksums": 0, "float16": size + bytes_read_back(out)}[mode]
    # Each value is read to copy or cast it, the tied tensor twice to compare its copies, and hashed bytes once more.
    assert moved["rchar"] <= values + 2 * tied_bytes(source) + hashed + MB // 2
    assert moved["wchar"] == pytest.approx(sum(path.stat().st_size for path in out.iterdir()), abs=1000)


@linux
def test_inspect_reads_headers_and_names_alone(borts: dict[int, Path]) -> None:
    inspect(borts[60], family="bort", heads=8)  # imports the modules that it needs
    before = bytes_moved()
    inspect(borts[210], family="bort", heads=8)
    assert (bytes_moved() - before)["rchar"] < MB


@linux
def test_the_disk_reads_less_than_a_megabyte_for_inspect(borts: dict[int, Path]) -> None:
    measured("inspect", borts[210], "--family", "bort", "--heads", 8)  # leaves the modules in the page cache
    evict(borts[210])
    _, read = measured("inspect", borts[210], "--family", "bort", "--heads", 8)
    assert read < MB


@linux
@pytest.mark.parametrize("mode", FLAGS)
def test_peak_memory_of_a_conversion_is_small_and_the_same_for_any_size(
    borts: dict[int, Path], tmp_path: Path, mode: str
) -> None:
    peaks = []
    for size, source in borts.items():
        options = ["--family", "bort", "--heads", 8, "--quiet", *FLAGS[mode]]
        peaks.append(measured(source, tmp_path / str(size), *options)[0])
        shutil.rmtree(tmp_path / str(size))
    assert max(peaks) <= MEMORY
    assert max(peaks) - min(peaks) <= SPREAD


@linux
@pytest.mark.slow
@pytest.mark.parametrize("mode", FLAGS)
def test_peak_memory_of_a_conversion_is_small_at_two_gigabytes(tmp_path: Path, mode: str) -> None:
    source = generated(tmp_path, 2200)
    peak, _ = measured(source, tmp_path / "out", "--family", "bort", "--heads", 8, "--quiet", *FLAGS[mode])
    shutil.rmtree(tmp_path / "out")
    source.unlink()
    assert peak <= MEMORY


@linux
def test_peak_memory_of_an_export_is_small_and_the_same_for_any_size(borts: dict[int, Path], tmp_path: Path) -> None:
    peaks = []
    for size, source in borts.items():
        convert(source, tmp_path / str(size), family="bort", heads=8, checksums=False)
        peaks.append(measured("export", tmp_path / str(size), tmp_path / f"{size}.params", "--quiet")[0])
        with open_params(source) as expected, open_params(tmp_path / f"{size}.params") as exported:
            assert set(exported) == set(expected)
            assert all(np.array_equal(exported[name], expected[name]) for name in expected)
        shutil.rmtree(tmp_path / str(size))
    assert max(peaks) <= MEMORY
    assert max(peaks) - min(peaks) <= SPREAD


@linux
def test_peak_memory_is_the_same_for_a_source_that_was_read_from_the_disk(borts: dict[int, Path]) -> None:
    expected, _ = measured("inspect", borts[210], "--family", "bort", "--heads", 8)
    evict(borts[210])
    borts[210].read_bytes()  # the page cache now holds it in blocks of up to 2 MB
    peak, _ = measured("inspect", borts[210], "--family", "bort", "--heads", 8)
    assert peak <= expected + SPREAD


@pytest.mark.parametrize(
    "arguments",
    [
        ["--version"],
        ["--help"],
        ["inspect", "SOURCE"],
        ["SOURCE", "OUT", "--family", "bort", "--heads", "8"],
        ["FUSED", "OUT", "--family", "bert-1.0", "--heads", "2"],
    ],
    ids=" ".join,
)
def test_a_command_imports_neither_numpy_nor_a_framework(fixtures: Path, tmp_path: Path, arguments: list[str]) -> None:
    sources = {"SOURCE": "bort_4_8_24_32.params", "FUSED": "gluonnlp1/bert_pretrain.params"}
    paths = {word: str(fixtures / name) for word, name in sources.items()} | {"OUT": str(tmp_path / "out")}
    command = [sys.executable, "-c", MODULES, *(paths.get(word, word) for word in arguments)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    imported = set(output.splitlines()[-1].split()[1:])
    assert {"bort_convert", "click"} <= imported
    assert not imported & HEAVY
    assert "numpy" not in imported or arguments == ["--help"]  # which imports every command


@pytest.mark.parametrize("missing", [(), KERNEL_CALLS[:1], KERNEL_CALLS[:2], KERNEL_CALLS])
@pytest.mark.parametrize("mode", MODES)
def test_every_way_of_copying_gives_the_same_bytes(
    fixtures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, missing: tuple[str, ...]
) -> None:
    options: Any = MODES[mode]
    source = fixtures / "bort_4_8_24_32.params"
    convert(source, tmp_path / "expected", family="bort", heads=8, **options)
    for call in missing:
        monkeypatch.delattr(os, call, raising=False)
    monkeypatch.setattr(streams, "PIECE", 1024)
    convert(source, tmp_path / "out", family="bort", heads=8, **options)
    assert digests(tmp_path / "out") == digests(tmp_path / "expected")


@pytest.mark.parametrize("mode", MODES)
def test_a_large_conversion_gives_the_same_bytes_again_and_without_calls_of_the_kernel(
    borts: dict[int, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    options: Any = MODES[mode]
    for name in ("first", "again"):
        convert(borts[60], tmp_path / name, family="bort", heads=8, **options)
    for call in KERNEL_CALLS:
        monkeypatch.delattr(os, call, raising=False)
    convert(borts[60], tmp_path / "read and written", family="bort", heads=8, **options)
    expected = digests(tmp_path / "first")
    assert digests(tmp_path / "again") == digests(tmp_path / "read and written") == expected
