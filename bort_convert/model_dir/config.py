"""The target model's config.json: what the fit says, the dtype, and what a classifier's labels are called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bort_convert.dtypes import FLOATS
from bort_convert.errors import VariantError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bort_convert.mapping.fit import Fit

FILE_NAME: Final = "config.json"
REGRESSION: Final = "regression"
PROBLEM_TYPES: Final = (REGRESSION, "single_label_classification", "multi_label_classification")
_AXIS: Final = "labels"


def config_of(
    fit: Fit, *, dtype: str | None = None, labels: Sequence[str] | None = None, problem_type: str | None = None
) -> dict[str, object]:
    """The target config, key by key.

    Args:
        fit: what the source is.
        dtype: of the tensors that are written; by default that of the source.
        labels: names of a classifier's outputs, in their order; LABEL_0, LABEL_1, ... by default.
        problem_type: what a classifier does; by default a regression where it has one output, else one label of many.

    Raises:
        VariantError: the dtype is no floating-point one, there is no classifier, its outputs are not as many as the
            labels, or labels come twice.
    """
    if dtype not in {None, *FLOATS}:
        raise VariantError(f"dtype is {dtype!r}, expected one of {', '.join(FLOATS)}")
    stored = next(spec.dtype for step in fit.plan.steps for spec in step.targets)
    # Releases before 4.56 know the dtype by another name; newer ones take both.
    config = {**fit.config, "dtype": dtype or stored, "torch_dtype": dtype or stored}
    count = fit.plan.dims.get(_AXIS)
    if count is None:
        if labels or problem_type:
            option = "--labels" if labels else "--problem-type"
            raise VariantError(f"{option} is for a classifier; the checkpoint is a {fit.table.title}. Leave it out")
        return config
    names = [f"LABEL_{number}" for number in range(count)] if labels is None else list(labels)
    if len(names) != count or len(set(names)) != count:
        raise VariantError(
            f"--labels has {len(set(names)):,} different names; expected {count:,}, one for each of the outputs"
        )
    config["id2label"] = {str(number): name for number, name in enumerate(names)}
    config["label2id"] = {name: number for number, name in enumerate(names)}
    config["problem_type"] = problem_type or PROBLEM_TYPES[0 if count == 1 else 1]
    if config["problem_type"] not in PROBLEM_TYPES:
        raise VariantError(f"problem_type is {problem_type!r}, expected one of {', '.join(PROBLEM_TYPES)}")
    return config
