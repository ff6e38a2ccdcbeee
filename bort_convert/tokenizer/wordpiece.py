"""Write BERT's tokenizer: `BERTTokenizer` and `BERTVocab`, as `BERTSentenceTransform` combines them.

In GluonNLP 1.0 BERT, ELECTRA and MobileBERT read text through the tokenizers library itself
(`HuggingFaceWordPieceTokenizer`): accents stay where text is lower-cased, and words may have half as many characters.

Source: gluonnlp 0.8.3, data/transforms.py; dmlc/gluon-nlp master at 14553a0c, data/tokenizers/huggingface.py;
huggingface/tokenizers v0.21.0, tokenizers/src/models/wordpiece, normalizers/bert.rs, and
bindings/python/py_src/tokenizers/implementations/bert_wordpiece.py
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bort_convert.errors import FormatError, OptionError, printable
from bort_convert.tokenizer import sentencepiece
from bort_convert.tokenizer.bert_vocabulary import (
    PREFIX,
    VOCABULARY,
    decide_lower_case,
    read_tokenizer,
    read_vocabulary,
)
from bort_convert.tokenizer.kind import Tokenizer
from bort_convert.tokenizer.sentencepiece_model import SPACE, is_model
from bort_convert.tokenizer.sources import read_file
from bort_convert.tokenizer.tokenizer_json import (
    BERT_ROLES,
    FILE_NAME,
    bert_companion_files,
    bert_normalizer,
    bert_post_processor,
    tokenizer_text,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bort_convert.tokenizer.bert_vocabulary import BertVocabulary
    from bort_convert.tokenizer.kind import ModelLimits, TokenizerOptions
    from bort_convert.tokenizer.vocabulary import Vocabulary

# A longer word is unknown: GluonNLP's limit; that of transformers' own BertTokenizer is 100.
MAX_WORD_LENGTH: Final = 200
MAX_WORD_LENGTH_OF_1_0: Final = 100


def make(options: TokenizerOptions, limits: ModelLimits, *, keeps_accents: bool = False) -> Tokenizer:
    """Make a WordPiece tokenizer, or a SentencePiece one if `vocab` is a SentencePiece model.

    Args:
        options: the files and settings.
        limits: the model's.
        keeps_accents: True for a model of GluonNLP 1.0.

    Raises:
        OptionError: `tokenizer` is specified together with `vocab`, or `lower_case` without either.
        VariantError: no file tells whether text is lower-cased.
        FormatError: no file is specified, or one cannot be read or does not fit.
        BackendError: huggingface_hub is needed and missing.
    """
    _check_options(options)
    if options.tokenizer is not None:
        return _make(read_tokenizer(options.tokenizer), limits, options)
    assert options.vocab is not None
    file = read_file(options.vocab)
    if not is_model(file):
        bert = read_vocabulary(file, of_1_0=keeps_accents)
        return _make(bert, limits, options, keeps_accents=keeps_accents)
    if keeps_accents:
        raise FormatError(f"{file.path}: a SentencePiece model; a WordPiece tokenizer cannot be made of one")
    return sentencepiece.make(file, limits, options)


def _check_options(options: TokenizerOptions) -> None:
    """Check that there is one vocabulary."""
    if options.tokenizer is not None and options.vocab is not None:
        raise OptionError("tokenizer", options.tokenizer, "stands for a vocabulary. Pass it, or `vocab`")
    if options.has_files:
        return
    if options.lower_case is not None:
        raise OptionError(
            "lower_case", options.lower_case, "describes the use of a vocabulary. Pass `vocab` or `tokenizer` too"
        )
    raise FormatError("pass `vocab` or `tokenizer`")


def _make(
    bert: BertVocabulary, limits: ModelLimits, options: TokenizerOptions, *, keeps_accents: bool = False
) -> Tokenizer:
    vocabulary = bert.vocabulary
    vocabulary.check_size(limits.vocab_size)
    vocabulary.file.raise_for(list(_problems(vocabulary.tokens)))
    lower_case, note = decide_lower_case(
        bert, requested=options.lower_case, published=options.published, keeps_accents=keeps_accents
    )
    files = {
        FILE_NAME: _tokenizer_json(vocabulary, limits, lower_case=lower_case, keeps_accents=keeps_accents),
        **bert_companion_files(vocabulary, limits, lower_case=lower_case, keeps_accents=keeps_accents),
        VOCABULARY: "".join(f"{token}\n" for token in vocabulary.tokens),
    }
    sources = {file.path.name: file.sha256 for file in bert.sources}
    return Tokenizer(files, sources, (note,), vocabulary.special_token_ids(BERT_ROLES))


def _problems(tokens: Sequence[str]) -> Iterator[str]:
    """Find tokens that no WordPiece vocabulary has."""
    starts = sum(token.startswith(SPACE) for token in tokens)
    if starts and not any(token.startswith(PREFIX) for token in tokens):
        yield (
            f"{starts:,} tokens begin with {SPACE!r} and none with {PREFIX!r}: a SentencePiece vocabulary, "
            "which says too little. Pass the model itself, a .spiece or .model file"
        )
    for number, token in enumerate(tokens):
        if "\n" in token or "\r" in token:
            yield f"token {number:,} is {printable(repr(token))}, and {VOCABULARY} has one token a line"


def _tokenizer_json(vocabulary: Vocabulary, limits: ModelLimits, *, lower_case: bool, keeps_accents: bool) -> str:
    """Text of tokenizer.json."""
    return tokenizer_text(
        vocabulary,
        normalizer=bert_normalizer(lower_case=lower_case, keeps_accents=keeps_accents),
        pre_tokenizer={"type": "BertPreTokenizer"},
        post_processor=bert_post_processor(vocabulary, limits),
        decoder={"type": "WordPiece", "prefix": PREFIX, "cleanup": True},
        model={
            "type": "WordPiece",
            "unk_token": vocabulary.roles["unknown_token"],
            "continuing_subword_prefix": PREFIX,
            "max_input_chars_per_word": MAX_WORD_LENGTH_OF_1_0 if keeps_accents else MAX_WORD_LENGTH,
            "vocab": vocabulary.ids,
        },
    )
