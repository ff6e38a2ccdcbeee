"""A WordPiece vocabulary: GluonNLP's JSON, a vocab.txt, or a BERT tokenizer of transformers.

Source: gluonnlp 0.8.3, vocab/bert.py (BERTVocab); huggingface/transformers v4.48.0,
models/bert/tokenization_bert_fast.py

MERGED tokenizer.casing: Whether a WordPiece lower-cases text: what was said, what a tokenizer's files say, or what its tokens prove.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from bort_convert.errors import FormatError, VariantError, printable
from bort_convert.tokenizer.gluon_files import vocabulary_from_json
from bort_convert.tokenizer.sources import WHOLE, Source, check_parts, ids_of, open_folder, part, read_source
from bort_convert.tokenizer.vocabulary import Vocabulary, tokens_by_id, vocabulary_of

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from bort_convert.tokenizer.vocabulary import Vocabulary

PREFIX: Final = "##"
VOCABULARY: Final = "vocab.txt"
CONFIG: Final = "tokenizer_config.json"
# As GluonNLP calls them, and as every BERT's vocab.txt does; a GluonNLP vocabulary may have other tokens there.
ROLES: Final = {
    "unknown_token": "[UNK]",
    "padding_token": "[PAD]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
_KIND: Final = "a WordPiece as GluonNLP's BERT has it"
_JSON: Final = re.compile(r'\s*\{\s*"')


@dataclass(frozen=True)
class Pieces:
    """A WordPiece vocabulary.

    Attributes:
        vocabulary: its tokens.
        sources: the files that were read.
        said: for each of these that says whether text is lower-cased, what it says.
    """

    vocabulary: Vocabulary
    sources: tuple[Source, ...]
    said: Mapping[str, bool] = field(default_factory=dict)


def read_vocabulary(source: Source) -> Pieces:
    """What `BERTVocab.to_json` wrote, or a text file with a token a line.

    Raises:
        FormatError: the file is neither, contradicts itself, or lacks a special token.
    """
    is_json = _JSON.match(source.text())
    return Pieces(vocabulary_from_json(source, ROLES) if is_json else _from_lines(source), (source,))


def read_tokenizer(tokenizer: str | os.PathLike[str]) -> Pieces:
    """What a directory or a repository holds.

    Raises:
        FormatError: there is no such directory and no such repository, or no WordPiece in it.
        BackendError: huggingface_hub is needed and missing.
    """
    folder, names = open_folder(tokenizer, {WHOLE, VOCABULARY, CONFIG})
    name = next((name for name in (WHOLE, VOCABULARY) if name in names), None)
    if name is None:
        raise FormatError(f"{tokenizer}: neither {WHOLE} nor {VOCABULARY}, expected a BERT tokenizer")
    source = read_source(folder / name)
    pieces = _whole(source) if name == WHOLE else Pieces(_from_lines(source), (source,))
    if CONFIG not in names:
        return pieces
    config = read_source(folder / CONFIG)
    return Pieces(pieces.vocabulary, (*pieces.sources, config), {**pieces.said, **_said(config)})


def _from_lines(source: Source) -> Vocabulary:
    """A vocabulary from a text file; its last line may lack its end."""
    lines = source.text().split("\n")
    tokens = lines[:-1] if lines[-1] == "" else lines
    return vocabulary_of(source, tokens, ROLES, ROLES)


def _whole(source: Source) -> Pieces:
    """The vocabulary of a tokenizer.json, where the rest of it reads text as GluonNLP does."""
    content = source.json()
    model, normalizer = part(content, "model"), part(content, "normalizer")
    lower = normalizer.get("lowercase")
    expected = {
        "model.type": (model.get("type"), "WordPiece"),
        "model.continuing_subword_prefix": (model.get("continuing_subword_prefix", PREFIX), PREFIX),
        "pre_tokenizer.type": (part(content, "pre_tokenizer").get("type"), "BertPreTokenizer"),
        "normalizer.type": (normalizer.get("type"), "BertNormalizer"),
        "normalizer.clean_text": (normalizer.get("clean_text", True), True),
        "normalizer.handle_chinese_chars": (normalizer.get("handle_chinese_chars", True), True),
        "normalizer.strip_accents": _accents(normalizer.get("strip_accents"), lower),
    }
    check_parts(source, expected, _KIND)
    vocabulary = vocabulary_of(source, tokens_by_id(source, ids_of(source, content)), ROLES, ROLES)
    return Pieces(vocabulary, (source,), {WHOLE: lower} if isinstance(lower, bool) else {})


def _said(config: Source) -> dict[str, bool]:
    """What tokenizer_config.json says of letters, where it says something."""
    content = config.json()
    lower = content.get("do_lower_case")
    expected = {
        "tokenize_chinese_chars": (content.get("tokenize_chinese_chars", True), True),
        "strip_accents": _accents(content.get("strip_accents"), lower),
    }
    check_parts(config, expected, _KIND)
    return {CONFIG: lower} if isinstance(lower, bool) else {}


def _accents(found: object, lower: object) -> tuple[object, object]:
    """Accents go where letters are lower-cased, and nowhere else; null says the same."""
    return (found, None if found is None else lower)


_OPTIONS: Final = "Pass --lower-case or --cased"
_MEANING: Final = {
    True: "letters are lower-cased and lose their accents",
    False: "capital letters and accents are kept",
}


def casing(pieces: Pieces, *, asked: bool | None, prefix: str = PREFIX) -> tuple[bool, str]:
    """Whether text is lower-cased and loses its accents, as GluonNLP's `lower` has it; and why, for a person.

    Args:
        pieces: the vocabulary, and what was said beside it.
        asked: what the user said.
        prefix: what a piece has before its letters that is no letter.

    Raises:
        VariantError: two files disagree, or there is nothing to tell by.
    """
    said = pieces.said
    if asked is not None:
        lower, why = asked, "as you said"
    elif len(set(said.values())) > 1:
        names = " and ".join(said)
        raise VariantError(f"{names} disagree on whether letters are lower-cased. {_OPTIONS}")
    elif said:
        lower, why = next(iter(said.values())), f"by {' and '.join(said)}"
    else:
        lower, why = _proved(pieces.vocabulary, prefix)
    return lower, f"tokenizer: {_MEANING[lower]}; {why}"


def _proved(vocabulary: Vocabulary, prefix: str) -> tuple[bool, str]:
    """What the tokens prove: text that was lower-cased never meets one with a capital letter.

    Special tokens prove nothing, nor does any other that is no word: `[unused1]` is never met.
    """
    name, roles = printable(vocabulary.source.path.name), set(vocabulary.roles.values())
    words = [token for token in vocabulary.tokens if token not in roles and token.removeprefix(prefix).isalnum()]
    capital = next((word for word in words if word != word.lower()), None)
    if capital is not None:
        return False, f"{printable(repr(capital))} in {name} has a capital letter"
    if any(word != word.upper() for word in words):
        return True, f"no word in {name} has a capital letter"
    raise VariantError(
        f"{name}: no word in it has a letter that can be a capital, so whether letters are lower-cased cannot be told. "
        f"{_OPTIONS}"
    )
