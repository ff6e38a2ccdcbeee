"""Weights in more than one file: where to cut, what the files are called, and the index that names them.

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

from bort_convert.errors import VariantError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bort_convert.dtypes import TensorSpec

WEIGHTS: Final = "model.safetensors"
INDEX: Final = f"{WEIGHTS}.index.json"
DEFAULT_SIZE: Final = "5GB"
_UNITS: Final = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


def size_in_bytes(size: str) -> int:
    """The bytes that a size such as "5GB" means; units are powers of ten, as in transformers.

    Raises:
        VariantError: it means none.
    """
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?) *([KMGT]B)", size.strip().upper())
    limit = int(float(found[1]) * _UNITS[found[2]]) if found else 0
    if not limit:
        raise VariantError(f"{size!r} is no size of a file; expected a number and a unit, such as 5GB or 200MB")
    return limit


def cut(specs: Sequence[TensorSpec], limit: int) -> dict[str, list[TensorSpec]]:
    """The tensors of each file by its name, for files of at most `limit` bytes of values.

    Args:
        specs: what to write, in any order.
        limit: in bytes.
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
    """The text of `model.safetensors.index.json`, which says where each tensor stands."""
    specs = [spec for file in files.values() for spec in file]
    metadata = {
        "total_parameters": sum(prod(spec.shape) for spec in specs),
        "total_size": sum(spec.nbytes for spec in specs),
    }
    places = {spec.name: name for name, file in files.items() for spec in file}
    return json.dumps({"metadata": metadata, "weight_map": places}, indent=2, sort_keys=True) + "\n"


def _natural_order(spec: TensorSpec) -> list[tuple[int, int, str]]:
    """The parts of a name, numbers as numbers and before words."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in spec.name.split(".")]
