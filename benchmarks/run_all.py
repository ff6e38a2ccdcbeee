"""Run every benchmark and write docs/performance.md from the results.

    python benchmarks/run_all.py [--page]

With --page nothing is measured: the page is written from the results of earlier runs, in build/bench-results.
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from measure import RESULTS, ROOT
from measure import table as markdown

SECTIONS = {
    "conversion": "Conversion",
    "sizes": "Size",
    "published_sizes": "Published sizes of GluonNLP 1.0",
    "verification": "Verification",
    "inference": "Inference",
}
TEXTS = {
    "conversion": """\
The source is in the page cache, the target is absent and the disk idle before each run. A Bort of 510 MB gives 305 MB
of safetensors, because the matrix that the output layer is tied to stands in the source twice; `cp` writes all 510 MB.
A conversion ends with its output on the disk (`fsync`), and `cp` does not: the second `cp` is the comparable one.""",
    "sizes": """\
Generated Borts: the layers are those of the published Bort, and the vocabulary makes up the size. The largest has
tensors beyond 2 GB and offsets beyond 4 GB. From some GB on all programs, `cp` too, wait for the disk; the largest was
run once.""",
    "published_sizes": """\
Files of the published names, shapes and sizes with random values, converted with `--no-checksums --no-recognise`. A
command pays for the start of Python; a call in a process that runs already, as in a batch, does not.""",
    "verification": """\
All checks: names and shapes, bits, every layer in both frameworks, and the directory as it is used. MXNet runs in
another process.""",
    "inference": """\
One forward pass of embeddings and encoder, without a head, in float32 unless the title says bfloat16; two threads; all
positions are valid, and both sides take the mask. MXNet is hybridized with static memory, a compiled model has been
compiled before. BERT-base and BERT-large have random weights and run in torch eager. Before each setting is measured,
the first token's last hidden state is checked to agree between the frameworks. The last table is about the
architecture: how many times as fast as that BERT in torch eager the same Bort is; alexa/bort's README says 7.9 for
BERT-base and 20 for BERT-large on a CPU, and neither batch nor length.""",
}
WRITTEN = """\
Written by `make bench` (`benchmarks/run_all.py`) from measurements on the machine below. `tests/test_performance.py`
guards peak memory, imports, and the bytes that are read and written."""
READING = """\
Each figure is of whole processes, by `time.perf_counter` and by the counts of the operating system (`wait4`). Cases
take turns, A B C A B C; figures are medians, and a ratio is the median of the ratios within each round, so it need not
be the quotient of two medians. A run waits a moment for other programs to be idle. A run that they disturbed was made
again, five times at most, and the least disturbed run counts. The column *others* has the processors that they used
during the runs that count. Peak memory is the peak resident memory of one process, mapped pages included, in millions
of bytes; no figure is below the 20 MB of the process that measures. Python finds the modules compiled, as
`pip install .` leaves them; with an editable install and `PYTHONDONTWRITEBYTECODE` set, each start would compile them
anew, which takes 0.05 s more."""
PACKAGES = ("bort-convert", "numpy", "torch", "transformers", "mxnet", "gluonnlp")


def main() -> None:
    """Run the benchmarks, unless --page is given, and write the page."""
    if "--page" not in sys.argv[1:]:
        for name in SECTIONS:
            subprocess.run([sys.executable, str(Path(__file__).with_name(f"{name}.py"))], check=True)
    results = {name: json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8")) for name in SECTIONS}
    page = ROOT / "docs" / "performance.md"
    page.write_text(page_of(results), encoding="utf-8")
    sys.stdout.write(f"{page.relative_to(ROOT)}\n")


def page_of(results: dict[str, Any]) -> str:
    """Make the page from the results of every benchmark."""
    bars = [bar for each in results.values() for bar in each["bars"]]
    missed = sum(not met for _, _, met in bars)
    verdict = f"{len(bars) - missed} of {len(bars)} are met." if missed else "All are met."
    parts = [
        "# Performance",
        WRITTEN,
        "## Against the goals",
        f"The bars were set before the measurement. {verdict}",
        markdown_bars(bars),
        "## The machine",
        machine_of(results),
        "## How to read the figures",
        READING,
    ]
    for name, title in SECTIONS.items():
        parts += [f"## {title}", TEXTS[name], *results[name]["tables"]]
    return "\n\n".join(parts) + "\n"


def markdown_bars(bars: list[tuple[str, str, bool]]) -> str:
    """Make a table of the bars, with figures as text."""
    lines = [f"| {bar} | {figure} | {'met' if met else '**missed**'} |" for bar, figure, met in bars]
    return "\n".join(["| goal | measured | |", "| --- | --- | --- |", *lines])


def machine_of(results: dict[str, Any]) -> str:
    """Make a table of the machine and the packages."""
    described = next(iter(results.values()))["machine"] | {name: version(name) for name in PACKAGES}
    return markdown(["", ""], described.items()).replace("---:", "---")


if __name__ == "__main__":
    main()
