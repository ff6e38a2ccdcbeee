"""Bort (alexa/bort, gluonnlp 0.8.3): a BERT encoder without segments and pooler, with narrow feed-forward layers."""

from bort_convert.mapping.family import ConfigKey, Family, Table, Variant
from bort_convert.mapping.rows import fill, linear, onto, under
from bort_convert.models._encoder import (
    ALIASES,
    CHOICES,
    CONFIG,
    HEAD,
    LAYERS,
    MASKED_LM,
    POSITIONS,
    TOKEN_IDS,
    VERSIONS_OF_HEADS,
    WORDS,
)

TYPES = fill("embeddings.token_type_embeddings.weight", "1 hidden_size", 0.0, why="Bort has no segment embedding")
BACKBONE = onto("bert.", (WORDS, POSITIONS, TYPES, *LAYERS))
LANGUAGE_MODEL = (*BACKBONE, *HEAD)

CLASSIFIER = (
    *under("bort.", BACKBONE),
    *linear("classifier.1", "bert.pooler.dense", "hidden_size hidden_size", prefixed="[~classifier#_]dense0"),
    *linear("classifier.3", "classifier", "labels hidden_size", prefixed="[~classifier#_]dense1"),
)

# Dropout layers have numbers of their own in the Sequential; without them the dense layers are numbers 0 and 1.
CLASSIFIER_WITHOUT_DROPOUT = (
    *under("bort.", BACKBONE),
    *linear("classifier.0", "bert.pooler.dense", "hidden_size hidden_size"),
    *linear("classifier.1", "classifier", "labels hidden_size"),
)

FAMILY = Family(
    name="bort",
    title="Bort",
    tables=(
        Table("language model", LANGUAGE_MODEL, (("BertModel",), ("BertForMaskedLM", MASKED_LM))),
        Table("classifier", CLASSIFIER, (("BertForSequenceClassification",),)),
        Table("classifier without dropout", CLASSIFIER_WITHOUT_DROPOUT, (("BertForSequenceClassification",),)),
    ),
    variants=(
        Variant(
            "bort_4_8_768_1024",
            {"layers": 4, "intermediate_size": 768, "hidden_size": 1024, "max_positions": 512},
            {"attention_heads": 8},
        ),
        Variant(
            "bort_2_16_512_1024",
            {"layers": 2, "intermediate_size": 512, "hidden_size": 1024, "max_positions": 512},
            {"attention_heads": 16},
        ),
    ),
    hyperparameters={"hidden_act": "gelu", "layer_norm_eps": 1e-5, "head_layer_norm_eps": 1e-12, **TOKEN_IDS},
    config=(
        ConfigKey("model_type", constant="bert"),
        *CONFIG,
        ConfigKey("max_position_embeddings", "max_positions"),
        ConfigKey("type_vocab_size", constant=1),
        ConfigKey("bos_token_id", "bos_token_id"),
        ConfigKey("pad_token_id", "pad_token_id"),
        ConfigKey("eos_token_id", "eos_token_id"),
    ),
    base="bert.",
    base_class="BertModel",
    tokenizer="Bort",
    aliases=ALIASES,
    by_version=VERSIONS_OF_HEADS,
    choices=CHOICES,
)
