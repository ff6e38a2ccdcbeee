"""Time the conversion of published sizes of GluonNLP 1.0, as a command and in a process that runs already, beside `cp`.

    python benchmarks/published_sizes.py

Each file has the names, shapes and size of the published one and random values. It is in the page cache, the target is
absent, and the disk is idle before each run. With `write` or `call` the script is the process that writes a file, or
that converts one several times.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from measure import BORT_CONVERT, ROOT, WORK, Case, Result, fresh, interleaved, middle, ratio, wait_for_quiet, warm
from measure import table as markdown

ROUNDS: Final = 5
TIMES, MEMORY_MB = 3, 100
CP, SYNCED, COMMAND, CALL = "`cp`", "`cp`, then `sync` of the copy", "command", "call"
FILES: Final = (
    *("google_en_uncased_bert_base/model", "google_electra_base/disc_model", "google_albert_base_v2/model"),
    *("fairseq_bart_base/model", "google_t5_small/model"),
)


def main() -> None:
    """Measure, print and keep the results."""
    rows, bars, raw = [], [], {}
    for name in FILES:
        source, out = WORK / "source.params", WORK / "out"
        WORK.mkdir(parents=True, exist_ok=True)
        ask("write", name, str(source))
        runs = interleaved(cases(warm(source), out), ROUNDS)
        calls = json.loads(ask("call", str(source), str(out)))
        durable, quickest = middle(runs[SYNCED]), min(calls)
        figures = middle(runs[COMMAND]), middle(runs[CP]), durable, quickest
        times = ratio(runs[COMMAND], runs[CP]), ratio(runs[COMMAND], runs[SYNCED]), quickest / durable
        peak = max(found.peak_mb for found in runs[COMMAND])
        texts = (*(f"{figure:.2f}" for figure in figures), *(f"{figure:.1f}" for figure in times), f"{peak:.0f}")
        rows.append((f"{name}, {source.stat().st_size / 1e6:.0f} MB", *texts))
        bars.append((f"{name}: a command within {TIMES} x {CP}", f"{times[0]:.1f} x", times[0] <= TIMES))
        bars.append((f"{name}: peak memory within {MEMORY_MB} MB", f"{peak:.0f} MB", peak <= MEMORY_MB))
        raw[name] = {**{case: [vars(each) for each in found] for case, found in runs.items()}, CALL: calls}
    shutil.rmtree(WORK)
    titles = ["GluonNLP 1.0", "command, s", f"{CP}, s", "`cp`, `sync`, s", "call, s"]
    titles += ["command / `cp`", "command / `cp`, `sync`", "call / `cp`, `sync`", "peak MB"]
    Result([markdown(titles, rows)], bars, raw).save("published_sizes")


def cases(source: Path, out: Path) -> list[Case]:
    """Make the cases to compare."""
    copy = WORK / "copy"
    clear = fresh(copy, out)
    convert = [BORT_CONVERT, str(source), str(out), "--quiet", "--no-checksums", "--no-recognise"]
    return [
        Case(CP, ["cp", str(source), str(copy)], clear),
        Case(SYNCED, ["sh", "-c", f"cp '{source}' '{copy}' && sync '{copy}'"], clear),
        Case(COMMAND, convert, clear),
    ]


def ask(*words: str) -> str:
    """Run this script again, so that its memory is not that of the processes that are measured."""
    return subprocess.run([sys.executable, __file__, *words], check=True, stdout=subprocess.PIPE, text=True).stdout


def write(name: str, path: str) -> None:
    """Write a file of an entry's names and shapes; what must be zero in a T5 is zero."""
    import numpy as np  # noqa: PLC0415 - not in the process that measures
    from bort_convert import save_params  # noqa: PLC0415
    from bort_convert.zoo import find_entries  # noqa: PLC0415

    sys.path += [str(ROOT / "tests" / "support"), str(ROOT / "fixtures")]
    from published import written_specs  # noqa: PLC0415

    (entry,) = find_entries(name)
    rng = np.random.default_rng(0)
    arrays = {spec.name: rng.standard_normal(spec.shape, np.float32) for spec in written_specs(entry)}
    for tensor, values in arrays.items():
        if entry.family == "t5" and tensor.endswith("beta"):
            values[...] = 0
    save_params(path, arrays)


def call(source: str, out: str) -> None:
    """Convert several times in this process, as a batch or a script does, and print the seconds of each time."""
    import bort_convert  # noqa: PLC0415 - not in the process that measures

    seconds = []
    for _ in range(1 + ROUNDS):
        fresh(Path(out))()
        wait_for_quiet()
        start = time.perf_counter()
        bort_convert.convert(source, out, checksums=False, recognise=False)
        seconds.append(time.perf_counter() - start)
    print(json.dumps(seconds[1:]))  # noqa: T201 - its result


if __name__ == "__main__":
    {"write": write, "call": call}[sys.argv[1]](*sys.argv[2:]) if sys.argv[1:] else main()
