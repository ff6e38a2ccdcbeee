"""What the command line prints: text from results, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bort_convert import tokenizer
from bort_convert.errors import printable
from bort_convert.models.registry import families

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from bort_convert.commands.check import Check
    from bort_convert.commands.inspect import Inspection
    from bort_convert.mapping.family import Family
    from bort_convert.mapping.fit import Fit
    from bort_convert.model_dir.manifest import Manifest
    from bort_convert.weights.statistics import Values

KINDS = {"list": "MXNet list file", "zip": "MXNet 2 archive", "npy": "single array of MXNet 2"}


def inspection_text(found: Inspection) -> str:
    """What is in a file, and what a conversion would do with it."""
    count = len(found.arrays)
    arrays = f"{count:,} array{'s' * (count != 1)}, {found.parameters:,} parameters"
    lines = [f"{found.path}: {KINDS[found.kind]}, {_bytes(found.size)}, {arrays}"]
    lines += [found.note] if found.note else []
    values = ["", *_value_lines(found.values)] if found.values else []
    if found.fit:
        return "\n".join([*lines, *_fit_lines(found.fit), "", *_step_lines(found.fit), *values])
    rows = [(printable(info.name), _shape(info.shape), _stored(info.dtype, info.storage)) for info in found.arrays]
    return "\n".join([*lines, "", *_columns(("NAME", "SHAPE", "DTYPE"), rows), *values, "", f"{found.misfit}"])


def conversion_text(manifest: Manifest, target: Path) -> str:
    """What a conversion did, and what to do next."""
    variant = manifest.variant or "a size that was not published"
    lines = [
        f"{target}: {manifest.architecture} from {manifest.family} ({manifest.table}, {variant})",
        f"  {len(manifest.tensors):,} tensors, {manifest.parameters:,} parameters from the checkpoint",
        f"  files: {', '.join(sorted((*manifest.files, 'conversion.json')))}",
    ]
    lines += [
        f"  {printable(alias)} equals {printable(name)}: tied, written once" for alias, name in manifest.tied.items()
    ]
    lines += [f"  {name}: initialised, {tensor.why}" for name, tensor in manifest.tensors.items() if not tensor.sources]
    lines += [f"  {printable(name)}: left out, {why}" for name, why in manifest.left_out.items()]
    lines += [
        f"  {run['dtype']}: largest difference from the original {run['max_abs']:.1e} in {run['output']}"
        for run in manifest.parity.get("runs", ())
    ]
    lines += [f"  {note}" for note in manifest.notes]
    family = families()[manifest.family]
    if not (manifest.tokenizer or family.tokenizer):
        lines.append(f"  no tokenizer: bort_convert makes none for {family.title} yet")
    elif not manifest.tokenizer:
        files = " ".join(
            f"--{name.replace('_', '-')} FILE" for name in tokenizer.KINDS[family.tokenizer].file_options
        )
        lines.append(f"  no tokenizer: add one with bort-convert tokenizer {target} {files}")
    if "heads" in manifest.options and "attention_heads" not in manifest.dims:
        lines.append(f"  {manifest.options['heads']} attention heads: as you said; nothing in the file can tell")
    if "gluonnlp_version" in manifest.options:
        lines.append(
            f"  trained by gluonnlp {manifest.options['gluonnlp_version']}: as you said; nothing in the file can tell"
        )
    options = ", add_pooling_layer=False" if manifest.lacks_pooler else ""
    loader = auto_class(manifest.architecture)
    return "\n".join([*lines, f'Load it with transformers.{loader}.from_pretrained("{target}"{options})'])


def auto_class(architecture: str) -> str:
    """The `AutoModel...` of transformers that loads a class."""
    if architecture.endswith("LMHeadModel"):
        return "AutoModelForCausalLM"
    _, purpose, head = architecture.partition("For")
    return f"AutoModel{purpose}{head}"


def extraction_text(manifest: Manifest, target: Path) -> str:
    """What an extraction wrote."""
    lines = [f"{target}: {len(manifest.tensors):,} arrays, {manifest.parameters:,} numbers from {manifest.source.name}"]
    return "\n".join([*lines, *(f"  {printable(name)}: left out, {why}" for name, why in manifest.left_out.items())])


def export_text(manifest: Manifest, target: Path) -> str:
    """What an export wrote, and what a checkpoint does not say."""
    lines = [
        f"{target}: {manifest.family} ({manifest.table}) from {printable(manifest.source.name)}",
        f"  {len(manifest.tensors):,} arrays, {manifest.options['names']} names",
        f"  sizes: {_pairs(manifest.dims)}",
        f"  hyperparameters: {_pairs(manifest.hyperparameters)}",
    ]
    lines += [f"  {printable(alias)} equals {printable(name)}: tied" for alias, name in manifest.tied.items()]
    lines += [f"  {printable(name)}: left out, {why}" for name, why in manifest.left_out.items()]
    return "\n".join([*lines, *(f"  {note}" for note in manifest.notes)])


def check_text(found: Check, target: Path) -> str:
    """What a check found."""
    if found:
        return f"{target}: {found.files:,} files and {found.tensors:,} tensors are as they were written"
    count = len(found.problems)
    return "\n".join([f"{target}: {count:,} problem{'s' * (count != 1)}", *(f"  {line}" for line in found.problems)])


def tokenizer_text(manifest: Manifest, target: Path) -> str:
    """What a tokenizer was made from, and how it is loaded."""
    sources = " and ".join(printable(name) for name in manifest.tokenizer)
    lines = [f"{target}: a tokenizer from {sources}", *(f"  {note}" for note in manifest.notes)]
    return "\n".join([*lines, f'Load it with transformers.AutoTokenizer.from_pretrained("{target}")'])


def families_text(known: Iterable[Family]) -> str:
    """What this package knows: each form of a checkpoint with its target class, and each published size."""
    known = list(known)
    forms = [
        (family.name, table.title, ", ".join(groups) or "-", name)
        for family in known
        for table in family.tables
        for name, *groups in table.architectures
    ]
    sizes = [
        (family.name, variant.name, _pairs({**variant.dims, **variant.hyperparameters}))
        for family in known
        for variant in family.variants
    ]
    lines = [*_columns(("FAMILY", "CHECKPOINT", "WITH", "BECOMES"), forms), ""]
    return "\n".join([*lines, *_columns(("FAMILY", "PUBLISHED SIZE", "SIZES AND HYPERPARAMETERS"), sizes)])


def families_markdown(known: Iterable[Family]) -> str:
    """The same in short, a Markdown table: one row for each target class of each family."""
    lines = ["| family | published sizes | checkpoint | becomes |", "|---|---|---|---|"]
    for family in known:
        sizes = ", ".join(f"`{variant.name}`" for variant in family.variants)
        first = (f"{family.title} (`{family.name}`)", sizes)
        forms: dict[str, list[str]] = {}
        for table in family.tables:
            for name, *groups in table.architectures:
                forms.setdefault(name, []).append(f"{table.title} with {', '.join(groups)}" if groups else table.title)
        for name, checkpoints in forms.items():
            lines.append(f"| {' | '.join(first)} | {'; '.join(checkpoints)} | `{name}` |")
            first = ("", "")
    return "\n".join(lines)


def _fit_lines(fit: Fit) -> Iterator[str]:
    variant = fit.variant or "a size that was not published"
    yield f"{fit.family.title} ({fit.table.title}, {variant}) -> {fit.architecture}"
    yield f"  sizes: {_pairs(fit.plan.dims)}"
    yield f"  hyperparameters: {_pairs(fit.hyperparameters)}"


def _step_lines(fit: Fit) -> list[str]:
    rows = []
    for step in fit.plan.steps:
        names = ", ".join(printable(fit.names[name]) for name in step.sources) or "-"
        targets = ", ".join(spec.name for spec in step.targets) or "left out"
        shape = " and ".join(_shape(spec.shape) for spec in step.targets)
        dtype = step.targets[0].dtype if step.targets else ""
        done = step.op.describe()
        rows.append((names, shape, dtype, targets, f"{done}: {step.why}" if step.why else done))
    for name, original in fit.plan.aliases:
        rows.append((printable(fit.names[name]), "", "", f"tied to {printable(fit.names[original])}", "written once"))
    return _columns(("CHECKPOINT", "SHAPE", "DTYPE", "BECOMES", "HOW"), rows)


def _value_lines(found: Mapping[str, Values]) -> list[str]:
    rows = []
    for name, values in found.items():
        numbers = (
            "-" if number is None else f"{number:.6g}" for number in (values.minimum, values.maximum, values.mean)
        )
        first = "" if values.first is None else f"first at {values.first}"
        rows.append((printable(name), *numbers, f"{values.nans:,}", f"{values.infinities:,}", first))
    return _columns(("NAME", "MIN", "MAX", "MEAN", "NAN", "INF", ""), rows)


def _columns(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in (titles, *rows)) for column in range(len(titles))]
    return [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in (titles, *rows)
    ]


def _pairs(values: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(str(size) for size in shape) or "scalar"


def _stored(dtype: str | None, storage: str) -> str:
    if dtype is None:
        return "none: a record without a value"
    return dtype if storage == "dense" else f"{dtype}, {storage}"


def _bytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 1e6 else f"{size:,} bytes"  # noqa: PLR2004 - a megabyte
