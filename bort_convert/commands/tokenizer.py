"""Add a tokenizer to a converted directory, or replace the one that it has."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bort_convert.errors import FormatError, OutputError, VariantError, printable
from bort_convert.files.atomic import new_directory
from bort_convert.files.places import check_place
from bort_convert.model_dir import manifest, model_card
from bort_convert.model_dir.assemble import file_digest, finish, tokenizer_for, write_tokenizer
from bort_convert.model_dir.read import read_manifest
from bort_convert.models.registry import families
from bort_convert.tokenizer import FILES, TokenizerOptions

if TYPE_CHECKING:
    import os

    from bort_convert.mapping.family import Family
    from bort_convert.model_dir.manifest import Manifest
    from bort_convert.tokenizer import Tokenizer


def add_tokenizer(
    target: str | os.PathLike[str],
    *,
    tokenizer_options: TokenizerOptions | None = None,
    vocab: str | os.PathLike[str] | None = None,
    bpe_ranks: str | os.PathLike[str] | None = None,
    tokenizer: str | os.PathLike[str] | None = None,
    roberta_pairs: bool = False,
    lower_case: bool | None = None,
) -> Manifest:
    """Write a tokenizer into a converted directory, in place of the one that it has, if any.

    The directory is replaced whole or not at all; weights are linked, not copied. A model card that was edited stays,
    and so does every digest: `check` still finds earlier changes.

    Args:
        target: a converted directory, but not the current directory or one above it.
        tokenizer_options: see `convert`.
        vocab: see `convert`.
        bpe_ranks: see `convert`.
        tokenizer: see `convert`.
        roberta_pairs: see `convert`.
        lower_case: see `convert`.

    Returns:
        The manifest that was written to conversion.json.

    Raises:
        FormatError: the directory or a file of the tokenizer cannot be read, or there are no files.
        OptionError: an option is for another kind of tokenizer, or contradicts another option.
        VariantError: bort_convert makes no tokenizer for the family, or no file tells whether text is lower-cased.
        OutputError: the directory cannot be written.
    """
    check_place(target)
    before = read_manifest(target)
    keywords = TokenizerOptions(vocab, bpe_ranks, tokenizer, roberta_pairs, lower_case)
    options = tokenizer_options.joined(keywords) if tokenizer_options else keywords
    new_tokenizer = _make_tokenizer(_family(target, before), before, options)
    entries = list(Path(target).iterdir())
    if folders := [path.name for path in entries if path.is_dir()]:
        raise OutputError(
            f"{target} holds the folder {printable(folders[0])}; expected files alone. Move it away first"
        )
    if foreign := sorted({path.name for path in entries} & new_tokenizer.files.keys() - before.files.keys()):
        raise OutputError(f"{target} holds {foreign[0]}, which no conversion wrote. Move it away first")
    with new_directory(target, force=True, reason_to_keep=partial(_reason_to_keep, before=set(entries))) as folder:
        replaced = {manifest.FILE_NAME, *new_tokenizer.files, *(FILES & before.files.keys())}
        card = Path(target) / model_card.FILE_NAME
        if card.exists() and file_digest(card) == before.files.get(model_card.FILE_NAME):
            replaced.add(model_card.FILE_NAME)
        for path in entries:
            if path.name not in replaced:
                _link(path, folder / path.name)
        write_tokenizer(folder, new_tokenizer)
        return finish(folder, _with_tokenizer(before, new_tokenizer, options), new_tokenizer.files)


def _reason_to_keep(folder: Path, *, before: set[Path]) -> str:
    """Say why a directory may not be replaced: a file appeared in it, which would not be in the new one."""
    added = sorted(path.name for path in set(folder.iterdir()) - before)
    return f"holds {printable(added[0])}, which was not there before. Try again" if added else ""


def _family(target: str | os.PathLike[str], before: Manifest) -> Family:
    family = families().get(before.family)
    if family is None:
        raise FormatError(
            f"{target}: {manifest.FILE_NAME} names the family {printable(before.family)!r}, "
            "which this version does not know"
        )
    return family


def _make_tokenizer(family: Family, before: Manifest, options: TokenizerOptions) -> Tokenizer:
    reasons: list[str] = []
    new_tokenizer = tokenizer_for(family, before.dims, options, absent=reasons.append)
    if new_tokenizer is None and not family.tokenizer:
        raise VariantError(f"no tokenizer of {family.title}'s kind can be new_tokenizer yet")
    if new_tokenizer is None:
        raise FormatError(f"no vocabulary was given: {reasons[0]}")
    return new_tokenizer


def _with_tokenizer(before: Manifest, new_tokenizer: Tokenizer, options: TokenizerOptions) -> Manifest:
    """Put the new tokenizer's sources and settings into the manifest, in place of the old one's."""
    names = {field.name for field in fields(TokenizerOptions)}
    kept = {name: value for name, value in before.options.items() if name not in names}
    return replace(
        before,
        files={name: digest for name, digest in before.files.items() if name not in FILES},
        options={**kept, **options.settings},
        tokenizer=new_tokenizer.sources,
        notes=new_tokenizer.notes,
    )


def _link(source: Path, target: Path) -> None:
    """Hard-link a file; copy it if the file system has no hard links."""
    try:
        target.hardlink_to(source)
    except OSError:
        import shutil  # noqa: PLC0415 - needed only here, and slow to import

        shutil.copyfile(source, target)
