"""Whether a WordPiece lower-cases text: what was said, what a tokenizer's files say, or what its tokens prove."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bort_convert.errors import VariantError, printable
from bort_convert.tokenizer.bert import PREFIX

if TYPE_CHECKING:
    from bort_convert.tokenizer.bert import Pieces
    from bort_convert.tokenizer.tables import Vocabulary

_OPTIONS: Final = "Pass --lower-case or --cased"
_MEANING: Final = {
    True: "letters are lower-cased and lose their accents",
    False: "capital letters and accents are kept",
}


def casing(pieces: Pieces, *, asked: bool | None, prefix: str = PREFIX) -> tuple[bool, str]:
    """Whether text is lower-cased and loses its accents, as GluonNLP's `lower` has it; and why, for a person.

    Args:
        pieces: the vocabulary, and what was said beside it.
        asked: what the user said.
        prefix: what a piece has before its letters that is no letter.

    Raises:
        VariantError: two files disagree, or there is nothing to tell by.
    """
    said = pieces.said
    if asked is not None:
        lower, why = asked, "as you said"
    elif len(set(said.values())) > 1:
        names = " and ".join(said)
        raise VariantError(f"{names} disagree on whether letters are lower-cased. {_OPTIONS}")
    elif said:
        lower, why = next(iter(said.values())), f"by {' and '.join(said)}"
    else:
        lower, why = _proved(pieces.vocabulary, prefix)
    return lower, f"tokenizer: {_MEANING[lower]}; {why}"


def _proved(vocabulary: Vocabulary, prefix: str) -> tuple[bool, str]:
    """What the tokens prove: text that was lower-cased never meets one with a capital letter.

    Special tokens prove nothing, nor does any other that is no word: `[unused1]` is never met.
    """
    name, roles = printable(vocabulary.source.path.name), set(vocabulary.roles.values())
    words = [token for token in vocabulary.tokens if token not in roles and token.removeprefix(prefix).isalnum()]
    capital = next((word for word in words if word != word.lower()), None)
    if capital is not None:
        return False, f"{printable(repr(capital))} in {name} has a capital letter"
    if any(word != word.upper() for word in words):
        return True, f"no word in {name} has a capital letter"
    raise VariantError(
        f"{name}: no word in it has a letter that can be a capital, so whether letters are lower-cased cannot be told. "
        f"{_OPTIONS}"
    )
