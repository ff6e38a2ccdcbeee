"""The byte-level BPE of GPT-2, RoBERTa and Bort: `GPT2BPETokenizer` and `Vocab`, between `<s>` and `</s>`.

Merges stand in `tokenizer.json` as "left right", because the pairs that tokenizers 0.20 and later write cannot be read
by those before.

Source: huggingface/tokenizers v0.21.0, tokenizers/src/models/bpe/serialization.rs
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bort_convert.errors import VariantError
from bort_convert.tokenizer.gluon import RANKS, VOCABULARY, read_published, vocabulary_from_json
from bort_convert.tokenizer.kind import Tokenizer
from bort_convert.tokenizer.layout import compact, companions, pipeline, special, template, text
from bort_convert.tokenizer.merges import merges_from_ranks
from bort_convert.tokenizer.roberta import ROLES as EXPECTED
from bort_convert.tokenizer.roberta import read_tokenizer
from bort_convert.tokenizer.source import read_source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bort_convert.tokenizer.kind import Given, Room
    from bort_convert.tokenizer.source import Source
    from bort_convert.tokenizer.tables import Vocabulary

# What transformers calls a role, and whose token fills it.
ROLES: Final = {
    "bos_token": "bos_token",
    "eos_token": "eos_token",
    "cls_token": "bos_token",
    "sep_token": "eos_token",
    "unk_token": "unknown_token",
    "pad_token": "padding_token",
    "mask_token": "mask_token",
}


def make(given: Given, room: Room, *, roberta_pairs: bool = False) -> Tokenizer:
    """A byte-level BPE, from what was given; where a file was not, from the one that GluonNLP keeps on this machine.

    Args:
        given: the files; where `given.roberta_pairs` is set, that holds too.
        room: what the model takes.
        roberta_pairs: put two `</s>` between the texts of a pair, as RoBERTa does, and not one, as Bort does.

    Raises:
        VariantError: `tokenizer` and one of the others are given.
        FormatError: a file cannot be read, or does not fit.
        BackendError: huggingface_hub is needed and missing.
    """
    if given.tokenizer is None:
        vocabulary, merges, sources = _read_gluonnlp(given)
    elif given.vocab is None and given.bpe_ranks is None:
        vocabulary, merges, sources = read_tokenizer(given.tokenizer)
    else:
        raise VariantError("--tokenizer stands for a vocabulary and its merges: pass it, or --vocab and --bpe-ranks")
    vocabulary.check_size(room.size)
    special_tokens = {role: vocabulary.roles[filler] for role, filler in ROLES.items()}
    names = ["input_ids", "attention_mask"]
    files = {
        "tokenizer.json": _pipeline(vocabulary, merges, roberta_pairs=roberta_pairs or given.roberta_pairs),
        **companions(special_tokens, model_max_length=room.max_length, model_input_names=names),
        "vocab.json": compact(vocabulary.ids),
        "merges.txt": "".join(f"{line}\n" for line in ("#version: 0.2", *merges)),
    }
    return Tokenizer(files, {source.path.name: source.sha256 for source in sources})


def _read_gluonnlp(given: Given) -> tuple[Vocabulary, tuple[str, ...], list[Source]]:
    sources = [
        read_published(published) if path is None else read_source(path)
        for path, published in ((given.vocab, VOCABULARY), (given.bpe_ranks, RANKS))
    ]
    vocabulary = vocabulary_from_json(sources[0], tuple(EXPECTED))
    return vocabulary, merges_from_ranks(sources[1], vocabulary), sources


def _pipeline(vocabulary: Vocabulary, merges: Sequence[str], *, roberta_pairs: bool) -> str:
    """The text of tokenizer.json; both texts of a pair have the type 0, because the receiving models have one type."""
    roles = vocabulary.roles
    begin, end = special(roles["bos_token"]), special(roles["eos_token"])
    between = [end, end] if roberta_pairs else [end]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return pipeline(
        vocabulary,
        # A mask stands for a word and for the space before it.
        before_spaces=roles["mask_token"],
        normalizer=None,
        pre_tokenizer=byte_level,
        post_processor=template(vocabulary.ids, [begin, text("A"), end], [begin, text("A"), *between, text("B"), end]),
        decoder=byte_level,
        # GluonNLP has <unk> for each byte that a vocabulary lacks; the published one lacks none.
        model={
            "type": "BPE",
            "unk_token": roles["unknown_token"],
            "fuse_unk": False,
            "vocab": vocabulary.ids,
            "merges": merges,
        },
    )
