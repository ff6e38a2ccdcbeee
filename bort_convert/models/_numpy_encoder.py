"""Rows that the BERT-like models of GluonNLP 1.0 share; 1.0 has other names than 0.x, and fused projections.

Rows of one layer and of one embedding have short names on both sides: `under` and `onto` put them in their places.

Source: dmlc/gluon-nlp master at 14553a0c, src/gluonnlp/layers.py and models/transformer.py, TransformerEncoderLayer;
models/bert.py; scripts/text_classification/classification_utils.py, TextPredictionNet; scripts/question_answering/
models.py, ModelForQABasic and ModelForQAConditionalV1.
"""

from bort_convert.dtypes import Hyperparameter
from bort_convert.mapping.family import ConfigKey
from bort_convert.mapping.rows import drop, linear, norm, onto, rename, split, tied, under
from bort_convert.models._encoder import CONFIG

SQUARE, FUSED = "hidden_size hidden_size", "3*hidden_size hidden_size"
PROJECTIONS = ("query", "key", "value")
BACKBONE_MODEL, FINE_TUNED = "backbone_model.", "backbone."
"""Attributes that hold the backbone: in a model for pretraining, and in those of the fine-tuning scripts."""
POOLER = "pooler"

# Queries, keys and values are stacked in this order.
LAYER = (
    split("attn_qkv.weight", [f"attention.self.{part}.weight" for part in PROJECTIONS], FUSED),
    split("attn_qkv.bias", [f"attention.self.{part}.bias" for part in PROJECTIONS], "3*hidden_size"),
    *linear("attention_proj", "attention.output.dense", SQUARE),
    *norm("layer_norm", "attention.output.LayerNorm", "hidden_size"),
    *linear("ffn.ffn_1", "intermediate.dense", "intermediate_size hidden_size"),
    *linear("ffn.ffn_2", "output.dense", "hidden_size intermediate_size"),
    *norm("ffn.layer_norm", "output.LayerNorm", "hidden_size"),
)
LAYERS = under("encoder.all_layers.{layer}.", onto("encoder.layer.{layer}.", LAYER))

EMBEDDINGS = {
    width: onto(
        "embeddings.",
        (
            rename("word_embed.weight", "word_embeddings.weight", f"vocab_size {width}"),
            rename("token_pos_embed._embed.weight", "position_embeddings.weight", f"max_positions {width}"),
            rename("token_type_embed.weight", "token_type_embeddings.weight", f"type_vocab_size {width}"),
            *norm("embed_layer_norm", "LayerNorm", width),
        ),
    )
    for width in ("hidden_size", "embedding_size")
}
"""Name of the embeddings' width -> their rows."""
TIED_OUTPUT = {
    width: tied(
        "mlm_decoder.3.weight",
        tied_to=f"{BACKBONE_MODEL}word_embed.weight",
        axes=f"vocab_size {width}",
        why="the output layer is tied",
    )
    for width in EMBEDDINGS
}
NO_SENTENCE_HEAD = "the masked-language model has a pooler and no sentence head"
CLASSIFIER = linear("out_proj", "classifier", "labels hidden_size")
SPANS = linear("qa_outputs", "qa_outputs", "2 hidden_size")

CONDITIONAL_SPANS = "question answering with a conditional end"
WHY_NOT_CONDITIONAL = "an answer's end depends on its start (ModelForQAConditionalV1), and in no class of transformers"
CONDITIONAL = tuple(
    drop(f"{name}.{part}", axes if part == "weight" else axes.split()[0], why=WHY_NOT_CONDITIONAL)
    for name, axes in {
        "start_scores": "1 hidden_size",
        "end_scores.0": "hidden_size 2*hidden_size",
        "end_scores.3": "1 hidden_size",
        "answerable_scores.0": "hidden_size 2*hidden_size",
        "answerable_scores.3": "2 hidden_size",
    }.items()
    for part in ("weight", "bias")
) + tuple(drop(f"end_scores.2.{part}", "hidden_size", why=WHY_NOT_CONDITIONAL) for part in ("gamma", "beta"))

# A classifier's output layer without a pooler before it.
WHY_NO_CLASSIFIER = "its one output layer reads the first token, and the classifier of transformers has a layer more"
POOLED_OUTPUT = (
    drop("out_proj.weight", "labels hidden_size", why=WHY_NO_CLASSIFIER),
    drop("out_proj.bias", "labels", why=WHY_NO_CLASSIFIER),
)

ENCODER_CONFIG = (
    *CONFIG,
    ConfigKey("max_position_embeddings", "max_positions", default=512),
    ConfigKey("type_vocab_size", "type_vocab_size", default=2),
    ConfigKey("pad_token_id", "pad_token_id"),
)
# Source: gluonnlp/layers.py, get_activation: its names here -> those of transformers.
CHOICES: dict[str, tuple[Hyperparameter, ...]] = {"hidden_act": ("gelu", "gelu_new", "relu", "tanh", "sigmoid")}
TOKEN_IDS: dict[str, Hyperparameter] = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2}  # fairseq's
