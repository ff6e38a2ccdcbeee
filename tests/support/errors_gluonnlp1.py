"""Deliberate errors in conversions of GluonNLP 1.0's models, each with the checks that have to catch it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from conversion_errors import Mutant

from bort_convert.verification.findings import BEHAVIOUR, BITS, NAMES_AND_SHAPES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from converted_dir import Converted

    from bort_convert.dtypes import Array

FOLDER = Path(__file__).parents[2] / "fixtures" / "gluonnlp1"
FAMILIES = {
    "bert_pretrain": "bert-1.0",
    "electra_disc": "electra",
    "albert_pretrain": "albert",
    "mobilebert_pretrain": "mobilebert",
    "roberta_old": "roberta-1.0",
    "gpt2_lm": "gpt2-1.0",
    "roberta_mlm": "roberta-1.0",
    "xlmr_mlm": "xlm-roberta",
    "bart_lm": "bart",
    "t5": "t5",
    "mt5": "mt5",
}
"""Checkpoint -> its family."""
LIVE = ("bert_pretrain", "electra_disc", "albert_pretrain", "mobilebert_pretrain", "roberta_old")
"""Those that MXNet 1.9.1 runs; the others have a trace, recorded with MXNet 2."""
RECORDED = tuple(name for name in FAMILIES if name not in LIVE)
VALUES, CONFIG = frozenset({BITS, BEHAVIOUR}), frozenset({NAMES_AND_SHAPES, BEHAVIOUR})


def options_of(name: str) -> dict[str, Any]:
    """Options of the conversion of a checkpoint, which the file does not show."""
    heads = {} if "t5" in name else {"heads": 4}
    return {"family": FAMILIES[name], **heads, **({"layers": 3} if name.startswith("albert") else {})}


def errors_of(name: str) -> Iterator[Mutant]:
    """Errors in the conversion of a checkpoint."""
    yield from ERRORS[name]()


def swapped(one: str, other: str, kinds: tuple[str, ...] = ("weight", "bias")) -> Mutant:
    """Two modules exchanged in the first layer."""
    return Mutant(
        f"swapped {one} and {other}",
        lambda to: [to.swap(f"{one}.{kind}", f"{other}.{kind}") for kind in kinds],
        VALUES,
    )


def changed(name: str, what: str, new: Callable[[Array], Array]) -> Mutant:
    """A tensor with other values."""

    def mutate(to: Converted) -> None:
        to.tensors[name] = np.ascontiguousarray(new(to.tensors[name]))

    return Mutant(f"{name} {what}", mutate, VALUES)


def other(key: str, name: str, value: object) -> Mutant:
    """A hyperparameter with another value, in the manifest and in the config."""
    return Mutant(f"{key} {value}", lambda to: to.set_hyperparameter(name, value, key), CONFIG)


def shifted(rows: Array) -> Array:
    """Rows one place further on."""
    return np.roll(rows, 1, axis=0)


def encoder_errors(layer: str, positions: str, activation: str = "gelu_new", epsilon: float = 1e-5) -> Iterator[Mutant]:
    """Errors in a layer like BERT's: order of query, key and value, the two norms, positions, activation, epsilon."""
    yield swapped(f"{layer}.attention.self.query", f"{layer}.attention.self.key")
    yield swapped(f"{layer}.attention.self.key", f"{layer}.attention.self.value")
    yield swapped(f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm")
    yield changed(positions, "moved by one row", shifted)
    yield other("hidden_act", "hidden_act", activation)
    yield other("layer_norm_eps", "layer_norm_eps", epsilon)


def bert_errors() -> Iterator[Mutant]:
    yield from encoder_errors("bert.encoder.layer.0", "bert.embeddings.position_embeddings.weight")


def electra_errors() -> Iterator[Mutant]:
    yield from encoder_errors("electra.encoder.layer.0", "electra.embeddings.position_embeddings.weight")
    yield changed("electra.embeddings_project.weight", "exchanged", np.flipud)
    yield changed("discriminator_predictions.dense_prediction.weight", "negated", np.negative)


def albert_errors() -> Iterator[Mutant]:
    layer = "albert.encoder.albert_layer_groups.0.albert_layers.0"
    yield swapped(f"{layer}.attention.query", f"{layer}.attention.key")
    yield swapped(f"{layer}.attention.LayerNorm", f"{layer}.full_layer_layer_norm")
    yield changed("sop_classifier.classifier.weight", "exchanged", np.flipud)
    yield other("hidden_act", "hidden_act", "gelu")
    yield other("layer_norm_eps", "layer_norm_eps", 1e-5)
    yield Mutant("one layer more", lambda to: to.config.update(num_hidden_layers=4), CONFIG)


def mobilebert_errors() -> Iterator[Mutant]:
    layer = "mobilebert.encoder.layer.0"
    yield swapped(f"{layer}.attention.self.query", f"{layer}.attention.self.key")
    yield swapped(f"{layer}.bottleneck.input.LayerNorm", f"{layer}.bottleneck.attention.LayerNorm")
    yield swapped(f"{layer}.ffn.0.intermediate.dense", f"{layer}.intermediate.dense")
    yield changed("cls.predictions.dense.weight", "not transposed", lambda rows: rows.T.reshape(rows.shape))
    yield other("trigram_input", "trigram_input", value=False)


def roberta_errors() -> Iterator[Mutant]:
    positions = "roberta.embeddings.position_embeddings.weight"
    yield from encoder_errors("roberta.encoder.layer.0", positions, epsilon=1e-12)
    yield changed(positions, "not moved", lambda rows: np.concatenate((rows[2:], rows[:2])))


def gpt2_errors() -> Iterator[Mutant]:
    block = "transformer.h.0"
    yield changed(f"{block}.attn.c_attn.weight", "in another order", lambda rows: np.roll(rows, 24, axis=1))
    yield changed(f"{block}.attn.c_proj.weight", "transposed", np.transpose)
    yield swapped(f"{block}.ln_1", f"{block}.ln_2")
    yield changed("transformer.wpe.weight", "moved by one row", shifted)
    yield other("activation_function", "hidden_act", "gelu")


def bart_errors() -> Iterator[Mutant]:
    for stack in ("encoder", "decoder"):
        layer = f"model.{stack}.layers.0"
        yield swapped(f"{layer}.self_attn.q_proj", f"{layer}.self_attn.k_proj")
        yield swapped(f"{layer}.self_attn_layer_norm", f"{layer}.final_layer_norm")
        yield changed(f"model.{stack}.embed_positions.weight", "moved by one row", shifted)
    layer = "model.decoder.layers.0"
    yield swapped(f"{layer}.self_attn.q_proj", f"{layer}.encoder_attn.q_proj")
    yield swapped(f"{layer}.encoder_attn.k_proj", f"{layer}.encoder_attn.v_proj")
    yield swapped("model.encoder.layernorm_embedding", "model.decoder.layernorm_embedding")
    yield swapped("model.encoder.embed_positions", "model.decoder.embed_positions", ("weight",))
    yield other("activation_function", "hidden_act", "gelu_new")


def t5_errors() -> Iterator[Mutant]:
    weight = ("weight",)
    for stack, cross in (("encoder", False), ("decoder", True)):
        block = f"{stack}.block.0.layer"
        yield swapped(f"{block}.0.SelfAttention.q", f"{block}.0.SelfAttention.k", weight)
        yield swapped(f"{block}.0.layer_norm", f"{block}.1.layer_norm", weight)
        bias = f"{block}.0.SelfAttention.relative_attention_bias.weight"
        yield changed(bias, "with the directions exchanged", lambda rows: np.concatenate((rows[16:], rows[:16])))
        if cross:
            yield swapped(f"{block}.0.SelfAttention.v", f"{block}.1.EncDecAttention.v", weight)
    yield Mutant("epsilon 1e-5", lambda to: to.set_hyperparameter("layer_norm_eps", 1e-5, "layer_norm_epsilon"), CONFIG)


def scaled_t5_errors() -> Iterator[Mutant]:
    yield from t5_errors()
    yield Mutant("scaled output", lambda to: to.config.update(scale_decoder_outputs=True), CONFIG)


def mt5_errors() -> Iterator[Mutant]:
    yield from t5_errors()
    dense = "encoder.block.0.layer.1.DenseReluDense"
    yield swapped(f"{dense}.wi_0", f"{dense}.wi_1", ("weight",))
    yield Mutant("relu", lambda to: to.config.update(feed_forward_proj="gated-relu"), CONFIG)


ERRORS = {
    "bert_pretrain": bert_errors,
    "electra_disc": electra_errors,
    "albert_pretrain": albert_errors,
    "mobilebert_pretrain": mobilebert_errors,
    "roberta_old": roberta_errors,
    "gpt2_lm": gpt2_errors,
    "roberta_mlm": roberta_errors,
    "xlmr_mlm": roberta_errors,
    "bart_lm": bart_errors,
    "t5": scaled_t5_errors,
    "mt5": mt5_errors,
}
"""Checkpoint -> errors to try on it."""
