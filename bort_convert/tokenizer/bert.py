"""A WordPiece vocabulary: GluonNLP's JSON, a vocab.txt, or a BERT tokenizer of transformers.

Source: gluonnlp 0.8.3, vocab/bert.py (BERTVocab); huggingface/transformers v4.48.0,
models/bert/tokenization_bert_fast.py
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from bort_convert.errors import FormatError
from bort_convert.tokenizer.folder import WHOLE, check_parts, ids_of, open_folder, part
from bort_convert.tokenizer.gluon import vocabulary_from_json
from bort_convert.tokenizer.source import Source, read_source
from bort_convert.tokenizer.tables import Vocabulary, tokens_by_id, vocabulary_of

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

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
