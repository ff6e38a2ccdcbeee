"""What stands in a converted directory beside the weights: tokenizer, model card and manifest."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bort_convert.files.atomic import write_text
from bort_convert.files.streams import sha256_of_file
from bort_convert.model_dir import manifest, model_card
from bort_convert.tokenizer import ModelLimits, TokenizerOptions, find_tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from bort_convert.mapping.family import Family
    from bort_convert.model_dir.manifest import Manifest
    from bort_convert.tokenizer import Tokenizer

WEIGHTS: Final = ".safetensors"


def finish(folder: Path, written: Manifest, names: Iterable[str]) -> Manifest:
    """Write the manifest of a directory that has all else, and a model card if it has none.

    Args:
        folder: the directory.
        written: what is known of it; the digests of `files` are kept.
        names: the files that are new in it.

    Returns:
        The manifest, with the digests of the new files.
    """
    files = {**written.files, **{name: file_digest(folder / name) for name in names}}
    if not (folder / model_card.FILE_NAME).exists():
        write_text(folder / model_card.FILE_NAME, model_card.card_text(replace(written, files=files)))
        files[model_card.FILE_NAME] = file_digest(folder / model_card.FILE_NAME)
    written = replace(written, files=dict(sorted(files.items())))
    write_text(folder / manifest.FILE_NAME, written.to_json())
    return written


def tokenizer_for(
    family: Family,
    dims: Mapping[str, int],
    given: TokenizerOptions,
    *,
    absent: Callable[[str], object] = lambda _reason: None,
) -> Tokenizer | None:
    """The tokenizer of a model of a family; None where there is none to be found, or none of its kind can be made.

    Nothing is looked for where a family has a tokenizer of another kind: sizes may agree by chance.

    Args:
        family: of the model.
        dims: its sizes.
        given: what the user gave for it.
        absent: see `find_tokenizer`.

    Raises:
        VariantError: something was given for a family whose tokenizer cannot be made, or is of another kind.
        FormatError: files cannot be read or do not fit.
    """
    if given.names():
        family.expect_tokenizer()
    if not family.tokenizer:
        return None
    return find_tokenizer(
        family.tokenizer,
        given,
        ModelLimits(dims["vocab_size"], dims["max_positions"], dims.get("type_vocab_size", 1)),
        absent=absent,
    )


def write_tokenizer(folder: Path, tokenizer: Tokenizer) -> None:
    """Write a tokenizer's files."""
    for name, text in tokenizer.files.items():
        write_text(folder / name, text)


def file_digest(path: Path) -> str:
    """Hash a file; of a safetensors file its length and header alone: its tensors have digests of their own."""
    if path.suffix != WEIGHTS:
        return sha256_of_file(path)
    with path.open("rb") as file:
        header = 8 + int.from_bytes(file.read(8), "little")
    return sha256_of_file(path, min(path.stat().st_size, header))
