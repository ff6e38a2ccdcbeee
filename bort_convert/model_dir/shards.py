"""Distribute weights over several files: where to cut, the names of the files, and the index.

The cuts are those of `save_pretrained` in transformers 5: tensors in the order of their names, layer 2 before layer 10,
fill a file until the next one would not fit, and a tensor larger than the limit has a file of its own.

Source: huggingface_hub, serialization/_base.py, split_state_dict_into_shards_factory; transformers 5.23,
core_model_loading.py, revert_weight_conversion.
"""

from __future__ import annotations

import json
import re
from math import prod
from typing import TYPE_CHECKING, Final

from bort_convert.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bort_convert.dtypes import TensorSpec

WEIGHTS: Final = "model.safetensors"
INDEX: Final = f"{WEIGHTS}.index.json"
EXTRA: Final = "extra.safetensors"
"""Tensors of the source that are not the model's; transformers does not read the file."""
DEFAULT_SIZE: Final = "5GB"
_BYTES: Final = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


def shard_bytes(max_shard_size: str) -> int:
    """Parse a size such as "5GB" into bytes; units are powers of ten, as in transformers.

    Raises:
        OptionError: the text is no size.
    """
    text = max_shard_size.strip().upper() if isinstance(max_shard_size, str) else ""
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?) *([KMGT]B)", text)
    limit = int(float(match[1]) * _BYTES[match[2]]) if match else 0
    if not limit:
        raise OptionError(
            "max_shard_size", max_shard_size, "is no file size; expected a number and a unit, such as 5GB or 200MB"
        )
    return limit


def cut(specs: Sequence[TensorSpec], limit: int) -> dict[str, list[TensorSpec]]:
    """Distribute tensors over files.

    Args:
        specs: the tensors, in any order.
        limit: largest number of bytes of values in a file.

    Returns:
        The tensors of each file, by file name.
    """
    files: list[list[TensorSpec]] = []
    current: list[TensorSpec] = []
    free = limit
    for spec in sorted(specs, key=_natural_order):
        if spec.nbytes > limit:
            files.append([spec])
            continue
        if spec.nbytes > free:
            files.append(current)
            current, free = [], limit
        current.append(spec)
        free -= spec.nbytes
    files += [current] if current else []
    if len(files) == 1:
        return {WEIGHTS: files[0]}
    return {f"model-{number:05}-of-{len(files):05}.safetensors": file for number, file in enumerate(files, 1)}


def index_text(files: Mapping[str, Sequence[TensorSpec]]) -> str:
    """Text of `model.safetensors.index.json`, which names the file of each tensor."""
    specs = [spec for file in files.values() for spec in file]
    metadata = {
        "total_parameters": sum(prod(spec.shape) for spec in specs),
        "total_size": sum(spec.nbytes for spec in specs),
    }
    weight_map = {spec.name: name for name, file in files.items() for spec in file}
    return json.dumps({"metadata": metadata, "weight_map": weight_map}, indent=2, sort_keys=True) + "\n"


def _natural_order(spec: TensorSpec) -> list[tuple[int, int, str]]:
    """Sort key of a name by its parts: numbers by value, and before words."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in spec.name.split(".")]
