"""Recognise what makes transformers run more, or something else, than the config and the weights of a directory say.

Source: transformers 5.23, modeling_utils.py, integrations/peft.py and dynamic_module_utils.py; sentence-transformers 5,
SentenceTransformer.py
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from bort_convert.errors import FormatError, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

MODULES: Final = "modules.json"
_ADAPTER: Final = (
    "a PEFT adapter, which is loaded on top of these weights. Merge it (merge_and_unload) and save the model"
)
_QUANTIZED: Final = "the weights are quantized. Dequantize them (dequantize) and save the model"
# File -> the problem with it; a name that ends in a dot stands for all that begin so.
_FILES: Final = {
    "adapter_config.json": _ADAPTER,
    "adapter_model.": _ADAPTER,
    "quantize_config.json": _QUANTIZED,
}
# Key of config.json -> the problem with it, unless its value is null.
_KEYS: Final = {
    "quantization_config": _QUANTIZED,
    "auto_map": "the model is of a class of its own, in Python code beside the weights, which is never run",
    "per_layer_config": "layers have configs of their own; expected one config for all",
}
_HARMLESS_MODULES: Final = ("Transformer", "Pooling", "Normalize")


def check_foreign(folder: Path, config: Mapping[str, Any]) -> None:
    """Refuse a directory whose model is not the one that config and weights say.

    Raises:
        FormatError: there is an adapter, quantization, code of the model's own, or another part of the model.
    """
    for path in sorted(folder.iterdir()):
        for name, problem in _FILES.items():
            if path.name == name or (name.endswith(".") and path.name.startswith(name)):
                raise FormatError(f"{printable(str(path))}: {problem}")
    for key, problem in _KEYS.items():
        if config.get(key) is not None:
            raise FormatError(f"{folder / 'config.json'}: {key}: {problem}")
    if others := [name for name in _modules(folder) if name not in _HARMLESS_MODULES]:
        raise FormatError(
            f"{folder / MODULES}: sentence-transformers runs {printable(others[0])} behind the model, and a checkpoint "
            "has no place for it. Move the file away to go on without it"
        )


def modules_notes(folder: Path) -> Iterator[str]:
    """A remark on the harmless parts of a sentence-transformers model, which work on the outputs of this one."""
    if behind := [name for name in _modules(folder) if name != _HARMLESS_MODULES[0]]:
        yield f"what sentence-transformers runs behind the model is left out: {', '.join(behind)} ({MODULES})"


def _modules(folder: Path) -> list[str]:
    """Class names in modules.json; none if there is no such file."""
    path = folder / MODULES
    if not path.exists():
        return []
    try:
        return [str(module["type"]).rpartition(".")[2] for module in json.loads(path.read_text("utf-8"))]
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise FormatError(f"{path}: is no list of modules: {error!r}") from error
