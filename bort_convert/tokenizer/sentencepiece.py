"""Write the tokenizer of a BERT with a SentencePiece model, such as KoBERT: `BERTSPTokenizer`.

GluonNLP splits a text into words and punctuation as for a WordPiece, and has sentencepiece encode each of them as a
text of its own. The tokenizers library cannot normalize between its splitting and its encoding, so here normalizers
do the splitting: they put spaces around punctuation, and turn each space into U+2581, which begins a word.

Source: gluonnlp 0.8.3, data/transforms.py and vocab/bert.py (BERTVocab.from_sentencepiece); google/sentencepiece
v0.2.0, src/unigram_model.cc and normalizer.cc; huggingface/tokenizers v0.21.0, tokenizers/src/models/unigram and
normalizers
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from bort_convert.errors import VariantError, printable
from bort_convert.tokenizer import character_rules
from bort_convert.tokenizer.bert_vocabulary import (
    LOWER_CASE_ADVICE,
    SPECIAL_TOKENS,
    BertVocabulary,
    decide_lower_case,
)
from bort_convert.tokenizer.kind import Tokenizer
from bort_convert.tokenizer.sentencepiece_model import CASE_FOLDING, CONTROL, NORMAL, SPACE, UNKNOWN, read_model
from bort_convert.tokenizer.tokenizer_json import (
    BERT_ROLES,
    FILE_NAME,
    bert_companion_files,
    bert_normalizer,
    bert_post_processor,
    tokenizer_text,
)
from bort_convert.tokenizer.vocabulary import make_vocabulary

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bort_convert.tokenizer.kind import ModelLimits, TokenizerOptions
    from bort_convert.tokenizer.sentencepiece_model import SentencePieceModel
    from bort_convert.tokenizer.sources import TokenizerFile
    from bort_convert.tokenizer.vocabulary import Vocabulary

ASCII: Final = r"!-/:-@\[-`{-~"
# Between a punctuation mark and its neighbours. Never at the beginning: tokenizers 0.23.3 panics on an insertion there.
AROUND_PUNCTUATION: Final = rf"(?<=\S)(?=[{ASCII}\p{{P}}])|(?<=[{ASCII}\p{{P}}])(?=\S)"
# Spaces in a row, and each U+2581 at the end of a word: sentencepiece takes these for spaces as well.
SPACES: Final = rf"(?: |(?<!{SPACE}){SPACE}++(?= |$))+"
_ASCII_MARK: Final = re.compile(f"[{ASCII}]")


def make(file: TokenizerFile, limits: ModelLimits, options: TokenizerOptions) -> Tokenizer:
    """Make a tokenizer of a SentencePiece model, with BERT's special tokens around a text.

    Args:
        file: the SentencePiece model.
        limits: those of the BERT.
        options: the settings; the file is one of theirs.

    Raises:
        FormatError: the file cannot be read, does not fit, or normalizes text in a way that tokenizer.json cannot hold.
        VariantError: the model does not tell whether text is lower-cased.
    """
    model = read_model(file, of_words=True)
    vocabulary = _vocabulary(model)
    vocabulary.check_size(limits.vocab_size)
    file.raise_for(list(_ambiguous_pieces(model)))
    if options.lower_case is None and not options.published and model.normalizer.endswith(CASE_FOLDING):
        raise VariantError(
            f"{file.path}: the model itself folds capital letters ({model.normalizer}), so it does not tell whether "
            f"accents are stripped before. {LOWER_CASE_ADVICE}",
            missing=("lower_case",),
        )
    bert = BertVocabulary(vocabulary, (file,))
    lower_case, note = decide_lower_case(bert, requested=options.lower_case, published=options.published, prefix=SPACE)
    files = {
        FILE_NAME: _tokenizer_json(model, vocabulary, limits, lower_case=lower_case),
        **bert_companion_files(vocabulary, limits, lower_case=lower_case),
    }
    return Tokenizer(files, {file.path.name: file.sha256}, (note,), vocabulary.special_token_ids(BERT_ROLES))


def _vocabulary(model: SentencePieceModel) -> Vocabulary:
    """Make a vocabulary of the pieces; the model names its unknown piece, and its padding piece if it has one."""
    unknown = next(piece.text for piece in model.pieces if piece.type == UNKNOWN)
    has_padding = any(piece.text == model.padding and piece.type == CONTROL for piece in model.pieces)
    roles = {**SPECIAL_TOKENS, "unknown_token": unknown}
    if has_padding:
        roles["padding_token"] = model.padding
    return make_vocabulary(model.file, [piece.text for piece in model.pieces], roles, SPECIAL_TOKENS)


def _ambiguous_pieces(model: SentencePieceModel) -> Iterator[str]:
    """Find special pieces that a word could contain: sentencepiece and tokenizers treat them differently there."""
    for number, piece in enumerate(model.pieces):
        if piece.type != NORMAL and not (len(piece.text) > 1 and _ASCII_MARK.search(piece.text)):
            yield (
                f"piece {number:,}, {printable(repr(piece.text))}, is no ordinary piece, and a word could contain it; "
                "expected one with a punctuation mark, such as [CLS]"
            )


def _normalizers(model: SentencePieceModel, *, lower_case: bool) -> Iterator[dict[str, Any]]:
    yield bert_normalizer(lower_case=lower_case)
    yield {"type": "Replace", "pattern": {"Regex": AROUND_PUNCTUATION}, "content": " "}
    yield from character_rules.normalizers(model, exact=False)
    yield {"type": "Replace", "pattern": {"Regex": SPACES}, "content": " "}
    yield {"type": "Strip", "strip_left": True, "strip_right": True}
    yield {"type": "Prepend", "prepend": SPACE}
    yield {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}


def _tokenizer_json(model: SentencePieceModel, vocabulary: Vocabulary, limits: ModelLimits, *, lower_case: bool) -> str:
    """Text of tokenizer.json."""
    spaces = {"type": "Metaspace", "replacement": SPACE, "split": True}
    return tokenizer_text(
        vocabulary,
        normalizer={"type": "Sequence", "normalizers": list(_normalizers(model, lower_case=lower_case))},
        pre_tokenizer={**spaces, "prepend_scheme": "never"},
        post_processor=bert_post_processor(vocabulary, limits),
        decoder={**spaces, "prepend_scheme": "always"},
        model={
            "type": "Unigram",
            "unk_id": vocabulary.ids[vocabulary.roles["unknown_token"]],
            "vocab": [[piece.text, piece.score] for piece in model.pieces],
            "byte_fallback": False,
        },
    )
