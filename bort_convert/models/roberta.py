"""RoBERTa (gluonnlp 0.8 to 0.10): Bort's names, BERT's sizes, and a target class that counts from its padding id.

Source: dmlc/gluon-nlp v0.8.3, model/bert.py, RoBERTaModel; v0.10.0, model/bert.py, RoBERTaClassifier.
"""

from bort_convert.mapping.family import ConfigKey, Family, Table, Variant
from bort_convert.mapping.rows import fill, linear, norm, onto, optional, pad, rename, under
from bort_convert.models._encoder import (
    CHOICES,
    CONFIG,
    EMBEDDING,
    ENCODER,
    LAYERS,
    MASKED_LM,
    MODEL,
    TIED_OUTPUT,
    TOKEN_IDS,
    VERSIONS_OF_HEADS,
    WORDS,
)

BACKBONE = onto(
    "roberta.",
    (
        WORDS,
        pad(
            "encoder.position_weight",
            "embeddings.position_embeddings.weight",
            "max_positions hidden_size",
            rows=1,
            after="pad_token_id",
            why="RoBERTa counts positions from behind its padding id",
            prefixed=f"{ENCODER}_position_weight",
        ),
        fill("embeddings.token_type_embeddings.weight", "1 hidden_size", 0.0, why="RoBERTa has no segment embedding"),
        *LAYERS,
    ),
)

LANGUAGE_MODEL = (
    *BACKBONE,
    *optional(
        MASKED_LM,
        rename("decoder.3.bias", "lm_head.bias", "vocab_size", prefixed=f"{EMBEDDING}_bias"),
        linear("decoder.0", "lm_head.dense", "hidden_size hidden_size", prefixed=f"{MODEL}dense#"),
        norm("decoder.2", "lm_head.layer_norm", "hidden_size", prefixed=f"{MODEL}~layernorm#"),
        TIED_OUTPUT,
    ),
)

CLASSIFIER = (
    *under("roberta.", BACKBONE),
    *linear("classifier.1", "classifier.dense", "hidden_size hidden_size", prefixed="[~classifier#_]dense0"),
    *linear("classifier.3", "classifier.out_proj", "labels hidden_size", prefixed="[~classifier#_]dense1"),
)

# Dropout layers have numbers of their own in the Sequential; without them the dense layers are numbers 0 and 1.
CLASSIFIER_WITHOUT_DROPOUT = (
    *under("roberta.", BACKBONE),
    *linear("classifier.0", "classifier.dense", "hidden_size hidden_size"),
    *linear("classifier.1", "classifier.out_proj", "labels hidden_size"),
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
        Variant(
            "roberta_12_768_12",
            {"layers": 12, "intermediate_size": 3072, "hidden_size": 768, "max_positions": 512},
            {"attention_heads": 12},
        ),
        Variant(
            "roberta_24_1024_16",
            {"layers": 24, "intermediate_size": 4096, "hidden_size": 1024, "max_positions": 512},
            {"attention_heads": 16},
        ),
    ),
    hyperparameters={"hidden_act": "gelu", "layer_norm_eps": 1e-5, "head_layer_norm_eps": 1e-12, **TOKEN_IDS},
    config=(
        ConfigKey("model_type", constant="roberta"),
        *CONFIG,
        ConfigKey("max_position_embeddings", "max_positions", plus=1, after="pad_token_id"),
        ConfigKey("type_vocab_size", constant=1),
        ConfigKey("bos_token_id", "bos_token_id"),
        ConfigKey("pad_token_id", "pad_token_id"),
        ConfigKey("eos_token_id", "eos_token_id"),
    ),
    base="roberta.",
    base_class="RobertaModel",
    tokenizer="RoBERTa",
    aliases={"lm_head.decoder.weight": "embeddings.word_embeddings.weight", "lm_head.decoder.bias": "lm_head.bias"},
    by_version=VERSIONS_OF_HEADS,
    choices=CHOICES,
)
