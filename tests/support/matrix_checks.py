"""Run one case of the matrix: write with GluonNLP, convert or export, compute in both frameworks, compare.

The limits: right conversions differed by 9e-6 of an output's largest value at most in `make matrix`, and by 6e-5 in
heads whose epsilon the stock class cannot say.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import matrix_torch as torch_side
import numpy as np
from matrix_cases import VERSION, Case, Conversion, Export, Texts, random_shape
from matrix_shapes import PUBLISHED_PADDING, Array, Batch, Outputs, Shape, random_batch
from matrix_texts import random_texts, sentences
from transformers import AutoTokenizer

import bort_convert

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from matrix import Processes

LIMIT = 2e-5
"""Of a difference in float32, relative to the largest value of the output."""
HEAD_LIMIT = 1e-4
"""The same for a masked-language-model head that has another epsilon in the stock class than in GluonNLP 0.8."""
LONGEST = 300
"""Characters of an error that are shown: its end."""
OWN_EPSILON = {"bort", "roberta", "ernie"}
HEADS = {
    "pretraining": {"mlm_logits", "next_sentence"},
    "masked_lm": {"mlm_logits"},
    "next_sentence": {"next_sentence"},
    "pooler": {"pooled"},
    "question_answering": {"span_logits"},
    "tagger": {"tag_logits"},
    "intent_and_slots": {"tag_logits"},
    "no_next_sentence": {"mlm_logits"},
    "language_model": {"lm_logits"},
    "language_model_without_mask": {"lm_logits"},
    "encoder": set[str](),
    "encoder_without_mask": set[str](),
}
"""The heads' outputs that a form has to be compared in; a classifier's and a regression's are "logits"."""
ROLES = {"padding": "pad", "unknown": "unk", "bos": "bos", "eos": "eos", "cls": "cls", "sep": "sep", "mask": "mask"}
"""Role of a special token in GluonNLP -> in transformers."""


def problems_of(case: Case, processes: Processes, folder: Path) -> list[str]:
    """The problems of a case, each in one line; `folder` is empty."""
    checks = {Conversion: conversion_problems, Export: export_problems, Texts: text_problems}
    try:
        return [*checks[type(case)](case, processes, folder)]  # type: ignore[operator]
    except torch_side.Refused as error:
        return [f"refused: {error}"]
    except Exception as error:  # noqa: BLE001 - a crash is a failure of this case, and the others run
        return [f"{type(error).__name__}: {' '.join(str(error).split())[-LONGEST:]}"]


# Conversions


def conversion_problems(case: Conversion, processes: Processes, folder: Path) -> Iterator[str]:
    """Write, convert, load and compare: any ids, texts where there is a vocabulary, and the special ids."""
    source, vocab, out = folder / "x.params", folder / "x.vocab", folder / "out"
    shape, special, texts = case.shape, {}, None
    arguments = ["--family", case.family, *case.options]
    arguments += [] if case.family == "xlnet" else ["--heads", str(shape.heads)]
    if case.order:
        vocabulary = processes.ask(
            VERSION, "vocabulary", kind=case.kind, order=case.order, seed=case.seed, target=str(vocab)
        )
        shape, special = replace(shape, vocab=vocabulary["size"]), vocabulary["ids"]
        texts = {"texts": probe_texts(case), "kind": case.kind, "path": str(vocab), "lower": case.lower}
        arguments += vocabulary_arguments(case.kind, vocab, lower=case.lower)
    batch = random_batch(
        np.random.default_rng(case.seed), shape, special.get("padding", PUBLISHED_PADDING[case.family])
    )
    batch = batch if case.padded else one_row(batch, 0)
    job = {"naming": case.naming, "dtype": case.dtype, "seed": case.seed, "texts": texts}
    expected = computed(partial(processes.ask, case.version, "write"), shape, batch, source, **job)
    model = torch_side.load(torch_side.convert(source, out, arguments))
    if case.order or not case.padded:
        yield from special_id_problems(out, shape.vocab, special)
    actual = run_on_ids(model, batch, case)
    if "mlm_logits" in actual and (case.family == "ernie" or has_own_epsilon(case)):
        exact = run_on_ids(torch_side.load(f'bort_convert.load_pretrained("{out}")'), batch, case)["mlm_logits"]
        reference = {"mlm_logits": expected["ids/mlm_logits"]}
        yield from worst("load_pretrained", {"mlm_logits": exact}, reference, batch, head_limit=LIMIT)
        actual["mlm_logits"] = exact if case.family == "ernie" and not case.stock_head else actual["mlm_logits"]
    yield from differences(case, "ids", actual, expected, batch)
    if texts:
        yield from text_batch_problems(case, model, AutoTokenizer.from_pretrained(out), texts["texts"], expected)


def has_own_epsilon(case: Conversion) -> bool:
    """True if GluonNLP's masked-language-model head has another epsilon than the stock class."""
    return case.family in OWN_EPSILON and case.version == VERSION


def computed(ask: Callable[..., object], shape: Shape, batch: Batch, path: Path, **job: Any) -> Outputs:  # noqa: ANN401
    """The outputs of GluonNLP, by batch and name, with the file that it writes or loads."""
    np.savez(path.with_name("inputs.npz"), **batch.arrays("ids"))
    inputs = str(path.with_name("inputs.npz"))
    ask(shape=asdict(shape), inputs=inputs, path=str(path), **job)
    with np.load(path.with_suffix(".npz")) as stored:
        return dict(stored)


def run_on_ids(model: Any, batch: Batch, case: Conversion) -> Outputs:  # noqa: ANN401 - transformers has no types
    """The outputs for any ids, with a mask that is made from the config's padding id."""
    types = batch.types if case.shape.types else None
    return torch_side.run(model, batch.ids, torch_side.mask_of(batch, model.config), types)


def probe_texts(case: Conversion) -> list[str]:
    """A few texts for one conversion, with a mask in one where the tokenizer has one."""
    texts = sentences(np.random.default_rng(case.seed), 4)
    return texts if case.kind == "gpt2" else [*texts, "the<mask> rabbit"]


def vocabulary_arguments(kind: str, vocab: Path, *, lower: bool) -> list[str]:
    """The arguments of `convert` that name a vocabulary."""
    if kind in {"wordpiece", "sentencepiece"}:
        return ["--vocab", str(vocab), "--lower-case" if lower else "--cased"]
    return ["--vocab", str(vocab), "--bpe-ranks", str(vocab.with_suffix(".ranks"))]


def text_batch_problems(
    case: Conversion,
    model: Any,  # noqa: ANN401
    tokenizer: Any,  # noqa: ANN401
    texts: Sequence[str],
    expected: Outputs,
) -> Iterator[str]:
    """Texts by the converted tokenizer, padded by it, through the model: ids and outputs are GluonNLP's."""
    batch = Batch.load(expected, "texts")
    inputs = torch_side.padded_tokens(tokenizer, texts)
    alone = len(inputs) > 1
    for number, tokens in enumerate(inputs):
        row = one_row(batch, number) if alone else batch
        if tokens["input_ids"].tolist() != row.ids.tolist():
            yield f"texts: ids {tokens['input_ids'].tolist()}, GluonNLP has {row.ids.tolist()}"
            return
        actual = torch_side.run(model, *map(tokens.get, ("input_ids", "attention_mask", "token_type_ids")))
        if case.family == "ernie":
            actual["mlm_logits"] = expected.get("texts/mlm_logits")  # compared with the ids
        here = {key: row_of(values, number, row) if alone else values for key, values in expected.items()}
        yield from differences(case, "texts", actual, here, row)


def one_row(batch: Batch, number: int) -> Batch:
    """A row without its padding."""
    length = int(batch.lengths[number])
    ids, types = (values[number : number + 1, :length] for values in (batch.ids, batch.types))
    return Batch(ids, types, batch.lengths[number : number + 1])


def row_of(values: Array, number: int, row: Batch) -> Array:
    """What an output has for the valid positions of a row."""
    return values[number : number + 1, : row.ids.shape[1]] if values.ndim > 1 else values


def special_id_problems(out: Path, vocab: int, special: Mapping[str, int]) -> Iterator[str]:
    """Special ids in a directory that are not the vocabulary's, or that the embedding has no row for."""
    expected = {f"{ROLES[role]}_token_id": number for role, number in special.items()}
    for name in ("config.json", "generation_config.json"):
        written = json.loads((out / name).read_text("utf-8")) if (out / name).exists() else {}
        ids = {key: value for key, value in written.items() if key.endswith("_token_id") and value is not None}
        for key, value in ids.items():
            if value != expected.get(key, value):
                yield f"{name} has {key} {value}, the vocabulary {expected[key]}"
            elif not 0 <= value < vocab:
                yield f"{name} has {key} {value} of {vocab} tokens"
        needed = {"pad_token_id" if "padding" in special else "eos_token_id"} & {*expected}
        if name == "config.json":
            yield from (f"{name} lacks {key}, the vocabulary has {expected[key]}" for key in needed - {*ids})


# Comparison


def differences(case: Conversion, probe: str, actual: Outputs, expected: Outputs, batch: Batch) -> Iterator[str]:
    """Hidden states and heads of a conversion that are further off than their limits, or missing."""
    names = {"embeddings", *(f"layer{number}" for number in range(case.shape.layers))}
    names |= HEADS.get(case.shape.form, {"logits"})
    yield from worst(
        probe,
        {name: actual[name] for name in sorted(names & {*actual})},
        {name: expected[f"{probe}/{name}"] for name in names},
        batch,
        head_limit=HEAD_LIMIT if has_own_epsilon(case) else LIMIT,
    )


def worst(
    probe: str, actual: Mapping[str, Array], expected: Mapping[str, Array], batch: Batch, *, head_limit: float
) -> Iterator[str]:
    """A line for each expected output that is missing, or further off than its limit at valid positions."""
    for name, reference in sorted(expected.items()):
        if name not in actual:
            yield f"{probe}: no {name} was computed"
            continue
        places = batch.valid if reference.ndim > 2 else ...  # (batch, length, ...)
        one, other = (values[places].astype("float64") for values in (actual[name], reference))
        if one.shape != other.shape:
            yield f"{probe}: {name} has the shape {one.shape}, expected {other.shape}"
            continue
        limit, largest = head_limit if name == "mlm_logits" else LIMIT, np.abs(other).max()
        off = np.abs(one - other).max() if np.isfinite(one).all() else np.inf
        if not off <= limit * largest:
            yield f"{probe}: {name} max |d| {off:.2e} of {largest:.3g} ({off / largest:.1e}, limit {limit:.0e})"


# Exports and texts


def export_problems(case: Export, processes: Processes, folder: Path) -> Iterator[str]:
    """Save a stock model, export it, have GluonNLP load the file and compare."""
    model, target = torch_side.stock_model(case), folder / "x.params"
    model.save_pretrained(folder / "stock", max_shard_size="10KB" if case.seed == 1 else "5GB")
    family = "roberta" if case.family == "roberta" else None
    try:
        manifest = bort_convert.export(folder / "stock", target, family=family, names=case.naming)
    except bort_convert.ConvertError as error:
        if not case.may_refuse:
            yield f"refused: {' '.join(str(error).split())}"
        return
    sizes = torch_side.stock_shape(case, model.config)
    batch = random_batch(np.random.default_rng(case.seed), sizes, model.config.pad_token_id or 0)
    types = batch.types if sizes.types else None
    expected = torch_side.run(model, batch.ids, torch_side.mask_of(batch, model.config), types)
    shape = torch_side.received_shape(case, manifest, sizes.positions)
    naming = "structural" if case.naming == "structural" else "prefixed"
    outputs = computed(partial(processes.ask, VERSION, "load"), shape, batch, target, naming=naming)
    actual = {name.removeprefix("ids/"): values for name, values in outputs.items()}
    missing: Collection[str] = HEADS.get(shape.form, {"logits"}) - {*expected}
    yield from (f"transformers gave no {name}" for name in missing)
    yield from worst("export", actual, expected, batch, head_limit=LIMIT if manifest.family == "bert" else HEAD_LIMIT)


def text_problems(case: Texts, processes: Processes, folder: Path) -> Iterator[str]:
    """Convert a tiny model with the vocabulary; each text has GluonNLP's ids."""
    vocab, source = folder / "x.vocab", folder / "x.params"
    vocabulary = processes.ask(
        VERSION, "vocabulary", kind=case.kind, order=case.order, seed=case.seed, target=str(vocab)
    )
    form = {"bert": "pooler", "gpt2": "language_model"}.get(case.family, "encoder")
    sizes = {"layers": 1, "heads": 1, "hidden": 8, "intermediate": 32, "vocab": vocabulary["size"], "positions": 400}
    shape = replace(random_shape(case.family, form, 0), **sizes)
    batch = random_batch(np.random.default_rng(0), shape, 0)
    job = {"naming": "structural", "dtype": "float32", "seed": 0, "texts": None}
    computed(partial(processes.ask, VERSION, "write"), shape, batch, source, **job)
    options = vocabulary_arguments(case.kind, vocab, lower=case.lower)
    torch_side.convert(source, folder / "out", ["--family", case.family, "--heads", "1", *options])
    rng = np.random.default_rng([case.seed, *map(ord, case.kind + case.order)])
    texts = random_texts(rng, case.count, case.kind, kana=case.kana)
    expected = processes.ask(VERSION, "ids", texts=texts, kind=case.kind, path=str(vocab), lower=case.lower)
    actual = torch_side.text_ids(AutoTokenizer.from_pretrained(folder / "out"), texts)
    for text, ours, theirs in zip(texts, actual, expected, strict=True):
        if ours != theirs:
            yield f"text {text!r}: ids {ours}, GluonNLP has {theirs}"
