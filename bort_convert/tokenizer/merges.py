"""The merges of a byte-level BPE, checked: by rank, each as "left right".

GluonNLP and the tokenizers library read such tables alike only where the tables are sound. What would part them is
refused: a merge of pieces that the vocabulary lacks, a merge that comes before its pieces.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bort_convert.errors import FormatError, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bort_convert.tokenizer.source import Source
    from bort_convert.tokenizer.tables import Vocabulary

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
