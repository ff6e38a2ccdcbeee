"""Write XLNet's tokenizer: `XLNetTokenizer` of GluonNLP's scripts, and the layout of its fine-tuning scripts.

GluonNLP drops accents and spaces around words, and then has sentencepiece read the text. The special tokens stand
behind a text: A <sep> <cls>, and A <sep> B <sep> <cls>.

A piece such as `1,` is cut again by GluonNLP: into the pieces of `1`, and a comma. No tokenizer.json can say that, so
here no text becomes such a piece, and nearly always the best of the others are those that GluonNLP has.

Source: dmlc/gluon-nlp v0.10.0, scripts/language_model/transformer/data.py (XLNetTokenizer) and model.py
(_get_xlnet_tokenizer), run_glue.py and conversion_utils/convert_xlnet.py
"""

from __future__ import annotations

import sys
import unicodedata
from typing import TYPE_CHECKING, Any, Final

from bort_convert.tokenizer.character_rules import regex_class
from bort_convert.tokenizer.gluon_files import PublishedFile
from bort_convert.tokenizer.kind import Tokenizer
from bort_convert.tokenizer.sentencepiece_model import NORMAL
from bort_convert.tokenizer.sentencepiece_texts import read_option, whole_texts
from bort_convert.tokenizer.tokenizer_json import FILE_NAME, companion_files, special_token, template, text
from bort_convert.tokenizer.vocabulary import make_vocabulary
from bort_convert.zoo.vocabularies import OF_0_X

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bort_convert.tokenizer.kind import ModelLimits, TokenizerOptions
    from bort_convert.tokenizer.vocabulary import Vocabulary

PUBLISHED: Final = PublishedFile(OF_0_X["126gb"].file, OF_0_X["126gb"].sha1, "vocab")
SPECIAL_TOKENS: Final = {
    "unknown_token": "<unk>",
    "bos_token": "<s>",
    "eos_token": "</s>",
    "cls_token": "<cls>",
    "sep_token": "<sep>",
    "padding_token": "<pad>",
    "mask_token": "<mask>",
}
# transformers' name of a role -> GluonNLP's.
ROLES: Final = {
    **{name: name for name in SPECIAL_TOKENS if name not in {"unknown_token", "padding_token"}},
    "unk_token": "unknown_token",
    "pad_token": "padding_token",
}
# Spaces according to Python, which cuts words at them.
_SPACES: Final = r"\t-\r\x{1C}-\x{20}\x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}"


def make(options: TokenizerOptions, limits: ModelLimits) -> Tokenizer:
    """Make XLNet's tokenizer.

    Raises:
        FormatError: the file is missing, cannot be read or does not fit, or tokenizer.json has no words for it.
    """
    model = read_option(options, PUBLISHED)
    roles = {**SPECIAL_TOKENS, "unknown_token": model.unknown}
    vocabulary = make_vocabulary(model.file, [piece.text for piece in model.pieces], roles, roles)
    vocabulary.check_size(limits.vocab_size)
    cut = {piece.text for piece in model.pieces if piece.type == NORMAL and _ends_in_number_and_comma(piece.text)}
    lower_case = bool(options.lower_case)
    files = {
        FILE_NAME: whole_texts(
            model,
            vocabulary,
            before=list(_before(lower_case=lower_case)),
            never=cut,
            post_processor=_post_processor(vocabulary),
        ),
        **companion_files(
            {name: roles[role] for name, role in ROLES.items()},
            model_max_length=limits.max_length,
            model_input_names=["input_ids", "token_type_ids", "attention_mask"],
            padding_side="left",
            do_lower_case=lower_case,
        ),
    }
    notes = (f"tokenizer: {len(cut):,} pieces end in a digit and a comma; GluonNLP cuts them, and here none is used",)
    return Tokenizer(files, model.digests, notes if cut else (), vocabulary.special_token_ids(ROLES))


def _ends_in_number_and_comma(piece: str) -> bool:
    return len(piece) > 1 and piece.endswith(",") and piece[-2].isdigit()


def _before(*, lower_case: bool) -> Iterator[dict[str, Any]]:
    """Normalizers for what GluonNLP does to a text before sentencepiece gets it."""
    marks = regex_class(filter(unicodedata.combining, map(chr, range(sys.maxunicode + 1))))
    for pattern, content in (
        ({"Regex": f"[{_SPACES}]+"}, " "),
        ({"Regex": r"\A | \z"}, ""),
        ({"String": "``"}, '"'),
        ({"String": "''"}, '"'),
    ):
        yield {"type": "Replace", "pattern": pattern, "content": content}
    yield {"type": "NFKD"}
    yield {"type": "Replace", "pattern": {"Regex": f"[{marks}]"}, "content": ""}
    if lower_case:
        yield {"type": "Lowercase"}


def _post_processor(vocabulary: Vocabulary) -> dict[str, Any]:
    """XLNet's template: A <sep> <cls>, or A <sep> B <sep> <cls>, of types 0, 1 and 2."""
    sep, cls = vocabulary.roles["sep_token"], special_token(vocabulary.roles["cls_token"], 2)
    first, second = [text("A"), special_token(sep)], [text("B", 1), special_token(sep, 1)]
    return template(vocabulary.ids, [*first, cls], [*first, *second, cls])
