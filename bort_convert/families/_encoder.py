"""What GluonNLP's BERT-like models share: embeddings, layers, the masked-language-model head, keys of the config.

Targets are those of transformers' BERT-like models, without the prefix that their backbone has in a model with a head.

Source: dmlc/gluon-nlp v0.8.3, model/bert.py and model/transformer.py.
"""

from bort_convert.family import ConfigKey
from bort_convert.rows import linear, norm, optional, rename, same

CELL, LAYER = "encoder.transformer_cells.{layer}", "encoder.layer.{layer}"
ATTENTION, SELF = f"{CELL}.attention_cell", f"{LAYER}.attention.self"
MODEL, ENCODER = "[~model#_]", "~encoder#"
EMBEDDING = f"{MODEL}word_embed_embedding#"
TRANSFORMER = f"{ENCODER}_transformer{{layer}}"
FFN = f"{TRANSFORMER}_~ffn#"
MASKED_LM = "masked-language-model head"

WORDS = rename(
    "word_embed.0.weight", "embeddings.word_embeddings.weight", "vocab units", prefixed=f"{EMBEDDING}_weight"
)
POSITIONS = rename(
    "encoder.position_weight",
    "embeddings.position_embeddings.weight",
    "positions units",
    prefixed=f"{ENCODER}_position_weight",
)
TYPES = rename(
    "token_type_embed.0.weight",
    "embeddings.token_type_embeddings.weight",
    "types units",
    prefixed=f"{MODEL}token_type_embed_embedding#_weight",
)
LAYERS = (
    *norm("encoder.layer_norm", "embeddings.LayerNorm", "units", prefixed=f"{ENCODER}_~layernorm#"),
    *linear(f"{ATTENTION}.proj_query", f"{SELF}.query", "units units", prefixed=f"{TRANSFORMER}_~cell#_query"),
    *linear(f"{ATTENTION}.proj_key", f"{SELF}.key", "units units", prefixed=f"{TRANSFORMER}_~cell#_key"),
    *linear(f"{ATTENTION}.proj_value", f"{SELF}.value", "units units", prefixed=f"{TRANSFORMER}_~cell#_value"),
    *linear(f"{CELL}.proj", f"{LAYER}.attention.output.dense", "units units", prefixed=f"{TRANSFORMER}_proj"),
    *norm(f"{CELL}.layer_norm", f"{LAYER}.attention.output.LayerNorm", "units", prefixed=f"{TRANSFORMER}_~layernorm#"),
    *linear(f"{CELL}.ffn.ffn_1", f"{LAYER}.intermediate.dense", "hidden units", prefixed=f"{FFN}_ffn_1"),
    *linear(f"{CELL}.ffn.ffn_2", f"{LAYER}.output.dense", "units hidden", prefixed=f"{FFN}_ffn_2"),
    *norm(f"{CELL}.ffn.layer_norm", f"{LAYER}.output.LayerNorm", "units", prefixed=f"{FFN}_~layernorm#"),
)
HEAD = optional(
    MASKED_LM,
    rename("decoder.3.bias", "cls.predictions.bias", "vocab", prefixed=f"{EMBEDDING}_bias"),
    linear("decoder.0", "cls.predictions.transform.dense", "units units", prefixed=f"{MODEL}dense#"),
    norm("decoder.2", "cls.predictions.transform.LayerNorm", "units", prefixed=f"{MODEL}~layernorm#"),
    same("decoder.3.weight", original="word_embed.0.weight", dims="vocab units", why="the output layer is tied"),
)

CONFIG = (
    ConfigKey("vocab_size", "vocab"),
    ConfigKey("hidden_size", "units"),
    ConfigKey("num_hidden_layers", "layers"),
    ConfigKey("num_attention_heads", "heads"),
    ConfigKey("intermediate_size", "hidden"),
    ConfigKey("hidden_act", "hidden_act"),
    ConfigKey("layer_norm_eps", "layer_norm_eps"),
    ConfigKey("hidden_dropout_prob", constant=0.1),
    ConfigKey("attention_probs_dropout_prob", constant=0.1),
    ConfigKey("initializer_range", constant=0.02),
    ConfigKey("tie_word_embeddings", constant=True),
)
