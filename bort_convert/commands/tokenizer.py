"""Add a tokenizer to a converted directory, or replace the one that it has."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import partial
from typing import TYPE_CHECKING

from bort_convert.errors import FormatError, OutputError, VariantError, printable
from bort_convert.files.atomic import new_directory, write_text
from bort_convert.files.fetched import fetched
from bort_convert.files.places import check_place
from bort_convert.files.system_errors import reading
from bort_convert.mapping.family import SPECIAL_TOKEN_IDS, SYNONYMS
from bort_convert.model_dir import manifest, model_card
from bort_convert.model_dir.assemble import file_digest, finish, tokenizer_for, write_tokenizer
from bort_convert.model_dir.config import FILE_NAME as CONFIG
from bort_convert.model_dir.config import GENERATION, dtype_notes, generation_config_of, json_text, with_special_tokens
from bort_convert.model_dir.published import vocabulary_notes, with_casing
from bort_convert.model_dir.read import read_json, read_manifest
from bort_convert.models.registry import families
from bort_convert.tokenizer import FILES, TokenizerOptions
from bort_convert.zoo import find_entry

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from bort_convert.files.remote import Place
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

    The ids of its special tokens go into config.json and generation_config.json. The directory is replaced whole or not
    at all; weights are linked, not copied. A model card that was edited stays,
    and so does every digest: `check` still finds earlier changes.

    Args:
        target: a converted directory or its URL, but not the current directory or one above it.
        tokenizer_options: see `convert`.
        vocab: see `convert`.
        bpe_ranks: see `convert`.
        tokenizer: see `convert`.
        roberta_pairs: see `convert`.
        lower_case: see `convert`.

    Returns:
        The manifest that was written to conversion.json.

    Raises:
        FormatError: the directory or a file of the tokenizer cannot be read, or there are no files; or special token
            ids of the vocabulary do not go with the directory.
        OptionError: an option is for another kind of tokenizer, or contradicts another option.
        VariantError: bort_convert makes no tokenizer for the family, or no file tells whether text is lower-cased.
        OutputError: the directory cannot be written.

    Examples:
        >>> manifest = bort_convert.convert("fixtures/bort_4_8_24_32.params", "out", family="bort", heads=8)
        >>> manifest = bort_convert.add_tokenizer(
        ...     "out", vocab="fixtures/tiny.vocab", bpe_ranks="fixtures/tiny_ranks.txt"
        ... )
        >>> sorted(manifest.tokenizer)
        ['tiny.vocab', 'tiny_ranks.txt']
    """
    check_place(target)
    keywords = TokenizerOptions(vocab, bpe_ranks, tokenizer, roberta_pairs, lower_case)
    options = tokenizer_options.joined(keywords) if tokenizer_options else keywords
    with fetched(target, marker=manifest.FILE_NAME) as here:
        return _replaced(target, here, options)


def _replaced(target: str | os.PathLike[str], here: Path, options: TokenizerOptions) -> Manifest:
    """Replace a directory by one with another tokenizer; `here` is the directory itself, or a copy of one elsewhere."""
    before = read_manifest(here)
    family = _family(target, before)
    new_tokenizer = _make_tokenizer(family, before, options)
    after = _with_tokenizer(before, new_tokenizer, options)
    with reading(target):
        configs = _changed_configs(here, family, before, after)
        entries = list(here.iterdir())
        folders = [path.name for path in entries if path.is_dir()]
    if folders:
        raise OutputError(
            f"{target} holds the folder {printable(folders[0])}; expected files alone. Move it away first"
        )
    if foreign := sorted({path.name for path in entries} & {*new_tokenizer.files, *configs} - before.files.keys()):
        raise OutputError(f"{target} holds {foreign[0]}, which no conversion wrote. Move it away first")
    keep = partial(_reason_to_keep, before={path.name for path in entries})
    with new_directory(target, force=True, reason_to_keep=keep, marker=manifest.FILE_NAME) as folder:
        replaced = {manifest.FILE_NAME, *new_tokenizer.files, *configs, *(FILES & before.files.keys())}
        card = here / model_card.FILE_NAME
        if card.exists() and file_digest(card) == before.files.get(model_card.FILE_NAME):
            replaced.add(model_card.FILE_NAME)
        for path in entries:
            if path.name not in replaced:
                _link(path, folder / path.name)
        write_tokenizer(folder, new_tokenizer)
        for name, text in configs.items():
            write_text(folder / name, text)
        return finish(folder, after, [*new_tokenizer.files, *configs])


def _reason_to_keep(folder: Place, *, before: set[str]) -> str:
    """Say why a directory may not be replaced: a file appeared in it, which would not be in the new one."""
    added = sorted({path.name for path in folder.iterdir()} - before)
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
    published = find_entry(before.published)
    new_tokenizer = tokenizer_for(family, before.dims, with_casing(options, published), absent=reasons.append)
    if new_tokenizer is None and not family.tokenizer:
        raise VariantError(f"no tokenizer of {family.title}'s kind can be made yet")
    if new_tokenizer is None:
        raise FormatError(f"no vocabulary was given: {reasons[0]}")
    return replace(new_tokenizer, notes=(*new_tokenizer.notes, *vocabulary_notes(options, published)))


def _with_tokenizer(before: Manifest, new_tokenizer: Tokenizer, options: TokenizerOptions) -> Manifest:
    """Put the new tokenizer's sources and settings into the manifest, in place of the old one's."""
    names = {field.name for field in fields(TokenizerOptions)}
    kept = {name: value for name, value in before.options.items() if name not in names}
    chosen = {SYNONYMS.get(name, name): value for name, value in before.options.get("hyperparameters", {}).items()}
    others = {name: value for name, value in before.hyperparameters.items() if name not in SPECIAL_TOKEN_IDS}
    own_ids = {name: value for name, value in chosen.items() if name in SPECIAL_TOKEN_IDS}
    return replace(
        before,
        hyperparameters=manifest.ids_last({**others, **new_tokenizer.special_token_ids, **own_ids}),
        assumed=tuple(name for name in before.assumed if name not in SPECIAL_TOKEN_IDS),
        files={name: digest for name, digest in before.files.items() if name not in FILES},
        options={**kept, **options.settings},
        tokenizer=new_tokenizer.sources,
        notes=(*dtype_notes(tensor.dtype for tensor in before.tensors.values()), *new_tokenizer.notes),
    )


def _changed_configs(folder: Path, family: Family, before: Manifest, after: Manifest) -> dict[str, str]:
    """Make texts of config.json and generation_config.json with other special token ids, by file name.

    Returns:
        The files that change; none where both manifests have the same ids.

    Raises:
        FormatError: positions of the model depend on an id that changes, or a file that changes was edited.
    """
    for name in filter(None, (key.after for key in family.config)):
        old, new = before.hyperparameters.get(name), after.hyperparameters.get(name)
        if old != new:
            raise FormatError(
                f"{folder}: positions of this {family.title} begin behind {name} {old}, and the vocabulary's is {new}. "
                "Convert the checkpoint again, with this vocabulary"
            )
    if before.hyperparameters == after.hyperparameters:
        return {}
    config = with_special_tokens(read_json(folder / CONFIG), family, after.hyperparameters)
    generation = generation_config_of(config)
    texts = {CONFIG: json_text(config)} | ({} if generation is None else {GENERATION: json_text(generation)})
    for name in texts.keys() & before.files.keys():
        if not (folder / name).exists() or file_digest(folder / name) != before.files[name]:
            raise FormatError(
                f"{folder / name}: is not as the conversion wrote it, and the vocabulary's special token ids go into "
                "it. Convert again, with this vocabulary"
            )
    return texts


def _link(source: Path, target: Path) -> None:
    """Hard-link a file; copy it if the file system has no hard links."""
    try:
        target.hardlink_to(source)
    except OSError:
        import shutil  # noqa: PLC0415 - needed only here, and slow to import

        shutil.copyfile(source, target)
