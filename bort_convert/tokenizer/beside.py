"""Find the files of a tokenizer in the directory of a checkpoint, where their names leave no doubt."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bort_convert.errors import printable

if TYPE_CHECKING:
    from pathlib import Path

    from bort_convert.tokenizer.kind import TokenizerKind, TokenizerOptions

_NAMES: Final = {
    "vocab": re.compile(r"(?!\._).*\.(vocab|spiece|model)|vocab\.txt"),
    "bpe_ranks": re.compile(r"(?!\._).*ranks.*\.(txt|json)"),
}
"""Option -> names of the files that it takes, as GluonNLP and its scripts name them."""


def options_beside(
    folder: Path, kind: TokenizerKind, options: TokenizerOptions
) -> tuple[TokenizerOptions, tuple[str, ...]]:
    """Add the files of a directory to the options of a tokenizer, if none are specified and each stands there once.

    Args:
        folder: the directory.
        kind: kind of the tokenizer.
        options: the user's.

    Returns:
        The options, and a remark on what was taken, or why nothing was.
    """
    if options.has_files:
        return options, ()
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_file())
    found = {option: [name for name in names if _NAMES[option].fullmatch(name)] for option in kind.file_options}
    for option, several in found.items():
        if len(several) > 1:
            listed = printable(", ".join(several))
            return options, (f"{len(several):,} files could be the `{option}` ({listed}): none was taken",)
    taken = {option: several[0] for option, several in found.items() if several}
    if not taken:
        return options, ()
    listed = " and ".join(printable(name) for name in taken.values())
    paths = {option: folder / name for option, name in taken.items()}
    added = replace(options, **paths)  # type: ignore[arg-type] # both options take paths
    return added, (f"the tokenizer is made from {listed} in the source's directory",)
