"""Lines of text from the results of conversions, extractions, exports, checks and tokenizers."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

from bort_convert import tokenizer
from bort_convert.errors import printable
from bort_convert.mapping.selection import shown_names
from bort_convert.model_dir.remarks import assumptions, auto_class, size_name, stock_class_is_right, stock_class_note
from bort_convert.model_dir.shards import EXTRA
from bort_convert.models.registry import families

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from bort_convert.commands.check import Check
    from bort_convert.model_dir.manifest import Manifest


def conversion_text(manifest: Manifest, target: Path) -> list[str]:
    """The model that was written, its files, what a reader may not expect of them, and how to load it."""
    size = size_name(manifest.family, manifest.variant, manifest.dims)
    return [
        f"{shown(target)}: {manifest.architecture} from {manifest.family} ({manifest.table}, {size})",
        *([f"  the source is {manifest.published}, by its SHA-1"] if manifest.published else []),
        *(
            [f"  stood under {printable(manifest.prefix)} in {printable(manifest.source.name)}"]
            if manifest.prefix
            else []
        ),
        f"  {len(manifest.tensors):,} tensors, {manifest.parameters:,} parameters from the checkpoint",
        f"  files: {', '.join(sorted((*manifest.files, 'conversion.json')))}",
        *(
            f"  {printable(alias)} equals {printable(name)}: tied, written once"
            for alias, name in manifest.tied.items()
        ),
        *(f"  {name}: initialised, {tensor.why}" for name, tensor in manifest.tensors.items() if not tensor.sources),
        *_left_out(manifest),
        *_kept(manifest),
        *_differences(manifest),
        *(f"  {note}" for note in manifest.notes),
        *_tokenizer_hint(manifest, target),
        *_unproved_options(manifest),
        *(f"  {line}" for line in assumptions(manifest)),
        *_loading_of_model(manifest, target),
    ]


def extraction_text(manifest: Manifest, target: Path) -> list[str]:
    """The number of arrays that were written, and the records that were left out."""
    count = len(manifest.tensors)
    return [
        f"{shown(target)}: {count:,} arrays, {manifest.parameters:,} numbers from {printable(manifest.source.name)}",
        *_left_out(manifest),
    ]


def export_text(manifest: Manifest, target: Path) -> list[str]:
    """The model that was exported, with the sizes and hyperparameters that a `.params` file does not hold."""
    return [
        f"{shown(target)}: {manifest.family} ({manifest.table}) from {printable(manifest.source.name)}",
        f"  {len(manifest.tensors):,} arrays, {manifest.options['names']} names",
        f"  sizes: {pairs(manifest.dims)}",
        f"  hyperparameters: {pairs(manifest.hyperparameters)}",
        *(f"  {printable(alias)} equals {printable(name)}: tied" for alias, name in manifest.tied.items()),
        *_left_out(manifest),
        *(f"  {note}" for note in manifest.notes),
    ]


def check_text(check: Check, target: Path) -> list[str]:
    """The number of files and tensors that are intact, or every problem."""
    if check:
        lines = [f"{shown(target)}: {check.files:,} files and {check.tensors:,} tensors are as they were written"]
        return lines + (
            [f"  {len(check.extra):,} of them in {EXTRA}: {shown_names(check.extra)}"] if check.extra else []
        )
    count = len(check.problems)
    return [f"{shown(target)}: {count:,} problem{'s' * (count != 1)}", *(f"  {line}" for line in check.problems)]


def tokenizer_text(manifest: Manifest, target: Path) -> list[str]:
    """The files that a tokenizer was made from, and how to load it."""
    sources = " and ".join(printable(name) for name in manifest.tokenizer)
    return [
        f"{shown(target)}: a tokenizer from {sources}",
        *(f"  {note}" for note in manifest.notes),
        f"Load it with transformers.AutoTokenizer.from_pretrained({quoted(target)})",
    ]


def shown(path: str | os.PathLike[str]) -> str:
    """A path as text that a terminal may print, however long."""
    text = os.fspath(path)
    return printable(text, len(text))


def is_complete(target: Path) -> str:
    """A remark for a result that was written, but cannot be printed."""
    return f"{shown(target)} is complete"


def quoted(path: str | os.PathLike[str]) -> str:
    """A path as a Python literal in double quotes, or in single ones where a character must be escaped."""
    text = os.fspath(path)
    return f'"{text}"' if repr(text) == f"'{text}'" and '"' not in text else repr(text)


def pairs(values: Mapping[str, object]) -> str:
    """Sizes or hyperparameters in one line: `layers 4, hidden_size 24`."""
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _left_out(manifest: Manifest) -> Iterator[str]:
    for name, reason in manifest.left_out.items():
        yield f"  {printable(name)}: left out, {reason}"


def _kept(manifest: Manifest) -> Iterator[str]:
    if manifest.extra:
        count = len(manifest.extra)
        yield f"  {count:,} other tensor{'s' * (count != 1)} kept in {EXTRA}: {shown_names(list(manifest.extra))}"


def _differences(manifest: Manifest) -> Iterator[str]:
    for run in manifest.parity.get("runs", ()):
        difference = f"{run['max_abs']:.1e} in {run['output']}"
        yield f"  {run['dtype']}: largest difference from the original {difference}"


def _tokenizer_hint(manifest: Manifest, target: Path) -> Iterator[str]:
    """How to add the tokenizer that a directory lacks."""
    family = families()[manifest.family]
    if not (manifest.tokenizer or family.tokenizer):
        yield f"  no tokenizer: bort_convert makes none for {family.title} yet"
    elif not manifest.tokenizer:
        options = tokenizer.KINDS[family.tokenizer].file_options
        files = " ".join(f"--{name.replace('_', '-')} FILE" for name in options)
        yield f"  no tokenizer: add one with bort-convert tokenizer {shown(shlex.quote(str(target)))} {files}"


def _unproved_options(manifest: Manifest) -> Iterator[str]:
    """Options of the user's that no tensor confirms."""
    if "heads" in manifest.options and "attention_heads" not in manifest.dims:
        yield f"  {manifest.options['heads']} attention heads: as you said; nothing in the file can tell"
    if "layers" in manifest.options:
        yield f"  {manifest.options['layers']} layers: as you said; nothing in the file can tell"
    for name, value in manifest.options.get("hyperparameters", {}).items():
        yield f"  {printable(f'{name} {value}')}: as you said; nothing in the file can tell"
    if beside := manifest.options.get("original_config"):
        unseen = {**manifest.hyperparameters, "layers": 0}.keys() & beside["values"].keys()
        shown = ", ".join(f"{name} {value}" for name, value in beside["values"].items() if name in unseen)
        yield "  " + printable(f"{shown}: as {beside['name']} says, which lies beside the file", 300)
    if "gluonnlp_version" in manifest.options:
        version = manifest.options["gluonnlp_version"]
        yield f"  trained by gluonnlp {version}: as you said; nothing in the file can tell"


def _loading_of_model(manifest: Manifest, target: Path) -> Iterator[str]:
    """How to load a model so that it computes what the original does, and what the stock class computes otherwise."""
    if stock_class_is_right(manifest.architecture, manifest.hyperparameters):
        option = ", add_pooling_layer=False" if manifest.lacks_pooler else ""
        name = auto_class(manifest.architecture)
        yield f"Load it with transformers.{name}.from_pretrained({quoted(target)}{option})"
    else:
        yield f"  {stock_class_note(manifest)}"
        yield f"Load it with bort_convert.load_pretrained({quoted(target)})"
