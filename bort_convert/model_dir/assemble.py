"""Finish a converted directory: tokenizer, model card and manifest."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bort_convert.files.atomic import write_text
from bort_convert.files.streams import sha256_of_file
from bort_convert.files.system_errors import reading_back
from bort_convert.model_dir import manifest, model_card
from bort_convert.tokenizer import ModelLimits, find_tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from bort_convert.mapping.family import Family
    from bort_convert.model_dir.manifest import Manifest
    from bort_convert.tokenizer import Tokenizer, TokenizerOptions

WEIGHTS_SUFFIX: Final = ".safetensors"


def finish(folder: Path, written: Manifest, names: Iterable[str]) -> Manifest:
    """Write the manifest of a directory that is otherwise complete, and a model card if it has none.

    Args:
        folder: the directory.
        written: its manifest so far; digests of `files` are kept.
        names: the files whose digests are still missing.

    Returns:
        The manifest with all digests.
    """
    files = {**written.files, **{name: _digest_of_written(folder / name) for name in names}}
    if not (folder / model_card.FILE_NAME).exists():
        write_text(folder / model_card.FILE_NAME, model_card.card_text(replace(written, files=files)))
        files[model_card.FILE_NAME] = _digest_of_written(folder / model_card.FILE_NAME)
    written = replace(written, files=dict(sorted(files.items())))
    write_text(folder / manifest.FILE_NAME, written.to_json())
    return written


def tokenizer_for(
    family: Family,
    dims: Mapping[str, int],
    options: TokenizerOptions,
    *,
    absent: Callable[[str], object] = lambda _reason: None,
) -> Tokenizer | None:
    """Make the tokenizer of a model.

    For a family without a kind of tokenizer no file is searched: sizes may agree by chance.

    Args:
        family: family of the model.
        dims: sizes of the model.
        options: the user's files and settings.
        absent: see `find_tokenizer`.

    Returns:
        None if there are no files, or if tokenizers of the family cannot be made.

    Raises:
        OptionError: an option is specified for a tokenizer that cannot be made or is of another kind.
        VariantError: no file tells whether text is lower-cased.
        FormatError: a file cannot be read or does not fit.
    """
    if not family.tokenizer:
        for name in options.specified():
            family.expect_tokenizer(name, getattr(options, name))
        return None
    limits = ModelLimits(dims["vocab_size"], dims.get("max_positions"), dims.get("type_vocab_size", 1))
    return find_tokenizer(family.tokenizer, options, limits, absent=absent)


def write_tokenizer(folder: Path, tokenizer: Tokenizer) -> None:
    """Write the files of a tokenizer."""
    for name, text in tokenizer.files.items():
        write_text(folder / name, text)


def _digest_of_written(path: Path) -> str:
    with reading_back(path):
        return file_digest(path)


def file_digest(path: Path) -> str:
    """Hash a file; of a safetensors file only its header, since its tensors have digests of their own."""
    if path.suffix != WEIGHTS_SUFFIX:
        return sha256_of_file(path)
    with path.open("rb") as file:
        header = 8 + int.from_bytes(file.read(8), "little")
    return sha256_of_file(path, min(path.stat().st_size, header))
