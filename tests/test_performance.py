"""What a conversion costs, counted and not timed, so that a regression shows on a machine of any speed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from bort_convert import convert, inspect, open_params
from bort_convert.files import streams
from bort_convert.params.cursor import Cursor
from bort_convert.safetensors import open_tensors

if TYPE_CHECKING:
    from collections.abc import Callable

GENERATE = Path(__file__).parent.parent / "benchmarks" / "generate.py"
MB = 10**6
SIZES = (60, 210)
HEAVY = {"torch", "transformers", "mxnet", "gluonnlp", "matplotlib", "rich", "safetensors", "tokenizers", "ml_dtypes"}
READS, COPIES = ("read", "pread", "readv", "preadv"), ("copy_file_range", "sendfile")
MODES = {"default": {}, "no checksums": {"checksums": False}, "float16": {"dtype": "float16"}}
FLAGS = {"default": [], "no checksums": ["--no-checksums"], "float16": ["--dtype", "float16"]}

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads what Linux counts of a process")

# Peak memory starts with that of the process that starts another: a small one stands between pytest and the program.
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
ENDING = """
import atexit, gc, os
atexit.register(lambda: print("ENDING", gc.get_freeze_count(), *os.listdir("/proc/self/task")))
from bort_convert.cli import main
main()
"""
BUFFER = """
import ctypes, mmap, os, sys
from bort_convert.streams import FileRange, read_pieces
source = os.open(sys.argv[1], os.O_RDONLY)
piece = next(read_pieces(FileRange(source, 0, os.fstat(source).st_size)))
print(ctypes.addressof(ctypes.c_char.from_buffer(piece)) % mmap.PAGESIZE)
"""


@pytest.fixture(scope="module")
def borts(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Random Borts, by their size in MB."""
    folder = tmp_path_factory.mktemp("borts")
    return {size: generated(folder, size) for size in SIZES}


def generated(folder: Path, size: int) -> Path:
    path = folder / f"{size}.params"
    subprocess.run([sys.executable, str(GENERATE), str(path), str(size)], check=True)
    return path


def measured(*arguments: object) -> tuple[int, int]:
    """Peak resident bytes of `bort-convert`, and the bytes that it had the disk read."""
    command = [sys.executable, "-m", "bort_convert", *map(str, arguments)]
    launched = [sys.executable, "-I", "-S", "-c", LAUNCHER, *command]
    output = subprocess.run(launched, check=True, stdout=subprocess.PIPE).stdout
    status, peak, read = json.loads(output.splitlines()[-1])
    assert status == 0
    return peak, read


def forget(path: Path) -> None:
    """Have the page cache forget a file."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


class Calls:
    """Counts what goes through the system's calls, from any thread."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()
        self._lock = threading.Lock()
        for name in (*READS, *COPIES, "write"):
            if hasattr(os, name):
                monkeypatch.setattr(os, name, self._counted(name, getattr(os, name)))

    def _counted(self, name: str, call: Callable[..., int | bytes]) -> Callable[..., int | bytes]:
        def counted(*arguments: object) -> int | bytes:
            result = call(*arguments)
            with self._lock:
                self.calls[name] += 1
                self.bytes[name] += result if isinstance(result, int) else len(result)
            return result

        return counted

    def sum_of(self, names: tuple[str, ...]) -> int:
        return sum(self.bytes[name] for name in names)


def system_io() -> Counter[str]:
    """What the kernel has counted of this process: bytes by reads and writes of any kind, from any library."""
    lines = Path("/proc/self/io").read_text("ascii").splitlines()
    return Counter({name: int(value) for name, value in (line.split(": ") for line in lines)})


def values_of(path: Path) -> int:
    """Bytes of all tensors but the one that is written once."""
    with open_params(path) as params:
        return sum(info.nbytes for name, info in params.header.items() if name != "decoder.3.weight")


def tied_of(path: Path) -> int:
    """Bytes of the tensor that is written once: it is compared with its alias, and not hashed."""
    with open_params(path) as params:
        return params.header["decoder.3.weight"].nbytes


def walk_over(source: Path) -> Calls:
    """The calls that reading the headers takes, which every command begins with."""
    with pytest.MonkeyPatch.context() as patch:
        calls = Calls(patch)
        inspect(source)
    return calls


def read_back(folder: Path) -> int:
    """Bytes that are read for the digests of files: all of the small ones, and the header of the weights."""
    small = sum(path.stat().st_size for path in folder.iterdir() if path.suffix not in {".safetensors", ".json"})
    with (folder / "model.safetensors").open("rb") as weights:
        header = int.from_bytes(weights.read(8), "little")
    return small + (folder / "config.json").stat().st_size + 8 + header


def made_of(folder: Path) -> int:
    """Bytes of the tensors that are no copies of what stands in the source: they are read back for their digests."""
    known = json.loads((folder / "conversion.json").read_text("utf-8"))
    made = [name for name, tensor in known["tensors"].items() if tensor["op"] != "copy" or "dtype" in known["options"]]
    with open_tensors(folder / "model.safetensors") as weights:
        return sum(weights.header[name].nbytes for name in made)


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_a_default_conversion_reads_the_source_once_and_each_value_once_more_and_the_tied_pair(
    borts: dict[int, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = borts[60]
    size, values = source.stat().st_size, values_of(source)
    calls = Calls(monkeypatch)
    convert(source, tmp_path / "out", family="bort", heads=8)
    monkeypatch.undo()
    weights = (tmp_path / "out" / "model.safetensors").stat().st_size
    other = walk_over(source).sum_of(READS) + read_back(tmp_path / "out")
    assert calls.sum_of(READS) == size + values + made_of(tmp_path / "out") + 2 * tied_of(source) + other
    assert calls.sum_of(COPIES) == values
    assert calls.sum_of((*COPIES, "write")) == weights
    assert calls.bytes["write"] < 20_000


def test_without_checksums_nothing_is_read_but_the_tied_pair(
    borts: dict[int, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = borts[60]
    calls = Calls(monkeypatch)
    convert(source, tmp_path / "out", family="bort", heads=8, checksums=False)
    monkeypatch.undo()
    assert calls.sum_of(READS) == 2 * tied_of(source) + walk_over(source).sum_of(READS) + read_back(tmp_path / "out")
    assert calls.sum_of(COPIES) == values_of(source)


def test_a_cast_reads_each_value_once_more_and_the_tied_pair_and_writes_and_reads_half(
    borts: dict[int, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = borts[60]
    values = values_of(source)
    calls = Calls(monkeypatch)
    convert(source, tmp_path / "out", family="bort", heads=8, dtype="float16")
    monkeypatch.undo()
    other = walk_over(source).sum_of(READS) + read_back(tmp_path / "out") + made_of(tmp_path / "out")
    assert calls.sum_of(READS) == source.stat().st_size + values + 2 * tied_of(source) + other
    assert calls.sum_of(COPIES) == 0
    assert calls.bytes["write"] == pytest.approx(values / 2, abs=20_000)


@linux
@pytest.mark.parametrize("mode", MODES)
def test_the_kernel_counts_no_other_bytes(borts: dict[int, Path], tmp_path: Path, mode: str) -> None:
    options: Any = MODES[mode]
    source = borts[60]
    convert(source, tmp_path / "first", family="bort", heads=8, **options)  # what is imported late is there now
    values, size = values_of(source), source.stat().st_size
    before = system_io()
    convert(source, tmp_path / "out", family="bort", heads=8, **options)
    used = system_io() - before
    written = sum(path.stat().st_size for path in (tmp_path / "out").iterdir())
    hashed = {"default": size + values, "no checksums": 0, "float16": size + made_of(tmp_path / "out")}
    read = values + 2 * tied_of(source) + hashed[mode]
    assert used["rchar"] <= read + walk_over(source).sum_of(READS) + MB // 10
    assert used["wchar"] == pytest.approx(written, abs=1000)


def test_system_calls_grow_with_tensors_and_with_pieces(
    borts: dict[int, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for size, source in borts.items():
        tensors = len(inspect(source).arrays)
        with open_params(source) as params:  # the file, its tensors, and the one that another one is compared with
            sizes = [params.size, *(info.nbytes for info in params.header.values()), tied_of(source)]
        pieces = sum(-(-number // streams.PIECE) for number in sizes)
        with monkeypatch.context() as patch:
            calls = Calls(patch)
            convert(source, tmp_path / str(size), family="bort", heads=8)
        assert calls.calls["copy_file_range"] + calls.calls["sendfile"] <= tensors
        walk = sum(walk_over(source).calls.values())
        assert walk <= 2 * tensors + 10
        assert (
            sum(calls.calls[name] for name in READS) <= pieces + walk + 4
        )  # digests of three files, and of what is no copy
        assert calls.calls["write"] <= 3


@linux
@pytest.mark.parametrize("mode", FLAGS)
def test_peak_memory_is_small_and_the_same_for_any_size(borts: dict[int, Path], tmp_path: Path, mode: str) -> None:
    peaks = {}
    for size, source in borts.items():
        peaks[size], _ = measured(
            source, tmp_path / str(size), "--family", "bort", "--heads", 8, "--quiet", *FLAGS[mode]
        )
        shutil.rmtree(tmp_path / str(size))
    assert max(peaks.values()) <= 80 * MB
    assert max(peaks.values()) - min(peaks.values()) <= 8 * MB


@linux
def test_an_export_needs_as_little_for_any_size(borts: dict[int, Path], tmp_path: Path) -> None:
    peaks = {}
    for size, source in borts.items():
        convert(source, tmp_path / str(size), family="bort", heads=8, checksums=False)
        peaks[size], _ = measured("export", tmp_path / str(size), tmp_path / f"{size}.params", "--quiet")
        with open_params(source) as expected, open_params(tmp_path / f"{size}.params") as found:
            assert set(found) == set(expected)
            assert all(np.array_equal(found[name], expected[name]) for name in expected)
        shutil.rmtree(tmp_path / str(size))
    assert max(peaks.values()) <= 80 * MB
    assert max(peaks.values()) - min(peaks.values()) <= 8 * MB


@linux
def test_peak_memory_is_the_same_for_a_source_that_was_read_from_the_disk(borts: dict[int, Path]) -> None:
    expected, _ = measured("inspect", borts[210], "--family", "bort", "--heads", 8)
    forget(borts[210])
    borts[210].read_bytes()  # the page cache now holds it in pieces of up to 2 MB
    peak, _ = measured("inspect", borts[210], "--family", "bort", "--heads", 8)
    assert peak <= expected + 8 * MB


@linux
@pytest.mark.slow
@pytest.mark.parametrize("mode", FLAGS)
def test_peak_memory_is_small_at_two_gigabytes(tmp_path: Path, mode: str) -> None:
    source = generated(tmp_path, 2200)
    peak, _ = measured(source, tmp_path / "out", "--family", "bort", "--heads", 8, "--quiet", *FLAGS[mode])
    shutil.rmtree(tmp_path / "out")
    source.unlink()
    assert peak <= 80 * MB


@pytest.mark.parametrize(
    "arguments",
    [["--version"], ["--help"], ["inspect", "SOURCE"], ["SOURCE", "OUT", "--family", "bort", "--heads", "8"]],
    ids=" ".join,
)
def test_a_command_imports_only_what_it_uses(fixtures: Path, tmp_path: Path, arguments: list[str]) -> None:
    places = {"SOURCE": str(fixtures / "bort_4_8_24_32.params"), "OUT": str(tmp_path / "out")}
    command = [sys.executable, "-c", MODULES, *(places.get(word, word) for word in arguments)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    imported = set(output.splitlines()[-1].split()[1:])
    assert {"bort_convert", "click"} <= imported
    everything = arguments == ["--help"]  # which imports every command
    assert ("numpy" in imported) == everything
    assert not imported & {*HEAVY, "zipfile"}
    assert everything or not imported & {"shutil", "tempfile"}


@linux
def test_a_cast_starts_no_threads_of_numpy_and_the_end_searches_for_no_cycles(fixtures: Path, tmp_path: Path) -> None:
    source = fixtures / "bort_4_8_24_32.params"
    command = [sys.executable, "-c", ENDING, str(source), str(tmp_path / "out"), "--family", "bort", "--heads", "8"]
    told = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    output = subprocess.check_output([*command, "--dtype", "float16"], text=True, env=told)
    frozen, *threads = output.splitlines()[-1].split()[1:]
    assert int(frozen) > 10_000
    assert len(threads) == 1


@linux
def test_a_large_buffer_begins_where_the_kernel_copies_to_fast(borts: dict[int, Path]) -> None:
    command = [sys.executable, "-c", BUFFER, str(borts[60])]
    assert int(subprocess.check_output(command, text=True)) >= 32


@pytest.mark.parametrize(
    "missing",
    [(), ("copy_file_range",), ("copy_file_range", "sendfile"), ("copy_file_range", "sendfile", "pread", "preadv")],
)
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
def test_a_large_conversion_gives_the_same_bytes_again_and_by_the_long_way(
    borts: dict[int, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    options: Any = MODES[mode]
    for name in ("first", "again"):
        convert(borts[60], tmp_path / name, family="bort", heads=8, **options)
    for call in ("copy_file_range", "sendfile", "pread", "preadv"):
        monkeypatch.delattr(os, call, raising=False)
    convert(borts[60], tmp_path / "long", family="bort", heads=8, **options)
    assert digests(tmp_path / "first") == digests(tmp_path / "again") == digests(tmp_path / "long")


def test_inspect_looks_at_headers_and_names_alone(borts: dict[int, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    take = Cursor.take

    def counted(cursor: Cursor, count: int, what: str) -> bytes:
        seen.append(count)
        return take(cursor, count, what)

    monkeypatch.setattr(Cursor, "take", counted)
    inspect(borts[210], family="bort", heads=8)
    assert 0 < sum(seen) < 10_000
    assert 0 < walk_over(borts[210]).sum_of(READS) < MB


@linux
def test_inspect_has_the_disk_read_less_than_a_megabyte(borts: dict[int, Path]) -> None:
    measured("inspect", borts[210], "--family", "bort", "--heads", 8)  # what is imported is in the page cache now
    forget(borts[210])
    _, read = measured("inspect", borts[210], "--family", "bort", "--heads", 8)
    assert read < MB
