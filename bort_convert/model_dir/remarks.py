"""Remarks on a conversion: what was taken for granted, and what the stock class computes otherwise.

The stock class is the transformers class as `from_pretrained` makes it, by config.json alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bort_convert.errors import printable
from bort_convert.mapping.family import (
    MASKED_LM_CLASSES,
    MODULE_OVERRIDES,
    SPECIAL_TOKEN_IDS,
    SYNONYMS,
    stock_differences,
)
from bort_convert.models.registry import families

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from bort_convert.dtypes import Hyperparameter
    from bort_convert.mapping.family import Family
    from bort_convert.model_dir.manifest import Manifest

_NEGLIGIBLE: Final = frozenset({"head_layer_norm_eps"})
"""Differences of the stock class that are documented as harmless: at most 6e-5 in the logits (docs/parity.md)."""
_BY_ITSELF: Final = frozenset({"XLNetForQuestionAnswering"})
"""Model classes that no `AutoModel...` class loads; for a question, that loads a simpler XLNet."""
_AS_USED: Final = "as used"
"""The check of a verification that runs the stock class."""
_MEASURED: Final = {
    "head_hidden_act": "up to 0.7 in the logits of the masked-language-model head",
    "head_layer_norm_eps": "up to 6e-5 in the logits of the masked-language-model head",
    "embedding_layer_norm_eps": "up to 6e-3 in the hidden states",
    "clamp_len": "up to 0.4 in the hidden states",
}
"""The largest difference of the stock class, measured on models of 2 to 4 layers with weights as training leaves them:
live against GluonNLP 0.8.3, and against `load_pretrained` for 0.9; the clamp length against the script of XLNet."""


def auto_class(architecture: str) -> str:
    """Name of the `AutoModel...` class of transformers that loads a model class; its own if none does."""
    if architecture in _BY_ITSELF:
        return architecture
    if architecture.endswith("LMHeadModel"):
        return "AutoModelForCausalLM"
    if architecture.endswith("ForConditionalGeneration"):
        return "AutoModelForSeq2SeqLM"
    _, purpose, head = architecture.partition("For")
    return f"AutoModel{purpose}{head}"


def size_name(family: str, variant: str, dims: Mapping[str, int]) -> str:
    """Name of a published size, or a remark that the size or its vocabulary was not published."""
    known = families().get(family)
    same = [other.name for other in known.variants if other.dims.items() <= dims.items()] if known else []
    return variant or (f"sizes of {same[0]}, another vocabulary" if same else "a size that was not published")


def assumptions(manifest: Manifest) -> list[str]:
    """What a conversion took for granted, a line each."""
    family = families().get(manifest.family)
    if family is None:
        return []
    lines = [
        *told_hyperparameters(str(manifest.options.get("symbol", {}).get("name", "")), manifest.told),
        *assumed_hyperparameters(family, manifest.architecture, manifest.hyperparameters, manifest.assumed),
    ]
    return lines if manifest.tokenizer else [*lines, *absent_special_tokens(family, manifest.hyperparameters)]


def told_hyperparameters(graph: str, told: Mapping[str, Hyperparameter]) -> Iterator[str]:
    """A line for the hyperparameters that an exported network told.

    Args:
        graph: name of its file.
        told: the hyperparameters.
    """
    if told:
        values = ", ".join(f"{name} {value}" for name, value in sorted(told.items()))
        yield f"by the exported network {printable(graph)}: {values}"


def assumed_hyperparameters(
    family: Family, architecture: str, hyperparameters: Mapping[str, Hyperparameter], assumed: Iterable[str]
) -> list[str]:
    """A line for the hyperparameters that were taken for granted, and one for the special token ids."""
    has_head = architecture.endswith(MASKED_LM_CLASSES)
    names = [name for name in hyperparameters if name in frozenset(assumed)]
    others = [
        f"{name} {hyperparameters[name]}"
        for name in names
        if name not in SPECIAL_TOKEN_IDS and (has_head or not name.startswith("head_"))
    ]
    ids = [_token(name, hyperparameters[name]) for name in names if name in SPECIAL_TOKEN_IDS]
    lines = []
    if others:
        values, example = ", ".join(others), _other_choice(family, hyperparameters, names)
        lines = [
            f"taken for granted, nothing in the file tells: {values}; `hyperparameters=...` says otherwise{example}"
        ]
    if ids:
        lines.append(f"special token ids by {family.title}'s own vocabulary: {', '.join(ids)}: no vocabulary was given")
    return lines


def _other_choice(family: Family, hyperparameters: Mapping[str, Hyperparameter], assumed: Iterable[str]) -> str:
    """The argument that says otherwise, where GluonNLP has exactly one other value of an assumed hyperparameter."""
    synonyms = {name: synonym for synonym, name in SYNONYMS.items()}
    for name in assumed:
        others = [value for value in family.choices.get(name, ()) if value != hyperparameters[name]]
        if len(others) == 1:
            return f", such as `hyperparameters={ {synonyms.get(name, name): others[0]} }`"
    return ""


def absent_special_tokens(family: Family, hyperparameters: Mapping[str, Hyperparameter]) -> Iterator[str]:
    """A line for the family's special token ids that a vocabulary of this size has no row for."""
    absent = [
        _token(name, value)
        for name, value in family.hyperparameters.items()
        if name in SPECIAL_TOKEN_IDS and name not in hyperparameters
    ]
    if absent:
        yield (
            f"special token ids left out: {', '.join(absent)} by {family.title}'s own vocabulary, and this one has no "
            "such row: no vocabulary was given"
        )


def stock_class_is_right(architecture: str, hyperparameters: Mapping[str, Hyperparameter]) -> bool:
    """True if the stock class computes what the original does, but for the harmless deviation of a head's epsilon."""
    return stock_differences(architecture, hyperparameters).keys() <= _NEGLIGIBLE


def stock_class_note(manifest: Manifest) -> str:
    """A sentence on what the stock class computes otherwise, and by how much; "" if that is nothing."""
    differences = stock_differences(manifest.architecture, manifest.hyperparameters)
    if not differences:
        return ""
    named = " and ".join(f"{MODULE_OVERRIDES[name]} {value}" for name, value in differences.items())
    figures = " and ".join(_MEASURED[name] for name in differences if name not in _NEGLIGIBLE or len(differences) == 1)
    measured = manifest.parity.get("checks", {}).get(_AS_USED, "").partition("\n")[0]
    rest = f"; measured here: {measured}" if measured else ""
    return f"The config has no key for {named}: the stock class is off by {figures}{rest}"


def _token(name: str, value: Hyperparameter) -> str:
    return f"{name.removesuffix('_token_id')} {value}"
