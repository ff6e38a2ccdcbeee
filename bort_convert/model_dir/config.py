"""Make config.json and generation_config.json of the target model."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, get_args

from bort_convert.arguments import ProblemType
from bort_convert.dtypes import BFLOAT16, FLOATS
from bort_convert.errors import OptionError, printable
from bort_convert.mapping.family import SPECIAL_TOKEN_IDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bort_convert.arguments import FloatDtype
    from bort_convert.dtypes import Hyperparameter
    from bort_convert.mapping.family import Family
    from bort_convert.mapping.fit import Fit
    from bort_convert.model_dir.manifest import Manifest

FILE_NAME: Final = "config.json"
GENERATION: Final = "generation_config.json"
_GENERATING: Final = (
    "GPT2LMHeadModel", "XLNetLMHeadModel", "BartForConditionalGeneration", "T5ForConditionalGeneration",
)  # fmt: skip
_GENERATION_IDS: Final = (
    "bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id", "forced_eos_token_id",
)  # fmt: skip
PROBLEM_TYPES: Final[tuple[ProblemType, ...]] = get_args(ProblemType)
_REGRESSION: Final[ProblemType] = "regression"
_SINGLE_LABEL: Final[ProblemType] = "single_label_classification"


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
        dtype: dtype of the written tensors; by default the widest of the checkpoint's.
        labels: names of the outputs of a classifier or a tagger, in their order; by default those of the user's own
            table, or else LABEL_0, LABEL_1, ...
        problem_type: task of a classifier; by default "regression" for one output, else "single_label_classification".

    Raises:
        OptionError: the dtype is no floating-point one, or labels or problem type do not go with the model.
    """
    if dtype is not None and dtype not in FLOATS:
        raise OptionError("dtype", dtype, f"expected one of {', '.join(FLOATS)}")
    stored = widest_dtype(spec.dtype for step in fit.plan.steps for spec in step.targets)
    outputs = fit.plan.dims.get("labels")
    _refuse_foreign_options(fit, labels, problem_type)
    if outputs is None:
        return _completed(fit.config, dtype or stored)
    labels = (fit.table.labels or None) if labels is None else labels
    names = None if labels is None else checked_labels(labels, outputs)
    if problem_type is not None and problem_type not in PROBLEM_TYPES:
        raise OptionError("problem_type", problem_type, f"expected one of {', '.join(PROBLEM_TYPES)}")
    if problem_type == _SINGLE_LABEL and outputs == 1:
        raise OptionError("problem_type", problem_type, "the classifier has one output, expected two or more")
    return _completed(fit.config, dtype or stored, outputs, names, problem_type)


def _refuse_foreign_options(fit: Fit, labels: Sequence[str] | None, problem_type: ProblemType | None) -> None:
    """Refuse labels where there are no outputs to name, and a problem type where texts have no class."""
    has_labels = "labels" in fit.plan.dims
    places = (
        ("labels", labels, has_labels, "a classifier or a tagger"),
        ("problem_type", problem_type, has_labels and not _is_tagger(fit.config), "a classifier of texts"),
    )
    for option, value, has_place, receiver in places:
        if value is not None and not has_place:
            raise OptionError(option, value, f"is for {receiver}; the checkpoint is a {fit.table.title}. Leave it out")


def _is_tagger(config: Mapping[str, Any]) -> bool:
    """True if the target class has labels for tokens and none for texts, and so no problem type."""
    return str(config["architectures"][0]).endswith("ForTokenClassification")


def expected_config(manifest: Manifest, family: Family) -> dict[str, object]:
    """Make the config.json that a conversion with this manifest writes.

    Args:
        manifest: of the conversion.
        family: the family that the manifest names.

    Raises:
        KeyError: a size or hyperparameter is missing.
    """
    known = {**manifest.hyperparameters, **manifest.dims}
    config = {"architectures": [manifest.architecture], **{key.name: key.value(known) for key in family.config}}
    options = manifest.options
    dtype = options.get("dtype") or widest_dtype(tensor.dtype for tensor in manifest.tensors.values())
    return _completed(
        with_special_tokens(config, family, known),
        dtype,
        manifest.dims.get("labels"),
        options.get("labels"),
        options.get("problem_type"),
    )


def _completed(
    config: Mapping[str, object],
    dtype: str,
    outputs: int | None = None,
    labels: Sequence[str] | None = None,
    problem_type: str | None = None,
) -> dict[str, object]:
    """Add the dtype, and what a classifier with this number of outputs has."""
    # transformers before 4.56 knows the dtype by another key; newer releases read both.
    config = {**config, "dtype": dtype, "torch_dtype": dtype}
    if outputs is None:
        return config
    names = [f"LABEL_{number}" for number in range(outputs)] if labels is None else labels
    config["id2label"] = {str(number): name for number, name in enumerate(names)}
    config["label2id"] = {name: number for number, name in enumerate(names)}
    if not _is_tagger(config):
        config["problem_type"] = problem_type or (_REGRESSION if outputs == 1 else _SINGLE_LABEL)
    return config


def widest_dtype(dtypes: Iterable[str]) -> str:
    """The floating-point dtype that holds values of all these: float32 for float16 beside bfloat16."""
    found = set(dtypes)
    half = found & {"float16", BFLOAT16}
    return next(
        (dtype for dtype in ("float64", "float32") if dtype in found), half.pop() if len(half) == 1 else "float32"
    )


def dtype_notes(dtypes: Iterable[str]) -> tuple[str, ...]:
    """A remark on tensors of several floating-point dtypes, one of which transformers loads all of them as."""
    counts = Counter(dtype for dtype in dtypes if dtype in FLOATS)
    if not len(counts) > 1:
        return ()
    named = ", ".join(f"{count:,} {dtype}" for dtype, count in counts.most_common())
    return (f"tensors keep their dtypes ({named}); transformers loads all of them as {widest_dtype(counts)}",)


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


def checked_labels(labels: Sequence[str], outputs: int) -> list[str]:
    """Check that there is one distinct, printable label for each output.

    Raises:
        OptionError: a label is no such text, or their number is wrong; the message names the first.
    """
    if isinstance(labels, str) or not isinstance(labels, Iterable):
        found = "one string" if isinstance(labels, str) else type(labels).__name__
        raise OptionError("labels", labels, f"is {found}; expected a list of strings, one for each output")
    names = list(labels)
    numbers: dict[str, int] = {}
    for number, name in enumerate(names, 1):
        if problem := _label_problem(name):
            raise OptionError("labels", names, f"label {number:,} is {problem}")
        same = numbers.setdefault(unicodedata.normalize("NFC", name), number)
        if same != number:
            raise OptionError("labels", names, f"label {number:,} is {printable(repr(name))}, as is label {same:,}")
    if len(names) != outputs:
        raise OptionError("labels", names, f"has {len(names):,} names; expected {outputs:,}, one for each output")
    return names


def _label_problem(name: object) -> str:
    """What a label is in place of a printable text; "" if it is one."""
    if not isinstance(name, str):
        return f"{printable(repr(name))}, expected a string"
    if not name.strip():
        return f"empty ({printable(repr(name))})"
    if not name.isprintable():
        return f"{printable(ascii(name))}, expected characters that can be printed"
    return ""
