"""BERT (gluonnlp 0.6 to 0.10), and models of its sizes and names: SciBERT, BioBERT, ClinicalBERT, KoBERT.

Source: dmlc/gluon-nlp v0.8.3, model/bert.py.
"""

from bort_convert.mapping.family import ConfigKey, Family, Variant
from bort_convert.models._bert_forms import TABLES
from bort_convert.models._encoder import ALIASES, CHOICES, CONFIG, VERSIONS

FAMILY = Family(
    name="bert",
    title="BERT",
    tables=TABLES,
    variants=(
        Variant(
            "bert_12_768_12",
            {"layers": 12, "intermediate_size": 3072, "hidden_size": 768, "max_positions": 512},
            {"attention_heads": 12},
        ),
        Variant(
            "bert_24_1024_16",
            {"layers": 24, "intermediate_size": 4096, "hidden_size": 1024, "max_positions": 512},
            {"attention_heads": 16},
        ),
    ),
    hyperparameters={"hidden_act": "gelu", "layer_norm_eps": 1e-12, "pad_token_id": 0},
    config=(
        ConfigKey("model_type", constant="bert"),
        *CONFIG,
        ConfigKey("max_position_embeddings", "max_positions", default=512),
        ConfigKey("type_vocab_size", "type_vocab_size", default=2),
        ConfigKey("pad_token_id", "pad_token_id"),
    ),
    base="bert.",
    base_class="BertModel",
    tokenizer="WordPiece",
    aliases=ALIASES,
    by_version=VERSIONS,
    choices=CHOICES,
)
