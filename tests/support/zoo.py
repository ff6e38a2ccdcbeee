"""Prove every family at full size: GluonNLP writes each checkpoint, it is converted, and both frameworks run it.

    python tests/verify/zoo.py [NAME ... | --page]

NAME is a checkpoint that fixtures/make_full_size.py can write, a pattern of such names ('bert_24*'), or a family in all
its published sizes; `small` is every family in small, which takes seconds each. Without a name it is all published
sizes, which takes half an hour or more. Each row is printed as soon as it is known; those of published sizes are kept
in docs/parity.json, from which docs/parity.md is written, with --page alone. The exit status is 1 if a bar is missed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bort_convert import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from make_full_size import Checkpoint

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "fixtures"))  # where pytest finds it by itself
HYPERPARAMETERS: Final = ROOT / "docs" / "parity.json"
PAGE: Final = HYPERPARAMETERS.with_suffix(".md")
BUILD: Final = ROOT / "build"
MAKER: Final = ROOT / "fixtures" / "make_full_size.py"
SMALL: Final = "small"

FLOAT64_RELATIVE, FLOAT32_HIDDEN, FLOAT32_RELATIVE = 1e-12, 3e-5, 3e-6
"""The bars: in float64 of each output's largest value; in float32 absolute, or of that value where that is more, as for
GPT-2, whose hidden states are large. `verify` has its own, for heads too."""
LARGE_MB, ROWS, ROWS_IF_LARGE = 700, 4, 2
"""Rows of the batch: row 0 has every position, row 1 one token, the others any number."""

TITLES: Final = (
    *(
        "checkpoint",
        "becomes",
        "heads compared",
        "parameters",
        "MB",
        "converted in",
        "verified in",
        "lengths",
        "largest hidden",
    ),
    *("float64, relative", "float32, hidden", "float32, heads", "verdict"),
)
INTRODUCTION: Final = """\
# Parity at full size

Written by `make zoo` (`tests/verify/zoo.py`) from what it measured, kept in `parity.json`. For each row real GluonNLP
wrote a checkpoint of a published size, every parameter random, biases and LayerNorms too; `bort-convert` converted it
without an option; `bort-convert verify` ran GluonNLP on MXNet and transformers on torch, in float64 and in float32, and
compared the embeddings, every layer and every head.

GPT-2 and XLNet stood among GluonNLP's scripts and are in no package of it: their networks here are ours, written from
the scripts on the layers of MXNet and GluonNLP."""
READING: Final = f"""\
- *float64, relative* is the largest difference of any output, in units of that output's largest absolute value; the
  bar is {FLOAT64_RELATIVE:.0e}.
- *float32, hidden* is the largest absolute difference of the embeddings and any layer; the bar is {FLOAT32_HIDDEN:.0e},
  or {FLOAT32_RELATIVE:.0e} of the output's largest value where that is more (above 10).
- *float32, heads* is that of any head; the bars are `verify`'s, 3e-05 for a pooler and 1e-04 for logits, or 1e-05 of
  their largest value.
- A row passes when these bars are met, all three checks of `verify` passed (names and shapes, bits, behaviour), and the
  published size was recognised.
- *lengths* are the tokens of each row of the batch. `verify` takes {ROWS} rows unless told otherwise; files above
  {LARGE_MB} MB got {ROWS_IF_LARGE}: every position, and a single token.
- *converted in* and *verified in* are of one run, with other programs beside it; [performance](performance.md) has
  figures that were measured with care."""


@dataclass(frozen=True)
class Result:
    """What one checkpoint showed; what was not reached stands at its default.

    Attributes:
        becomes: the target class.
        heads: the outputs behind the last layer that were compared.
        parameters: in the checkpoint, a tied matrix once.
        megabytes: of the checkpoint, in 10**6 bytes.
        seconds: that the conversion took.
        verified: seconds that the verification took.
        lengths: tokens in each row of the batch.
        largest: absolute value of the embeddings and layers.
        float64: the largest difference of any output, relative to the output's largest value.
        float32_hidden: the largest absolute difference of embeddings and layers.
        float32_heads: of the heads.
        problems: what is not as it should be.
        versions: what ran.
    """

    name: str
    becomes: str = ""
    heads: tuple[str, ...] = ()
    parameters: int = 0
    megabytes: float = 0.0
    seconds: float = 0.0
    verified: float = 0.0
    lengths: tuple[int, ...] = ()
    largest: float = 0.0
    float64: float = 0.0
    float32_hidden: float = 0.0
    float32_heads: float = 0.0
    problems: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)


def main(arguments: list[str], after_conversion: Callable[[Path], object] = lambda _folder: None) -> int:
    """Prove what the command line names; give the exit status.

    Args:
        arguments: the names.
        after_conversion: is given each converted folder, for tests that have to spoil it.
    """
    if arguments == ["--page"]:
        write_page(all_known())
        return 0
    known = all_known()
    chosen = [checkpoint for checkpoint in known.values() if is_meant(checkpoint, arguments)]
    if unknown := [name for name in arguments if not any(is_meant(each, [name]) for each in chosen)]:
        sys.stderr.write(f"{', '.join(unknown)}: not known. Known are {SMALL}, {', '.join(known)}\n")
        return 2
    results = []
    for checkpoint in chosen:
        BUILD.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=BUILD, prefix="zoo-") as folder:
            result = examine(checkpoint, Path(folder), after_conversion)
        results.append(result)
        sys.stdout.write("\n".join([*([] if results[1:] else table([])), *table([result])[2:], *result.problems, ""]))
        sys.stdout.flush()
        if checkpoint.variant:
            keep(result, known)
    sys.stdout.write(f"{tally(results)}\n")
    return int(any(result.problems for result in results))


def all_known() -> dict[str, Checkpoint]:
    """Every checkpoint that can be written, by name."""
    from make_full_size import checkpoints  # noqa: PLC0415 - MXNet is loaded when it is needed

    return checkpoints()


def is_meant(checkpoint: Checkpoint, names: Collection[str]) -> bool:
    """Whether a command line with these names means it."""
    if not names:
        return bool(checkpoint.variant)
    group = checkpoint.family if checkpoint.variant else SMALL
    return any(name == group or fnmatchcase(checkpoint.name, name) for name in names)


def examine(checkpoint: Checkpoint, folder: Path, after_conversion: Callable[[Path], object]) -> Result:
    """Write, convert and verify one checkpoint, each in a process of its own."""
    source, out = folder / f"{checkpoint.name}.params", folder / "out"
    subprocess.run([sys.executable, "-W", "ignore", str(MAKER), str(source)], check=True)
    megabytes = source.stat().st_size / 1e6
    # A published size is recognised; of any other it has to be said what no shape shows.
    options = (
        [] if checkpoint.variant else ["--family", checkpoint.family, "--heads", str(checkpoint.size.attention_heads)]
    )
    start = time.perf_counter()
    manifest = said("convert", str(source), str(out), *options)
    seconds = time.perf_counter() - start
    if "error" in manifest:
        return Result(checkpoint.name, megabytes=megabytes, problems=(manifest["error"]["message"],))
    after_conversion(out)
    rows = ROWS_IF_LARGE if megabytes > LARGE_MB else ROWS
    report = said("verify", str(source), str(out), "--batch", str(rows), "--timeout", "3600")
    if "error" in report:
        return Result(checkpoint.name, megabytes=megabytes, problems=(report["error"]["message"],))
    return judged(checkpoint, manifest, report, megabytes=megabytes, seconds=seconds)


def said(command: str, *arguments: str) -> dict[str, Any]:
    """The JSON document that a command of bort-convert prints, also where it ends with an error."""
    line = [sys.executable, "-m", "bort_convert", command, *arguments, "--json"]
    process = subprocess.run(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    if not process.stdout:
        return {"error": {"message": f"bort-convert {command} ended with status {process.returncode}"}}
    document: dict[str, Any] = json.loads(process.stdout)
    return document


def judged(
    checkpoint: Checkpoint, manifest: dict[str, Any], report: dict[str, Any], *, megabytes: float, seconds: float
) -> Result:
    """The figures of a conversion and a verification, and whether they reach the bars."""
    runs = {run["dtype"]: [each for each in run["layers"] if each["max_abs"] is not None] for run in report["runs"]}
    sharp, single = runs.get("float64", []), runs.get("float32", [])
    relative = max((each["max_abs"] / each["largest"] if each["max_abs"] else 0.0 for each in sharp), default=1.0)
    problems = [] if report["passed"] else [report["headline"]]
    if (manifest["variant"] or "") != checkpoint.variant:
        problems.append(f"FAIL the size was taken for {manifest['variant']}, expected {checkpoint.variant}")
    if not relative <= FLOAT64_RELATIVE:
        problems.append(f"FAIL float64: {relative:.1e} relative, the bar is {FLOAT64_RELATIVE:.0e}")
    states = [each for each in single if is_hidden(each["name"])]
    problems += [
        f"FAIL float32: {each['name']} is {each['max_abs']:.1e} off, the bar is {bar:.0e}"
        for each in states
        if not each["max_abs"] <= (bar := max(FLOAT32_HIDDEN, FLOAT32_RELATIVE * each["largest"]))
    ]
    if not states:
        problems.append("FAIL float32: no hidden state was compared")
    return Result(
        name=checkpoint.name,
        becomes=manifest["architecture"],
        heads=tuple(each["name"] for each in single if not is_hidden(each["name"])),
        parameters=manifest["parameters"],
        megabytes=round(megabytes, 1),
        seconds=round(seconds, 2),
        verified=round(report["seconds"], 1),
        lengths=tuple(report["lengths"]),
        largest=max((each["largest"] for each in states), default=0.0),
        float64=relative,
        float32_hidden=max((each["max_abs"] for each in states), default=0.0),
        float32_heads=max((each["max_abs"] for each in single if not is_hidden(each["name"])), default=0.0),
        problems=tuple(problems),
        versions={"bort_convert": __version__, **report["versions"]},
    )


def is_hidden(output: str) -> bool:
    """Whether an output is the embeddings, a layer's or the last norm's, and no head's."""
    return output in {"embeddings", "final_norm"} or output.startswith("layer.")


def keep(result: Result, known: Mapping[str, Checkpoint]) -> None:
    """Put a result among those of earlier runs, in the order of what is known, and write the page from all of them."""
    found = {each.name: each for each in [*results_kept(), result]}
    ordered = [found[name] for name in known if name in found]
    text = json.dumps([asdict(each) for each in ordered], indent=1)
    HYPERPARAMETERS.write_text(text + "\n", "utf-8", newline="\n")
    write_page(known)


def write_page(known: Mapping[str, Checkpoint]) -> None:
    """Write docs/parity.md from the results that are kept; a published size that is not among them is named."""
    results = results_kept()
    found = {result.name for result in results}
    missing = [name for name, checkpoint in known.items() if checkpoint.variant and name not in found]
    PAGE.write_text(page_of(results, missing), "utf-8", newline="\n")


def results_kept() -> list[Result]:
    """Those of earlier runs."""
    stored = json.loads(HYPERPARAMETERS.read_text("utf-8")) if HYPERPARAMETERS.exists() else []
    return [Result(**each) for each in stored]


def page_of(results: Sequence[Result], missing: Sequence[str] = ()) -> str:
    """docs/parity.md; `missing` are the names of what was not run."""
    versions: dict[str, list[str]] = {}
    for result in results:
        for name, version in result.versions.items():
            versions.setdefault(name, []).append(version)
    ran = [f"| {name} | {', '.join(dict.fromkeys(found))} |" for name, found in versions.items()]
    parts = [
        INTRODUCTION,
        f"{tally(results)}.",
        "\n".join(f"- {result.name}: {problem}" for result in results for problem in result.problems),
        f"Not run yet: {', '.join(f'`{name}`' for name in missing)}." if missing else "",
        "\n".join(table(results)),
        f"## How to read the figures\n\n{READING}",
        "\n".join(["## What ran", "", "| | |", "|---|---|", *ran]),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def tally(results: Collection[Result]) -> str:
    """How many there are, and how many failed."""
    failed = sum(bool(result.problems) for result in results)
    return f"{len(results)} checkpoint{'s' * (len(results) != 1)}, {failed} failed"


def table(results: Iterable[Result]) -> list[str]:
    """A Markdown table, wide enough for any row."""
    rows = [
        (
            *(f"`{each.name}`", f"`{each.becomes}`", ", ".join(each.heads) or "-", f"{each.parameters:,}"),
            *(
                f"{each.megabytes:,.1f}",
                f"{each.seconds:.1f} s",
                f"{each.verified:.0f} s",
                ", ".join(map(str, each.lengths)),
            ),
            *(f"{each.largest:.1f}", f"{each.float64:.1e}", f"{each.float32_hidden:.1e}"),
            *(f"{each.float32_heads:.1e}" if each.heads else "-", "**FAIL**" if each.problems else "PASS"),
        )
        for each in results
    ]
    return [f"| {' | '.join(cells)} |" for cells in (TITLES, ("---",) * len(TITLES), *rows)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
