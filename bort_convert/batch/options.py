"""Options of a conversion as a plan has them: each with its kind, from a cell of text or a typed value."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

from bort_convert.arguments import FamilyName, FloatDtype, ProblemType
from bort_convert.errors import printable
from bort_convert.files.remote import beside
from bort_convert.models.registry import families

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bort_convert.dtypes import Hyperparameter
    from bort_convert.files.remote import Place

    Read = Callable[[object, Place], object]

_WHOLE_NUMBER: Final = re.compile(r"[+-]?[0-9]+")
_NUMBER: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


class WrongValueError(Exception):
    """A value is not of its option's kind; the message says what would be."""


def typed_value(text: str) -> Hyperparameter:
    """The number or the truth value that a text spells, else the text itself."""
    if text in {"true", "false"}:
        return text == "true"
    if _WHOLE_NUMBER.fullmatch(text):
        return int(text)
    return float(text) if _NUMBER.fullmatch(text) else text


def read_options(values: Mapping[str, object], folder: Place) -> tuple[dict[str, Any], list[str]]:
    """Read options: arguments of `convert` and `trace`, and a line for each that is wrong.

    Args:
        values: option -> text or typed value; None and "" stand for the default.
        folder: folder that relative paths start from.
    """
    options: dict[str, Any] = {}
    mistakes = []
    for name, value in values.items():
        option = name.strip().replace("-", "_")
        if option not in OPTIONS:
            mistakes.append(f"there is no option {shown(name)}; expected source, name, {', '.join(OPTIONS)}")
        elif value not in (None, ""):
            try:
                options[option] = OPTIONS[option](value, folder)
            except WrongValueError as error:
                mistakes.append(f"{option} is {shown(value)}; expected {error}")
    return options, mistakes


def shown(value: object) -> str:
    """A value from a plan, as a message quotes it."""
    return printable(repr(value))


def _text(value: object, _folder: Place) -> str:
    if not isinstance(value, str):
        raise WrongValueError("text")
    return value.strip()


def _whole_number(value: object, _folder: Place) -> int:
    if isinstance(value, str) and _WHOLE_NUMBER.fullmatch(value.strip()):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise WrongValueError("a whole number from 1 on")
    return value


def _truth(value: object, _folder: Place) -> bool:
    if isinstance(value, str):
        value = {"true": True, "false": False}.get(value.strip().lower())
    if not isinstance(value, bool):
        raise WrongValueError("true or false")
    return value


def _one_of(names: tuple[str, ...]) -> Read:
    def read(value: object, _folder: Place) -> str:
        if not isinstance(value, str) or value.strip() not in names:
            raise WrongValueError(f"one of {', '.join(names)}")
        return value.strip()

    return read


def _family(value: object, folder: Place) -> object:
    """A family of this package, or else of an installed one."""
    known = get_args(FamilyName)
    return _one_of(known if value in known else tuple(families()))(value, folder)


def _file(value: object, folder: Place) -> str:
    if not isinstance(value, str):
        raise WrongValueError("the name of a file")
    place = beside(folder, value)
    if not isinstance(place, Path):
        raise WrongValueError("a file of this machine, in a plan elsewhere with its whole path")
    return str(place)


def _file_or_text(value: object, folder: Place) -> str:
    """A file or folder where there is one of this name, else the text: a tokenizer may be a name on the Hub."""
    text = _text(value, folder)
    return str(folder / text) if isinstance(folder, Path) and (folder / text).exists() else text


def _labels(value: object, folder: Place) -> list[str]:
    """A list; in a text the parts between commas, or else the lines of the file of this name."""
    if isinstance(value, list) and all(isinstance(label, str) for label in value):
        return value
    if not isinstance(value, str):
        raise WrongValueError("a list of names, names with commas between, or a text file with one on each line")
    if "," in value:
        return [label.strip() for label in value.split(",")]
    try:
        text = beside(folder, value).read_bytes().decode("utf-8-sig")
        return [line.strip(" \t\r") for line in text.rstrip().split("\n")]
    except (OSError, UnicodeDecodeError) as error:
        raise WrongValueError(f"names with commas between, or a text file with one on each line ({error})") from error


def _texts(value: object, _folder: Place) -> list[str]:
    """A list; in a text the parts between semicolons."""
    if isinstance(value, str):
        value = [part.strip() for part in value.split(";")]
    if not isinstance(value, list) or not all(isinstance(part, str) and part for part in value):
        raise WrongValueError("a list of texts, or texts with semicolons between")
    return value


def _pairs(value: object, _folder: Place) -> dict[str, Hyperparameter]:
    """A table; in a text `NAME=VALUE` with semicolons between."""
    if isinstance(value, str):
        pairs = [[part.strip() for part in pair.partition("=")] for pair in value.split(";") if pair.strip()]
        if not all(map(all, pairs)) or len({name for name, *_ in pairs}) < len(pairs):
            raise WrongValueError("NAME=VALUE with semicolons between, each name once")
        value = {name.replace("-", "_"): typed_value(text) for name, _, text in pairs}
    if not isinstance(value, dict) or not all(isinstance(entry, (bool, int, float, str)) for entry in value.values()):
        raise WrongValueError("a table of numbers, texts and truth values")
    return value


OPTIONS: Final[dict[str, Read]] = {
    "family": _family,
    "table": _file,
    "variant": _text,
    "heads": _whole_number,
    "layers": _whole_number,
    "gluonnlp_version": _text,
    "hyperparameters": _pairs,
    "prefix": _text,
    "ignore": _texts,
    "keep_extra": _truth,
    "symbol": _file,
    "vocab": _file,
    "bpe_ranks": _file,
    "tokenizer": _file_or_text,
    "roberta_pairs": _truth,
    "lower_case": _truth,
    "labels": _labels,
    "problem_type": _one_of(get_args(ProblemType)),
    "dtype": _one_of(get_args(FloatDtype)),
    "allow_overflow": _truth,
    "max_shard_size": _text,
    "license": _text,
    "strict": _truth,
    "max_arrays": _whole_number,
    "checksums": _truth,
    "recognise": _truth,
    "trace": _file,
}
"""Options of a conversion; `trace` is a recorded reference for its verification."""
FILES: Final = ("table", "symbol", "vocab", "bpe_ranks", "tokenizer", "trace")
"""Options that name a file or a folder, whose content decides about the result."""
