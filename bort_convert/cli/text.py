"""Lines of text from the results of conversions, extractions, exports, checks and tokenizers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bort_convert import tokenizer
from bort_convert.errors import printable
from bort_convert.models.registry import families

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from bort_convert.commands.check import Check
    from bort_convert.model_dir.manifest import Manifest


def conversion_text(manifest: Manifest, target: Path) -> list[str]:
    """The model that was written, its files, what a reader may not expect of them, and how to load it."""
    variant = manifest.variant or "a size that was not published"
    return [
        f"{target}: {manifest.architecture} from {manifest.family} ({manifest.table}, {variant})",
        f"  {len(manifest.tensors):,} tensors, {manifest.parameters:,} parameters from the checkpoint",
        f"  files: {', '.join(sorted((*manifest.files, 'conversion.json')))}",
        *(
            f"  {printable(alias)} equals {printable(name)}: tied, written once"
            for alias, name in manifest.tied.items()
        ),
        *(f"  {name}: initialised, {tensor.why}" for name, tensor in manifest.tensors.items() if not tensor.sources),
        *_left_out(manifest),
        *_differences(manifest),
        *(f"  {note}" for note in manifest.notes),
        *_tokenizer_hint(manifest, target),
        *_unproved_options(manifest),
        _loading(auto_class(manifest.architecture), target, "add_pooling_layer=False" if manifest.lacks_pooler else ""),
    ]


def extraction_text(manifest: Manifest, target: Path) -> list[str]:
    """The number of arrays that were written, and the records that were left out."""
    count = len(manifest.tensors)
    return [
        f"{target}: {count:,} arrays, {manifest.parameters:,} numbers from {printable(manifest.source.name)}",
        *_left_out(manifest),
    ]


def export_text(manifest: Manifest, target: Path) -> list[str]:
    """The model that was exported, with the sizes and hyperparameters that a `.params` file does not hold."""
    return [
        f"{target}: {manifest.family} ({manifest.table}) from {printable(manifest.source.name)}",
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
        return [f"{target}: {check.files:,} files and {check.tensors:,} tensors are as they were written"]
    count = len(check.problems)
    return [f"{target}: {count:,} problem{'s' * (count != 1)}", *(f"  {line}" for line in check.problems)]


def tokenizer_text(manifest: Manifest, target: Path) -> list[str]:
    """The files that a tokenizer was made from, and how to load it."""
    sources = " and ".join(printable(name) for name in manifest.tokenizer)
    return [
        f"{target}: a tokenizer from {sources}",
        *(f"  {note}" for note in manifest.notes),
        _loading("AutoTokenizer", target),
    ]


def auto_class(architecture: str) -> str:
    """Name of the `AutoModel...` class of transformers that loads a model class."""
    if architecture.endswith("LMHeadModel"):
        return "AutoModelForCausalLM"
    _, purpose, head = architecture.partition("For")
    return f"AutoModel{purpose}{head}"


def pairs(values: Mapping[str, object]) -> str:
    """Sizes or hyperparameters in one line: `layers 4, hidden_size 24`."""
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _left_out(manifest: Manifest) -> Iterator[str]:
    for name, reason in manifest.left_out.items():
        yield f"  {printable(name)}: left out, {reason}"


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
        yield f"  no tokenizer: add one with bort-convert tokenizer {target} {files}"


def _unproved_options(manifest: Manifest) -> Iterator[str]:
    """Options of the user's that no tensor confirms."""
    if "heads" in manifest.options and "attention_heads" not in manifest.dims:
        yield f"  {manifest.options['heads']} attention heads: as you said; nothing in the file can tell"
    if "gluonnlp_version" in manifest.options:
        version = manifest.options["gluonnlp_version"]
        yield f"  trained by gluonnlp {version}: as you said; nothing in the file can tell"


def _loading(auto: str, target: Path, option: str = "") -> str:
    arguments = ", ".join(filter(None, [f'"{target}"', option]))
    return f"Load it with transformers.{auto}.from_pretrained({arguments})"
