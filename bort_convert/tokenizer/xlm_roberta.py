"""Write XLM-R's tokenizer of GluonNLP 1.0: sentencepiece's ids between `<s>` and `</s>`, two `</s>` in a pair.

GluonNLP rewrote the model: `<s>`, `<pad>`, `</s>`, `<unk>` come first and `<mask>` last, so that a piece has its number
as its id. The model that fairseq published, and transformers' own files, have others.

Source: dmlc/gluon-nlp master at 14553a0c, models/xlmr.py (get_pretrained_xlmr), data/tokenizers/sentencepiece.py and
scripts/conversion_toolkits/convert_fairseq_xlmr.py (convert_vocab)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bort_convert.tokenizer.kind import Tokenizer
from bort_convert.tokenizer.roberta import ROLES, pairs
from bort_convert.tokenizer.sentencepiece_texts import read_option, whole_texts
from bort_convert.tokenizer.tokenizer_json import FILE_NAME, companion_files
from bort_convert.tokenizer.vocabulary import make_vocabulary

if TYPE_CHECKING:
    from bort_convert.tokenizer.kind import ModelLimits, TokenizerOptions


def make(options: TokenizerOptions, limits: ModelLimits) -> Tokenizer:
    """Make XLM-R's tokenizer.

    Raises:
        FormatError: the file is missing, cannot be read or does not fit, or tokenizer.json has no words for it.
    """
    model = read_option(options)
    roles = {
        "bos_token": model.bos,
        "eos_token": model.eos,
        "unknown_token": model.unknown,
        "padding_token": model.padding,
        "mask_token": "<mask>",
    }
    vocabulary = make_vocabulary(model.file, [piece.text for piece in model.pieces], roles, roles)
    vocabulary.check_size(limits.vocab_size)
    files = {
        FILE_NAME: whole_texts(model, vocabulary, post_processor=pairs(vocabulary, roberta_pairs=True)),
        **companion_files(
            {name: roles[role] for name, role in ROLES.items()},
            model_max_length=limits.max_length,
            model_input_names=["input_ids", "attention_mask"],
        ),
    }
    return Tokenizer(files, model.digests, special_token_ids=vocabulary.special_token_ids(ROLES))
