"""Read files with real MXNet, and print the results as JSON; in another process, as some files end it.

    python mxnet_reader.py write FOLDER SEED COUNT    have MXNet write files: FOLDER/000.params, ...
    python mxnet_reader.py read < PATHS               one line of JSON for each path

A line is `{"arrays": [[name, contents], ...], "named": true}` if MXNet reads the file, `{"error": message}` if it
refuses it, and `{"died": status}` if its process ends. `contents` maps "data", "indices" and "indptr" to dtype, shape
and SHA-256, and "shape" to the shape of the dense array. Files are read in a fork: after a file that ends the process,
the next fork need not import MXNet again.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import resource
import signal
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS, MEMORY = 20, 3 << 30  # limits of one file
STORED = {"default": ("data",), "row_sparse": ("data", "indices"), "csr": ("data", "indices", "indptr")}
DTYPES = ("float32", "float64", "float16", "uint8", "int32", "int8", "int64", "bool")


def read(path: str) -> dict[str, Any]:
    """Read a file with `mx.nd.load`, and describe its arrays or the error."""
    try:
        loaded = mx.nd.load(path)
        named = isinstance(loaded, dict)
        items = loaded.items() if named else ((str(at), array) for at, array in enumerate(loaded))
        return {"named": named, "arrays": [[name, contents(array)] for name, array in items]}
    except Exception as error:  # noqa: BLE001 - MXNet raises its own, and plain ones
        lines = [line.strip() for line in str(error).splitlines()]
        return {"error": f"{type(error).__name__}: {' '.join(line for line in lines if '[bt]' not in line)}"[:400]}


def contents(array: Any) -> dict[str, Any]:  # noqa: ANN401 - mxnet has no type hints
    """Describe the stored arrays of an array, and its dense shape."""
    if array.stype == "default":
        return {"shape": list(array.shape), "data": description(array)}
    stored = {name: description(getattr(array, name)) for name in STORED[array.stype]}
    return {"shape": list(array.shape), **stored}


def description(array: Any) -> list[Any]:  # noqa: ANN401 - mxnet has no type hints
    """Give dtype, shape and digest of a dense array."""
    try:
        values = array.asnumpy()
    except (ValueError, mx.base.MXNetError) as error:  # the array loads, but not its values
        return ["?", list(array.shape), str(error).splitlines()[-1][:200]]
    name = values.dtype.names[0] if values.dtype.names else values.dtype.name
    return [name, list(values.shape), hashlib.sha256(values.tobytes()).hexdigest()]


def read_all(paths: list[str]) -> Iterator[str]:
    """Give a line for each file, also for one that ends the process that reads it."""
    while paths:
        lines, status = in_a_fork(paths)
        yield from lines
        paths = paths[len(lines) :]
        if paths:  # the next file ended the process, or an earlier one had damaged it
            lines, status = in_a_fork(paths[:1])
            yield lines[0] if lines else json.dumps({"died": status})
            paths = paths[1:]


def in_a_fork(paths: list[str]) -> tuple[list[str], int]:
    """Give a line for each file up to one that ends the process, and the status of the process."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        for path in paths:
            signal.alarm(SECONDS)
            os.write(writing, json.dumps(read(path)).encode() + b"\n")
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        lines = pipe.read().splitlines()
    return lines, os.waitpid(child, 0)[1]


def write(path: Path, seed: int) -> None:
    """Have `mx.nd.save` write arrays of any type, shape and storage, with names or without."""
    choose = random.Random(seed)  # noqa: S311 - the same file each time
    rng = np.random.default_rng(seed)
    arrays = [array_of(choose, rng) for _ in range(choose.randint(0, 3))]
    mx.nd.waitall()  # MXNet 1.9.1 saves the shape of a row_sparse array that is still being computed
    mx.nd.save(str(path), {f"n{at}.w": array for at, array in enumerate(arrays)} if choose.random() < 0.7 else arrays)


def array_of(choose: random.Random, rng: np.random.Generator) -> Any:  # noqa: ANN401 - mxnet has no type hints
    """Make an array."""
    kind = choose.choice(["dense"] * 5 + ["row_sparse", "csr"])
    rank = 2 if kind == "csr" else choose.randint(1, 4)
    shape = tuple(choose.randint(1, 4) for _ in range(rank))
    if kind == "dense":
        dtype = choose.choice(DTYPES)
        return mx.nd.array(rng.integers(0, 2 if dtype == "bool" else 100, shape), dtype=dtype)
    return mx.nd.array(rng.integers(-3, 3, shape).clip(0), dtype="float32").tostype(kind)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    if "bool" not in vars(np):
        np.bool = bool  # type: ignore[attr-defined,unused-ignore] # mxnet 1.9.1 asks for it
    import mxnet as mx

    if sys.argv[1] == "write":
        for number in range(int(sys.argv[4])):
            write(Path(sys.argv[2]) / f"{number:03}.params", int(sys.argv[3]) + number)
    else:
        for line in read_all(sys.stdin.read().splitlines()):
            sys.stdout.write(line + "\n")
