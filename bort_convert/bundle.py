"""What stands in a converted directory beside the weights: tokenizer, model card and manifest."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bort_convert import card, manifest
from bort_convert.errors import FormatError, OutputError, printable
from bort_convert.family import families
from bort_convert.manifest import Manifest
from bort_convert.output import new_directory, write_text
from bort_convert.streams import FileRange, read_pieces
from bort_convert.tokenizer import FILES, Given, Room, find_tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from bort_convert.family import Family
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
    if not (folder / card.FILE_NAME).exists():
        write_text(folder / card.FILE_NAME, card.card_text(replace(written, files=files)))
        files[card.FILE_NAME] = file_digest(folder / card.FILE_NAME)
    written = replace(written, files=dict(sorted(files.items())))
    write_text(folder / manifest.FILE_NAME, written.to_json())
    return written


def read_manifest(target: str | os.PathLike[str]) -> Manifest:
    """The manifest of a converted directory.

    Raises:
        FormatError: there is none, or it is damaged.
    """
    path = Path(target) / manifest.FILE_NAME
    try:
        return Manifest.from_json(path.read_text(encoding="utf-8"))
    except FormatError as error:
        raise FormatError(f"{target}: {error}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(f"{path}: cannot be read: {error}. Is {target} a converted directory?") from error


def add_tokenizer(
    target: str | os.PathLike[str],
    *,
    vocab: str | os.PathLike[str] | None = None,
    bpe_ranks: str | os.PathLike[str] | None = None,
    tokenizer: str | os.PathLike[str] | None = None,
    roberta_pairs: bool = False,
    lower_case: bool | None = None,
) -> Manifest:
    """Give a converted directory its tokenizer, in place of the one that it has, if any.

    The directory is replaced whole or not at all; weights are linked, not copied. A model card that was edited stays,
    and so does every digest: what was changed before is still found by `check`.

    Args:
        target: a converted directory.
        vocab: see `convert`.
        bpe_ranks: see `convert`.
        tokenizer: see `convert`.
        roberta_pairs: see `convert`.
        lower_case: see `convert`.

    Raises:
        FormatError: the directory or a file of the vocabulary cannot be read, or none was found.
        VariantError: the family has a tokenizer of a kind that cannot be made, or what was given is for another kind.
        OutputError: the directory cannot be written.
    """
    known, reasons = read_manifest(target), list[str]()
    family = families().get(known.family)
    if family is None:
        what = f"names the family {printable(known.family)!r}, which this version does not know"
        raise FormatError(f"{target}: {manifest.FILE_NAME} {what}")
    family.expect_tokenizer()
    given = Given(vocab, bpe_ranks, tokenizer, roberta_pairs, lower_case)
    found = tokenizer_for(family, known.dims, given, absent=reasons.append)
    if found is None:
        raise FormatError(f"no vocabulary was given: {reasons[0]}")
    if folders := [path.name for path in Path(target).iterdir() if path.is_dir()]:
        raise OutputError(
            f"{target} holds the folder {printable(folders[0])}; expected files alone. Move it away first"
        )
    with new_directory(target, force=True) as folder:
        made, page = {manifest.FILE_NAME, *found.files, *(FILES & known.files.keys())}, Path(target) / card.FILE_NAME
        if page.exists() and file_digest(page) == known.files.get(card.FILE_NAME):
            made.add(card.FILE_NAME)
        for path in Path(target).iterdir():
            if path.name not in made:
                _link(path, folder / path.name)
        write_tokenizer(folder, found)
        options = {name: value for name, value in known.options.items() if name not in Given.__dataclass_fields__}
        kept = {name: digest for name, digest in known.files.items() if name not in FILES}
        written = replace(known, files=kept, tokenizer=found.sources, notes=found.notes)
        return finish(folder, replace(written, options={**options, **given.options}), found.files)


def tokenizer_for(
    family: Family,
    dims: Mapping[str, int],
    given: Given,
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
        family.tokenizer, given, Room(dims["vocab"], dims["positions"], dims.get("types", 1)), absent=absent
    )


def write_tokenizer(folder: Path, tokenizer: Tokenizer) -> None:
    """Write a tokenizer's files."""
    for name, text in tokenizer.files.items():
        write_text(folder / name, text)


def file_digest(path: Path) -> str:
    """The SHA-256 of a file; of a safetensors file, that of its length and header: its tensors have digests each."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if path.suffix == WEIGHTS:
            size = min(size, 8 + int.from_bytes(file.read(8), "little"))
        for piece in read_pieces(FileRange(file.fileno(), 0, size)):
            digest.update(piece)
    return digest.hexdigest()


def _link(source: Path, target: Path) -> None:
    """Another name for a file; a copy where the file system has no such thing."""
    try:
        target.hardlink_to(source)
    except OSError:
        import shutil  # noqa: PLC0415 - only there

        shutil.copyfile(source, target)
