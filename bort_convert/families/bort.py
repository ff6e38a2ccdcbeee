"""Bort (alexa/bort, gluonnlp 0.8.3): a BERT encoder without segments and pooler, narrow in its feed-forward layers."""

from bort_convert.family import ConfigKey, Family, Table, Variant
from bort_convert.rows import fill, linear, norm, optional, rename, same, under

CELL, LAYER = "encoder.transformer_cells.{layer}", "bert.encoder.layer.{layer}"
ATTENTION, SELF = f"{CELL}.attention_cell", f"{LAYER}.attention.self"
ENCODER, EMBEDDING = "~encoder#", "[~model#_]word_embed_embedding#"
TRANSFORMER = f"{ENCODER}_transformer{{layer}}"
FFN = f"{TRANSFORMER}_~ffn#"
HEAD = "masked-language-model head"

BACKBONE = (
    rename(
        "word_embed.0.weight", "bert.embeddings.word_embeddings.weight", "vocab units", prefixed=f"{EMBEDDING}_weight"
    ),
    rename(
        "encoder.position_weight",
        "bert.embeddings.position_embeddings.weight",
        "positions units",
        prefixed=f"{ENCODER}_position_weight",
    ),
    fill("bert.embeddings.token_type_embeddings.weight", "1 units", 0.0, why="Bort has no segment embedding"),
    *norm("encoder.layer_norm", "bert.embeddings.LayerNorm", "units", prefixed=f"{ENCODER}_~layernorm#"),
    *linear(f"{ATTENTION}.proj_query", f"{SELF}.query", "units units", prefixed=f"{TRANSFORMER}_~cell#_query"),
    *linear(f"{ATTENTION}.proj_key", f"{SELF}.key", "units units", prefixed=f"{TRANSFORMER}_~cell#_key"),
    *linear(f"{ATTENTION}.proj_value", f"{SELF}.value", "units units", prefixed=f"{TRANSFORMER}_~cell#_value"),
    *linear(f"{CELL}.proj", f"{LAYER}.attention.output.dense", "units units", prefixed=f"{TRANSFORMER}_proj"),
    *norm(f"{CELL}.layer_norm", f"{LAYER}.attention.output.LayerNorm", "units", prefixed=f"{TRANSFORMER}_~layernorm#"),
    *linear(f"{CELL}.ffn.ffn_1", f"{LAYER}.intermediate.dense", "hidden units", prefixed=f"{FFN}_ffn_1"),
    *linear(f"{CELL}.ffn.ffn_2", f"{LAYER}.output.dense", "units hidden", prefixed=f"{FFN}_ffn_2"),
    *norm(f"{CELL}.ffn.layer_norm", f"{LAYER}.output.LayerNorm", "units", prefixed=f"{FFN}_~layernorm#"),
)

LANGUAGE_MODEL = (
    *BACKBONE,
    *optional(
        HEAD,
        rename("decoder.3.bias", "cls.predictions.bias", "vocab", prefixed=f"{EMBEDDING}_bias"),
        linear("decoder.0", "cls.predictions.transform.dense", "units units", prefixed="[~model#_]dense#"),
        norm("decoder.2", "cls.predictions.transform.LayerNorm", "units", prefixed="[~model#_]~layernorm#"),
        same("decoder.3.weight", original="word_embed.0.weight", dims="vocab units", why="the output layer is tied"),
    ),
)

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
        Table("language model", LANGUAGE_MODEL, (("BertModel",), ("BertForMaskedLM", HEAD))),
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
        ConfigKey("vocab_size", "vocab"),
        ConfigKey("hidden_size", "units"),
        ConfigKey("num_hidden_layers", "layers"),
        ConfigKey("num_attention_heads", "heads"),
        ConfigKey("intermediate_size", "hidden"),
        ConfigKey("max_position_embeddings", "positions"),
        ConfigKey("hidden_act", "hidden_act"),
        ConfigKey("layer_norm_eps", "layer_norm_eps"),
        ConfigKey("type_vocab_size", constant=1),
        ConfigKey("hidden_dropout_prob", constant=0.1),
        ConfigKey("attention_probs_dropout_prob", constant=0.1),
        ConfigKey("initializer_range", constant=0.02),
        ConfigKey("bos_token_id", constant=0),
        ConfigKey("pad_token_id", constant=1),
        ConfigKey("eos_token_id", constant=2),
        ConfigKey("tie_word_embeddings", constant=True),
    ),
    base="bert.",
    base_class="BertModel",
)
