"""Deliberate conversion errors, each with the checks that have to catch it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bort_convert.models import _xlnet_forms, bert, bort, gpt2, roberta
from bort_convert.verification.findings import BEHAVIOUR, BITS, NAMES_AND_SHAPES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from converted_dir import Converted

    from bort_convert.dtypes import Array
    from bort_convert.mapping.rows import Rows

    Mutate = Callable[[Converted], None]

SOURCE = Path(__file__).parents[2] / "fixtures" / "bort_2_3_24_24.params"
BERT = SOURCE.with_name("bert_2_2_8_8.params")
ROBERTA = SOURCE.with_name("roberta_2_2_8_8.params")
GPT2 = SOURCE.with_name("gpt2_2_3_48_12.params")
ERNIE = SOURCE.with_name("ernie_2_2_8_8.params")
DISTILBERT = SOURCE.with_name("distilbert_2_2_8_8.params")
XLNET = SOURCE.with_name("xlnet_2_2_8_8.params")
"""intermediate_size = hidden_size in all of these but GPT-2, so that proj and ffn_2 have one shape."""
HEADS = {SOURCE: 3, BERT: 2, ROBERTA: 2, GPT2: 3, ERNIE: 2, DISTILBERT: 2, XLNET: 2}
ATTENTION = "bert.encoder.layer.0.attention"
HEAD = "cls.predictions"
BLOCK = "transformer.h.0"
FUSED = f"{BLOCK}.attn.c_attn"


@dataclass(frozen=True)
class Mutant:
    """An error in a conversion.

    Attributes:
        name: of the error.
        mutate: makes it in a converted directory.
        caught_by: names of the checks that must fail.
    """

    name: str
    mutate: Mutate
    caught_by: frozenset[str] = frozenset({BITS, BEHAVIOUR})


def bort_mutants() -> Iterator[Mutant]:
    """Errors in a Bort."""
    yield from _swaps(row_pairs())
    yield from _exchanges()
    yield from _wrong_values()
    yield from _wrong_hyperparameters()
    yield from _wrong_heads()


def bert_mutants() -> Iterator[Mutant]:
    """Errors in the parts of a BERT that a Bort lacks."""
    known = set(row_pairs())
    yield from _swaps(pair for pair in row_pairs(bert.FAMILY.tables[0].rows) if pair not in known)
    types, following = "bert.embeddings.token_type_embeddings.weight", "cls.seq_relationship"
    yield Mutant("segments exchanged", change(types, np.flipud))
    yield Mutant("segments left out", change(types, np.zeros_like))
    yield Mutant("pooler transposed", change("bert.pooler.dense.weight", np.transpose))
    yield Mutant("pooler's bias zeroed", change("bert.pooler.dense.bias", np.zeros_like))
    yield Mutant("next sentence's outputs exchanged", change(f"{following}.weight", np.flipud))
    yield Mutant("next sentence's bias negated", change(f"{following}.bias", np.negative))
    config = frozenset({NAMES_AND_SHAPES, BEHAVIOUR})
    yield Mutant("Bort's epsilon", lambda to: to.set_hyperparameter("layer_norm_eps", 1e-5), config)
    head = frozenset({BEHAVIOUR})
    yield Mutant(
        "Bort's head epsilon", lambda to: to.manifest["hyperparameters"].update(head_layer_norm_eps=1e-5), head
    )
    every = frozenset({NAMES_AND_SHAPES, BITS, BEHAVIOUR})
    for name, parts in (("BertForMaskedLM", ("bert.pooler.", following)), ("BertForNextSentencePrediction", (HEAD,))):
        yield Mutant(f"saved as {name}", lambda to, n=name, p=parts: saved_as(to, n, p), every)
    yield Mutant("pooler missing from the file", lambda to: without(to, ("bert.pooler.",)), every)


def roberta_mutants() -> Iterator[Mutant]:
    """Errors where a RoBERTa is converted in another way than a Bort: positions and names of the head."""
    positions = "roberta.embeddings.position_embeddings.weight"
    yield from _swaps(pair for pair in row_pairs(roberta.FAMILY.tables[0].rows) if "lm_head" in "".join(pair))
    yield Mutant("positions not moved", change(positions, lambda rows: np.concatenate((rows[2:], rows[:2]))))
    yield Mutant("positions moved by one row", change(positions, lambda rows: np.concatenate((rows[1:], rows[:1]))))
    bits = frozenset({BITS})
    yield Mutant("a row of padding is not zero", change(positions, _first_row_one), bits)
    yield Mutant("positions cut to those of GluonNLP", _cut_positions, frozenset({NAMES_AND_SHAPES, BEHAVIOUR}))
    config = frozenset({NAMES_AND_SHAPES, BEHAVIOUR})
    for number in (0, 7):
        yield Mutant(
            f"padding id {number}", lambda to, n=number: to.config.update(pad_token_id=n), frozenset({BEHAVIOUR})
        )
    yield Mutant(
        "wrong head epsilon", lambda to: to.manifest["hyperparameters"].update(head_layer_norm_eps=1e-5), config
    )
    yield Mutant("taken for a Bort", lambda to: to.config.update(architectures=["BertForMaskedLM"]), config)


def gpt2_mutants() -> Iterator[Mutant]:
    """Errors with transposed matrices, fused projections, and a tied output layer."""
    yield from _swaps(row_pairs(gpt2.LANGUAGE_MODEL))
    square = f"{BLOCK}.attn.c_proj.weight"
    yield Mutant("a square matrix not transposed", change(square, np.transpose))
    for name in ("attn.c_attn", "mlp.c_fc", "mlp.c_proj"):
        yield Mutant(
            f"{name} cut into other rows in place of transposed",
            change(f"{BLOCK}.{name}.weight", lambda values: values.T.reshape(values.shape)),
        )
    for name, order in (("key, query, value", (1, 0, 2)), ("query, value, key", (0, 2, 1)), ("value first", (2, 0, 1))):
        yield Mutant(f"fused as {name}", lambda to, o=order: _fused_anew(to, lambda parts: parts[..., list(o), :, :]))
    yield Mutant("fused head by head", lambda to: _fused_anew(to, lambda parts: np.swapaxes(parts, -3, -2)))
    yield Mutant("positions shifted by 2", change("transformer.wpe.weight", lambda rows: np.roll(rows, 2, axis=0)))
    yield Mutant("vocabulary rows shifted", change("transformer.wte.weight", lambda rows: np.roll(rows, 1, axis=0)))
    yield Mutant("last norm's bias zeroed", change("transformer.ln_f.bias", np.zeros_like))
    yield Mutant("two layers permuted", lambda to: _permute_layers(to, "transformer.h.0."))
    bits = frozenset({BITS})
    yield Mutant("key bias changed", lambda to: _fused_anew(to, _key_bias_plus_one, kinds=("bias",)), bits)
    yield from _wrong_gpt2_configs()


def _wrong_gpt2_configs() -> Iterator[Mutant]:
    behaviour = frozenset({BEHAVIOUR})
    yield from _wrong_in_config_and_in_both(
        ("activation_function", "hidden_act", "gelu"),
        ("layer_norm_epsilon", "layer_norm_eps", 1e-12),
        ("n_head", "attention_heads", 4),
    )
    for name, value in (("scale_attn_weights", False), ("scale_attn_by_inverse_layer_idx", True)):
        yield Mutant(f"config.json: {name} {value}", lambda to, n=name, v=value: to.config.update({n: v}), behaviour)
    shapes, every = frozenset({NAMES_AND_SHAPES}), frozenset({NAMES_AND_SHAPES, BITS, BEHAVIOUR})
    yield Mutant("output matrix written beside the embedding", lambda to: _with_output(to, tied=True), shapes)
    yield Mutant("output matrix untied", lambda to: _with_output(to, tied=False), behaviour)
    yield Mutant("last norm missing from the file", lambda to: without(to, ("transformer.ln_f.",)), every)
    yield Mutant("saved as GPT2Model", _saved_bare, every)


def ernie_mutants() -> Iterator[Mutant]:
    """Errors where an ERNIE computes otherwise than a BERT."""
    config = frozenset({NAMES_AND_SHAPES, BEHAVIOUR})
    yield Mutant("BERT's activation", lambda to: to.set_hyperparameter("hidden_act", "gelu"), config)
    yield Mutant("BERT's activation in config.json", lambda to: to.config.update(hidden_act="gelu"), config)
    yield Mutant("BERT's epsilon", lambda to: to.set_hyperparameter("layer_norm_eps", 1e-12), config)
    for name, value in (("head_hidden_act", "relu"), ("head_hidden_act", "gelu_new"), ("head_layer_norm_eps", 1e-5)):
        yield Mutant(
            f"{name} {value}", lambda to, n=name, v=value: to.manifest["hyperparameters"].update({n: v}), config
        )
        yield Mutant(f"no {name} but {value}", lambda to, n=name: to.manifest["hyperparameters"].pop(n), config)
    yield Mutant(
        "the epsilon of gluonnlp 0.9.1 after the embeddings",
        lambda to: to.manifest["hyperparameters"].update(embedding_layer_norm_eps=1e-12),
        frozenset({BEHAVIOUR}),
    )


def distilbert_mutants() -> Iterator[Mutant]:
    """Errors where a DistilBERT becomes a BertModel."""
    config = frozenset({NAMES_AND_SHAPES, BEHAVIOUR})
    yield Mutant("DistilBertModel's epsilon", lambda to: to.set_hyperparameter("layer_norm_eps", 1e-12), config)
    types = "embeddings.token_type_embeddings.weight"
    yield Mutant("a segment embedding", change(types, lambda row: row + np.linspace(-1, 1, row.size, dtype=np.float32)))


def xlnet_mutants() -> Iterator[Mutant]:
    """Errors with relative attention: every two rows of one shape swapped, and matrices transposed."""
    attention = "transformer.layer.0.rel_attn"
    yield from _swaps(row_pairs(_xlnet_forms.REST))
    yield Mutant("segments exchanged", change(f"{attention}.seg_embed", lambda pair: pair[::-1]))
    yield Mutant("segments left out", change(f"{attention}.seg_embed", np.zeros_like))
    for name in ("q", "r", "o"):
        yield Mutant(f"{name} transposed", change(f"{attention}.{name}", _turned))
    yield Mutant("heads exchanged in o", change(f"{attention}.o", lambda values: values[:, ::-1]))
    yield Mutant("two layers permuted", lambda to: _permute_layers(to, "transformer.layer.0."))
    yield Mutant("mask embedding changed", change("transformer.mask_emb", np.negative), frozenset({BITS}))
    yield Mutant("mask embedding missing", lambda to: without(to, ("transformer.mask_emb",)))
    config = frozenset({NAMES_AND_SHAPES, BEHAVIOUR})
    for key, name, value in (
        ("ff_activation", "hidden_act", "gelu"),
        ("layer_norm_eps", "layer_norm_eps", 1e-5),
        ("attn_type", "attn_type", "uni"),
        ("clamp_len", "clamp_len", 5),
    ):
        yield Mutant(f"{key} {value}", lambda to, k=key, n=name, v=value: to.set_hyperparameter(n, v, k), config)
    every = frozenset({NAMES_AND_SHAPES, BITS, BEHAVIOUR})
    yield Mutant("saved as XLNetModel", lambda to: saved_as(to, "XLNetModel", ("lm_loss",)), every)


def row_pairs(table: Rows = bort.FAMILY.tables[0].rows) -> Iterator[tuple[str, str]]:
    """Every two rows of a table whose targets have one shape where intermediate_size = hidden_size."""
    shaped: dict[tuple[str, bool], list[str]] = {}
    for row in table:
        if row.sources and row.targets:
            (axes,) = row.op.target_axes(*(source.axes for source in row.sources))
            axes = axes.replace("intermediate_size", "hidden_size")
            shaped.setdefault((axes, "{layer}" in row.targets[0]), []).append(row.targets[0])
    for rows in shaped.values():
        yield from combinations(rows, 2)


def _swaps(pairs: Iterable[tuple[str, str]]) -> Iterator[Mutant]:
    for one, other in pairs:
        short = [re.sub(r"^(bert\.|transformer\.)?((encoder\.layer|h)\.{layer}\.)?", "", name) for name in (one, other)]
        yield Mutant(f"swapped {short[0]} and {short[1]}", lambda to, pair=(one, other): to.swap_rows(*pair))


def _exchanges() -> Iterator[Mutant]:
    for one, other in (("query", "key"), ("key", "value")):
        rows = [
            tuple(f"bert.encoder.layer.{{layer}}.attention.self.{part}.{kind}" for part in (one, other))
            for kind in ("weight", "bias")
        ]
        yield Mutant(f"{one} and {other} exchanged, biases too", lambda to, rows=rows: [to.swap_rows(*r) for r in rows])
    yield Mutant(
        "one gamma and beta exchanged",
        lambda to: to.swap(f"{ATTENTION}.output.LayerNorm.weight", f"{ATTENTION}.output.LayerNorm.bias"),
    )
    yield Mutant(
        "proj and ffn_2 exchanged in one layer",
        lambda to: [
            to.swap(f"{ATTENTION}.output.dense.{kind}", f"bert.encoder.layer.0.output.dense.{kind}")
            for kind in ("weight", "bias")
        ],
    )
    yield Mutant("two layers permuted", _permute_layers)


def _wrong_values() -> Iterator[Mutant]:
    word, position = "bert.embeddings.word_embeddings.weight", "bert.embeddings.position_embeddings.weight"
    dense = "bert.encoder.layer.1.intermediate.dense"
    bits = frozenset({BITS})
    yield Mutant("square matrix transposed", change(f"{ATTENTION}.self.query.weight", np.transpose))
    yield Mutant("positions shifted by 2", change(position, lambda rows: np.roll(rows, 2, axis=0)))
    yield Mutant("vocabulary rows shifted", change(word, lambda rows: np.roll(rows, 1, axis=0)))
    yield Mutant("one bias zeroed", change(f"{dense}.bias", np.zeros_like))
    yield Mutant("one bias negated", change(f"{dense}.bias", np.negative))
    yield Mutant("one value of one weight off by one bit", change(f"{dense}.weight", _last_bit), bits)
    yield Mutant("key bias changed", change(f"{ATTENTION}.self.key.bias", lambda bias: bias + 1), bits)
    yield Mutant(
        "non-zero token-type row",
        change(
            "bert.embeddings.token_type_embeddings.weight",
            lambda row: row + np.linspace(-0.02, 0.02, row.size, dtype=np.float32),
        ),
    )
    yield Mutant(
        "rounded to float16",
        lambda to: to.tensors.update(
            {name: array.astype(np.float16).astype(np.float32) for name, array in to.tensors.items()}
        ),
    )


def _wrong_hyperparameters() -> Iterator[Mutant]:
    config = frozenset({NAMES_AND_SHAPES, BEHAVIOUR})
    yield from _wrong_in_config_and_in_both(
        ("layer_norm_eps", "layer_norm_eps", 1e-12),
        ("hidden_act", "hidden_act", "gelu_new"),
        ("num_attention_heads", "attention_heads", 2),
    )
    yield Mutant(
        "wrong head epsilon", lambda to: to.manifest["hyperparameters"].update(head_layer_norm_eps=1e-5), config
    )
    yield Mutant("no head epsilon", lambda to: to.manifest["hyperparameters"].pop("head_layer_norm_eps"), config)


def _wrong_in_config_and_in_both(*values: tuple[str, str, object]) -> Iterator[Mutant]:
    """A wrong value in the config alone, and in config and manifest, for each (key, hyperparameter, value)."""
    config = frozenset({NAMES_AND_SHAPES, BEHAVIOUR})
    for key, name, value in values:
        yield Mutant(f"config.json: {key} {value}", lambda to, k=key, v=value: to.config.update({k: v}), config)
        yield Mutant(
            f"config.json and manifest: {key} {value}",
            lambda to, k=key, n=name, v=value: to.set_hyperparameter(n, v, k),
            config,
        )


def _wrong_heads() -> Iterator[Mutant]:
    rng = np.random.default_rng(0)

    def drop(to: Converted) -> None:
        to.tensors = {
            name.removeprefix("bert."): array for name, array in to.tensors.items() if name.startswith("bert.")
        }
        to.config["architectures"] = ["BertModel"]

    def lose(to: Converted) -> None:
        to.tensors = {name: array for name, array in to.tensors.items() if name.startswith("bert.")}

    def randomize(to: Converted) -> None:
        for name, array in to.tensors.items():
            if name.startswith(HEAD):
                to.tensors[name] = rng.normal(0, 0.02, array.shape).astype(array.dtype)

    def untie(to: Converted) -> None:
        shape = to.tensors["bert.embeddings.word_embeddings.weight"].shape
        to.tensors[f"{HEAD}.decoder.weight"] = rng.normal(0, 0.02, shape).astype(np.float32)

    yield Mutant(
        "masked-language-model head dropped, backbone saved", drop, frozenset({NAMES_AND_SHAPES, BITS, BEHAVIOUR})
    )
    yield Mutant(
        "masked-language-model head missing from the file", lose, frozenset({NAMES_AND_SHAPES, BITS, BEHAVIOUR})
    )
    yield Mutant("masked-language-model head random", randomize)
    yield Mutant("output matrix untied and random", untie, frozenset({NAMES_AND_SHAPES}))


def change(name: str, new: Callable[[Array], Array]) -> Mutate:
    def mutate(to: Converted) -> None:
        to.tensors[name] = np.ascontiguousarray(new(to.tensors[name]))

    return mutate


def without(to: Converted, prefixes: tuple[str, ...]) -> None:
    to.tensors = {name: array for name, array in to.tensors.items() if not name.startswith(prefixes)}


def saved_as(to: Converted, architecture: str, prefixes: tuple[str, ...]) -> None:
    without(to, prefixes)
    to.config["architectures"] = [architecture]


def _cut_positions(to: Converted) -> None:
    name = "roberta.embeddings.position_embeddings.weight"
    to.tensors[name] = to.tensors[name][2:].copy()
    to.config["max_position_embeddings"] -= 2


def _first_row_one(rows: Array) -> Array:
    changed = rows.copy()
    changed[0] = 1
    return changed


def _last_bit(weight: Array) -> Array:
    changed = weight.copy()
    changed.view(np.uint32)[0, 0] ^= 1
    return changed


def _permute_layers(to: Converted, first: str = "bert.encoder.layer.0.") -> None:
    for name in [name for name in to.tensors if name.startswith(first)]:
        to.swap(name, name.replace(".0.", ".1.", 1))


def _fused_anew(to: Converted, new: Callable[[Array], Array], kinds: tuple[str, ...] = ("weight", "bias")) -> None:
    """Change the fused projection of a GPT-2's first layer as (..., part, head, size); parts are query, key, value."""
    for name in (f"{FUSED}.{kind}" for kind in kinds):
        values = to.tensors[name]
        parts = values.reshape(*values.shape[:-1], 3, HEADS[GPT2], -1)
        to.tensors[name] = np.ascontiguousarray(new(parts).reshape(values.shape))


def _key_bias_plus_one(parts: Array) -> Array:
    changed = parts.copy()
    changed[..., 1, :, :] += 1
    return changed


def _with_output(to: Converted, *, tied: bool) -> None:
    to.tensors["lm_head.weight"] = to.tensors["transformer.wte.weight"][::-1].copy()
    to.config["tie_word_embeddings"] = tied


def _saved_bare(to: Converted) -> None:
    to.tensors = {name.removeprefix("transformer."): array for name, array in to.tensors.items()}
    to.config["architectures"] = ["GPT2Model"]


def _turned(values: Array) -> Array:
    return values.reshape(len(values), -1).T.reshape(values.shape)


ERRORS = {
    SOURCE: bort_mutants,
    BERT: bert_mutants,
    ROBERTA: roberta_mutants,
    GPT2: gpt2_mutants,
    ERNIE: ernie_mutants,
    DISTILBERT: distilbert_mutants,
    XLNET: xlnet_mutants,
}
"""Checkpoint -> errors to try on it."""
