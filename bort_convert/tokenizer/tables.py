"""A tokenizer's vocabulary, checked: tokens by id, special tokens by role.

GluonNLP and the tokenizers library read one alike only where it is sound. What would part them is refused: a token
under two ids, a role that no token fills.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from bort_convert.errors import FormatError, printable
from bort_convert.tokenizer.source import kind_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from bort_convert.tokenizer.source import Source


@dataclass(frozen=True)
class Vocabulary:
    """A checked vocabulary.

    Attributes:
        source: the file that it stands in.
        tokens: by id.
        roles: special tokens by what GluonNLP calls their roles.
    """

    source: Source
    tokens: tuple[str, ...]
    roles: Mapping[str, str]

    @cached_property
    def ids(self) -> dict[str, int]:
        """The id of each token, in their order."""
        return {token: number for number, token in enumerate(self.tokens)}

    def check_size(self, size: int) -> None:
        """See that there is a token for each row of the embedding.

        Raises:
            FormatError: there are more, or fewer.
        """
        if len(self.tokens) != size:
            raise FormatError(
                f"{self.source.path}: {len(self.tokens):,} tokens, expected {size:,}, the rows of the word embedding. "
                "Is it another checkpoint's vocabulary?"
            )


def vocabulary_of(source: Source, tokens: object, roles: Mapping[str, object], needed: Iterable[str]) -> Vocabulary:
    """A vocabulary from what stands in a file.

    Args:
        source: the file, for messages.
        tokens: expected to be a list of strings.
        roles: what is expected to be one of the tokens.
        needed: the roles that must be filled; any others are left out.

    Raises:
        FormatError: the tokens are no list of distinct strings, or a role is missing.
    """
    if not isinstance(tokens, list):
        raise FormatError(f"{source.path}: the tokens are {kind_of(tokens)}, expected an array of strings")
    source.refuse(list(_token_problems(tokens)))
    known = set(tokens)
    filled = {role: roles.get(role) for role in needed}
    found = {role: token for role, token in filled.items() if isinstance(token, str) and token in known}
    source.refuse(
        [
            f"{role} is {printable(repr(token))}, expected one of the tokens"
            for role, token in filled.items()
            if role not in found
        ]
    )
    return Vocabulary(source, tuple(tokens), found)


def tokens_by_id(source: Source, ids: object) -> list[str | None]:
    """The tokens of an object that gives each its id, in their order.

    Raises:
        FormatError: it is no such object, or has not every number once.
    """
    if not isinstance(ids, dict):
        raise FormatError(f"{source.path}: the vocabulary is {kind_of(ids)}, expected an object of tokens and ids")
    tokens: list[str | None] = [None] * len(ids)
    for token, number in ids.items():
        if type(number) is not int or not 0 <= number < len(tokens) or tokens[number] is not None:
            raise FormatError(
                f"{source.path}: {printable(repr(token))} has the id {printable(repr(number))}, "
                f"expected every number below {len(tokens):,} once"
            )
        tokens[number] = token
    return tokens


def _token_problems(tokens: list[object]) -> Iterator[str]:
    ids: dict[str, int] = {}
    for number, token in enumerate(tokens):
        if not isinstance(token, str):
            yield f"token {number:,} is {kind_of(token)}, expected a string"
        elif any("\ud800" <= letter <= "\udfff" for letter in token):
            yield f"token {number:,} is {printable(ascii(token))}, half a character that no UTF-8 file can hold"
        elif ids.setdefault(token, number) != number:
            yield (
                f"token {number:,} is {printable(repr(token))}, which token {ids[token]:,} is already; "
                "tokenizer.json holds a token under one id"
            )
