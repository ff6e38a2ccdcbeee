"""Time `bort-convert verify` at full size, with its memory: all three checks, both frameworks, both precisions.

python benchmarks/verification.py
"""

from __future__ import annotations

import shutil

from measure import BORT_CONVERT, WORK, Case, Result, fresh, full_size, interleaved, middle, run
from measure import table as markdown

ROUNDS = 3


def main() -> None:
    """Measure, print and keep the results."""
    source, out = full_size(), WORK / "out"
    fresh(out)()
    run([BORT_CONVERT, str(source), str(out), "--quiet"])
    verify = [BORT_CONVERT, "verify", str(source), str(out), "--quiet"]
    cases = [
        Case("`bort-convert verify`", verify),
        Case("`bort-convert verify --dtype float32`", [*verify, "--dtype", "float32"]),
    ]
    runs = interleaved(cases, ROUNDS, warm_up=False)
    shutil.rmtree(WORK)
    rows = [
        (
            name,
            f"{middle(found):.1f}",
            f"{middle(found, 'cpu'):.1f}",
            f"{max(each.peak_mb for each in found):,.0f}",
        )
        for name, found in runs.items()
    ]
    text = markdown(("full size, 510 MB", "seconds", "CPU seconds", "largest process, peak MB"), rows)
    Result([text], [], {name: [vars(each) for each in found] for name, found in runs.items()}).save("verification")


if __name__ == "__main__":
    main()
