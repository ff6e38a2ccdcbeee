"""Cut files at every byte, or flip their header bytes, and read them.

    python tests/support/damage.py cuts|flips STEP FILE...

This runs in another process, so that its memory is that of reading, and a hang can be ended. STEP 8 takes every eighth
byte. The outcomes of each file are printed as one JSON object, which `test_cuts.py` judges.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bort_convert.errors import ConvertError
from bort_convert.params import open_params
from bort_convert.safetensors import open_tensors
from bort_convert.verification.trace_file import load_trace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SMALL = 32 * 1024  # bytes of a file that is cut at every byte
LONGEST = 1000  # characters of a message
HANG = 10  # seconds of processor time for one reading
SAMPLE = 1000  # bytes outside the headers at which a larger file is cut
MASKS = (0xFF, 0x01, 0x80, 0x20)  # a tiny file is flipped by all of them at every byte, a larger one by each in turn
TINY = 4096
EXPECTED = {"read", "refused"}


def read_params(path: Path) -> None:
    """Read everything that a user can get from a file."""
    with open_params(path) as params:
        for name in params:
            assert params[name].shape == params.header[name].shape
        for name in params.header:
            params.pieces(name)


def reader_of(path: Path) -> Callable[[Path], object]:
    return load_trace if path.suffix == ".safetensors" else read_params


def header_bytes(path: Path) -> list[int]:
    """Give the positions of all bytes of a file that are no values."""
    values = set()
    if path.suffix == ".safetensors":
        with open_tensors(path) as tensors:
            size = sum(spec.nbytes for spec in tensors.header.values())
        values.update(range(path.stat().st_size - size, path.stat().st_size))
    else:
        with open_params(path) as params:
            for info in params.header.values():
                if info.offset is not None:
                    values.update(range(info.offset, info.offset + info.nbytes))
    return [at for at in range(path.stat().st_size) if at not in values]


def cuts(path: Path) -> list[int]:
    size, headers = path.stat().st_size, header_bytes(path)
    if size <= SMALL:
        return list(range(size))
    return sorted({*headers, *random.Random(size).sample(range(size), SAMPLE)})  # noqa: S311 - no secret


def peak_mb() -> float:
    """Give the peak resident memory of this program in 10**6 bytes, as Linux counts it; 0 elsewhere.

    The count of `getrusage` begins with the memory of the process that started this one.
    """
    status = Path("/proc/self/status")
    lines = status.read_text("ascii").splitlines() if status.exists() else []
    return sum(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM:"))


def limit(seconds: float) -> None:
    """Interrupt this program after so many seconds of processor time; 0 for no limit."""
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGPROF, interrupt)
        signal.setitimer(signal.ITIMER_PROF, seconds)


def interrupt(_number: int, _frame: object) -> None:
    raise TimeoutError(f"not done after {HANG} s")


def attempt(path: Path, read: Callable[[Path], object]) -> tuple[str, float]:
    """Read a file; give "read", "refused" or another exception, and the seconds of processor time."""
    start = time.process_time()
    try:
        limit(HANG)
        read(path)
        outcome = "read"
    except ConvertError as error:
        good_message = str(error).startswith(str(path)) and len(str(error)) < LONGEST
        outcome = "refused" if good_message else f"bad message: {error}"
    except Exception as error:  # noqa: BLE001 - the exceptions to find
        outcome = f"{type(error).__name__}: {error}"
    finally:
        limit(0)
    return outcome, time.process_time() - start


def cut(path: Path, positions: Iterable[int]) -> Iterable[int]:
    for size in sorted(positions, reverse=True):
        os.truncate(path, size)
        yield size


def flipped(path: Path, positions: Iterable[int]) -> Iterable[int]:
    tiny = path.stat().st_size <= TINY
    with path.open("r+b", buffering=0) as file:
        for number, at in enumerate(positions):
            file.seek(at)
            (byte,) = file.read(1)
            for mask in MASKS if tiny else [MASKS[number % len(MASKS)]]:
                os.pwrite(file.fileno(), bytes([byte ^ mask]), at)
                yield at
            os.pwrite(file.fileno(), bytes([byte]), at)


def damaged(source: Path, how: str, step: int = 1) -> dict[str, Any]:
    positions = (cuts(source) if how == "cuts" else header_bytes(source))[::step]
    read, outcomes, slowest = reader_of(source), Counter[str](), 0.0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copy(source, folder))
        for at in (cut if how == "cuts" else flipped)(copy, positions):
            outcome, seconds = attempt(copy, read)
            outcomes[outcome if outcome in EXPECTED else f"byte {at}: {outcome}"] += 1
            slowest = max(slowest, seconds)
    return {"file": source.name, "outcomes": outcomes, "slowest": slowest, "peak_mb": peak_mb()}


if __name__ == "__main__":
    for name in sys.argv[3:]:
        print(json.dumps(damaged(Path(name), sys.argv[1], int(sys.argv[2]))))  # noqa: T201 - its result
