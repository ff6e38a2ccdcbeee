"""Cuts and flips files in every place that a reader looks at, and says what the reader made of it.

    python tests/damage.py cuts|flips EVERY FILE...

A process of its own, so that its memory is what reading takes and a hang can be ended. EVERY takes each so-manieth
place only. For each file it prints one JSON object; `test_cuts.py` judges them.
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

SMALL = 32 * 1024  # up to here a file is cut at every byte
LONGEST = 1000  # characters of a message
HANG = 10  # seconds of processor time for one reading
SEEDED = 1000  # places in a larger file that are no header
MASKS = (0xFF, 0x01, 0x80, 0x20)  # of a tiny file each in every place, else one for each place, in turn
TINY = 4096
EXPECTED = {"read", "refused"}


def read_params(path: Path) -> None:
    """Everything that a user can get of a file."""
    with open_params(path) as params:
        for name in params:
            assert params[name].shape == params.header[name].shape
        for name in params.header:
            params.pieces(name)


def reader_of(path: Path) -> Callable[[Path], object]:
    return load_trace if path.suffix == ".safetensors" else read_params


def header_bytes(path: Path) -> list[int]:
    """The bytes of a file that are no values."""
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
    return sorted({*headers, *random.Random(size).sample(range(size), SEEDED)})  # noqa: S311 - no secret


def peak_mb() -> float:
    """The largest resident memory of this program, in 10**6 bytes, by Linux's count; 0 elsewhere.

    What `getrusage` counts starts with the memory of the process that started this one.
    """
    status = Path("/proc/self/status")
    lines = status.read_text("ascii").splitlines() if status.exists() else []
    return sum(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM:"))


def limit(seconds: float) -> None:
    """Interrupt what takes more processor time than this from here on; 0 for no limit."""
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGPROF, interrupt)
        signal.setitimer(signal.ITIMER_PROF, seconds)


def interrupt(_number: int, _frame: object) -> None:
    raise TimeoutError(f"not done after {HANG} s")


def attempt(path: Path, read: Callable[[Path], object]) -> tuple[str, float]:
    """What came of a reading: "read", "refused" or another exception; and the seconds of processor time."""
    start = time.process_time()
    try:
        limit(HANG)
        read(path)
        outcome = "read"
    except ConvertError as error:
        well_put = str(error).startswith(str(path)) and len(str(error)) < LONGEST
        outcome = "refused" if well_put else f"badly put: {error}"
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        outcome = f"{type(error).__name__}: {error}"
    finally:
        limit(0)
    return outcome, time.process_time() - start


def cut(path: Path, places: Iterable[int]) -> Iterable[int]:
    for size in sorted(places, reverse=True):
        os.truncate(path, size)
        yield size


def flipped(path: Path, places: Iterable[int]) -> Iterable[int]:
    tiny = path.stat().st_size <= TINY
    with path.open("r+b", buffering=0) as file:
        for number, at in enumerate(places):
            file.seek(at)
            (byte,) = file.read(1)
            for mask in MASKS if tiny else [MASKS[number % len(MASKS)]]:
                os.pwrite(file.fileno(), bytes([byte ^ mask]), at)
                yield at
            os.pwrite(file.fileno(), bytes([byte]), at)


def damaged(source: Path, how: str, every: int = 1) -> dict[str, Any]:
    places = (cuts(source) if how == "cuts" else header_bytes(source))[::every]
    read, outcomes, slowest = reader_of(source), Counter[str](), 0.0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copy(source, folder))
        for at in (cut if how == "cuts" else flipped)(copy, places):
            outcome, seconds = attempt(copy, read)
            outcomes[outcome if outcome in EXPECTED else f"byte {at}: {outcome}"] += 1
            slowest = max(slowest, seconds)
    return {"file": source.name, "outcomes": outcomes, "slowest": slowest, "peak_mb": peak_mb()}


if __name__ == "__main__":
    for name in sys.argv[3:]:
        print(json.dumps(damaged(Path(name), sys.argv[1], int(sys.argv[2]))))  # noqa: T201 - its result
