"""What a kind of tokenizer is: which options it takes, and how one is made."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from importlib import import_module
from typing import TYPE_CHECKING

from bort_convert.errors import VariantError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping


@dataclass(frozen=True)
class TokenizerOptions:
    """What a user gave for a tokenizer.

    Attributes:
        vocab: GluonNLP's vocabulary, the JSON of a `Vocab`; for a WordPiece also a text file with a token a line,
            or a SentencePiece model in its place.
        bpe_ranks: the merges of a byte-level BPE, a line each.
        tokenizer: instead of these, a directory or a hub repository with a tokenizer of transformers.
        roberta_pairs: two `</s>` between the texts of a pair, as RoBERTa has it, in a Bort too, which has one.
        lower_case: whether a BERT's tokenizer lower-cases text and strips its accents; None where nothing was said.
    """

    vocab: str | os.PathLike[str] | None = None
    bpe_ranks: str | os.PathLike[str] | None = None
    tokenizer: str | os.PathLike[str] | None = None
    roberta_pairs: bool = False
    lower_case: bool | None = None

    @property
    def has_files(self) -> bool:
        """Whether there is something to make a tokenizer of."""
        return any(file is not None for file in (self.vocab, self.bpe_ranks, self.tokenizer))

    @property
    def options(self) -> dict[str, bool]:
        """What was said beside the files, for the manifest."""
        said = {"roberta_pairs": self.roberta_pairs or None, "lower_case": self.lower_case}
        return {name: value for name, value in said.items() if value is not None}

    def names(self) -> tuple[str, ...]:
        """What was given, by the names above."""
        return tuple(field.name for field in fields(self) if getattr(self, field.name) != field.default)


@dataclass(frozen=True)
class ModelLimits:
    """What a model takes.

    Attributes:
        size: rows of the word embedding; the vocabulary must have as many tokens.
        max_length: how many tokens at once, special ones included.
        types: rows of the segment embedding; a model without one has one type.
    """

    size: int
    max_length: int
    types: int = 1


@dataclass(frozen=True)
class Tokenizer:
    """A tokenizer, ready to be written beside a model.

    Attributes:
        files: the text of each file by its name, to be written in UTF-8.
        sources: the SHA-256 of each file that it was made from, by its name without a directory.
        notes: what a person should know of it, a line each.
    """

    files: Mapping[str, str]
    sources: Mapping[str, str]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Kind:
    """A kind of tokenizer.

    Attributes:
        title: as a person would say it.
        takes: the names of what can be given for it.
        module: the one beside this that makes it; imported when it is asked to.
        roberta_pairs: whether all of them have two `</s>` between the texts of a pair.
    """

    title: str
    takes: frozenset[str]
    module: str
    roberta_pairs: bool = False

    def make(self, given: TokenizerOptions, room: ModelLimits) -> Tokenizer:
        """Make one. A FormatError where nothing was given says why there is none."""
        make: Callable[[TokenizerOptions, ModelLimits], Tokenizer] = import_module(f"{__package__}.{self.module}").make
        return make(replace(given, roberta_pairs=True) if self.roberta_pairs else given, room)

    @property
    def files(self) -> str:
        """The options that name its files, for a message."""
        return " ".join(f"--{name.replace('_', '-')} FILE" for name in ("vocab", "bpe_ranks") if name in self.takes)

    def check(self, given: TokenizerOptions) -> None:
        """Refuse what can be given for tokenizers of other kinds alone.

        Raises:
            VariantError: there is such a thing.
        """
        for name in given.names():
            if name not in self.takes:
                option = "--cased" if given.lower_case is False and name == "lower_case" else f"--{name}"
                raise VariantError(
                    f"{option.replace('_', '-')} says nothing of a {self.title} tokenizer, which this model has. "
                    "Leave it out"
                )
