"""Write ALBERT's tokenizer of GluonNLP 1.0: a lower-cased text as sentencepiece reads it, with BERT's special tokens.

Accents stay. GluonNLP's vocabulary JSON holds the pieces of the model again, and is not needed.

Source: dmlc/gluon-nlp master at 14553a0c, models/albert.py (get_pretrained_albert) and data/tokenizers/sentencepiece.py
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bort_convert.tokenizer.bert_vocabulary import BertVocabulary, decide_lower_case, stated_lower_case
from bort_convert.tokenizer.kind import Tokenizer
from bort_convert.tokenizer.sentencepiece_model import SPACE
from bort_convert.tokenizer.sentencepiece_texts import read_option, whole_texts
from bort_convert.tokenizer.tokenizer_json import BERT_ROLES, FILE_NAME, bert_companion_files, bert_post_processor
from bort_convert.tokenizer.vocabulary import make_vocabulary

if TYPE_CHECKING:
    from bort_convert.tokenizer.kind import ModelLimits, TokenizerOptions

_SPECIAL_TOKENS: Final = {"cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}


def make(options: TokenizerOptions, limits: ModelLimits) -> Tokenizer:
    """Make ALBERT's tokenizer.

    Raises:
        FormatError: the file is missing, cannot be read or does not fit, or tokenizer.json has no words for it.
        VariantError: the model does not tell whether text is lower-cased.
    """
    model = read_option(options)
    roles = {**_SPECIAL_TOKENS, "unknown_token": model.unknown, "padding_token": model.padding}
    vocabulary = make_vocabulary(model.file, [piece.text for piece in model.pieces], roles, roles)
    vocabulary.check_size(limits.vocab_size)
    bert = BertVocabulary(vocabulary, (model.file,), stated_lower_case(model.file))
    lower_case, note = decide_lower_case(
        bert, requested=options.lower_case, published=options.published, prefix=SPACE, keeps_accents=True
    )
    files = {
        FILE_NAME: whole_texts(
            model,
            vocabulary,
            before=[{"type": "Lowercase"}] if lower_case else [],
            post_processor=bert_post_processor(vocabulary, limits),
        ),
        **bert_companion_files(vocabulary, limits, lower_case=lower_case, keeps_accents=True),
    }
    return Tokenizer(files, model.digests, (note,), vocabulary.special_token_ids(BERT_ROLES))
