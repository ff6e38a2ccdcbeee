"""Kinds of tokenizers, the options that each takes, and the limits that a model sets."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from importlib import import_module
from typing import TYPE_CHECKING

from bort_convert.errors import OptionError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping


@dataclass(frozen=True)
class TokenizerOptions:
    """The files that a tokenizer is made from, and settings that no file holds.

    Attributes:
        vocab: GluonNLP's vocabulary, the JSON of a `Vocab`; for a BERT also a text file with one token a line, or a
            SentencePiece model.
        bpe_ranks: the merges of a byte-level BPE, one a line.
        tokenizer: in place of these files, a directory with a transformers tokenizer, or its name on the Hub.
        roberta_pairs: put two `</s>` between the texts of a pair, as RoBERTa does, for a Bort too, which has one.
        lower_case: True if a BERT's tokenizer lower-cases text and strips its accents; None to decide by the files.
        published: name of the published checkpoint that the tokenizer is for, and True if text is lower-cased for it: a
            statement beside those of the files. None if it is for another one.

    Examples:
        >>> options = bort_convert.TokenizerOptions(
        ...     vocab="fixtures/tiny.vocab", bpe_ranks="fixtures/tiny_ranks.txt"
        ... )
        >>> manifest = bort_convert.convert(
        ...     "fixtures/bort_4_8_24_32.params", "out", family="bort", heads=8, tokenizer_options=options
        ... )
        >>> "tokenizer.json" in manifest.files
        True
    """

    vocab: str | os.PathLike[str] | None = None
    bpe_ranks: str | os.PathLike[str] | None = None
    tokenizer: str | os.PathLike[str] | None = None
    roberta_pairs: bool = False
    lower_case: bool | None = None
    published: tuple[str, bool] | None = None

    @property
    def has_files(self) -> bool:
        """True if a file, directory or repository is named."""
        return any(file is not None for file in (self.vocab, self.bpe_ranks, self.tokenizer))

    @property
    def settings(self) -> dict[str, bool]:
        """The settings that differ from their defaults; the manifest keeps them."""
        return {name: getattr(self, name) for name in ("roberta_pairs", "lower_case") if name in self.specified()}

    def specified(self) -> tuple[str, ...]:
        """Names of the options that differ from their defaults; `published` is a fact and no option."""
        return tuple(
            option.name
            for option in fields(self)
            if option.name != "published" and getattr(self, option.name) != option.default
        )

    def joined(self, other: TokenizerOptions) -> TokenizerOptions:
        """Add the specified options of `other`.

        Raises:
            OptionError: both specify the same option.
        """
        added = {name: getattr(other, name) for name in other.specified()}
        for name, value in added.items():
            if name in self.specified():
                raise OptionError(name, value, "`tokenizer_options` specifies it too. Pass one of the two")
        return replace(self, **added)


@dataclass(frozen=True)
class ModelLimits:
    """Limits that a model sets for its tokenizer.

    Attributes:
        vocab_size: rows of the word embedding; the vocabulary must have as many tokens.
        max_length: largest number of tokens in a sequence, special tokens included; None for a model without positions.
        token_types: rows of the segment embedding; 1 for a model without one.
    """

    vocab_size: int
    max_length: int | None
    token_types: int = 1


@dataclass(frozen=True)
class Tokenizer:
    """A tokenizer, ready to be written beside a model.

    Attributes:
        files: the text of each file by its name, to be written in UTF-8.
        sources: SHA-256 of each file that the tokenizer was made from, by its name without a directory.
        notes: remarks for the user, a line each.
        special_token_ids: ids of its special tokens by the keys of a target config, such as "pad_token_id".
    """

    files: Mapping[str, str]
    sources: Mapping[str, str]
    notes: tuple[str, ...] = ()
    special_token_ids: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class TokenizerKind:
    """A kind of tokenizer.

    Attributes:
        title: name in messages, such as "WordPiece".
        options: names of the `TokenizerOptions` that such a tokenizer takes.
        module: the module beside this one that makes it; imported when it is needed.
        roberta_pairs: True if every tokenizer of the kind has two `</s>` between the texts of a pair.
        padding_side: "right", or "left" if padding stands before a text.
        settings: keywords for `make` of the module, by which kinds of one module differ.
    """

    title: str
    options: frozenset[str]
    module: str
    roberta_pairs: bool = False
    padding_side: str = "right"
    settings: Mapping[str, object] = field(default_factory=dict)

    @property
    def file_options(self) -> tuple[str, ...]:
        """Names of the options that take one of GluonNLP's files."""
        return tuple(name for name in ("vocab", "bpe_ranks") if name in self.options)

    def check(self, options: TokenizerOptions) -> None:
        """Check that the kind takes every specified option.

        Raises:
            OptionError: an option is for other kinds of tokenizers.
        """
        for name in options.specified():
            if name not in self.options:
                raise OptionError(
                    name,
                    getattr(options, name),
                    f"this model has a {self.title} tokenizer, which takes no such option. Leave it out",
                )

    def make(self, options: TokenizerOptions, limits: ModelLimits) -> Tokenizer:
        """Make a tokenizer of this kind.

        Raises:
            FormatError: a file is missing, cannot be read or does not fit.
        """
        module = import_module(f"{__package__}.{self.module}")
        make: Callable[..., Tokenizer] = module.make
        given = replace(options, roberta_pairs=True) if self.roberta_pairs else options
        return make(given, limits, **self.settings)
