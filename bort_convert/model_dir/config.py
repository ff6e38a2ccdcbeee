"""Make config.json and generation_config.json of the target model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, get_args

from bort_convert.arguments import ProblemType
from bort_convert.dtypes import FLOATS
from bort_convert.errors import OptionError
from bort_convert.mapping.family import SPECIAL_TOKEN_IDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bort_convert.arguments import FloatDtype
    from bort_convert.dtypes import Hyperparameter
    from bort_convert.mapping.family import Family
    from bort_convert.mapping.fit import Fit

FILE_NAME: Final = "config.json"
GENERATION: Final = "generation_config.json"
_GENERATING: Final = ("GPT2LMHeadModel", "XLNetLMHeadModel")
_GENERATION_IDS: Final = ("bos_token_id", "eos_token_id", "pad_token_id")
PROBLEM_TYPES: Final[tuple[ProblemType, ...]] = get_args(ProblemType)


def target_config(
    fit: Fit,
    *,
    dtype: FloatDtype | None = None,
    labels: Sequence[str] | None = None,
    problem_type: ProblemType | None = None,
) -> dict[str, object]:
    """Make the target config.

    Args:
        fit: the checkpoint's family, sizes and hyperparameters.
        dtype: dtype of the written tensors; by default the checkpoint's.
        labels: names of a classifier's outputs, in their order; by default LABEL_0, LABEL_1, ...
        problem_type: task of a classifier; by default "regression" for one output, else "single_label_classification".

    Raises:
        OptionError: the dtype is no floating-point one, or labels or problem type do not go with the model.
    """
    if dtype is not None and dtype not in FLOATS:
        raise OptionError("dtype", dtype, f"expected one of {', '.join(FLOATS)}")
    stored = next(spec.dtype for step in fit.plan.steps for spec in step.targets)
    # transformers before 4.56 knows the dtype by another key; newer releases read both.
    config = {**fit.config, "dtype": dtype or stored, "torch_dtype": dtype or stored}
    outputs = fit.plan.dims.get("labels")
    if outputs is None:
        for option, value in (("labels", labels), ("problem_type", problem_type)):
            if value is not None:
                raise OptionError(
                    option, value, f"is for a classifier; the checkpoint is a {fit.table.title}. Leave it out"
                )
        return config
    names = [f"LABEL_{number}" for number in range(outputs)] if labels is None else _checked_labels(labels, outputs)
    if problem_type is not None and problem_type not in PROBLEM_TYPES:
        raise OptionError("problem_type", problem_type, f"expected one of {', '.join(PROBLEM_TYPES)}")
    config["id2label"] = {str(number): name for number, name in enumerate(names)}
    config["label2id"] = {name: number for number, name in enumerate(names)}
    config["problem_type"] = problem_type or PROBLEM_TYPES[0 if outputs == 1 else 1]
    return config


def with_special_tokens(
    config: Mapping[str, Any], family: Family, ids: Mapping[str, Hyperparameter]
) -> dict[str, object]:
    """Replace the special token ids of a target config; null stands for one that the class would have a default for.

    Args:
        config: the target config.
        family: family of the model.
        ids: hyperparameters, special token ids among them.
    """
    kept = {name: value for name, value in config.items() if name not in SPECIAL_TOKEN_IDS}
    required = {key.name: ids.get(key.source) for key in family.config if key.source in SPECIAL_TOKEN_IDS}
    return {**kept, **required, **{name: ids[name] for name in SPECIAL_TOKEN_IDS if name in ids}}


def generation_config_of(config: Mapping[str, Any]) -> dict[str, object] | None:
    """Make generation_config.json for a target config; None if the target class generates no text."""
    if config["architectures"][0] not in _GENERATING:
        return None
    return {name: config[name] for name in _GENERATION_IDS if config.get(name) is not None}


def json_text(config: Mapping[str, object]) -> str:
    """Text of config.json or generation_config.json."""
    return json.dumps(config, indent=2, sort_keys=True) + "\n"


def _checked_labels(labels: Sequence[str], outputs: int) -> list[str]:
    """Check that there is one distinct label for each output."""
    if isinstance(labels, str):
        raise OptionError("labels", labels, "is one string; expected a list of strings, one for each output")
    names = list(labels)
    if len(names) != outputs or len(set(names)) != outputs:
        raise OptionError(
            "labels",
            names,
            f"has {len(set(names)):,} different names; expected {outputs:,}, one for each of the outputs",
        )
    return names
