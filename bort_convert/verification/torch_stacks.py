"""Run the stacks of a torch model, every layer kept: one stack, or an encoder and a decoder that reads its output."""

from __future__ import annotations

from contextlib import ExitStack
from itertools import count, repeat
from typing import TYPE_CHECKING, Any

from bort_convert.errors import ParityError
from bort_convert.verification.torch_hooks import float64_sinusoids, keep_output, replace_input
from bort_convert.verification.torch_modules import (
    Model,
    Stack,
    Tensor,
    first_position,
    head_outputs,
    position_rows,
    stacks,
)
from bort_convert.verification.trace import (
    ATTENTION,
    CROSS_ATTENTION,
    DECODER,
    DECODER_IDS,
    EMBEDDINGS,
    FINAL_NORM,
    LAYER,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from bort_convert.dtypes import Array

    Inputs = Mapping[str, Tensor]


def run_stacks(
    model: Model,
    inputs: Inputs,
    read: Mapping[str, Array],
    *,
    attentions: bool,
    feed: Mapping[str, Tensor] | None = None,
    stock_positions: bool = False,
) -> dict[str, Tensor]:
    """Run a model and keep every output as a tensor, recorded for a backward pass if torch records.

    Args:
        model: a `PreTrainedModel`.
        inputs: `input_ids` and `valid_length` of a trace on the model's device, and those of a decoder; `token_types`.
        read: inputs of the trace that the heads read, such as `masked_positions`.
        attentions: keep attention probabilities.
        feed: outputs of the reference; every layer and head gets the reference's input.
        stock_positions: leave the positions and sinusoids to the class.
    """
    kept: dict[str, Tensor] = {}
    last: Tensor = None
    for stack in stacks(model):
        call = _call_of_decoder(stack, inputs, last) if stack.prefix == DECODER else _call(model, stack, inputs)
        if stock_positions:
            call.pop("position_ids", None)
        with ExitStack() as hooks:
            if not stock_positions:
                hooks.enter_context(float64_sinusoids(model))
            for remove in _hooks(stack, kept, feed):
                hooks.callback(remove)
            found = stack.module(**call, output_attentions=attentions)
        if attentions:
            kept |= _attentions(stack, found)
        last = found[0] if feed is None else feed[_last_name(stack, feed)]
    return kept | head_outputs(model, last, read)


def _hooks(stack: Stack, kept: dict[str, Tensor], feed: Mapping[str, Tensor] | None) -> Iterator[Callable[[], None]]:
    """Hook the modules of a stack; give the functions that remove the hooks."""
    prefix, axis = stack.prefix, stack.batch_axis
    yield keep_output(kept, repeat(f"{prefix}{EMBEDDINGS}"), stack.embeddings, axis)
    numbered, following = (map(f"{prefix}{LAYER}.{{}}".format, count()) for _ in range(2))
    fed = _inputs_of_layers(prefix, following, feed) if feed is not None else None
    for layer in stack.layers:
        yield keep_output(kept, numbered, layer, axis)
        if fed is not None:
            yield replace_input(fed, layer, axis)
    if stack.final_norm is not None:
        yield keep_output(kept, repeat(f"{prefix}{FINAL_NORM}"), stack.final_norm, axis)
        if feed is not None:
            yield replace_input(repeat(feed[_last_layer(prefix, feed)]), stack.final_norm, axis)


def _inputs_of_layers(prefix: str, names: Iterator[str], feed: Mapping[str, Tensor]) -> Iterator[Tensor]:
    """The reference's input of each layer in turn."""
    yield feed[f"{prefix}{EMBEDDINGS}"]
    yield from (feed[name] for name in names)


def _last_layer(prefix: str, feed: Mapping[str, Tensor]) -> str:
    """Name of the last layer's output."""
    start = f"{prefix}{LAYER}."
    return start + max((name.removeprefix(start) for name in feed if name.startswith(start)), key=int)


def _last_name(stack: Stack, feed: Mapping[str, Tensor]) -> str:
    """Name of the stack's own output."""
    return _last_layer(stack.prefix, feed) if stack.final_norm is None else f"{stack.prefix}{FINAL_NORM}"


def _call(model: Model, stack: Stack, inputs: Inputs) -> dict[str, Any]:
    """Arguments of the model, or of its encoder."""
    ids = inputs["input_ids"]
    call = {"input_ids": ids, "attention_mask": _mask(ids, inputs["valid_length"])}
    if stack.prefix:
        return call
    return {**call, "token_type_ids": inputs.get("token_types"), **_positions(model, ids)}


def _call_of_decoder(stack: Stack, inputs: Inputs, encoded: Tensor) -> dict[str, Any]:
    """Arguments of a decoder, which reads the encoder's output."""
    ids, source = inputs[DECODER_IDS], inputs["input_ids"]
    return {
        "input_ids": ids,
        "attention_mask": _mask(ids, inputs["decoder_valid_length"]),
        "encoder_hidden_states": encoded.movedim(0, stack.batch_axis),
        "encoder_attention_mask": _mask(source, inputs["valid_length"]),
        "use_cache": False,
    }


def _mask(ids: Tensor, lengths: Tensor) -> Tensor:
    """1 at every token that is no padding, (batch, length)."""
    return (_counted(ids) < lengths[:, None]).long()


def _positions(model: Model, ids: Tensor) -> dict[str, Tensor]:
    """Positions of the tokens, padding counted too; empty for a model that takes none."""
    first, rows, length = first_position(model), position_rows(model), ids.shape[1]
    if rows is None:
        return {}
    if first + length > rows:
        raise ParityError(f"the model has {rows} positions and uses them from {first} on; expected {length} of them")
    return {"position_ids": (_counted(ids) + first).expand(len(ids), -1)}


def _counted(ids: Tensor) -> Tensor:
    """The numbers of the tokens in a row, from 0, (length,)."""
    return ids.new_ones(ids.shape[1]).cumsum(0) - 1


def _attentions(stack: Stack, found: Any) -> dict[str, Tensor]:  # noqa: ANN401 - transformers has no types
    """Attention probabilities with the query in front of the heads."""
    outputs = {ATTENTION: found.attentions}
    outputs |= {CROSS_ATTENTION: found.cross_attentions} if stack.prefix == DECODER else {}
    return {
        f"{stack.prefix}{kind}.{number}": values.transpose(1, 2)  # (batch, query, heads, key)
        for kind, layers in outputs.items()
        for number, values in enumerate(layers or ())
    }
