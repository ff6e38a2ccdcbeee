"""Deliberate conversion errors, and which check of the verifier catches each, by what margin over its limit.

    python tests/verify/mutants.py

prints the table (it needs mxnet, gluonnlp, torch and transformers).
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bort_convert.commands.convert import convert
from bort_convert.models import bert, bort, gpt2, roberta, xlnet
from bort_convert.safetensors import open_tensors, save_tensors
from bort_convert.verification import static_checks
from bort_convert.verification.behaviour import Limits, check_behaviour
from bort_convert.verification.inputs import MASKED, default_inputs
from bort_convert.verification.reference import LiveReference, fit_checkpoint, run_reference
from bort_convert.verification.report import BEHAVIOUR, BITS, NAMES_AND_SHAPES, excess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from bort_convert.dtypes import Array
    from bort_convert.mapping.rows import Rows
    from bort_convert.verification.trace import Trace

    Tensors = dict[str, Array]
    Mutate = Callable[["Converted"], None]

SOURCE = Path(__file__).parents[2] / "fixtures" / "bort_2_3_24_24.params"
BERT = SOURCE.with_name("bert_2_2_8_8.params")
ROBERTA = SOURCE.with_name("roberta_2_2_8_8.params")
GPT2 = SOURCE.with_name("gpt2_2_3_48_12.params")
ERNIE = SOURCE.with_name("ernie_2_2_8_8.params")
XLNET = SOURCE.with_name("xlnet_2_2_8_8.params")
"""hidden = units in all these but GPT-2, so that proj and ffn_2 have one shape."""
DISTILBERT = SOURCE.with_name("distilbert_2_2_8_8.params")
HEADS = {SOURCE: 3, BERT: 2, ROBERTA: 2, GPT2: 3, ERNIE: 2, DISTILBERT: 2, XLNET: 2}
LAYERS = 2
MARGIN = 5.0
ATTENTION = "bert.encoder.layer.0.attention"
HEAD = "cls.predictions"
BLOCK = "transformer.h.0"
FUSED = f"{BLOCK}.attn.c_attn"


class Converted:
    """A converted directory, open for mutation."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with open_tensors(folder / "model.safetensors") as file:
            self.tensors = {name: array.copy() for name, array in file.items()}
        self.config: dict[str, Any] = json.loads((folder / "config.json").read_text())
        self.manifest: dict[str, Any] = json.loads((folder / "conversion.json").read_text())

    def write(self) -> None:
        (self.folder / "model.safetensors").unlink()
        save_tensors(self.folder / "model.safetensors", self.tensors, {"format": "pt"})
        (self.folder / "config.json").write_text(json.dumps(self.config))
        (self.folder / "conversion.json").write_text(json.dumps(self.manifest))

    def swap(self, one: str, other: str) -> None:
        self.tensors[one], self.tensors[other] = self.tensors[other], self.tensors[one]

    def swap_rows(self, one: str, other: str) -> None:
        """Swap two rows of the table: in every layer, if they have layers."""
        for layer in range(LAYERS if "{layer}" in one else 1):
            self.swap(one.format(layer=layer), other.format(layer=layer))

    def both(self, part: str, name: str, fact: str, value: object) -> None:
        """The same wrong value in the config and in the manifest, which then agree."""
        self.config[name] = value
        self.manifest[part][fact] = value


@dataclass(frozen=True)
class Mutant:
    """An error, and the checks that have to catch it."""

    name: str
    mutate: Mutate
    caught_by: frozenset[str] = frozenset({BITS, BEHAVIOUR})


@dataclass(frozen=True)
class Outcome:
    """The checks that caught a mutant, and its float64 effect in units of the limit."""

    caught_by: frozenset[str]
    margin: float
    details: dict[str, str]


def mutants() -> Iterator[Mutant]:
    yield from _swaps(row_pairs())
    yield from _exchanges()
    yield from _wrong_values()
    yield from _wrong_facts()
    yield from _wrong_heads()


def bert_mutants() -> Iterator[Mutant]:
    """What can go wrong with the parts that a Bort has not."""
    known = set(row_pairs())
    yield from _swaps(pair for pair in row_pairs(bert.FAMILY.tables[0].rows) if pair not in known)
    types, following = "bert.embeddings.token_type_embeddings.weight", "cls.seq_relationship"
    yield Mutant("segments exchanged", _change(types, np.flipud))
    yield Mutant("segments left out", _change(types, np.zeros_like))
    yield Mutant("pooler transposed", _change("bert.pooler.dense.weight", np.transpose))
    yield Mutant("pooler's bias zeroed", _change("bert.pooler.dense.bias", np.zeros_like))
    yield Mutant("next sentence's outputs exchanged", _change(f"{following}.weight", np.flipud))
    yield Mutant("next sentence's bias negated", _change(f"{following}.bias", np.negative))
    config = frozenset({NAMES_AND_SHAPES, BEHAVIOUR})
    yield Mutant(
        "Bort's epsilon", lambda to: to.both("hyperparameters", "layer_norm_eps", "layer_norm_eps", 1e-5), config
    )
    head = frozenset({BEHAVIOUR})
    yield Mutant(
        "Bort's head epsilon", lambda to: to.manifest["hyperparameters"].update(head_layer_norm_eps=1e-5), head
    )
    every = frozenset({NAMES_AND_SHAPES, BITS, BEHAVIOUR})
    for name, parts in (("BertForMaskedLM", ("bert.pooler.", following)), ("BertForNextSentencePrediction", (HEAD,))):
        yield Mutant(f"saved as {name}", lambda to, n=name, p=parts: _saved_as(to, n, p), every)
    yield Mutant("pooler missing from the file", lambda to: _without(to, ("bert.pooler.",)), every)


def roberta_mutants() -> Iterator[Mutant]:
    """What can go wrong where a RoBERTa is made in another way than a Bort: positions and the head's names."""
    positions = "roberta.embeddings.position_embeddings.weight"
    yield from _swaps(pair for pair in row_pairs(roberta.FAMILY.tables[0].rows) if "lm_head" in "".join(pair))
    yield Mutant("positions not moved", _change(positions, lambda rows: np.concatenate((rows[2:], rows[:2]))))
    yield Mutant("positions moved by one row", _change(positions, lambda rows: np.concatenate((rows[1:], rows[:1]))))
    bits = frozenset({BITS})
    yield Mutant("a row of padding is not zero", _change(positions, _first_row_one), bits)
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
    """What can go wrong with matrices the other way round, fused projections, and a tied output layer."""
    yield from _swaps(row_pairs(gpt2.LANGUAGE_MODEL))
    square = f"{BLOCK}.attn.c_proj.weight"
    yield Mutant("a square matrix not transposed", _change(square, np.transpose))
    for name in ("attn.c_attn", "mlp.c_fc", "mlp.c_proj"):
        yield Mutant(
            f"{name} cut into other rows in place of transposed",
            _change(f"{BLOCK}.{name}.weight", lambda values: values.T.reshape(values.shape)),
        )
    for name, order in (("key, query, value", (1, 0, 2)), ("query, value, key", (0, 2, 1)), ("value first", (2, 0, 1))):
        yield Mutant(f"fused as {name}", lambda to, o=order: _fused_anew(to, lambda parts: parts[..., list(o), :, :]))
    yield Mutant("fused head by head", lambda to: _fused_anew(to, lambda parts: np.swapaxes(parts, -3, -2)))
    yield Mutant("positions shifted by 2", _change("transformer.wpe.weight", lambda rows: np.roll(rows, 2, axis=0)))
    yield Mutant("vocabulary rows shifted", _change("transformer.wte.weight", lambda rows: np.roll(rows, 1, axis=0)))
    yield Mutant("last norm's bias zeroed", _change("transformer.ln_f.bias", np.zeros_like))
    yield Mutant("two layers permuted", lambda to: _permute_layers(to, "transformer.h.0."))
    bits = frozenset({BITS})
    yield Mutant("key bias changed", lambda to: _fused_anew(to, _key_bias_plus_one, kinds=("bias",)), bits)
    yield from _wrong_gpt2_configs()


def _wrong_gpt2_configs() -> Iterator[Mutant]:
    config, behaviour = frozenset({NAMES_AND_SHAPES, BEHAVIOUR}), frozenset({BEHAVIOUR})
    for name, fact, value in (
        ("activation_function", "hidden_act", "gelu"),
        ("layer_norm_epsilon", "layer_norm_eps", 1e-12),
        ("n_head", "heads", 4),
    ):
        yield Mutant(f"config.json: {name} {value}", lambda to, n=name, v=value: to.config.update({n: v}), config)
        yield Mutant(
            f"config.json and manifest: {name} {value}",
            lambda to, n=name, f=fact, v=value: to.both("hyperparameters", n, f, v),
            config,
        )
    for name, value in (("scale_attn_weights", False), ("scale_attn_by_inverse_layer_idx", True)):
        yield Mutant(f"config.json: {name} {value}", lambda to, n=name, v=value: to.config.update({n: v}), behaviour)
    shapes, every = frozenset({NAMES_AND_SHAPES}), frozenset({NAMES_AND_SHAPES, BITS, BEHAVIOUR})
    yield Mutant("output matrix written beside the embedding", lambda to: _with_output(to, tied=True), shapes)
    yield Mutant("output matrix untied", lambda to: _with_output(to, tied=False), behaviour)
    yield Mutant("last norm missing from the file", lambda to: _without(to, ("transformer.ln_f.",)), every)
    yield Mutant("saved as GPT2Model", _saved_bare, every)


def ernie_mutants() -> Iterator[Mutant]:
    """What can go wrong where an ERNIE computes otherwise than a BERT."""
    config = frozenset({NAMES_AND_SHAPES, BEHAVIOUR})
    yield Mutant("BERT's activation", lambda to: to.both("hyperparameters", "hidden_act", "hidden_act", "gelu"), config)
    yield Mutant("BERT's activation in config.json", lambda to: to.config.update(hidden_act="gelu"), config)
    yield Mutant(
        "BERT's epsilon", lambda to: to.both("hyperparameters", "layer_norm_eps", "layer_norm_eps", 1e-12), config
    )
    for name, value in (("head_hidden_act", "relu"), ("head_hidden_act", "gelu_new"), ("head_layer_norm_eps", 1e-5)):
        yield Mutant(
            f"{name} {value}", lambda to, n=name, v=value: to.manifest["hyperparameters"].update({n: v}), config
        )
        yield Mutant(f"no {name} but {value}", lambda to, n=name: to.manifest["hyperparameters"].pop(n), config)
    behind = lambda to: to.manifest["hyperparameters"].update(embedding_layer_norm_eps=1e-12)  # noqa: E731 - as its kin
    yield Mutant("the epsilon of gluonnlp 0.9.1 behind the embeddings", behind, frozenset({BEHAVIOUR}))


def distilbert_mutants() -> Iterator[Mutant]:
    """What can go wrong where a DistilBERT becomes a BertModel."""
    config = frozenset({NAMES_AND_SHAPES, BEHAVIOUR})
    yield Mutant(
        "DistilBertModel's epsilon",
        lambda to: to.both("hyperparameters", "layer_norm_eps", "layer_norm_eps", 1e-12),
        config,
    )
    types = "embeddings.token_type_embeddings.weight"
    yield Mutant(
        "a segment embedding", _change(types, lambda row: row + np.linspace(-1, 1, row.size, dtype=np.float32))
    )


def xlnet_mutants() -> Iterator[Mutant]:
    """What can go wrong with relative attention: every two rows of one shape, and what each matrix is turned by."""
    attention = "transformer.layer.0.rel_attn"
    yield from _swaps(row_pairs(xlnet.REST))
    yield Mutant("segments exchanged", _change(f"{attention}.seg_embed", lambda pair: pair[::-1]))
    yield Mutant("segments left out", _change(f"{attention}.seg_embed", np.zeros_like))
    for name in ("q", "r", "o"):
        yield Mutant(f"{name} transposed", _change(f"{attention}.{name}", _turned))
    yield Mutant("heads exchanged in o", _change(f"{attention}.o", lambda values: values[:, ::-1]))
    yield Mutant("two layers permuted", lambda to: _permute_layers(to, "transformer.layer.0."))
    yield Mutant("mask embedding changed", _change("transformer.mask_emb", np.negative), frozenset({BITS}))
    yield Mutant("mask embedding missing", lambda to: _without(to, ("transformer.mask_emb",)))
    config = frozenset({NAMES_AND_SHAPES, BEHAVIOUR})
    for name, fact, value in (
        ("ff_activation", "hidden_act", "gelu"),
        ("layer_norm_eps", "layer_norm_eps", 1e-5),
        ("attn_type", "attn_type", "uni"),
        ("clamp_len", "clamp_len", 5),
    ):
        yield Mutant(f"{name} {value}", lambda to, n=name, f=fact, v=value: to.both("hyperparameters", n, f, v), config)
    every = frozenset({NAMES_AND_SHAPES, BITS, BEHAVIOUR})
    yield Mutant("saved as XLNetModel", lambda to: _saved_as(to, "XLNetModel", ("lm_loss",)), every)


def row_pairs(table: Rows = bort.FAMILY.tables[0].rows) -> Iterator[tuple[str, str]]:
    """Every two rows of a table whose targets have one shape where hidden = units."""
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
    yield Mutant("square matrix transposed", _change(f"{ATTENTION}.self.query.weight", np.transpose))
    yield Mutant("positions shifted by 2", _change(position, lambda rows: np.roll(rows, 2, axis=0)))
    yield Mutant("vocabulary rows shifted", _change(word, lambda rows: np.roll(rows, 1, axis=0)))
    yield Mutant("one bias zeroed", _change(f"{dense}.bias", np.zeros_like))
    yield Mutant("one bias negated", _change(f"{dense}.bias", np.negative))
    yield Mutant("one value of one weight off by one bit", _change(f"{dense}.weight", _last_bit), bits)
    yield Mutant("key bias changed", _change(f"{ATTENTION}.self.key.bias", lambda bias: bias + 1), bits)
    yield Mutant(
        "non-zero token-type row",
        _change(
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


def _wrong_facts() -> Iterator[Mutant]:
    config = frozenset({NAMES_AND_SHAPES, BEHAVIOUR})
    for name, fact, value in (
        ("layer_norm_eps", "layer_norm_eps", 1e-12),
        ("hidden_act", "hidden_act", "gelu_new"),
        ("num_attention_heads", "heads", 2),
    ):
        yield Mutant(f"config.json: {name} {value}", lambda to, n=name, v=value: to.config.update({n: v}), config)
        yield Mutant(
            f"config.json and manifest: {name} {value}",
            lambda to, n=name, f=fact, v=value: to.both("hyperparameters", n, f, v),
            config,
        )
    yield Mutant(
        "wrong head epsilon", lambda to: to.manifest["hyperparameters"].update(head_layer_norm_eps=1e-5), config
    )
    yield Mutant("no head epsilon", lambda to: to.manifest["hyperparameters"].pop("head_layer_norm_eps"), config)


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


def _change(name: str, new: Callable[[Array], Array]) -> Mutate:
    def mutate(to: Converted) -> None:
        to.tensors[name] = np.ascontiguousarray(new(to.tensors[name]))

    return mutate


def _without(to: Converted, prefixes: tuple[str, ...]) -> None:
    to.tensors = {name: array for name, array in to.tensors.items() if not name.startswith(prefixes)}


def _saved_as(to: Converted, architecture: str, prefixes: tuple[str, ...]) -> None:
    _without(to, prefixes)
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
    """Change what is fused of a GPT-2's first layer: of (..., part, head, size), part being query, key or value."""
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


class Bench:
    """A converted fixture and the reference's outputs, on which mutants are tried one after the other."""

    def __init__(self, folder: Path, source: Path = SOURCE) -> None:
        self.folder, self.clean = folder, folder / "clean"
        family = source.name.partition("_")[0]
        convert(source, self.clean, family=family, heads=HEADS[source])
        self.reference = LiveReference(source, fit_checkpoint(source, family=family, heads=HEADS[source]))
        self.trace = self.run(0)

    def run(self, *seeds: int) -> Trace:
        """The reference's outputs on the default inputs of each seed, one batch behind the other."""
        fit = self.reference.fit
        masked = None if fit.architecture == fit.family.base_class else MASKED
        batches = [default_inputs(fit.plan.dims, seed=seed, masked=masked) for seed in seeds]
        inputs = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
        return run_reference(self.reference, inputs, dtypes=("float64",))

    def try_out(self, mutant: Mutant) -> Outcome:
        shutil.copytree(self.clean, self.folder / "mutant", dirs_exist_ok=True)
        converted = Converted(self.folder / "mutant")
        mutant.mutate(converted)
        converted.write()
        return self.climb(converted.folder, self.trace)

    def climb(self, target: Path, trace: Trace) -> Outcome:
        judged = check_behaviour(trace, target, ("float64",), limits=Limits())
        found = (
            static_checks.names_and_shapes(target, trace.provenance),
            static_checks.bits(target, self.reference),
            judged.check,
        )
        margin = max((excess(layer) for run in judged.runs for layer in run.layers), default=float("inf"))
        failed = {check.name: check.detail for check in found if not check.passed}
        return Outcome(frozenset(failed), margin, failed)


EVERY = {
    SOURCE: mutants,
    BERT: bert_mutants,
    ROBERTA: roberta_mutants,
    GPT2: gpt2_mutants,
    ERNIE: ernie_mutants,
    DISTILBERT: distilbert_mutants,
    XLNET: xlnet_mutants,
}
"""Checkpoint -> what can go wrong with it."""


def main() -> None:
    rows = []
    for source, errors in EVERY.items():
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(Path(folder), source)
            rows += [(mutant, bench.try_out(mutant)) for mutant in errors()]
    width = max(len(mutant.name) for mutant, _ in rows)
    sys.stdout.write(f"{'mutant':<{width}}  float64 effect / limit  caught by\n")
    for mutant, outcome in rows:
        caught = (
            ", ".join(name for name in (NAMES_AND_SHAPES, BITS, BEHAVIOUR) if name in outcome.caught_by) or "NOTHING"
        )
        sys.stdout.write(f"{mutant.name:<{width}}  {outcome.margin:22.2g}  {caught}\n")
    survived = sum(not outcome.caught_by for _, outcome in rows)
    sys.stdout.write(f"{len(rows)} mutants, {survived} not caught\n")
    sys.exit(bool(survived))


if __name__ == "__main__":
    main()
