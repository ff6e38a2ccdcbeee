"""The cases of the matrix: conversions, exports and texts, in a bounded choice and in full. Nothing runs here.

The groups beside "conversion", "vocabulary", "precision", "version", "export" and "texts" are kinds of faults that were
found by trying as a new user would; each can be run alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from matrix_shapes import FORMS, Shape

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMINGS = ("structural", "deduplicated", "prefixed", "arg_structural", "arg_prefixed")
SCRIPTS = ("gpt2", "xlnet")
"""Families whose prefixed names can be saved without the model's own prefix."""
KINDS = {
    "bert": "wordpiece",
    "ernie": "wordpiece",
    "distilbert": "wordpiece",
    "bort": "roberta",
    "roberta": "roberta",
    "gpt2": "gpt2",
}
"""Kind of each family's tokenizer."""
MAIN_FORMS = {"gpt2": "language_model", "xlnet": "language_model", "distilbert": "encoder"}
"""The form that vocabularies and precisions are tried with, of families that have one; see `main_shape`."""
ORDERS = ("published", "default", "shuffled")
NARROWEST = 20
"""Width below which a LayerNorm has few values, and an epsilon of its own shows more than the limit allows."""
VERSION, LATER = "0.8.3", "0.10.0"


@dataclass(frozen=True)
class Conversion:
    """A checkpoint that GluonNLP writes, `bort-convert` converts and plain transformers loads.

    Attributes:
        group: the kind of case.
        shape: sizes and form; with a vocabulary its size takes the place of `vocab`.
        naming: naming scheme of the file; see matrix_gluon.save.
        seed: of the values, the inputs and the vocabulary.
        dtype: of the file; see matrix_gluon.round_values.
        order: order of the vocabulary that is specified, "" for none.
        kind: kind of the vocabulary.
        lower: True if the tokenizer lower-cases text.
        version: the gluonnlp that writes and runs the model.
        options: further arguments of `bort-convert convert`.
        padded: False for rows of one length, where no padding id is known.
        stock_head: True to take an ERNIE's masked-language-model head from the class that the last line names, where
            other cases take it from `load_pretrained`.
    """

    group: str
    shape: Shape
    naming: str
    seed: int
    dtype: str = "float32"
    order: str = ""
    kind: str = ""
    lower: bool = False
    version: str = VERSION
    options: tuple[str, ...] = ()
    padded: bool = True
    stock_head: bool = False

    @property
    def family(self) -> str:
        return self.shape.family

    @property
    def name(self) -> str:
        sizes = f"{self.shape.layers}x{self.shape.heads}x{self.shape.hidden}"
        special = [self.dtype] * (self.dtype != "float32") + [self.version] * (self.version != VERSION)
        parts = [self.group, self.family, self.shape.form, self.naming, sizes, self.kind, self.order, *special]
        return "-".join(filter(None, [*parts, "".join(self.options), str(self.seed)]))


@dataclass(frozen=True)
class Export:
    """A model of transformers that `export` writes and GluonNLP loads.

    Attributes:
        group: the kind of case.
        model: name of the class in transformers.
        config: keys of its config.
        naming: "structural" or "prefix", as `--names` has it.
        seed: of the values and the inputs.
        pooler: False for a base model without one.
        may_refuse: True if an error of bort_convert's is as good as the right values.
    """

    group: str
    model: str
    config: dict[str, Any]
    naming: str
    seed: int
    pooler: bool = True
    may_refuse: bool = False

    @property
    def family(self) -> str:
        return next(family for family in ("roberta", "bert", "gpt2", "xlnet") if self.model.lower().startswith(family))

    @property
    def name(self) -> str:
        special = [f"{key}={value}" for key, value in self.config.items() if key not in SIZE_KEYS]
        special += [] if self.pooler else ["no_pooler"]
        sizes = "x".join(str(self.config[key]) for key in self.config if key in {"num_hidden_layers", "n_layer"})
        labels = f"{self.config.get('num_labels', '')}"
        return "-".join(filter(None, [self.group, self.model, sizes, labels, *special, self.naming, str(self.seed)]))


@dataclass(frozen=True)
class Texts:
    """Texts that the converted tokenizer and GluonNLP's own turn into ids.

    Attributes:
        group: the kind of case.
        family: of the tiny model that the vocabulary comes with.
        kind: kind of the vocabulary.
        order: its order.
        lower: True if the tokenizer lower-cases text.
        seed: of the vocabulary and the texts.
        count: number of texts.
        kana: with half-width katakana in the texts.
    """

    group: str
    family: str
    kind: str
    order: str
    lower: bool
    seed: int
    count: int
    kana: bool = False

    @property
    def name(self) -> str:
        case = "lower" if self.lower else "cased"
        return "-".join([self.group, self.family, self.kind, self.order, case, str(self.seed)])


Case = Conversion | Export | Texts


def cases(*, full: bool) -> list[Case]:
    """Every case, or a choice that has every family in every form, every naming scheme and every kind of fault."""
    chosen_cases = [*conversions(full=full), *with_vocabularies(full=full), *precisions(full=full)]
    chosen_cases += [
        *versions(full=full),
        *faults(full=full),
        *exports(full=full),
        *export_faults(full=full),
        *texts(full=full),
    ]
    assert len({case.name for case in chosen_cases}) == len(chosen_cases)
    return chosen_cases


def random_shape(family: str, form: str, seed: int) -> Shape:
    """Any sizes: one layer or some, odd widths, short inputs and long ones."""
    rng = np.random.default_rng([seed, *map(ord, family + form)])
    heads, width = int(rng.choice([1, 2, 3, 4, 5, 7, 8, 12])), int(rng.choice([2, 3, 4, 5, 8, 16]))
    hidden = heads * max(width, -(-NARROWEST // heads))
    hidden += hidden % 2 * heads * (family == "xlnet")  # sinusoids come in pairs
    long = rng.random() < 0.15
    return Shape(
        family=family,
        form=form,
        layers=int(rng.choice([1, 2, 2, 3, 4, 6])),
        heads=heads,
        hidden=hidden,
        intermediate=4 * hidden if family == "gpt2" else int(rng.integers(5, 130)),
        vocab=int(rng.integers(30, 400)),
        positions=int(rng.integers(100, 300) if long else rng.integers(7, 40)),
        types={"bert": int(rng.choice([2, 2, 1, 3])), "ernie": 2, "xlnet": 2}.get(family, 0),
        labels=int(rng.integers(2, 8)),
        activation={"ernie": "relu", "gpt2": "gelu_new", "xlnet": "gelu_new"}.get(family, "gelu"),
        epsilon=1e-12 if family in {"bert", "xlnet"} else 1e-5,
    )


def main_shape(family: str, seed: int) -> Shape:
    """A family in the form that vocabularies and precisions are tried with."""
    form = MAIN_FORMS.get(family, ("pretraining" if seed % 2 else "pooler") if family == "bert" else "masked_lm")
    return random_shape(family, "pooler" if family == "ernie" else form, seed)


def conversions(*, full: bool) -> Iterator[Conversion]:
    """Every family in every form, with no vocabulary; in full, in every naming scheme and twice."""
    number = 0
    for family, forms in FORMS.items():
        for form in forms:
            schemes = (*["unprefixed"] * (family in SCRIPTS), *NAMINGS)
            chosen = [(naming, seed) for naming in schemes for seed in (1, 2)] if full else []
            number += 1
            for naming, seed in chosen or [(schemes[number % len(schemes)], 0)]:
                options = ("--max-shard-size", "20KB") if (seed + number) % 4 == 0 else ()
                yield Conversion("conversion", random_shape(family, form, seed), naming, seed, options=options)


def with_vocabularies(*, full: bool) -> Iterator[Conversion]:
    """A vocabulary in the published order, and in the orders that gluonnlp makes by itself or that nobody chose."""
    for family, kind in KINDS.items():
        for order in ORDERS:
            for seed in range(4 if full else 1):
                published = order == "published" and family != "gpt2"  # its one special id is its size
                group = "vocabulary" if published else "own_vocabulary"
                shape = replace(main_shape(family, seed), positions=64)
                lower = kind == "wordpiece" and seed % 2 == 0
                naming = NAMINGS[seed % len(NAMINGS)]
                yield Conversion(group, shape, naming, seed, order=order, kind=kind, lower=lower)
    for order in ORDERS[: 2 if full else 1]:
        shape = replace(main_shape("bert", 1), positions=64)
        group = "vocabulary" if order == "published" else "own_vocabulary"
        yield Conversion(group, shape, "structural", 1, order=order, kind="sentencepiece")


def precisions(*, full: bool) -> Iterator[Conversion]:
    """Files in half and in double precision, and those that mix two."""
    for family in FORMS if full else ("bert", "roberta", "gpt2", "xlnet"):
        for group, dtypes in {"precision": ("float16", "float64"), "mixed_dtypes": ("norms", "any")}.items():
            for dtype in dtypes if full else dtypes[:1]:
                yield Conversion(group, main_shape(family, 3), "structural", 3, dtype=dtype)


def versions(*, full: bool) -> Iterator[Conversion]:
    """Models that gluonnlp 0.10 writes and runs."""
    families = ("bert", "ernie", "bort", "roberta", "distilbert")
    for family in families:
        for form in FORMS[family] if full else FORMS[family][:1]:
            options = ("--gluonnlp-version", "0.10")
            yield Conversion("version", random_shape(family, form, 4), "structural", 4, version=LATER, options=options)


def faults(*, full: bool) -> Iterator[Conversion]:
    """Kinds of faults that conversions had, in variants."""
    for seed in range(4 if full else 1):
        for form in ("pretraining", "masked_lm"):
            yield Conversion("ernie_head", random_shape("ernie", form, seed), "structural", seed, stock_head=True)
        gpt2, xlnet = random_shape("gpt2", "language_model", seed), random_shape("xlnet", "language_model", seed)
        # gluonnlp 0.8.3's own gpt2_117m() runs the tanh form; other code that builds the class runs the exact one.
        yield Conversion("activation", gpt2, "structural", seed, options=("--gluonnlp-version", "0.8"))
        for shape in (gpt2, xlnet):
            exact = replace(shape, activation="gelu")
            yield Conversion("activation", exact, "prefixed", seed, options=("--set", "activation=gelu"))
        for shape in (gpt2, replace(xlnet, vocab=5)):
            yield Conversion("special_ids", shape, "structural", seed, padded=False)


BERT_SIZES = {
    "vocab_size": 211,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 50,
    "max_position_embeddings": 19,
}
GPT2_SIZES = {"vocab_size": 211, "n_embd": 24, "n_layer": 2, "n_head": 3, "n_positions": 19}
XLNET_SIZES = {"vocab_size": 211, "d_model": 24, "n_layer": 2, "n_head": 3, "d_inner": 50, "ff_activation": "gelu_new"}
ROBERTA_SIZES = BERT_SIZES | {"type_vocab_size": 1, "layer_norm_eps": 1e-5}
SIZE_KEYS = {*BERT_SIZES, *GPT2_SIZES, *XLNET_SIZES, "num_labels", "type_vocab_size"} - {"ff_activation"}
STOCK = (
    ("BertModel", BERT_SIZES, True),
    ("BertModel", BERT_SIZES, False),
    ("BertForPreTraining", BERT_SIZES, True),
    ("BertForMaskedLM", BERT_SIZES, True),
    ("BertForNextSentencePrediction", BERT_SIZES, True),
    ("BertForSequenceClassification", BERT_SIZES | {"num_labels": 5}, True),
    ("BertForSequenceClassification", BERT_SIZES | {"num_labels": 1}, True),
    ("BertForQuestionAnswering", BERT_SIZES, True),
    ("BertForTokenClassification", BERT_SIZES | {"num_labels": 5}, True),
    ("BertModel", BERT_SIZES | {"hidden_act": "relu", "layer_norm_eps": 1e-5}, True),
    ("BertForMaskedLM", ROBERTA_SIZES, True),
    ("BertForSequenceClassification", ROBERTA_SIZES, True),
    ("RobertaModel", ROBERTA_SIZES, False),
    ("RobertaForMaskedLM", ROBERTA_SIZES, True),
    ("RobertaForSequenceClassification", ROBERTA_SIZES | {"num_labels": 4}, True),
    ("GPT2LMHeadModel", GPT2_SIZES, True),
    ("XLNetModel", XLNET_SIZES, True),
    ("XLNetLMHeadModel", XLNET_SIZES, True),
)
"""Classes that have a place in GluonNLP, with the keys of their configs."""
ALTERED = (
    ("BertModel", BERT_SIZES | {"hidden_act": "gelu_new"}),
    ("BertModel", BERT_SIZES | {"layer_norm_eps": 1e-3}),
    ("BertForMaskedLM", BERT_SIZES | {"hidden_act": "relu", "layer_norm_eps": 1e-5}),
    ("BertForPreTraining", BERT_SIZES | {"hidden_act": "relu", "layer_norm_eps": 1e-5}),
    ("BertForPreTraining", BERT_SIZES | {"hidden_act": "relu"}),
    ("BertForMaskedLM", BERT_SIZES | {"tie_word_embeddings": False}),
    ("BertForMaskedLM", BERT_SIZES | {"is_decoder": True}),
    ("BertForMaskedLM", BERT_SIZES | {"is_decoder": True, "add_cross_attention": True}),
    ("RobertaForMaskedLM", ROBERTA_SIZES | {"type_vocab_size": 2}),
    ("RobertaForMaskedLM", ROBERTA_SIZES | {"is_decoder": True}),
    ("RobertaForMaskedLM", ROBERTA_SIZES | {"hidden_act": "silu"}),
    ("GPT2LMHeadModel", GPT2_SIZES | {"activation_function": "gelu"}),
    ("GPT2LMHeadModel", GPT2_SIZES | {"activation_function": "relu"}),
    ("GPT2LMHeadModel", GPT2_SIZES | {"n_inner": 50}),
    ("GPT2LMHeadModel", GPT2_SIZES | {"n_inner": 96}),
    ("GPT2LMHeadModel", GPT2_SIZES | {"scale_attn_weights": False}),
    ("GPT2LMHeadModel", GPT2_SIZES | {"scale_attn_by_inverse_layer_idx": True}),
    ("GPT2LMHeadModel", GPT2_SIZES | {"reorder_and_upcast_attn": True}),
    ("GPT2LMHeadModel", GPT2_SIZES | {"layer_norm_epsilon": 1e-3}),
    ("GPT2LMHeadModel", GPT2_SIZES | {"tie_word_embeddings": False}),
    ("XLNetLMHeadModel", XLNET_SIZES | {"ff_activation": "gelu"}),
    ("XLNetLMHeadModel", XLNET_SIZES | {"ff_activation": "relu"}),
    ("XLNetLMHeadModel", XLNET_SIZES | {"clamp_len": 5}),
    ("XLNetLMHeadModel", XLNET_SIZES | {"attn_type": "uni"}),
    ("XLNetLMHeadModel", XLNET_SIZES | {"bi_data": True}),
    ("XLNetLMHeadModel", XLNET_SIZES | {"same_length": True}),
    ("XLNetLMHeadModel", XLNET_SIZES | {"layer_norm_eps": 1e-3}),
    ("XLNetLMHeadModel", XLNET_SIZES | {"tie_word_embeddings": False}),
)
"""Configs with a key that changes what the model computes: GluonNLP can do it, or the export refuses."""


def exports(*, full: bool) -> Iterator[Export]:
    """Every class that has a place in GluonNLP; in full in both naming schemes and three sizes."""
    for number, (model, config, pooler) in enumerate(STOCK):
        chosen = [(naming, seed) for naming in ("structural", "prefix") for seed in (0, 1, 2)]
        for naming, seed in chosen if full else [chosen[number % 2 * 3]]:
            yield Export("export", model, resized(config, seed), naming, seed, pooler)


def export_faults(*, full: bool) -> Iterator[Export]:
    """Other padding ids, and each key that changes what a model computes."""
    for number, (model, config) in enumerate(ALTERED):
        if full or number % 3 == 2:
            yield Export("export_config", model, config, "structural", 0, may_refuse=True)
    for padding in (0, 2, 3, 9) if full else (3,):
        for model in ("RobertaForMaskedLM", "RobertaForSequenceClassification"):
            config = ROBERTA_SIZES | {"pad_token_id": padding}
            yield Export("export_padding", model, config, "structural", padding, may_refuse=True)


def resized(config: dict[str, Any], seed: int) -> dict[str, Any]:
    """The config in one of three sizes."""
    heads, width, layers = ((3, 8, 2), (1, 26, 1), (2, 17, 5))[seed]
    sizes = {"num_hidden_layers": layers, "n_layer": layers, "num_attention_heads": heads, "n_head": heads}
    widths = dict.fromkeys(("hidden_size", "n_embd", "d_model"), heads * width)
    return {key: {**sizes, **widths}.get(key, value) for key, value in config.items()}


def texts(*, full: bool) -> Iterator[Texts]:
    """Each kind of vocabulary in each order, cased and lower-cased where a tokenizer can be either."""
    kinds = (
        ("bert", "wordpiece"),
        ("bort", "roberta"),
        ("roberta", "roberta"),
        ("gpt2", "gpt2"),
        ("bert", "sentencepiece"),
    )
    for number, (family, kind) in enumerate(kinds):
        for order in ORDERS if full else (ORDERS[number % 3],):
            for lower in (False, True) if family == "bert" else (False,):
                if kind != "sentencepiece" or order != "shuffled":
                    for seed in range(3 if full else 1):
                        yield Texts("texts", family, kind, order, lower, seed, 40)
    for lower in (False, True):
        yield Texts("half_width_kana", "bert", "sentencepiece", "default", lower, 0, 10, kana=True)
