"""Arguments that several public functions take: literal types, and the old name of one argument.

A type checker flags a value outside of a literal type; the function raises an OptionError for it.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from bort_convert.errors import OptionError

FamilyName: TypeAlias = Literal[
    "albert", "bart", "bert", "bert-1.0", "bort", "distilbert", "electra", "ernie", "gpt2", "gpt2-1.0", "mobilebert",
    "mt5", "roberta", "roberta-1.0", "t5", "xlm-roberta", "xlnet",
]  # fmt: skip
"""A model family of `bort_convert.models`; `-1.0` stands for GluonNLP 1.0 where 0.x has the model too."""
FloatDtype: TypeAlias = Literal["float16", "bfloat16", "float32", "float64"]
"""A dtype that `convert` writes."""
ProblemType: TypeAlias = Literal["regression", "single_label_classification", "multi_label_classification"]
"""The task of a classifier, by transformers' name."""
NameStyle: TypeAlias = Literal["structural", "prefix", "source"]
"""Names in a `.params` file: those of `save_parameters`, those of `collect_params().save`, or those that a converted
file had."""
RunDtype: TypeAlias = Literal["float32", "float64", "both"]
"""The precision of a verification's runs."""
Device: TypeAlias = Literal["cpu", "cuda"]
"""The device that torch runs on."""


def version_argument(gluonnlp_version: str | None, producer: str | None) -> str | None:
    """Take the GluonNLP version from `gluonnlp_version`, or from `producer`, its name in release 0.1.

    Raises:
        OptionError: both are given.
    """
    if gluonnlp_version is not None and producer is not None:
        raise OptionError("producer", producer, "is the old name of `gluonnlp_version`. Pass one of the two")
    return producer if gluonnlp_version is None else gluonnlp_version
