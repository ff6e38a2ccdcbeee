"""Write the tokenizer of a GPT-2 with a SentencePiece model, such as KoGPT2: `SentencepieceTokenizer` and `BERTVocab`.

Nothing is put around a text. The model names the pieces that begin and end one, and that for padding, if it has them.

Source: gluonnlp 0.8.3, data/transforms.py (SentencepieceTokenizer, SentencepieceDetokenizer) and vocab/bert.py
(BERTVocab.from_sentencepiece); SKT-AI/KoGPT2, kogpt2/mxnet_kogpt2.py
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bort_convert.tokenizer.kind import Tokenizer
from bort_convert.tokenizer.sentencepiece_model import read_model
from bort_convert.tokenizer.sentencepiece_texts import whole_texts
from bort_convert.tokenizer.tokenizer_json import FILE_NAME, companion_files
from bort_convert.tokenizer.vocabulary import make_vocabulary

if TYPE_CHECKING:
    from bort_convert.tokenizer.kind import ModelLimits
    from bort_convert.tokenizer.sources import TokenizerFile

# transformers' name of a role -> GluonNLP's.
ROLES: Final = {
    "bos_token": "bos_token",
    "eos_token": "eos_token",
    "unk_token": "unknown_token",
    "pad_token": "padding_token",
}


def make(file: TokenizerFile, limits: ModelLimits) -> Tokenizer:
    """Make the tokenizer.

    Args:
        file: the SentencePiece model.
        limits: those of the GPT-2.

    Raises:
        FormatError: the file cannot be read or does not fit, or tokenizer.json has no words for it.
    """
    model = read_model(file)
    named = {"bos_token": model.bos, "eos_token": model.eos, "padding_token": model.padding}
    roles = {"unknown_token": model.unknown, **{role: text for role, text in named.items() if model.has_control(text)}}
    vocabulary = make_vocabulary(file, [piece.text for piece in model.pieces], roles, roles)
    vocabulary.check_size(limits.vocab_size)
    present = {name: role for name, role in ROLES.items() if role in roles}
    files = {
        FILE_NAME: whole_texts(model, vocabulary),
        **companion_files(
            {name: roles[role] for name, role in present.items()},
            model_max_length=limits.max_length,
            model_input_names=["input_ids", "attention_mask"],
        ),
    }
    return Tokenizer(files, model.digests, special_token_ids=vocabulary.special_token_ids(present))
