"""Rows and config keys that GluonNLP's BERT-like models share: embeddings, layers, the masked-language-model head.

Targets are those of transformers' BERT-like models, without the prefix that the backbone has in a model with a head.

Source: dmlc/gluon-nlp v0.8.3, model/bert.py and model/transformer.py.
"""

from bort_convert.dtypes import Hyperparameter
from bort_convert.mapping.family import ConfigKey
from bort_convert.mapping.rows import linear, norm, optional, rename, scramble, tied, unless, when

CELL, LAYER = "encoder.transformer_cells.{layer}", "encoder.layer.{layer}"
ATTENTION, SELF, OUTPUT = f"{CELL}.attention_cell", f"{LAYER}.attention.self", f"{LAYER}.attention.output"
MODEL, ENCODER = "[~model#_]", "~encoder#"
EMBEDDING, TRANSFORMER = f"{MODEL}word_embed_embedding#", f"{ENCODER}_transformer{{layer}}"
FFN = f"{TRANSFORMER}_~ffn#"
MASKED_LM, SCRAMBLED = "masked-language-model head", "scrambled_biases"
WORD_AXES, SQUARE = "vocab_size hidden_size", "hidden_size hidden_size"

WORDS = rename("word_embed.0.weight", "embeddings.word_embeddings.weight", WORD_AXES, prefixed=f"{EMBEDDING}_weight")
POSITIONS = rename(
    "encoder.position_weight",
    "embeddings.position_embeddings.weight",
    "max_positions hidden_size",
    prefixed=f"{ENCODER}_position_weight",
)
TYPES = rename(
    "token_type_embed.0.weight",
    "embeddings.token_type_embeddings.weight",
    "type_vocab_size hidden_size",
    prefixed=f"{MODEL}token_type_embed_embedding#_weight",
)
PARTS = ("query", "key", "value")
PROJECTIONS = tuple(
    linear(f"{ATTENTION}.proj_{part}", f"{SELF}.{part}", SQUARE, prefixed=f"{TRANSFORMER}_~cell#_{part}")
    for part in PARTS
)
BIASES = scramble(
    [f"{ATTENTION}.proj_{part}.bias" for part in PARTS],
    [f"{SELF}.{part}.bias" for part in PARTS],
    "hidden_size",
    prefixed=[f"{TRANSFORMER}_~cell#_{part}_bias" for part in PARTS],
    why="gluonnlp 0.9 learned the three biases in another order",
)
LAYERS = (
    *norm("encoder.layer_norm", "embeddings.LayerNorm", "hidden_size", prefixed=f"{ENCODER}_~layernorm#"),
    *(row for weight, bias in PROJECTIONS for row in (weight, *unless(SCRAMBLED, bias))),
    *when(SCRAMBLED, BIASES),
    *linear(f"{CELL}.proj", f"{OUTPUT}.dense", SQUARE, prefixed=f"{TRANSFORMER}_proj"),
    *norm(f"{CELL}.layer_norm", f"{OUTPUT}.LayerNorm", "hidden_size", prefixed=f"{TRANSFORMER}_~layernorm#"),
    *linear(
        f"{CELL}.ffn.ffn_1", f"{LAYER}.intermediate.dense", "intermediate_size hidden_size", prefixed=f"{FFN}_ffn_1"
    ),
    *linear(f"{CELL}.ffn.ffn_2", f"{LAYER}.output.dense", "hidden_size intermediate_size", prefixed=f"{FFN}_ffn_2"),
    *norm(f"{CELL}.ffn.layer_norm", f"{LAYER}.output.LayerNorm", "hidden_size", prefixed=f"{FFN}_~layernorm#"),
)
TIED_OUTPUT = tied("decoder.3.weight", tied_to="word_embed.0.weight", axes=WORD_AXES, why="the output layer is tied")
HEAD_ROWS = (
    rename("decoder.3.bias", "cls.predictions.bias", "vocab_size", prefixed=f"{EMBEDDING}_bias"),
    *linear("decoder.0", "cls.predictions.transform.dense", SQUARE, prefixed=f"{MODEL}dense#"),
    *norm("decoder.2", "cls.predictions.transform.LayerNorm", "hidden_size", prefixed=f"{MODEL}~layernorm#"),
    TIED_OUTPUT,
)
HEAD = optional(MASKED_LM, HEAD_ROWS)

# Differences between releases of gluonnlp. In BERT, where every epsilon is 1e-12, the biases are the only one; an
# encoder without a head does not need the head's epsilon.
# Source: dmlc/gluon-nlp, model/bert.py, DotProductSelfAttentionCell, BERTEncoder and BERTModel._get_decoder in v0.8.3,
# v0.9.1, v0.9.2 and v0.10.0.
ByVersion = dict[str, dict[str, Hyperparameter]]
VERSIONS: ByVersion = {"0.9": {SCRAMBLED: True}}
FIXED_EMBEDDINGS: dict[str, Hyperparameter] = {"embedding_layer_norm_eps": 1e-12}
VERSIONS_OF_ENCODERS: ByVersion = {**VERSIONS, "0.9.0": FIXED_EMBEDDINGS, "0.9.1": FIXED_EMBEDDINGS}
FREE_HEAD: dict[str, Hyperparameter] = {"head_layer_norm_eps": 1e-5}
VERSIONS_OF_HEADS: ByVersion = {**VERSIONS_OF_ENCODERS, "0.9.2": FREE_HEAD, "0.10": FREE_HEAD}

# Names that transformers may write for the tied tensors of BertForMaskedLM.
ALIASES = {
    "predictions.decoder.weight": "embeddings.word_embeddings.weight",
    "predictions.decoder.bias": "predictions.bias",
}

# Source: dmlc/gluon-nlp v0.8.3, model/transformer.py, BasePositionwiseFFN._get_activation.
CHOICES: dict[str, tuple[Hyperparameter, ...]] = {"hidden_act": ("gelu", "relu", "tanh", "sigmoid")}
TOKEN_IDS: dict[str, Hyperparameter] = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2}  # RoBERTa's

CONFIG = (
    ConfigKey("vocab_size", "vocab_size"),
    ConfigKey("hidden_size", "hidden_size"),
    ConfigKey("num_hidden_layers", "layers"),
    ConfigKey("num_attention_heads", "attention_heads", default=12),
    ConfigKey("intermediate_size", "intermediate_size"),
    ConfigKey("hidden_act", "hidden_act", default="gelu"),
    ConfigKey("layer_norm_eps", "layer_norm_eps", default=1e-12),
    ConfigKey("hidden_dropout_prob", constant=0.1),
    ConfigKey("attention_probs_dropout_prob", constant=0.1),
    ConfigKey("initializer_range", constant=0.02),
    ConfigKey("tie_word_embeddings", constant=True),
)
