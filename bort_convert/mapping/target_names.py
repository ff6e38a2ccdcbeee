"""Map tensor names in a transformers directory to the names in our tables; recognise tied aliases and buffers.

Source: transformers 5.23, models/bert/modeling_bert.py, models/roberta/modeling_roberta.py and
models/gpt2/modeling_gpt2.py, `_tied_weights_keys` and `position_ids`; conversion_mapping.py, "legacy". transformers
4.20, models/gpt2/modeling_gpt2.py, `bias` and `masked_bias`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bort_convert.errors import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# Ends of names in early releases of transformers -> ends of the same names today.
_LEGACY: Final = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}
# End of a buffer's name -> end of the name of the tensor with a row for each position.
_COUNTERS: Final = {"embeddings.position_ids": "embeddings.position_embeddings.weight"}
_MASKS: Final = {".attn.bias": "wpe.weight", ".attn.masked_bias": "wpe.weight"}


@dataclass(frozen=True)
class NameMap:
    """The tensors of a directory: targets of a table, aliases of tied tensors, and buffers without weights.

    Attributes:
        targets: name of the target -> name in the directory.
        aliases: alias of a tied tensor -> its original, by their names in the directory; both must hold the same bits.
        counters: buffer that must count from 0 -> the tensor with a row for each number.
        masks: causal mask, or its `masked_bias` scalar -> the tensor with a row for each position.
        clashes: a line for each two names that mean the same target.
    """

    targets: Mapping[str, str]
    aliases: Mapping[str, str]
    counters: Mapping[str, str]
    masks: Mapping[str, str]
    clashes: tuple[str, ...]


def map_names(names: Iterable[str], base: str, aliases: Mapping[str, str]) -> NameMap:
    """Map the names in a directory.

    Args:
        names: names of its tensors; without `base` where the backbone was saved alone.
        base: prefix of the backbone's targets.
        aliases: aliases of tied tensors that transformers may write; see `Family.aliases`.
    """
    names = list(names)
    is_backbone = not any(name.startswith(base) for name in names)
    targets: dict[str, str] = {}
    clashes = []
    for name in names:
        target = base + name if is_backbone else name
        target = next((target.removesuffix(old) + new for old, new in _LEGACY.items() if target.endswith(old)), target)
        if target in targets:
            one, other = printable(name), printable(targets[target])
            clashes.append(f"{one}: is the same tensor as {other}; expected one of them")
        targets.setdefault(target, name)
    found_aliases, counters, masks = (_take_companions(targets, ends) for ends in (aliases, _COUNTERS, _MASKS))
    return NameMap(targets, found_aliases, counters, masks, tuple(clashes))


def _take_companions(targets: dict[str, str], ends: Mapping[str, str]) -> dict[str, str]:
    """Remove the tensors that accompany another one from `targets`.

    Args:
        targets: target -> name in the directory.
        ends: end of the companion's name -> end of the other tensor's name.

    Returns:
        Name of each companion in the directory -> name of the other tensor there.
    """
    companions = {}
    for companion_end, other_end in ends.items():
        others = [target for target in targets if target.endswith(other_end)]
        for target in [target for target in targets if target.endswith(companion_end)] if others else ():
            companions[targets.pop(target)] = targets[others[0]]
    return companions
