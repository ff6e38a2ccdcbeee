"""Write T5's and mT5's tokenizer of GluonNLP 1.0: sentencepiece's ids, `</s>` behind each text, and sentinels.

A hundred sentinels follow the pieces, `<extra_id_99>` first and `<extra_id_0>` last; no text becomes one but by its
name. The table of a T5 has rows for all, and some more. That of mT5 has none for them, and GluonNLP's ids of them lie
outside of it; so there are none here. mT5's own sentinels are pieces of its model.

Source: dmlc/gluon-nlp master at 14553a0c, models/t5.py (T5Tokenizer), models/mt5.py (MT5Tokenizer)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bort_convert.errors import FormatError
from bort_convert.tokenizer.kind import Tokenizer
from bort_convert.tokenizer.sentencepiece_texts import read_option, whole_texts
from bort_convert.tokenizer.tokenizer_json import FILE_NAME, companion_files, special_token, template, text
from bort_convert.tokenizer.vocabulary import make_vocabulary

if TYPE_CHECKING:
    from bort_convert.tokenizer.kind import ModelLimits, TokenizerOptions
    from bort_convert.tokenizer.sentencepiece_model import SentencePieceModel

SENTINELS: Final = tuple(f"<extra_id_{number}>" for number in reversed(range(100)))
# transformers' name of a role -> GluonNLP's.
ROLES: Final = {"eos_token": "eos_token", "unk_token": "unknown_token", "pad_token": "padding_token"}
# T5's word embedding has rows up to a multiple of this.
_ROWS: Final = 128


def make(options: TokenizerOptions, limits: ModelLimits) -> Tokenizer:
    """Make T5's tokenizer, or mT5's.

    Raises:
        FormatError: the file is missing, cannot be read or does not fit, or tokenizer.json has no words for it.
    """
    model = read_option(options)
    sentinels = _sentinels(model, limits.vocab_size)
    roles = {"eos_token": model.eos, "unknown_token": model.unknown, "padding_token": model.padding}
    vocabulary = make_vocabulary(model.file, [*(piece.text for piece in model.pieces), *sentinels], roles, roles)
    eos = special_token(model.eos)
    single = [text("A"), eos]
    files = {
        FILE_NAME: whole_texts(
            model,
            vocabulary,
            never=sentinels,
            special=sentinels,
            post_processor=template(vocabulary.ids, single, [*single, text("B"), eos]),
        ),
        **companion_files(
            {name: roles[role] for name, role in ROLES.items()},
            model_max_length=limits.max_length,
            model_input_names=["input_ids", "attention_mask"],
        ),
    }
    note = f"tokenizer: no <extra_id_N>, for which the model has no rows ({limits.vocab_size:,})"
    notes = () if sentinels else (note,)
    return Tokenizer(files, model.digests, notes, vocabulary.special_token_ids(ROLES))


def _sentinels(model: SentencePieceModel, rows: int) -> tuple[str, ...]:
    """All sentinels if the word embedding has rows for them, else none.

    Raises:
        FormatError: it has fewer rows than there are tokens, or many more.
    """
    pieces = len(model.pieces)
    sentinels = SENTINELS if rows >= pieces + len(SENTINELS) else ()
    tokens = pieces + len(sentinels)
    if not 0 <= rows - tokens < _ROWS:
        raise FormatError(
            f"{model.file.path}: {pieces:,} pieces, and the word embedding has {rows:,} rows; expected as many, or "
            f"{len(SENTINELS)} sentinels more, and at most {_ROWS - 1} to spare. Is it another checkpoint's vocabulary?"
        )
    return sentinels
