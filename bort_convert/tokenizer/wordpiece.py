"""BERT's WordPiece: `BERTTokenizer` and `BERTVocab`, as `BERTSentenceTransform` puts them together.

Source: gluonnlp 0.8.3, data/transforms.py; huggingface/tokenizers v0.21.0, tokenizers/src/models/wordpiece and
normalizers/bert.rs
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bort_convert.errors import FormatError, VariantError, printable
from bort_convert.tokenizer.bert import PREFIX, VOCABULARY, read_tokenizer, read_vocabulary
from bort_convert.tokenizer.casing import casing
from bort_convert.tokenizer.kind import Tokenizer
from bort_convert.tokenizer.layout import companions, pipeline, special, template, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bort_convert.tokenizer.bert import Pieces
    from bort_convert.tokenizer.kind import Given, Room
    from bort_convert.tokenizer.tables import Vocabulary

# What transformers calls a role, and what GluonNLP does.
ROLES: Final = {
    "unk_token": "unknown_token",
    "pad_token": "padding_token",
    "cls_token": "cls_token",
    "sep_token": "sep_token",
    "mask_token": "mask_token",
}
# A longer word is unknown: GluonNLP's limit; that of transformers' own BertTokenizer is 100.
LONGEST_WORD: Final = 200
SENTENCEPIECE: Final = "\u2581"


def make(given: Given, room: Room) -> Tokenizer:
    """A WordPiece tokenizer, from what was given.

    Raises:
        VariantError: `vocab` and `tokenizer` are given, or it cannot be told whether text is lower-cased.
        FormatError: nothing was given, or it cannot be read or does not fit.
        BackendError: huggingface_hub is needed and missing.
    """
    pieces = _read(given)
    vocabulary = pieces.vocabulary
    vocabulary.check_size(room.size)
    vocabulary.source.refuse(list(_problems(vocabulary.tokens)))
    lower, note = casing(pieces, asked=given.lower_case)
    special_tokens = {role: vocabulary.roles[filler] for role, filler in ROLES.items()}
    types = ["token_type_ids"] if room.types > 1 else []
    config = {
        "model_max_length": room.max_length,
        "model_input_names": ["input_ids", *types, "attention_mask"],
        "do_lower_case": lower,
    }
    files = {
        "tokenizer.json": _pipeline(vocabulary, lower=lower, second=len(types)),
        **companions(special_tokens, **config),
        VOCABULARY: "".join(f"{token}\n" for token in vocabulary.tokens),
    }
    return Tokenizer(files, {source.path.name: source.sha256 for source in pieces.sources}, (note,))


def _read(given: Given) -> Pieces:
    if given.tokenizer is not None and given.vocab is not None:
        raise VariantError("--tokenizer stands for a vocabulary: pass it, or --vocab")
    if given.tokenizer is not None:
        return read_tokenizer(given.tokenizer)
    if given.vocab is not None:
        return read_vocabulary(given.vocab)
    if given.lower_case is not None:
        raise VariantError("--lower-case and --cased say how a vocabulary is used: pass --vocab or --tokenizer too")
    raise FormatError("pass --vocab or --tokenizer")


def _problems(tokens: Sequence[str]) -> Iterator[str]:
    """What makes tokens none of a WordPiece."""
    starts = sum(token.startswith(SENTENCEPIECE) for token in tokens)
    if starts and not any(token.startswith(PREFIX) for token in tokens):
        yield (
            f"{starts:,} tokens begin with {SENTENCEPIECE!r} and none with {PREFIX!r}: a SentencePiece vocabulary, "
            "which says too little without its model"
        )
    for number, token in enumerate(tokens):
        if "\n" in token or "\r" in token:
            yield f"token {number:,} is {printable(repr(token))}, and {VOCABULARY} has a line for each"


def _pipeline(vocabulary: Vocabulary, *, lower: bool, second: int) -> str:
    """The text of tokenizer.json; the second text of a pair and its end have the type `second`."""
    begin, end = vocabulary.roles["cls_token"], vocabulary.roles["sep_token"]
    single = [special(begin), text("A"), special(end)]
    return pipeline(
        vocabulary,
        normalizer={
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": lower,
        },
        pre_tokenizer={"type": "BertPreTokenizer"},
        post_processor=template(vocabulary.ids, single, [*single, text("B", second), special(end, second)]),
        decoder={"type": "WordPiece", "prefix": PREFIX, "cleanup": True},
        model={
            "type": "WordPiece",
            "unk_token": vocabulary.roles["unknown_token"],
            "continuing_subword_prefix": PREFIX,
            "max_input_chars_per_word": LONGEST_WORD,
            "vocab": vocabulary.ids,
        },
    )
