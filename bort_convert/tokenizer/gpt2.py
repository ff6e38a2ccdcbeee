"""GPT-2's byte-level BPE: `GPT2BPETokenizer` and `Vocab`, with nothing around a text.

Its one special token ends a text and begins one. There is none for what is unknown, and no text needs it: each of the
256 bytes has a token, or the vocabulary is refused.

Source: gluonnlp 0.8.3, data/transforms.py (GPT2BPETokenizer), data/utils.py (_vocab_sha1); dmlc/gluon-nlp,
scripts/text_generation/conversion_tools/convert_tf_model.py; transformers 5.23, models/gpt2/tokenization_gpt2.py
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bort_convert.errors import printable
from bort_convert.tokenizer.byte_level import SPLITTER, read_tables
from bort_convert.tokenizer.gluon_files import RANKS, Published
from bort_convert.tokenizer.kind import Tokenizer
from bort_convert.tokenizer.tokenizer_json import companions, pipeline

if TYPE_CHECKING:
    from bort_convert.tokenizer.kind import ModelLimits, TokenizerOptions

VOCABULARY: Final = Published("openai_webtext-f917dc78.vocab", "f917dc7887ce996068b0a248c8d89a7ec27b95a1", "--vocab")
EXPECTED: Final = {"eos_token": "<|endoftext|>"}
# The letter of a byte is its own where it is printable and no space; the others have letters from 256 on, in order.
_PRINTABLE: Final = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
LETTERS: Final = tuple(map(chr, (*_PRINTABLE, *range(256, 512 - len(_PRINTABLE)))))


def make(given: TokenizerOptions, room: ModelLimits) -> Tokenizer:
    """GPT-2's tokenizer, from what was given; where a file was not, from the one that GluonNLP keeps on this machine.

    Raises:
        VariantError: `tokenizer` and one of the others are given.
        FormatError: a file cannot be read, or does not fit.
        BackendError: huggingface_hub is needed and missing.
    """
    tables = read_tables(given, (VOCABULARY, RANKS), EXPECTED)
    vocabulary = tables.vocabulary
    vocabulary.check_size(room.size)
    vocabulary.source.refuse(
        [
            f"no token is {printable(repr(letter))}, which stands for a byte, and GPT-2 has no unknown token"
            for letter in LETTERS
            if letter not in vocabulary.ids
        ]
    )
    special_tokens = dict.fromkeys(("bos_token", "eos_token", "unk_token"), vocabulary.roles["eos_token"])
    names = ["input_ids", "attention_mask"]
    files = {
        "tokenizer.json": pipeline(
            vocabulary,
            normalizer=None,
            pre_tokenizer=SPLITTER,
            post_processor=None,
            decoder=SPLITTER,
            model=tables.model(None),
        ),
        **companions(special_tokens, model_max_length=room.max_length, model_input_names=names),
        **tables.files,
    }
    return Tokenizer(files, tables.digests)
