"""Write the normalization rules of a SentencePiece model as normalizers of the tokenizers library, exactly.

A rule replaces a character, or a few in a row; sentencepiece applies the longest that matches. The library applies the
rules of single characters, but those of several only to characters that it takes for one and that are short, and then
the shortest. So marks are first kept apart from their letters, each character is replaced alone, and NFC composes what
a rule composes. A noncharacter stands where NFC would compose or reorder and no rule does.

The rules that come with sentencepiece allow it: no character both begins a rule and continues one, what begins a longer
rule is a rule or a single character, and NFC of the single replacements is what the rule writes. Rules of one's own may
not, and are refused then.

Source: google/sentencepiece v0.2.0, src/normalizer.cc and builder.cc; huggingface/tokenizers v0.23.3,
tokenizers/src/normalizers/precompiled.rs; s-yata/darts-clone, include/darts.h (the bits of a unit)
"""

from __future__ import annotations

import base64
import sys
import unicodedata
from array import array
from collections import defaultdict
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from bort_convert.errors import FormatError, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from bort_convert.tokenizer.sentencepiece_model import SentencePieceModel

# Noncharacters, which no text should hold: one that keeps NFC away, and one that does not.
APART: Final = "\ufdd0"
TOGETHER: Final = "\ufdd1"
# Characters that others are taken together with in the library, besides marks: joiners, vowels of Thai and Lao.
_EXTENDING: Final = r"\p{M}\p{Cf}\x{E33}\x{EB3}"
# Bytes of the longest text that a rule replaces; sentencepiece's own have 16 at most.
_LONGEST: Final = 64
_IS_VALUE, _HAS_VALUE, _LABEL = 1 << 31, 1 << 8, (1 << 31) | 0xFF


@lru_cache(maxsize=4)
def rules_of(table: bytes) -> Mapping[str, str]:
    """Read a table: each text that is replaced -> its replacement.

    Args:
        table: 4 bytes with the size of a trie, a double array of 4-byte units, and texts that each end in a null byte.

    Raises:
        ValueError: the trie is damaged: it names a place outside of it, or one that is its own child.
    """
    size = int.from_bytes(table[:4], "little")
    units, texts = array("I"), table[4 + size :]
    units.frombytes(table[4 : 4 + size])
    if sys.byteorder == "big":
        units.byteswap()
    children = defaultdict(list)
    for number, unit in enumerate(units):
        if not unit & _IS_VALUE and unit & 0xFF:
            children[number ^ (unit & 0xFF)].append((unit & 0xFF, number))
    found, stack = {}, [(_child_base(0, units[0]), b"")]
    while stack:
        place, key = stack.pop()
        if len(key) > _LONGEST:
            raise ValueError("a rule has no end")
        for label, number in children[place]:
            text, base = key + bytes((label,)), _child_base(number, units[number])
            if units[number] & _HAS_VALUE:
                start = units[base] & ~_IS_VALUE if base < len(units) else len(texts)
                end = texts.find(b"\0", start)
                if end < 0:
                    raise ValueError("a replacement has no end")
                found[text.decode("utf-8")] = texts[start:end].decode("utf-8")
            stack.append((base, text))
    return found


def apply_rules(rules: Mapping[str, str], text: str) -> str:
    """Normalize a short text as sentencepiece does: by the longest rule that matches, again and again."""
    parts, position = [], 0
    while position < len(text):
        for length in range(len(text) - position, 0, -1):
            if (part := rules.get(text[position : position + length])) is not None:
                break
        else:
            length, part = 1, text[position]
        parts.append(part)
        position += length
    return "".join(parts)


def normalizers(model: SentencePieceModel, *, exact: bool = True) -> list[dict[str, Any]]:
    """Normalizers that replace what the rules of a model replace; none for a model without rules.

    Args:
        model: the model.
        exact: False to take rules too that the library's normalizers do otherwise: some of those that fold capital
            letters, for Greek and letters in circles with marks.

    Raises:
        FormatError: the table is damaged, or has rules that the library's normalizers cannot do.
    """
    if not model.table:
        return []
    try:
        steps, problems = _normalizers(model.table)
    except ValueError as error:
        raise FormatError(f"{model.file.path}: normalizer_spec: the table is damaged: {error}") from error
    if exact:
        model.file.raise_for(problems)
    return [*steps]


@lru_cache(maxsize=4)
def _normalizers(table: bytes) -> tuple[list[dict[str, Any]], list[str]]:
    """Normalizers for a table, and the rules that they do otherwise."""
    rules = rules_of(table)
    longer = [text for text in rules if len(text) > 1]
    extending = _extending(rules, longer)
    steps = [
        _replace({"Regex": rf"(?!\A)(?<!{APART})(?=[{extending}\n])"}, TOGETHER),
        {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(table).decode("ascii")},
        _replace({"String": TOGETHER}, ""),
    ]
    if longer:
        apart = rf"(?!\A)(?=[{extending}])(?!{'|'.join(_inside_rules(longer))})"
        steps = [_replace({"Regex": apart}, APART), *steps, {"type": "NFC"}, _replace({"String": APART}, "")]
    return steps, list(_problems(rules, longer))


def regex_class(characters: Iterable[str]) -> str:
    r"""Content of a character class, as ranges: `\x{300}-\x{34E}`."""
    parts: list[list[int]] = []
    for code in sorted(map(ord, characters)):
        if parts and parts[-1][1] == code - 1:
            parts[-1][1] = code
        else:
            parts.append([code, code])
    return "".join(rf"\x{{{first:X}}}" + (rf"-\x{{{last:X}}}" if last > first else "") for first, last in parts)


def _child_base(number: int, unit: int) -> int:
    """Place to which the label of a child is added, bit by bit."""
    return number ^ ((unit >> 10) << ((unit & (1 << 9)) >> 6))


def _problems(rules: Mapping[str, str], longer: list[str]) -> Iterator[str]:
    """Find rules that replacing each character and composing does not do."""
    both = {text[0] for text in longer} & {character for text in longer for character in text[1:]}
    for character in sorted(both):
        yield f"{printable(ascii(character))} begins one rule of normalizer_spec and continues another; expected one"
    for text in longer:
        if len(text) > 2 and text[:-1] not in rules:  # noqa: PLR2004 - a single character needs no rule
            yield f"normalizer_spec has a rule for {printable(ascii(text))} and none for {printable(ascii(text[:-1]))}"
        single = "".join(rules.get(character, character) for character in text)
        if unicodedata.normalize("NFC", single) != rules[text]:
            yield (
                f"normalizer_spec replaces {printable(ascii(text))} by {printable(ascii(rules[text]))}, expected "
                f"{printable(ascii(unicodedata.normalize('NFC', single)))}: tokenizer.json cannot say more"
            )


def _extending(rules: Mapping[str, str], longer: list[str]) -> str:
    """Characters that the library or NFC would join to the one before: marks, and what is replaced by one."""
    second = {character for text in longer for character in text[1:]}
    firsts = {text: to[0] for text, to in rules.items() if len(text) == 1 and to}
    marks = {text for text, first in firsts.items() if first in second or unicodedata.combining(first)}
    return _EXTENDING + regex_class(second | marks)


def _inside_rules(longer: Iterable[str]) -> Iterator[str]:
    """Patterns that match where a character continues a rule: what may stand before it, and the character."""
    before: defaultdict[str, set[str]] = defaultdict(set)
    for text in longer:
        before[text[-1]].add(text[:-1])
    last: defaultdict[frozenset[tuple[str, ...]], set[str]] = defaultdict(set)
    for character, starts in before.items():
        last[frozenset(_products(starts))].add(character)
    for products, characters in last.items():
        behind = "|".join("(?<={})".format("".join(f"[{part}]" for part in product)) for product in sorted(products))
        yield f"(?=[{regex_class(characters)}])(?:{behind})"


def _products(texts: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """Write texts as sequences of character classes: each class with every following one."""
    rest: defaultdict[str, set[str]] = defaultdict(set)
    for text in texts:
        rest[text[1:]].add(text[0])
    firsts: defaultdict[frozenset[str], set[str]] = defaultdict(set)
    for following, characters in rest.items():
        firsts[frozenset(characters)].add(following)
    for characters_before, followings in firsts.items():
        head = regex_class(characters_before)
        if "" in followings:
            yield (head,)
        for product in _products(followings - {""}) if followings - {""} else ():
            yield (head, *product)


def _replace(pattern: dict[str, str], content: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": pattern, "content": content}
