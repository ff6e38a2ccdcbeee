"""Add a tokenizer to a converted directory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bort_convert.errors import FormatError, OutputError, printable
from bort_convert.files.atomic import new_directory
from bort_convert.model_dir import manifest, model_card
from bort_convert.model_dir.assemble import file_digest, finish, tokenizer_for, write_tokenizer
from bort_convert.model_dir.read import read_manifest
from bort_convert.models.registry import families
from bort_convert.tokenizer import FILES, TokenizerOptions

if TYPE_CHECKING:
    import os

    from bort_convert.model_dir.manifest import Manifest


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
    given = TokenizerOptions(vocab, bpe_ranks, tokenizer, roberta_pairs, lower_case)
    found = tokenizer_for(family, known.dims, given, absent=reasons.append)
    if found is None:
        raise FormatError(f"no vocabulary was given: {reasons[0]}")
    if folders := [path.name for path in Path(target).iterdir() if path.is_dir()]:
        raise OutputError(
            f"{target} holds the folder {printable(folders[0])}; expected files alone. Move it away first"
        )
    with new_directory(target, force=True) as folder:
        made, page = (
            {manifest.FILE_NAME, *found.files, *(FILES & known.files.keys())},
            Path(target) / model_card.FILE_NAME,
        )
        if page.exists() and file_digest(page) == known.files.get(model_card.FILE_NAME):
            made.add(model_card.FILE_NAME)
        for path in Path(target).iterdir():
            if path.name not in made:
                _link(path, folder / path.name)
        write_tokenizer(folder, found)
        options = {
            name: value for name, value in known.options.items() if name not in TokenizerOptions.__dataclass_fields__
        }
        kept = {name: digest for name, digest in known.files.items() if name not in FILES}
        written = replace(known, files=kept, tokenizer=found.sources, notes=found.notes)
        return finish(folder, replace(written, options={**options, **given.options}), found.files)


def _link(source: Path, target: Path) -> None:
    """Another name for a file; a copy where the file system has no such thing."""
    try:
        target.hardlink_to(source)
    except OSError:
        import shutil  # noqa: PLC0415 - only there

        shutil.copyfile(source, target)
