"""BERT's WordPiece: `BERTTokenizer` and `BERTVocab`, as `BERTSentenceTransform` puts them together.

Source: gluonnlp 0.8.3, data/transforms.py; huggingface/tokenizers v0.21.0, tokenizers/src/models/wordpiece and
normalizers/bert.rs
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bort_convert.errors import FormatError, VariantError, printable
from bort_convert.tokenizer import sentencepiece
from bort_convert.tokenizer.bert_vocabulary import PREFIX, VOCABULARY, casing, read_tokenizer, read_vocabulary
from bort_convert.tokenizer.kind import Tokenizer
from bort_convert.tokenizer.sentencepiece_model import SPACE, is_model
from bort_convert.tokenizer.sources import read_source
from bort_convert.tokenizer.tokenizer_json import around, pipeline, settings, words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bort_convert.tokenizer.bert_vocabulary import Pieces
    from bort_convert.tokenizer.kind import ModelLimits, TokenizerOptions
    from bort_convert.tokenizer.vocabulary import Vocabulary

# A longer word is unknown: GluonNLP's limit; that of transformers' own BertTokenizer is 100.
LONGEST_WORD: Final = 200


def make(given: TokenizerOptions, room: ModelLimits) -> Tokenizer:
    """A WordPiece tokenizer, from what was given, or a SentencePiece one, where the vocabulary is such a model.

    Raises:
        VariantError: `vocab` and `tokenizer` are given, or it cannot be told whether text is lower-cased.
        FormatError: nothing was given, or it cannot be read or does not fit.
        BackendError: huggingface_hub is needed and missing.
    """
    _check(given)
    if given.tokenizer is not None:
        return _make(read_tokenizer(given.tokenizer), given, room)
    assert given.vocab is not None
    source = read_source(given.vocab)
    if is_model(source):
        return sentencepiece.make(source, room, asked=given.lower_case)
    return _make(read_vocabulary(source), given, room)


def _check(given: TokenizerOptions) -> None:
    """See that one thing was given."""
    if given.tokenizer is not None and given.vocab is not None:
        raise VariantError("--tokenizer stands for a vocabulary: pass it, or --vocab")
    if given.has_files:
        return
    if given.lower_case is not None:
        raise VariantError("--lower-case and --cased say how a vocabulary is used: pass --vocab or --tokenizer too")
    raise FormatError("pass --vocab or --tokenizer")


def _make(pieces: Pieces, given: TokenizerOptions, room: ModelLimits) -> Tokenizer:
    vocabulary = pieces.vocabulary
    vocabulary.check_size(room.size)
    vocabulary.source.refuse(list(_problems(vocabulary.tokens)))
    lower, note = casing(pieces, asked=given.lower_case)
    files = {
        "tokenizer.json": _pipeline(vocabulary, room, lower=lower),
        **settings(vocabulary, room, lower=lower),
        VOCABULARY: "".join(f"{token}\n" for token in vocabulary.tokens),
    }
    return Tokenizer(files, {source.path.name: source.sha256 for source in pieces.sources}, (note,))


def _problems(tokens: Sequence[str]) -> Iterator[str]:
    """What makes tokens none of a WordPiece."""
    starts = sum(token.startswith(SPACE) for token in tokens)
    if starts and not any(token.startswith(PREFIX) for token in tokens):
        yield (
            f"{starts:,} tokens begin with {SPACE!r} and none with {PREFIX!r}: a SentencePiece vocabulary, "
            "which says too little. Pass the model itself, a .spiece or .model file"
        )
    for number, token in enumerate(tokens):
        if "\n" in token or "\r" in token:
            yield f"token {number:,} is {printable(repr(token))}, and {VOCABULARY} has a line for each"


def _pipeline(vocabulary: Vocabulary, room: ModelLimits, *, lower: bool) -> str:
    """The text of tokenizer.json."""
    return pipeline(
        vocabulary,
        normalizer=words(lower=lower),
        pre_tokenizer={"type": "BertPreTokenizer"},
        post_processor=around(vocabulary, room),
        decoder={"type": "WordPiece", "prefix": PREFIX, "cleanup": True},
        model={
            "type": "WordPiece",
            "unk_token": vocabulary.roles["unknown_token"],
            "continuing_subword_prefix": PREFIX,
            "max_input_chars_per_word": LONGEST_WORD,
            "vocab": vocabulary.ids,
        },
    )
