"""Errors that this package raises on purpose, each with its exit code.

A message says which tensor, byte or argument, what was found, what was expected and who says so; then what to do. An
argument stands in it as in Python, between backquotes: `heads=8`. The command line puts the flag in its place.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Sequence


def printable(text: str, longest: int = 120) -> str:
    """Escape control characters in a name from outside, and cut the name where it is very long."""
    if len(text) <= longest and text.isprintable():
        return text
    escaped = "".join(char if char.isprintable() else repr(char)[1:-1] for char in text[: longest + 1])
    return escaped if len(text) <= longest else f"{escaped[:longest]}... ({len(text):,} characters)"


def install_hint(extra: str) -> str:
    """The command that installs an extra; the package is on no index yet, so it is installed from a clone."""
    return f'pip install ".[{extra}]" in a clone of bort_convert'


class ConvertError(Exception):
    """Base of all errors of this package; `exit_code` is the status that the command line ends with.

    Examples:
        >>> try:
        ...     bort_convert.open_params("fixtures/tiny.vocab")
        ... except bort_convert.ConvertError as error:
        ...     print(error.exit_code, error)
        3 fixtures/tiny.vocab: this is a JSON file. Expected an MXNet .params file
    """

    exit_code: ClassVar[int] = 3


class FormatError(ConvertError):
    """A file cannot be read: it is corrupt, cut short, unsupported, or of another format.

    Examples:
        >>> bort_convert.open_params("no-such.params")
        Traceback (most recent call last):
        bort_convert.errors.FormatError: no-such.params: ...
    """


class MappingError(ConvertError):
    """A readable checkpoint or directory fits no table, or its values contradict the table.

    Attributes:
        disagreements: a line for each, naming the tensor, what was found and what was expected.

    Examples:
        >>> bort_convert.convert("fixtures/cnn_tiny.params", "out")
        Traceback (most recent call last):
        bort_convert.errors.MappingError: ...
    """

    def __init__(self, summary: str, disagreements: Sequence[str] = ()) -> None:
        super().__init__("\n  ".join((summary, *disagreements)))
        self.disagreements = tuple(disagreements)


class OtherTensorsError(MappingError):
    """A model stands in a checkpoint beside tensors that are not its own, and nobody said what becomes of them.

    Attributes:
        disagreements: those with a table that takes the whole file, where that is closer; empty otherwise.
        prefix: what precedes the model's names in the file, "" at its top.
        others: names of the other tensors.
    """

    def __init__(self, message: str, disagreements: Sequence[str] = (), *, prefix: str, others: Sequence[str]) -> None:
        super().__init__(message)
        self.disagreements = tuple(disagreements)
        self.prefix = prefix
        self.others = tuple(others)


class VariantError(ConvertError):
    """A table fits, but something that shapes cannot show is not known.

    Attributes:
        missing: the arguments that would tell, by their names in Python, such as `("heads",)`.
        candidates: the model families or published sizes that come into question.

    Examples:
        >>> try:
        ...     bort_convert.convert("fixtures/bort_4_8_24_32.params", "out", family="bort")
        ... except bort_convert.VariantError as error:
        ...     print(error.missing)
        ('heads',)
    """

    def __init__(self, message: str, *, missing: Sequence[str] = (), candidates: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.missing = tuple(missing)
        self.candidates = tuple(candidates)


class OptionError(ConvertError, ValueError):
    """An argument has a wrong value, or does not go with the file or with another argument.

    Attributes:
        option: name of the argument in Python, such as "heads".
        value: the value that was given.
        problem: what is wrong with it, and what to do.

    Examples:
        >>> bort_convert.convert("fixtures/bort_4_8_24_32.params", "out", family="bort", heads=7)
        Traceback (most recent call last):
        bort_convert.errors.OptionError: `heads=7`: expected a number that divides hidden_size=32
    """

    exit_code = 2

    def __init__(self, option: str, value: object, problem: str) -> None:
        shown = printable(repr(os.fspath(value) if isinstance(value, os.PathLike) else value))
        super().__init__(f"`{option}={shown}`: {problem}")
        self.option = option
        self.value = value
        self.problem = problem

    def __reduce__(self) -> tuple[type[OptionError], tuple[str, object, str]]:
        return type(self), (self.option, self.value, self.problem)  # a process pool pickles errors


class TableError(OptionError):
    """A table of the user's own is wrong; the exit code is that of any wrong argument.

    Attributes:
        disagreements: a line for each mistake, with the number of its line in the file.
    """

    def __init__(self, name: str, mistakes: Sequence[str]) -> None:
        count = len(mistakes)
        summary = f"has {count:,} mistake{'s' * (count != 1)}:"
        super().__init__("table", name, "\n  ".join((summary, *mistakes)))
        self.disagreements = tuple(mistakes)

    def __reduce__(self) -> tuple[type[TableError], tuple[object, tuple[str, ...]]]:  # type: ignore[override] # other arguments
        return type(self), (self.value, self.disagreements)


class PlanError(ConvertError):
    """The plan of a batch cannot be read, or is wrong.

    Attributes:
        disagreements: a line for each mistake, with its file and line.

    Examples:
        >>> bort_convert.read_plan("nowhere/*.params")
        Traceback (most recent call last):
        bort_convert.errors.PlanError: the plan has a mistake:
          nowhere/*.params: holds no checkpoint (*.params)
    """

    exit_code = 2

    def __init__(self, summary: str, disagreements: Sequence[str] = ()) -> None:
        super().__init__("\n  ".join((summary, *disagreements)))
        self.disagreements = tuple(disagreements)


class AgoraError(ConvertError):
    """A run of Agora cannot start, cannot go on, or has come to nothing.

    Attributes:
        disagreements: a line for each thing that is wrong.
    """

    exit_code = 2

    def __init__(self, summary: str, disagreements: Sequence[str] = ()) -> None:
        super().__init__("\n  ".join((summary, *disagreements)))
        self.disagreements = tuple(disagreements)

    def __reduce__(self) -> tuple[type[AgoraError], tuple[str, tuple[str, ...]]]:
        return type(self), (str(self).partition("\n")[0], self.disagreements)  # workers pickle errors


class InputError(ConvertError):
    """Token ids or lengths are outside of the model; MXNet would clip them in silence.

    Examples:
        >>> manifest = bort_convert.convert(
        ...     "fixtures/little_bort/little_bort.params", "out", family="bort", heads=4,
        ...     vocab="fixtures/little_bort/little_bort.vocab",
        ...     bpe_ranks="fixtures/little_bort/little_bort_ranks.txt",
        ... )
        >>> open("none.txt", "w").close()
        >>> bort_convert.verify("fixtures/little_bort/little_bort.params", "out", text="none.txt")
        Traceback (most recent call last):
        bort_convert.errors.InputError: none.txt: 0 lines with text, expected 1 to ...
    """


class ParityError(ConvertError):
    """Outputs or bytes that should be equal differ.

    Examples:
        >>> bort_convert.convert(
        ...     "fixtures/bort_4_8_24_32.params", "out", family="bort", heads=8, verify=lambda _, directory: (
        ...         bort_convert.verify("fixtures/traces/bort_2_3_24_24.safetensors", directory)
        ...     )
        ... )
        Traceback (most recent call last):
        bort_convert.errors.ParityError: ...
    """

    exit_code = 1


class OutputError(ConvertError):
    """The output cannot be written, or something stands in its place.

    Examples:
        >>> manifest = bort_convert.convert("fixtures/bort_4_8_24_32.params", "out", family="bort", heads=8)
        >>> manifest = bort_convert.convert("fixtures/bort_4_8_24_32.params", "out", family="bort", heads=8)
        Traceback (most recent call last):
        bort_convert.errors.OutputError: out is not empty; expected an empty directory, or nothing. Pass ...
    """

    exit_code = 4


class BackendError(ConvertError):
    """A framework that is needed is missing or died; the message names the extra to install.

    Examples:
        >>> bort_convert.record("fixtures/gpt2_2_3_48_12.params", "trace", heads=12, mxnet_python="no-such-python")
        Traceback (most recent call last):
        bort_convert.errors.BackendError: no-such-python: cannot be started ...
    """

    exit_code = 5
