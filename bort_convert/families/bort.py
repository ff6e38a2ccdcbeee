"""Bort (alexa/bort, gluonnlp 0.8.3): a BERT encoder without segments and pooler, narrow in its feed-forward layers."""

from bort_convert.families._encoder import (
    CONFIG,
    HEAD,
    LAYERS,
    MASKED_LM,
    POSITIONS,
    PRODUCERS_OF_HEADS,
    SECONDS,
    WORDS,
)
from bort_convert.family import ConfigKey, Family, Table, Variant
from bort_convert.rows import fill, linear, onto, under

TYPES = fill("embeddings.token_type_embeddings.weight", "1 units", 0.0, why="Bort has no segment embedding")
BACKBONE = onto("bert.", (WORDS, POSITIONS, TYPES, *LAYERS))
LANGUAGE_MODEL = (*BACKBONE, *HEAD)

CLASSIFIER = (
    *under("bort.", BACKBONE),
    *linear("classifier.1", "bert.pooler.dense", "units units", prefixed="[~classifier#_]dense0"),
    *linear("classifier.3", "classifier", "labels units", prefixed="[~classifier#_]dense1"),
)

# Dropout layers take up numbers in the classifier's Sequential; without them the dense layers move forward.
CLASSIFIER_WITHOUT_DROPOUT = (
    *under("bort.", BACKBONE),
    *linear("classifier.0", "bert.pooler.dense", "units units"),
    *linear("classifier.1", "classifier", "labels units"),
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
        Variant("bort_4_8_768_1024", {"layers": 4, "hidden": 768, "units": 1024, "positions": 512}, {"heads": 8}),
        Variant("bort_2_16_512_1024", {"layers": 2, "hidden": 512, "units": 1024, "positions": 512}, {"heads": 16}),
    ),
    facts={"hidden_act": "gelu", "layer_norm_eps": 1e-5, "head_layer_norm_eps": 1e-12},
    config=(
        ConfigKey("model_type", constant="bert"),
        *CONFIG,
        ConfigKey("max_position_embeddings", "positions"),
        ConfigKey("type_vocab_size", constant=1),
        ConfigKey("bos_token_id", constant=0),
        ConfigKey("pad_token_id", constant=1),
        ConfigKey("eos_token_id", constant=2),
    ),
    base="bert.",
    base_class="BertModel",
    tokenizer="Bort",
    seconds=SECONDS,
    producers=PRODUCERS_OF_HEADS,
)
