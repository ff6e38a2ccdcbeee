"""A tokenizer's vocabulary, checked: tokens by id, special tokens by role.

GluonNLP and the tokenizers library read one alike only where it is sound. What would part them is refused: a token
under two ids, a role that no token fills.

MERGED tokenizer.merges: The merges of a byte-level BPE, checked: by rank, each as "left right".

GluonNLP and the tokenizers library read such tables alike only where the tables are sound. What would part them is
refused: a merge of pieces that the vocabulary lacks, a merge that comes before its pieces.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

from bort_convert.errors import FormatError, printable
from bort_convert.tokenizer.sources import kind_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from bort_convert.tokenizer.sources import Source


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


PAIR: Final = 2


def merges_from_ranks(source: Source, vocabulary: Vocabulary) -> tuple[str, ...]:
    """The merges of a text file with a line `#version`, and one line for each merge; its rank is its place.

    GluonNLP drops what stands before the first and after the last end of line, whatever it is; here, both must be what
    it takes them for.

    Raises:
        FormatError: the file is not of this kind, or is cut short.
    """
    first, *lines = source.text().split("\n")
    if not first.startswith("#version"):
        raise FormatError(f"{source.path}: line 1 is {printable(repr(first))}, expected #version and a number")
    if not lines or lines.pop():
        raise FormatError(f"{source.path}: the last line has no end. Cut short?")
    return merges_of(source, lines, vocabulary)


def merges_of(source: Source, merges: Sequence[object], vocabulary: Vocabulary) -> tuple[str, ...]:
    """Merges by rank, each as "left right".

    A piece of more than one letter must come from an earlier merge. Then a merge can only lead to merges of a higher
    rank, and merging all places of one pair before the next (GluonNLP) gives what merging place by place does
    (tokenizers).

    Raises:
        FormatError: a merge is not of this kind, stands twice, or is about pieces that the vocabulary lacks.
    """
    problems: list[str] = []
    known, made, seen = set(vocabulary.tokens), set(), set()
    for rank, merge in enumerate(merges):
        pieces = merge.split() if isinstance(merge, str) else []
        if len(pieces) != PAIR or " ".join(pieces) != merge:
            problems.append(
                f"merge {rank:,} is {printable(repr(merge))}, expected two pieces with a space between them"
            )
            continue
        joined = "".join(pieces)
        problems += [
            f"merge {rank:,} ({printable(merge)}): the vocabulary lacks {printable(repr(piece))}"
            for piece in (*pieces, joined)
            if piece not in known
        ]
        problems += [
            f"merge {rank:,} ({printable(merge)}): no earlier merge makes {printable(repr(piece))}"
            for piece in pieces
            if len(piece) > 1 and piece not in made
        ]
        if merge in seen:
            problems.append(f"merge {rank:,} ({printable(merge)}) stands there twice")
        made.add(joined)
        seen.add(merge)
    source.refuse(problems)
    return tuple(map(str, merges))
