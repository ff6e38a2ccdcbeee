"""ERNIE (gluonnlp 0.8 to 0.10): BERT's network with relu, another epsilon and 513 positions.

Its masked-language-model head keeps BERT's GELU. Tensors have BERT's names, so only sizes or `family="ernie"` tell the
two apart.

Source: dmlc/gluon-nlp v0.8.3, model/bert.py, ernie_12_768_12_hparams and BERTModel._get_decoder.
"""

from bort_convert.mapping.family import Family, Variant
from bort_convert.models._bert_forms import TABLES
from bort_convert.models._encoder import CHOICES, VERSIONS_OF_HEADS
from bort_convert.models.bert import FAMILY as BERT

FAMILY = Family(
    name="ernie",
    title="ERNIE",
    tables=TABLES,
    variants=(
        Variant(
            "ernie_12_768_12",
            {"layers": 12, "intermediate_size": 3072, "hidden_size": 768, "max_positions": 513},
            {"attention_heads": 12},
        ),
    ),
    hyperparameters={
        "hidden_act": "relu",
        "layer_norm_eps": 1e-5,
        "head_layer_norm_eps": 1e-12,
        "head_hidden_act": "gelu",
        "pad_token_id": 0,
    },
    config=BERT.config,
    base=BERT.base,
    base_class=BERT.base_class,
    tokenizer="WordPiece",
    aliases=BERT.aliases,
    by_version=VERSIONS_OF_HEADS,
    choices=CHOICES,
    gluonnlp_name=BERT.name,
)
