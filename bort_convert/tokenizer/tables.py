"""The tables of a byte-level BPE tokenizer, checked: tokens by id, merges by rank, special tokens by role.

GluonNLP and the tokenizers library read such tables alike only where the tables are sound. What would part them is
refused: a token under two ids, a merge of pieces that the vocabulary lacks, a merge that comes before its pieces.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bort_convert.errors import FormatError, printable
from bort_convert.tokenizer.source import kind_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bort_convert.tokenizer.source import Source

PAIR: Final = 2
# As GluonNLP calls them. All must be filled: RoBERTa's vocabulary, which is Bort's, fills these and no others.
ROLES: Final = ("bos_token", "eos_token", "unknown_token", "padding_token", "mask_token")


@dataclass(frozen=True)
class Vocabulary:
    """A checked vocabulary.

    Attributes:
        source: the file that it stands in.
        tokens: by id.
        roles: the token of each of `ROLES`.
    """

    source: Source
    tokens: tuple[str, ...]
    roles: Mapping[str, str]

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


def vocabulary_of(source: Source, tokens: object, roles: Mapping[str, object]) -> Vocabulary:
    """A vocabulary from what stands in a file.

    Args:
        source: the file, for messages.
        tokens: expected to be a list of strings.
        roles: for each of `ROLES`, what is expected to be one of the tokens.

    Raises:
        FormatError: the tokens are no list of distinct strings, or a role is missing.
    """
    if not isinstance(tokens, list):
        raise FormatError(f"{source.path}: the tokens are {kind_of(tokens)}, expected an array of strings")
    source.refuse(list(_token_problems(tokens)))
    known = set(tokens)
    found = {role: token for role, token in roles.items() if isinstance(token, str) and token in known}
    source.refuse(
        [
            f"{role} is {printable(repr(roles.get(role)))}, expected one of the tokens"
            for role in ROLES
            if role not in found
        ]
    )
    return Vocabulary(source, tuple(tokens), found)


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
