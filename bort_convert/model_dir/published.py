"""Published files among those that users convert: which one it is, and what the user says of it that is wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bort_convert.errors import MappingError, OptionError, printable
from bort_convert.files.streams import is_cheap
from bort_convert.tokenizer.sources import read_file
from bort_convert.zoo import recognise

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bort_convert.params import ParamsFile
    from bort_convert.tokenizer import TokenizerOptions
    from bort_convert.zoo import ZooEntry


def published_file(params: ParamsFile) -> ZooEntry | None:
    """Tell which published file an open one is; it is read whole if its size or name is that of one.

    A large file elsewhere is not read whole for that, and is none.

    Raises:
        FormatError: the file became shorter, or the system cannot read it.
    """
    content = params.content
    if not is_cheap(content.place.file):
        return None
    return recognise(content.name, content.size, content.sha1)


def check_convertible(published: ZooEntry | None) -> None:
    """Refuse a published file that has no target class, by its name.

    Raises:
        MappingError: it has none.
    """
    if published and published.refusal:
        raise MappingError(f"this is {published.name}, which GluonNLP published: {published.refusal}")


def with_casing(options: TokenizerOptions, published: ZooEntry | None) -> TokenizerOptions:
    """Add the casing of a published checkpoint to the options of its tokenizer.

    Raises:
        OptionError: the user requests the other casing.
    """
    if published is None or published.lower_case is None:
        return options
    if options.lower_case not in {None, published.lower_case}:
        reads = "lower-cased text" if published.lower_case else "text with its capital letters"
        problem = f"the file is {published.name}, by its SHA-1, and that reads {reads}. Leave it out"
        raise OptionError("lower_case", options.lower_case, problem)
    return replace(options, published=(published.name, published.lower_case))


def vocabulary_notes(options: TokenizerOptions, published: ZooEntry | None) -> Iterator[str]:
    """Compare the vocabulary that is taken for a published checkpoint with the published one, by their SHA-1."""
    if published is None or published.vocabulary is None or options.vocab is None:
        return
    file, expected = read_file(options.vocab), published.vocabulary
    name = printable(file.path.name)
    if file.sha1 == expected.sha1:
        yield f"tokenizer: {name} is the vocabulary that GluonNLP published with {published.name}"
    else:
        yield (
            f"tokenizer: {name} is not the very file that GluonNLP published with {published.name}, "
            f"{expected.file}: SHA-1 {file.sha1}, expected {expected.sha1}. Only if it has the same tokens in the "
            "same order is it right"
        )
