"""Rows of a table that is written as data: a word of `rows.py`, and its arguments by name.

A row `{linear = "head", to = "classifier", axes = "labels hidden_size"}` calls `linear("head", "classifier", "labels
hidden_size")`: what stands behind the word is the first argument, `to` is the target or the targets, and the rest has
the names that the function gives it. Every value is checked here, because nothing behind this module expects mistakes.
"""

from __future__ import annotations

import inspect
import re
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from bort_convert.errors import printable
from bort_convert.mapping import rows
from bort_convert.mapping.axes import parse_axis

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from bort_convert.mapping.rows import Row, Rows

    Maker: TypeAlias = Callable[..., Row | Rows]

WORDS: Final[Mapping[str, Maker]] = {
    "linear": rows.linear,
    "conv1d": rows.conv1d,
    "norm": rows.norm,
    "rename": rows.rename,
    "transpose": rows.transpose,
    "split": rows.split,
    "merge": rows.merge,
    "unfold": rows.unfold,
    "pad": rows.pad,
    "fill": rows.fill,
    "constant": rows.constant,
    "tied": rows.tied,
    "drop": rows.drop,
    "ignore": rows.ignore,
    "extra": rows.extra,
}
WHY: Final = "the table says so"
LONGEST: Final = 256
"""Characters of a name, a sentence or axes."""
_MATRICES: Final = frozenset({"linear", "conv1d", "transpose", "unfold"})
_FIRST_AXIS: Final = frozenset({"split", "merge", "pad", "norm"})
_AXIS: Final = re.compile(r"([1-9][0-9]{0,3}\*)?[a-z][a-z0-9_]*(/[1-9][0-9]{0,3})?(\+[1-9][0-9]{0,5})?|[1-9][0-9]{0,8}")
_NAME: Final = re.compile(r"[^{}\s]*(?:(?:^|(?<=\.))\{[a-z]+\}(?:\.[^{}\s]*)?)?")
_PREFIXED: Final = re.compile(r"(?:[A-Za-z0-9_#~]|\[[A-Za-z0-9_#~]+\]|\{[a-z]+\})+")
_PLACEHOLDER: Final = re.compile(r"\{([a-z]+)\}")
_MOST_PARTS: Final = 64
_MOST_ROWS: Final = 4096
_MOST_SIGNS: Final = 3  # each takes any letters: many would take their time
_LARGEST: Final = 65504  # of float16
_LONGEST_INTEGER: Final = 64


class Mistake(NamedTuple):
    """A mistake in a row: the key that it is in, "" for the row as a whole, and what is wrong."""

    key: str
    problem: str


def rows_of(row: Mapping[str, object]) -> tuple[Rows, list[Mistake]]:
    """Make the rows that one row of a file stands for.

    Returns:
        The rows, and all mistakes; with a mistake there are no rows.
    """
    words = [key for key in row if key in WORDS]
    if len(words) != 1:
        return (), [_word_mistake(row, words)]
    (word,) = words
    keys = {word if number == 0 else key: parameter for number, (key, parameter) in enumerate(_keys_of(word).items())}
    mistakes = [Mistake(key, f"`{word}` has no {shown(key)}; {_expected(keys)}") for key in row if key not in keys]
    arguments: dict[str, object] = {}
    for key, parameter in keys.items():
        if key in row:
            if problem := _CHECKS[parameter.name](row[key]):
                mistakes.append(Mistake(key, f"{key} is {shown(row[key])}, expected {problem}"))
            arguments[parameter.name] = row[key]
        elif parameter.name == "why":
            arguments["why"] = WHY
        elif parameter.default is parameter.empty:
            mistakes.append(Mistake("", f"`{word}` needs {key}: {_MEANINGS[parameter.name]}"))
    if mistakes or (mistakes := list(_wrong_axes(word, arguments))):
        return (), mistakes
    made = WORDS[word](**arguments)
    made = made if isinstance(made, tuple) else (made,)
    mistakes = [Mistake("", problem) for problem in (*_wrong_placeholders(made), *_wrong_targets(made))]
    return (() if mistakes else made), mistakes


def placeholder_of(name: str) -> str:
    """The placeholder in a name, such as "layer"; "" without one."""
    match = _PLACEHOLDER.search(name)
    return match[1] if match else ""


@cache
def _keys_of(word: str) -> dict[str, inspect.Parameter]:
    """Keys of a word's row -> parameters of its function, the word itself in front."""
    parameters = inspect.signature(WORDS[word]).parameters
    return {
        "to" if number and name in {"target", "targets"} else name: parameter
        for number, (name, parameter) in enumerate(parameters.items())
    }


def _word_mistake(row: Mapping[str, object], words: list[str]) -> Mistake:
    if words:
        return Mistake(words[1], f"a row has one word, and this one has {' and '.join(words)}")
    known = {key for word in WORDS for key in _keys_of(word)}
    unknown = [key for key in row if key not in known]
    found = f"unknown word {shown(unknown[0])}" if unknown else "the row has no word"
    return Mistake(unknown[0] if unknown else "", f"{found}; expected one of {', '.join(WORDS)}")


def _expected(keys: Mapping[str, inspect.Parameter]) -> str:
    _, *others = keys
    return f"expected {', '.join(others)}"


def shown(value: object) -> str:
    """A value of a file for a message, cut where it is long."""
    if isinstance(value, int) and value.bit_length() > _LONGEST_INTEGER:
        return f"a number of {value.bit_length():,} bits"
    return printable(repr(value), 80)


def _wrong_axes(word: str, arguments: Mapping[str, object]) -> Iterator[Mistake]:
    axes = str(arguments["axes"]).split()
    if word in _MATRICES and len(axes) != 2:  # noqa: PLR2004 - a matrix has two
        yield Mistake("axes", f"axes are {shown(arguments['axes'])}, expected two for `{word}`: (out, in)")
    elif word in _FIRST_AXIS and not axes:
        yield Mistake("axes", f"axes are '', expected one or more for `{word}`")


def _wrong_placeholders(made: Rows) -> Iterator[str]:
    """A line for each row whose names do not have the placeholder of its sources, all of them."""
    for row in made:
        if row.tied_to and placeholder_of(row.sources[0].name):
            yield "an alias has no placeholder"
            return
        names = [source.name for source in row.sources]
        found = {placeholder_of(name) for name in (*names, *row.targets)}
        if len(found) > 1:
            shown = " and ".join(f"{{{name}}}" if name else "none" for name in sorted(found))
            yield f"the names of a row have one placeholder, all of them or none; found {shown}"
            return
        for source in row.sources:
            if others := {*_PLACEHOLDER.findall(source.prefixed)} - {*found, "last"}:
                yield f"prefixed has the placeholder {{{min(others)}}}, which the name of the tensor has not"
                return


def _wrong_targets(made: Rows) -> Iterator[str]:
    """A line for each row whose operation cannot make its targets, whatever the sizes are."""
    for row in made:
        try:
            row.op.target_axes(*(source.axes for source in row.sources))
        except ValueError as error:  # noqa: PERF203 - each row has its own
            yield str(error)


# What a value should be, by the parameter that it is for; "" if it is so


def _text_problem(value: object) -> str:
    good = isinstance(value, str) and 0 < len(value) <= LONGEST and value.isprintable()
    return "" if good else f"a text of 1 to {LONGEST} characters that can be printed"


def name_problem(value: object) -> str:
    """What is expected in place of a value that is no name of a tensor; "" if it is one."""
    if _text_problem(value):
        return f"the name of a tensor, at most {LONGEST} characters"
    good = _NAME.fullmatch(str(value)) and not str(value).startswith(".") and ".." not in str(value)
    return "" if good else "a name with dots between its parts, one of which may be a placeholder such as {layer}"


def _names_problem(value: object) -> str:
    if not isinstance(value, list) or not 1 < len(value) <= _MOST_PARTS:
        return f'a list of 2 to {_MOST_PARTS} names, ["one", "other"]'
    return next(filter(None, map(name_problem, value)), "")


def axes_problem(value: object) -> str:
    """What is expected in place of a value that is no list of axes; "" if it is one."""
    good = isinstance(value, str) and len(value) <= LONGEST and value.isprintable()
    if good and all(_AXIS.fullmatch(axis) for axis in str(value).split()):
        return ""
    return 'sizes by name, such as "labels hidden_size", "3*hidden_size", "max_positions+2" or "5"'


def _two_axes_problem(value: object) -> str:
    good = not axes_problem(value) and len(str(value).split()) == 2  # noqa: PLR2004 - an axis becomes two
    return "" if good else 'two axes, such as "attention_heads head_dim"'


def _prefixed_problem(value: object) -> str:
    text = value if isinstance(value, str) and len(value) <= LONGEST else ""
    found = _PLACEHOLDER.findall(text)
    good = _PREFIXED.fullmatch(text) and len(found) == len(set(found)) and text.count("~") <= _MOST_SIGNS
    return (
        ""
        if good and "##" not in text
        else "a name with Gluon's prefixes, such as tagger#_dense#; # is a counter, ~ a class"
    )


def _count_problem(value: object) -> str:
    good = type(value) is int and 0 < value <= _MOST_ROWS
    return "" if good else f"a whole number from 1 to {_MOST_ROWS:,}"


def _number_problem(value: object) -> str:
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and -_LARGEST <= value <= _LARGEST
    return "" if good else f"a number from -{_LARGEST:,} to {_LARGEST:,}"


def _flag_problem(value: object) -> str:
    return "" if isinstance(value, bool) else "true or false"


_CHECKS: Final[Mapping[str, Callable[[object], str]]] = {
    "source": name_problem,
    "sources": _names_problem,
    "target": name_problem,
    "targets": _names_problem,
    "tied_to": name_problem,
    "axes": axes_problem,
    "into": _two_axes_problem,
    "prefixed": _prefixed_problem,
    "rows": _count_problem,
    "value": _number_problem,
    "first": _flag_problem,
    "after": _text_problem,
    "why": _text_problem,
}
_MEANINGS: Final = {
    "source": "the tensor of the checkpoint",
    "sources": "the tensors of the checkpoint",
    "target": "the tensor of the target model",
    "targets": "the tensors of the target model",
    "tied_to": "the tensor that it equals",
    "axes": 'the sizes of the tensor by name, such as "labels hidden_size"',
    "into": 'the two axes that one becomes, such as "attention_heads head_dim"',
    "rows": "the number of rows of zeros in front",
    "value": "the constant",
}


def axis_names(axes: str) -> set[str]:
    """Names of sizes in axes, without multiples and numbers."""
    return {name for axis in axes.split() if (name := parse_axis(axis).name)}
