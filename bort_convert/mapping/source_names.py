"""The three spellings of one checkpoint, brought to one: the structural names that a table is written in.

- structural names, attribute paths with dots, from `Block.save_parameters`;
- prefixed names, from `ParameterDict.save` and the older `Block.save_params`, whose counters can be any number;
- either of them behind `arg:` or `aux:`, from `HybridBlock.export` and `Module.save_checkpoint`.

As in Gluon itself, names are taken for prefixed ones when none of them holds a dot.

Source: apache/mxnet 1.9.1, python/mxnet/gluon/block.py, Block.load_parameters; gluon/parameter.py, ParameterDict.load.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from bort_convert.errors import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bort_convert.mapping.rows import Rows

# What "~" stands for in gluonnlp 0.8.3, by what follows it; before any other word it is the family's name.
_CLASSES: Final = {"encoder": "bert", "layernorm": "bert", "ffn": "bertpositionwise", "cell": "multiheadattention"}
_NUMBER: Final = re.compile("0|[1-9][0-9]{0,5}")
_SYMBOLS: Final = {"#": r"\d+", "~": "[a-z]*", "[": "(?:", "]": ")?", "{": "(?P<", "}": r">\d+)"}


def structural_names(names: Iterable[str], rows: Rows) -> tuple[dict[str, str], list[str]]:
    """File names by structural name, and a line for each two names of the file that mean the same tensor.

    A name that no row knows stays as it is, less `arg:` or `aux:`.
    """
    bare = {name: name[4:] if name.startswith(("arg:", "aux:")) else name for name in names}
    spell = _spelling(rows) if bare and not any("." in name for name in bare.values()) else {}
    known = any_of(spell)
    found: dict[str, str] = {}
    clashes = []
    for name, stripped in bare.items():
        structural = _translate(stripped, spell) if known.fullmatch(stripped) else stripped
        if structural in found:
            one, other, meant = (printable(text) for text in (name, found[structural], structural))
            clashes.append(f"'{one}' and '{other}' both mean {meant}; expected one of them")
        else:
            found[structural] = name
    return found, clashes


def prefixed_names(names: Iterable[str], rows: Rows, family: str) -> dict[str, str]:
    """What gluonnlp 0.8.3 calls tensors in a fresh process, by their structural names, where the table says it.

    Args:
        names: structural names.
        rows: the table.
        family: what gluonnlp calls it: the names of the model's classes begin with it.
    """
    slots = [slot for row in rows for slot in row.sources if slot.prefixed]
    patterns = {placeholder_pattern(slot.name): _as_written(slot.prefixed, family) for slot in slots}
    found = {
        name: (prefixed, match.groupdict())
        for name in names
        for pattern, prefixed in patterns.items()
        if (match := pattern.fullmatch(name))
    }
    last = max((int(number) for _, numbers in found.values() for number in numbers.values()), default=0)
    return {name: prefixed.format(**numbers, last=last) for name, (prefixed, numbers) in found.items()}


def numbers_under(templates: Iterable[str], names: Iterable[str]) -> dict[str, set[int]]:
    """The numbers that stand in names where templates have their placeholder, as `{"layer": {0, 1, 2, 3}}`.

    Args:
        templates: structural names, each with one placeholder, a whole part between dots.
        names: those of a file, of which there can be very many: none is compared with each template.
    """
    tails: dict[str, dict[str, str]] = {}
    for template in templates:
        head, key, tail = re.split("[{}]", template)
        tails.setdefault(head, {})[tail] = key
    found: dict[str, set[int]] = {key: set() for keys in tails.values() for key in keys.values()}
    for name in names:
        for head, keys in tails.items():
            if name.startswith(head):
                digits, dot, rest = name[len(head) :].partition(".")
                if (key := keys.get(dot + rest)) and _NUMBER.fullmatch(digits):
                    found[key].add(int(digits))
    return found


def placeholder_pattern(template: str) -> re.Pattern[str]:
    """A pattern that finds the numbers, of at most six digits, under a structural name's placeholders."""
    return re.compile(re.sub(r"\\{(\w+)\\}", rf"(?P<\1>{_NUMBER.pattern})", re.escape(template)))


def any_of(patterns: Iterable[re.Pattern[str]]) -> re.Pattern[str]:
    """A pattern that rules out at once what none of these matches: a file can have very many names."""
    return re.compile("|".join(re.sub(r"\?P<\w+>", "?:", pattern.pattern) for pattern in patterns) or "(?!)")


def _spelling(rows: Rows) -> Mapping[re.Pattern[str], str]:
    slots = (slot for row in rows for slot in row.sources if slot.prefixed)
    return {re.compile("".join(_SYMBOLS.get(letter, letter) for letter in slot.prefixed)): slot.name for slot in slots}


def _as_written(prefixed: str, family: str) -> str:
    """A prefixed name as gluonnlp 0.8.3 writes it: every part there, counters at 0, the names of its classes."""
    whole = re.sub(r"[\[\]]", "", prefixed).replace("#", "0")
    return re.sub("~([a-z]+)", lambda found: _CLASSES.get(found[1], family) + found[1], whole)


def _translate(name: str, spell: Mapping[re.Pattern[str], str]) -> str:
    for pattern, structural in spell.items():
        if match := pattern.fullmatch(name):
            return structural.format(**match.groupdict())
    return name
