"""What can go wrong, as types: every error that this package raises on purpose, each with its exit code.

A message has four parts: which tensor or byte, what was found, what was expected, who says so; then what to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Sequence


def printable(text: str, longest: int = 120) -> str:
    """A name from a file, safe in a message: control characters escaped, and cut where it is very long."""
    if len(text) <= longest and text.isprintable():
        return text
    escaped = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text[: longest + 1])
    return escaped if len(text) <= longest else f"{escaped[:longest]}... ({len(text):,} characters)"


class ConvertError(Exception):
    """The base of all our errors; `exit_code` is the status that the command line ends with."""

    exit_code: ClassVar[int] = 3


class FormatError(ConvertError):
    """A file that cannot be read: corrupt, cut short, unsupported, or another format altogether."""


class MappingError(ConvertError):
    """A readable checkpoint that no table fits.

    Attributes:
        disagreements: every one of them, each a line that names the tensor, what was found and what was expected.
    """

    def __init__(self, summary: str, disagreements: Sequence[str] = ()) -> None:
        super().__init__("\n  ".join((summary, *disagreements)))
        self.disagreements = tuple(disagreements)


class VariantError(ConvertError):
    """A table fits, but what shapes cannot show (attention heads) is not known; the message names the option."""


class ParityError(ConvertError):
    """Outputs or bytes that should be equal are not."""

    exit_code = 1


class OutputError(ConvertError):
    """The output cannot be written, or something is already in its place."""

    exit_code = 4


class BackendError(ConvertError):
    """A framework that this step needs is missing or died; the message names the extra to install."""

    exit_code = 5
