"""Make texts that are similar to a text, neither too similar nor too different: the generating function tau.

A made text that is equal to one of the training, dev or test set, but for case and spaces, is thrown away, and so is
one that shares too many or too few words with its parent. Everything random comes from the seed of the call.
"""

from __future__ import annotations

import importlib
import random
import re
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from bort_convert.agora.datasets import folded
from bort_convert.agora.values import Made
from bort_convert.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bort_convert.agora.values import Tau, Text

NEAREST, FARTHEST = 0.95, 0.5
"""Bounds of the overlap of a made text with its parent; see `overlap`."""
TRIES: Final = 5
"""Attempts for a point before it is skipped."""
DROPPED: Final = 0.1
"""Probability with which `drop` takes a word away."""
NAMES: Final = ("mask", "drop", "swap", "none")
WORDS_PER_SWAP: Final = 20
"""`swap` exchanges one pair of neighbours, and one more for each so many words, or a long text would hardly change."""
_WORD: Final = re.compile(r"\w+|[^\w\s]")
_CALLABLE: Final = re.compile(r"[\w.]+:[\w.]+")


def drop(text: str, chance: random.Random) -> str:
    """Take each word away with a probability of `DROPPED`."""
    return " ".join(word for word in text.split() if chance.random() >= DROPPED)


def swap(text: str, chance: random.Random) -> str:
    """Exchange neighbours among the words, a pair in `WORDS_PER_SWAP`; a text of one word stays."""
    words = text.split()
    for _ in range(1 + len(words) // WORDS_PER_SWAP if len(words) > 1 else 0):
        place = chance.randrange(len(words) - 1)
        words[place : place + 2] = reversed(words[place : place + 2])
    return " ".join(words)


def overlap(text: str, other: str) -> float:
    """Share of words and of pairs of neighbouring words that two texts have in common, in 0 to 1.

    With B the bag of all words and pairs, punctuation marks counted as words: 2 |B & B'| / (|B| + |B'|). So a text in
    which two words were exchanged is not the same, though its words are.
    """
    one, two = _bag(text), _bag(other)
    total = one.total() + two.total()
    return 2 * (one & two).total() / total if total else 1.0


class Generator:
    """Makes points from dev rows.

    Args:
        taus: names of `NAMES` or "module:function", with commas between; or callables. They are used in turn.
        candidate: directory of the masked language model, for "mask".
        forbidden: texts that may not be made.
        copies: points from each parent.

    Raises:
        OptionError: there is no such tau, or the candidate has no masked-language-model head.
    """

    def __init__(
        self, taus: str | Sequence[Tau], candidate: str, forbidden: Iterable[Text], *, copies: int = 2
    ) -> None:
        named = [(name.strip(), name.strip()) for name in taus.split(",")] if isinstance(taus, str) else []
        given = [] if isinstance(taus, str) else [(getattr(tau, "__name__", type(tau).__name__), tau) for tau in taus]
        self._taus = [(name, find_tau(tau, candidate) if isinstance(tau, str) else tau) for name, tau in named or given]
        self._forbidden = frozenset(map(folded, forbidden))
        self._copies = copies

    def make(self, parents: Sequence[tuple[int, Text]], seed: str, known: Iterable[Text] = ()) -> Made:
        """Make `copies` points from each parent, a row of the dev set and its text.

        With the tau "none" nothing is made. The same seed gives the same points; none is made twice in a call, and none
        of those that are `known` from earlier calls.
        """
        taus = [(name, tau) for name, tau in self._taus if tau is not None]
        made: list[tuple[Text, int, str]] = []
        seen = {*self._forbidden, *map(folded, known)}
        skipped = 0
        for row, parent in parents if taus else ():
            for copy in range(self._copies):
                chance = random.Random(f"{seed}-{row}-{copy}")  # noqa: S311 - no secret
                name, tau = taus[copy % len(taus)]
                text = _new_text(tau, parent, chance, seen)
                if text is None:
                    skipped += 1
                else:
                    seen.add(folded(text))
                    made.append((text, row, name))
        return Made(tuple(made), skipped)


def find_tau(name: str, candidate: str) -> Tau | None:
    """The function that a name stands for; None for "none".

    Raises:
        OptionError: there is none.
    """
    if name == "none":
        return None
    if name == "mask":
        from bort_convert.agora.masking import Masking  # noqa: PLC0415 - imports torch

        return Masking(candidate)
    if name in NAMES:
        return {"drop": drop, "swap": swap}[name]
    return imported(name, "tau", f'expected {", ".join(NAMES)} or "module:function"')


def imported(name: str, option: str, expected: str) -> Tau:
    """The callable that "module:function" names.

    Raises:
        OptionError: the name has another form, or there is no such module or callable.
    """
    if not _CALLABLE.fullmatch(name):
        raise OptionError(option, name, expected)
    module, _, function = name.partition(":")
    try:
        found: object = importlib.import_module(module)
        for part in function.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise OptionError(option, name, f"cannot be imported: {error}") from error
    if not callable(found):
        raise OptionError(option, name, f"is {type(found).__name__}, expected a function")
    return found


def _bag(text: str) -> Counter[tuple[str, ...]]:
    words = _WORD.findall(text.casefold())
    return Counter([*((word,) for word in words), *pairwise(words)])


def _new_text(tau: Tau, parent: Text, chance: random.Random, seen: set[str]) -> Text | None:
    """A text like the parent that may be used; None if no attempt gives one. Of a pair one side is changed."""
    for _ in range(TRIES):
        side = None if isinstance(parent, str) else chance.randrange(2)
        old = parent if isinstance(parent, str) else parent[side or 0]
        new = tau(old, chance)
        text: Text = new
        if not isinstance(parent, str):
            text = (new, parent[1]) if side == 0 else (parent[0], new)
        if new.strip() and FARTHEST <= overlap(old, new) <= NEAREST and folded(text) not in seen:
            return text
    return None
