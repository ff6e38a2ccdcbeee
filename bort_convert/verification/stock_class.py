"""Compare the stock class with the reference too: the difference that each of our settings makes, as a note.

The stock class is the transformers class as `from_pretrained` makes it: epsilons, activations and positions by its
config alone. The verified model differs from it in module overrides, in epsilons rounded to float32, and in positions.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from bort_convert.mapping.family import MODULE_OVERRIDES
from bort_convert.verification import torch_run
from bort_convert.verification.compare import compare
from bort_convert.verification.headline import excess, label
from bort_convert.verification.torch_modules import Model, epsilon_of, first_position, has_float32_sinusoids, layout_of
from bort_convert.verification.trace import LAYER, MLM_LOGITS, is_valid, output_order, stacks_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bort_convert.dtypes import Array, Hyperparameter
    from bort_convert.verification.compare import Run
    from bort_convert.verification.trace import Trace

    Outputs = Mapping[str, Array]
    Overrides = Mapping[str, Hyperparameter]


def notes_on_stock_class(trace: Trace, model: Model, overrides: Overrides, dtype: str, outputs: Outputs) -> list[str]:
    """Run the model without one of our settings after the other; give a note for each.

    Args:
        trace: the reference.
        model: the target model in this precision; its epsilons and activations are changed.
        overrides: its module overrides.
        dtype: the precision.
        outputs: of the verified model.
    """
    notes = []
    if dtype == "float64":
        notes = [*_epsilon_notes(trace, model, overrides), *_position_notes(trace, model, overrides)]
        notes += _precision_notes(trace, model, overrides)
    for name in overrides:
        others = {key: value for key, value in overrides.items() if key != name}
        torch_run.apply_module_overrides(model, others, as_float32=True)
        if numbers := _numbers_without(trace, model, name, dtype, outputs):
            module = f"{MODULE_OVERRIDES[name]}, {overrides[name]}"
            notes.append(f"{dtype}: the config has no place for {module}, which load_pretrained sets: {numbers}")
    return notes


def _epsilon_notes(trace: Trace, model: Model, overrides: Overrides) -> list[str]:
    """The difference with LayerNorm's epsilon as config.json has it, not rounded to float32 as in MXNet."""
    if not torch_run.apply_module_overrides(model, overrides):
        return []  # a model without a LayerNorm
    outputs = torch_run.run_model(model, trace.inputs)
    worst = _largest(compare(trace, {"float64": outputs})[0])
    epsilon = epsilon_of(model)
    given = f"MXNet holds LayerNorm's epsilon as a float32, so torch is given {float(np.float32(epsilon))!r}"
    return [f"float64: {given}; with {epsilon!r}, as config.json has it, max |d| is {worst:.2g}"]


def _position_notes(trace: Trace, model: Model, overrides: Overrides) -> list[str]:
    """The difference with the positions or sinusoids of the class, where they are not the model's."""
    ids, first = trace.inputs["input_ids"], first_position(model)
    if first and first - 1 in ids[is_valid(trace.inputs, stacks_of(trace.inputs)[0])]:
        counts = f"the stock class does not count the padding id {first - 1}"
        setting = f"torch is given the positions; {counts}, and with one among the tokens"
    elif has_float32_sinusoids(model):
        setting = "torch is given sinusoids in float64; the stock class makes float32 ones, with which"
    else:
        return []
    torch_run.apply_module_overrides(model, overrides, as_float32=True)
    worst = _largest(compare(trace, {"float64": torch_run.run_model(model, trace.inputs, stock_positions=True)})[0])
    return [f"float64: {setting} max |d| is {worst:.2g}"]


def _precision_notes(trace: Trace, model: Model, overrides: Overrides) -> list[str]:
    """The difference with the parts that the class computes in float32 in any precision."""
    parts = layout_of(model).float32_parts
    if not parts:
        return []
    torch_run.apply_module_overrides(model, overrides, as_float32=True)
    outputs = torch_run.run_model(model, trace.inputs, stock_precision=True)
    worst = _largest(compare(trace, {"float64": outputs})[0])
    return [f"float64: transformers computes {parts} in float32, and here in float64; as it is, max |d| is {worst:.2g}"]


def _largest(run: Run) -> float:
    """The largest difference of a run; NaN where nothing was compared."""
    return max((layer.max_abs for layer in run.layers if layer.count and not layer.problem), default=float("nan"))


def _numbers_without(trace: Trace, model: Model, name: str, dtype: str, outputs: Outputs) -> str:
    """The output that suffers most from a model without the override `name`; "" for one of a head that is not there."""
    in_head = name.startswith("head_")
    kept = {key: array for key, array in trace.outputs[dtype].items() if not in_head or key == MLM_LOGITS}
    if in_head and not kept.keys() & outputs.keys():
        return ""
    if in_head:
        last = outputs[max((key for key in outputs if key.startswith(f"{LAYER}.")), key=output_order)]
        without = torch_run.run_head(model, last, trace.inputs)
    else:
        without = torch_run.run_model(model, trace.inputs)
    reference = replace(trace, outputs={dtype: {key: array for key, array in kept.items() if key in without}})
    worst = max(compare(reference, {dtype: without})[0].layers, key=excess)
    ours = next(layer for layer in compare(reference, {dtype: outputs})[0].layers if layer.name == worst.name)
    numbers = f"max |d| {ours.max_abs:.2g} with it, {worst.max_abs:.2g} as the stock class is"
    return f"{label(worst.name)} {numbers} (limit {worst.limit:.2g})"
