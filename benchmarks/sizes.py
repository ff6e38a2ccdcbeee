"""Seconds and memory of a conversion by the size of its source: random Borts from 50 MB to 10 GB.

    python benchmarks/sizes.py [LARGEST_MB]

Each file is generated, measured and deleted before the next. A size that would leave less than 5 GB of the disk free is
left out, and a line below the table says so.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from measure import ATTEMPTS, BORT_CONVERT, WORK, Case, Result, fresh, interleaved, middle, ratio, run, warm
from measure import table as markdown

if TYPE_CHECKING:
    from measure import Run

SIZES = {50: 5, 200: 5, 500: 5, 2_000: 3, 10_000: 1}
"""Megabytes -> rounds."""
FEW = 3
"""Largest number of rounds at which a disturbed run is not made again: it takes too long."""
NEEDED, SPARE = 2.2, 5e9
"""Size of the source times this is the room that a measurement takes on the disk; and the bytes that stay free."""
MEMORY_MB = 100
CP, CHECKED, PLAIN, HALF = "`cp`", "default", "`--no-checksums`", "`--dtype float16`"
CONVERSIONS = (CHECKED, PLAIN, HALF)


def main() -> None:
    """Measure, print and keep the results."""
    largest = float(sys.argv[1]) if sys.argv[1:] else max(SIZES)
    found, left_out = {}, []
    for size, rounds in SIZES.items():
        if size > largest:
            continue
        WORK.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(WORK).free
        if size * 1e6 * NEEDED + SPARE > free:
            left_out.append(f"{size:,} MB were left out: {free / 1e9:.0f} GB of the disk are free.")
            continue
        found[size] = measure(size, rounds)
    titles = ["source", *(f"{name}, s" for name in (CP, *CONVERSIONS)), "times `cp`"]
    rows = [
        [f"{size:,} MB", *(f"{middle(runs[name]):.2f}" for name in runs), f"{ratio(runs[CHECKED], runs[CP]):.1f}"]
        for size, runs in found.items()
    ]
    peaks = {size: [max(each.peak_mb for each in runs[name]) for name in CONVERSIONS] for size, runs in found.items()}
    memory = [[f"{size:,} MB", *(f"{peak:.0f}" for peak in figures)] for size, figures in peaks.items()]
    tables = [
        markdown(titles, rows),
        *left_out,
        markdown(["source", *(f"{name}, peak MB" for name in CONVERSIONS)], memory),
    ]
    highest = max(max(figures) for figures in peaks.values())
    spread = max(max(column) - min(column) for column in zip(*peaks.values(), strict=True))
    bar = f"peak resident memory within {MEMORY_MB} MB from {min(found):,} MB to {max(found):,} MB"
    bars = [(bar, f"{highest:.0f} MB at most; {spread:.0f} MB between the sizes", highest <= MEMORY_MB)]
    raw = {str(size): {name: [vars(each) for each in runs[name]] for name in runs} for size, runs in found.items()}
    Result(tables, bars, raw).save("sizes")


def measure(size: int, rounds: int) -> dict[str, list[Run]]:
    """Run every case at one size, and delete the outputs."""
    source, copy, out = WORK / f"{size}.params", WORK / "copy", WORK / "out"
    try:
        source.unlink(missing_ok=True)
        run([sys.executable, str(Path(__file__).with_name("generate.py")), str(source), str(size)])
        warm(source)
        convert = [BORT_CONVERT, str(source), str(out), "--quiet", "--family", "bort", "--heads", "8"]
        clear = fresh(copy, out)
        cases = [
            Case(CP, ["cp", str(source), str(copy)], clear),
            Case(CHECKED, convert, clear),
            Case(PLAIN, [*convert, "--no-checksums"], clear),
            Case(HALF, [*convert, "--dtype", "float16"], clear),
        ]
        return interleaved(cases, rounds, warm_up=rounds > 1, attempts=ATTEMPTS if rounds > FEW else 1)
    finally:
        shutil.rmtree(WORK)


if __name__ == "__main__":
    main()
