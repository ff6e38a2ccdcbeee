"""Compare special token ids of config.json, generation_config.json and the tokenizer, and the tokenizer's files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bort_convert.errors import FormatError
from bort_convert.mapping.family import SPECIAL_TOKEN_IDS
from bort_convert.model_dir.assemble import WEIGHTS_SUFFIX, file_digest
from bort_convert.model_dir.config import FILE_NAME as CONFIG
from bort_convert.model_dir.config import GENERATION
from bort_convert.model_dir.model_card import FILE_NAME as CARD
from bort_convert.model_dir.read import read_json
from bort_convert.model_dir.shards import INDEX
from bort_convert.models.registry import families
from bort_convert.tokenizer import KINDS
from bort_convert.tokenizer.tokenizer_json import FILE_NAME as TOKENIZER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bort_convert.model_dir.read import ModelDir

_READ_BY_TRANSFORMERS: Final = (
    TOKENIZER, "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", GENERATION,
)  # fmt: skip
_OF_OTHER_CHECKS: Final = (CONFIG, CARD, INDEX)


def has_own_tokenizer(directory: ModelDir) -> bool:
    """True if a conversion wrote the tokenizer; of any other nobody knows which ids are right."""
    return TOKENIZER in directory.conversion.files


def token_problems(directory: ModelDir, tokenizer: Any) -> list[str]:  # noqa: ANN401 - transformers has no types
    """Compare everything that tells the ids of texts and of special tokens.

    Args:
        directory: the converted directory.
        tokenizer: as transformers loads it; None without one.
    """
    problems = [*_changed_files(directory), *_generation_problems(directory)]
    return [*problems, *_tokenizer_problems(directory, tokenizer)] if tokenizer is not None else problems


def _changed_files(directory: ModelDir) -> Iterator[str]:
    """Files of the tokenizer and of text generation that are not as a conversion wrote them."""
    written = directory.conversion.files
    for name, digest in written.items():
        if name.endswith(WEIGHTS_SUFFIX) or name in _OF_OTHER_CHECKS:
            continue
        path = directory.path / name
        if not path.is_file():
            yield f"{name}: is missing"
        elif file_digest(path) != digest:
            yield f"{name}: differs from what was written"
    for name in _READ_BY_TRANSFORMERS if has_own_tokenizer(directory) else (GENERATION,):
        if name not in written and (directory.path / name).exists():
            yield f"{name}: was not there when the directory was written"


def _generation_problems(directory: ModelDir) -> Iterator[str]:
    if not (directory.path / GENERATION).is_file():
        return
    try:
        generation = read_json(directory.path / GENERATION)
    except FormatError as error:
        yield str(error)
        return
    for name in SPECIAL_TOKEN_IDS:
        if name in generation and generation[name] != directory.config.get(name):
            yield f"{GENERATION}: {name} is {generation[name]!r}, expected {directory.config.get(name)!r} by {CONFIG}"


def _tokenizer_problems(directory: ModelDir, tokenizer: Any) -> Iterator[str]:  # noqa: ANN401
    config = directory.config
    for name in SPECIAL_TOKEN_IDS:
        ours, found = config.get(name), getattr(tokenizer, name, None)
        if ours is not None and ours != found:
            yield f"{CONFIG}: {name} is {ours!r}, and the tokenizer's is {found!r}"
    rows, largest = config.get("vocab_size"), max(tokenizer.get_vocab().values())
    if isinstance(rows, int) and largest >= rows:
        yield f"{TOKENIZER}: the largest id is {largest:,}, and the model has {rows:,} rows"
    side = KINDS[families()[directory.conversion.family].tokenizer].padding_side
    if tokenizer.padding_side != side:
        yield f"tokenizer_config.json: padding_side is {tokenizer.padding_side!r}, expected {side!r}"
    positions = directory.conversion.dims.get("max_positions")
    if positions is not None and tokenizer.model_max_length > positions:
        yield f"tokenizer_config.json: model_max_length is {tokenizer.model_max_length:,}, expected {positions:,}"
