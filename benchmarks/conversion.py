"""Time the conversion of a full-size Bort, `cp` of it, the route through MXNet and torch, and `inspect`.

    python benchmarks/conversion.py

The source is in the page cache, the target is absent, and the disk is idle before each run.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from measure import BORT_CONVERT, WORK, Case, Result, cold, excess, fresh, full_size, interleaved, middle, ratio, run
from measure import table as markdown

if TYPE_CHECKING:
    from measure import Run

ROUNDS, FEW = 7, 3
CP, SYNCED, CHECKED, PLAIN, HALF, BRAIN = (
    "`cp`",
    "`cp`, then `sync` of the copy",
    "`bort-convert`",
    "`bort-convert --no-checksums`",
    "`bort-convert --dtype float16`",
    "`bort-convert --dtype bfloat16`",
)
# The bars: seconds of a conversion as a multiple of `cp` and a start, and limits of the other costs.
WITHIN = {CHECKED: (2.5, 0.35), PLAIN: (1.6, 0.35), HALF: (8.0, 0.0)}
MEMORY_MB, INSPECT_SECONDS, INSPECT_MB, TIMES_FASTER = 100, 0.35, 1, 10
ROUTE, VERSION, INSPECT = "MXNet + torch + `save_pretrained`", "`bort-convert --version`", "`bort-convert inspect`"


def main() -> None:
    """Measure, print and keep the results."""
    source = full_size()
    runs = interleaved(cases(source), ROUNDS)
    cold(source)
    unread = run([BORT_CONVERT, "inspect", "--quiet", str(source)])
    shutil.rmtree(WORK)
    rows = [
        (
            name,
            f"{middle(found):.2f}",
            f"{middle(found, 'cpu'):.2f}",
            f"{ratio(found, runs[CP]):.1f}",
            f"{max(each.peak_mb for each in found):.0f}",
            f"{middle(found, 'others'):.2f}",
        )
        for name, found in runs.items()
    ]
    text = markdown(("full size, 510 MB", "seconds", "CPU seconds", "times `cp`", "peak MB", "others, cores"), rows)
    reading = (
        f"`inspect` of a file that is not in the page cache had the disk read {unread.read_mb:,.2f} MB of its 510 MB "
        f"(`ru_inblock`), in {unread.wall:.2f} s."
    )
    raw = {"runs": {name: [vars(each) for each in found] for name, found in runs.items()}, "cold": vars(unread)}
    Result([text, reading], bars(runs, unread), raw).save("conversion")


def cases(source: Path) -> list[Case]:
    """Make the cases to compare."""
    copy, out = WORK / "copy", WORK / "out"
    convert = [BORT_CONVERT, str(source), str(out), "--quiet"]
    clear = fresh(copy, out)
    route = Path(__file__).with_name("route_mxnet_torch.py")
    return [
        Case(CP, ["cp", str(source), str(copy)], clear),
        Case(CHECKED, convert, clear),
        Case(PLAIN, [*convert, "--no-checksums"], clear),
        Case(HALF, [*convert, "--dtype", "float16"], clear),
        Case(BRAIN, [*convert, "--dtype", "bfloat16"], clear),
        Case(SYNCED, ["sh", "-c", f"cp '{source}' '{copy}' && sync '{copy}'"], clear),
        Case(INSPECT, [BORT_CONVERT, "inspect", str(source)], clear),
        Case(VERSION, [BORT_CONVERT, "--version"], clear),
        Case(ROUTE, [sys.executable, str(route), str(source), str(out)], clear, FEW),
    ]


def bars(runs: dict[str, list[Run]], unread: Run) -> list[tuple[str, str, bool]]:
    """Judge the runs by the bars."""
    found = []
    for name, (factor, start) in WITHIN.items():
        over = excess(runs[name], runs[CP], factor)
        allowed = f"{factor} x `cp`" + (f" + {start} s" if start else "")
        figure = (
            f"{middle(runs[name]):.2f} s, where that is {factor * middle(runs[CP]) + start:.2f} s; "
            f"it is {factor} x `cp` {'+' if over >= 0 else '-'} {abs(over):.2f} s"
        )
        found.append((f"{name} within {allowed}", figure, over <= start))
    times = ratio(runs[ROUTE], runs[CHECKED])
    bar = f"{CHECKED} at least {TIMES_FASTER} x faster than MXNet + torch"
    found.append((bar, f"{times:.1f} x", times >= TIMES_FASTER))
    for name in (CHECKED, PLAIN, HALF, BRAIN):
        peak = max(each.peak_mb for each in runs[name])
        found.append((f"{name}: peak resident memory within {MEMORY_MB} MB", f"{peak:.0f} MB", peak <= MEMORY_MB))
    seconds = middle(runs[INSPECT])
    found.append((f"{INSPECT} within {INSPECT_SECONDS} s", f"{seconds:.2f} s", seconds <= INSPECT_SECONDS))
    reading = f"{unread.read_mb:,.2f} MB from a cold cache"
    found.append((f"{INSPECT} reads less than {INSPECT_MB} MB", reading, unread.read_mb < INSPECT_MB))
    return found


if __name__ == "__main__":
    main()
