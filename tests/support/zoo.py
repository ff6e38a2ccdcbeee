"""Prove every family at full size: GluonNLP writes each checkpoint, it is converted, and both frameworks run it.

    python tests/support/zoo.py [--bits] [NAME ... | --page]

NAME is a checkpoint that fixtures/make_full_size.py can write, a pattern of such names ('bert_24*'), a family in all
its published sizes, `small` for a small model of every family, which takes seconds each, or a published file as
`bort-convert zoo` lists it, or `published` for all of these: hours, and room for 48 GB twice. The default is every
published size, which takes half an hour or more. With --bits no framework runs a model: each tensor of a conversion
is compared with its file, bit for bit, which takes a minute for a gigabyte. Each row is printed when it is known.
bort_convert/zoo/parity.json keeps those of published sizes and files of 0.x whose models ran, and docs/parity.md is
written from it; --page does that without a run.
The exit status is 1 if a bar is missed.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import parity_gluonnlp1
from zoo_gluonnlp1 import PublishedCheckpoint

from bort_convert import __version__, zoo_entries

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from make_full_size import Checkpoint

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "fixtures"))  # as in pytest's path
RESULTS: Final = ROOT / "bort_convert" / "zoo" / "parity.json"
PAGE: Final = ROOT / "docs" / "parity.md"
BUILD: Final = ROOT / "build"
MAKER: Final = ROOT / "fixtures" / "make_full_size.py"
SMALL, PUBLISHED = "small", "published"

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

Written by `make zoo` (`tests/support/zoo.py`) from its figures in `bort_convert/zoo/parity.json`, which
`bort-convert zoo` shows for each published file. For each row real GluonNLP wrote a checkpoint of a published size,
every parameter random, biases and LayerNorms too; `bort-convert` converted it without an option; `bort-convert verify`
ran GluonNLP on MXNet and transformers on torch, in float64 and in float32, and compared the embeddings, every layer and
every head.

GPT-2 and XLNet are among GluonNLP's scripts and not in its package: their networks here are rebuilt from the scripts
with layers of MXNet and GluonNLP."""
READING: Final = f"""\
- *float64, relative* is the largest difference of any output, in units of that output's largest absolute value; the
  bar is {FLOAT64_RELATIVE:.0e}.
- *float32, hidden* is the largest absolute difference of the embeddings and any layer; the bar is {FLOAT32_HIDDEN:.0e},
  or {FLOAT32_RELATIVE:.0e} of the output's largest value where that is more (above 10).
- *float32, heads* is that of any head; the bars are `verify`'s, 3e-05 for a pooler and 1e-04 for logits, or 1e-05 of
  their largest value.
- A row passes when these bars are met, all checks of `verify` passed (names and shapes, bits, behaviour, as used), and
  the published size was recognised.
- *lengths* are the tokens of each row of the batch: {ROWS} rows, the default of `verify`; for files above {LARGE_MB} MB
  {ROWS_IF_LARGE}, one with every position and one with a single token.
- *converted in* and *verified in* are of one run on a busy machine; [performance](performance.md) has careful
  measurements."""


@dataclass(frozen=True)
class Result:
    """Figures of one checkpoint; a step that was not reached leaves its defaults.

    Attributes:
        name: of the checkpoint.
        becomes: the target class.
        heads: outputs after the last layer that were compared.
        parameters: in the checkpoint, a tied matrix once.
        megabytes: of the checkpoint, in 10**6 bytes.
        seconds: duration of the conversion.
        verified: duration of the verification, in seconds.
        lengths: tokens in each row of the batch.
        largest: absolute value of the embeddings and layers.
        float64: the largest difference of any output, relative to the output's largest value.
        float32_hidden: the largest absolute difference of embeddings and layers.
        float32_heads: of the heads.
        problems: a line for each bar that was missed.
        versions: of the programs that ran.
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
        after_conversion: called with each converted folder, for tests that damage it.
    """
    if arguments == ["--page"]:
        write_page(known_checkpoints())
        return 0
    bits = "--bits" in arguments
    arguments = [name.replace("/", "-") for name in arguments if name != "--bits"]
    known = known_checkpoints()
    later = [PublishedCheckpoint(entry) for entry in zoo_entries() if entry.gluonnlp == "1.0"]
    chosen = [checkpoint for checkpoint in (*known.values(), *later) if is_selected(checkpoint, arguments)]
    if unknown := [name for name in arguments if not any(is_selected(each, [name]) for each in chosen)]:
        listed = f"{SMALL}, {PUBLISHED}, {', '.join(known)}, and what `bort-convert zoo` lists"
        sys.stderr.write(f"{', '.join(unknown)}: not known. Known are {listed}\n")
        return 2
    results = []
    for checkpoint in chosen:
        BUILD.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=BUILD, prefix="zoo-") as folder:
            result = examine(checkpoint, Path(folder), after_conversion, bits=bits)
        results.append(result)
        sys.stdout.write("\n".join([*([] if results[1:] else table([])), *table([result])[2:], *result.problems, ""]))
        sys.stdout.flush()
        if checkpoint.variant and not bits and not isinstance(checkpoint, PublishedCheckpoint):
            keep(result, known)
    sys.stdout.write(f"{tally(results)}\n")
    return int(any(result.problems for result in results))


def known_checkpoints() -> dict[str, Checkpoint]:
    """Every checkpoint that can be written, by name."""
    from make_full_size import checkpoints  # noqa: PLC0415 - MXNet is loaded when it is needed

    return checkpoints()


def is_selected(checkpoint: Checkpoint | PublishedCheckpoint, names: Collection[str]) -> bool:
    """True if a command line with these names selects the checkpoint."""
    if not names:
        return bool(checkpoint.variant) and not checkpoint.entry
    group = PUBLISHED if checkpoint.entry else checkpoint.family if checkpoint.variant else SMALL
    return any(name == group or fnmatchcase(checkpoint.name, name) for name in names)


def examine(
    checkpoint: Checkpoint | PublishedCheckpoint,
    folder: Path,
    after_conversion: Callable[[Path], object],
    *,
    bits: bool = False,
) -> Result:
    """Write, convert and verify one checkpoint, each in a process of its own; by its bits alone if asked for."""
    source, out = folder / f"{checkpoint.name}.params", folder / "out"
    entry, free = checkpoint.entry, shutil.disk_usage(folder).free
    if entry and 2 * entry.size > free:
        needs = f"it takes {2 * entry.size / 1e9:.1f} GB to write and to convert, and {free / 1e9:.1f} GB are free"
        return Result(checkpoint.name, megabytes=round(entry.size / 1e6, 1), problems=(f"FAIL not run: {needs}",))
    if isinstance(checkpoint, PublishedCheckpoint):
        checkpoint.write(source)
    else:
        subprocess.run([sys.executable, "-W", "ignore", str(MAKER), str(source)], check=True)
    result = _examined(checkpoint, source, out, after_conversion, bits=bits)
    size = source.stat().st_size
    if entry and size != entry.size:
        problem = f"FAIL {size:,} bytes were written, the published file has {entry.size:,}"
        return replace(result, problems=(*result.problems, problem))
    return result


def _examined(
    checkpoint: Checkpoint | PublishedCheckpoint,
    source: Path,
    out: Path,
    after_conversion: Callable[[Path], object],
    *,
    bits: bool,
) -> Result:
    megabytes = source.stat().st_size / 1e6
    # A published size is recognised; any other needs the options that no shape shows.
    options = []
    if not isinstance(checkpoint, PublishedCheckpoint) and not checkpoint.variant:
        options = ["--family", checkpoint.family, "--heads", str(checkpoint.size.attention_heads)]
    start = time.perf_counter()
    manifest = json_of("convert", str(source), str(out), *options)
    seconds = time.perf_counter() - start
    if "error" in manifest:
        return Result(checkpoint.name, megabytes=megabytes, problems=(manifest["error"]["message"],))
    after_conversion(out)
    reference = checkpoint.reference if isinstance(checkpoint, PublishedCheckpoint) else []
    if bits or reference is None:
        check = json_of("check", str(out), "--source", str(source))
        return result_of_check(checkpoint, manifest, check, megabytes=megabytes, seconds=seconds)
    rows = ROWS_IF_LARGE if megabytes > LARGE_MB else ROWS
    report = json_of("verify", str(source), str(out), "--batch", str(rows), "--timeout", "3600", *reference)
    if "error" in report:
        return Result(checkpoint.name, megabytes=megabytes, problems=(report["error"]["message"],))
    return result_of(checkpoint, manifest, report, megabytes=megabytes, seconds=seconds)


def json_of(command: str, *arguments: str) -> dict[str, Any]:
    """The JSON document that a command of bort-convert prints, one of an error too."""
    line = [sys.executable, "-m", "bort_convert", command, *arguments, "--json"]
    process = subprocess.run(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    if not process.stdout:
        return {"error": {"message": f"bort-convert {command} ended with status {process.returncode}"}}
    document: dict[str, Any] = json.loads(process.stdout)
    return document


def result_of_check(
    checkpoint: Checkpoint | PublishedCheckpoint,
    manifest: dict[str, Any],
    check: dict[str, Any],
    *,
    megabytes: float,
    seconds: float,
) -> Result:
    """Figures of a conversion whose tensors were compared with the file, where no GluonNLP runs."""
    problems = [] if check.get("passed") else [f"FAIL {line}" for line in check.get("problems", [str(check)])]
    if (manifest["variant"] or "") != checkpoint.variant:
        problems.append(f"FAIL the size was taken for {manifest['variant']}, expected {checkpoint.variant}")
    return Result(
        checkpoint.name,
        becomes=manifest["architecture"],
        parameters=manifest["parameters"],
        megabytes=round(megabytes, 1),
        seconds=round(seconds, 2),
        problems=tuple(problems),
    )


def result_of(
    checkpoint: Checkpoint | PublishedCheckpoint,
    manifest: dict[str, Any],
    report: dict[str, Any],
    *,
    megabytes: float,
    seconds: float,
) -> Result:
    """Figures of a conversion and a verification, with the bars that they miss."""
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
    """True for the output of the embeddings, a layer or the last norm; False for a head's."""
    return output in {"embeddings", "final_norm"} or output.startswith("layer.")


def keep(result: Result, known: Mapping[str, Checkpoint]) -> None:
    """Add a result to those of earlier runs, in the order of the known checkpoints, and write the page."""
    found = {each.name: each for each in [*kept_results(), result]}
    ordered = [found[name] for name in known if name in found]
    text = json.dumps([asdict(each) for each in ordered], indent=1)
    RESULTS.write_text(text + "\n", "utf-8", newline="\n")
    write_page(known)


def write_page(known: Mapping[str, Checkpoint]) -> None:
    """Write docs/parity.md from the kept results; it names every published size that has none. Then GluonNLP 1.0."""
    results = kept_results()
    found = {result.name for result in results}
    missing = [name for name, each in known.items() if each.variant and not each.entry and name not in found]
    later = "\n".join(parity_gluonnlp1.section())
    PAGE.write_text(f"{page_of(results, missing)}\n{later}\n", "utf-8", newline="\n")


def kept_results() -> list[Result]:
    """Results of earlier runs."""
    stored = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else []
    return [Result(**each) for each in stored]


def page_of(results: Sequence[Result], missing: Sequence[str] = ()) -> str:
    """Text of docs/parity.md; `missing` are the names of checkpoints that were not run."""
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
    """Number of checkpoints and of failures, in words."""
    failed = sum(bool(result.problems) for result in results)
    return f"{len(results)} checkpoint{'s' * (len(results) != 1)}, {failed} failed"


def table(results: Iterable[Result]) -> list[str]:
    """Lines of a Markdown table of results."""
    rows = [
        (
            *(f"`{each.name}`", f"`{each.becomes}`", ", ".join(each.heads) or "-", f"{each.parameters:,}"),
            *(
                f"{each.megabytes:,.1f}",
                f"{each.seconds:.1f} s",
                f"{each.verified:.0f} s",
                ", ".join(map(str, each.lengths)) or "bits alone",
            ),
            *(
                (f"{each.largest:.1f}", f"{each.float64:.1e}", f"{each.float32_hidden:.1e}")
                if each.lengths
                else ("-", "-", "-")
            ),
            *(f"{each.float32_heads:.1e}" if each.heads else "-", "**FAIL**" if each.problems else "PASS"),
        )
        for each in results
    ]
    return [f"| {' | '.join(cells)} |" for cells in (TITLES, ("---",) * len(TITLES), *rows)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
