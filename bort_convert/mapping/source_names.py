"""Three naming schemes of a checkpoint, mapped to one: the structural names that a table is written in.

- structural names, attribute paths with dots, from `Block.save_parameters`;
- prefixed names, from `ParameterDict.save` and the older `Block.save_params`, with counters that can be any number;
- either of them behind `arg:` or `aux:`, from `HybridBlock.export` and `Module.save_checkpoint`.

As in Gluon itself, the names of a file are prefixed ones if none of them holds a dot.

Source: apache/mxnet 1.9.1, python/mxnet/gluon/block.py, Block.load_parameters; gluon/parameter.py, ParameterDict.load.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from bort_convert.errors import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bort_convert.mapping.rows import Rows

    _Frame = tuple[str | None, ...]

_KEPT: Final = 4096
_MARKERS: Final = ("arg:", "aux:")
_NUMBER: Final = re.compile("0|[1-9][0-9]{0,5}")
_NOTHING: Final = "(?!)"
"""A regular expression that matches no text."""
_SLOT: Final = re.compile(rf"{{\w+}}|{_NUMBER.pattern}")
# The signs of a prefixed name in a table (see rows.py) as a regular expression.
_SIGNS: Final = {"#": r"\d+", "~": "[a-z]*", "[": "(?:", "]": ")?", "{": "(?P<", "}": r">\d+)"}
# What "~" is in gluonnlp 0.8.3, by the word behind it; before any other word it is the name of the family.
_CLASSES: Final = {"encoder": "bert", "layernorm": "bert", "ffn": "bertpositionwise", "cell": "multiheadattention"}


def structural_names(names: Iterable[str], rows: Rows) -> tuple[dict[str, str], list[str]]:
    """Map structural names to the names in a file.

    A name that no row knows stays as it is, without `arg:` or `aux:`.

    Args:
        names: names in the file.
        rows: the table.

    Returns:
        Structural name -> name in the file; and a line for each two names that mean the same tensor.
    """
    bare = {name: bare_name(name) for name in names}
    has_dots = any("." in name for name in bare.values())
    templates = {} if has_dots else _prefixed_patterns(rows)
    any_prefixed = any_of(templates)
    mapped: dict[str, str] = {}
    clashes = []
    for name, unmarked in bare.items():
        structural = _translate(unmarked, templates) if any_prefixed.fullmatch(unmarked) else unmarked
        if structural in mapped:
            one, other, meaning = (printable(text) for text in (name, mapped[structural], structural))
            clashes.append(f"'{one}' and '{other}' both mean {meaning}; expected one of them")
        else:
            mapped[structural] = name
    return mapped, clashes


def prefixed_names(names: Iterable[str], rows: Rows, family: str) -> dict[str, str]:
    """Map structural names to the prefixed names of gluonnlp 0.8.3 in a fresh process; others are left out.

    Args:
        names: structural names.
        rows: the table.
        family: name of the family in gluonnlp, with which the names of its classes begin.
    """
    patterns = {
        placeholder_pattern(source.name): _first_written(source.prefixed, family)
        for row in rows
        for source in row.sources
        if source.prefixed
    }
    matches = {
        name: (prefixed, match.groupdict())
        for name in names
        for pattern, prefixed in patterns.items()
        if (match := pattern.fullmatch(name))
    }
    last = max((int(number) for _, numbers in matches.values() for number in numbers.values()), default=0)
    return {name: prefixed.format(**numbers, last=last) for name, (prefixed, numbers) in matches.items()}


def numbers_in(names: Iterable[str], templates: Iterable[str]) -> dict[str, set[int]]:
    """Find the numbers that names have in place of placeholders, as `{"layer": {0, 1, 2, 3}}`.

    Args:
        names: structural names; there can be very many, so none is compared with every template.
        templates: structural names that have one or more placeholders, each a part between dots.
    """
    numbers: dict[str, set[int]] = {}
    slots_by_frame: dict[_Frame, list[list[str]]] = {}
    for template in templates:
        frame, slots = _frame_and_slots(template, _SLOT)
        slots_by_frame.setdefault(frame, []).append(slots)
        numbers |= {slot[1:-1]: set() for slot in slots if slot.startswith("{")}
    for name in names:
        frame, digits = _frame_and_slots(name, _NUMBER)
        for slots in slots_by_frame.get(frame, ()):
            pairs = list(zip(slots, digits, strict=True))
            if all(slot.startswith("{") or slot == number for slot, number in pairs):
                for slot, number in pairs:
                    if slot.startswith("{"):
                        numbers[slot[1:-1]].add(int(number))
    return numbers


def _frame_and_slots(name: str, slot: re.Pattern[str]) -> tuple[_Frame, list[str]]:
    """The parts of a name between dots, with None for each that matches `slot`; and those that do."""
    parts = name.split(".")
    slots = [part for part in parts if slot.fullmatch(part)]
    return tuple(None if slot.fullmatch(part) else part for part in parts), slots


@lru_cache(_KEPT)
def placeholder_pattern(template: str) -> re.Pattern[str]:
    """The pattern of a structural name: numbers of at most six digits in place of its placeholders."""
    return re.compile(re.sub(r"\\{(\w+)\\}", rf"(?P<\1>{_NUMBER.pattern})", re.escape(template)))


def any_of(patterns: Iterable[re.Pattern[str]]) -> re.Pattern[str]:
    """One pattern that matches whatever any of these matches: with it a name is compared once, not with each."""
    return compiled("|".join(dict.fromkeys(_unnamed(pattern) for pattern in patterns)) or _NOTHING)


@lru_cache(_KEPT)
def compiled(expression: str) -> re.Pattern[str]:
    """A compiled regular expression of a table. They are more than `re` keeps, and each file is compared with all."""
    return re.compile(expression)


@lru_cache(_KEPT)
def _unnamed(pattern: re.Pattern[str]) -> str:
    return re.sub(r"\?P<\w+>", "?:", pattern.pattern)


def bare_name(name: str) -> str:
    """A name in a file without `arg:` or `aux:` before it."""
    return name[4:] if name.startswith(_MARKERS) else name


def prefixed_pattern(prefixed: str) -> str:
    """A prefixed name in a table, or a part of one, as a regular expression."""
    return "".join(_SIGNS.get(character, character) for character in prefixed)


def _prefixed_patterns(rows: Rows) -> dict[re.Pattern[str], str]:
    """Pattern of each prefixed name -> structural name, with placeholders in both."""
    sources = (source for row in rows for source in row.sources if source.prefixed)
    return {compiled(prefixed_pattern(source.prefixed)): source.name for source in sources}


def _translate(name: str, patterns: Mapping[re.Pattern[str], str]) -> str:
    for pattern, structural in patterns.items():
        if match := pattern.fullmatch(name):
            return structural.format(**match.groupdict())
    return name


def _first_written(prefixed: str, family: str) -> str:
    """The prefixed name that gluonnlp 0.8.3 writes: all optional parts, counters at 0, its own class names."""
    whole = re.sub(r"[\[\]]", "", prefixed).replace("#", "0")
    return re.sub("~([a-z]+)", lambda match: _CLASSES.get(match[1], family) + match[1], whole)
