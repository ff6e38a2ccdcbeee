"""Check the tables of a tokenizer: tokens by id, special tokens by role, merges by rank.

GluonNLP and the tokenizers library read sound tables alike. Faulty tables, which the two may read differently, are
refused: a token with two ids, a role without a token, a merge of unknown tokens or one that comes too early.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from bort_convert.errors import FormatError, printable
from bort_convert.tokenizer.sources import json_type

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from bort_convert.tokenizer.sources import TokenizerFile


@dataclass(frozen=True)
class Vocabulary:
    """A checked vocabulary.

    Attributes:
        file: the file that holds it.
        tokens: by id.
        roles: special tokens by GluonNLP's names of their roles, such as "padding_token".
    """

    file: TokenizerFile
    tokens: tuple[str, ...]
    roles: Mapping[str, str]

    @cached_property
    def ids(self) -> dict[str, int]:
        """Token -> id, in the order of the ids."""
        return {token: number for number, token in enumerate(self.tokens)}

    def special_token_ids(self, roles: Mapping[str, str]) -> dict[str, int]:
        """Ids of the special tokens by the keys of a target config, such as "pad_token_id".

        Args:
            roles: transformers' name of a role, such as "pad_token" -> GluonNLP's name.
        """
        return {f"{name}_id": self.ids[self.roles[role]] for name, role in roles.items()}

    def check_size(self, size: int) -> None:
        """Check that there is one token for each row of the word embedding.

        Raises:
            FormatError: there are more or fewer tokens.
        """
        if len(self.tokens) != size:
            raise FormatError(
                f"{self.file.path}: {len(self.tokens):,} tokens, expected {size:,}, the rows of the word embedding. "
                "Is it another checkpoint's vocabulary?"
            )


def make_vocabulary(
    file: TokenizerFile, tokens: object, roles: Mapping[str, object], needed: Iterable[str]
) -> Vocabulary:
    """Check tokens and roles, and make a vocabulary of them.

    Args:
        file: the file, for messages.
        tokens: should be a list of strings.
        roles: role -> should be one of the tokens.
        needed: the roles that must have a token; others are dropped.

    Raises:
        FormatError: the tokens are no list of distinct strings, or a needed role has no token.
    """
    if not isinstance(tokens, list):
        raise FormatError(f"{file.path}: the tokens are {json_type(tokens)}, expected an array of strings")
    file.raise_for(list(_token_problems(tokens)))
    known = set(tokens)
    candidates = {role: roles.get(role) for role in needed}
    filled = {role: token for role, token in candidates.items() if isinstance(token, str) and token in known}
    file.raise_for(
        [
            f"{role} is {printable(repr(token))}, expected one of the tokens"
            for role, token in candidates.items()
            if role not in filled
        ]
    )
    return Vocabulary(file, tuple(tokens), filled)


def tokens_by_id(file: TokenizerFile, ids: object) -> list[str | None]:
    """Sort the tokens of a JSON object of tokens and ids by their ids.

    Raises:
        FormatError: `ids` is no such object, or lacks a number below its length.
    """
    if not isinstance(ids, dict):
        raise FormatError(f"{file.path}: the vocabulary is {json_type(ids)}, expected an object of tokens and ids")
    tokens: list[str | None] = [None] * len(ids)
    for token, number in ids.items():
        if type(number) is not int or not 0 <= number < len(tokens) or tokens[number] is not None:
            raise FormatError(
                f"{file.path}: {printable(repr(token))} has the id {printable(repr(number))}, "
                f"expected every number below {len(tokens):,} once"
            )
        tokens[number] = token
    return tokens


def read_merges(file: TokenizerFile, vocabulary: Vocabulary) -> tuple[str, ...]:
    """Read a text file of merges: a line `#version`, then one merge a line, in the order of their ranks.

    GluonNLP drops the text before the first end of line and after the last, whatever it is; here the text must be the
    version and nothing.

    Raises:
        FormatError: the file holds something else, or is cut short.
    """
    first, *lines = file.text().split("\n")
    if not first.startswith("#version"):
        raise FormatError(f"{file.path}: line 1 is {printable(repr(first))}, expected #version and a number")
    if not lines or lines.pop():
        raise FormatError(f"{file.path}: the last line has no end. Cut short?")
    return check_merges(file, lines, vocabulary)


def check_merges(file: TokenizerFile, merges: Sequence[object], vocabulary: Vocabulary) -> tuple[str, ...]:
    """Check merges by rank, each in the form "left right".

    A side of more than one character must be the result of an earlier merge. A merge then enables merges of a higher
    rank only, and merging all occurrences of a pair before the next pair (GluonNLP) gives the same tokens as merging
    occurrence by occurrence (tokenizers).

    Raises:
        FormatError: a merge has another form, occurs twice, or names a token that the vocabulary lacks.
    """
    problems: list[str] = []
    known, results, seen = set(vocabulary.tokens), set(), set()
    for rank, merge in enumerate(merges):
        left, _, right = merge.partition(" ") if isinstance(merge, str) else ("", "", "")
        if not isinstance(merge, str) or merge.split() != [left, right]:
            problems.append(
                f"merge {rank:,} is {printable(repr(merge))}, expected two tokens with a space between them"
            )
            continue
        named = f"merge {rank:,} ({printable(merge)})"
        problems += [
            f"{named}: the vocabulary lacks {printable(repr(token))}"
            for token in (left, right, left + right)
            if token not in known
        ]
        problems += [
            f"{named}: no earlier merge makes {printable(repr(side))}"
            for side in (left, right)
            if len(side) > 1 and side not in results
        ]
        if merge in seen:
            problems.append(f"{named}: occurs twice")
        results.add(left + right)
        seen.add(merge)
    file.raise_for(problems)
    return tuple(map(str, merges))


def _token_problems(tokens: list[object]) -> Iterator[str]:
    ids: dict[str, int] = {}
    for number, token in enumerate(tokens):
        if not isinstance(token, str):
            yield f"token {number:,} is {json_type(token)}, expected a string"
        elif any("\ud800" <= character <= "\udfff" for character in token):
            yield f"token {number:,} is {printable(ascii(token))}, half a character that no UTF-8 file can hold"
        elif ids.setdefault(token, number) != number:
            yield (
                f"token {number:,} is {printable(repr(token))}, the same as token {ids[token]:,}; "
                "tokenizer.json holds a token under one id"
            )
