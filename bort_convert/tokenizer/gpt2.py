"""Write GPT-2's byte-level BPE: `GPT2BPETokenizer` and `Vocab`, with no special tokens around a text.

The one special token ends a text and begins one. There is no unknown token, and no text needs one: a vocabulary that
lacks a token for one of the 256 bytes is refused.

Source: gluonnlp 0.8.3, data/transforms.py (GPT2BPETokenizer), data/utils.py (_vocab_sha1); dmlc/gluon-nlp,
scripts/text_generation/conversion_tools/convert_tf_model.py; transformers 5.23, models/gpt2/tokenization_gpt2.py
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bort_convert.errors import OptionError, printable
from bort_convert.tokenizer import sentencepiece_gpt2
from bort_convert.tokenizer.byte_level import BYTE_LEVEL, read_tables
from bort_convert.tokenizer.gluon_files import RANKS, PublishedFile
from bort_convert.tokenizer.kind import Tokenizer
from bort_convert.tokenizer.sentencepiece_model import is_model
from bort_convert.tokenizer.sources import read_file
from bort_convert.tokenizer.tokenizer_json import FILE_NAME, companion_files, tokenizer_text
from bort_convert.zoo.vocabularies import OF_0_X

if TYPE_CHECKING:
    from bort_convert.tokenizer.kind import ModelLimits, TokenizerOptions

VOCABULARY: Final = PublishedFile(OF_0_X["openai_webtext"].file, OF_0_X["openai_webtext"].sha1, "vocab")
SPECIAL_TOKENS: Final = {"eos_token": "<|endoftext|>"}
# transformers' name of a role -> GluonNLP's name of the role whose token fills it.
ROLES: Final = dict.fromkeys(("bos_token", "eos_token", "unk_token"), "eos_token")
# A printable character other than a space stands for its own byte; characters from 256 on stand for the other bytes.
_PRINTABLE: Final = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
BYTE_CHARACTERS: Final = tuple(map(chr, (*_PRINTABLE, *range(256, 512 - len(_PRINTABLE)))))


def make(options: TokenizerOptions, limits: ModelLimits) -> Tokenizer:
    """Make GPT-2's tokenizer, or a SentencePiece one if `vocab` is a SentencePiece model.

    Raises:
        OptionError: `tokenizer` is specified together with `vocab` or `bpe_ranks`, or `bpe_ranks` together with a
            SentencePiece model.
        FormatError: a file is missing, cannot be read or does not fit.
        BackendError: huggingface_hub is needed and missing.
    """
    if options.vocab is not None and options.tokenizer is None and is_model(file := read_file(options.vocab)):
        if options.bpe_ranks is not None:
            raise OptionError(
                "bpe_ranks", options.bpe_ranks, f"{file.path} is a SentencePiece model, which has its own. Leave it out"
            )
        return sentencepiece_gpt2.make(file, limits)
    tables = read_tables(options, (VOCABULARY, RANKS), SPECIAL_TOKENS)
    vocabulary = tables.vocabulary
    vocabulary.check_size(limits.vocab_size)
    vocabulary.file.raise_for(
        [
            f"no token is {printable(repr(character))}, which stands for a byte, and GPT-2 has no unknown token"
            for character in BYTE_CHARACTERS
            if character not in vocabulary.ids
        ]
    )
    special_tokens = {name: vocabulary.roles[role] for name, role in ROLES.items()}
    inputs = ["input_ids", "attention_mask"]
    files = {
        FILE_NAME: tokenizer_text(
            vocabulary,
            normalizer=None,
            pre_tokenizer=BYTE_LEVEL,
            post_processor=None,
            decoder=BYTE_LEVEL,
            model=tables.model(None),
        ),
        **companion_files(special_tokens, model_max_length=limits.max_length, model_input_names=inputs),
        **tables.files,
    }
    return Tokenizer(files, tables.digests, special_token_ids=vocabulary.special_token_ids(ROLES))
