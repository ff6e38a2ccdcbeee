"""Names in a directory, brought to those that a table makes; and what transformers writes beside them.

That is second names of tied tensors, and buffers that hold no weights.

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

_LEGACY: Final = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}
_COUNTED: Final = {"embeddings.position_ids": "embeddings.position_embeddings.weight"}
_MASKS: Final = {".attn.bias": "wpe.weight", ".attn.masked_bias": "wpe.weight"}


@dataclass(frozen=True)
class NameMap:
    """Where a directory has what, by the names that it has itself.

    Attributes:
        targets: name that a table makes -> name in the directory.
        aliases: second name of a tied tensor -> the first; both must hold the same bits.
        counters: buffer that must count from 0 -> the tensor that has a row for each number.
        masks: buffer that must hide later tokens, or the number that hides -> the tensor with a row for each position.
        clashes: a line for each two names that mean the same tensor.
    """

    targets: Mapping[str, str]
    aliases: Mapping[str, str]
    counters: Mapping[str, str]
    masks: Mapping[str, str]
    clashes: tuple[str, ...]


def map_names(names: Iterable[str], base: str, aliases: Mapping[str, str]) -> NameMap:
    """What each name in a directory means.

    Args:
        names: of its tensors; those of a backbone that was saved alone have no base.
        base: the prefix of the backbone's targets.
        aliases: the family's second names; see `Family`.
    """
    known = list(names)
    bare = not any(name.startswith(base) for name in known)
    found: dict[str, str] = {}
    clashes = []
    for name in known:
        target = base + name if bare else name
        target = next((target.removesuffix(old) + new for old, new in _LEGACY.items() if target.endswith(old)), target)
        if target in found:
            one, other = printable(name), printable(found[target])
            clashes.append(f"{one}: is the same tensor as {other}; expected one of them")
        found.setdefault(target, name)
    tied, counters, masks = (_taken(found, names) for names in (aliases, _COUNTED, _MASKS))
    return NameMap(found, tied, counters, masks, tuple(clashes))


def _taken(places: dict[str, str], known: Mapping[str, str]) -> dict[str, str]:
    """Take out what is known to stand beside another tensor, by the ends of both names; give it with that other one."""
    taken = {}
    for end, other in known.items():
        beside = next((target for target in places if target.endswith(other)), "")
        for target in [target for target in places if target.endswith(end)] if beside else ():
            taken[places.pop(target)] = places[beside]
    return taken
