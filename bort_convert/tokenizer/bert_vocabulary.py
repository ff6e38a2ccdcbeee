"""Read BERT's WordPiece vocabulary, and decide whether text is lower-cased for it.

The vocabulary comes from GluonNLP's JSON, a vocab.txt, or a BERT tokenizer of transformers.

Source: gluonnlp 0.8.3, vocab/bert.py (BERTVocab); huggingface/transformers v4.48.0,
models/bert/tokenization_bert_fast.py
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from bort_convert.errors import FormatError, VariantError, printable
from bort_convert.tokenizer.gluon_files import vocabulary_from_json
from bort_convert.tokenizer.sources import TokenizerFile, open_directory, read_file
from bort_convert.tokenizer.tokenizer_json import CONFIG, FILE_NAME, check_values, section, token_ids
from bort_convert.tokenizer.vocabulary import Vocabulary, make_vocabulary, tokens_by_id
from bort_convert.zoo.vocabularies import OF_1_0

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

PREFIX: Final = "##"
VOCABULARY: Final = "vocab.txt"
# Special tokens of every BERT's vocab.txt, by GluonNLP's names of their roles; a GluonNLP vocabulary may have others.
SPECIAL_TOKENS: Final = {
    "unknown_token": "[UNK]",
    "padding_token": "[PAD]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
LOWER_CASE_ADVICE: Final = "Pass `lower_case=True` or `lower_case=False`"
_TITLE: Final = "a WordPiece as GluonNLP's BERT has it"
_JSON: Final = re.compile(r'\s*\{\s*"')
_CASING: Final = {
    (True, False): "text is lower-cased and loses its accents",
    (True, True): "text is lower-cased and keeps its accents",
    (False, False): "text keeps its capital letters and accents",
    (False, True): "text keeps its capital letters and accents",
}


@dataclass(frozen=True)
class BertVocabulary:
    """A vocabulary of a BERT, and what its files state about lower-casing.

    Attributes:
        vocabulary: its tokens.
        sources: the files that were read.
        lower_case: for each file that states whether text is lower-cased: its name -> its statement.
    """

    vocabulary: Vocabulary
    sources: tuple[TokenizerFile, ...]
    lower_case: Mapping[str, bool] = field(default_factory=dict)


def read_vocabulary(file: TokenizerFile, *, of_1_0: bool = False) -> BertVocabulary:
    """Read the JSON of `Vocab.to_json` or `BERTVocab.to_json`, or a text file with one token a line.

    Args:
        file: the file.
        of_1_0: True for a model of GluonNLP 1.0, whose published vocabularies are known to be lower-cased or not.

    Raises:
        FormatError: the file is neither, contradicts itself, or lacks a special token.
    """
    is_json = _JSON.match(file.text())
    vocabulary = vocabulary_from_json(file, SPECIAL_TOKENS) if is_json else _read_vocab_txt(file)
    return BertVocabulary(vocabulary, (file,), stated_lower_case(file) if of_1_0 else {})


def stated_lower_case(file: TokenizerFile) -> dict[str, bool]:
    """What GluonNLP 1.0 says of a vocabulary that it publishes: its name -> True if text is lower-cased for it."""
    published = next((known for known in OF_1_0 if known.sha1 == file.sha1), None)
    return {} if published is None else {file.path.name: published.lower_case}


def read_tokenizer(tokenizer: str | os.PathLike[str]) -> BertVocabulary:
    """Read a BERT tokenizer of transformers in a directory or a repository.

    Raises:
        FormatError: there is no such directory and no such repository, or it holds no WordPiece.
        BackendError: huggingface_hub is needed and missing.
    """
    folder, names = open_directory(tokenizer, {FILE_NAME, VOCABULARY, CONFIG})
    name = next((name for name in (FILE_NAME, VOCABULARY) if name in names), None)
    if name is None:
        raise FormatError(f"{tokenizer}: neither {FILE_NAME} nor {VOCABULARY}, expected a BERT tokenizer")
    file = read_file(folder / name)
    bert = _read_tokenizer_json(file) if name == FILE_NAME else BertVocabulary(_read_vocab_txt(file), (file,))
    if CONFIG not in names:
        return bert
    config = read_file(folder / CONFIG)
    lower_case = {**bert.lower_case, **_read_config(config)}
    return BertVocabulary(bert.vocabulary, (*bert.sources, config), lower_case)


def decide_lower_case(
    bert: BertVocabulary,
    *,
    requested: bool | None,
    published: tuple[str, bool] | None = None,
    prefix: str = PREFIX,
    keeps_accents: bool = False,
) -> tuple[bool, str]:
    """Decide whether text is lower-cased, and loses its accents with that, as GluonNLP's `lower` of 0.x does both.

    The user's request goes first, then the statements of the files, then the tokens themselves.

    Args:
        bert: the vocabulary and the statements.
        requested: the user's `lower_case`.
        published: see `TokenizerOptions`.
        prefix: a mark at the beginning of tokens that belongs to no word.
        keeps_accents: True where lower-cased text keeps its accents, as in 1.0.

    Returns:
        The decision, and a note that gives the reason.

    Raises:
        VariantError: two statements disagree, or no token tells.
        FormatError: the vocabulary has capital letters, and the published checkpoint is for lower-cased text.
    """
    stated = dict(bert.lower_case)
    if published:
        _check_casing(bert.vocabulary, *published, prefix)
        stated[published[0]] = published[1]
    if requested is not None:
        lower_case, reason = requested, "as requested"
    elif len(set(stated.values())) > 1:
        names = " and ".join(stated)
        raise VariantError(
            f"{names} disagree on whether text is lower-cased. {LOWER_CASE_ADVICE}", missing=("lower_case",)
        )
    elif stated:
        lower_case, reason = next(iter(stated.values())), f"by {' and '.join(stated)}"
    else:
        lower_case, reason = _infer_lower_case(bert.vocabulary, prefix)
    return lower_case, f"tokenizer: {_CASING[lower_case, keeps_accents]}; {reason}"


def _infer_lower_case(vocabulary: Vocabulary, prefix: str) -> tuple[bool, str]:
    """Infer lower-casing from the tokens: lower-cased text never meets a token with a capital letter.

    Special tokens do not count, nor do other tokens that are no words, such as `[unused1]`: no text becomes them.
    """
    name, words = printable(vocabulary.file.path.name), _words(vocabulary, prefix)
    capitalized = next((word for word in words if word != word.lower()), None)
    if capitalized is not None:
        return False, f"{printable(repr(capitalized))} in {name} has a capital letter"
    if any(word != word.upper() for word in words):
        return True, f"no word in {name} has a capital letter"
    raise VariantError(
        f"{name}: no word in it has a character with a capital form, so it does not tell whether text is lower-cased. "
        f"{LOWER_CASE_ADVICE}",
        missing=("lower_case",),
    )


def _words(vocabulary: Vocabulary, prefix: str) -> list[str]:
    special = set(vocabulary.roles.values())
    return [token for token in vocabulary.tokens if token not in special and token.removeprefix(prefix).isalnum()]


def _check_casing(vocabulary: Vocabulary, published: str, lower_case: bool, prefix: str) -> None:  # noqa: FBT001
    """Refuse a vocabulary of words with capital letters for a checkpoint that reads lower-cased text.

    A few such words are no proof: in some writing systems a letter has no other form.

    Raises:
        FormatError: more than one word in a hundred has a capital letter.
    """
    words = _words(vocabulary, prefix)
    capitalized = [word for word in words if word != word.lower()]
    if lower_case and len(capitalized) * 100 > len(words):
        raise FormatError(
            f"{vocabulary.file.path}: {len(capitalized):,} words have a capital letter, such as "
            f"{printable(repr(capitalized[0]))}, but {published} reads lower-cased text: this is the vocabulary of "
            "another model"
        )


def _read_vocab_txt(file: TokenizerFile) -> Vocabulary:
    """Read a text file with one token a line; its last line may lack its end."""
    lines = file.text().split("\n")
    tokens = lines[:-1] if lines[-1] == "" else lines
    return make_vocabulary(file, tokens, SPECIAL_TOKENS, SPECIAL_TOKENS)


def _read_tokenizer_json(file: TokenizerFile) -> BertVocabulary:
    """Read the vocabulary of a tokenizer.json, whose other components must read text as GluonNLP does."""
    content = file.json()
    model, normalizer = section(content, "model"), section(content, "normalizer")
    lower_case = normalizer.get("lowercase")
    expected = {
        "model.type": (model.get("type"), "WordPiece"),
        "model.continuing_subword_prefix": (model.get("continuing_subword_prefix", PREFIX), PREFIX),
        "pre_tokenizer.type": (section(content, "pre_tokenizer").get("type"), "BertPreTokenizer"),
        "normalizer.type": (normalizer.get("type"), "BertNormalizer"),
        "normalizer.clean_text": (normalizer.get("clean_text", True), True),
        "normalizer.handle_chinese_chars": (normalizer.get("handle_chinese_chars", True), True),
        "normalizer.strip_accents": _strip_accents(normalizer.get("strip_accents"), lower_case),
    }
    check_values(file, expected, _TITLE)
    tokens = tokens_by_id(file, token_ids(file, content))
    vocabulary = make_vocabulary(file, tokens, SPECIAL_TOKENS, SPECIAL_TOKENS)
    return BertVocabulary(vocabulary, (file,), {FILE_NAME: lower_case} if isinstance(lower_case, bool) else {})


def _read_config(config: TokenizerFile) -> dict[str, bool]:
    """Read the statement of tokenizer_config.json about lower-casing, if it makes one."""
    content = config.json()
    lower_case = content.get("do_lower_case")
    expected = {
        "tokenize_chinese_chars": (content.get("tokenize_chinese_chars", True), True),
        "strip_accents": _strip_accents(content.get("strip_accents"), lower_case),
    }
    check_values(config, expected, _TITLE)
    return {CONFIG: lower_case} if isinstance(lower_case, bool) else {}


def _strip_accents(value: object, lower_case: object) -> tuple[object, object]:
    """The value of `strip_accents`, and the value that it must have: that of lower-casing, or null for the same."""
    return value, None if value is None else lower_case
