"""RoBERTa (gluonnlp 0.8 to 0.10): Bort's names and BERT's sizes; the receiving class counts its positions from two.

Source: dmlc/gluon-nlp v0.8.3, model/bert.py, RoBERTaModel; v0.10.0, model/bert.py, RoBERTaClassifier.
"""

from bort_convert.families._encoder import (
    CONFIG,
    EMBEDDING,
    ENCODER,
    LAYERS,
    MASKED_LM,
    MODEL,
    PRODUCERS_OF_HEADS,
    WORDS,
)
from bort_convert.family import ConfigKey, Family, Table, Variant
from bort_convert.rows import fill, linear, norm, onto, optional, pad, rename, same, under

PADDING_ROWS = 2  # the id of the padding token, 1, and one

BACKBONE = onto(
    "roberta.",
    (
        WORDS,
        pad(
            "encoder.position_weight",
            "embeddings.position_embeddings.weight",
            "positions units",
            rows=PADDING_ROWS,
            why="RoBERTa counts positions from behind its padding id",
            prefixed=f"{ENCODER}_position_weight",
        ),
        fill("embeddings.token_type_embeddings.weight", "1 units", 0.0, why="RoBERTa has no segment embedding"),
        *LAYERS,
    ),
)

LANGUAGE_MODEL = (
    *BACKBONE,
    *optional(
        MASKED_LM,
        rename("decoder.3.bias", "lm_head.bias", "vocab", prefixed=f"{EMBEDDING}_bias"),
        linear("decoder.0", "lm_head.dense", "units units", prefixed=f"{MODEL}dense#"),
        norm("decoder.2", "lm_head.layer_norm", "units", prefixed=f"{MODEL}~layernorm#"),
        same("decoder.3.weight", original="word_embed.0.weight", dims="vocab units", why="the output layer is tied"),
    ),
)

CLASSIFIER = (
    *under("roberta.", BACKBONE),
    *linear("classifier.1", "classifier.dense", "units units", prefixed="[~classifier#_]dense0"),
    *linear("classifier.3", "classifier.out_proj", "labels units", prefixed="[~classifier#_]dense1"),
)

# Dropout layers take up numbers in the classifier's Sequential; without them the dense layers move forward.
CLASSIFIER_WITHOUT_DROPOUT = (
    *under("roberta.", BACKBONE),
    *linear("classifier.0", "classifier.dense", "units units"),
    *linear("classifier.1", "classifier.out_proj", "labels units"),
)

FAMILY = Family(
    name="roberta",
    title="RoBERTa",
    tables=(
        Table("language model", LANGUAGE_MODEL, (("RobertaModel",), ("RobertaForMaskedLM", MASKED_LM))),
        Table("classifier", CLASSIFIER, (("RobertaForSequenceClassification",),)),
        Table("classifier without dropout", CLASSIFIER_WITHOUT_DROPOUT, (("RobertaForSequenceClassification",),)),
    ),
    variants=(
        Variant("roberta_12_768_12", {"layers": 12, "hidden": 3072, "units": 768, "positions": 512}, {"heads": 12}),
        Variant("roberta_24_1024_16", {"layers": 24, "hidden": 4096, "units": 1024, "positions": 512}, {"heads": 16}),
    ),
    facts={"hidden_act": "gelu", "layer_norm_eps": 1e-5, "head_layer_norm_eps": 1e-12},
    config=(
        ConfigKey("model_type", constant="roberta"),
        *CONFIG,
        ConfigKey("max_position_embeddings", "positions", plus=PADDING_ROWS),
        ConfigKey("type_vocab_size", constant=1),
        ConfigKey("bos_token_id", constant=0),
        ConfigKey("pad_token_id", constant=1),
        ConfigKey("eos_token_id", constant=2),
    ),
    base="roberta.",
    base_class="RobertaModel",
    tokenizer="RoBERTa",
    seconds={
        "lm_head.decoder.weight": "embeddings.word_embeddings.weight",
        "lm_head.decoder.bias": "lm_head.bias",
    },
    producers=PRODUCERS_OF_HEADS,
)
