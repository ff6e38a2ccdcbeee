"""DistilBERT (gluonnlp 0.9 and 0.10): a BERT encoder without segments, pooler and head.

It becomes a BertModel, because GluonNLP has the LayerNorm epsilon 1e-5 and in transformers' DistilBertModel 1e-12 is
fixed.

Source: dmlc/gluon-nlp v0.10.0, model/bert.py, DistilBERTModel and distilbert_6_768_12_hparams; huggingface/transformers
v5.23, models/distilbert/modeling_distilbert.py, Embeddings and TransformerBlock.
"""

from bort_convert.mapping.family import ConfigKey, Family, Table, Variant
from bort_convert.mapping.rows import fill, onto
from bort_convert.models._encoder import CHOICES, CONFIG, LAYERS, POSITIONS, VERSIONS_OF_ENCODERS, WORDS

TYPES = fill("embeddings.token_type_embeddings.weight", "1 hidden_size", 0.0, why="DistilBERT has no segment embedding")
ENCODER = onto("bert.", (WORDS, POSITIONS, TYPES, *LAYERS))

FAMILY = Family(
    name="distilbert",
    title="DistilBERT",
    tables=(Table("encoder", ENCODER, (("BertModel",),)),),
    variants=(
        Variant(
            "distilbert_6_768_12",
            {"layers": 6, "intermediate_size": 3072, "hidden_size": 768, "max_positions": 512},
            {"attention_heads": 12},
        ),
    ),
    hyperparameters={"hidden_act": "gelu", "layer_norm_eps": 1e-5, "pad_token_id": 0},
    config=(
        ConfigKey("model_type", constant="bert"),
        *CONFIG,
        ConfigKey("max_position_embeddings", "max_positions"),
        ConfigKey("type_vocab_size", constant=1),
        ConfigKey("pad_token_id", "pad_token_id"),
    ),
    base="bert.",
    base_class="BertModel",
    tokenizer="WordPiece",
    by_version=VERSIONS_OF_ENCODERS,
    choices=CHOICES,
)
